"""Turn the files of a model's authors into a run, for ``translate``, ``evaluate`` and ``run``."""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from i2i_bench.model import Model, Settings, named_networks
from i2i_bench.plugins import registry
from i2i_bench.plugins.cost import count_parameters
from i2i_bench.plugins.toy import nominal
from i2i_bench.pretrained import without_weights
from i2i_bench.records.folders import RUN_FILE, is_imported, write_import_file
from i2i_bench.runs.job import OFFICIAL
from i2i_bench.system.files import sync
from i2i_bench.system.tensors import digest, read_untrusted
from i2i_bench.training import checkpoint
from i2i_bench.training.checkpoint_file import Position
from i2i_bench.training.settings import plain_settings, with_config
from i2i_bench.training.start import present

SUFFIXES = {".pt", ".pth", ".ckpt"}
MOST_FILES = 4  # that are looked into for another family's tensors


def import_official(name: str, source: Path, target: Path, *, force: bool) -> str:
    """Write the authors' networks as a run into a folder, wholly or not at all.

    Args:
        name: Of the model.
        source: Folder of the authors' files, or their one file.
        target: Folder of the run.
        force: Whether to replace what was imported there before.

    Returns:
        What was found, line by line.

    Raises:
        ValueError: If the files do not fit, or ``target`` holds something else.
    """
    _require_free(target, force=force)
    model, settings = load_official(name, source)
    identity = _identity(name, model, settings)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as partial:
        made = checkpoint.save_checkpoint(Path(partial), model, identity, Position())
        write_import_file(made.parent, source)
        target.mkdir(exist_ok=True)
        for name_of in (RUN_FILE, made.name):
            (made.parent / name_of).replace(target / name_of)
        sync(target)
    return "\n".join([f"{name}, read from {source}:", *_found(model), f"written to {target}"])


def load_official(name: str, source: Path) -> tuple[Model, Settings]:
    """Build a model from its authors' files, with the settings to translate other images.

    Raises:
        ValueError: If they do not fit, with the first tensors that disagree and the installed
            model that they do fit, or else the family that they look like.
    """
    model_class = registry.load_model(name)
    if not source.exists():
        raise ValueError(f"there is no folder or file {source}")
    try:
        with without_weights():
            model = _from_official(model_class, source)
    except ValueError as error:
        raise ValueError(f"{error}{_hint(name, source)}") from error
    settings = model_class.settings("published", nominal(model_class, 2))
    return model, with_config(settings, model.config)


def _from_official(model_class: type[Model], source: Path) -> Model:
    """Build a model; networks that the files lack are initialised alike each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model_class.from_official(source)


def _hint(name: str, source: Path) -> str:
    """Say which installed model or known family the files belong to instead."""
    others = [other for other in registry.available_models() if other != name]
    if fitting := [other for other in others if _fits(other, source)]:
        return f"; these files fit {' and '.join(fitting)}"
    if family := _family(source):
        return f"; this looks like {family}, and fits no installed model"
    return ""


def _family(source: Path) -> str | None:
    """Name the family of ``families.toml`` to which files of no installed model belong."""
    families = tomllib.loads(files("i2i_bench.runs").joinpath("families.toml").read_text("utf-8"))
    found = [source] if source.is_file() else sorted(source.iterdir())
    for path in [path for path in found if path.suffix in SUFFIXES][:MOST_FILES]:
        try:
            names = list(_names(read_untrusted(path)))
        except ValueError:  # damaged, which is said elsewhere if it matters
            continue
        for family, facts in families.items():
            if any(re.search(facts["names"], name) for name in names):
                return family
    return None


def _names(content: Any) -> Iterator[str]:
    """Give names of tensors, below those of the parts that hold them."""
    for name, value in content.items() if isinstance(content, Mapping) else ():
        yield str(name)
        if isinstance(value, Mapping):
            yield from (f"{name}.{below}" for below in value)


def _fits(name: str, source: Path) -> bool:
    try:
        _from_official(registry.load_model(name), source)
    except Exception:  # a plugin may fail in any way
        return False
    return True


def _require_free(target: Path, *, force: bool) -> None:
    """Refuse to write where anything but an earlier import lies."""
    if target.is_dir() and any(target.iterdir()):
        if not is_imported(target):
            raise ValueError(f"{target} holds something other than an import; give another folder")
        if not force:
            raise ValueError(f"{target} holds an import already; --force replaces it")


def _identity(name: str, model: Model, settings: Settings) -> dict[str, Any]:
    networks = present(model.networks.state_dict(), model.absent)
    plain = plain_settings(settings) | {"precision": "fp32"}
    return {
        "model": name,
        "task": "",
        "task_version": 0,
        "seed": 0,
        "preset": OFFICIAL,
        "variant": f"{OFFICIAL}-{digest(networks)}",
        "settings": json.loads(json.dumps(plain)),
    }


def _found(model: Model) -> list[str]:
    """Say what the files hold."""
    config = dataclasses.asdict(model.config)
    counts = count_parameters(model)
    lines = [f"  config.{key}: {value}" for key, value in config.items()]
    for network, _ in named_networks(model.networks):
        what = f"{counts[network]:,} parameters" if network in counts else "absent"
        lines.append(f"  {network}: {what}")
    return lines

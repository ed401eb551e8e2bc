"""Turn the files of a model's authors into a run, for ``translate``, ``evaluate`` and ``run``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from i2i_bench.model import Model, Settings, named_networks
from i2i_bench.official import Misfit
from i2i_bench.plugins import registry
from i2i_bench.plugins.cost import count_parameters
from i2i_bench.plugins.toy import nominal
from i2i_bench.pretrained import without_weights
from i2i_bench.records.folders import RUN_FILE, is_imported, write_import_file
from i2i_bench.runs.job import OFFICIAL
from i2i_bench.runs.misfit_words import in_words
from i2i_bench.runs.weights_files import single_file, weights_at, weights_in
from i2i_bench.system.files import sync
from i2i_bench.system.state_dicts import choosing_part
from i2i_bench.system.tensors import digest, read_untrusted
from i2i_bench.training import checkpoint
from i2i_bench.training.checkpoint_file import Position
from i2i_bench.training.settings import plain_settings, with_config
from i2i_bench.training.start import present

MOST_FILES = 4  # that are looked into for another family's tensors
MOST_PARTS = 12  # state dicts of a file that are tried


def import_official(name: str, source: Path, target: Path, *, force: bool) -> str:
    """Write the authors' networks as a run into a folder, wholly or not at all.

    Args:
        name: Of the model.
        source: Folder of the authors' files, their one file, or an archive of them.
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

    Args:
        name: Of the model.
        source: Folder of the files, one file, or an archive of them.

    Raises:
        ValueError: If they do not fit, with what they are instead, and the installed model that
            they do fit, or else the family that they look like.
    """
    model_class = registry.load_model(name)
    if not source.exists():
        raise ValueError(f"there is no folder or file {source}")
    with weights_at(source) as place, without_weights():
        try:
            model = _read(model_class, place)
        except ValueError as error:
            said = in_words(error, model_class.card.title)
            said += "" if isinstance(error, SeveralFit) else _hint(name, place)
            raise ValueError(said.replace(str(place), str(source))) from error
    settings = model_class.settings("published", nominal(model_class, 2))
    return model, with_config(settings, model.config)


def _read(model_class: type[Model], place: Path) -> Model:
    """Read files by their names, or the only one of any name; of its state dicts the one that fits.

    Raises:
        ValueError: If none fits, or several do.
    """
    only = single_file(place) if place.is_dir() else None
    errors = []
    for way in (place, only) if only else (place,):
        with choosing_part(None) as seen:
            try:
                return _from_official(model_class, way)
            except ValueError as error:
                errors.append(error)
        fitting = _fitting_parts(model_class, way, list(seen.names)[:MOST_PARTS])
        if len(fitting) == 1:
            return next(iter(fitting.values()))
        if fitting:
            raise SeveralFit(
                f"{way.name} holds several state dicts that fit: {', '.join(fitting)}; save the "
                "one that is meant in a file of its own"
            )
    raise next((error for error in errors if isinstance(error, Misfit)), errors[-1])


class SeveralFit(ValueError):
    """A file holds several state dicts that fit a model, and nothing says which is meant."""


def _fitting_parts(model_class: type[Model], way: Path, names: Sequence[str]) -> dict[str, Model]:
    """Build a model of each of several state dicts in a file that fits."""
    found = {}
    for name in names:
        with choosing_part(name), contextlib.suppress(ValueError):
            found[name] = _from_official(model_class, way)
    return found


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
    if family := _family(source, name):
        return f"; this looks like {family}, and fits no installed model"
    return ""


def _family(source: Path, asked_for: str = "") -> str | None:
    """Name the family of ``families.toml`` to which files of no installed model belong.

    Args:
        source: Of the files.
        asked_for: Model whose own family is not worth a word.
    """
    families = tomllib.loads(files("i2i_bench.runs").joinpath("families.toml").read_text("utf-8"))
    for path in [source] if source.is_file() else weights_in(source)[:MOST_FILES]:
        try:
            names = list(_names(read_untrusted(path)))
        except ValueError:  # damaged, which is said elsewhere if it matters
            continue
        for family, facts in families.items():
            if any(re.search(facts["names"], name) for name in names):
                return None if asked_for in facts["models"] else family
    return None


def _names(content: Any) -> Iterator[str]:
    """Give names of tensors, below those of the parts that hold them."""
    for name, value in content.items() if isinstance(content, Mapping) else ():
        yield str(name)
        if isinstance(value, Mapping):
            yield from (f"{name}.{below}" for below in value)


def _fits(name: str, source: Path) -> bool:
    only = single_file(source) if source.is_dir() else None
    try:
        _from_official(registry.load_model(name), only or source)
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

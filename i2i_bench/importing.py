"""Turn the files of a model's authors into a run, for ``translate``, ``evaluate`` and ``run``."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from i2i_bench import checkpoint, contract, plan, record, registry
from i2i_bench.checkpoint import Position
from i2i_bench.model import Model, Settings, named_networks
from i2i_bench.runner import count_parameters


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
        made = checkpoint.save(Path(partial), model, identity, Position())
        plan.write_import_file(made.parent, source)
        target.mkdir(exist_ok=True)
        for name_of in (plan.RUN_FILE, made.name):
            (made.parent / name_of).replace(target / name_of)
        record.sync(target)
    return "\n".join([f"{name}, read from {source}:", *_found(model), f"written to {target}"])


def load_official(name: str, source: Path) -> tuple[Model, Settings]:
    """Build a model from its authors' files, with the settings to translate other images.

    Raises:
        ValueError: If they do not fit, with the first tensors that disagree and the installed
            model that they do fit.
    """
    model_class = registry.load(name)
    if not source.exists():
        raise ValueError(f"there is no folder or file {source}")
    try:
        model = _from_official(model_class, source)
    except ValueError as error:
        others = [other for other in registry.available_models() if other != name]
        fitting = [other for other in others if _fits(other, source)]
        hint = f"; these files fit {' and '.join(fitting)}" if fitting else ""
        raise ValueError(f"{error}{hint}") from error
    settings = model_class.settings("published", contract.NOMINAL)
    return model, dataclasses.replace(settings, config=model.config)


def _from_official(model_class: type[Model], source: Path) -> Model:
    """Build a model; what its files lack is the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model_class.from_official(source)


def _fits(name: str, source: Path) -> bool:
    try:
        _from_official(registry.load(name), source)
    except Exception:  # a plugin may fail in any way
        return False
    return True


def _require_free(target: Path, *, force: bool) -> None:
    """Refuse to write where anything but an earlier import lies."""
    if target.is_dir() and any(target.iterdir()):
        if not plan.is_imported(target):
            raise ValueError(f"{target} holds something else than an import; give another folder")
        if not force:
            raise ValueError(f"{target} holds an import already; --force replaces it")


def _identity(name: str, model: Model, settings: Settings) -> dict[str, Any]:
    networks = checkpoint.present(model.networks.state_dict(), model.absent)
    plain = dataclasses.asdict(settings) | {"precision": "fp32"}
    return {
        "model": name,
        "task": "",
        "task_version": 0,
        "seed": 0,
        "preset": plan.OFFICIAL,
        "variant": f"{plan.OFFICIAL}-{checkpoint.digest(networks)}",
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

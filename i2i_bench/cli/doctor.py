"""Look for what is missing or broken in an installation, with advice on each finding."""

from __future__ import annotations

import functools
import importlib
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from i2i_bench import pretrained
from i2i_bench.plugins import registry
from i2i_bench.scoring.features.cache import cache_state
from i2i_bench.scoring.metric_set import metric_plugins
from i2i_bench.system.installed import reason_of_broken
from i2i_bench.system.messages import shown_bytes
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.source import Source, TaskState

LIBRARIES = ("torch", "torchvision", "clean-fid", "lpips", "numpy", "scipy", "pillow")
LOW_DISK = 5 * 10**9  # bytes; a published run of checkpoints and translations fits

FindingMark = Literal["ok", "missing", "broken"]

_STATES: dict[TaskState, tuple[FindingMark, str]] = {  # of images, with what is said of them
    "ready": ("ok", "complete"),
    "missing": ("missing", ""),
    "incomplete": ("broken", "not what was published"),
    "by hand": ("missing", "by hand"),
}


@dataclass(frozen=True)
class Finding:
    """The state of one thing that runs depend on.

    Attributes:
        topic: Such as ``weights``.
        mark: ``missing`` does not keep anything else from working; ``broken`` must be repaired.
        text: What was found.
        advice: What to do; "" if nothing.
    """

    topic: str
    mark: FindingMark
    text: str
    advice: str = ""


def examine(places: Mapping[str, Path]) -> list[Finding]:
    """Look at everything a run depends on.

    Args:
        places: Folders by their names: ``results``, ``runs`` and ``data``.
    """
    return [
        *_versions(),
        *_devices(),
        *_models(),
        *_metrics(),
        *_disk(places),
        *_weights(),
        *_data(places["data"]),
    ]


def _versions() -> Iterator[Finding]:
    names = ["i2i-bench", *LIBRARIES]
    yield Finding("versions", "ok", f"python {platform.python_version()}, {platform.platform()}")
    for name in names:
        try:
            yield Finding("versions", "ok", f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding("versions", "broken", f"{name} is not installed", "pip install i2i-bench")
    for name in ("torch", "torchvision"):
        if problem := _import_problem(name):
            advice = "install the versions that belong together (constraints.txt)"
            yield Finding("versions", "broken", f"{name} cannot be imported: {problem}", advice)


@functools.cache
def _import_problem(name: str) -> str:
    """Say why a library cannot be imported; "" if it can."""
    try:
        importlib.import_module(name)
    except Exception as error:  # one that was built for another version may fail in any way
        return reason_of_broken(error)
    return ""


def _devices() -> Iterator[Finding]:
    yield Finding("devices", "ok", f"cpu: {os.cpu_count()} cores, {_memory()}")
    if _import_problem("torch"):
        return
    import torch

    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = shown_bytes(properties.total_memory)
        yield Finding("devices", "ok", f"cuda:{index}: {properties.name}, {memory}")
    if not torch.cuda.is_available():
        yield Finding("devices", "missing", "cuda: torch finds none", "runs use the cpu")


def _memory() -> str:
    num_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{shown_bytes(num_bytes)} of memory"


def _models() -> Iterator[Finding]:
    found = registry.find_entries()
    if not found:
        advice = "pip install the distribution of a model, such as i2i-bench-baselines"
        yield Finding("models", "missing", "none is installed", advice)
    for entry in found:
        whose = f"{entry.name} ({entry.distribution} {entry.version})"
        try:
            registry.load_model(entry.name)
        except ValueError as error:
            advice = f"reinstall {entry.distribution}, or uninstall it"
            yield Finding("models", "broken", f"{whose}: {error}", advice)
        else:
            yield Finding("models", "ok", whose)


def _metrics() -> Iterator[Finding]:
    """Look at the metrics of plugins; the suite's own are no plugin."""
    for plugin in metric_plugins():
        entry = plugin.entry
        whose = f"{entry.name} ({entry.distribution} {entry.version})"
        if plugin.problem:
            advice = f"reinstall {entry.distribution}, or uninstall it"
            yield Finding("metrics", "broken", f"{whose}: {plugin.problem}", advice)
        else:
            keys = ", ".join(f"{each.key} version {each.version}" for each in plugin.metrics)
            yield Finding("metrics", "ok", f"{whose}: {keys}")


def _disk(places: Mapping[str, Path]) -> Iterator[Finding]:
    try:
        cache = cache_state()
        folders = {**places, "weights": pretrained.weights_folder(), "cache": cache.folder}
        used = f"{cache.bytes / 1e6:.0f} of {cache.limit / 1e6:.0f} MB of features"
    except ValueError as error:
        folders, used = {**places, "weights": pretrained.weights_folder()}, ""
        yield Finding("disk", "broken", str(error), "unset or correct it")
    for name, folder in folders.items():
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        free = shutil.disk_usage(there).free
        text = f"{name}: {folder}, {free / 1e9:.1f} GB free"
        text += f", {used}" if name == "cache" else ""
        variable = f"I2I_BENCH_{name.upper()}"
        if not os.access(there, os.W_OK) and name in ("results", "runs"):
            yield Finding("disk", "broken", f"{text}, not writable", f"{variable} names another")
        elif free < LOW_DISK:
            yield Finding(
                "disk", "missing", f"{text}, which is little", f"{variable} names another"
            )
        else:
            yield Finding("disk", "ok", text)


def _weights() -> Iterator[Finding]:
    for file in pretrained.FILES.values():
        found = pretrained.inspect_weights(file, load=not _import_problem("torch"))
        purpose = file.purpose if file.name in pretrained.NEEDED else f"{file.purpose}, optional"
        text = f"{file.name}: {found.state} ({purpose})"
        if found.sha256:
            text += f", sha256 {found.sha256[:16]}"
        yield Finding("weights", _mark(found.state), text, found.advice)


def _mark(state: pretrained.WeightsState) -> FindingMark:
    if state in ("missing", "partial"):
        return "missing"
    return "broken" if state in ("damaged", "wrong") else "ok"


def _data(data: Path) -> Iterator[Finding]:
    for name, source in catalogue.sources().items():
        folder = data / name
        state = _state(source, folder)
        mark, words = _STATES[state]
        text = f"{name}: {words}" if words else name
        yield Finding("data", mark, text, source.instructions(folder, state))


def _state(source: Source, folder: Path) -> TaskState:
    """Tell, without opening images, whether those of a task are there and complete."""
    state = source.state(folder)
    if state != "ready":
        return state
    try:
        source.count_present(folder)
    except ValueError:  # they are not as large as those seen first
        return "incomplete"
    return state

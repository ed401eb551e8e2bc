"""Write the skeleton of a plugin: a model or a metric as it stands, for a researcher to change."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

from i2i_bench.plugins import registry
from i2i_bench.scoring.metric_plugins import METRIC_GROUP
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.system.installed import find_installed

NAME = re.compile(r"(?=.{1,30}$)[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
Kind = Literal["model", "metric"]
SKELETON = {  # where each file goes, and its template in the folder templates
    "pyproject.toml": "pyproject.toml.txt",
    "{module}.py": "module.py.txt",
    "tests/test_{module}.py": "test.py.txt",
}
BEFORE: dict[Kind, str] = {"model": "", "metric": "metric_"}  # the names of templates


def write_skeleton(name: str, folder: Path | None = None, kind: Kind = "model") -> Path:
    """Write the skeleton of a plugin with one model or metric, wholly or not at all.

    Args:
        name: As typed after ``--model`` or ``--metric``.
        folder: To make; None for ``i2i-NAME`` in the working directory.
        kind: What it is.

    Returns:
        The folder.

    Raises:
        ValueError: If the name is not possible or taken, or the folder exists.
    """
    names = _names(name, kind)
    _require_free(name, names, kind)
    target = folder or Path(names["distribution"])
    if target.exists() or target.is_symlink():
        raise ValueError(f"{target} exists; name another folder with --output")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as partial:
        draft = Path(partial) / "plugin"
        for place, template in SKELETON.items():
            source = files("i2i_bench.plugins") / "templates" / f"{BEFORE[kind]}{template}"
            text = source.read_text(encoding="utf-8")
            path = draft / place.format_map(names)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(text).substitute(names), encoding="utf-8")
        draft.rename(target)
    return target


def _names(name: str, kind: Kind) -> dict[str, str]:
    """Derive from a model's or metric's name what its plugin is called.

    Raises:
        ValueError: If no plugin can be called that.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name a {kind} here: 1 to 30 lower-case letters and digits, a letter "
            f"first, words joined by '-' or '_', such as my-{kind}"
        )
    words = re.split("[_-]", name)
    camel = "".join(word.capitalize() for word in words)
    return {
        "name": name,
        "title": " ".join(word.capitalize() for word in words),
        "distribution": f"i2i-{'-'.join(words)}",
        "module": f"i2i_{'_'.join(words)}",
        "key": "_".join(words),
        "constant": f"{'_'.join(words).upper()}_METRIC",
        "model_class": f"{camel.removesuffix('Model')}Model",  # no keyword, whatever the name
    }


def _require_free(name: str, names: dict[str, str], kind: Kind) -> None:
    """Raise ValueError if something installed has the name, or that of its plugin."""
    for entry in find_installed(registry.GROUP if kind == "model" else METRIC_GROUP):
        if entry.name == name:
            owner = entry.owner
            raise ValueError(f"{kind} {name!r} is installed already, of {owner}; take another name")
    known = known_metrics()
    if kind == "metric" and {name, names["key"]} & {*known.by_key, *(m.name for m in known)}:
        raise ValueError(f"metric {name!r} is one of the suite's; take another name")
    try:
        distribution(names["distribution"])
    except PackageNotFoundError:
        if importlib.util.find_spec(names["module"]) is None:
            return
    raise ValueError(
        f"{names['distribution']} with its module {names['module']} is installed already; take "
        f"another name than {name!r}"
    )

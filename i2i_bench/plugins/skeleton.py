"""Write the skeleton of a plugin: a small model that trains, for a researcher to change."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from string import Template

from i2i_bench.plugins import registry

NAME = re.compile(r"(?=.{1,30}$)[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
SKELETON = {  # where each file goes, and its template in the folder templates
    "pyproject.toml": "pyproject.toml.txt",
    "{module}.py": "module.py.txt",
    "tests/test_{module}.py": "test.py.txt",
}


def write_skeleton(name: str, folder: Path | None = None) -> Path:
    """Write the skeleton of a plugin with one model, wholly or not at all.

    Args:
        name: Of the model, as typed after ``--model``.
        folder: To make; None for ``i2i-NAME`` in the working directory.

    Returns:
        The folder.

    Raises:
        ValueError: If the name is not possible or taken, or the folder exists.
    """
    names = _names(name)
    _require_free(name, names)
    target = folder or Path(names["distribution"])
    if target.exists() or target.is_symlink():
        raise ValueError(f"{target} exists; name another folder with --output")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as partial:
        draft = Path(partial) / "plugin"
        for place, template in SKELETON.items():
            text = (files("i2i_bench.plugins") / "templates" / template).read_text(encoding="utf-8")
            path = draft / place.format_map(names)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(text).substitute(names), encoding="utf-8")
        draft.rename(target)
    return target


def _names(name: str) -> dict[str, str]:
    """Derive from a model's name what its plugin is called.

    Raises:
        ValueError: If no plugin can be called that.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name a model here: 1 to 30 lower-case letters and digits, a letter "
            "first, words joined by '-' or '_', such as my-model"
        )
    words = re.split("[_-]", name)
    camel = "".join(word.capitalize() for word in words)
    return {
        "name": name,
        "title": " ".join(word.capitalize() for word in words),
        "distribution": f"i2i-{'-'.join(words)}",
        "module": f"i2i_{'_'.join(words)}",
        "model_class": f"{camel.removesuffix('Model')}Model",  # no keyword, whatever the name
    }


def _require_free(name: str, names: dict[str, str]) -> None:
    """Raise ValueError if something installed has the name of the model, or of its plugin."""
    for entry in registry.find_entries():
        if entry.name == name:
            owner = f"{entry.distribution} {entry.version}"
            raise ValueError(f"model {name!r} is installed already, of {owner}; take another name")
    try:
        distribution(names["distribution"])
    except PackageNotFoundError:
        if importlib.util.find_spec(names["module"]) is None:
            return
    raise ValueError(
        f"{names['distribution']} with its module {names['module']} is installed already; take "
        f"another name than {name!r}"
    )

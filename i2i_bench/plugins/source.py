"""The code of a model as a hash, by which a plugin that was edited since a run is known."""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from i2i_bench.model import Model

DIGITS = 8
APART = sys.stdlib_module_names | {"i2i_bench", "torch"}  # whose versions records state


@functools.cache  # what runs is what was imported, whatever becomes of the files afterwards
def source_digest(model_class: type[Model]) -> str:
    """Return 8 hexadecimal digits of a hash of the Python source behind a model.

    Of the modules of the class and of its bases, and of those of the same packages that they
    import, also indirectly; the harness and its blocks, torch and the standard library do not
    count. Names of modules and texts are hashed, with line ends made equal, so that machines and
    versions of Python agree. "" where there is no source, as in an interactive session.
    """
    waiting = [base.__module__ for base in model_class.__mro__]
    texts: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        root = name.partition(".")[0]
        spec = None if name in texts or root in APART else _find(name)
        text = _text(spec) if spec else None
        if spec and text is not None:
            texts[name] = text
            waiting += [each for each in _imported(spec, text) if each.partition(".")[0] == root]
            waiting += [name.rpartition(".")[0]] if "." in name else []
    if not texts:
        return ""
    whole = "".join(f"{name} {len(text)}\n{text}\n" for name, text in sorted(texts.items()))
    return hashlib.sha256(whole.encode()).hexdigest()[:DIGITS]


def _find(name: str) -> ModuleSpec | None:
    """Find a module below a package that is imported, importing nothing."""
    first, *rest = name.split(".")
    spec = getattr(sys.modules.get(first), "__spec__", None)
    for part in rest:
        places = spec.submodule_search_locations if spec else None
        spec = PathFinder.find_spec(f"{spec.name}.{part}", places) if spec and places else None
    return spec


def _text(spec: ModuleSpec) -> str | None:
    """Read the source of a module; None where it has none."""
    read = getattr(spec.loader, "get_source", None)
    try:
        return read(spec.name) if read else None
    except (ImportError, OSError):
        return None


def _imported(spec: ModuleSpec, text: str) -> Iterator[str]:
    """Name what a module imports, and what may be modules among it."""
    package = spec.name if spec.submodule_search_locations is not None else spec.parent
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = node.module or ""
            if node.level:
                name = resolve_name("." * node.level + name, package)
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def joined_sources(before: str, now: str) -> str:
    """Append the digest of the present code to those that worked on a run before, "+" between.

    Args:
        before: Digests so far; "" where they are not known.
        now: Of the present code.
    """
    if not before or not now or before.split("+")[-1] == now:
        return before or now
    return f"{before}+{now}"


def is_of(recorded: str, now: str) -> bool:
    """Tell whether all that was recorded is of the present code, as far as is known."""
    return not recorded or not now or set(recorded.split("+")) == {now}

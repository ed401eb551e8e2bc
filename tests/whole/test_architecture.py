"""Folders import from those below them, models from the public floor; nobody is named here."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "Makefile").exists())
ORDER = (  # a folder, or a module beside the folders, imports from its own and from later ones
    *("__main__", "cli", "runs", "report", "plugins", "training", "scoring", "study", "data"),
    *(
        "tasks",
        "records",
        "pretrained",
        "official",
        "metric",
        "model",
        "labels",
        "randomness",
        "system",
    ),
)
FLOOR = (
    "pretrained",
    "official",
    "metric",
    "model",
    "labels",
    "randomness",
)  # what models stand on
WITHOUT_TORCH = ("tasks", "records", "metric", "system.messages", "system.files")
THIRD_PARTIES = {  # design of the project: one more needs a reason
    *("torch", "torchvision", "cleanfid", "lpips", "click", "numpy", "pandas", "PIL", "scipy"),
    *("pydantic", "rich", "matplotlib", "jinja2", "requests", "ray"),
    "pyarrow",  # reads parquet, where it is installed
    "triton",  # comes with PyTorch for CUDA
}
PARTS = [ROOT / "i2i_bench", ROOT / "baselines/i2i_baselines", *ROOT.glob("plugins/*/i2i_*")]
FILES = {
    ".".join(path.relative_to(part.parent).with_suffix("").parts): path
    for part in PARTS  # packages, or single modules
    for path in ([part] if part.is_file() else part.rglob("*.py"))
    if path.name != "__init__.py"
}
BLOCKS = [name for name in FILES if name.startswith("i2i_bench.blocks.")]
HARNESS = [name for name in FILES if name.startswith("i2i_bench.") and name not in BLOCKS]
MODELS = [name for name in FILES if not name.startswith("i2i_bench.")]


def modules_of(node: ast.AST) -> set[str]:
    """Name the modules that an import statement brings; nothing for any other node."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if not isinstance(node, ast.ImportFrom):
        return set()
    assert not node.level, "relative import"
    whole = {f"{node.module}.{alias.name}" for alias in node.names}
    return whole & set(FILES) or {str(node.module)}


@cache
def imports(name: str, *, when_imported: bool = False) -> frozenset[str]:
    """Name what a module imports from outside the standard library: anywhere, or at its top."""
    body = ast.parse(FILES[name].read_text(encoding="utf-8"))
    nodes = body.body if when_imported else ast.walk(body)
    found = {each for node in nodes for each in modules_of(node)}
    return frozenset(each for each in found if each.split(".")[0] not in sys.stdlib_module_names)


def place(name: str) -> str:
    """Give the folder beside ``i2i_bench``'s modules, or the module, that a name lies in."""
    return name.split(".")[1]


def tops(names: frozenset[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("name", HARNESS)
def test_imports_point_down(name):
    ours = [each for each in imports(name) if each.startswith("i2i_")]
    below = ORDER[ORDER.index(place(name)) :]
    assert [each for each in ours if not each.startswith("i2i_bench.")] == []  # no model
    assert [each for each in ours if place(each) not in below] == []


@pytest.mark.parametrize("name", HARNESS)
def test_harness_needs_no_more_third_parties_than_designed(name):
    assert tops(imports(name)) <= THIRD_PARTIES | {"i2i_bench"}


@pytest.mark.parametrize("name", FILES)
def test_files_do_not_import_in_a_circle(name):
    above, reached = [name], set()
    while above:
        for each in imports(above.pop()) & set(FILES):
            assert each != name
            if each not in reached:
                reached.add(each)
                above.append(each)


LIGHT = [n for n in HARNESS if {place(n), n.removeprefix("i2i_bench.")} & set(WITHOUT_TORCH)]


@pytest.mark.parametrize("name", LIGHT)
def test_tasks_and_records_do_not_import_torch(name):
    wanted, reached = [name], set()
    while wanted:
        for each in imports(wanted.pop(), when_imported=True) - reached:
            reached.add(each)
            wanted += [each] if each in FILES else []
    assert "torch" not in tops(frozenset(reached))


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_stand_on_the_floor(name):
    ours = [each for each in imports(name) if each.startswith("i2i_")]
    assert [each for each in ours if place(each) not in (*FLOOR, "blocks")] == []
    assert tops(imports(name)) <= {"torch", "i2i_bench"}


@pytest.mark.parametrize("name", MODELS)
def test_models_stand_on_floor_and_blocks_and_never_on_each_other(name):
    package = name.split(".")[0]
    ours = [each for each in imports(name) if each.startswith("i2i_bench.")]
    assert [each for each in ours if place(each) not in (*FLOOR, "blocks")] == []
    assert tops(imports(name)) <= {"torch", "i2i_bench", package}


@pytest.mark.parametrize("name", ["i2i_bench.model", "i2i_bench.randomness"])
def test_contract_needs_torch_and_the_standard_library_only(name):
    assert tops(imports(name)) <= {"torch", "i2i_bench"}


def test_package_inits_hold_a_docstring_only():
    for path in (path for part in PARTS for path in part.rglob("__init__.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert all(isinstance(node, ast.Expr) for node in body), path


def test_every_folder_of_the_package_says_what_it_is():
    folders = {path.parent for path in (ROOT / "i2i_bench").rglob("*.py")}
    for folder in folders:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))), folder

"""Imports point down, the harness names no model, and models stand on three of its modules."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (  # a module imports from later lines only
    "__main__",
    "cli.main",
    "cli.assets cli.authoring cli.hygiene cli.scoring cli.showing",
    "cli.options",
    "cli.progress plugins.describe cli.doctor runs.launch.at_once runs.translate",
    "runs.ablation runs.pictures runs.importing report.site.page",
    "report.papers.capacity report.papers.comparison",
    "plugins.contract runs.compare runs.pruning runs.execute report.validation "
    "report.ablation report.site.detail "
    "report.site.samples report.papers.tables",
    "scoring.external plugins.skeleton runs.plan report.figures.curves report.render "
    "report.site.command report.site.plot",
    "scoring.scorer",
    "scoring.classifier",
    "scoring.translations report.differences report.figures.samples report.frame "
    "report.leaderboard",
    "training.tensorboard scoring.health",
    "training.loop",
    "training.parallel training.snapshots",
    "scoring.test_set",
    "report.figures.mosaic report.notes",
    "training.fast.modes scoring.metrics.lpips scoring.sample",
    "training.fast.layers plugins.gradients training.checkpoint data.training_images "
    "data.directions scoring.features.extract scoring.protocols report.figures.style",
    "training.settings data.store",
    "scoring.features.cache scoring.features.inception training.memory",
    "report.rows pretrained",
    "runs.lock report.targets tasks.catalogue",
    "tasks.embedded.shapes_attributes tasks.published",
    "tasks.fetch tasks.faces",
    "tasks.by_hand tasks.halves",
    "tasks.archives tasks.source tasks.many_domains",
    "system.first_seen",
    "system.download",
    "system.transfer",
    "scoring.submission scoring.metrics.distances scoring.metrics.masks "
    "scoring.metrics.pixels scoring.metrics.recognition records.record "
    "plugins.registry",
    "official report.columns report.papers.layers report.papers.published "
    "tasks.two_domains tasks.embedded.shapes",
    "scoring.metric_set model runs.launch.process tasks.task",
    "system.files training.fast.kernels metric system.prefetch tasks.labels",
    "system.messages",
)
RANK = {f"i2i_bench.{name}": i for i, line in enumerate(LAYERS) for name in line.split()}
THIRD_PARTIES = {  # design.md section 8
    *("torch", "torchvision", "cleanfid", "lpips", "click", "numpy", "PIL", "scipy"),
    *("pandas", "pydantic", "rich", "matplotlib", "jinja2", "requests", "ray"),
    "triton",  # comes with PyTorch for CUDA
}
MODEL_NAMES = {"attentiongan", "cyclegan", "munit", "stargan", "ugatit"}  # "unit" is also a word
OTHERS_OF_THE_NAME = {  # a protocol, and a part of an address
    "i2i_bench.scoring.protocols": {"ugatit"},
    "i2i_bench.cli.options": {"ugatit"},
}
PARTS = [ROOT / "i2i_bench", ROOT / "baselines/i2i_baselines", *ROOT.glob("plugins/*/i2i_*")]
FILES = {
    ".".join(path.relative_to(part.parent).with_suffix("").parts): path
    for part in PARTS  # packages, or single modules
    for path in ([part] if part.is_file() else part.rglob("*.py"))
    if path.name != "__init__.py"
}
FOR_MODELS = ("i2i_bench.blocks.layers", "i2i_bench.blocks.label_conditioned")
HARNESS = [n for n in FILES if n.startswith("i2i_bench.") and n not in FOR_MODELS]
MODELS = [n for n in FILES if not n.startswith("i2i_bench.")]


def imports(name: str) -> set[str]:
    """Name what a module imports, anywhere in it, outside the standard library."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} imports relatively"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= whole & set(FILES) or {str(node.module)}
    return {each for each in found if each.split(".")[0] not in sys.stdlib_module_names}


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def words(tree: ast.AST) -> set[str]:
    """Give the words of identifiers and string literals, without docstrings."""
    found = set()
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body.pop(0)
    for node in ast.walk(tree):
        names = (getattr(node, key, None) for key in ("id", "attr", "arg", "name", "value"))
        found |= {w for n in names if isinstance(n, str) for w in re.findall("[a-z]+", n)}
    return found


@pytest.mark.parametrize("name", HARNESS)
def test_harness_imports_point_down(name):
    ours = {each for each in imports(name) if each.startswith("i2i_")}
    assert all(RANK[each] > RANK[name] for each in ours), ours  # KeyError: blocks, or a model


@pytest.mark.parametrize("name", HARNESS)
def test_harness_needs_no_more_third_parties_than_designed(name):
    assert tops(imports(name)) <= THIRD_PARTIES | {"i2i_bench"}


@pytest.mark.parametrize("name", HARNESS)
def test_harness_names_no_model(name):
    named = words(ast.parse(FILES[name].read_text(encoding="utf-8"))) & MODEL_NAMES
    assert named <= OTHERS_OF_THE_NAME.get(name, set())


def test_what_models_stand_on_needs_torch_alone():
    torch = {"torch", "torch.nn", "torch.optim"}
    assert imports("i2i_bench.model") - torch == {"i2i_bench.tasks.labels"}
    assert imports("i2i_bench.blocks.layers") - torch == {"i2i_bench.model"}
    assert imports("i2i_bench.official") - torch == {"i2i_bench.system.messages", "i2i_bench.model"}
    ours = {
        "i2i_bench.model",
        "i2i_bench.blocks.layers",
        "i2i_bench.official",
        "i2i_bench.tasks.labels",
    }
    assert imports("i2i_bench.blocks.label_conditioned") - torch == ours
    for name in ("i2i_bench.tasks.labels", "i2i_bench.system.messages"):
        assert imports(name) <= {"i2i_bench.system.messages"}


@pytest.mark.parametrize("name", MODELS)
def test_models_stand_on_contract_blocks_and_official_and_never_on_each_other(name):
    package, *inner = name.split(".")
    own = {n for n in MODELS if n.startswith(package)}
    if package == "i2i_baselines":  # several models: its own folder, and how its files are read
        own = {n for n in own if n.startswith(f"{package}.{inner[0]}.") and len(inner) > 1}
        own |= {f"{package}.official.{inner[0]}"}
    ours = {each for each in imports(name) if each.startswith("i2i_")}
    allowed = {f"i2i_bench.{part}" for part in ("model", "blocks", "labelled", "official")}
    assert ours <= allowed | own
    assert tops(imports(name)) <= {"torch", "i2i_bench", package}


def test_package_inits_hold_a_docstring_only():
    for path in (path for part in PARTS for path in part.rglob("__init__.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert all(isinstance(node, ast.Expr) for node in body), path

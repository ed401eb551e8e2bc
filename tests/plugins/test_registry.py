"""Models of third parties: installed with pip they stand beside the others, broken they say why."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from i2i_bench.cli.main import main
from i2i_bench.plugins import contract, describe

pytestmark = pytest.mark.slow  # whole runs and commands

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "i2i-invert"
version = "0.1.0"
dependencies = ["i2i-bench"]

[project.entry-points."i2i_bench.models"]
invert = "i2i_invert:Invert"
"""
MODULE = '''\
"""Invert colours by a learnt 1x1 convolution."""

from dataclasses import dataclass

import torch
from torch import nn

from i2i_bench.model import Model, ModelCard, Settings


@dataclass(frozen=True)
class InvertConfig:
    """Configuration of Invert.

    Attributes:
        learning_rate: Of Adam.
    """

    learning_rate: float = 1e-2


class Invert(Model):
    """A convolution for each direction."""

    card = ModelCard("Invert", "A. Nobody", "nowhere", 2026, "0000.00000", "MIT")
    Config = InvertConfig

    def __init__(self, config):
        self.config = config
        self.networks = nn.ModuleDict({d: nn.Conv2d(3, 3, 1) for d in ("a2b", "b2a")})
        adam = torch.optim.Adam(self.networks.parameters(), config.learning_rate)
        self.optimizers, self.state = {"adam": adam}, {}

    @classmethod
    def settings(cls, preset, task):
        size = min(task.image_size, 32) if preset == "tiny" else task.image_size
        return Settings(InvertConfig(), 2, 4 if preset == "tiny" else 1000, size, size)

    def training_step(self, batch, random):
        losses = {}
        for name, network in self.networks.items():
            real = batch.images[name[0]]
            losses[f"pixel_{name}"] = (torch.tanh(network(real)) + real).abs().mean()
        self.optimizers["adam"].zero_grad()
        sum(losses.values()).backward()
        self.optimizers["adam"].step()
        return {name: loss.detach() for name, loss in losses.items()}

    def translate(self, batch, direction, random):
        return torch.tanh(self.networks[str(direction)](batch.images[direction.source]))
'''
PROGRAM = """
import sys
from i2i_bench.cli.main import main
for line in sys.stdin.read().splitlines():
    main(line.split("|"), standalone_mode=False)
"""


def test_plugin_outside_the_repository_needs_an_installation_and_nothing_else(places, tiny):
    source, target = places / "plugin", places / "installed"
    source.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (source / "i2i_invert.py").write_text(MODULE, encoding="utf-8")
    offline = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *offline]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)

    commands = ["models", "models|invert", "check|invert"]
    commands += [f"run|--model|invert|--task|{tiny}|--preset|tiny", "leaderboard"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="\n".join(commands),
        env=os.environ | {"PYTHONPATH": str(target), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["invert", "i2i-invert", "0.1.0"] in lines  # of models
    assert "parameters in total: 24" in done.stdout  # of models invert
    assert [line[0] for line in lines if line and line[0] in ("ok", "FAIL")] == ["ok"] * (
        1 + len(contract.CHECKS)
    )
    assert len(list(places.glob("results/*/invert+preset=tiny/seed0.json"))) == 1
    assert "| invert " in done.stdout  # of leaderboard


@pytest.fixture
def install(places, monkeypatch):
    """Give a function that installs a module and its entry point by hand, without pip."""
    monkeypatch.syspath_prepend(places)

    def write(model: str, value: str, text: str = "", *, distribution: str = "i2i-third") -> None:
        information = places / f"{distribution.replace('-', '_')}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\nSummary: x\n"
        )
        (information / "entry_points.txt").write_text(f"[i2i_bench.models]\n{model} = {value}\n")
        module = value.partition(":")[0]
        (places / f"{module}.py").write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return write


def listed(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[1:]]


def test_copier_of_the_source_has_the_best_background_and_no_rank(cli, install):
    text = MODULE.replace("Invert(", "Copier(").partition("        return torch.tanh(")[0]
    install("copier", "i2i_copier:Copier", f"{text}        return batch.images[direction.source]\n")
    options = ("--task", "stripes", "--preset", "tiny")
    cli("run", "--model", "copier", "--model", "cyclegan", *options)
    board = cli("leaderboard")
    for table in board.split("## ")[1:]:
        lines = table.partition("\n- ")[0].splitlines()
        rows = {row[1]: row for row in map(_cells, reversed(lines)) if len(row) > 4}
        assert (rows["copier"][0], rows["cyclegan"][0]) == ("!", "1")
        assert rows["copier"][4] == "100.00"  # of the background
    assert board.count("copier: neither ranked nor marked, sources are returned unchanged") == 2


def test_plugin_that_was_edited_since_a_record_is_noticed(cli, install, places, tiny, caplog):
    install("invert", "i2i_invert:Invert", MODULE)
    command = ("run", "--model", "invert", "--task", tiny, "--preset", "tiny")
    cli(*command)
    (path,) = places.glob("results/*/invert*/seed0.json")
    first = json.loads(path.read_text())["source_sha256"]
    assert "recorded already in " in cli(*command)
    module = places / "i2i_invert.py"
    module.write_text(MODULE.replace("torch.tanh(self", "torch.sin(self"), encoding="utf-8")
    del sys.modules["i2i_invert"]
    again = cli(*command)
    assert f" by other code of invert ({first}, now " in again
    assert again.rstrip().endswith("--force trains it anew")
    cli("evaluate", next(places.glob("runs/*/invert*/seed0")), "--force")
    assert f"was trained by other code of invert ({first}, now " in caplog.text
    both = json.loads(path.read_text())["source_sha256"]
    assert both.startswith(f"{first}+")
    assert f"- invert: made by several codes of the model: {both} (seed 0)." in cli("leaderboard")
    cli(*command, "--force")
    assert json.loads(path.read_text())["source_sha256"] == both.partition("+")[2]
    assert "valid" in cli("validate-results")


def _cells(line: str) -> list[str]:
    return [part.strip() for part in line.strip("|").split("|")]


@pytest.fixture(scope="module")
def counted_once():
    """Have what a class costs counted once, however often it is described."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(describe, "_cost", functools.cache(describe._cost))
        yield


each_fault = pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_thing", "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("raise RuntimeError('no GPU\\nhere')", "RuntimeError: no GPU"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise AssertionError", "AssertionError"),
        ("def (:", "SyntaxError"),
        ("", "AttributeError: module 'i2i_third' has no attribute 'Third'"),
        ("def Third(): ...", "i2i_third:Third is not a subclass of i2i_bench.model.Model"),
        (
            "from i2i_bench.model import Model\nclass Third(Model): ...",
            "i2i_third:Third lacks __init__, settings, training_step, translate",
        ),
        (MODULE.replace("Invert(Model)", "Third(Model)").replace("    card =", "    x ="), "card"),
        (
            MODULE.replace("Invert(Model)", "Third(Model)").replace("Config = Inv", "Config = 3 #"),
            "has no Config that is a dataclass",
        ),
        (
            MODULE.replace("Invert(Model)", "Third(Model)").replace("nn.Conv2d(3, 3, 1)", "1 / 0"),
            "ZeroDivisionError: division by zero",
        ),
    ],
)


@each_fault
def test_broken_model_is_listed_with_its_reason_and_breaks_nothing_else(cli, install, text, reason):
    install("third", "i2i_third:Third", text)
    assert {"third", "cyclegan"} <= set(listed(cli("models")))
    assert reason in cli("models", "third", code=1)
    assert "parameters" in cli("models", "cyclegan")


@pytest.mark.slow  # every installed model is counted
@pytest.mark.usefixtures("counted_once")
@each_fault
def test_broken_model_is_described_by_its_reason_beside_the_others(cli, install, text, reason):
    install("third", "i2i_third:Third", text)
    detail = cli("models", "--detail")
    assert "third\n  broken: model " in detail
    assert reason in detail
    assert "CycleGAN: Jun-Yan Zhu" in detail


@pytest.mark.parametrize(
    ("value", "text", "is_told"),
    [
        ("i2i_third:Renamed", MODULE, True),
        ("i2i_third.renamed:Invert", "", True),
        ("i2i_third:Invert", "import i2i_fourth", False),
        ("i2i_third:Invert", "import os\nos.Invert_", False),
    ],
)
def test_renamed_class_or_module_is_told_to_reinstall(cli, install, places, value, text, is_told):
    install("third", value, text)
    sentence = cli("models", "third", code=1)
    advice = f"; if it was renamed, reinstall i2i-third, whose entry point has been {value} since"
    assert (advice in sentence) == is_told
    assert "Error: " in sentence  # with the reason itself


def test_check_has_the_reason_below_the_line_that_fails(cli, install):
    text = MODULE.replace("return torch.tanh(self", "return 2 + torch.tanh(self")
    install("invert", "i2i_invert:Invert", text)
    result = CliRunner().invoke(main, ["check", "invert"])
    lines = result.stdout.splitlines()
    failed = lines.index("FAIL  translations keep shape and range")
    assert lines[failed + 1] == "      a2b: values outside [-1, 1], or not numbers"
    assert len(lines) == 1 + len(contract.CHECKS) + 1
    assert result.exit_code == 1


def test_broken_model_cannot_run_and_others_can(cli, install, tiny):
    install("third", "i2i_third:Third", "raise ImportError('no GPU here')")
    arguments = ("--task", tiny, "--preset", "tiny", "--dry-run")
    sentence = cli("run", "--model", "third", *arguments, code=1)
    assert sentence == "model 'third' of i2i-third 1.0 is broken: ImportError: no GPU here"
    assert "/cyclegan+preset=tiny/" in cli("run", "--model", "cyclegan", *arguments)


def test_two_models_of_one_name_are_refused_naming_both(cli, install, tiny):
    install("cyclegan", "i2i_third:Third", MODULE)
    arguments = ("--task", tiny, "--preset", "tiny", "--dry-run")
    sentences = [
        cli("models", code=1),
        cli("models", "cyclegan", code=1),
        cli("check", "cyclegan", code=1),
        cli("run", "--model", "cyclegan", *arguments, code=1),
    ]
    assert set(sentences) == {
        "two models are named 'cyclegan': of i2i-bench-baselines 0.1.0 and i2i-third 1.0; "
        "uninstall one"
    }
    assert "/attentiongan+preset=tiny/" in cli("run", "--model", "attentiongan", *arguments)


@pytest.mark.usefixtures("counted_once")
def test_two_models_of_one_name_are_described_as_such_once(cli, install):
    install("cyclegan", "i2i_third:Third", MODULE)
    assert cli("models", "--detail").count("two models are named 'cyclegan'") == 1


def test_impossible_name_is_refused(cli, install):
    install("../third", "i2i_third:Third", MODULE)
    assert "'../third' is not a model name" in cli("models", code=1)


def test_distribution_without_metadata_breaks_nothing(cli, install, places: Path):
    install("third", "i2i_third:Invert", MODULE)
    (places / "i2i_third-1.0.dist-info" / "METADATA").unlink()
    assert "cyclegan" in listed(cli("models"))

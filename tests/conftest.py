"""Fixtures of the harness tests: a tiny folder task, places in a fresh folder, the commands."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from i2i_bench.cli import main

Cli = Callable[..., str]
COUNTS = {"trainA": 4, "trainB": 4, "testA": 2, "testB": 2}


def variables(folder: Path) -> dict[str, str]:
    """Give the environment that puts every place below one folder."""
    names = ("results", "runs", "data", "weights", "cache")
    return {f"I2I_BENCH_{name.upper()}": str(folder / name) for name in names}


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put every place and the working directory into a fresh folder."""
    for name, value in variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder task of a few 40x36 images, red in a and blue in b; leave it as it is."""
    folder = tmp_path_factory.mktemp("task") / "tiny"
    for name, count in COUNTS.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            colour = (200 + i, 40, 30) if name.endswith("A") else (20, 60 + i, 210)
            Image.new("RGB", (40, 36), colour).save(folder / name / f"{name[-1].lower()}{i}.png")
    return folder


@pytest.fixture
def own(tiny: Path, tmp_path: Path) -> Path:
    """Give a copy of the tiny task that a test may spoil."""
    return Path(shutil.copytree(tiny, tmp_path / "own"))


@pytest.fixture(scope="session")
def cli() -> Cli:
    """Give a function that runs a command and gives its output, or the sentence it fails with."""

    def run(*arguments: object, code: int = 0) -> str:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        if code == 0:
            return result.output
        errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1, result.output
        assert result.stderr.rstrip().endswith(errors[0])  # it is one line, and the last
        return errors[0].removeprefix("Error: ")

    return run


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory, tiny: Path, cli: Cli) -> Path:
    """Run two models with two seeds each on the tiny task, once for all tests."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables(folder).items():
            patch.setenv(name, value)
        models = ("--model", "attentiongan", "--model", "cyclegan")
        seeds = ("--seed", 0, "--seed", 1)
        text = cli("run", *models, *seeds, "--task", tiny, "--preset", "tiny")
    (folder / "output.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def finished(_finished: Path, places: Path) -> Path:
    """Give a copy of the places after these runs, with their output in ``output.txt``."""
    return Path(shutil.copytree(_finished, places, dirs_exist_ok=True))

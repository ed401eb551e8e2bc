"""Fixtures of the harness tests: a tiny folder task, places in a fresh folder, the commands."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

from i2i_bench.cli import main
from i2i_bench.features import ALEXNET_NAME, INCEPTION_NAME

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


class _WithLayers(nn.Module):
    """The outside of the Inception's file: all that is used of it is ``layers``."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers."""
        return self.layers(x)


@pytest.fixture(scope="session")
def save_traced() -> Callable[[nn.Module, Path], None]:
    """Give a function that writes layers as the Inception's TorchScript file."""

    def save(layers: nn.Module, path: Path) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
            traced = torch.jit.trace(_WithLayers(layers).eval(), torch.rand(2, 3, 299, 299))
            torch.jit.save(traced, path)

    return save


@pytest.fixture(scope="session")
def cheap_layers() -> Callable[[], nn.Module]:
    """Give a function that makes a small random network in the Inception's place."""
    return lambda: nn.Sequential(
        nn.Conv2d(3, 128, 16, stride=16), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()
    )


@pytest.fixture(scope="session")
def stand_in(
    tmp_path_factory: pytest.TempPathFactory,
    save_traced: Callable[[nn.Module, Path], None],
    cheap_layers: Callable[[], nn.Module],
) -> Path:
    """Give a folder with small random networks under the names of the true weights."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_traced(cheap_layers(), folder / INCEPTION_NAME)
        convolutions = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3)}
        convolutions |= {8: (256, 384, 3), 10: (256, 256, 3)}
        alexnet = {}
        for index, (outputs, inputs, side) in convolutions.items():
            scale = (2 / (inputs * side**2)) ** 0.5
            alexnet[f"features.{index}.weight"] = scale * torch.randn(outputs, inputs, side, side)
            alexnet[f"features.{index}.bias"] = torch.zeros(outputs)
        torch.save(alexnet, folder / ALEXNET_NAME)
    return folder

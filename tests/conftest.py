"""Fixtures of the harness tests: a tiny folder task, places in a fresh folder, the commands."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib
import os
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

from i2i_bench.cli.main import main
from i2i_bench.plugins import registry
from i2i_bench.pretrained import ALEXNET_NAME, INCEPTION_NAME

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a paired folder task of 32x32 images, 8 a split, of noise; leave it as it is."""
    folder = tmp_path_factory.mktemp("task") / "pairs"
    random = np.random.RandomState(0)
    for name in COUNTS:
        (folder / name).mkdir(parents=True)
        for i in range(8):
            noise = random.randint(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / name / f"{name[:-1]}{i}.png")
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


@pytest.fixture
def default_signals() -> Iterator[None]:
    """Have signals that end a process do so, in this one and in what it starts.

    ``nohup`` and a shell's ``&`` have tests, and their children, ignore some of them.
    """
    handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the inodes of the files and folders that a test has the system put on disk."""
    inodes: list[int] = []
    fsync = os.fsync

    def note(handle: int) -> None:
        inodes.append(os.fstat(handle).st_ino)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    return inodes


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the system answer as network file systems without locks do."""

    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.fixture(scope="module")
def load_benchmark() -> Iterator[Callable[[str], Any]]:
    """Give a function that imports a script of ``benchmarks`` by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(Path(__file__).parents[1] / "benchmarks"), *sys.path])
        yield importlib.import_module


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
            warnings.filterwarnings("ignore", "`torch.jit")
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


@dataclass
class Served:
    """What a server gives under one path.

    Attributes:
        content: Bytes of the file.
        status: Of the answer.
        headers: Beside length and tag, or instead of them; None leaves one out.
        cuts: Bytes after which each request in turn is broken off.
        ranges: Whether parts are sent, and only to who has this version.
        is_careless: Whether parts are sent of whatever version there is now.
        is_chunked: Whether the length is not stated.
        pause: Seconds before each eighth of the file.
    """

    content: bytes = b""
    status: int = 200
    headers: dict[str, str | None] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    is_careless: bool = False
    is_chunked: bool = False
    pause: float = 0.0


class Loopback(ThreadingHTTPServer):
    """A web server on this machine: what it serves, and what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files: dict[str, Served] = {}
        self.asked: list[tuple[str, str, str | None]] = []  # method, path, range
        self.told: list[dict[str, str]] = []  # headers of each of these
        self.refused: set[str] = set()  # methods
        self.url = f"http://127.0.0.1:{self.server_port}"

    def serve(self, path: str, content: bytes = b"", **options: Any) -> str:
        """Serve a file; give its address."""
        self.files[path] = Served(content, **options)
        return self.url + path

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep silent about clients that go away."""


class _Answer(BaseHTTPRequestHandler):
    server: Loopback  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.close_connection = True
        wanted = self.headers.get("Range")
        self.server.asked.append((self.command, self.path, wanted))
        self.server.told.append(dict(self.headers))
        served = self.server.files.get(self.path, Served(status=404))
        served = Served(status=501) if self.command in self.server.refused else served
        tag = f'"{hashlib.sha256(served.content).hexdigest()[:8]}"'
        is_part = wanted and served.ranges and served.status == 200
        if is_part and not served.is_careless:
            is_part = self.headers.get("If-Range", tag) == tag
        first, _, last = (wanted or "").removeprefix("bytes=").partition("-")
        start, end = (int(first), int(last) + 1 if last else None) if is_part else (0, None)
        self.send_response(206 if is_part else served.status)
        body, total = served.content[start:end], len(served.content)
        headers = {"ETag": tag, "Content-Length": str(len(body)), "Connection": "close"}
        headers |= (
            {"Content-Range": f"bytes {start}-{start + len(body) - 1}/{total}"} if is_part else {}
        )
        if served.is_chunked:
            headers |= {"Content-Length": None, "Transfer-Encoding": "chunked"}
        for name, value in (headers | served.headers).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self._send(served, body[: served.cuts.pop(0)] if served.cuts else body, body)

    def _send(self, served: Served, sent: bytes, body: bytes) -> None:
        step = max(1, len(body) // 8)
        for piece in (sent[i : i + step] for i in range(0, len(sent), step)):
            time.sleep(served.pause)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if served.is_chunked else piece)
            self.wfile.flush()
        if served.is_chunked and sent == body:
            self.wfile.write(b"0\r\n\r\n")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """Give a web server on this machine, which is reached without a proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "I2I_BENCH_MIRROR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Loopback() as loopback:
        thread = threading.Thread(target=loopback.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield loopback
        loopback.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give a Chromium; without one on the path, skip."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip(f"no Chromium on the path ({', '.join(names)})")
    from playwright.sync_api import sync_playwright

    arguments = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    ]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=arguments, timeout=120_000)
        yield found
        found.close()


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Install the models of ``tests/toys`` for a test; give their classes by name."""
    folder = Path(__file__).parent / "toys"
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return {
        name: registry.load_model(name)
        for name in registry.available_models()
        if name.startswith("toy-")
    }

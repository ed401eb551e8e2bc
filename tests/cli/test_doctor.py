"""The doctor names what is there, what is missing and what to do, and fails for what is broken."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from i2i_bench.cli import doctor
from i2i_bench.plugins import registry
from i2i_bench.pretrained import ALEXNET_NAME, FILES, INCEPTION_NAME
from i2i_bench.tasks import catalogue

BY_HAND = ("celeba", "rafd", "ar-face")
TOY_METRICS = Path(__file__).parents[1] / "toy_metrics"


def lines(output):
    """Give the lines of each topic."""
    topics = {}
    for line in output.splitlines():
        if line.startswith(" "):
            topics[list(topics)[-1]].append(line.strip())
        else:
            topics[line] = []
    return topics


@pytest.fixture
def healthy(places, monkeypatch):
    """Places with little in them, of a machine with room on its disk."""
    monkeypatch.setattr(doctor, "LOW_DISK", 0)
    return places


def test_missing_things_are_no_failure_and_say_what_to_do(cli, healthy):
    found = lines(cli("doctor"))
    assert list(found) == ["versions", "devices", "models", "disk", "weights", "data"]
    for name in FILES:
        (line,) = [line for line in found["weights"] if name in line.split()[1]]
        assert line.startswith("missing") and f"i2i-bench weights fetch {name}" in line
    for name, source in catalogue.sources().items():
        (line,) = [line for line in found["data"] if line.split()[1].strip(":") == name]
        advice = source.instructions(healthy / "data" / name, source.state(healthy / "data" / name))
        assert line.startswith("missing") and line.endswith(f": {advice}")
        assert f"i2i-bench data {'verify' if name in BY_HAND else 'fetch'} {name}" in advice


def test_versions_devices_and_models_are_named(cli, healthy):
    import torch

    found = lines(cli("doctor"))
    versions = " ".join(found["versions"])
    for name in (
        "python 3",
        f"torch {torch.__version__.split('+')[0]}",
        "torchvision",
        "i2i-bench",
    ):
        assert name in versions
    assert "cores" in found["devices"][0]
    for entry in registry.find_entries():
        whose = f"{entry.name} ({entry.distribution} {entry.version})"
        assert any(whose in line for line in found["models"])


def test_places_are_told_with_the_room_they_have(cli, healthy):
    found = lines(cli("doctor"))["disk"]
    for name in ("results", "runs", "data", "weights", "cache"):
        (line,) = [line for line in found if line.split()[1] == f"{name}:"]
        assert str(healthy / name) in line and "GB free" in line


def test_what_is_there_is_ok(cli, healthy, stand_in):
    (healthy / "weights").mkdir()
    shutil.copy(stand_in / INCEPTION_NAME, healthy / "weights")
    for folder in ("trainA", "trainB", "testA", "testB"):
        path = healthy / "data" / "photo2portrait" / folder / "1.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(path)
    found = lines(cli("doctor"))
    assert any(
        line.startswith("ok") and f"{INCEPTION_NAME}: unverified" in line
        for line in found["weights"]
    )
    assert any(
        line.startswith("ok") and "photo2portrait: complete" in line for line in found["data"]
    )


def test_a_set_obtained_by_hand_is_missing_until_its_images_are_there(cli, healthy):
    folder = healthy / "data" / "celeba"
    folder.mkdir(parents=True)
    (line,) = [line for line in lines(cli("doctor"))["data"] if "celeba" in line]
    assert line.startswith("missing") and f"celeba: by hand: put into {folder}: " in line
    (folder / "img_align_celeba").mkdir()
    (line,) = [line for line in lines(cli("doctor"))["data"] if "celeba" in line]
    assert line.split() == ["ok", "celeba:", "complete"]


def test_damage_is_a_failure(cli, healthy, stand_in):
    (healthy / "weights").mkdir()
    (healthy / "weights" / INCEPTION_NAME).write_bytes(b"half a file")
    shutil.copy(stand_in / ALEXNET_NAME, healthy / "weights")
    (healthy / "data" / "maps" / "trainA").mkdir(parents=True)
    for folder in ("trainB", "testA", "testB"):
        (healthy / "data" / "maps" / folder).mkdir()
    error = cli("doctor", code=1)
    assert error.startswith("3 broken: ")
    assert f"{INCEPTION_NAME}: damaged" in error and f"{ALEXNET_NAME}: wrong" in error
    assert "maps: not what was published: i2i-bench data verify maps says why" in error


def test_a_broken_model_is_a_failure(cli, healthy, monkeypatch):
    def load(name):
        raise registry.BrokenModel(f"model {name!r} is broken: ImportError: no module named x")

    monkeypatch.setattr(registry, "load_model", load)
    assert "ImportError: no module named x" in cli("doctor", code=1)


def test_little_room_is_told_but_no_failure(cli, healthy, monkeypatch):
    monkeypatch.setattr(doctor, "LOW_DISK", 2**60)
    found = lines(cli("doctor"))["disk"]
    assert all("which is little" in line and "I2I_BENCH_" in line for line in found)


def test_metrics_of_plugins_are_named_and_broken_ones_are_a_failure(cli, healthy, monkeypatch):
    monkeypatch.syspath_prepend(str(TOY_METRICS))
    found = [line.split(maxsplit=1) for line in lines(cli("doctor"))["metrics"]]
    version = "(i2i-toy-metrics 0.1.0)"
    assert found == [
        ["ok", f"toy-light {version}: brightness version 1, contrast_error version 1"],
        ["ok", f"toy-red {version}: red_error version 2"],
    ]
    information = healthy / "third-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: third\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[i2i_bench.metrics]\nlost = no_such_module:X\n")
    monkeypatch.syspath_prepend(str(healthy))
    said = cli("doctor", code=1)
    assert "lost" in said and "No module named 'no_such_module'" in said

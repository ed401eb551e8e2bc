"""Files of strangers are read or refused in a sentence; benchmarks/fuzz.py shows it at length."""

import copy
import io
import json
import os
import signal
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
import torch

from i2i_bench.plugins import registry
from i2i_bench.records import record
from i2i_bench.records.folders import RUN_FILE, noted_task
from i2i_bench.report import render, summary
from i2i_bench.scoring import submission
from i2i_bench.tasks.image_file import read_image
from i2i_bench.training.checkpoint_file import read_checkpoint

pytestmark = pytest.mark.slow  # whole runs and commands

ROOT = Path(__file__).parents[2]
TARGETS = (
    *("record", "external", "notes", "setting", "image", "deep", "mask", "images"),
    *("results", "archive", "checkpoint", "official", "weights", "metadata", "parquet", "hub"),
    *("task-file", "name-list"),
)


@pytest.fixture(scope="module")
def fuzz(load_benchmark):
    module = load_benchmark("fuzz")
    before = signal.signal(signal.SIGALRM, module.stop_slow)
    yield module
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def guard(fuzz):
    return fuzz.Guard()


def test_sound_file_that_is_refused_is_noticed(fuzz):
    target = fuzz.Fuzzed(fuzz.readers.read_image, lambda: [b"no image"])
    with pytest.raises(ValueError, match="cannot be read as an image"):
        fuzz.warm(target)


@pytest.mark.parametrize("name", TARGETS)
def test_sound_files_are_read_hostile_ones_or_refused_and_nothing_else_happens(fuzz, guard, name):
    assert fuzz.TARGETS.keys() == set(TARGETS)
    fuzz.warm(fuzz.TARGETS[name])  # fails if any of the sound files is refused
    executions = 10 if name in ("official", "task-file") else 40
    ended = fuzz.fuzz(name, executions, 0, guard)
    assert ended.total() == executions
    if name != "metadata":  # of which all that is damaged is passed over
        assert ended["refused"]


@pytest.mark.parametrize("what", ["writes", "runs", "raises"])
def test_what_must_not_happen_is_noticed(fuzz, guard, tmp_path, what):
    def read(content, folder):
        if what == "writes":
            (tmp_path / "outside").write_bytes(content)
        elif what == "runs":
            os.system("true")
        else:
            raise KeyError

    target = fuzz.Fuzzed(read, lambda: [])
    with pytest.raises((fuzz.readers.Found, KeyError)) as found:
        fuzz.once(guard, target, b"x")
    assert isinstance(found.value, KeyError) is (what == "raises")


def test_image_of_ten_thousand_million_pixels_is_refused_by_its_header(tmp_path):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(300_001))
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    path = tmp_path / "x.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with pytest.raises(ValueError, match=r"x\.png.*too large to be decoded safely"):
        read_image(path)


def test_record_of_a_gigabyte_is_not_read(tmp_path):
    path = tmp_path / "seed0.json"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(ValueError, match="larger than 16 MiB"):
        record.read_record(path)


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/stdin", "pipe"])
@pytest.mark.parametrize("kind", ["record", "image", "run file"])
def test_what_never_ends_is_not_read(tmp_path, name, kind):
    path = tmp_path / {"record": "seed0.json", "image": "x.png", "run file": RUN_FILE}[kind]
    if name == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(name)
    if kind == "run file":
        assert noted_task(tmp_path) is None
        return
    read = record.read_record if kind == "record" else read_image
    with pytest.raises(ValueError, match="is not a file"):
        read(path)


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_notes_are_no_notes(tmp_path, depth):
    (tmp_path / RUN_FILE).write_text("[" * depth + "]" * depth)
    assert noted_task(tmp_path) is None
    with pytest.raises(ValueError, match="not a valid record"):
        record.read_record(tmp_path / RUN_FILE)


def doubled(content):
    """Put lists of two times the same into one another: few bytes, endless when written out."""
    for _ in range(40):
        content = [content, content]
    return content


def shared_text():
    return ["x" * 5000] * 5000


ONE = torch.zeros(1)
BOMBS = {
    "tensor of a terabyte": (("networks", "bomb"), ONE.expand(1 << 38), "claims tensors of"),
    "state of a terabyte": (("state", "bomb"), ONE.expand(1 << 38), "claims tensors of"),
    "sparse": (("networks", "bomb"), torch.zeros(3).to_sparse(), "tensors that are not plain"),
    "without content": (("networks", "bomb"), ONE.to("meta"), "tensors that are not plain"),
    "doubled lists": (("state", "bomb"), doubled(1), "nested deeper than"),
    "doubled names": (("identity", "bomb"), shared_text(), "identity is missing or wrong"),
    "tensor as a name": (("identity", "task"), ONE, "identity.task is missing or wrong"),
    "large number": (("identity", "seed"), 2**70, "identity is missing or wrong"),
    "endless seconds": (("position", "seconds"), float("inf"), "position is missing or wrong"),
    "backward steps": (("position", "step"), -1, "position is missing or wrong"),
    "way out": (("identity", "model"), "../../x", "identity.model is missing or wrong"),
    "tensor as version": (("format",), torch.zeros(0), "is not an i2i-bench checkpoint"),
    "random state": (("random", "torch"), torch.zeros(3, dtype=torch.uint8), "random.torch does"),
    "optimizer": (("optimizers", "generators", "state"), 7, "optimizers.generators does not fit"),
    "many layers": (("identity", "settings", "config", "num_blocks"), 10**7, "far more tensors"),
    "wide layers": (("identity", "settings", "config", "generator_width"), 10**9, "not"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_checkpoint_that_claims_what_it_does_not_hold_is_refused(fuzz, tmp_path, name):
    keys, value, message = BOMBS[name]
    content = copy.deepcopy(fuzz.sound.sound_checkpoint())
    place = content
    for key in keys[:-1]:
        place = place[key]
    assert keys[-1] in place or keys[-1] == "bomb"
    place[keys[-1]] = value
    file = io.BytesIO()
    torch.save(content, file)
    with pytest.raises(ValueError, match=message):
        fuzz.readers.read_checkpoint(file.getvalue(), tmp_path)


def test_compressed_checkpoint_takes_no_more_memory_than_its_size_allows(fuzz, tmp_path):
    content = copy.deepcopy(fuzz.sound.sound_checkpoint())
    content["state"]["bomb"] = torch.zeros(1 << 26, dtype=torch.uint8)
    plain, packed = io.BytesIO(), tmp_path / "x.pt"
    torch.save(content, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    with pytest.raises(ValueError, match=r"x\.pt is damaged: .*compressed"):
        read_checkpoint(packed)


def install(folder, name, metadata, points):
    information = folder / f"{name}-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_bytes(metadata)
    (information / "entry_points.txt").write_bytes(points)


@pytest.mark.parametrize(
    ("metadata", "points"),
    [
        (b"Name: x\n", b"[i2i_bench.models]\nno equals sign\n"),
        (b"Name: x\n", b"\xff\xfe[i2i_bench.models]"),
        (b"\xff\xfe", b"[i2i_bench.models]\n\xf0 = x:Y\n"),
        (b"", b"[i2i_bench.models]\nx = x:Y\n"),
    ],
)
def test_damaged_distribution_hides_no_other(cli, tmp_path, monkeypatch, metadata, points):
    before = registry.available_models()
    install(tmp_path, "x", metadata, points)
    monkeypatch.syspath_prepend(tmp_path)
    assert set(registry.available_models()) >= set(before)
    assert "cyclegan" in before


def test_names_of_plugins_cannot_steer_a_terminal(cli, tmp_path, monkeypatch):
    metadata = b"Name: x\nVersion: 1\nSummary: \x1b[2Jgone\n"
    install(tmp_path, "x", metadata, b"[i2i_bench.models]\n\x1b[31mred = x:Y\n")
    monkeypatch.syspath_prepend(tmp_path)
    said = cli("models", code=1)
    assert "\x1b" not in said
    assert "is not a model name" in said


@pytest.mark.parametrize(
    "name", ["../../x", "<script>", "a\nb", "\N{HAMSTER FACE}", "x" * 300, '"']
)
@pytest.mark.parametrize("key", ["model", "variant", "task"])
def test_names_in_records_are_names_of_files(tmp_path, key, name):
    committed = sorted((ROOT / "results").glob("*/*/*.json"))[0]
    content = json.loads(committed.read_text()) | {key: name}
    (tmp_path / "seed0.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"is not a valid record: {key}"):
        record.read_record(tmp_path / "seed0.json")


def test_texts_in_records_steer_no_terminal(tmp_path):
    committed = sorted((ROOT / "results").glob("*/*/*.json"))[0]
    content = json.loads(committed.read_text())
    path = tmp_path / "seed0.json"
    for score in content["scores"].values():
        score["recipe"] = "\x1b[31m"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"is not a valid record: scores\..*\.recipe"):
        record.read_record(path)
    for score in content["scores"].values():
        score["recipe"] = "\u202e=1+1"  # turns the line around
    path.write_text(json.dumps(content))
    for show in (summary.results_readme, render.leaderboard_csv, render.leaderboard_latex):
        assert show([record.read_record(path)]).replace("\n", "").isprintable()


def test_file_without_a_name_in_an_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", b"")
    content = (tmp_path / "x.zip").read_bytes()
    central = content.rindex(b"PK\x01\x02")
    nameless = bytearray(content[:central] + content[central:].replace(b"a.png", b""))
    nameless[central + 28 : central + 30] = b"\0\0"
    end = nameless.rindex(b"PK\x05\x06")
    nameless[end + 12 : end + 16] = (end - central).to_bytes(4, "little")
    (tmp_path / "x.zip").write_bytes(nameless)
    assert zipfile.ZipFile(tmp_path / "x.zip").namelist() == [""]
    with submission.opened(tmp_path / "x.zip") as listing:
        assert (listing.files, listing.num_others) == ([], 1)

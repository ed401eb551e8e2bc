"""Results of other programs as they leave them: chosen, cut, counted, paired by their inputs."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i_bench.model import A2B, B2A, Direction
from i2i_bench.records import record
from i2i_bench.scoring import external
from i2i_bench.tasks.many_domains import many_domain_task
from i2i_bench.tasks.two_domains import two_domain_task

SIZE, COUNT = 36, 4
NAMES = {domain: [f"{domain}{i}" for i in range(COUNT)] for domain in "ab"}


def noise(seed, size=SIZE):
    """Make a picture unlike all others, of blocks that survive a resize."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(blocks).resize((size, size), Image.Resampling.NEAREST)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give a folder task of two domains with names of their own."""
    where = tmp_path_factory.mktemp("task") / "own"
    for split in ("train", "test"):
        for domain in "ab":
            (where / f"{split}{domain.upper()}").mkdir(parents=True)
            for i, name in enumerate(NAMES[domain]):
                picture = noise(i + 100 * (domain == "b") + 1000 * (split == "test"))
                picture.save(where / f"{split}{domain.upper()}" / f"{name}.png")
    return where


@pytest.fixture(scope="module")
def task(folder):
    return two_domain_task(folder)


@pytest.fixture(scope="module")
def made():
    """Give the translations of each domain's test images, by the names of these."""
    found = {domain: {n: noise(5000 + i) for i, n in enumerate(NAMES[domain])} for domain in "ab"}
    return found | {"b": {name: noise(6000 + i) for i, name in enumerate(NAMES["b"])}}


def source(domain, name):
    """Give the picture of a test image."""
    return noise(NAMES[domain].index(name) + 100 * (domain == "b") + 1000)


def save(picture, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def cyclegan(where, made, kinds=("real", "fake", "rec")):
    """Write what test.py writes: all six kinds by the name of the image of domain A."""
    (where / "test_latest").mkdir(parents=True)
    (where / "test_latest" / "index.html").write_text("<html></html>")
    images = where / "test_latest" / "images"
    for a, b in zip(NAMES["a"], NAMES["b"], strict=True):
        known = {"real_A": source("a", a), "real_B": source("b", b)}
        known |= {"fake_B": made["a"][a], "fake_A": made["b"][b]}
        known |= {"rec_A": noise(1), "rec_B": noise(2)}
        for kind, picture in known.items():
            if kind[:-2] in kinds:
                save(picture, images / f"{a}_{kind}.png")
    return where


def of_folders(pattern, translated, others):
    """Write a folder for each kind, with files of the same names."""

    def write(where, made):
        for name in NAMES["a"]:
            save(made["a"][name], where / pattern / translated / f"{name}.png")
            for i, other in enumerate(others):
                save(noise(i), where / pattern / other / f"{name}.png")
        return where

    return write


def of_endings(translated, others, suffix=".png"):
    def write(where, made):
        for name in NAMES["a"]:
            save(made["a"][name], where / f"{name}{translated}{suffix}")
            for i, other in enumerate(others):
                save(noise(i), where / f"{name}{other}{suffix}")
        (where / "notes.txt").write_text("x")
        return where

    return write


def with_other_domain(where, made):
    for domain in "ab":
        for name, picture in made[domain].items():
            save(picture, where / f"{name}.png")
    return where


def numbered(where, made):
    order = [2, 0, 3, 1]
    for number, i in enumerate(order):
        name = NAMES["a"][i]
        save(source("a", name), where / f"{number:04d}_real_A.png")
        save(made["a"][name], where / f"{number:04d}_fake_B.png")
    return where


def strips(where, made):
    """Write seven squares one below the other, in the order of the test images; both ways."""
    for domain, way in (("a", "A2B"), ("b", "B2A")):
        for number, name in enumerate(NAMES[domain], start=1):
            parts = [noise(i) for i in range(7)]
            parts[0], parts[4] = source(domain, name), made[domain][name]
            save(_stacked([[part] for part in parts]), where / f"{way}_{number}.png")
    return where


def grids(where, made):
    """Write rows of input, translation to a, translation to b; the last grid is shorter."""
    rows = [(domain, name) for domain in "ab" for name in NAMES[domain]]
    for number, part in enumerate((rows[:3], rows[3:6], rows[6:]), start=1):
        cells = [
            [source(d, n), *(made[d][n] if other != d else noise(9) for other in "ab")]
            for d, n in part
        ]
        save(_stacked(cells), where / f"{number}-images.png")
    return where


def _stacked(rows):
    whole = np.concatenate([np.concatenate([np.asarray(c) for c in row], 1) for row in rows])
    return Image.fromarray(whole)


def packed(write):
    def pack(where, made):
        inner = write(where / "inner", made)
        with zipfile.ZipFile(where / "results.zip", "w") as archive:
            for file in inner.rglob("*.*"):
                archive.write(file, f"results/mine/{file.relative_to(inner)}")
        return where / "results.zip"

    return pack


FORMS = {  # how, files passed over, what is said
    "results/NAME": (cyclegan, 21, "*_fake_B"),
    "test_latest": (lambda w, m: cyclegan(w, m) / "test_latest", 21, "*_fake_B"),
    "images": (lambda w, m: cyclegan(w, m) / "test_latest" / "images", 20, "*_fake_B"),
    "zip": (packed(cyclegan), 21, "*_fake_B"),
    "one way": (of_endings("_fake", ["_real"]), 5, "*_fake"),
    "pix2pix": (of_endings("_fake_B", ["_real_A", "_real_B"]), 9, "*_fake_B"),
    "CUT": (
        of_folders("test_latest/images", "fake_B", ["real_A", "real_B", "idt_B"]),
        12,
        "folder fake_B",
    ),
    "pix2pixHD": (
        of_endings("_synthesized_image", ["_input_label", "_real_image"]),
        9,
        "*_synthesized_image",
    ),
    "SPADE": (
        of_folders("images", "synthesized_image", ["input_label"]),
        4,
        "folder synthesized_image",
    ),
    "pix2pix of TensorFlow": (of_endings("-outputs", ["-inputs", "-targets"]), 9, "*-outputs"),
    "pix2pix of Torch": (of_folders("images", "output", ["input", "target"]), 8, "folder output"),
    "capitals": (of_endings("_FAKE_B", ["_REAL_A"]), 5, "*_FAKE_B"),
    "inputs beside": (of_endings("", ["_real_A", "_input"]), 9, ""),
    "both ways in one folder": (with_other_domain, 4, ""),
    "numbers": (numbered, 4, "told apart by the inputs beside them"),
    "strips": (strips, 4, "square 5 of 7 of U-GAT-IT's strips"),
    "grids": (grids, 0, "column 3 of 3 of StarGAN's grids"),
}


@pytest.mark.parametrize("form", FORMS)
def test_translations_are_found_in_results_as_they_are(tmp_path, task, made, form):
    write, passed_over, how = FORMS[form]
    given = external.Submission(write(tmp_path / "results", made), task, A2B)
    read = external.read_submission(given)
    assert read.indices == list(range(COUNT))
    for index, name in enumerate(NAMES["a"]):
        assert np.array_equal(read.fakes[index], np.asarray(made["a"][name]))
    assert (read.taken.passed_over, read.taken.how) == (passed_over, how)
    assert read.taken.taken == (3 if form == "grids" else COUNT)


@pytest.mark.parametrize("form", ["results/NAME", "strips", "grids", "both ways in one folder"])
def test_results_of_the_other_way_are_found(tmp_path, task, made, form):
    """CycleGAN names all by the image of domain A: the picture of B beside tells which it is."""
    given = external.Submission(FORMS[form][0](tmp_path / "results", made), task, B2A)
    read = external.read_submission(given)
    for index, name in enumerate(NAMES["b"]):
        assert np.array_equal(read.fakes[index], np.asarray(made["b"][name]))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Give a task of three labels."""
    where = tmp_path_factory.mktemp("labelled") / "own"
    for split in ("train", "test"):
        for label, name in enumerate(("black", "blond", "brown")):
            (where / split / name).mkdir(parents=True)
            for i in range(3):
                seed = 100 * label + i + 1000 * (split == "test")
                noise(seed).save(where / split / name / f"{name}{i}.png")
    return many_domain_task(where)


@pytest.mark.parametrize("target", ["black", "blond"])
def test_column_of_a_grid_is_that_of_the_label(tmp_path, labelled, target):
    names = ("black", "blond", "brown")
    rows = [(label, i) for label in range(3) for i in range(3)]
    cells = [
        [noise(100 * label + i + 1000), *(noise(7000 + 100 * label + 10 * i + k) for k in range(3))]
        for label, i in rows
    ]
    for number, part in enumerate((cells[:4], cells[4:8], cells[8:]), start=1):
        save(_stacked(part), tmp_path / f"{number}-images.png")
    given = external.Submission(tmp_path, labelled, Direction("brown", target))
    read = external.read_submission(given)
    place = names.index(target)
    assert [int(i) for i in read.indices] == [0, 1, 2]
    for i in range(3):
        expected = np.asarray(noise(7000 + 200 + 10 * i + place))
        assert np.array_equal(read.fakes[i], expected)


def _two_epochs(where, made):
    for epoch in ("test_latest", "test_60"):
        of_folders(f"{epoch}/images", "fake_B", [])(where, made)
    return where


def _strange(where, made):
    cyclegan(where, made)
    save(noise(3), where / "test_latest" / "images" / "stranger_fake_B.png")
    return where


def _of_training(where, made):
    for number in range(3):
        save(_stacked([[noise(number)]] * 7), where / f"A2B_{number}.png")
    return where


REFUSED = {
    "two epochs": (_two_epochs, r"give one of the folders .*test_60.* and .*test_latest"),
    "a stranger": (_strange, r"holds test_latest/images/stranger_fake_B\.png; names must be"),
    "other pictures": (_of_training, r"strips, and no input in them is a test image of"),
    "no images": (
        lambda w, m: [w.mkdir(), (w / "index.html").write_text("x")] and w,
        r"holds no images and 1 other files; names must be",
    ),
    "only inputs": (
        of_endings("_real_A", []),
        r"holds a0_real_A\.png, a1_real_A\.png, .* and 1 more",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_results_that_are_not_clear_are_refused(tmp_path, task, made, case):
    write, sentence = REFUSED[case]
    where = write(tmp_path / "results", made)
    with pytest.raises(ValueError, match=sentence):
        external.read_submission(external.Submission(where, task, A2B))


def test_count_of_files_is_said_and_recorded(cli, places, folder, made):
    cyclegan(Path("mine"), made)
    arguments = ("--task", folder, "--direction", "a2b", "--name", "mine")
    text = cli("score", "mine", *arguments)
    said = "4 files taken (*_fake_B), 21 passed over"
    assert text.splitlines()[-1] == said
    (path,) = Path("results").glob("*/external/mine.json")
    content = json.loads(path.read_text())
    assert content["files"] == {"a2b": {"how": "*_fake_B", "passed_over": 21, "taken": 4}}
    del content["files"]  # as older records are
    path.write_text(json.dumps(content))
    assert record.read_external_record(path).files == {}
    assert cli("leaderboard").count("mine (external)") == 1
    shutil.rmtree("results")


@pytest.mark.parametrize("side", [24, 64])
def test_squares_of_another_size_are_compared_at_theirs(tmp_path, task, made, caplog, side):
    for name in NAMES["a"]:
        save(noise(int(name[1:]) + 5000, side), tmp_path / f"{name}.png")
    found, against, read = external.load_submission(external.Submission(tmp_path, task, A2B))
    assert {image.shape for image in found.fakes} == {(side, side, 3)}
    assert {image.shape for image in against.real} == {(side, side, 3)}
    assert read.rule.size == side
    assert f"translations are of {side} px and the task of 36: all is compared at {side}" in (
        caplog.text
    )

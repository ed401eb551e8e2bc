"""Images of several shapes, kept whole: against plain numpy, PIL and each image by itself."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i_bench.data import test_set
from i2i_bench.data.mixed import MixedImages, gathered, joined, runs_of_shape
from i2i_bench.data.shapes import reshaped
from i2i_bench.model import ResizeRule
from i2i_bench.scoring.metrics.change import image_variety
from i2i_bench.scoring.submission_shape import shape_rule
from i2i_bench.tasks import catalogue

SIZES = ((128, 32), (32, 96), (40, 40), (130, 35))  # width and height
WHOLE = ResizeRule(32, resize="whole", multiple=4)
RUN = ("run", "--model", "cyclegan", "--preset", "tiny", "--task", "mixed", "--budget", "4")


@pytest.fixture
def mixed(tmp_path, monkeypatch):
    """Make a paired folder of several shapes in the working folder."""
    monkeypatch.chdir(tmp_path)
    random = np.random.RandomState(0)
    for name in ("trainA", "trainB", "testA", "testB"):
        folder = Path("mixed", name)
        folder.mkdir(parents=True)
        for number, (width, height) in enumerate(SIZES):
            pixels = random.randint(0, 256, (height, width, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return catalogue.find_task("mixed", tmp_path)


def trimmed(path, size):
    """Resize as PIL does, and cut what is beyond a multiple of 4 off both ends."""
    image = Image.fromarray(pixels(path)).resize(size, Image.Resampling.BICUBIC)
    left, top = ((side % 4) // 2 for side in size)
    image = image.crop((left, top, left + size[0] // 4 * 4, top + size[1] // 4 * 4))
    return np.asarray(image)


def pixels(path):
    """Read an image as it is."""
    with Image.open(path) as image:
        return np.asarray(image)


def test_images_keep_their_shape_but_for_what_is_trimmed(mixed):
    tests = test_set.TestSet(mixed, WHOLE)
    shapes = [image.shape for image in tests.images("a")]
    assert shapes == [(32, 128, 3), (96, 32, 3), (32, 32, 3), (32, 116, 3)]
    assert np.array_equal(tests.images("a")[3], trimmed("mixed/testA/3.png", (118, 32)))
    whole = tests.whole("a")
    assert whole and whole.model_dump() == {
        **{"short_side": 32, "multiple": 4},
        **{"num_trimmed": 1, "most_trimmed": 2},
    }


@pytest.mark.slow
def test_a_run_translates_and_scores_whole_images(mixed, cli):
    cli(*RUN, "--set", "resize=whole")
    (path,) = Path("results").glob("*/*/seed0.json")
    record = json.loads(path.read_text())
    score = record["scores"]["i2i@1/a2b"]
    assert record["settings"]["resize"] == "whole" and "reshaped" not in record
    assert score["whole"]["num_trimmed"] == 1
    (folder,) = Path("runs").glob("*/*/seed0/translations-a2b")
    truth = [
        trimmed(f"mixed/testB/{i}.png", size)
        for i, size in enumerate(((128, 32), (32, 96), (32, 32), (118, 32)))
    ]
    made = [pixels(folder / f"{i}.png") for i in range(4)]
    errors = [np.mean((a.astype(float) - b) ** 2) for a, b in zip(made, truth, strict=True)]
    assert score["values"]["psnr"] == pytest.approx(
        np.mean(10 * np.log10(255**2 / np.array(errors)))
    )
    for number in range(4):  # each by itself, at the size of the run
        file, target = f"mixed/testA/{number}.png", f"out{number}"
        cli("translate", "--run", str(folder.parent), file, target, "--size", "32")
        assert np.array_equal(pixels(f"{target}/{number}.png"), made[number])
    said = cli("translate", "--run", str(folder.parent), "mixed/testA", "own")
    assert "(1 of 4 trimmed to sides that are multiples of 4)" in said
    shapes = [pixels(f"own/{number}.png").shape[:2] for number in range(4)]
    assert shapes == [(32, 128), (96, 32), (40, 40), (32, 128)]
    found = {}
    for images, shape, most in (("own", 0, 3), (str(folder), 32, 2)):  # told by their sizes
        name = ("--name", f"of{shape}")
        cli("score", images, "--task", "mixed", "--direction", "a2b", *name)
        (path,) = Path("results").glob(f"*/external/of{shape}.json")
        found = json.loads(path.read_text())["scores"]["i2i@1/a2b"]
        assert found["whole"] == {**score["whole"], "short_side": shape, "most_trimmed": most}
    assert found["values"]["psnr"] == score["values"]["psnr"]
    assert "Images were compared whole, resized to a short side of 32 px" in cli("leaderboard")


def test_what_becomes_of_shapes_is_told(mixed, cli):
    assert str(reshaped(mixed, "square")) == (
        "squashed to squares: 12 of 16 images, aspect ratio 4.00 at most (median 3.71)"
    )
    assert str(reshaped(mixed, "short_side")) == (
        "cut to squares: 12 of 16 images, which lose 75% at most (median 73%)"
    )
    assert reshaped(mixed, "whole") is None
    assert reshaped(catalogue.find_task("stripes", Path()), "square") is None
    assert "squashed to squares: 12 of 16 images" in cli(*RUN, "--dry-run")


@pytest.mark.parametrize(
    ("model", "task", "sentence"),
    [
        ("ugatit", "mixed", "model 'ugatit' cannot translate whole images with these settings"),
        ("cyclegan", "stripes", "the images of task stripes are square; leave resize=whole out"),
    ],
)
def test_whole_images_are_refused_where_they_cannot_be(mixed, cli, model, task, sentence):
    command = ("run", "--model", model, "--preset", "tiny", "--task", task, "--dry-run")
    assert sentence in cli(*command, "--set", "resize=whole", code=1)


def test_arrays_of_several_shapes_behave_as_one_of_a_single_shape():
    parts = [np.full((2, k, 3), k, np.uint8) for k in (4, 4, 5, 4)]
    whole = gathered(parts)
    assert isinstance(whole, MixedImages) and isinstance(gathered(parts[:2]), np.ndarray)
    assert list(runs_of_shape(whole, 8)) == [slice(0, 2), slice(2, 3), slice(3, 4)]
    assert list(runs_of_shape(np.zeros((5, 2, 2, 3)), 2)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert np.array_equal(whole[[0, 3]], np.stack([parts[0], parts[3]]))
    again = joined([whole[:2], whole[2:3], whole[3:]])
    assert [part.tobytes() for part in again] == [part.tobytes() for part in parts]
    whole[0:2] = np.zeros((2, 2, 4, 3), np.uint8)
    assert parts[1].max() == 0 and whole[2].min() == 5


def test_variety_of_several_shapes_is_that_of_pixels_at_even_distances():
    images = [np.full((4 + k, 6, 3), 10 * k, np.uint8) for k in range(3)]
    assert image_variety(images) == pytest.approx(np.std([0, 10, 20]))
    assert image_variety([np.zeros((4, 4, 3), np.uint8), np.zeros((5, 4, 3), np.uint8)]) == 0


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        ([(128, 32), (130, 35)], ResizeRule(32, resize="own")),
        ([(128, 32), (128, 32)], ResizeRule(32, resize="own", multiple=4)),
        ([(64, 16), (59, 16)], ResizeRule(16, resize="whole")),
        ([(64, 16), (56, 16)], ResizeRule(16, resize="whole", multiple=4)),
        ([(40, 40), (40, 40)], ResizeRule(40)),
    ],
)
def test_the_shape_of_other_translations_is_told_by_their_sizes(made, rule):
    assert shape_rule([(128, 32), (130, 35)], made, 40, None, None) == rule


def test_translations_of_another_shape_are_refused_with_the_possible_ones():
    with pytest.raises(ValueError, match="of 100x30 pixels is of a source of 128x32; possible: as"):
        shape_rule([(128, 32)], [(100, 30)], 32, None, None)

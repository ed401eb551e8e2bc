"""Label maps: each pixel is of the nearest colour of the truth, and black does not count."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i_bench.scoring.metric_set import chosen_metrics
from i2i_bench.scoring.metrics import label_map
from i2i_bench.scoring.sample import Meter, Sample

RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)


def maps(*rows):
    """Make label maps of one row of pixels each."""
    return np.array(rows, np.uint8)[:, None]


TRUTH = maps([RED, RED, RED, GREEN, BLACK, BLACK])
FAKES = maps([RED, (200, 90, 80), GREEN, GREEN, BLUE, RED])  # three of four labelled are right


def values(fakes, truth):
    rows = set(chosen_metrics(["label-map"])) - set(chosen_metrics())
    return Meter().values(rows, Sample({"fake": fakes, "truth": truth}))


def test_values_are_those_found_by_hand():
    assert values(FAKES, TRUTH) == {
        "label_map_pixels": 3 / 4,
        "label_map_classes": (2 / 3 + 1) / 2,
        "label_map_iou": pytest.approx((2 / 3 + 1 / 2) / 2),
    }


def test_right_maps_have_100_percent_and_swapped_ones_none():
    swapped = maps([GREEN, GREEN, GREEN, RED, BLACK, BLACK])
    assert set(values(TRUTH, TRUTH).values()) == {1.0}
    assert set(values(swapped, TRUTH).values()) == {0.0}


def test_one_histogram_is_of_all_images():
    truth = maps([RED, RED], [GREEN, RED])
    fakes = maps([RED, RED], [RED, GREEN])
    assert values(fakes, truth) == {
        "label_map_pixels": 0.5,
        "label_map_classes": pytest.approx((2 / 3 + 0) / 2),
        "label_map_iou": pytest.approx((2 / 4 + 0) / 2),
    }


def test_palette_is_that_of_the_truth_without_black():
    assert label_map.palette_of(TRUTH).tolist() == [[0, 255, 0], [255, 0, 0]]


@pytest.mark.parametrize(
    ("truth", "count"),
    [
        (np.random.RandomState(0).randint(0, 256, (1, 20, 20, 3), np.uint8), "400"),
        (maps([RED, BLACK]), "1"),
    ],
)
def test_what_is_no_label_map_is_a_reason(truth, count):
    assert set(values(truth, truth).values()) == {
        f"the true images have {count} colours besides black; label maps have 2 to 64"
    }


def test_images_of_another_program_are_scored_by_name(places, cli):
    random = np.random.RandomState(0)
    colours = np.array([RED, GREEN, BLUE], np.uint8)
    for folder in ("trainA", "trainB", "testA", "testB"):
        (places / "own" / folder).mkdir(parents=True)
    (places / "fakes").mkdir()
    classes = random.randint(0, 3, (4, 32, 32))
    wrong = classes.copy()
    wrong[:, :8] = (wrong[:, :8] + 1) % 3  # a quarter of the rows
    for i in range(4):
        for split in ("train", "test"):
            noise = random.randint(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(noise).save(places / "own" / f"{split}A" / f"{i}.png")
            Image.fromarray(colours[classes[i]]).save(places / "own" / f"{split}B" / f"{i}.png")
        Image.fromarray(colours[wrong[i]]).save(places / "fakes" / f"{i}.png")
    arguments = ("--task", "own", "--direction", "a2b", "--name", "x", "--metric", "label-map")
    assert "labels pixels % 75.0" in cli("score", "fakes", *arguments)
    (path,) = Path("results").glob("*/external/x.json")
    (score,) = json.loads(path.read_text())["scores"].values()
    assert score["values"]["label_map_pixels"] == 0.75
    assert score["metrics"]["label_map_iou"]["distribution"] == "i2i-bench"

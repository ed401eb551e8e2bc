"""Images whose names pair, by accident or not, and pairs whose names do not."""

import itertools

import pytest
from PIL import Image

from i2i_bench.tasks import catalogue

FOUR = ("trainA", "trainB", "testA", "testB")
RED, BLUE = (200, 30, 30), (30, 30, 200)


def save(path, colour, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (colour[0], colour[1] + number, colour[2])).save(path)


def find(path):
    return catalogue.find_task(str(path), path)


def test_names_that_pair_are_said_and_can_be_declined_and_demanded(tmp_path):
    for place, k in itertools.product(FOUR, range(2)):
        save(tmp_path / "set" / place / f"{k}.png", RED if place[-1] == "A" else BLUE, k)
    folder = tmp_path / "set"
    task = find(folder)
    (note,) = task.notes
    assert task.paired and "ranks by PSNR" in note and f"--task {folder}:unpaired" in note
    apart = catalogue.find_task(f"{folder}:unpaired", tmp_path)
    assert (apart.paired, apart.headline, apart.notes) == (False, "kid", ())
    assert apart.name == f"{task.name}.unpaired" and apart.truth("a", "b") is None
    assert catalogue.find_task(f"{folder}:paired", tmp_path).name == task.name
    assert catalogue.task_name_of(f"{folder}:unpaired") == apart.name
    (folder / "task.toml").write_text("paired = false")
    stated = find(folder)
    assert not stated.paired and not stated.notes
    assert catalogue.find_task(f"{folder}:unpaired", tmp_path).name == stated.name
    assert catalogue.find_task(f"{folder}:paired", tmp_path).name == f"{stated.name}.paired"


def test_pairs_that_are_asked_for_may_begin_and_end_otherwise(tmp_path):
    for place, k in itertools.product(FOUR, (1, 2, 10)):
        day = place[-1] == "A"
        name = f"img{k}_day.png" if day else f"photo{k}_night.jpg"
        save(tmp_path / "set" / place / name, RED if day else BLUE, k)
    assert not find(tmp_path / "set").paired
    task = catalogue.find_task(f"{tmp_path / 'set'}:paired", tmp_path)
    assert task.paired and task.name.endswith(".paired")
    names = [[i.name for i in task.images("test", d)] for d in "ab"]
    assert [a.replace("img", "photo").replace("day.png", "night.jpg") for a in names[0]] == names[1]
    (tmp_path / "set" / "testA" / "img1_day.png").rename(tmp_path / "set/testA/img7_day.png")
    with pytest.raises(ValueError, match="do not pair: names differ between a and b, as img10_day"):
        catalogue.find_task(f"{tmp_path / 'set'}:paired", tmp_path)

"""Which task of a folder a model is given, and what is said of it before a run."""

from pathlib import Path

import pytest
from PIL import Image

from i2i_bench.runs.ablation import Theme, Variant, plan_ablation
from i2i_bench.runs.job import Choices
from i2i_bench.runs.plan import plan_runs
from i2i_bench.runs.said import said_of_task
from i2i_bench.tasks.catalogue import find_task

CHOICES = Choices(preset="tiny")


def fill(folder, places, *, numbered=False):
    for place in places:
        (folder / place).mkdir(parents=True, exist_ok=True)
        for k in range(3):
            name = f"{k}.png" if numbered else f"{place[-1]}{k}.png"
            colour = (40 * k, len(place), ord(place[-1]))
            Image.new("RGB", (24, 24), colour).save(folder / place / name)
    return folder


def plan(models, typed):
    return plan_runs(models, [str(typed)], [0], CHOICES, Path())


@pytest.fixture
def two(tmp_path):
    places = ("train/horse", "train/zebra", "test/horse", "test/zebra")
    return fill(tmp_path / "set", places, numbered=True)


def test_a_model_of_two_domains_takes_two_labels_for_them(two):
    of_two, of_labels = plan(["cyclegan", "stargan"], two)
    assert of_labels.task.attributes == ("horse", "zebra") and of_labels.task_argument == str(two)
    assert of_two.task.name == f"{of_labels.task.name}.horse2zebra"
    assert of_two.task_argument == f"{two}:horse2zebra"
    assert "takes horse for domain a and zebra for b" in of_two.task.notes[-1]
    (typed,) = plan(["cyclegan"], f"{two}:horse2zebra")
    assert typed.run == of_two.run
    again = find_task(of_two.task_argument, Path())
    assert again.name == of_two.task.name
    assert [i.name for i in again.images("test", "a")] == [f"horse-{k}.png" for k in range(3)]


def test_a_model_of_pairs_is_told_the_line_that_makes_pairs_of_two_labels(two):
    with pytest.raises(
        ValueError, match=r'the line domains = \["horse", "zebra"\] in its'
    ) as error:
        plan(["pix2pix"], two)
    line = str(error.value).split("the line ")[1].split(" in its")[0]
    (two / "task.toml").write_text(line)
    (job,) = plan(["pix2pix"], two)
    assert job.task.paired and job.task.domains == ("a", "b")


def test_three_labels_are_no_two_domains(two):
    fill(two, ("train/ass", "test/ass"))
    with pytest.raises(ValueError, match="path/to/folder:ass2horse is of two"):
        plan(["cyclegan"], two)


def test_an_ablation_takes_the_same_two_domains(two):
    variants = (Variant(None, "cyclegan", CHOICES),)
    theme = Theme("x", "X", ("budget",), variants, ("i2i-bench",), ("i2i",), "test")
    made, jobs = plan_ablation(theme, str(two), [0], Path())
    assert made.task.endswith(".horse2zebra") and jobs[0].task.domains == ("a", "b")


def test_what_is_taken_for_pairs_is_said_until_the_user_says_so(tmp_path):
    folder = fill(tmp_path / "set", ("trainA", "trainB", "testA", "testB"), numbered=True)
    (job,) = plan(["cyclegan"], folder)
    assert ["for pairs" in line for line in said_of_task(job)] == [True]
    for word, headline in (("unpaired", "kid"), ("paired", "psnr")):
        (job,) = plan(["cyclegan"], f"{folder}:{word}")
        assert (said_of_task(job), job.task.headline) == ([], headline)
        assert job.task_argument == f"{folder}:{word}"


def test_what_files_have_beside_their_pixels_is_counted_and_said_once_a_kind(tmp_path):
    folder = fill(tmp_path / "set", ("trainA", "trainB", "testA", "testB"))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("trainA/x.jpg", "testB/y.png"):
        Image.new("RGB", (24, 30)).save(folder / name, exif=exif)
    Image.new("RGBA", (24, 24), (1, 2, 3, 100)).save(folder / "trainB" / "clear.png")
    Image.new("RGBA", (24, 24), (1, 2, 3, 255)).save(folder / "trainB" / "opaque.png")
    frames = [Image.new("RGB", (24, 24), (k, 0, 0)) for k in (0, 99)]
    for name in ("pages.tif", "frames.png", "frames2.webp"):
        frames[0].save(folder / "testA" / name, save_all=True, append_images=frames[1:])
    (job,) = plan(["cyclegan"], folder)
    assert said_of_task(job) == [
        "2 of 19 images have an EXIF orientation, which is not applied; the line upright = true in "
        "task.toml applies it",
        "1 of 19 images has transparent pixels, whose transparency is dropped, so that hidden "
        'colours are seen; the line background = "white" in task.toml lays them on white',
        "3 of 19 images have several frames or pages, of which only the first is read",
    ]
    (folder / "task.toml").write_text('upright = true\nbackground = "white"')
    (stated,) = plan(["cyclegan"], folder)
    lines = said_of_task(stated)
    assert lines[0].endswith("which is applied") and "background (255, 255, 255)" in lines[1]
    assert stated.run.task != job.run.task and "reading" not in job.identity()
    assert stated.identity()["reading"] == {"upright": True, "background": [255, 255, 255]}
    (turned,) = [i for i in stated.task.images("train", "a") if i.name == "x.jpg"]
    assert turned.read().size == turned.size() == (30, 24)
    (clear,) = [i for i in stated.task.images("train", "b") if i.name == "clear.png"]
    assert clear.read().getpixel((0, 0)) == pytest.approx((155, 156, 156), abs=1)

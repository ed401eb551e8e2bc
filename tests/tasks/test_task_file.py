"""``task.toml``: what a folder states of its task."""

import numpy as np
import pytest
from PIL import Image

from i2i_bench.labels import EVERY
from i2i_bench.runs.job import Choices
from i2i_bench.runs.plan import plan_runs
from i2i_bench.scoring.metric_set import require_headline
from i2i_bench.tasks.image_folder import hash_folders
from i2i_bench.tasks.many_domains import many_domain_task
from i2i_bench.tasks.pixel_format import RGB, PixelFormat
from i2i_bench.tasks.two_domains import two_domain_task


def fill(folder, names, kind, side=8):
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for k in range(2):
            values = np.random.default_rng(10 * number + k).integers(0, 1024, (side, side))
            grey = (values >> 2).astype(np.uint8)
            made = {"rgb": np.dstack([grey] * 3), "deep": values.astype(np.uint16)}[
                kind[number % len(kind)]
            ]
            Image.fromarray(made).save(folder / name / f"{k}.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    names = ("trainA", "trainB", "testA", "testB")
    return fill(tmp_path / "scans", names, ("deep", "deep"))


def stated(folder, text):
    (folder / "task.toml").write_text(text)
    return two_domain_task(folder)


def test_the_file_states_pixels_words_and_pairs_and_names_another_task(folder):
    task = stated(folder, 'range = [0, 1023]\nunits.a = "HU"\n')
    assert task.pixels == {"a": PixelFormat(1, (0, 1023), "HU"), "b": PixelFormat(1, (0, 1023))}
    assert (task.paired, task.headline) == (True, "psnr")
    (image, *_) = task.images("train", "a")
    with Image.open(folder / "trainA" / image.name) as there:
        np.testing.assert_array_equal(np.asarray(image.read()), np.asarray(there))
    more = (
        'range = [0, 1023]\npaired = false\ntitle = "Scans"\nheadline = "fid"\nresize = "whole"\n'
    )
    other = stated(folder, more)
    assert (other.paired, other.headline, other.title) == (False, "fid", "Scans")
    assert (task.resize, other.resize) == ("", "whole") and other.name != task.name


def test_a_folder_without_the_file_keeps_its_name(tmp_path):
    names = ("trainA", "trainB", "testA", "testB")
    folder = fill(tmp_path / "photos", names, ("rgb", "rgb"))
    task = two_domain_task(folder)
    digest = hash_folders((name, sorted((folder / name).iterdir())) for name in names)
    assert task.name == f"folder-photos-{digest[:8]}" and not task.pixels
    assert task.images("train", "a")[0].pixels == RGB


def test_16_bits_without_a_range_are_refused_with_the_line_to_write(folder):
    with pytest.raises(ValueError, match=r"the line range\.a = \[0, 65535\]") as error:
        two_domain_task(folder)
    assert str(folder / "task.toml") in str(error.value)
    line = str(error.value).split("the line ")[1].split(", with")[0]
    with pytest.raises(ValueError, match=r"the line range\.b"):
        stated(folder, line)
    stated(folder, f"{line}\n{line.replace('.a', '.b')}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rangee = [0, 9]", "did you mean 'range'"),
        ("range = [9, 0]", "whole numbers from 0 to 65535"),
        ("range = [0.0, 1.0]", "whole numbers from 0 to 65535"),
        ("range = [-1024, 3071]", "whole numbers from 0 to 65535"),
        ("range.c = [0, 9]", "range.c is of no domain; possible: a, b"),
        ("channels = 2", "1 for grey or 3 for RGB"),
        ("channels = 1.0", "1 for grey or 3 for RGB"),
        ("resize = 'own'", "square or short_side or whole"),
        ("resize = [1]", "square or short_side or whole"),
        ("channels = 3\nrange = [0, 9]", "only grey images"),
        ("title = 3", "one line of at most"),
        ("paired = 'yes'", "true or false"),
        ("range = [", "is no TOML"),
    ],
)
def test_what_is_not_possible_is_refused(folder, text, reason):
    with pytest.raises(ValueError, match=reason):
        stated(folder, text)


def test_images_of_many_domains_are_all_alike(tmp_path):
    folder = fill(tmp_path / "many", ("train/x", "train/y", "test/x", "test/y"), ("deep",))
    with pytest.raises(ValueError, match="the line range = "):
        many_domain_task(folder)
    (folder / "task.toml").write_text("range = [0, 1023]")
    for each in folder.glob("*/y/*.png"):
        each.rename(each.with_name(f"y{each.name}"))
    task = many_domain_task(folder)
    assert task.pixels == {EVERY: PixelFormat(1, (0, 1023))}
    assert task.pixel_format("+x") == task.pixels[EVERY]
    assert task.channels == {EVERY: 1}


def test_a_run_heeds_the_file_and_refuses_a_headline_that_ranks_nothing(tmp_path):
    names = ("trainA", "trainB", "testA", "testB")
    folder = fill(tmp_path / "scans", names, ("deep",), side=24)
    text = 'range = [0, 1023]\nresize = "whole"\n'
    stated(folder, text)
    (job,) = plan_runs(["cyclegan"], [str(folder)], [0], Choices(preset="tiny"), tmp_path)
    assert (job.settings.resize, job.run.variant) == ("whole", "preset=tiny")
    stated(folder, f'{text}headline = "pnsr"\n')
    with pytest.raises(ValueError, match=r"headline 'pnsr' is no metric .* did you mean 'psnr'"):
        plan_runs(["cyclegan"], [str(folder)], [0], Choices(preset="tiny"), tmp_path)


@pytest.mark.parametrize("headline", ["psrn", "psnr", "psnr_foreground"])
def test_a_headline_that_a_direction_may_lack_is_refused(folder, headline):
    task = stated(folder, f"range = [0, 1023]\npaired = false\nheadline = '{headline}'")
    with pytest.raises(ValueError, match="no metric that ranks models in every direction"):
        require_headline(task)
    require_headline(stated(folder, "range = [0, 1023]\nheadline = 'psnr'"))

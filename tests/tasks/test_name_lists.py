"""Images named in text files, as UNIT and MUNIT have them: one a line, or a pair a line."""

import itertools

import numpy as np
import pytest
from PIL import Image

from i2i_bench.tasks import catalogue
from i2i_bench.tasks.name_lists import read_name_list

FOUR = ("trainA", "trainB", "testA", "testB")


def save(path, red=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (red, 0, 0)).save(path)
    return path


def find(path):
    return catalogue.find_task(str(path), path)


def red_of(image):
    return int(np.asarray(image.read())[4, 4, 0])


def names(task, split, domain):
    return [image.name for image in task.images(split, domain)]


@pytest.fixture
def folder(tmp_path):
    """Give a folder of images of which lists name some."""
    for k, side in itertools.product(range(6), "ab"):
        save(tmp_path / "set" / "images" / side / f"{k}.jpg", 40 * k + (side == "b"))
    return tmp_path / "set"


def write_lists(folder, form, prefix="", where="."):
    (folder / where).mkdir(exist_ok=True)
    for name in FOUR:
        rows = range(4) if name.startswith("train") else (5,)
        lines = [f"{prefix}{name[-1].lower()}/{k}.jpg" for k in reversed(rows)]
        (folder / where / form.format(name)).write_text("\r\n".join([*lines, "", "# end"]))


@pytest.mark.parametrize(
    ("form", "prefix", "where"),
    [
        ("{}.txt", "images/", "."),
        ("list_{}.txt", "images/", "."),
        ("{}_list.txt", "", "lists"),
        ("{}.lst", "./", "lists"),
        ("list_{}.txt", "images\\", "."),
    ],
)
def test_lists_name_the_images_of_each_split_and_domain(form, prefix, where, folder):
    write_lists(folder, form, prefix, where)
    (folder / "README.txt").write_text("of no use")
    task = find(folder)
    assert names(task, "train", "a") == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert names(task, "test", "b") == ["5.jpg"]
    red = [red_of(image) for image in task.images("train", "a")]
    assert red == pytest.approx([0, 40, 80, 120], abs=3)  # of JPEG
    assert task.paired and any("as trainA" in note for note in task.notes)
    assert not any("passes over" in note for note in task.notes)


def test_absolute_paths_names_with_spaces_and_labels_are_read(tmp_path):
    spaced = save(tmp_path / "a b" / "x y.png")
    other = save(tmp_path / "a b" / "z.png")
    path = tmp_path / "list.txt"
    path.write_text(f"\ufeff{spaced}\n{other}\n", "utf-8")
    assert read_name_list(path, [tmp_path]) == [[spaced, other]]
    plain = save(tmp_path / "1.png"), save(tmp_path / "2.png")
    path.write_text("1.png 0\n2.png 17\n")
    assert read_name_list(path, [tmp_path]) == [list(plain)]
    path.write_text("1.png,2.png\n2.png\t1.png\n")
    assert read_name_list(path, [tmp_path]) == [list(plain), list(reversed(plain))]


def test_a_pair_a_line_is_a_pair_whatever_the_names(tmp_path):
    folder = tmp_path / "set"
    for split, count in (("train", 3), ("test", 2)):
        for k in range(count):
            save(folder / "photos" / f"{split}{9 - k}.png", k)
            save(folder / "maps" / f"m-{split}{k}.png", 100 + k)
        lines = [f"photos/{split}{9 - k}.png maps/m-{split}{k}.png" for k in range(count)]
        (folder / f"{split}.txt").write_text("\n".join(lines))
    task = find(folder)
    assert task.paired and names(task, "train", "a") == ["train7.png", "train8.png", "train9.png"]
    truth = task.truth("a", "b", "train") or []
    assert [red_of(image) for image in truth] == [102, 101, 100]


def test_labels_in_a_list_of_all_domains_are_not_passed_over(tmp_path):
    for k in range(3):
        save(tmp_path / "set" / "images" / f"{k}.png")
    (tmp_path / "set" / "train.txt").write_text("0.png 0\n1.png 1\n")
    (tmp_path / "set" / "test.txt").write_text("2.png 1\n")
    with pytest.raises(ValueError, match=r"line 1 .* says more .*: '0\.png 0'; of two domains"):
        find(tmp_path / "set")


def test_the_root_of_names_can_be_stated(folder):
    for side in "ab":
        save(folder / "copies" / side / "0.jpg")
    write_lists(folder, "{}.txt", "")
    for side in "ab":
        save(folder / "copies" / side / "3.jpg")
    with pytest.raises(
        ValueError, match=r"line 1 .* is an image both in .*; write the line root ="
    ):
        find(folder)
    (folder / "task.toml").write_text('root = "images"')
    assert len(names(find(folder), "train", "a")) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no image; write one a line"),
        ("gone.png", r"line 1 of .* names no image that is there: 'gone.png'; looked in"),
        ("1.png\ngone.png", r"line 2 of .* does not name one image below"),
        ("1.png 2.png\n1.png", r"line 2 of .* does not name 2 images below"),
        ("1.png\n2.png\n1.png", r"lines 1 and 3 of .* are one image, 1\.png; name it once"),
        ("\0.png", "names no image that is there"),
        (f"{'x' * 5000}.png", "names no image that is there"),
    ],
)
def test_lists_that_name_what_is_not_there_are_refused_by_line(text, message, tmp_path):
    for name in ("1.png", "2.png"):
        save(tmp_path / name)
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_name_list(tmp_path / "list.txt", [tmp_path])
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe1.png")
    with pytest.raises(ValueError, match="is not UTF-8"):
        read_name_list(tmp_path / "list.txt", [tmp_path])

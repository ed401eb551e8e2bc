"""Folders as people arrange them: read as the same images, and what is not clear is refused."""

import itertools
import shutil

import numpy as np
import pytest
from PIL import Image

from i2i_bench.labels import EVERY
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.validation import scored_on

FOUR = ("trainA", "trainB", "testA", "testB")
RED, BLUE = (200, 30, 30), (30, 30, 200)
COUNTS = {"trainA": 3, "trainB": 4, "testA": 2, "testB": 1}


def save(path, colour, number=0, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (*colour[:1], colour[1] + number, colour[2])).save(path)


def fill(folder, places, suffix=".png"):
    """Write red images of a and blue ones of b into the places of trainA trainB testA testB."""
    for place, (name, count) in zip(places, COUNTS.items(), strict=True):
        for k in range(count):
            side = name[-1].lower()
            colour = RED if side == "a" else BLUE
            save(folder / place / f"{side}{k}{suffix}", colour, k + 10 * name.startswith("test"))
    return folder


def find(path):
    return catalogue.find_task(str(path), path)


def colour_of(image, place=(0, 0)):
    return tuple(np.asarray(image.read())[place].tolist())


def colours(task, split, domain):
    return [colour_of(image) for image in task.images(split, domain)]


def contents(task):
    """Give names and colours of the images of a task of two domains."""
    return {
        (split, domain): list(
            zip(
                [i.name for i in task.images(split, domain)],
                colours(task, split, domain),
                strict=True,
            )
        )
        for split in ("train", "test")
        for domain in "ab"
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("plain") / "set", FOUR)


@pytest.mark.parametrize(
    "places",
    [
        ("train/A", "train/B", "test/A", "test/B"),
        ("A/train", "B/train", "A/test", "B/test"),
        ("TrainA", "trainb", "TESTA", "testB"),
        ("train_A", "train-b", "test A", "test.B"),
        ("A_train", "Btrain", "A_test", "Btest"),
        ("Train/a", "Train/b", "Test/a", "Test/b"),
        ("training/A", "training/B", "testing/A", "testing/B"),
        ("trainA", "trainB", "valA", "valB"),
        ("A", "B", "A_test", "B_test"),
        ("train/A", "train/B", "validation/A", "validation/B"),
        ("train/trainA", "train/trainB", "test/testA", "test/testB"),
        ("trainA/images", "trainB/images", "testA/images", "testB/images"),
        tuple(f"set/{name}" for name in FOUR),
        tuple(f"data/set/{name}" for name in FOUR),
        tuple(f"set/set/set/{name}" for name in FOUR),
        ("set/train/A", "set/train/B", "set/test/A", "set/test/B"),
        ("set/images/train/A", "set/images/train/B", "set/images/test/A", "set/images/test/B"),
    ],
    ids="+".join,
)
def test_folders_that_hold_the_same_are_the_same_task_whatever_they_are_called(
    places, plain, tmp_path
):
    folder = fill(tmp_path / "set", places)
    for name in ("__MACOSX/set/trainA", "@eaDir/trainA"):
        save(folder / name / "._a0.png", RED)
    task, same = find(folder), find(plain)
    assert contents(task) == contents(same)
    assert task.name.rpartition("-")[2] == same.name.rpartition("-")[2]
    assert not same.notes and len(task.notes) in (1, 2)  # how it was read, and that val is test
    assert ("val" in "".join(places)) == any("no" in note and "test" in note for note in task.notes)


def test_what_systems_leave_is_passed_over_everywhere(plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "set")
    for left in ("@eaDir", "__MACOSX", ".ipynb_checkpoints", "$RECYCLE.BIN", "#recycle"):
        save(folder / "trainA" / left / "a0.png", BLUE)
    for left in (".DS_Store", "Thumbs.db", "desktop.ini", "._a0.png", "ehthumbs.db"):
        (folder / "testB" / left).write_bytes(b"x")
    assert find(folder).name == find(plain).name


@pytest.mark.parametrize(
    "places",
    [
        ("train/horse", "train/zebra", "test/horse", "test/zebra"),
        ("horse/train", "zebra/train", "horse/test", "zebra/test"),
        ("train_horse", "train_zebra", "test_horse", "test_zebra"),
        ("horse-train", "zebra-train", "horse-test", "zebra-test"),
        ("train/horse", "train/zebra", "val/horse", "val/zebra"),
        ("set/train/horse", "set/train/zebra", "set/test/horse", "set/test/zebra"),
    ],
    ids="+".join,
)
def test_named_domains_are_labels_and_can_be_stated_as_a_and_b(places, plain, tmp_path):
    folder = fill(tmp_path / "set", places)
    task = find(folder)
    assert (task.attributes, task.domains) == (("horse", "zebra"), (EVERY,))
    assert colours(task, "test", "horse") == colours(find(plain), "test", "a")
    (folder / "task.toml").write_text('domains = ["zebra", "horse"]')
    swapped, same = contents(find(folder)), contents(find(plain))
    assert swapped["train", "a"] == same["train", "b"]
    assert swapped["test", "b"] == same["test", "a"]


def test_folders_of_labels_below_one_of_a_domain_are_read_and_named(tmp_path):
    folder = fill(tmp_path / "set", ("trainA/cat", "trainB", "testA", "testB"))
    save(folder / "trainA" / "dog" / "deep" / "a0.png", RED, 9)
    names = [image.name for image in find(folder).images("train", "a")]
    assert names == ["cat-a0.png", "cat-a1.png", "cat-a2.png", "dog-deep-a0.png"]
    save(folder / "trainA" / "x.png", RED)
    with pytest.raises(ValueError, match=r"cat is a folder; .* subfolders = true .* or false"):
        find(folder)
    for line, count in (("true", 5), ("false", 1)):
        (folder / "task.toml").write_text(f"subfolders = {line}")
        assert find(folder).num_train["a"] == count
    (folder / "task.toml").unlink()
    (folder / "trainA" / "x.png").rename(folder / "trainA" / "cat-a0.png")
    (folder / "task.toml").write_text("subfolders = true")
    with pytest.raises(ValueError, match="come to one name, cat-a0"):
        find(folder)


# --- both images of a pair in one file


def save_both(path, number, *, is_across=True, size=(8, 8)):
    width, height = size
    both = Image.new("RGB", (2 * width, height) if is_across else (width, 2 * height))
    both.paste((*RED[:2], number), (0, 0, width, height))
    left, top = (width, 0) if is_across else (0, height)
    both.paste((*BLUE[:1], number, BLUE[2]), (left, top, left + width, top + height))
    path.parent.mkdir(parents=True, exist_ok=True)
    both.save(path)


@pytest.mark.parametrize(
    "places",
    [
        *(("train", "test"), ("train", "val"), ("facades/train", "facades/val")),
        *(("AB/train", "AB/test"), ("train/images", "test/images"), ("trainAB", "testAB")),
        ("train_images", "test_images"),
    ],
    ids="+".join,
)
def test_pairs_side_by_side_are_halves_of_one_file(places, tmp_path):
    for place, count in zip(places, (3, 2), strict=True):
        for k in range(count):
            save_both(tmp_path / "set" / place / f"{k}.png", k)
    task = find(tmp_path / "set")
    assert (task.paired, task.headline, task.image_size) == (True, "psnr", 8)
    assert colours(task, "train", "a") == [(*RED[:2], k) for k in range(3)]
    truth = task.truth("a", "b") or []
    assert [colour_of(i, (7, 7)) for i in truth] == [(30, k, 200) for k in range(2)]
    assert {i.size() for i in task.images("test", "b")} == {(8, 8)}
    assert any("left half of each image for a" in note for note in task.notes)
    assert not catalogue.find_task(f"{tmp_path / 'set'}:unpaired", tmp_path).paired


@pytest.mark.parametrize(
    ("line", "is_across", "is_first"),
    [
        ('halves.left = "b"', True, False),
        ('halves.left = "a"', True, True),
        ('halves.top = "a"', False, True),
        ('halves.top = "b"', False, False),
    ],
)
def test_which_half_is_whose_can_be_stated_for_any_shape(line, is_across, is_first, tmp_path):
    for split, k in itertools.product(("train", "test"), range(2)):
        save_both(tmp_path / "set" / split / f"{k}.png", k, is_across=is_across, size=(8, 6))
    with pytest.raises(ValueError, match=r'is not twice as wide as high.* line halves\.left = "a"'):
        find(tmp_path / "set")
    (tmp_path / "set" / "task.toml").write_text(line)
    task = find(tmp_path / "set")
    assert colours(task, "test", "a" if is_first else "b") == [(*RED[:2], k) for k in range(2)]
    assert task.images("test", "a")[0].read().size == (8, 6)
    Image.new("RGB", (9, 9)).save(tmp_path / "set" / "train" / "odd.png")
    with pytest.raises(ValueError, match=r"odd\.png: 9x9 pixels have no two halves; make the"):
        find(tmp_path / "set").images("train", "a")[-1].read()


# --- validation and tests


def test_validation_folders_are_said_and_taken_where_it_is_stated(plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "set")
    for side, colour, k in itertools.product("A", (RED,), range(3)):
        save(folder / f"val{side}" / f"v{k}.png", colour, 50 + k)
    save(folder / "valB" / "v.png", BLUE, 60)
    task = find(folder)
    assert task.name == find(plain).name  # an old task keeps its name
    assert "passes over valA valB; the line validation = true" in task.notes[0]
    (folder / "task.toml").write_text("validation = true")
    stated = find(folder)
    assert stated.num_test == task.num_test and not stated.notes
    held = scored_on(stated, "validation")
    assert (held.name, held.split, held.num_train) == (stated.name, "validation", task.num_train)
    assert [colour[1] for colour in colours(held, "test", "a")] == [80, 81, 82]
    name = find(folder).name
    save(folder / "valB" / "v.png", BLUE, 61)
    assert find(folder).name != name


@pytest.mark.parametrize(
    "places", [("trainA", "trainB"), ("train/A", "train/B"), ("A", "B"), ("horse", "zebra")]
)
def test_without_tests_a_line_holds_some_out(places, tmp_path):
    for place, k in itertools.product(places, range(10)):
        save(tmp_path / "set" / place / f"{k}.png", RED, k)
    with pytest.raises(ValueError, match=r"the line test_share = 0\.1 in .*task\.toml"):
        find(tmp_path / "set")
    (tmp_path / "set" / "task.toml").write_text("test_share = 0.3")
    task = find(tmp_path / "set")
    domains = task.attributes or ("a", "b")
    parts = [[i.name[-5:] for i in task.images(s, d)] for d in domains for s in ("train", "test")]
    assert [len(part) for part in parts] == [7, 3, 7, 3]
    assert parts[:2] == parts[2:] and sorted(parts[0] + parts[1]) == [f"{k}.png" for k in range(10)]
    assert task.paired == (len(task.domains) == 2)


# --- what is not clear


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (("one/trainA", "one/trainB", "two/trainA", "two/trainB"), "several tasks; give one of"),
        (("trainA", "train/A", "trainB", "testa", "testB"), r"line folders\.trainA = \"train"),
        (("trainA", "testA"), "has no trainB testB; needed are trainA trainB testA testB"),
        (("train/A", "train/B", "test/A"), "has no testB"),
        (("x/train", "y/train", "x/val", "y/val"), r'give one of.* line domains = \["x", "y"\]'),
        (
            ("horse",),
            r"none of the folders needed.*there are: horse; a line such as folders\.train",
        ),
        (("train/x", "train/y", "test/x"), "has y only in train"),
        (("x/train", "y/train", "x/test"), "has no test/y"),
    ],
)
def test_what_is_not_clear_is_refused_with_what_settles_it(places, message, tmp_path):
    for place in places:
        save(tmp_path / "set" / place / "1.png", RED, size=(16, 8))
    with pytest.raises(ValueError, match=message):
        find(tmp_path / "set")


def test_images_that_are_no_part_of_the_task_are_named(plain, tmp_path):
    folder = fill(tmp_path / "set", ("train/A", "train/B", "test/A", "test/B"))
    for place in ("train", "AB/train", "more"):
        save(folder / place / "x.png", RED)
    (folder / "trainA.txt").write_text("more/x.png")
    task = find(folder)
    (note,) = [note for note in task.notes if note.startswith("passes over")]
    assert note.startswith("passes over what is in AB/train, more, train, trainA.txt: no part")
    assert contents(task) == contents(find(plain))


def test_any_folder_can_be_stated(plain, tmp_path):
    folder = fill(tmp_path / "set", ("x/one", "x/two", "y", "z"))
    lines = zip(FOUR, ("x/one", "x/two", "y", "z"), strict=True)
    (folder / "task.toml").write_text("".join(f'folders.{k} = "{v}"\n' for k, v in lines))
    assert contents(find(folder)) == contents(find(plain))
    with (folder / "task.toml").open("a") as file:
        file.write('folders.testA = "gone"')
    with pytest.raises(ValueError, match=r"is no TOML"):
        find(folder)
    (folder / "task.toml").write_text('folders.trainA = "gone"')
    with pytest.raises(ValueError, match=r"states folders\.trainA, and there is no .*gone"):
        find(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("test_share = 1", "above 0, at most 0.9"),
        ("test_share = 0.1", "has images for tests"),
        ('halves.left = "c"', "one of halves.left"),
        ("halves = []", "one of halves.left"),
        ('halves = {left = "a", top = "b"}', "one of halves.left"),
        ('domains = ["x"]', "the folders of a and b"),
        ('domains = ["x", "y"]', "the domain 'x', of which there is no folder; there are: A, B"),
        ("folders = 3", "such as folders.trainA"),
        ("folders.trainA = 3", "path of a folder or list"),
        ('folders.horse = "x"', "names no split as trainA does"),
        ("subfolders = 1", "true or false"),
        ("upright = 1", "true or false"),
        ("background = [0, 0]", "red, green and blue"),
        ('background = "pink"', "white, grey, black"),
    ],
)
def test_lines_that_state_what_is_not_possible_are_refused(text, message, plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "set")
    (folder / "task.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        find(folder)


def test_an_archive_is_to_be_unpacked(tmp_path):
    (tmp_path / "set.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"set\.zip is an archive; unpack it, and give the folder"):
        find(tmp_path / "set.zip")

"""Labelled tasks from folders and from sets obtained by hand, good ones and damaged ones."""

import dataclasses
import random

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_bench.data import training_images
from i2i_bench.data.directions import directions_of, find_direction, labels_of
from i2i_bench.labels import EVERY
from i2i_bench.model import Direction, Settings
from i2i_bench.tasks import catalogue, faces

CELEBA = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
SETTINGS = Settings(None, 4, 8, 8, 8)


def save(path, seed, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3)
    pixels = np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    """Give a folder of three domains whose files share their names."""
    root = tmp_path / "moods"
    for split, count in (("train", 3), ("test", 2)):
        for number, domain in enumerate(("happy", "neutral", "sad")):
            for i in range(count + number):
                save(root / split / domain / f"{i}.png", 100 * number + 10 * count + i)
    return root


def write_celeba(folder, count, size=(20, 24)):
    """Write a set with the syntax of CelebA's list; hair colours exclude each other in it."""
    names = [*CELEBA, *(f"Attribute_{i}" for i in range(35))]
    lines = [str(count), " ".join(names) + " "]
    for row in range(1, count + 1):
        chance = random.Random(row)
        hair = chance.randrange(4)
        values = [1 if i == hair else -1 for i in range(3)]
        values += [chance.choice((1, -1)) for _ in range(37)]
        lines.append(f"{row:06}.jpg " + " ".join(f"{value:2}" for value in values))
        save(folder / "img_align_celeba" / f"{row:06}.jpg", row, size)
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def celeba(tmp_path, monkeypatch):
    """Give the folder of data with a small CelebA, of as small counts."""
    monkeypatch.setattr(faces, "CELEBA_COUNT", 60)
    monkeypatch.setattr(faces, "CELEBA_TEST", 24)
    small = dataclasses.replace(catalogue.sources()["celeba"], crop=16)
    monkeypatch.setitem(catalogue.sources(), "celeba", small)
    write_celeba(tmp_path / "celeba", 60)
    return tmp_path


def write_rafd(root, persons=10, size=(12, 16)):
    for person in range(1, persons + 1):
        for number, expression in enumerate(faces.RAFD_EXPRESSIONS):
            name = f"Rafd090_{person:02}_Caucasian_female_{expression}_frontal.jpg"
            save(root / "rafd" / "images" / name, 10 * person + number, size)


# --- folders


def test_a_folder_for_each_domain_is_a_task_of_labels(folder, tmp_path):
    task = catalogue.find_task(str(folder), tmp_path)
    assert task.attributes == ("happy", "neutral", "sad")
    assert task.exclusive == (task.attributes,)
    assert (task.domains, task.kind, task.headline) == ((EVERY,), "folder", "kid")
    assert (task.num_train, task.num_test) == ({EVERY: 12}, {EVERY: 9})
    assert task.labels("test", EVERY) == [(1, 0, 0)] * 2 + [(0, 1, 0)] * 3 + [(0, 0, 1)] * 4
    names = [image.name for image in task.images("test", "+neutral")]
    assert names == [f"neutral-{i}.png" for i in range(3)]
    assert len(task.images("test", "-neutral")) == 6
    assert task.truth("-neutral", "+neutral") is None
    assert task.foreground("-neutral", "+neutral") is None


def test_names_of_folders_follow_their_contents(folder, tmp_path):
    before = catalogue.find_task(str(folder), tmp_path).name
    assert before.startswith("folder-moods-")
    assert catalogue.find_task(str(folder), tmp_path).name == before
    (folder / "train" / "sad" / "0.png").rename(folder / "train" / "happy" / "9.png")
    assert catalogue.find_task(str(folder), tmp_path).name != before


def test_images_that_are_replaced_meanwhile_are_refused(folder, tmp_path):
    (image, *_) = catalogue.find_task(str(folder), tmp_path).images("test", "+sad")
    image.read()
    save(folder / "test" / "sad" / "0.png", 1, (9, 9))
    with pytest.raises(ValueError, match=r"0\.png was changed since this command began"):
        image.read()


def spoil(path, what):
    if what.startswith("-"):
        for file in (path / what[1:]).iterdir():
            file.unlink()
        (path / what[1:]).rmdir()
    elif what.endswith("/"):
        (path / what).mkdir()
    else:
        save(path / what, 1)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("-test/sad", "has sad only in train; needed are train/DOMAIN and test/DOMAIN"),
        ("train/angry/", "has angry only in train"),
        ("train/0.png", r"0\.png lies outside the folders of domains"),
        ("train/sad/0.jpg", r"0\.png and 0\.jpg differ by suffix alone"),
        ("train/sad/deep/", "deep is a folder; put the images into"),
    ],
)
def test_damaged_folders_are_refused_in_a_sentence(folder, tmp_path, what, message):
    spoil(folder, what)
    with pytest.raises(ValueError, match=message):
        catalogue.find_task(str(folder), tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("happy",), "has only the domain happy"),
        (("all", "sad"), "has a domain 'all', which stands for all"),
        (("so-so", "very sad"), "'very sad' is not a name for a domain"),
    ],
)
def test_impossible_domains_are_refused_in_a_sentence(tmp_path, names, message):
    for split in ("train", "test"):
        for name in names:
            save(tmp_path / "task" / split / name / "0.png", 1)
    with pytest.raises(ValueError, match=message):
        catalogue.find_task(str(tmp_path / "task"), tmp_path)


def test_images_of_domains_that_come_to_one_name_are_refused(tmp_path):
    for split in ("train", "test"):
        save(tmp_path / "task" / split / "x" / "y-0.png", 1)
        save(tmp_path / "task" / split / "x-y" / "0.png", 2)
    with pytest.raises(ValueError, match=r"two train images .* have the name x-y-0"):
        catalogue.find_task(str(tmp_path / "task"), tmp_path)


# --- sets obtained by hand


def test_celeba_has_the_five_attributes_and_crops(celeba):
    task = catalogue.find_task("celeba", celeba)
    assert (task.attributes, task.exclusive) == (CELEBA, (CELEBA[:3],))
    assert (task.num_train[EVERY], task.num_test[EVERY], task.image_size) == (36, 24, 128)
    names = [image.name for image in task.images("test", EVERY)]
    assert names == sorted(names)
    whole = Image.open(celeba / "celeba" / "img_align_celeba" / names[0])
    found = np.asarray(task.images("test", EVERY)[0].read())
    assert (found == np.asarray(whole)[4:20, 2:18]).all()
    assert [str(direction) for direction in directions_of(task)] == [
        *("+Black_Hair", "+Blond_Hair", "+Brown_Hair", "+Male", "-Male", "+Young", "-Young")
    ]


def test_a_new_hair_colour_takes_the_place_of_the_old_one(celeba):
    task = catalogue.find_task("celeba", celeba)
    found = labels_of(task, find_direction(task, "+Blond_Hair"))
    assert found is not None
    before, after = found
    assert before[:, 1].max() == 0
    assert (after[:, :3] == [0, 1, 0]).all()
    assert (after[:, 3:] == before[:, 3:]).all()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: write_celeba(f, 59), "has 59 images, and CelebA 60"),
        (lambda f: (f / "list_attr_celeba.txt").unlink(), "there is no .*list_attr_celeba"),
        (
            lambda f: (f / "list_attr_celeba.txt").write_text(
                (f / "list_attr_celeba.txt").read_text().replace("Young", "Old")
            ),
            "no attribute Young",
        ),
        (lambda f: (f / "img_align_celeba" / "000003.jpg").unlink(), r"first 000003\.jpg"),
        (
            lambda f: (f / "list_attr_celeba.txt").write_text(
                (f / "list_attr_celeba.txt").read_text().replace("000007.jpg", "000006.jpg")
            ),
            r"names 000006\.jpg twice",
        ),
    ],
)
def test_a_damaged_celeba_is_refused_in_a_sentence(celeba, break_it, message):
    break_it(celeba / "celeba")
    with pytest.raises(ValueError, match=message):
        catalogue.find_task("celeba", celeba)


def test_an_image_smaller_than_the_crop_is_refused_by_name(celeba):
    name = catalogue.find_task("celeba", celeba).images("train", EVERY)[0].name
    save(celeba / "celeba" / "img_align_celeba" / name, 1, (12, 24))
    task = catalogue.find_task("celeba", celeba)
    with pytest.raises(ValueError, match=rf"{name} of 12x24 pixels is smaller than 16 pixels"):
        training_images.TrainingImages(task, SETTINGS, 0)


def test_an_attribute_that_no_test_image_has_is_refused(celeba):
    path = celeba / "celeba" / "list_attr_celeba.txt"
    lines = path.read_text().splitlines()
    rows = [" ".join([line.split()[0], "-1", *line.split()[2:]]) for line in lines[2:]]
    path.write_text("\n".join([*lines[:2], *rows]) + "\n")
    with pytest.raises(ValueError, match=r"celeba has no train image of \+Black_Hair"):
        catalogue.find_task("celeba", celeba)


def test_rafd_has_the_same_persons_as_truth(tmp_path):
    write_rafd(tmp_path)
    task = catalogue.find_task("rafd", tmp_path)
    assert task.attributes == faces.RAFD_EXPRESSIONS
    assert (task.num_train[EVERY], task.num_test[EVERY]) == (72, 8)
    direction = find_direction(task, "neutral2happy")
    (source,) = task.images("test", direction.source)
    (truth,) = task.truth(direction.source, direction.target) or []
    assert source.name == "Rafd090_10_Caucasian_female_neutral_frontal.jpg"
    assert truth.name == "Rafd090_10_Caucasian_female_happy_frontal.jpg"
    assert len(task.truth("-sad", "+sad") or []) == 7
    assert source.read().size == (12, 12)


def test_missing_sets_say_what_goes_where(tmp_path):
    states = {row.name: row.state for row in catalogue.list_tasks(tmp_path)}
    assert states["rafd"] == "by hand"
    write_rafd(tmp_path)
    states = {row.name: row.state for row in catalogue.list_tasks(tmp_path)}
    assert (states["rafd"], states["celeba"]) == ("ready", "by hand")


def test_ar_faces_without_an_expression_of_a_session_have_no_truth(tmp_path):
    for person in range(1, 11):
        for photo in (1, 2, 3, 4, 14, 15):
            save(tmp_path / "ar-face" / "images" / f"m-{person:03}-{photo:02}.png", person + photo)
    task = catalogue.find_task("ar-face", tmp_path)
    truth = task.truth("neutral", "smile")
    assert [image.name for image in truth or []] == ["m-010-02.png", "m-010-15.png"]
    assert task.truth("neutral", "anger") is None


def test_the_same_photo_twice_is_refused(tmp_path):
    write_rafd(tmp_path)
    images = tmp_path / "rafd" / "images"
    save(images / "Rafd090_03_Caucasian_male_sad_frontal.jpg", 1)
    with pytest.raises(ValueError, match="has sad of angle 090, person 03, gaze frontal twice"):
        catalogue.find_task("rafd", tmp_path)


def test_source_states_the_facts_of_its_task_without_its_images(celeba):
    write_rafd(celeba)
    for person in range(1, 11):
        for photo in (1, 2, 3, 4):
            save(celeba / "ar-face" / "images" / f"w-{person:03}-{photo:02}.png", person + photo)
    for name in ("celeba", "rafd", "ar-face"):
        source, task = catalogue.sources()[name], catalogue.find_task(name, celeba)
        for fact in ("domains", "attributes", "exclusive", "paired", "has_masks"):
            assert getattr(source, fact) == getattr(task, fact), (name, fact)


# --- what training and testing make of them


def test_batches_carry_the_labels_of_their_images(folder, tmp_path):
    task = catalogue.find_task(str(folder), tmp_path)
    images = training_images.TrainingImages(task, SETTINGS, 3)
    known = dict(
        zip(
            (image.name for image in task.images("train", EVERY)),
            task.labels("train", EVERY) or [],
            strict=True,
        )
    )
    seen = set()
    for first in range(0, 12, 4):
        batch = images.batch(first, 4)
        assert batch.labels is not None and batch.names is not None
        assert batch.labels[EVERY].dtype == torch.float32
        for name, label in zip(batch.names[EVERY], batch.labels[EVERY], strict=True):
            assert tuple(int(value) for value in label) == known[name]
            seen.add(name)
    assert seen == set(known)


def test_directions_go_by_change_or_by_pair_and_the_nearest_are_named(folder, tmp_path):
    task = catalogue.find_task(str(folder), tmp_path)
    assert [str(d) for d in directions_of(task)] == ["+happy", "+neutral", "+sad"]
    assert find_direction(task, "neutral2sad") == Direction("neutral", "sad")
    assert find_direction(task, "+sad") == Direction("-sad", "+sad")
    assert str(Direction("-sad", "+sad").reverse) == "-sad"
    with pytest.raises(ValueError, match=r"no direction a2b; possible: \+happy, \+neutral"):
        find_direction(task, "a2b")


def test_tasks_without_labels_are_as_before(tiny):
    task = catalogue.find_task(str(tiny), tiny)
    assert task.labels("train", "a") is None
    assert labels_of(task, Direction("a", "b")) is None
    assert (
        training_images.TrainingImages(task, Settings(None, 2, 4, 32, 32), 0).batch(0, 2).labels
        is None
    )

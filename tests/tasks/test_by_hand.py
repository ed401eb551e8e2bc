"""Sets that users obtain by hand: what their files say, how they are split, what is refused."""

import random

import pytest
from face_sets import NAMES, make_celeba, make_rafd
from PIL import Image

from i2i_bench.tasks import faces

CHOSEN = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")


@pytest.fixture
def image(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    return (tmp_path / "image.png").read_bytes()


@pytest.fixture(scope="module")
def celeba(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "celeba"
    return folder, make_celeba(folder, 2010)


def test_celeba_is_split_as_the_authors_of_stargan_do(celeba):
    folder, values = celeba
    order = list(values)
    random.seed(1234)
    random.shuffle(order)
    found = faces.celeba(folder)
    assert [file.path.name for file in found.test] == order[:1999]
    assert [file.path.name for file in found.train] == order[1999:]


def test_celeba_labels_are_the_chosen_attributes(celeba):
    folder, values = celeba
    found = faces.celeba(folder)
    assert found.attributes == CHOSEN
    for file in (*found.train, *found.test[:50]):
        row = values[file.path.name]
        assert file.labels == tuple(int(row[NAMES.index(name)] == 1) for name in CHOSEN)
    one = faces.celeba(folder, ["Smiling"])
    assert {file.labels for file in one.test} == {(0,), (1,)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[1:], "does not begin with the number of images"),
        (lambda lines: ["9999", *lines[1:]], "has 6 rows and announces 9999"),
        (lambda lines: [lines[0], "Male Young", *lines[2:]], "names 2 attributes, not 40"),
        (lambda lines: [lines[0], lines[1].replace("Bald", "Male"), *lines[2:]], "39 attributes"),
        (lambda lines: [*lines[:4], lines[4][:-3], *lines[5:]], "line 5: not a file name such"),
        (lambda lines: [*lines[:4], lines[4].replace("-1", "0", 1), *lines[5:]], "line 5"),
        (lambda lines: [*lines[:4], lines[4].replace("000003.jpg", "../a.jpg")], "line 5"),
        (lambda lines: [*lines[:4], "", *lines[5:]], "line 5"),
        (lambda lines: [*lines[:-1], lines[2]], "names 000001.jpg twice"),
        (lambda lines: [*lines[:-1], lines[-1].replace("000006", "000009")], "first 000009.jpg"),
        (lambda lines: ["6", lines[1].replace("Male", "Mole"), *lines[2:]], "no attribute Male"),
        (lambda lines: ["\u2028é"], "not CelebA's text file"),
        (lambda lines: [], "does not begin"),
    ],
)
def test_a_damaged_celeba_list_is_refused_by_line(change, words, tmp_path):
    folder = tmp_path / "celeba"
    make_celeba(folder, 6)
    path = folder / "list_attr_celeba.txt"
    path.write_text("\n".join(change(path.read_text().splitlines())), encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        faces.celeba(folder)


def test_missing_celeba_images_are_counted(tmp_path):
    make_celeba(tmp_path, 6)
    for name in ("000002.jpg", "000004.jpg"):
        (tmp_path / "img_align_celeba" / name).unlink()
    with pytest.raises(ValueError, match=r"lacks 2 of the 6 images .* first 000002\.jpg"):
        faces.celeba(tmp_path)


def test_rafd_is_split_by_person_and_labelled_by_name(tmp_path):
    make_rafd(tmp_path, 20)
    found = faces.rafd(tmp_path)
    assert found.attributes == (
        *("angry", "contemptuous", "disgusted", "fearful"),
        *("happy", "neutral", "sad", "surprised"),
    )
    assert (len(found.train), len(found.test)) == (18 * 16, 2 * 16)
    people = [{file.path.name[8:10] for file in part} for part in (found.train, found.test)]
    assert people[1] == {"10", "20"} and not people[0] & people[1]
    for file in (*found.train, *found.test):
        assert sum(file.labels) == 1
        assert f"_{found.attributes[file.labels.index(1)]}_" in file.path.name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "Rafd090_03_Caucasian_female_sad_left.jpg",
            "lacks sad of angle 090, person 03, gaze left",
        ),
        ("+portrait.jpg", r"portrait\.jpg is not named as the Radboud Faces"),
        ("+Rafd090_03_Caucasian_female_bored_left.jpg", "is not named as the Radboud Faces"),
    ],
)
def test_an_incomplete_or_foreign_rafd_is_refused_by_name(change, words, tmp_path):
    make_rafd(tmp_path, 10)
    path = tmp_path / "images" / change.removeprefix("+")
    path.write_bytes(b"") if change.startswith("+") else path.unlink()
    with pytest.raises(ValueError, match=words):
        faces.rafd(tmp_path)


def test_ar_faces_are_the_expressions_of_both_sessions(tmp_path):
    (tmp_path / "images").mkdir()
    for person in [*(f"m-{i:03}" for i in range(1, 6)), *(f"W-{i:03}" for i in range(1, 6))]:
        for photo in range(1, 27):
            (tmp_path / "images" / f"{person}-{photo:02}.bmp").write_bytes(b"")
    found = faces.ar_face(tmp_path)
    assert found.attributes == ("neutral", "smile", "anger", "scream")
    assert (len(found.train), len(found.test)) == (9 * 8, 8)
    labels = {file.path.stem[-2:]: file.labels.index(1) for file in found.test}
    assert labels == {"01": 0, "02": 1, "03": 2, "04": 3, "14": 0, "15": 1, "16": 2, "17": 3}
    (tmp_path / "images" / "m-001-27.bmp").write_bytes(b"")
    with pytest.raises(ValueError, match=r"m-001-27\.bmp is not named as the AR faces"):
        faces.ar_face(tmp_path)


@pytest.mark.parametrize("name", ["rafd", "ar-face"])
def test_too_few_persons_and_empty_folders_are_refused(name, tmp_path):
    (read,) = [source.read for source in faces.SOURCES if source.name == name]
    with pytest.raises(ValueError, match="there is no folder"):
        read(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        read(tmp_path)
    (tmp_path / "images" / "m-001-01.png").write_bytes(b"")
    if name == "ar-face":
        with pytest.raises(ValueError, match="1 persons cannot be split"):
            read(tmp_path)


# The commands


@pytest.mark.parametrize("name", [source.name for source in faces.SOURCES])
def test_what_is_obtained_by_hand_says_what_goes_where(name, cli, places):
    for command in ("fetch", "verify"):
        error = cli("data", command, name, code=1)
        assert f"put into {places / 'data' / name}: " in error
        assert f"i2i-bench data verify {name} checks it" in error
    assert "licence" in cli("data", "fetch", name, code=1)


def test_verify_tells_what_is_there(cli, places, image):
    make_rafd(places / "data" / "rafd", 10, image)
    output = cli("data", "verify", "rafd")
    assert "rafd: 144 training and 16 test images" in output
    assert "contemptuous: 18 of training, 2 of test" in output


def test_verify_opens_each_image(cli, places, image):
    make_rafd(places / "data" / "rafd", 10, image)
    bad = places / "data" / "rafd" / "images" / "Rafd090_07_Caucasian_female_sad_left.jpg"
    bad.write_bytes(image[: len(image) // 2])
    assert f"{bad} cannot be read as an image" in cli("data", "verify", "rafd", code=1)


@pytest.mark.slow
def test_celeba_is_verified_down_to_its_count(cli, places, image, monkeypatch):
    make_celeba(places / "data" / "celeba", 2005, image)
    assert "2005 images, and CelebA 202599" in cli("data", "verify", "celeba", code=1)
    monkeypatch.setattr(faces, "CELEBA_COUNT", 2005)
    assert "celeba: 6 training and 1999 test images" in cli("data", "verify", "celeba")

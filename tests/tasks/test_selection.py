"""Selections of labelled sets: their images, what is known of these, and their names."""

import numpy as np
import pytest
from face_sets import NAMES, make_celeba, make_rafd
from PIL import Image

from i2i_bench.labels import EVERY
from i2i_bench.model import Needs
from i2i_bench.records.folders import Places, write_run_file
from i2i_bench.runs.find import find_task_of_run
from i2i_bench.runs.plan import full_argument, require_task
from i2i_bench.tasks import catalogue, faces
from i2i_bench.tasks.selection import LONGEST_NAME

ICGAN = (
    "Bald,Bangs,Black_Hair,Blond_Hair,Brown_Hair,Bushy_Eyebrows,Eyeglasses,Gray_Hair,Heavy_Makeup,"
    "Male,Mouth_Slightly_Open,Mustache,Pale_Skin,Receding_Hairline,Smiling,Straight_Hair,Wavy_Hair,"
    "Wearing_Hat"
)


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """Make CelebA of 60 and RaFD of 20 persons; give the folder of data, and CelebA's values."""
    data = tmp_path_factory.mktemp("data")
    make_rafd(data / "rafd", 20)
    return data, make_celeba(data / "celeba", 60)


@pytest.fixture(autouse=True)
def small_celeba(monkeypatch):
    monkeypatch.setattr(faces, "CELEBA_COUNT", 60)
    monkeypatch.setattr(faces, "CELEBA_TEST", 24)


def names_of(images):
    return [image.name for image in images]


def pixels(image):
    return np.asarray(image.read())


def test_any_attribute_of_celeba_makes_two_domains(by_hand):
    data, values = by_hand
    task = catalogue.find_task("celeba:Smiling", data)
    assert (task.name, task.kind, task.domains) == ("celeba.Smiling", "catalogued", ("a", "b"))
    assert (task.version, task.headline, task.attributes) == (1, "kid", ())
    whole = catalogue.find_task("celeba", data)
    for split, counts in (("train", task.num_train), ("test", task.num_test)):
        held = {domain: names_of(task.images(split, domain)) for domain in "ab"}
        assert sorted(held["a"] + held["b"]) == names_of(whole.images(split, EVERY))
        assert counts == {domain: len(found) for domain, found in held.items()}
        smiles = {
            domain: {values[name][NAMES.index("Smiling")] for name in found}
            for domain, found in held.items()
        }
        assert smiles == {"a": {-1}, "b": {1}}
    assert task.truth("a", "b") is None and task.labels("test", "a") is None


def test_some_attributes_of_celeba_are_its_labels_in_the_order_of_the_set(by_hand):
    data, values = by_hand
    task = catalogue.find_task("celeba:Male,Gray_Hair,Bald,Black_Hair", data)
    chosen = ("Bald", "Black_Hair", "Gray_Hair", "Male")
    assert (task.name, task.attributes) == ("celeba.Bald,Black_Hair,Gray_Hair,Male", chosen)
    assert task.exclusive == (("Black_Hair", "Gray_Hair"),)
    labels = task.labels("test", "+Male")
    assert labels and task.num_test == {EVERY: 24}
    for image, label in zip(task.images("test", "+Male"), labels, strict=True):
        assert label == tuple(int(values[image.name][NAMES.index(n)] == 1) for n in chosen)
        assert label[-1] == 1


def test_two_classes_are_two_domains_with_the_truth_that_the_set_knows(by_hand):
    task = catalogue.find_task("rafd:neutral2happy", by_hand[0])
    assert (task.name, task.num_test) == ("rafd.neutral2happy", {"a": 4, "b": 4})
    assert all("_neutral_" in name for name in names_of(task.images("train", "a")))
    for source, target in ("ab", "ba"):
        truth = task.truth(source, target)
        assert truth and [n.replace("happy", "neutral") for n in names_of(truth)] == [
            n.replace("happy", "neutral") for n in names_of(task.images("test", source))
        ]
        assert not set(names_of(truth)) & set(names_of(task.images("test", source)))


def test_some_classes_are_a_labelled_task_without_images_of_the_others(by_hand):
    task = catalogue.find_task("rafd:happy,sad,angry", by_hand[0])
    assert task.attributes == ("angry", "happy", "sad") and task.exclusive == (task.attributes,)
    assert task.num_test == {EVERY: 2 * 2 * 3}
    others = task.images("test", "-happy")
    assert {name.split("_")[4] for name in names_of(others)} == {"angry", "sad"}
    labels, truth = task.labels("test", "-happy"), task.truth("-happy", "+happy")
    assert labels and set(labels) == {(1, 0, 0), (0, 0, 1)} and truth
    assert len(truth) == len(others) and all("_happy_" in name for name in names_of(truth))


@pytest.mark.parametrize(
    ("typed", "ends", "whole"),
    [
        ("shapes-attributes:cold", ("-cold", "+cold"), "shapes-attributes"),
        ("shapes-domains:plain2cold", ("plain", "cold"), "shapes-domains"),
    ],
)
def test_what_the_embedded_set_knows_follows(typed, ends, whole, tmp_path):
    task, of = catalogue.find_task(typed, tmp_path), catalogue.EMBEDDED[whole]
    assert (task.num_train, task.num_test) == ({"a": 1000, "b": 1000}, {"a": 100, "b": 100})
    assert (task.headline, task.has_masks) == ("psnr_foreground", True)
    truth, theirs = task.truth("b", "a"), of.truth(ends[1], ends[0])
    changed, expected = task.foreground("b", "a"), of.foreground(ends[1], ends[0])
    masks, right = task.instance_masks("test", "b"), task.true_masks("b", "a")
    assert truth and theirs and changed and expected and masks and right
    assert len(truth) == len(changed) == len(masks) == len(right) == 100
    np.testing.assert_array_equal(pixels(truth[7]), pixels(theirs[7]))
    np.testing.assert_array_equal(changed[7], expected[7])
    source = pixels(task.images("test", "b")[7])
    differs = (source != pixels(truth[7])).any(axis=-1)
    assert differs.any() and not (differs & ~changed[7]).any()


@pytest.fixture
def pets(tmp_path):
    """Give a folder of three domains."""
    for split in ("train", "test"):
        for number, domain in enumerate(("happy", "sad", "calm")):
            (tmp_path / "pets" / split / domain).mkdir(parents=True)
            for index in range(number + 1):
                Image.new("RGB", (8, 8), (number, index, 0)).save(
                    tmp_path / "pets" / split / domain / f"{index}.png"
                )
    return tmp_path / "pets"


def test_domains_of_a_folder_are_selected_by_its_path(pets, tmp_path):
    typed = f"{pets}:happy2sad"
    task = catalogue.find_task(typed, tmp_path)
    assert task.name == f"{catalogue.find_task(str(pets), tmp_path).name}.happy2sad"
    assert task.num_train == {"a": 1, "b": 2} and task.kind == "folder"
    assert catalogue.task_name_of(typed) == task.name
    with pytest.raises(ValueError, match=r"did you mean 'happy2sad'\? possible: calm, happy, sad"):
        catalogue.find_task(f"{pets}:happy2sat", tmp_path)


def test_a_folder_may_be_named_as_a_set_with_a_full_stop(pets, monkeypatch):
    monkeypatch.chdir(pets.parent)
    pets.rename(pets.parent / "celeba.small")
    assert catalogue.find_task("celeba.small", pets).name.startswith("folder-celeba.small-")
    assert catalogue.task_name_of("celeba.small").startswith("folder-celeba.small-")


def test_a_run_notes_what_finds_its_selection_from_anywhere(pets, tmp_path, monkeypatch):
    places = Places(tmp_path, tmp_path, tmp_path)
    for typed, noted in (
        ("pets:happy2sad", f"{pets}:happy2sad"),
        ("shapes-attributes:cold", "shapes-attributes.cold"),
    ):
        monkeypatch.chdir(tmp_path)
        task = catalogue.find_task(typed, tmp_path)
        argument = full_argument(typed, task)
        assert argument == noted
        write_run_file(tmp_path / "run", argument, is_finished=False)
        monkeypatch.chdir("/")
        found, again = find_task_of_run(tmp_path / "run", None, places)
        assert (found.name, found.domains, again) == (task.name, ("a", "b"), argument)
    write_run_file(tmp_path / "run", f"{tmp_path}/no-pets:happy2sad", is_finished=False)
    with pytest.raises(ValueError, match="pets:happy2sad, which are not there; --task FOLDER"):
        find_task_of_run(tmp_path / "run", None, places)


def test_a_model_of_two_domains_is_told_of_one_selection(tmp_path):
    task = catalogue.find_task("shapes-attributes", tmp_path)
    with pytest.raises(ValueError, match=r"has labels: .*; shapes-attributes:cross is of two; "):
        require_task("cyclegan", Needs(), task)


@pytest.mark.parametrize("typed", ["celeba:Smiling", "rafd:neutral2happy", f"celeba:{ICGAN}"])
def test_the_name_for_files_finds_the_selection_again(typed):
    name = catalogue.task_name_of(typed)
    assert ":" not in name and len(name) <= LONGEST_NAME
    assert catalogue.find_selection(name) == catalogue.find_selection(typed)
    assert catalogue.task_name_of(name) == name and catalogue.typed_name(name) == typed


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("celeba:Smilling", "no Smilling in task celeba; did you mean 'Smiling'.* possible: 5_o_"),
        ("celeba:", r"nothing is selected .* as in celeba:Young or celeba:Male,Young"),
        ("rafd:neutral2hapy", "did you mean 'neutral2happy'"),
        ("rafd:happy", "one class of rafd, .* as in rafd:angry2happy"),
        ("celeba:Young2Male", "those without and with Male are celeba:Male"),
        ("celeba:Blond_Hair,Gray_Hair", "Blond_Hair and Gray_Hair exclude each other"),
        ("shapes-attributes:cross,striped,cold", "that is shapes-attributes$"),
        ("horse2zebra:zebra", "'horse2zebra' has no labels"),
        ("celba:Smiling", "unknown task 'celba:Smiling'; did you mean 'celeba'"),
        ("celeba:Smiling", "task 'celeba' cannot be run yet"),
    ],
)
def test_what_cannot_be_selected_is_refused_with_what_can(typed, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        catalogue.find_task(typed, tmp_path)


def test_an_attribute_that_no_image_has_is_refused_by_name(tmp_path, monkeypatch):
    make_celeba(tmp_path / "celeba", 60)
    path = tmp_path / "celeba" / "list_attr_celeba.txt"
    lines = path.read_text().splitlines()
    rows = [line.split() for line in lines[2:]]
    bald = NAMES.index("Bald") + 1
    lines[2:] = [" ".join([*row[:bald], "-1", *row[bald + 1 :]]) for row in rows]
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"task celeba has no train image of \+Bald"):
        catalogue.find_task("celeba:Bald", tmp_path)
    assert catalogue.find_task("celeba:Smiling", tmp_path).num_train["b"] > 0


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate"],
        ["translate", "images", "out", "--run"],
        ["figure", "masks"],
        ["figure", "evolution"],
        ["figure", "styles"],
        ["figure", "comparison"],
    ],
    ids=" ".join,
)
def test_commands_find_a_run_of_a_selection_as_it_is_typed(cli, places, words):
    for typed in ("celeba:Smiling", f"celeba:{ICGAN}"):
        folder = places / "runs" / catalogue.task_name_of(typed) / "unit" / "seed0"
        folder.mkdir(parents=True)
        said = cli(*words, f"{typed}/unit/seed0", code=1)
        assert str(folder) in said or f"{folder.relative_to(places / 'runs')} is not" in said


def test_compare_finds_records_of_a_selection_as_it_is_typed(cli, places):
    (places / "runs" / "celeba.Smiling" / "unit" / "seed0").mkdir(parents=True)
    said = cli("compare", "celeba:Smiling/unit/seed0", "celeba:Smiling/unit/seed1", code=1)
    assert said.startswith("celeba.Smiling/unit/seed0 is not finished")


def test_only_names_of_runs_are_named_anew(tmp_path):
    for text in (
        "run",
        f"{tmp_path}/runs:1/x/seed0",
        "celeba.Smiling/unit/seed0",
        "celeba/x/seed0",
    ):
        assert catalogue.recorded_name(text) == text
    with pytest.raises(ValueError, match="did you mean 'Smiling'"):
        catalogue.recorded_name("celeba:Smilling/unit/seed0")


def test_tasks_says_how_selections_are_typed(cli):
    shown = cli("tasks")
    assert "celeba:Young (without and with), celeba:Male,Young (labels); any of 5_o_Clock" in shown
    assert "ar-face:neutral2smile (two classes), ar-face:neutral,smile (labels)" in shown
    assert "are those of task 'celeba'" in cli("data", "verify", "celeba:Smiling", code=1)

"""What labels say: which images they choose, what a change makes of them, what is refused."""

import pytest

from i2i_bench.labels import Labels

CELEBA = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
FACES = Labels(CELEBA, (CELEBA[:3],))
MOODS = Labels(("happy", "neutral", "sad"), (("happy", "neutral", "sad"),))


@pytest.mark.parametrize("position", range(5))
def test_changed_labels_are_those_of_the_authors(golden, position):
    """The authors set a hair colour and clear the others; they flip any other attribute."""
    numbers = golden("stargan").io
    for before, truth in zip(
        numbers["probe/c_org"], numbers[f"test_labels/celeba_{position}"], strict=True
    ):
        label = tuple(int(value) for value in before)
        sign = "-" if position > 2 and label[position] else "+"
        changed = FACES.changed(label, f"{sign}{CELEBA[position]}")
        assert changed == tuple(int(value) for value in truth)


def test_scored_changes_are_every_addition_and_what_can_be_taken_away():
    names = [target for _, target in FACES.changes()]
    hair = ["+Black_Hair", "+Blond_Hair", "+Brown_Hair"]
    assert names == [*hair, "+Male", "-Male", "+Young", "-Young"]
    assert [target for _, target in MOODS.changes()] == ["+happy", "+neutral", "+sad"]
    assert all(source[0] != target[0] for source, target in FACES.changes())


def test_pairs_are_of_domains_alone():
    assert len(list(MOODS.pairs())) == 6
    assert ("neutral", "happy") in MOODS.pairs()
    assert list(FACES.pairs()) == []


@pytest.mark.parametrize(
    ("domain", "chosen"),
    [("+Male", [True, False]), ("-Male", [False, True]), ("+Young", [False, True])],
)
def test_domains_are_the_images_with_and_without(domain, chosen):
    labels = [(0, 1, 0, 1, 0), (0, 0, 0, 0, 1)]
    assert [FACES.chooses(domain, label) for label in labels] == chosen


def test_a_domain_has_a_name_of_its_own_where_images_have_one():
    assert MOODS.chooses("sad", (0, 0, 1))
    assert MOODS.changed((0, 0, 1), "happy") == MOODS.changed((0, 0, 1), "+happy") == (1, 0, 0)
    with pytest.raises(ValueError, match=r"images with Male are \+Male, those without are -Male"):
        FACES.chooses("Male", (0,) * 5)


@pytest.mark.parametrize(
    ("labels", "text", "expected"),
    [
        (FACES, "Blond_Hair, Young", (0, 1, 0, 0, 1)),
        (FACES, "", (0, 0, 0, 0, 0)),
        (MOODS, "sad", (0, 0, 1)),
    ],
)
def test_labels_are_read_by_name(labels, text, expected):
    assert labels.read(text) == expected


@pytest.mark.parametrize(
    ("labels", "text", "message"),
    [
        (FACES, "Blond_Hai", "no attribute Blond_Hai; did you mean 'Blond_Hair'"),
        (FACES, "Blond_Hair,Black_Hair", "Black_Hair and Blond_Hair exclude each other"),
        (MOODS, "", "one of happy, neutral, sad; none was given"),
    ],
)
def test_impossible_labels_are_refused(labels, text, message):
    with pytest.raises(ValueError, match=message):
        labels.read(text)


@pytest.mark.parametrize(
    ("attributes", "exclusive", "message"),
    [
        (("happy", "hap py"), (), "'hap py' is not a name"),
        (("x", "x"), (), "would be named x; rename"),
        (("a", "a2b", "b2a", "b"), None, "would be named a2b"),
        (("x", "y"), (("x", "z"),), "no attribute z; possible: x, y"),
    ],
)
def test_impossible_names_are_refused(attributes, exclusive, message):
    with pytest.raises(ValueError, match=message):
        Labels(attributes, (attributes,) if exclusive is None else exclusive)

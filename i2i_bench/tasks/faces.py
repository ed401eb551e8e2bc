"""Faces that only their publishers may hand out: CelebA, RaFD and AR Face.

A further set is a further ``ByHand`` in ``SOURCES``.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from i2i_bench.labels import Labels
from i2i_bench.tasks.by_hand import ByHand, Labelled, LabelledFile
from i2i_bench.tasks.image_file import SUFFIXES

FACE_SIZE = 128  # pixels, to which the authors of StarGAN resize faces
CELEBA_LIST, CELEBA_IMAGES = "list_attr_celeba.txt", "img_align_celeba"  # as published
CELEBA_COUNT = 202_599
CELEBA_NAMES = (  # in the order of the list
    *("5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs"),
    *("Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair"),
    *("Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair"),
    *("Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache"),
    *("Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline"),
    *("Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings"),
    *("Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young"),
)
CELEBA_ATTRIBUTES = len(CELEBA_NAMES)
CELEBA_HAIR = (  # one at most in a test label, yunjey/stargan
    *("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"),
)
CELEBA_CHOSEN = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")  # yunjey/stargan
CELEBA_CROP = 178  # pixels in the middle of an aligned image, yunjey/stargan
CELEBA_SEED, CELEBA_TEST = 1234, 1999  # yunjey/stargan: the list is shuffled, its start is the test

RAFD_EXPRESSIONS = (
    *("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised"),
)
AR_EXPRESSIONS = ("neutral", "smile", "anger", "scream")  # photos 1 to 4, and 14 to 17 of a person
PERSONS_FOR_ONE_IN_TEST = 10

_LARGEST_LIST = 2**26  # bytes; the true one has 25 million
_RAFD = re.compile(
    r"Rafd(?P<angle>\d{3})_(?P<person>\d{2})_[A-Za-z]+_(?:fe)?male_"
    rf"(?P<expression>{'|'.join(RAFD_EXPRESSIONS)})_(?P<gaze>frontal|left|right)"
)
_AR = re.compile(r"(?P<person>[mw]-\d{1,3})-(?P<photo>\d{1,2})", re.IGNORECASE)


def celeba(folder: Path, chosen: Sequence[str] | None = CELEBA_CHOSEN) -> Labelled:
    """Read CelebA's list of attributes, and split its images as StarGAN does.

    The rows are shuffled by Python's generator from seed 1234; the first 1,999 are the test set
    (yunjey/stargan 94dd002).

    Args:
        folder: With ``list_attr_celeba.txt`` and ``img_align_celeba``.
        chosen: Attributes to keep, in this order; None for all that the list has.

    Raises:
        ValueError: If the list is damaged, an attribute is not in it, or an image is missing.
    """
    names, rows = _read_celeba_list(folder / CELEBA_LIST)
    chosen = names if chosen is None else chosen
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ValueError(f"{CELEBA_LIST} has no attribute {unknown[0]}; it has {', '.join(names)}")
    columns = [names.index(name) for name in chosen]
    images = folder / CELEBA_IMAGES
    present = {path.name for path in images.iterdir()} if images.is_dir() else set()
    missing = [file for file, _ in rows if file not in present]
    if missing:
        raise ValueError(
            f"{images} lacks {len(missing)} of the {len(rows)} images that {CELEBA_LIST} names, "
            f"first {missing[0]}"
        )
    files = [LabelledFile(images / file, tuple(row[i] for i in columns)) for file, row in rows]
    random.Random(CELEBA_SEED).shuffle(files)
    hair = tuple(name for name in chosen if name in CELEBA_HAIR)
    return Labelled(
        tuple(chosen),
        tuple(files[CELEBA_TEST:]),
        tuple(files[:CELEBA_TEST]),
        (hair,) if len(hair) > 1 else (),
    )


def _read_celeba_list(path: Path) -> tuple[list[str], list[tuple[str, list[int]]]]:
    """Give the names of the attributes, and each image with its 0 or 1 for all of them."""
    if not path.is_file():
        raise ValueError(f"there is no {path}")
    if path.stat().st_size > _LARGEST_LIST:
        raise ValueError(f"{path} is larger than {_LARGEST_LIST} bytes, which is not CelebA's list")
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not CelebA's text file; get it again") from None
    if len(lines) < 2 or not lines[0].strip().isdecimal():
        raise ValueError(f"{path} does not begin with the number of images and the attributes")
    names = lines[1].split()
    if len(set(names)) != CELEBA_ATTRIBUTES or len(names) != CELEBA_ATTRIBUTES:
        raise ValueError(f"{path} names {len(set(names))} attributes, not {CELEBA_ATTRIBUTES}")
    rows = [_celeba_row(path, number, line) for number, line in enumerate(lines[2:], start=3)]
    if len(rows) != int(lines[0]):
        raise ValueError(f"{path} has {len(rows)} rows and announces {lines[0].strip()}")
    if len({file for file, _ in rows}) != len(rows):
        twice = next(file for file, count in Counter(file for file, _ in rows).items() if count > 1)
        raise ValueError(f"{path} names {twice} twice")
    return names, rows


def _celeba_row(path: Path, number: int, line: str) -> tuple[str, list[int]]:
    name, *values = line.split() or [""]
    is_sound = len(values) == CELEBA_ATTRIBUTES and set(values) <= {"-1", "1"}
    if not is_sound or not re.fullmatch(r"\d{6}\.(jpg|png)", name):
        raise ValueError(
            f"{path}, line {number}: not a file name such as 000001.jpg and {CELEBA_ATTRIBUTES} "
            "values of 1 or -1"
        )
    return name, [int(value == "1") for value in values]


def rafd(folder: Path) -> Labelled:
    """Read the Radboud Faces by the names of their files, and split them by person.

    No split is published. Here every tenth person is in the test set, so that nobody is in both.

    Args:
        folder: With ``images``, which holds files such as
            ``Rafd090_01_Caucasian_female_angry_frontal.jpg``.

    Raises:
        ValueError: If a name is of another kind, or an expression of somebody is missing.
    """
    people: dict[str, list[LabelledFile]] = defaultdict(list)
    views: dict[str, set[str]] = defaultdict(set)
    for path in _list(folder / "images"):
        match = _RAFD.fullmatch(path.stem)
        if not match:
            raise ValueError(
                f"{path} is not named as the Radboud Faces are, such as "
                "Rafd090_01_Caucasian_female_angry_frontal.jpg"
            )
        expression = match["expression"]
        view = f"angle {match['angle']}, person {match['person']}, gaze {match['gaze']}"
        if expression in views[view]:
            raise ValueError(f"{folder / 'images'} has {expression} of {view} twice; remove one")
        views[view].add(expression)
        labels = _one_hot(RAFD_EXPRESSIONS, expression)
        people[match["person"]].append(LabelledFile(path, labels, view, match["person"]))
    for view, found in sorted(views.items()):
        if missing := [each for each in RAFD_EXPRESSIONS if each not in found]:
            raise ValueError(f"{folder / 'images'} lacks {' '.join(missing)} of {view}")
    return _by_person(RAFD_EXPRESSIONS, people)


def ar_face(folder: Path) -> Labelled:
    """Read the four expressions of the AR Face Database, and split them by person.

    Each person has up to two sessions of 13 photos; 1 to 4 and 14 to 17 show the expressions, the
    others light, glasses and scarves, and are left out. No split is published. Here every tenth
    person is in the test set, so that nobody is in both.

    Args:
        folder: With ``images``, which holds files such as ``m-001-01.png``.

    Raises:
        ValueError: If a name is of another kind.
    """
    people: dict[str, list[LabelledFile]] = defaultdict(list)
    for path in _list(folder / "images"):
        match = _AR.fullmatch(path.stem)
        if not match or not 1 <= int(match["photo"]) <= 26:
            raise ValueError(
                f"{path} is not named as the AR faces are: m or w for the sex, the person, and the "
                "photo from 1 to 26, such as m-001-01.png"
            )
        photo = (int(match["photo"]) - 1) % 13
        if photo < len(AR_EXPRESSIONS):
            labels = _one_hot(AR_EXPRESSIONS, AR_EXPRESSIONS[photo])
            person = match["person"].lower()
            view = f"{person}, session {(int(match['photo']) - 1) // 13 + 1}"
            if any((file.view, file.labels) == (view, labels) for file in people[person]):
                raise ValueError(f"{path} is there twice; remove one of the two")
            people[person].append(LabelledFile(path, labels, view, person))
    return _by_person(AR_EXPRESSIONS, people)


def _list(folder: Path) -> list[Path]:
    """List the images of a folder by name."""
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    if not found:
        raise ValueError(f"{folder} holds no images")
    return sorted(path for path in found if not path.name.startswith("."))


def _one_hot(names: Sequence[str], name: str) -> tuple[int, ...]:
    return tuple(int(each == name) for each in names)


def _by_person(names: Sequence[str], people: dict[str, list[LabelledFile]]) -> Labelled:
    """Put every tenth person into the test set, and the others into the training set."""
    tested = sorted(people)[PERSONS_FOR_ONE_IN_TEST - 1 :: PERSONS_FOR_ONE_IN_TEST]
    train = [file for person in sorted(people) if person not in tested for file in people[person]]
    test = [file for person in tested for file in people[person]]
    if not train or not test:
        raise ValueError(
            f"{len(people)} persons cannot be split; at least {PERSONS_FOR_ONE_IN_TEST} are needed"
        )
    return Labelled(tuple(names), tuple(train), tuple(test), (tuple(names),))


def _whole_celeba(folder: Path) -> Labelled:
    """Read CelebA with all attributes, if all of its images are there."""
    found = celeba(folder, None)
    num_files = len(found.train) + len(found.test)
    if num_files != CELEBA_COUNT:
        raise ValueError(f"{folder} has {num_files} images, and CelebA {CELEBA_COUNT}")
    return found


SOURCES = (
    ByHand(
        name="celeba",
        title="Faces of CelebA by attribute",
        origin="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        licence="CelebA agreement: non-commercial research",
        counts={"train": CELEBA_COUNT - CELEBA_TEST, "test": CELEBA_TEST},
        attributes=CELEBA_CHOSEN,
        exclusive=(tuple(name for name in CELEBA_CHOSEN if name in CELEBA_HAIR),),
        every=Labels(CELEBA_NAMES, (CELEBA_HAIR,)),
        needs="the aligned images and the attribute list, after accepting the CelebA agreement",
        layout=f"{CELEBA_LIST} as published (its first line {CELEBA_COUNT}, then "
        f"{CELEBA_ATTRIBUTES} names of attributes, then a line for each image) and the aligned and "
        f"cropped images 000001.jpg to {CELEBA_COUNT}.jpg in a folder {CELEBA_IMAGES}",
        read=_whole_celeba,
        images=CELEBA_IMAGES,
        size=FACE_SIZE,
        crop=CELEBA_CROP,
    ),
    ByHand(
        name="rafd",
        title="Expressions of the Radboud Faces Database",
        origin="https://rafd.socsci.ru.nl",
        licence="RaFD terms: non-commercial research, on request",
        attributes=RAFD_EXPRESSIONS,
        exclusive=(RAFD_EXPRESSIONS,),
        needs="the images of the Radboud Faces Database, on request of a researcher",
        layout="the photos under their published names, such as "
        "Rafd090_01_Caucasian_female_angry_frontal.jpg, in a folder images, with all eight "
        "expressions of each person, angle and gaze that is there (8040 files are all)",
        read=rafd,
        has_views=True,
        size=FACE_SIZE,
    ),
    ByHand(
        name="ar-face",
        title="Expressions of the AR Face Database",
        origin="AR Face Database, A. M. Martinez and R. Benavente",
        licence="AR Face terms: academic research, on request",
        attributes=AR_EXPRESSIONS,
        exclusive=(AR_EXPRESSIONS,),
        needs="the images of the AR Face Database, on request of a researcher",
        layout="the photos under their published names as png, bmp or jpg, such as m-001-01.png "
        "(m or w, person, photo 1 to 26, of which 1 to 4 and 14 to 17 show expressions), in a "
        "folder images",
        read=ar_face,
        has_views=True,
        size=FACE_SIZE,
    ),
)

"""Parquet as people write it is read, and what is something else is said in a sentence."""

import io
import wave

import pyarrow as pa
import pytest
from hub_server import packed, pair_of, picture, pictures, serve_set, structs
from PIL import Image

from i2i_bench.tasks import catalogue
from i2i_bench.tasks.hub.parquet import read_columns, read_rows

GOOD = pair_of(pictures(2, 20), pictures(2, 30))


def saved(kind, mode="RGB"):
    file = io.BytesIO()
    Image.effect_noise((8, 8), 64).convert(mode).save(file, kind)
    return file.getvalue()


def sound():
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, 8000, 0, "NONE", ""))
        written.writeframes(bytes(200))
    return file.getvalue()


@pytest.fixture
def train(cli, places, hub):
    """A function that fetches a set with these training rows; gives its folder, or the refusal."""

    def fetch(content, code=0):
        serve_set(hub, "me/own", {"data/train-0.parquet": content, "data/test-0.parquet": GOOD})
        said = cli("data", "fetch", "hf:me/own", "--yes", code=code)
        if code:
            assert ".part" not in said and not list((places / "data").rglob("*.png"))
            return said
        return catalogue.find_source("hf:me/own", places / "data").place(places / "data")

    return fetch


@pytest.mark.parametrize(
    "column",
    [
        pa.array(pictures(2), pa.binary()),
        pa.array(pictures(2), pa.large_binary()),
        pa.array(pictures(2), pa.binary_view()),
        structs(pictures(2), ["/home/x/one.png", "C:\\\\pics\\\\two.PNG"]),
        pa.array([{"path": None, "bytes": image} for image in pictures(2)]),
        pa.chunked_array([structs(pictures(1)), structs(pictures(1, 1))]),
    ],
    ids=["binary", "large", "view", "paths", "swapped", "chunks"],
)
def test_every_way_to_hold_images_is_read(column, train):
    folder = train(
        packed({"imageA": column, "imageB": structs(pictures(2, 10)), "note": ["x", "y"]})
    )
    assert [path.read_bytes() for path in sorted((folder / "trainA").iterdir())] == pictures(2)


def test_files_get_their_own_names_or_endings_by_content(train):
    kinds = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
    a = structs([saved(kind) for kind in kinds], [None] * len(kinds))
    named = structs(pictures(5, 40), [f"sub/{n}.jpg" for n in "vwxyz"])
    folder = train(packed({"imageA": a, "imageB": named}))
    endings = [path.suffix for path in sorted((folder / "trainA").iterdir())]
    assert endings == [".png", ".jpg", ".webp", ".bmp", ".tif"]
    assert sorted(path.name for path in (folder / "trainB").iterdir()) == [
        f"{n}.jpg" for n in "vwxyz"
    ]


@pytest.mark.parametrize(
    "paths", [["a.png", "a.jpg"], ["../.png", "b.png"], ["a.txt", "b.png"], ["\n.png", "b.png"]]
)
def test_names_that_cannot_be_are_numbers(paths, train):
    folder = train(
        packed({"imageA": structs(pictures(2), paths), "imageB": structs(pictures(2, 10))})
    )
    assert {path.name for path in (folder / "trainA").iterdir()} == {"000000.png", "000001.png"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (GOOD[: len(GOOD) // 2], "parquet file data/train-0.parquet is damaged or no parquet: "),
        (GOOD[:300] + b"\xff" * 60 + GOOD[360:], "data/train-0.parquet"),
        (b"PAR1" + bytes(40) + b"PAR1", "parquet file data/train-0.parquet is damaged"),
        (b"<html>please log in</html>", "it is a web page, perhaps of a login"),
        (b"text", "parquet file data/train-0.parquet is damaged"),
        (
            pair_of([picture(0), b"junk"], pictures(2, 10)),
            "row 1 of data/train-0.parquet, column imageA cannot be read as an image",
        ),
        (
            pair_of([picture(0), saved("PNG", "I;16")], pictures(2, 10)),
            "trainA/000001.png has 16-bit",
        ),
        (pair_of([picture(0)[:90]], pictures(1)), "trainA/000000.png cannot be read as an image"),
        (
            pair_of([None, None], pictures(2)),
            "column imageA of data/train-0.parquet holds no image",
        ),
        (
            packed({"a": structs([None], ["/x/one.png"]), "b": structs(pictures(1))}),
            "names the file '/x/one.png' in column a and does not hold it",
        ),
        (packed({"a": ["x.png"], "b": ["y.png"]}), "has none among a, b"),
        (packed({"image": structs(pictures(2))}), "one column of images, image, and no label"),
        (
            packed({"image": structs(pictures(2)), "label": [0, 1], "class": ["x", "y"]}),
            "several labels: label, class",
        ),
        (
            packed({"image": structs(pictures(2)), "label": ["a/b", "a-b"]}),
            "has the label 'a-b', which cannot be the name of a folder",
        ),
        (
            packed(
                {"image": structs(pictures(2)), "label": [0, 7]}, {"label": {"names": ["x", "y"]}}
            ),
            "has the label 7, and there are 2: x, y",
        ),
        (
            packed(
                {"image": structs(pictures(2)), "sound": structs([sound()] * 2)},
                {"sound": {"_type": "Audio"}},
            ),
            "one column of images, image, and no label",
        ),
    ],
)
def test_what_is_no_set_of_images_is_said_in_a_sentence(content, words, train):
    assert words in train(content, code=1)


def test_test_files_must_have_the_columns_of_the_training_files(cli, hub):
    other = packed({"x": structs(pictures(2)), "y": structs(pictures(2))})
    serve_set(hub, "me/own", {"train.parquet": GOOD, "test.parquet": other})
    error = cli("data", "fetch", "hf:me/own", "--yes", code=1)
    assert "parquet file test.parquet has no column 'imageA', or several; it has 'x', 'y'" in error


def test_a_set_without_a_split_is_no_task(cli, hub):
    serve_set(hub, "me/own", {"data/train-0.parquet": GOOD})
    error = cli("data", "fetch", "hf:me/own", "--yes", code=1)
    assert "has no test split (configuration default; there: train)" in error


def test_rows_come_in_order_whatever_the_row_groups(tmp_path):
    images = pictures(23)
    (tmp_path / "x").write_bytes(packed({"image": structs(images), "label": list(range(23))}))
    columns = read_columns(tmp_path / "x", "x")
    assert columns.images == ("image",) and list(columns.labels) == ["label"]
    rows = list(read_rows(tmp_path / "x", "x", ["image"], "label"))
    assert [row.images[0].content for row in rows] == images
    assert [(row.number, row.label) for row in rows] == [(n, n) for n in range(23)]

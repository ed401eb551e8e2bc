"""Data sets of the Hugging Face hub as sources of catalogued tasks, and by their own names."""

import dataclasses
import json

import pytest
from hub_server import COMMIT, CONVERTED, packed, pair_of, pictures, serve_set, structs

from i2i_bench.tasks import catalogue
from i2i_bench.tasks.published import Published

FOLDERS = ("trainA", "trainB", "testA", "testB")
COUNTS = {"trainA": 4, "trainB": 6, "testA": 2, "testB": 3}


@pytest.fixture
def small(hub, monkeypatch):
    """A catalogued task ``small`` that an archive nobody serves holds, and a set of the hub."""
    source = Published(
        name="small",
        title="Some",
        origin="the publisher",
        licence="free",
        counts=COUNTS,
        archive="small.zip",
        urls=(f"{hub.url}/small.zip", "hf:some/small"),
    )
    monkeypatch.setitem(catalogue.sources(), "small", source)
    serve_set(hub, "some/small", two_columns())
    return source


def two_columns():
    """Give files of which the shorter column is filled up by repeats, as huggan's are."""
    a, b = pictures(4), pictures(6, 10)
    c, d = pictures(2, 20), pictures(3, 30)
    return {
        "data/train-00000-of-00001.parquet": pair_of([*a, a[1], a[0]], b),
        "data/test-00000-of-00001.parquet": pair_of([*c, c[1]], d),
    }


def found_images(folder):
    return {name: [p.read_bytes() for p in sorted((folder / name).iterdir())] for name in FOLDERS}


# The catalogue


def test_where_no_address_gives_the_archive_the_hub_does(cli, places, small, caplog):
    output = cli("data", "fetch", "small", "--yes")
    assert f"{small.urls[0]} or hf:some/small" in output and "size: 0.0 MB" in output
    assert "small is complete: trainA 4, trainB 6, testA 2, testB 3" in output
    assert found_images(places / "data" / "small") == {
        "trainA": pictures(4),
        "trainB": pictures(6, 10),
        "testA": pictures(2, 20),
        "testB": pictures(3, 30),
    }
    said = (
        "rows hold an image that an earlier row holds; each is kept once: 1 of testA, 2 of trainA"
    )
    assert said in caplog.text and "small.zip: 404" in caplog.text
    assert "fetching hf:some/small in its place" in caplog.text
    known = json.loads((places / "data" / "known.json").read_text())
    assert known["small"]["origin"] == f"hf:some/small@{COMMIT}"
    assert {p.name for p in (places / "data").iterdir()} == {"small", "known.json"}


def test_images_published_twice_are_kept_where_as_many_are_expected(cli, places, small, hub):
    a = [*pictures(3), pictures(1)[0]]  # published so, and filled up by two more
    files = two_columns() | {"data/train-0.parquet": pair_of([*a, a[2], a[1]], pictures(6, 10))}
    files.pop("data/train-00000-of-00001.parquet")
    serve_set(hub, "some/small", files)
    cli("data", "fetch", "small", "--yes")
    assert found_images(places / "data" / "small")["trainA"] == a


def test_another_number_of_images_is_refused_whole(cli, places, small, hub):
    files = two_columns()
    files["data/test-00000-of-00001.parquet"] = pair_of(pictures(3, 20), pictures(3, 30))
    serve_set(hub, "some/small", files)
    error = cli("data", "fetch", "small", "--yes", code=1)
    assert "small.zip: 404" in error and "testA has 3 images (2 expected)" in error
    assert list((places / "data").iterdir()) == []


def test_two_configurations_with_a_column_each_are_two_domains(cli, places, small, hub):
    named = [f"n{number}.png" for number in range(4)]
    converted = {
        "horse/train/0000.parquet": packed({"image": structs(pictures(4), named)}),
        "horse/test/0000.parquet": packed({"image": structs(pictures(2, 20))}),
        "zebra/train/0000.parquet": packed({"image": structs(pictures(6, 10))}),
        "zebra/test/0000.parquet": packed({"image": structs(pictures(3, 30))}),
    }
    serve_set(hub, "other/small", {"load.py": b"x"})
    serve_set(hub, "other/small", converted, revision=CONVERTED, commit="c0ffee")
    cli("data", "fetch", "small", "--yes", "--url", "hf:other/small")
    found = places / "data" / "small"
    assert found_images(found)["testB"] == pictures(3, 30)
    assert sorted(path.name for path in (found / "trainA").iterdir()) == named
    assert {path.name for path in (found / "testA").iterdir()} == {"000000.png", "000001.png"}


def test_pairs_stay_pairs(cli, places, small, hub, monkeypatch):
    counts = dict(zip(FOLDERS, (3, 3, 2, 2), strict=True))
    pairs = dataclasses.replace(small, paired=True, counts=counts)
    monkeypatch.setitem(catalogue.sources(), "small", pairs)
    a, b = pictures(3), pictures(3, 10)
    files = {
        "train.parquet": pair_of([a[0], a[0], a[2], a[0]], [b[0], b[1], b[2], b[0]]),
        "val.parquet": pair_of(pictures(2, 20), pictures(2, 30)),
    }
    serve_set(hub, "some/small", files)
    cli("data", "fetch", "small", "--yes")
    task = catalogue.find_task("small", places / "data")
    found = found_images(places / "data" / "small")
    assert task.paired and found["trainA"] == [a[0], a[0], a[2]] and found["trainB"] == b
    names = [image.name for image in task.images("train", "b")]
    assert names == ["000000.png", "000001.png", "000002.png"]


@pytest.mark.parametrize("source", catalogue.sources().values(), ids=catalogue.sources())
def test_sets_of_the_hub_in_the_catalogue_have_two_domains(source):
    for url in getattr(source, "urls", ()):
        if url.startswith("hf:"):
            assert not source.paired and None not in source.counts.values()


# By name


@pytest.fixture
def own(hub):
    """A set ``me/own`` of two columns on the hub."""
    files = {
        "data/train-0.parquet": pair_of([*pictures(4), pictures(1)[0]], pictures(5, 10)),
        "data/test-0.parquet": pair_of([*pictures(1), None], pictures(2, 30)),
    }
    serve_set(hub, "me/own", files, card={"license": "cc-by-4.0"})
    return hub


def test_a_set_is_a_task_named_by_commit_and_content(cli, places, own, caplog):
    with pytest.raises(ValueError, match="i2i-bench data fetch hf:me/own shows its size"):
        catalogue.find_task("hf:me/own", places / "data")
    error = cli("data", "fetch", "hf:me/own", code=1)
    assert "the licence above must be accepted" in error
    output = cli("data", "fetch", "hf:me/own", "--yes")
    assert (
        "licence: cc-by-4.0" in output
        and f"origin: https://huggingface.co/datasets/me/own at {COMMIT}" in output
    )
    for words in ("1 of trainA", "rows are empty and left out: 1 of testA", "as well: 1 of testA"):
        assert words in caplog.text
    own.files.clear()  # nothing more is asked
    task = catalogue.find_task("hf:me/own", places / "data")
    assert task.num_train == {"a": 4, "b": 5} and task.num_test == {"a": 1, "b": 2}
    assert (
        task.name.startswith("hf-me-own-7d40964-")
        and not task.paired
        and task.licence == "cc-by-4.0"
    )
    assert task.argument == f"hf:me/own@{COMMIT}"
    again = catalogue.find_task(task.argument, places / "data")
    assert again.name == task.name == catalogue.task_name_of("hf:me/own", places / "data")
    assert "hf:me/own is there: trainA (imageA) 4" in cli("data", "fetch", "hf:me/own")
    assert "hf:me/own: trainA (imageA) 4" in cli("data", "verify", "hf:me/own")


def test_rows_are_pairs_where_that_is_typed(cli, places, hub):
    a = structs(pictures(3), ["x.png", "y.png", "z.png"])
    b = structs(pictures(3, 10), ["u.png", "v.png", "w.png"])
    test = pair_of(pictures(2, 20), pictures(2, 30))
    serve_set(
        hub, "me/two", {"train.parquet": packed({"imageA": a, "imageB": b}), "test.parquet": test}
    )
    for typed in ("hf:me/two", "hf:me/two:paired"):
        cli("data", "fetch", typed, "--yes")
    alone, pairs = (
        catalogue.find_task(typed, places / "data")
        for typed in ("hf:me/two:unpaired", "hf:me/two:paired")
    )
    assert not alone.paired and alone.name == catalogue.find_task("hf:me/two", places / "data").name
    assert pairs.paired and pairs.name.endswith(".paired") and pairs.headline == "psnr"
    assert catalogue.find_task(pairs.argument, places / "data").name == pairs.name
    found = [image.name for image in pairs.images("train", "b")]
    assert found == [image.name for image in pairs.images("train", "a")]
    assert [image.name for image in alone.images("train", "a")] == ["x.png", "y.png", "z.png"]


def test_an_image_and_a_label_are_a_labelled_task(cli, places, hub):
    labels = {"label": {"_type": "ClassLabel", "names": ["cat", "big dog", "fox"]}}
    train = packed({"image": structs(pictures(6)), "label": [0, 1, 2, 0, 1, -1]}, labels)
    test = packed({"image": structs(pictures(3, 10)), "label": [2, 1, 0]}, labels)
    serve_set(hub, "me/pets", {"data/train-0.parquet": train, "data/test-0.parquet": test})
    cli("data", "fetch", "hf:me/pets", "--yes")
    task = catalogue.find_task("hf:me/pets", places / "data")
    assert task.attributes == ("big-dog", "cat", "fox") and task.num_train == {"all": 5}
    two = catalogue.find_task("hf:me/pets:cat2fox", places / "data")
    assert two.num_train == {"a": 2, "b": 1} and two.name == f"{task.name}.cat2fox"
    again = catalogue.find_task(two.argument, places / "data")
    assert again.name == two.name and "is there" in cli("data", "fetch", "hf:me/pets:cat2fox")


@pytest.mark.parametrize(
    ("names", "domains"),
    [
        (["A", "all", "x_seg"], ("class-A", "class-all", "class-x")),
        (["\u732b", "b c", "\u00fc"], ("b-c", "class-0", "u")),
    ],
)
def test_classes_of_any_name_are_domains(names, domains, cli, places, hub):
    labels = {"label": {"_type": "ClassLabel", "names": names}}
    files = {
        f"{split}.parquet": packed(
            {"image": structs(pictures(3, first)), "label": [0, 1, 2]}, labels
        )
        for split, first in (("train", 0), ("test", 10))
    }
    serve_set(hub, "me/pets", files)
    cli("data", "fetch", "hf:me/pets", "--yes")
    assert catalogue.find_task("hf:me/pets", places / "data").attributes == domains


def test_the_column_a_is_domain_a_wherever_it_is(cli, places, hub):
    def swapped(first):
        return packed({"imageB": pictures(2, first + 5), "imageA": pictures(2, first)})

    serve_set(hub, "me/own", {"train.parquet": swapped(0), "test.parquet": swapped(10)})
    assert "trainA (imageA) 2, trainB (imageB) 2" in cli("data", "fetch", "hf:me/own", "--yes")
    source = catalogue.find_source("hf:me/own", places / "data")
    assert found_images(source.place(places / "data"))["trainA"] == pictures(2)


def test_configurations_and_columns_are_named_where_there_are_many(cli, places, hub):
    def columns(first):
        return {n: pictures(2, first + 5 * i) for i, n in enumerate(("x", "y", "z"))}

    files = {
        f"{config}/{split}-0.parquet": packed(columns(50 * number + 20 * (split == "test")))
        for number, config in enumerate(("one", "two", "three"))
        for split in ("train", "test")
    }
    card = {
        "configs": [
            {
                "config_name": c,
                "data_files": [{"split": s, "path": f"{c}/{s}-*"} for s in ("train", "test")],
            }
            for c in ("one", "two", "three")
        ]
    }
    serve_set(hub, "me/many", files, card=card)
    error = cli("data", "fetch", "hf:me/many", "--yes", code=1)
    assert "has the configurations one, two, three; name one" in error
    error = cli("data", "fetch", "hf:me/many:tow", "--yes", code=1)
    assert "has no configuration 'tow'; possible: one, two, three" in error
    error = cli("data", "fetch", "hf:me/many:two", "--yes", code=1)
    assert "has the columns x, y, z of images" in error
    output = cli("data", "fetch", "hf:me/many:one,two", "--yes", code=1)
    assert "configuration one, has the columns x, y, z" in output
    serve_set(
        hub,
        "me/one",
        {f"{s}.parquet": packed(columns(90 * (s == "test"))) for s in ("train", "test")},
    )
    cli("data", "fetch", "hf:me/one:z,x", "--yes")
    folder = catalogue.find_source("hf:me/one:z,x", places / "data").place(places / "data")
    assert found_images(folder)["trainA"] == pictures(2, 10)

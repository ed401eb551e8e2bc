"""Tasks are fetched whole, verified and under a licence that was shown, or not at all."""

import dataclasses
import hashlib
import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from i2i_bench.system import first_seen
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.hub.name import parse_hub_name
from i2i_bench.tasks.published import Published

FOLDERS = ("trainA", "trainB", "testA", "testB")
COUNTS = (5, 4, 3, 2)
PUBLISHED = [source for source in catalogue.sources().values() if isinstance(source, Published)]


def png(seed, size=(8, 8)):
    pixels = np.random.RandomState(seed).randint(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


PNGS = [png(seed) for seed in range(8)]


def images(counts, top=""):
    """Name as many images as each folder is to hold."""
    pool = itertools.cycle(PNGS)
    return {
        f"{top}{folder}/{folder[-1]}{index}.png": next(pool)
        for folder, count in zip(FOLDERS, counts, strict=True)
        for index in range(count)
    }


def published(name, counts, archive, url, **facts):
    """Give the source of a task, as the catalogue holds them."""
    words = {"title": "Some", "origin": "the publisher", "licence": "free"}
    expected: dict[str, int | None] = dict(zip(FOLDERS, counts, strict=True))
    return Published(name=name, counts=expected, archive=archive, urls=(url,), **words, **facts)


def zipped(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(files):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def small(server, monkeypatch):
    """A catalogued task ``small`` of a few images, on a server, and the server."""
    url = server.serve("/small.zip", zipped(images(COUNTS, "small/")))
    source = published("small", COUNTS, "small.zip", url)
    monkeypatch.setitem(catalogue.sources(), "small", source)
    return server


@pytest.fixture
def pairs(server, monkeypatch):
    """A catalogued paired task ``pairs``, of which no archive is served yet."""
    url = f"{server.url}/pairs.tar.gz"
    source = published("pairs", (2, 2, 1, 1), "pairs.tar.gz", url, paired=True)
    monkeypatch.setitem(catalogue.sources(), "pairs", source)
    return server


def assert_nothing_left(data):
    assert not data.exists() or not list(data.iterdir())


# Fetching


def test_the_folder_appears_whole_and_nothing_else(cli, places, small):
    output = cli("data", "fetch", "small", "--yes")
    assert "trainA 5, trainB 4, testA 3, testB 2" in output
    data = places / "data"
    assert {path.name for path in data.iterdir()} == {"small", first_seen.NAME}
    found = {p.relative_to(data / "small").as_posix(): p for p in data.rglob("*.png")}
    assert {name: path.read_bytes() for name, path in found.items()} == images(COUNTS)
    assert catalogue.find_task("small", data).num_test == {"a": 3, "b": 2}


def test_terms_come_first_and_have_to_be_agreed_to(cli, places, small):
    size = len(small.files["/small.zip"].content)
    error = cli("data", "fetch", "small", code=1)
    assert "licence above must be accepted; --yes does so" in error
    assert {method for method, _, _ in small.asked} == {"HEAD"}
    assert_nothing_left(places / "data")
    output = cli("data", "fetch", "small", "--yes")
    for words in ("licence: free", "origin: the publisher", f"size: {size / 1e6:.1f} MB"):
        assert output.index(words) < output.index("is complete")


def test_what_is_there_needs_no_network(cli, places, small):
    cli("data", "fetch", "small", "--yes")
    small.files.clear()
    assert "small is there: trainA 5" in cli("data", "fetch", "small")
    assert "small: trainA 5" in cli("data", "verify", "small")


def test_the_archive_is_kept_on_request_and_used_again(cli, places, small):
    cli("data", "fetch", "small", "--yes", "--keep")
    assert (places / "data" / ".archives" / "small.zip").is_file()
    shutil.rmtree(places / "data" / "small")
    small.files.clear()
    cli("data", "fetch", "small", "--yes")
    assert {path.name for path in (places / "data").iterdir()} == {"small", first_seen.NAME}


@pytest.mark.parametrize("option", ["--url", "--file"])
def test_the_archive_may_come_from_elsewhere(option, cli, places, small):
    content = tarred(images(COUNTS, "deep/er/"))
    (places / "mine.tar.gz").write_bytes(content)
    url = small.serve("/mine", content)
    small.files.pop("/small.zip")
    source = {"--url": url, "--file": places / "mine.tar.gz"}[option]
    cli("data", "fetch", "small", "--yes", option, source)
    assert (places / "mine.tar.gz").exists()
    assert "small.zip" not in str(small.asked)


def test_after_404_the_mirror_serves(cli, places, small, monkeypatch):
    small.files["/mirror/data/small.zip"] = small.files.pop("/small.zip")
    monkeypatch.setenv("I2I_BENCH_MIRROR", f"{small.url}/mirror/")
    output = cli("data", "fetch", "small", "--yes")
    assert f"{small.url}/mirror/data/small.zip or {small.url}/small.zip" in output


def test_an_interrupted_download_goes_on(cli, places, small):
    served = small.files["/small.zip"]
    served.content = zipped(images(COUNTS) | {"filler.bin": bytes(2**20)})
    served.cuts = [2**19, 2**18]
    cli("data", "fetch", "small", "--yes")
    assert [wanted for method, _, wanted in small.asked if method == "GET"] == [
        None,
        f"bytes={2**19}-",
        f"bytes={2**19 + 2**18}-",
    ]


@pytest.mark.slow
def test_a_killed_fetch_leaves_no_task_and_is_gone_on_with(cli, places, server, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_MIRROR", server.url)
    counts = catalogue.sources()["facades"].counts.values()
    named = {name.replace("/A", "/").replace("/B", "/"): c for name, c in images(counts).items()}
    server.serve("/data/facades.zip", zipped(named), pause=0.1)
    command = [sys.executable, "-m", "i2i_bench", "data", "fetch", "facades", "--yes"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = places / "data" / ".archives" / "facades.zip.part"
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "facades  " in cli("tasks") and "facades                 missing" in cli("tasks")
    server.files["/data/facades.zip"].pause = 0
    cli("data", "fetch", "facades", "--yes")
    assert server.asked[-1][2] is not None  # a part was asked for
    assert {path.name for path in (places / "data").iterdir()} == {"facades", first_seen.NAME}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (images((5, 4, 3, 1)), r"testB has 1 images (2 expected)"),
        (images((5, 4, 3, 0)), "has no trainA trainB testA testB"),
        (images(COUNTS) | {"trainA/A0.jpg": b"x"}, "differ by suffix alone"),
        (images(COUNTS) | {"trainA/more/a.png": b"x"}, "trainA/more is a folder"),
        (images(COUNTS, "x/") | images(COUNTS, "y/"), "2 folders of it hold trainA"),
        (images(COUNTS) | {"../evil.png": b"x"}, "leads out of the folder"),
        ({"readme.txt": b"x"}, "but nothing"),
    ],
)
def test_an_archive_of_something_else_leaves_nothing(files, words, cli, places, small):
    small.files["/small.zip"].content = zipped(files)
    error = cli("data", "fetch", "small", "--yes", code=1)
    assert words in error and "small.zip" in error and ".part" not in error
    assert_nothing_left(places / "data")


def test_something_else_in_its_place_is_kept_until_it_may_be_replaced(cli, places, small):
    mine = places / "data" / "small" / "trainA" / "mine.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(PNGS[0])
    error = cli("data", "fetch", "small", "--yes", code=1)
    assert "is there and not as it must be" in error and mine.exists()
    cli("data", "fetch", "small", "--yes", "--force")
    assert not mine.exists()
    assert {path.name for path in (places / "data").iterdir()} == {"small", first_seen.NAME}


def test_another_content_than_the_first_needs_force(cli, places, small):
    cli("data", "fetch", "small", "--yes")
    shutil.rmtree(places / "data" / "small")
    other = images(COUNTS, "small/") | {"small/trainA/A0.png": PNGS[7]}
    small.files["/small.zip"].content = zipped(other)
    error = cli("data", "fetch", "small", "--yes", code=1)
    assert "images of small are not those seen first" in error and "--force" in error
    assert not (places / "data" / "small").exists()
    cli("data", "fetch", "small", "--yes", "--force")
    assert (places / "data" / "small" / "trainA" / "A0.png").read_bytes() == PNGS[7]


def test_the_same_images_in_another_archive_are_the_same(cli, places, small):
    cli("data", "fetch", "small", "--yes")
    shutil.rmtree(places / "data" / "small")
    small.files["/small.zip"].content = tarred(images(COUNTS))
    cli("data", "fetch", "small", "--yes")


def test_leftovers_of_a_killed_process_are_removed(cli, places, small):
    rubbish = places / "data" / ".small.part" / "trainA"
    rubbish.mkdir(parents=True)
    (rubbish / "rubbish.png").write_bytes(b"x")
    cli("data", "fetch", "small", "--yes")
    assert not rubbish.exists()
    assert "rubbish.png" not in {path.name for path in (places / "data").rglob("*")}


# Pairs


def test_halves_become_pairs_with_a_on_the_left(cli, places, pairs):
    wide = {f"{split}/{i}_AB": (split, i) for split, i in [("train", 0), ("train", 1), ("val", 2)]}
    files = {f"set/{name}.png": png(seed[1], (24, 8)) for name, seed in wide.items()}
    pairs.serve("/pairs.tar.gz", tarred(files))
    cli("data", "fetch", "pairs", "--yes")
    task = catalogue.find_task("pairs", places / "data")
    assert task.num_train == {"a": 2, "b": 2} and task.num_test == {"a": 1, "b": 1}
    for split, names in (("train", ["train/0_AB", "train/1_AB"]), ("test", ["val/2_AB"])):
        for domain, part in (("a", slice(0, 12)), ("b", slice(12, 24))):
            found = [np.asarray(image.read()) for image in task.images(split, domain)]
            whole = [np.asarray(Image.open(io.BytesIO(files[f"set/{n}.png"]))) for n in names]
            assert np.array_equal(np.stack(found), np.stack(whole)[:, :, part])


def test_test_goes_before_val(cli, places, pairs):
    files = {"train/0.png": png(0), "train/1.png": png(1), "test/2.png": png(2)}
    pairs.serve("/pairs.tar.gz", tarred(files | {"val/3.png": png(3), "val/4.png": png(4)}))
    cli("data", "fetch", "pairs", "--yes")
    names = [
        image.name for image in catalogue.find_task("pairs", places / "data").images("test", "a")
    ]
    assert names == ["2.png"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(png(0, (9, 8)), "train/0.png of 9x8 pixels does not hold"), (b"x", "train/0.png cannot be")],
)
def test_what_has_no_halves_is_refused(content, words, cli, places, pairs):
    files = {"train/0.png": content, "train/1.png": png(1), "val/2.png": png(2)}
    pairs.serve("/pairs.tar.gz", tarred(files))
    assert words in cli("data", "fetch", "pairs", "--yes", code=1)
    assert not list((places / "data").rglob("*.png"))


def test_folders_that_do_not_pair_are_refused(cli, places, pairs):
    files = {f"{folder}/{folder}{i}.png": PNGS[i] for folder in FOLDERS for i in range(2)}
    files = {
        name: c for name, c in files.items() if not name.endswith(("testA1.png", "testB1.png"))
    }
    pairs.serve("/pairs.tar.gz", tarred(files))
    assert "names differ between a and b" in cli("data", "fetch", "pairs", "--yes", code=1)


# What cannot be


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fetch", "stripes"], "is made by this package"),
        (["verify", "stripes"], "is made by this package"),
        (["fetch", "horse2zebr"], "did you mean 'horse2zebra'"),
        (["fetch", "cat2dog"], "no address to fetch it from: get cat2dog.zip by hand from DRIT"),
        (["fetch", "cat2dog", "--file", "gone.zip"], "there is no file gone.zip"),
        (["fetch", "horse2zebra", "--url", "ftp://x/y"], "is not an address"),
        (["verify", "horse2zebra"], "i2i-bench data fetch horse2zebra"),
        (["verify"], "there are no tasks"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(arguments, words, cli, places):
    assert words in cli("data", *arguments, code=1)


def test_a_folder_of_the_users_is_not_fetched(cli, own):
    assert "is a folder of your own" in cli("data", "fetch", own, code=1)


@pytest.mark.parametrize("source", PUBLISHED, ids=lambda source: source.name)
def test_each_task_says_what_from_where_and_how_large(source, places):
    text = source.how_to_get()
    assert source.origin in text and f"licence: {source.licence}; size: " in text
    assert f"i2i-bench data fetch {source.name}" in text
    for url in source.urls:
        if url.startswith("hf:"):
            assert url in text and url == parse_hub_name(url).typed
        else:
            assert url.startswith(("https://", "http://")) and url.endswith(f"/{source.archive}")


def test_archive_with_an_image_that_cannot_be_read_is_refused_whole(cli, places, server, small):
    files = images(COUNTS) | {"testB/B0.png": b"junk"}
    server.serve("/small.zip", zipped(files))
    error = cli("data", "fetch", "small", "--yes", code=1)
    assert "does not hold what was published as small: testB/B0.png cannot be read" in error
    assert_nothing_left(places / "data")


def test_what_has_no_address_is_fetched_again_from_a_file(cli, places, small, monkeypatch):
    (places / "mine.zip").write_bytes(zipped(images(COUNTS)))
    unserved = dataclasses.replace(catalogue.sources()["small"], archive="mine.zip", urls=())
    monkeypatch.setitem(catalogue.sources(), "small", unserved)
    cli("data", "fetch", "small", "--file", "mine.zip", "--yes")
    image = places / "data" / "small" / "testA" / "A1.png"
    image.write_bytes(PNGS[0] + b" ")
    again = "i2i-bench data fetch small --file mine.zip --force"
    assert f"{again} gets the former ones again" in cli("data", "verify", "small", code=1)
    assert f"{again} replaces it" in cli("doctor", code=1)
    image.unlink()
    asked = ("run", "--model", "cyclegan", "--task", "small")
    assert f"{again} puts it there" in cli(*asked, code=1)
    cli(*again.split()[1:], "--yes")
    assert "small: trainA 5" in cli("data", "verify", "small")


# Verifying


def test_verify_tells_counts_and_a_hash_of_names_and_contents(cli, places, small):
    cli("data", "fetch", "small", "--yes")
    output = cli("data", "verify")
    assert "small: trainA 5, trainB 4, testA 3, testB 2" in output
    total = hashlib.sha256()
    for folder in FOLDERS:
        for name in sorted(n for n in images(COUNTS) if n.startswith(folder)):
            total.update(name.encode() + b"\0" + hashlib.sha256(images(COUNTS)[name]).digest())
    assert total.hexdigest() in output


def test_a_task_without_published_counts_is_not_there_once_an_image_is_gone(
    cli, places, small, monkeypatch
):
    unstated = dataclasses.replace(catalogue.sources()["small"], counts=dict.fromkeys(FOLDERS))
    monkeypatch.setitem(catalogue.sources(), "small", unstated)
    cli("data", "fetch", "small", "--yes")
    assert "small is there" in cli("data", "fetch", "small")
    assert "small: complete" in cli("doctor")
    (places / "data" / "small" / "trainA" / "A3.png").unlink()
    error = cli("data", "fetch", "small", code=1)
    assert "needs the images seen first, of " in error and "--force gets the former ones" in error
    assert "small: not what was published" in cli("doctor", code=1)
    cli("data", "fetch", "small", "--yes", "--force")
    assert "small is there" in cli("data", "fetch", "small")


@pytest.mark.parametrize("harm", ["cut", "other", "gone", "more"])
def test_verify_finds_what_changed(harm, cli, places, small):
    cli("data", "fetch", "small", "--yes")
    image = places / "data" / "small" / "testA" / "A1.png"
    content = image.read_bytes()
    if harm == "gone":
        image.unlink()
    elif harm == "more":
        image.with_name("more.png").write_bytes(content)
    else:
        image.write_bytes(content[:99] if harm == "cut" else PNGS[0] + b" ")
    words = {"cut": "A1.png cannot be read", "other": "not those seen first"}
    error = cli("data", "verify", "small", code=1)
    assert words.get(harm, "testA has ") in error
    if harm == "other":
        assert "i2i-bench data fetch small --force gets the former ones again" in error
        cli("data", "verify", "small", "--force")


def test_one_task_that_fails_does_not_keep_the_others(cli, places, small):
    cli("data", "fetch", "small", "--yes")
    (places / "data" / "maps").mkdir()
    error = cli("data", "verify", "maps", "small", "facades", code=1)
    assert "task 'maps' needs" in error and "task 'facades' needs" in error


def test_data_put_there_by_hand_are_verified_too(cli, places, small):
    for name, content in images(COUNTS).items():
        path = places / "data" / "small" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    first = cli("data", "verify", "small")
    assert cli("data", "verify", "small") == first
    found = catalogue.find_source("small").count_present(places / "data" / "small")
    assert found == dict(zip(FOLDERS, COUNTS, strict=True))


RUN = ["run", "--model", "cyclegan", "--task", "cat2dog", "--fetch"]


@pytest.mark.parametrize(
    ("command", "answer", "is_fetched"),
    [
        (["data", "fetch", "cat2dog"], b"n\n", False),
        pytest.param(["data", "fetch", "cat2dog"], b"y\n", True, marks=pytest.mark.slow),
        pytest.param(RUN, b"n\n", False, marks=pytest.mark.slow),
    ],
)
def test_on_a_terminal_the_licence_is_asked_about(
    command, answer, is_fetched, places, server, monkeypatch
):
    monkeypatch.setenv("I2I_BENCH_MIRROR", server.url)
    server.serve("/data/cat2dog.zip", zipped(images((1, 1, 1, 1))))
    command = [sys.executable, "-m", "i2i_bench", *command]
    ours, theirs = os.openpty()
    os.write(ours, answer)
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False)
    for end in (ours, theirs):
        os.close(end)
    assert "Agree to this licence and fetch?" in done.stdout
    assert ("GET" in {method for method, _, _ in server.asked}) == is_fetched
    words = "does not hold what was published" if is_fetched else "Aborted!"
    assert done.returncode == 1 and words in done.stderr
    assert_nothing_left(places / "data")

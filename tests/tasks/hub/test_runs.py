"""From the hub to a record: what is missing is planned, named, fetched and run."""

import json

import pytest
from hub_server import packed, pair_of, picture, pictures, serve_set, structs

from i2i_bench.tasks import catalogue
from i2i_bench.tasks.planned import planned_task
from i2i_bench.tasks.validation import scored_on

SELFIE = ("run", "--model", "attentiongan", "--task", "selfie2anime")


@pytest.fixture
def selfie2anime(hub):
    """The set of the hub with as many rows as it has there; few of its images are different."""
    pool = [pictures(8), pictures(8, 8)]
    for split, count in (("train", 3400), ("test", 100)):
        a, b = ([some[row % 8] for row in range(count)] for some in pool)
        hub.files |= {split: pair_of(a, b)}
    files = {f"data/{s}-00000-of-00001.parquet": hub.files.pop(s) for s in ("train", "test")}
    serve_set(hub, "huggan/selfie2anime", files)
    return hub


@pytest.mark.slow
def test_selfie2anime_from_the_hub_to_a_record(cli, places, selfie2anime, stand_in, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(stand_in))
    error = cli(*SELFIE, code=1)
    for words in (
        "hf:huggan/selfie2anime",
        "github.com/taki0112/UGATIT",
        "licence: ",
        "about 412 MB",
    ):
        assert words in error
    assert "i2i-bench data fetch selfie2anime gets them" in error and "with --fetch" in error
    planned = cli(*SELFIE, "--dry-run")
    for words in ("background: generated", "batch_size: 4", "budget: 680000"):
        assert words in planned
    assert "constant_epochs: 100" in planned and "decay_epochs: 100" in planned
    assert selfie2anime.asked == []

    output = cli(*SELFIE, "--fetch", "--preset", "tiny", "--budget", 8)
    shown = [
        output.index(w) for w in ("licence: ", "size: ", "goes to: ", "is complete", "recorded in")
    ]
    assert shown == sorted(shown)
    (path,) = (places / "results" / "selfie2anime").glob("*/seed0.json")
    for score in json.loads(path.read_text())["scores"].values():
        assert {score["values"][key] is None for key in ("kid", "fid", "lpips_source")} == {False}
        assert score["weights_status"] == "unverified" and score["n_real"] == 100
    lines = cli(*SELFIE, "--dry-run").splitlines()
    missing = [line for line in planned.splitlines() if "images: not there" in line]
    assert missing and [line for line in planned.splitlines() if line not in missing] == lines


@pytest.mark.slow
def test_a_set_by_name_is_run_and_found_again(cli, places, hub, stand_in, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(stand_in))
    labels = {"label": ["cat", "dog"] * 3}
    files = {
        f"{split}.parquet": packed(
            {"image": structs([picture(first + row, 32) for row in range(6)]), **labels}
        )
        for split, first in (("train", 0), ("test", 10))
    }
    serve_set(hub, "me/pets", files)
    typed = "hf:me/pets:cat2dog"
    asked = ("run", "--model", "cyclegan", "--task", typed, "--preset", "tiny", "--budget", 4)
    assert "i2i-bench data fetch hf:me/pets:cat2dog shows" in cli(*asked, code=1)
    error = cli(*asked, "--dry-run", code=1)
    assert "the labels of data set me/pets are known once it is fetched" in error
    output = cli(*asked, "--fetch")
    name = catalogue.find_task(typed, places / "data").name
    assert f"{name}/cyclegan+preset=tiny" in output and name.endswith(".cat2dog")
    hub.files.clear()
    assert "recorded already" in cli(*asked, "--fetch")
    (folder,) = (places / "runs" / name).glob("*/seed0")
    assert "recorded already" not in cli("evaluate", folder, "--force")
    assert "cyclegan" in cli("leaderboard", "--task", typed)


# Plans of what is not there


@pytest.mark.parametrize("split", ["test", "validation"])
def test_plans_count_what_is_published(split, tmp_path):
    source = catalogue.sources()["horse2zebra"]
    task = scored_on(planned_task(source), split)
    assert task.reader.is_planned
    held = {"test": (0, 120, 140), "validation": (106 + 133, 106, 133)}[split]
    assert sum(task.num_train.values()) == 1067 + 1334 - held[0]
    assert tuple(task.num_test.values()) == held[1:]
    with pytest.raises(ValueError, match="images of task 'horse2zebra' are not there"):
        task.images("train", "a")[0].read()


def test_labelled_sets_are_planned_by_split(tmp_path):
    whole = catalogue.plan_task("celeba", tmp_path)
    assert whole.num_train == {"all": 200_600} and len(whole.attributes) == 5
    some = catalogue.plan_task("celeba:Bald,Male", tmp_path)
    assert some.name == "celeba.Bald,Male" and some.num_test == {"all": 1999}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("photo2portrait", "how many images it has is not published"),
        ("celeba:Smiling", "how many images it has is not published"),
        ("rafd", "how many images it has is not published"),
    ],
)
def test_what_is_not_published_is_not_planned(name, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        catalogue.plan_task(name, tmp_path)


def test_rows_of_the_hub_are_counted_without_their_images(hub, places):
    large = [picture(row, 64) for row in range(30)]
    files = {f"{split}.parquet": pair_of(large, large) for split in ("train", "test")}
    serve_set(hub, "me/own", files)
    task = catalogue.plan_task("hf:me/own", places / "data")
    assert task.name == "hf-me-own-7d40964" and task.num_train == {"a": 30, "b": 30}
    assert not task.paired and catalogue.plan_task("hf:me/own:paired", places / "data").paired
    parts = [part for _, path, part in hub.asked if path.endswith("train.parquet") and part]
    first, last = map(int, parts[0].removeprefix("bytes=").split("-"))
    assert last + 1 == len(files["train.parquet"]) > 2 * (last - first)


def test_labelled_sets_of_the_hub_are_planned_and_parts_of_them_fetched(cli, hub, places):
    labels = {"label": {"_type": "ClassLabel", "names": ["cat", "dog", "fox"]}}
    rows = {"image": structs(pictures(3)), "label": [0, 1, 2]}
    files = {f"{split}.parquet": packed(rows, labels) for split in ("train", "test")}
    serve_set(hub, "me/pets", files)
    task = catalogue.plan_task("hf:me/pets", places / "data")
    assert task.attributes == ("cat", "dog", "fox") and task.num_test == {"all": 3}
    part = "hf:me/pets:cat,fox"
    with pytest.raises(ValueError, match="how many images it has is not published"):
        catalogue.plan_task(part, places / "data")
    cli("data", "fetch", part, "--yes")
    found = catalogue.find_task(part, places / "data")
    assert found.attributes == ("cat", "fox") and found.num_train == {"all": 2}
    assert catalogue.find_task(found.argument, places / "data").name == found.name


def test_what_is_there_is_planned_as_it_is(tiny, tmp_path):
    task = catalogue.plan_task(str(tiny), tmp_path)
    assert task.name.startswith("folder-tiny-") and not task.reader.is_planned


def test_fetching_what_no_program_may_fetch_says_what_to_do(cli, places):
    error = cli("run", "--model", "stargan", "--task", "celeba", "--fetch", code=1)
    assert "cannot be fetched by program" in error

"""Each need of the contract, by command: a toy model on an embedded task that gives it."""

import json
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.slow  # whole runs and commands

RUNS = [
    ("toy-paired", "stripes-paired", ["a2b"]),
    ("toy-styled", "palette-paired", ["a2b"]),
    ("toy-instances", "morph", ["a2b", "b2a"]),
    ("toy-drawn", "classes", ["+blue", "+green", "+red"]),
    ("toy-prepared", "hue", ["a2b", "b2a"]),
]


def make_classes(folder: Path, *colours: str) -> None:
    """Make a folder of images of one colour a domain."""
    for split, count in (("train", 4), ("test", 2)):
        for colour in colours:
            (folder / split / colour).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (32, 32), colour).save(folder / split / colour / f"{i}.png")


def values_of(path: Path) -> dict:
    content = json.loads(path.read_text())
    return {score["direction"]: score for score in content["scores"].values()}


@pytest.mark.parametrize(
    ("model", "task", "directions"),
    [pytest.param(*run, marks=[pytest.mark.slow] * (i > 0)) for i, run in enumerate(RUNS)],
)
def test_a_run_is_trained_scored_valid_and_in_the_tables(
    model, task, directions, toys, cli, places
):
    if task == "classes":  # shapes-domains has so many images that its classifier takes a minute
        make_classes(places / task, *(name[1:] for name in directions))
    cli("run", "--model", model, "--task", task, "--preset", "tiny")
    (path,) = places.glob("results/*/*/seed0.json")
    scores, task = values_of(path), path.parts[-3]
    assert sorted(scores) == sorted(directions)
    assert "1 record is valid" in cli("validate-results")
    assert model in cli("leaderboard", "--task", task)
    one_way = len(directions) == 1
    reasons = [score["reasons"].get("psnr_cycle", "") for score in scores.values()]
    assert all(reason.endswith("translates a2b only") == one_way for reason in reasons)
    if one_way:
        assert f"{model} translates a2b only" in cli("leaderboard", "--task", task)
    cli("figure", "comparison", path.parent.relative_to(places / "results") / "seed0")
    again = cli("evaluate", path, code=1)
    assert "--force replaces that" in again


def test_one_way_is_chosen_by_a_setting(toys, cli, places):
    options = ("--task", "stripes-paired", "--preset", "tiny", "--set", "direction=b2a")
    cli("run", "--model", "toy-paired", *options)
    (path,) = places.glob("results/*/*/seed0.json")
    assert list(values_of(path)) == ["b2a"]
    assert json.loads(path.read_text())["directions"] == ["b2a"]
    run = path.parent.relative_to(places / "results") / "seed0"
    source = places / "runs" / run / "translations-b2a"
    assert "has no direction a2b; possible: b2a" in cli(
        "translate", "--run", run, "--direction", "a2b", source, places / "out", code=1
    )
    cli("translate", "--run", run, source, places / "out")
    assert len(list((places / "out").glob("*.png"))) == 100
    assert "recorded already" in cli("run", "--model", "toy-paired", *options)


@pytest.mark.parametrize(
    ("model", "task", "sentence"),
    [
        ("toy-paired", "stripes", "needs pairs, and task stripes has none; tasks that can: "),
        ("toy-instances", "{own}", "needs masks, and task folder-own"),
        ("cyclegan", "shapes-domains", "needs two domains, and task shapes-domains has labels"),
        ("stargan", "stripes", "needs labels, and task stripes has two domains; tasks that can: "),
        ("toy-drawn", "shapes-attributes", "needs two domains, and task shapes-attributes has"),
    ],
)
def test_what_a_task_cannot_give_is_refused_with_tasks_that_can(
    model, task, sentence, toys, cli, own, places
):
    named = task.format(own=own)
    said = cli("run", "--model", model, "--task", named, "--preset", "tiny", code=1)
    assert sentence in said
    able = said.partition("tasks that can: ")[2].split(", ")
    assert any(each in able for each in ("stripes-paired", "morph", "stripes", "shapes-domains"))
    assert not (places / "runs").exists()


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("instances=0", "needs instance masks, and instances is 0"),
        ("rotation=181", "rotation is 181.0; a number from 0 to 180.0 is needed"),
        ("rescale=-0.1", "rescale is -0.1; a number from 0 to 0.5 is needed"),
        ("instances=257", "instances is 257; a number from 0 to 256 is needed"),
    ],
)
def test_impossible_settings_are_refused(setting, sentence, toys, cli, places):
    options = ("--task", "morph", "--preset", "tiny", "--set", setting)
    assert sentence in cli("run", "--model", "toy-instances", *options, code=1)


def test_a_card_says_what_the_model_needs(toys, cli):
    said = {name: cli("models", name) for name in toys if name != "toy-perceptual"}
    assert "needs pairs of training images" in said["toy-paired"]
    assert "needs instance masks" in said["toy-instances"]
    assert "can use many domains" in said["toy-drawn"]
    assert "has several translations of one image" in said["toy-styled"]
    assert "can take the style of an example" in said["toy-styled"]
    assert "needs labels" in cli("models", "stargan")
    assert "needs the weights file squeezenet" in cli("models", "toy-perceptual")


def test_masks_after_translation_are_scored_where_their_truth_is_known(toys, cli, places):
    cli("run", "--model", "toy-instances", "--task", "morph", "--preset", "tiny")
    (path,) = places.glob("results/*/*/seed0.json")
    for score in values_of(path).values():
        assert 0 <= score["values"]["instance_iou"] <= 1
        identity = score["baselines"]["identity"]["values"]["instance_iou"]
        assert 0.3 < identity < 0.9  # a cross is another shape than its disc


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_damaged_mask_is_found_before_the_training(split, toys, cli, own, places):
    for folder in ("trainA", "trainB", "testA", "testB"):
        (own / f"{folder}_seg").mkdir()
        for path in (own / folder).iterdir():
            mask = Image.new("L", (40, 36), 0)
            mask.paste(255, (4, 4, 20, 20))
            mask.save(own / f"{folder}_seg" / f"{path.stem}_0.png")
    damaged = own / f"{split}B_seg" / "b1_0.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    options = ("--task", own, "--preset", "tiny")
    said = cli("run", "--model", "toy-instances", *options, code=1)
    assert damaged.name in said
    assert not list(places.glob("runs/*/*/*/checkpoint-*"))

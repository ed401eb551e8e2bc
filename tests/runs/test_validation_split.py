"""Runs on images held out of training: apart from runs on test images, wherever they are read."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from finished_runs import CYCLEGAN, record_of, runs_of

from i2i_bench.data.training_images import TrainingImages
from i2i_bench.records.folders import Places
from i2i_bench.records.record import read_record
from i2i_bench.runs import ablation, plan
from i2i_bench.runs.ablation import Theme
from i2i_bench.runs.find import find_job
from i2i_bench.runs.job import Choices
from i2i_bench.training.checkpoint import latest_checkpoint

pytestmark = pytest.mark.slow  # whole runs and commands

HELD = ("--split", "validation")
CHOICES = Choices("tiny", split="validation")
PLACES = Places(Path("results"), Path("runs"), Path("data"))


@pytest.fixture
def scored(finished, tiny, cli):
    """Give the folder of a run on validation images, beside those on test images."""
    cli(*CYCLEGAN, "--task", tiny, *HELD)
    (folder,) = Path("runs").glob("*/cyclegan+preset=tiny,split=validation/seed0")
    return folder


def names_trained_on(job, samples=40):
    images = TrainingImages(job.task, job.settings, 0, needs=job.needs)
    batch = images.batch(0, samples)
    return {domain: Counter(found) for domain, found in (batch.names or {}).items()}


def test_batches_hold_no_image_that_is_scored(pairs, tmp_path):
    (job,) = plan.plan_runs(["cyclegan"], [str(pairs)], [0], CHOICES, tmp_path)
    trained_on = names_trained_on(job)
    assert set(trained_on) == {"a", "b"}
    for domain, seen in trained_on.items():
        held = {image.name for image in job.task.images("test", domain)}
        assert len(held) == 3 and len(seen) == 5 and not held & seen.keys()


def test_runs_on_both_splits_are_two_runs(scored, tiny, cli):
    name = scored.relative_to("runs").as_posix()
    found, other = read_record(Path("results", f"{name}.json")), read_record(record_of("cyclegan"))
    assert (found.split, found.variant) == ("validation", "preset=tiny,split=validation")
    assert other.split == "" and '"split"' not in record_of("cyclegan").read_text()
    assert {score.n_fake for score in found.scores.values()} == {2}
    identities = [
        (latest_checkpoint(each) or {})["identity"]
        for each in (scored, Path("runs", runs_of("cyclegan")))
    ]
    assert identities[0]["split"] == "validation" and "split" not in identities[1]
    assert "recorded already" in cli(*CYCLEGAN, "--task", tiny, *HELD)
    assert "problem" not in cli("validate-results", "--results", "results")


def test_tables_of_both_splits_are_apart(scored, tiny, cli):
    text = cli("leaderboard")
    test, separator, held = text.partition(" validation images")
    assert separator and "split=validation" not in test
    rows = [line for line in held.splitlines() if line.startswith(("| 1 ", "| - | cycle"))]
    assert rows and all("split=validation" in row for row in rows)
    assert "never ranked with scores of test images" in held
    page = Path("site/index.html")
    cli("leaderboard", "--format", "html", "--output", "site")
    html = page.read_text(encoding="utf-8")
    assert ", validation images</h2>" in html and "--split validation" in html
    assert "No sources" not in html


def test_scores_are_found_again(scored, cli):
    name = scored.relative_to("runs").as_posix()
    record = Path("results", f"{name}.json")
    before = read_record(record)
    assert find_job(name, PLACES).task.split == "validation"
    cli("evaluate", name, "--force")
    after = read_record(record)
    assert after.scores == before.scores and after.split == "validation"
    cli("figure", "comparison", name, runs_of("cyclegan"), "--format", "png")
    task = scored.parent.parent
    assert (task / "comparison.png").is_file()
    assert (task / "comparison-validation.png").is_file()


def test_splits_are_not_compared(scored, cli):
    name = scored.relative_to("runs").as_posix()
    said = cli("compare", name, runs_of("cyclegan"), code=1)
    assert said == (
        "A is scored on validation images and B on test images; compare runs of the same --split"
    )
    assert "n = 2 validation images" in cli("compare", name, name)


def test_a_run_on_test_images_does_not_go_on_as_one_on_others(scored, tiny, cli):
    shutil.rmtree(scored)
    Path("results", scored.relative_to("runs")).with_suffix(".json").unlink()
    shutil.copytree(Path("runs", runs_of("cyclegan")), scored)
    said = cli(*CYCLEGAN, "--task", tiny, *HELD, code=1)
    assert "made with other settings: split was None, now 'validation'" in said


def test_networks_that_have_seen_what_is_held_out_are_refused(finished, tiny, cli):
    start = ("--start", runs_of("cyclegan"), "--dry-run")
    said = cli(*CYCLEGAN, "--task", tiny, *HELD, *start, code=1)
    assert "that are held out here; start from a run on" in said
    assert "split: validation: 100 of a" in cli(*CYCLEGAN, "--task", "stripes", *HELD, *start)


def test_ablations_say_that_they_are_on_validation_images(tmp_path):
    variants = ablation.product("cyclegan", {"lambda_cycle": ("5", "10")}, CHOICES)
    theme = Theme(
        "mine", "by cycle", ("lambda_cycle",), tuple(variants), (), ("i2i",), "validation"
    )
    found, jobs = ablation.plan_ablation(theme, "stripes", [0], tmp_path)
    assert found.name == "stripes-mine-validation"
    assert found.title == "by cycle: stripes, on validation images"
    assert {job.task.split for job in jobs} == {"validation"}
    assert all("split=validation" in point.run for point in found.points)

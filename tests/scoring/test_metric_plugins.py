"""Metrics of third parties: installed they are scored and shown, broken they say why."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i_bench.report.frame import read_frame
from i2i_bench.scoring.metric_set import chosen_metrics, known_metrics
from i2i_bench.scoring.metrics.pixels import PSNR
from i2i_bench.scoring.sample import Meter, Sample

TOYS = Path(__file__).parents[1] / "toy_metrics"
ROW = """
from i2i_bench.metric import Metric
ROW = Metric("third", "third", needs=("fake",), of_set=lambda fakes: {value})
"""


@pytest.fixture
def fresh():
    """Have installed metrics looked up anew, in the test and after it."""
    known_metrics.cache_clear()
    yield
    known_metrics.cache_clear()


@pytest.fixture
def measures(fresh, monkeypatch):
    """Install the metrics of ``tests/toy_metrics``."""
    monkeypatch.syspath_prepend(str(TOYS))


@pytest.fixture
def install(fresh, places, monkeypatch):
    """Give a function that installs a module and its entry point by hand."""
    monkeypatch.syspath_prepend(places)

    def write(name, text, *, value="i2i_third:ROW", distribution="i2i-third"):
        information = places / f"{distribution.replace('-', '_')}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\nSummary: x\n"
        )
        (information / "entry_points.txt").write_text(f"[i2i_bench.metrics]\n{name} = {value}\n")
        module = value.partition(":")[0]
        (places / f"{module}.py").write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return write


@pytest.fixture
def scored(places, pairs, measures, cli):
    """Score images of two programs, too bright by 10 and 20, with all metrics of the plugin."""
    for name, excess in (("ten", 10), ("twenty", 20)):
        (places / name).mkdir()
        for i in range(8):
            truth = np.asarray(Image.open(pairs / "testB" / f"test{i}.png"))
            fake = np.minimum(truth.astype(int) + excess + i, 255).astype(np.uint8)
            Image.fromarray(fake).save(places / name / f"test{i}.png")
        arguments = ("--task", pairs, "--direction", "a2b", "--name", name)
        cli("score", name, *arguments, "--metric", "toy-light")
    return next(Path("results").glob("*/external/ten.json"))


def column_of(text, title, row):
    """Return a cell of a leaderboard, and the title of the column after it."""
    heads = [line for line in text.splitlines() if line.startswith("| #") and title in line]
    (table,) = [part for part in text.split("\n\n") if heads[0] in part]
    titles = [cell.strip() for cell in heads[0].split("|")]
    (line,) = [line for line in table.splitlines() if f"| {row}" in line]
    place = titles.index(title)
    return line.split("|")[place], titles[place + 1]


# Found, listed, asked for


def test_listing_says_what_is_installed_and_what_is_on_by_default(measures, cli):
    rows = [line.split() for line in cli("metrics").splitlines()]
    assert next(row[:7] for row in rows if row[0] == "toy-red") == [
        "toy-red",
        "red_error",
        "red",
        "error",
        "levels",
        "lower",
        "yes",
    ]
    assert [row[1] for row in rows if row[0] == "toy-light"] == ["brightness", "contrast_error"]
    assert all("no i2i-toy-metrics 0.1.0" in " ".join(r) for r in rows if r[0] == "toy-light")
    assert "i2i-bench" in next(" ".join(row) for row in rows if row[0] == "psnr")


def test_listing_models_imports_no_metric():
    program = (
        "import sys; from i2i_bench.cli.main import main; main(['models'], standalone_mode=False);"
        "print('i2i_toy_metrics' in sys.modules)"
    )
    paths = f"{TOYS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert done.stdout.splitlines()[-1] == "False", done.stderr


def test_metric_that_is_not_on_by_default_is_asked_for_by_its_family(measures):
    keys = set(known_metrics().by_key)
    apart = {metric.key for metric in known_metrics() if not metric.is_default}
    assert {"brightness", "contrast_error"} < apart
    assert keys - set(chosen_metrics().by_key) == apart
    asked = set(chosen_metrics(["toy-light"]).by_key)
    assert keys - asked == apart - {"brightness", "contrast_error"}


def test_misspelt_metric_is_named_with_the_nearest(measures, cli, tiny):
    arguments = ("run", "--model", "cyclegan", "--task", tiny, "--preset", "tiny", "--dry-run")
    said = cli(*arguments, "--metric", "toy-ligth", code=1)
    assert said.startswith("unknown metric 'toy-ligth'; did you mean 'toy-light'? not on by ")


# Scored, recorded, shown


def test_record_holds_values_with_version_and_distribution(scored):
    (score,) = json.loads(scored.read_text())["scores"].values()
    origin = {"distribution": "i2i-toy-metrics", "distribution_version": "0.1.0"}
    assert score["metrics"] == {
        "brightness": {"version": 1, **origin},
        "contrast_error": {"version": 1, **origin},
        "red_error": {"version": 2, **origin},
    }
    means = [np.asarray(Image.open(f"ten/test{i}.png")).mean() for i in range(8)]
    assert score["values"]["brightness"] == pytest.approx(np.mean(means))
    assert score["values"]["brightness_sd"] == pytest.approx(np.std(means))
    assert score["baselines"]["identity"]["values"]["red_error"] > 0


def test_metrics_of_a_plugin_are_columns_on_the_page_and_in_the_frame(scored, cli):
    cell, after = column_of(cli("leaderboard"), "red error levels ↓", "ten (external)")
    assert "**" in cell and after == "SSIM ↑"
    cli("leaderboard", "--format", "html", "--output", "site")
    assert "red error levels ↓" in Path("site/index.html").read_text()
    frame = read_frame(Path("results"))
    assert set(frame["metrics"]) == {
        "brightness 1 of i2i-toy-metrics 0.1.0, contrast_error 1 of i2i-toy-metrics 0.1.0, "
        "red_error 2 of i2i-toy-metrics 0.1.0"
    }
    assert not np.isnan(frame["brightness_sd"].to_numpy()).any()


def test_metrics_by_image_are_compared_as_both_were_scored(scored, cli, pairs):
    names = (f"{scored.parts[1]}/external/{name}" for name in ("ten", "twenty"))
    text = cli("compare", *names, "--images-a", "ten", "--images-b", "twenty", "--task", pairs)
    assert "A is better" in next(line for line in text.splitlines() if "red error" in line)
    assert "differ" in next(line for line in text.splitlines() if line.startswith("contrast"))
    assert "brightness" not in text  # it has no values by image


def test_record_reads_without_its_plugin(scored, cli, monkeypatch, places):
    record = json.loads(scored.read_text())
    (score,) = record["scores"].values()
    score["values"]["red_error"] = 300.0
    spoilt = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    scored.write_text(spoilt)
    assert "red_error 300.0 is not in [0, 255]" in cli_error(cli)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(TOYS)])
    known_metrics.cache_clear()
    assert "2 records are valid" in cli("validate-results")  # its bounds are not known
    heads = [line for line in cli("leaderboard").splitlines() if line.startswith("| #")]
    titles = {cell.strip() for line in heads for cell in line.split("|")}
    assert {"brightness", "brightness_sd", "contrast_error", "red_error"} <= titles


def cli_error(cli):
    """Return what ``validate-results`` finds."""
    with pytest.raises(AssertionError) as failure:
        cli("validate-results")
    return str(failure.value)


def test_values_of_two_versions_are_not_compared(scored, cli):
    record = json.loads(scored.read_text())
    (score,) = record["scores"].values()
    score["metrics"]["red_error"]["version"] = 1
    scored.write_text(json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    text = cli("leaderboard")
    assert "red error is of versions 1 of i2i-toy-metrics, 2 of i2i-toy-metrics" in text
    assert "**" not in column_of(text, "red error levels ↓", "ten (external)")[0]


def test_asked_for_what_the_task_lacks_is_a_reason(measures):
    row = known_metrics().by_key["contrast_error"]
    sample = Sample({}, {"fake": "the task has no fake"})
    assert Meter().values([row], sample) == {"contrast_error": "the task has no fake"}


# Added to what is recorded


def test_what_is_not_installed_now_is_kept_of_the_same_images_and_said(
    scored, cli, monkeypatch, pairs, caplog
):
    (before,) = json.loads(scored.read_text())["scores"].values()
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(TOYS)])
    known_metrics.cache_clear()
    arguments = ("--task", pairs, "--direction", "a2b", "--name", "ten", "--force")
    cli("score", "ten", *arguments)
    (after,) = json.loads(scored.read_text())["scores"].values()
    assert after == before
    names = "brightness, contrast_error, red_error of i2i-toy-metrics, which is not installed"
    assert f"ten: i2i@1/a2b keeps its values of {names}" in caplog.text
    cli("score", "twenty", *arguments)
    (other,) = json.loads(scored.read_text())["scores"].values()
    assert "brightness" not in other["values"] and "metrics" not in other
    assert f"i2i@1/a2b loses its values of {names}: they were of other translations" in caplog.text


@pytest.mark.slow
def test_a_run_scored_again_keeps_what_is_not_installed(measures, finished, cli, monkeypatch):
    (path,) = Path("results").glob("*/cyclegan+preset=tiny/seed0.json")
    name = f"{path.parts[1]}/cyclegan+preset=tiny/seed0"
    cli("evaluate", name, "--metric", "toy-light")
    before = json.loads(path.read_text())
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(TOYS)])
    known_metrics.cache_clear()
    cli("evaluate", name, "--force")
    assert json.loads(path.read_text()) == before


@pytest.mark.slow
def test_run_gains_a_metric_and_keeps_every_number(measures, finished, cli, tiny):
    (path,) = Path("results").glob("*/cyclegan+preset=tiny/seed0.json")
    before = json.loads(path.read_text())
    arguments = ("--model", "cyclegan", "--task", tiny, "--preset", "tiny", "--metric", "toy-light")
    assert "scored again" in cli("run", *arguments)
    after = json.loads(path.read_text())
    for key, score in before["scores"].items():
        added = after["scores"][key]
        new = {"brightness", "brightness_sd", "contrast_error"}
        assert added["values"].keys() - score["values"].keys() == new
        assert score["values"].items() <= added["values"].items()
        assert score["baselines"]["identity"]["values"].items() <= (
            added["baselines"]["identity"]["values"].items()
        )
    assert "recorded already" in cli("run", *arguments)
    name = f"{path.parts[1]}/cyclegan+preset=tiny/seed0"
    assert "already; --force replaces" in cli("evaluate", name, "--metric", "toy-light", code=1)
    cli("evaluate", name, "--force")
    assert json.loads(path.read_text()) == after  # what was asked for is measured again


@pytest.mark.slow
def test_other_translations_than_those_scored_gain_nothing(measures, finished, cli, tiny):
    (path,) = Path("results").glob("*/cyclegan+preset=tiny/seed0.json")
    record = json.loads(path.read_text())
    for score in record["scores"].values():
        score["pixels_sha256"]["fake"] = "0" * 64
    path.write_text(json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    name = f"{path.parts[1]}/cyclegan+preset=tiny/seed0"
    said = cli("evaluate", name, "--metric", "toy-light", code=1)
    assert "was scored on other images than are translated now" in said


# Broken


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("third", "import no_such_thing", "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("third", "raise SystemExit(3)", "SystemExit: 3"),
        ("third", "ROW = 3", "TypeError: 'int' object is not iterable"),
        ("third", "ROW = (3,)", "i2i_third:ROW is neither a Metric nor several"),
        ("third", ROW.replace('("third"', '("psnr"'), "the suite has the key 'psnr'"),
        ("third", ROW.replace('("third"', '("seconds"'), "records have the key 'seconds'"),
        ("third", ROW.replace('("third"', '("a b"'), "'a b' is not a key"),
        ("third", f"{ROW}\nROW = (ROW, ROW)", "several metrics have the key 'third'"),
        ("psnr", ROW, "the suite has a metric of that name"),
        ("a/b", ROW, "'a/b' is not a metric name"),
    ],
)
def test_broken_metric_says_why_and_spoils_no_other(install, cli, name, text, reason):
    install(name, text.replace("{value}", "1.0"))
    assert reason in cli("metrics", code=1)
    assert "psnr" in known_metrics().by_key
    assert "third" not in known_metrics().by_key
    with pytest.raises(ValueError, match=r"is broken: |is not a metric name|unknown metric"):
        chosen_metrics(["no-such" if name == "psnr" else name])


def test_two_plugins_of_one_name_are_both_refused(install, cli):
    install("third", ROW.replace("{value}", "1.0"))
    install("third", ROW, value="i2i_fourth:ROW", distribution="i2i-fourth")
    assert "two metrics are named 'third': of i2i-fourth 1.0 and i2i-third 1.0" in cli(
        "metrics", code=1
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1 / 0", "metric third of i2i-third 1.0 failed: ZeroDivisionError: division by zero"),
        ("fakes.fill(0)", "failed: ValueError"),
        ("'much'", "could not convert"),
        ("float('nan')", "the metric gives nan"),
    ],
)
def test_function_that_fails_costs_its_own_value_alone(install, value, reason):
    install("third", ROW.replace("{value}", value))
    fakes = np.ones((2, 4, 4, 3), np.uint8)
    found = Meter().values([known_metrics().by_key["third"]], Sample({"fake": fakes}))
    assert reason.removeprefix("failed: ValueError") in str(found["third"])
    assert (fakes == 1).all()


def test_reason_names_what_is_absent_and_not_what_is_given():
    images = np.zeros((2, 16, 16, 3), np.uint8)
    sample = Sample({"fake": images}, {"fake": "no fake", "truth": "no truth is known"})
    assert Meter().values([PSNR], sample) == {"psnr": "no truth is known"}

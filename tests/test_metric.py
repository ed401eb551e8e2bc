"""A metric is one row beside its function: what scores, checks, compares and shows it, reads it."""

import ast
import json
import math
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i_bench.metric import Deferred, Metric, each
from i2i_bench.scoring import metric_set, metrics
from i2i_bench.scoring.metric_set import MetricSet, known_metrics
from i2i_bench.scoring.metrics.pixels import PSNR, PSNR_CYCLE, SSIM
from i2i_bench.scoring.sample import Meter, Sample

ROOT = Path(__file__).parents[1] / "i2i_bench"
HEADLINES = {
    "fid",
    "kid",
    "modes_found",
    "psnr",
    "psnr_foreground",
}  # named by tasks and protocols
LIBRARIES = {"lpips"}
TABLES = {"diversity"}  # a table that is asked for by this name
TOY = '''
"""Two metrics that the suite does not have."""

from i2i_bench.metric import Metric, each


def red_error(image, truth):
    return abs(float(image[..., 0].mean()) - float(truth[..., 0].mean()))


def brightness(images):
    means = images.mean((1, 2, 3))
    return means.mean(), means.std()


RED_ERROR = Metric(
    "red_error",
    "red error",
    unit="levels",
    digits=1,
    better="lower",
    meaning="of the mean of the red channel",
    needs=("fake", "truth"),
    by_image=each(red_error),
    bounds=(0.0, 255.0),
    of_identity=None,
    place=55,
)
BRIGHTNESS = Metric(
    "brightness",
    "brightness",
    digits=1,
    needs=("fake",),
    of_set=brightness,
    bounds=(0.0, 255.0),
    spreads=("brightness_sd",),
)
'''


def one(key="toy", **changes):
    """Make a metric that gives 1 for each translation."""
    row = {"needs": ("fake",), "by_image": lambda fakes: [1.0] * len(fakes)} | changes
    return Metric(key, key, **row)


# One file


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Put a file beside those of the suite's metrics, and take it away again."""
    folder = tmp_path / "more metrics"
    folder.mkdir()
    (folder / "toy.py").write_text(TOY)
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(folder)])
    known_metrics.cache_clear()
    yield
    known_metrics.cache_clear()
    sys.modules.pop("i2i_bench.scoring.metrics.toy", None)


@pytest.fixture
def scored(places, cli, pairs, toy):
    """Score images of two programs, too bright by 10 and 20; give what the command said."""
    said = []
    for name, excess in (("ten", 10), ("twenty", 20)):
        (places / name).mkdir()
        for i in range(8):
            truth = np.asarray(Image.open(pairs / "testB" / f"test{i}.png"))
            fake = np.minimum(truth.astype(int) + excess + i, 255).astype(np.uint8)
            Image.fromarray(fake).save(places / name / f"test{i}.png")
        arguments = ("--task", pairs, "--direction", "a2b", "--name", name)
        said.append(cli("score", name, *arguments))
    return said


def test_metric_in_a_new_file_is_scored_and_recorded(scored, pairs):
    assert "red error 13.1 levels, SSIM" in scored[0]
    (path,) = Path("results").glob("*/external/ten.json")
    (score,) = json.loads(path.read_text())["scores"].values()
    images = [np.asarray(Image.open(f"ten/test{i}.png")) for i in range(8)]
    truths = [np.asarray(Image.open(pairs / "testB" / f"test{i}.png")) for i in range(8)]
    errors = [
        image[..., 0].mean() - true[..., 0].mean()
        for image, true in zip(images, truths, strict=True)
    ]
    means = [image.mean() for image in images]
    assert score["values"]["red_error"] == pytest.approx(np.mean(errors))
    assert score["values"]["brightness"] == pytest.approx(np.mean(means))
    assert score["values"]["brightness_sd"] == pytest.approx(np.std(means))
    assert score["baselines"]["identity"]["values"]["red_error"] > 0
    assert score["baselines"]["real"]["values"].keys() & {"red_error", "brightness"} == {
        "brightness"  # real images have no truth to be compared with
    }


def test_metric_in_a_new_file_is_a_column_where_it_says(scored, cli):
    text = cli("leaderboard")
    heads = [line for line in text.splitlines() if line.startswith("| # | model ")]
    titles = [cell.strip() for head in heads for cell in head.split("|")]
    assert titles.index("red error levels ↓") == titles.index("SSIM ↑") - 1
    assert titles[-2] == "brightness"  # as it names no place
    assert "brightness_sd" not in text
    lines = [line for line in text.splitlines() if "| ten (external)" in line]
    shown = [cell for line in lines for cell in line.split("|")]
    assert "±" in shown[titles.index("brightness")]
    assert "**" in shown[titles.index("red error levels ↓")]  # the better of two
    assert "red error: of the mean of the red channel" in text


def test_metric_in_a_new_file_is_on_the_page(scored, cli):
    cli("leaderboard", "--format", "html", "--output", "site")
    text = Path("site/index.html").read_text()
    assert "red error levels ↓" in text
    assert "brightness" in text


def test_metric_in_a_new_file_is_compared_image_by_image(scored, cli, pairs):
    task = next(Path("results").iterdir()).name
    names = (f"{task}/external/{name}" for name in ("ten", "twenty"))
    images = ("--images-a", "ten", "--images-b", "twenty", "--task", pairs)
    text = cli("compare", *names, *images)
    (line,) = [line for line in text.splitlines() if "red error" in line and "better" in line]
    assert "A is better" in line
    assert "brightness" not in text  # it has no values by image


def test_values_out_of_the_bounds_of_a_new_file_are_found(scored, cli):
    assert "2 records are valid" in cli("validate-results")
    (path,) = Path("results").glob("*/external/ten.json")
    record = json.loads(path.read_text())
    (score,) = record["scores"].values()
    score["values"] |= {"red_error": 300.0, "brightness_sd": -1.0}
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    with pytest.raises(AssertionError) as failure:
        cli("validate-results")
    assert "red_error 300.0 is not in [0, 255]" in str(failure.value)
    assert "brightness_sd -1.0 is not in [0, inf]" in str(failure.value)


def test_without_the_row_of_ssim_nothing_but_ssim_is_missing():
    fakes = np.random.RandomState(0).randint(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    sample = Sample({"fake": fakes, "truth": fakes // 2, "source": fakes, "device": "cpu"})
    every = Meter().values(known_metrics(), sample)
    rest = Meter().values(MetricSet(set(known_metrics()) - {SSIM}), sample)
    assert every.keys() - rest.keys() == {"ssim"}
    assert rest.items() <= every.items()


def test_keys_of_metrics_stand_in_their_files_alone():
    keys = known_metrics().by_key.keys() | known_metrics().of_spread.keys()
    for path in ROOT.rglob("*.py"):
        if path.parent.name == "metrics":
            continue
        text = path.read_text(encoding="utf-8")
        if not any(f'"{key}"' in text for key in keys):
            continue  # parsing every file takes seconds
        tree = ast.parse(text)
        named = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)} & set(keys)
        may_rank = "tasks" in path.parts or path.name == "protocols.py"
        may_ask = "cli" in path.parts
        allowed = (HEADLINES if may_rank else set()) | (TABLES if may_ask else set())
        assert named <= LIBRARIES | allowed, path


def test_listing_metrics_imports_nothing_heavy():
    program = (
        "import sys; from i2i_bench.scoring.metric_set import known_metrics; known_metrics(); "
        "print(sys.modules.keys() & {'numpy', 'torch', 'scipy', 'lpips', 'PIL', 'pydantic'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


# Sets


def test_columns_stand_by_place_and_then_by_key():
    rows = [one("c"), one("b"), one("z", place=1), one("hidden", is_shown=False)]
    found = MetricSet(rows)
    assert [metric.key for metric in found.shown] == ["z", "b", "c"]
    assert found.hidden == {"hidden"}


@pytest.mark.parametrize(
    "rows",
    [
        [one("a"), one("a", unit="s")],
        [one("a"), Metric("b", "b", spreads=("a",))],
        [Metric("b", "b", spreads=("s",)), Metric("c", "c", spreads=("s",))],
    ],
)
def test_no_two_metrics_share_a_key(rows):
    with pytest.raises(ValueError, match="several metrics have the key"):
        MetricSet(rows)


def test_row_that_two_modules_name_is_one_metric(monkeypatch):
    monkeypatch.setattr(
        import_module("i2i_bench.scoring.metrics.lpips"), "PSNR", PSNR, raising=False
    )  # as an import would
    known_metrics.cache_clear()
    assert known_metrics().by_key["psnr"] is PSNR
    known_metrics.cache_clear()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"of_set": len}, "not both"),
        ({"by_image": None, "mean": max, "of_set": len}, "no values by image"),
        ({"by_image": None}, "needs a function"),
        ({"needs": ()}, "needs a function"),
        ({"spreads": ("toy_se",)}, "of the set"),
    ],
)
def test_row_that_contradicts_itself_is_refused(changes, why):
    with pytest.raises(ValueError, match=why):
        one(**changes)


# Values


def test_value_of_the_set_is_the_mean_of_its_images_unless_the_metric_has_another():
    sample = Sample({"fake": [1.0, 2.0, 6.0]})
    plain, largest = (one(key, by_image=list, mean=mean) for key, mean in (("a", None), ("b", max)))
    assert Meter().values([plain, largest], sample) == {"a": 3.0, "b": 6.0}


def test_function_is_called_once_for_the_same_arguments():
    calls = []

    def count(*given):
        calls.append(given)
        return [1.0]

    meter, fakes = Meter(), np.zeros(1)
    rows = [
        Metric("a", "a", needs=("fake", "source"), by_image=count),
        Metric("b", "b", needs=("reconstruction", "source"), by_image=count),
    ]
    meter.values(rows, Sample({"fake": fakes, "source": fakes, "reconstruction": fakes}))
    assert len(calls) == 1
    meter.values(rows, Sample({"fake": fakes, "source": fakes, "reconstruction": fakes.copy()}))
    assert len(calls) == 2


def test_what_the_task_lacks_has_no_key_and_what_the_model_lacks_has_a_reason():
    sample = Sample({"source": [], "reconstruction": "no network"}, {"truth": "no truth"})
    needs_truth = {"needs": ("source", "truth")}
    rows = [PSNR_CYCLE, one("silent", **needs_truth), one("told", **needs_truth, is_required=True)]
    assert Meter().values(rows, sample) == {"psnr_cycle": "no network", "told": "no truth"}


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_value_that_is_no_number_is_a_reason(number):
    found = Meter().values([one(by_image=lambda fakes: [number])], Sample({"fake": [0]}))
    assert found == {"toy": f"the metric gives {number}"}


def test_values_must_be_as_many_as_the_images():
    found = Meter().by_image(one(by_image=lambda fakes: [1.0]), Sample({"fake": [0, 0]}))
    assert found == "toy gives values of 1 of 2 images"


def test_each_takes_one_of_every_argument_and_refuses_unequal_numbers():
    assert each(lambda a, b: a - b)([3, 5], [1, 1]) == [2, 4]
    with pytest.raises(ValueError, match="shorter"):
        each(lambda a, b: a - b)([3, 5], [1])


def test_deferred_module_is_the_module():
    assert Deferred("math").sqrt is math.sqrt
    with pytest.raises(AttributeError):
        _ = Deferred("math").nothing


def test_every_metric_of_the_suite_has_a_title_of_its_own_and_sound_bounds():
    rows = list(metric_set.known_metrics())
    assert len({metric.title for metric in rows}) == len(rows)
    assert all(metric.bounds[0] < metric.bounds[1] for metric in rows)

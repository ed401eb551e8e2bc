"""``check`` finds what is wrong with a metric, and ``new-metric`` writes one that is sound."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from i2i_bench.metric import Metric
from i2i_bench.plugins import metric_checks, skeleton
from i2i_bench.scoring.metric_set import known_metrics

ROOT = Path(__file__).parents[2]
TOYS = ROOT / "tests" / "toy_metrics"


@pytest.fixture
def fresh():
    """Have installed metrics looked up anew, in the test and after it."""
    known_metrics.cache_clear()
    yield
    known_metrics.cache_clear()


@pytest.fixture
def put_on_path(fresh, monkeypatch):
    """Give a function that puts a folder on the path of this process and of those it starts."""

    def put(folder):
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", f"{folder}:{ROOT}")
        known_metrics.cache_clear()

    return put


def one(key="toy", **changes):
    """Make a metric that gives 1 for each translation."""
    row = {"needs": ("fake",), "by_image": lambda fakes: [1.0] * len(fakes)} | changes
    return Metric(key, key, **row)


def restless(fakes, calls=[]):  # noqa: B006  # what it remembers is the fault
    calls.append(len(calls))
    return [float(len(calls))] * len(fakes)


def spoiling(fakes):
    means = [float(fake.mean()) for fake in fakes]
    fakes[:] = 128
    return means


def test_sound_metrics_pass(put_on_path, cli):
    put_on_path(TOYS)
    for name in ("toy-red", "toy-light"):
        lines = cli("check", name).splitlines()
        assert lines and all(line.startswith("ok  ") for line in lines)
    assert len(lines) == 1 + 2 * len(metric_checks.METRIC_CHECKS)


@pytest.mark.parametrize(
    ("check", "changes", "reason"),
    [
        (metric_checks.needs_exist, {"needs": ("beauty",)}, "needs 'beauty', which is none of"),
        (metric_checks.has_as_many_values, {"by_image": lambda fakes: [1.0]}, "1 values, not 4"),
        (
            metric_checks.has_as_many_values,
            {"by_image": None, "of_set": lambda fakes: 1.0, "spreads": ("toy_se",)},
            "1 values, not 2",
        ),
        (metric_checks.has_values_in_bounds, {"bounds": (2.0, 3.0)}, "1.0, not in [2, 3]"),
        (metric_checks.is_pure, {"by_image": restless}, "for the same again"),
        (metric_checks.is_pure, {"by_image": spoiling}, "gives "),
        (
            metric_checks.judges_images_alone,
            {"by_image": lambda fakes: [float(len(fakes))] * len(fakes)},
            "gives 1.0 for an image alone, and 4.0 for it among 4",
        ),
        (metric_checks.knows_identity, {"of_identity": (0.0, 0.1)}, "1.0 for unchanged sources"),
    ],
)
def test_fault_is_found_by_its_check(check, changes, reason):
    assert reason in str(check(one(**changes)))
    assert check(one()) is None


def test_metrics_of_the_suite_keep_to_the_checks_of_plugins():
    for metric in known_metrics().of_suite:
        if not metric.needs or metric.weights_field or "answers" in metric.needs:
            continue  # weights are not here; answers of noise are not apart
        for name, check in metric_checks.METRIC_CHECKS.items():
            assert check(metric) is None, (metric.key, name)


def test_import_of_something_heavy_is_found(put_on_path, tmp_path):
    (tmp_path / "i2i_heavy.py").write_text("import PIL.Image\n")
    put_on_path(tmp_path)
    assert str(metric_checks.slow_import("i2i_heavy")).startswith("i2i_heavy imports PIL; ")
    assert "No module named" in str(metric_checks.slow_import("i2i_absent"))


def test_unknown_name_is_neither_a_model_nor_a_metric(put_on_path, cli):
    put_on_path(TOYS)
    assert "unknown model 'toy-rd'" in cli("check", "toy-rd", code=1)
    said = cli("check", "toy-red", "--set", "width=3", code=2)
    assert said == "--set is for models; toy-red is a metric"


@pytest.mark.parametrize(
    "name",
    ["my-metric", pytest.param("an_image2image-metric-of-a-nam", marks=pytest.mark.slow)],
)
def test_skeleton_of_a_metric_is_sound_as_it_stands(put_on_path, places, cli, name):
    text = cli("new-metric", name)
    folder = Path(f"i2i-{name.replace('_', '-')}")
    module = f"i2i_{name.replace('-', '_')}"
    assert f"next: pip install --editable {folder} && i2i-bench check {name}" in text
    point = (folder / "pyproject.toml").read_text().split("[project.entry-points.")[1]
    information = folder / f"{module}-0.1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {folder}\nVersion: 0.1\n")
    entry = point.splitlines()[1].replace('"', "")
    (information / "entry_points.txt").write_text(f"[i2i_bench.metrics]\n{entry}\n")
    put_on_path(folder.resolve())
    assert "FAIL" not in cli("check", name)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_skeleton_of_a_metric_is_formatted_and_typed(places):
    (places / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    for package in ("plugins", "scoring"):  # as in a checkout: imports of the suite are its own
        (places / "i2i_bench" / package).mkdir(parents=True)
    (places / "i2i_bench" / "scoring" / "metric_set.py").touch()
    folder = skeleton.write_skeleton("fine-metric", kind="metric")
    for arguments in (["format", "--check", "--diff"], ["check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["psnr", "target-share", "Psnr"])
def test_name_that_cannot_be_is_refused(places, cli, name):
    said = cli("new-metric", name, code=1)
    assert "cannot name a metric here" in said or "is one of the suite's" in said
    assert not list(places.iterdir())


def test_checks_take_what_a_row_states_of_its_outputs():
    row = one(needs=("outputs",), by_image=lambda outputs: [len(each) for each in outputs])
    sample = metric_checks.sample_images(7)
    assert sample.arguments(dataclasses.replace(row, num_outputs=7))[0].shape[1] == 7

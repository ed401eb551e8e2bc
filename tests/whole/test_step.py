"""The benchmarks of the step measure what they say, and their tables are those they wrote."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from i2i_bench.data.training_images import TrainingImages
from i2i_bench.plugins.toy import Toy
from i2i_bench.training import memory

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def step(load_benchmark):
    return load_benchmark("step")


@pytest.fixture(scope="module")
def numerics(load_benchmark):
    return load_benchmark("numerics")


@pytest.mark.parametrize(
    ("name", "share"),
    [("cyclegan", 1.0), ("attentiongan", 1.01), ("unit", 0.98), ("ugatit-light", 0.8)],
)
@pytest.mark.slow
def test_models_need_no_more_operations_than_the_published_step(step, name, share):
    row = step.Row(name, 128)
    assert step.count(row) <= share * step.count(row.reference())


@pytest.mark.parametrize(
    ("name", "share"),
    [("attentiongan", 0.7), ("cyclegan", 0.6), ("unit", 0.6), ("ugatit-light", 0.4)],
)
@pytest.mark.slow
def test_models_keep_less_during_a_step_than_the_published_one(step, name, share):
    model_class, reference = step.REFERENCES[name]
    settings = model_class.settings("tiny", Toy())
    ours, theirs = (
        memory.measure_need(each, settings, Toy()).step for each in (model_class, reference)
    )
    assert ours < share * theirs


def test_every_plan_measures_each_reference_before_what_is_compared_with_it(step):
    for rows in (step.cpu_plans() | step.cuda_plans()).values():
        order = [each for row in rows for each in step._with_reference(row, rows)]
        for row in rows:
            if not row.is_alone:
                assert order.index(row.reference()) < order.index(row)


def test_other_losses_than_the_published_stop_a_benchmark(step):
    row = step.Row("unit", 128)
    step.require_same(row, {"cycle_a": 0.5}, {"cycle_a": 0.50001})
    with pytest.raises(SystemExit, match=r"cycle_a is 0\.6"):
        step.require_same(row, {"cycle_a": 0.6}, {"cycle_a": 0.5})


def test_tables_are_those_that_were_measured(load_benchmark):
    tables = json.loads((FOLDER / "step.json").read_text(encoding="utf-8"))
    tables_of = load_benchmark("step_tables")
    shown = tables_of.render(tables)
    assert (FOLDER / "step.md").read_text(encoding="utf-8") == shown
    assert shown.count("Not measured") == len(tables_of.TITLES) + 2 - len(tables)  # 2 of gradients


def test_other_gradients_than_the_published_stop_a_benchmark(step):
    row = step.Row("unit", 128)
    step.require_same_gradients(row, 0.001)
    step.require_same_gradients(step.Row("unit", 128, precision="bf16"), 0.3)
    with pytest.raises(SystemExit, match=r"gradients of the first step are 51\.0% off"):
        step.require_same_gradients(row, 0.51)


@pytest.mark.slow
@pytest.mark.parametrize("modes", ["", "channels-last"])
def test_first_gradients_are_the_published_ones(step, modes):
    row = step.Row("cyclegan", 64, modes=modes)
    assert 0 < step.gradient_difference(row, torch.device("cpu")) < step.SAME_GRADIENT


@pytest.mark.slow
def test_half_precision_stays_near_and_equal_ways_are_equal(numerics):
    job = numerics.make_job("cyclegan", "tiny")
    images = TrainingImages(job.task, job.settings, 0)
    found = {way: numerics.train(job, images, way, 6) for way in ("fp32", "last digit", "bf16")}
    found["again"] = numerics.train(job, images, "fp32", 6)
    rows = {row["way"]: row for row in numerics.compare(found)}
    assert all(rows["again"][key] == 0 for key in ("first", "gradients", "last"))
    assert 0 < rows["last digit"]["gradients"] < 1e-2 < rows["bf16"]["gradients"] < 1
    assert 0 < rows["last digit"]["first"] < 1e-4
    assert 0 < rows["bf16"]["first"] < 0.05
    assert abs(rows["bf16"]["psnr"] - rows["fp32"]["psnr"]) < 1


@pytest.mark.slow
def test_step_needs_nothing_but_torch_and_a_checkout():
    others = ("click", "pydantic", "PIL", "scipy", "torchvision", "rich", "requests")
    program = f"""
import runpy, sys
sys.modules |= dict.fromkeys({others!r})
checkout = {str(FOLDER.parent)!r}
sys.path = [p for p in sys.path if not p.startswith(checkout) or "site-packages" in p]
sys.argv = ["step.py", "--help"]
runpy.run_path({str(FOLDER / "step.py")!r}, run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "--plan" in done.stdout) == (0, True), done.stderr

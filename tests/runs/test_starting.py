"""Trainings that start from an import, a finished run or a checkpoint."""

import shutil
from pathlib import Path

import pytest
import torch
from official_files import TINY, here, same

from i2i_bench.data.training_images import TrainingImages
from i2i_bench.records import record
from i2i_bench.report.leaderboard import tabulate
from i2i_bench.runs import plan
from i2i_bench.runs.find import find_start
from i2i_bench.runs.job import Choices, build_model
from i2i_bench.training import checkpoint, loop
from i2i_bench.training.checkpoint_file import read_checkpoint
from i2i_bench.training.loop import Schedule

pytestmark = pytest.mark.slow  # whole runs and commands


def started(run: Path, *, changes=None, seed=0, model="cyclegan", task="stripes"):
    """Plan a training that begins with the networks of a run."""
    choices = Choices("tiny", changes or {}, 2, start=find_start(str(run), here()))
    (job,) = plan.plan_runs([model], [task], [seed], choices, Path("data"))
    return job


def test_training_starts_from_the_networks_bit_for_bit(imported):
    job, content = started(imported), checkpoint.latest_checkpoint(imported)
    assert content is not None
    assert same(build_model(job).networks.state_dict(), content["networks"])
    assert job.settings.config.generator_width == 8  # tiny has 4
    digest = content["identity"]["variant"].removeprefix("official-")
    assert job.run.variant == f"preset=tiny,budget=2,start={digest}"
    assert job.identity()["variant"] == job.run.variant


def test_absent_networks_start_anew_and_as_the_seed_has_it(single, caplog):
    first, second, other = (build_model(started(single, seed=seed)) for seed in (1, 1, 2))
    states = [model.networks.state_dict() for model in (first, second, other)]
    assert same(states[0], states[1])
    equal = {name for name, tensor in states[0].items() if torch.equal(tensor, states[2][name])}
    assert {name for name in equal if name.endswith("weight")} == {
        name for name in states[0] if name.startswith("generators.a2b") and name.endswith("weight")
    }
    assert first.absent == set()
    begins = "begins with new discriminators.a, discriminators.b, generators.b2a: not in one-way"
    assert begins in caplog.text


def test_started_run_has_its_own_record_and_row(cli, imported, tiny):
    command = ("run", "--model", "cyclegan", "--task", tiny, *TINY)
    cli(*command, "--start", imported)
    (found,) = record.read_records(Path("results"))
    assert found.settings["config"]["generator_width"] == 8  # tiny has 4
    assert found.run.variant.startswith("preset=tiny,budget=2,start=")
    assert "recorded already" in cli(*command, "--start", imported)
    assert "  recorded: no; " in cli(*command, "--dry-run")
    assert {row.variant for table in tabulate([found]) for row in table.rows} == {"", found.variant}
    shutil.rmtree(imported)
    cli("evaluate", Path("runs") / found.run.folder, "--force")


def test_stopped_run_goes_on_from_its_checkpoint_not_from_the_start(imported, tiny, tmp_path):
    job = started(imported, task=str(tiny))
    images = TrainingImages(job.task, job.settings, 0)
    models = [build_model(job) for _ in range(2)]
    for model in models:
        loop.train(
            model,
            images,
            Schedule(0, 2, 2),
            folder=tmp_path / "run",
            identity=job.identity(),
            report=lambda *progress: None,
        )
    begun, first, second = (m.networks.state_dict() for m in (build_model(job), *models))
    assert same(first, second)
    assert not same(first, begun)


def test_training_starts_from_a_finished_run_and_from_a_checkpoint(trained):
    (path,) = trained.glob("checkpoint-*.pt")
    networks = read_checkpoint(path)["networks"]
    (written,) = Path("results").glob("*/*/seed0.json")
    jobs = [started(each) for each in (trained, path, trained.relative_to("runs"), written)]
    assert len({job.run for job in jobs}) == 1
    assert all(same(build_model(job).networks.state_dict(), networks) for job in jobs)


def test_dry_run_shows_where_a_run_starts(cli, single, tiny):
    command = ("run", "--model", "cyclegan", "--task", tiny, *TINY, "--start", single)
    lines = cli(*command, "--dry-run").splitlines()
    (line,) = [line for line in lines if line.startswith("  start: ")]
    digest = lines[0].partition("start=")[2][:8]
    assert line.startswith(f"  start: {digest}, the networks of one-way; new: discriminators.a, ")
    assert "  config.generator_width: 8" in lines
    assert not Path("runs").exists()


def test_setting_that_does_not_fit_the_start_is_refused_by_tensor(imported):
    started(imported, changes={"lambda_cycle": "3", "pool_size": "2"})
    with pytest.raises(ValueError, match=r"imported does not fit .* first in .*conv\.weight"):
        started(imported, changes={"generator_width": "4"})
    with pytest.raises(ValueError, match=r"first in generators\.a2b\.0\.blocks\.9\.first"):
        started(imported, changes={"num_blocks": "10"})


def test_start_of_another_model_or_of_nothing_is_refused(imported, pair):
    with pytest.raises(ValueError, match="imported is of model 'cyclegan', not of 'attentiongan'"):
        started(imported, model="attentiongan")
    with pytest.raises(
        ValueError, match=r"no checkpoint in .*official; i2i-bench import makes one"
    ):
        started(pair)
    with pytest.raises(ValueError, match="i2i-bench import makes one of authors' files"):
        started(pair / "latest_net_G_A.pth")
    with pytest.raises(ValueError, match="no run nothing in runs"):
        started(Path("nothing"))

"""What a model needs beside images: prepared once, frozen networks, stages, drawn domains."""

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
import torch
from few_images import with_few_images

from i2i_bench import pretrained
from i2i_bench.plugins import registry
from i2i_bench.records import record
from i2i_bench.records.folders import Places
from i2i_bench.runs import plan
from i2i_bench.runs.bench import Bench
from i2i_bench.runs.evaluate import evaluate_run
from i2i_bench.runs.execute import execute_run, load_images, modes_of, train_together
from i2i_bench.runs.find import find_job
from i2i_bench.runs.job import Choices, build_model
from i2i_bench.runs.provenance import TRAINING_COSTS, make_record
from i2i_bench.scoring import protocols
from i2i_bench.system.progress import quiet
from i2i_bench.tasks import catalogue
from i2i_bench.training import checkpoint
from i2i_bench.training.fast.modes import Modes

CPU = torch.device("cpu")
TASKS = {
    "toy-paired": "stripes-paired",
    "toy-instances": "morph",
    "toy-drawn": "shapes-domains",
    "toy-staged": "stripes",
    "toy-prepared": "stripes",
}


def job_of(name, task=None, *, few=True):
    task = task or TASKS[name]
    found = catalogue.find_task(task, Path())
    named = (task, with_few_images(found) if few else found)
    return plan.make_job(name, registry.load_model(name), named, 0, Choices("tiny", {}, 8))


@pytest.fixture
def bench(tmp_path):
    return bench_in(tmp_path)


def bench_in(folder, report=quiet, modes=Modes()):  # noqa: B008 - frozen
    places = Places(folder / "results", folder / "runs", folder)
    return Bench(places, [protocols.find_protocol("i2i")], CPU, report, modes=modes)


def last(job, bench):
    content = checkpoint.latest_checkpoint(bench.places.runs / job.run.folder)
    assert content is not None
    return content


def stopping(at):
    def report(stage, done, of, values):
        if stage == "train" and done >= at:
            raise InterruptedError

    return report


def train(job, bench):
    """Train without scoring, from where an earlier training stopped."""
    model = build_model(job)
    train_together(model, job, bench, load_images(job, bench), bench.report)
    return model.networks.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_resumed_training_is_the_uninterrupted_one(name, toys, tmp_path):
    job = job_of(name)
    whole = train(job, bench_in(tmp_path / "whole"))
    parts = bench_in(tmp_path / "parts", stopping(4))
    parts = dataclasses.replace(parts, checkpoint_seconds=0.0)
    with pytest.raises(InterruptedError):
        train(job, parts)
    assert 0 < last(job, parts)["position"]["images_seen"] < 8
    resumed = train(job, dataclasses.replace(parts, report=quiet))
    assert all(torch.equal(tensor, resumed[key]) for key, tensor in whole.items())


@pytest.mark.slow
def test_a_model_prepares_itself_once_with_the_batches_of_the_first_pass(
    toys, tmp_path, monkeypatch
):
    seen = []

    def prepare(self, batches, random):
        assert not torch.is_grad_enabled()
        first, again = list(batches), list(batches)
        assert len(first) == len(batches) == 8
        assert torch.equal(first[3].images["b"], again[3].images["b"])
        seen.append(Counter(name for batch in first for name in batch.names["a"]))
        self.statistics.values = torch.tensor([1.0, 2.0])

    monkeypatch.setattr(toys["toy-prepared"], "prepare", prepare)
    bench = dataclasses.replace(bench_in(tmp_path, stopping(4)), checkpoint_seconds=0.0)
    with pytest.raises(InterruptedError):
        train(job_of("toy-prepared"), bench)
    train(job_of("toy-prepared"), dataclasses.replace(bench, report=quiet))
    assert len(seen) == 1
    assert len(seen[0]) == 16
    assert set(seen[0].values()) == {1}
    kept = last(job_of("toy-prepared"), bench)["state"]["statistics"]["values"]
    assert kept.tolist() == [1.0, 2.0]


def test_drawn_domains_leave_capture_out_and_say_so(toys, bench):
    every = Modes(fused=True, capture=True)
    modes, left_out = modes_of(job_of("toy-drawn"), dataclasses.replace(bench, modes=every))
    assert modes == Modes(fused=True)
    assert list(left_out) == ["capture"]
    modes, left_out = modes_of(
        job_of("toy-drawn", "stripes"), dataclasses.replace(bench, modes=every)
    )
    assert modes == every
    assert left_out == {}


def test_a_record_says_why_a_mode_was_left_out(toys, bench, tmp_path):
    job = job_of("toy-drawn")
    modes, left_out = modes_of(job, dataclasses.replace(bench, modes=Modes(capture=True)))
    costs = dict.fromkeys(TRAINING_COSTS) | {"macs": 1, "modes": modes.names()}
    costs |= {"modes_left_out": left_out}
    made = make_record(job, build_model(job), costs, device=CPU, folder=tmp_path)
    read = record.Record.model_validate_json(record.record_text(made))
    assert read.modes == []
    assert "two domains drawn out of many" in read.modes_left_out["capture"]


@pytest.fixture
def squeezenet(tmp_path, monkeypatch):
    """Give a folder of weights with stand-ins of the published architecture."""
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.save(squeezenet1_1(weights=None).state_dict(), folder / pretrained.SQUEEZENET_NAME)
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(folder))
    return folder / pretrained.SQUEEZENET_NAME


def test_missing_weights_are_refused_before_the_training(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(pretrained.MissingWeights, match="weights fetch squeezenet"):
        job_of("toy-perceptual", "stripes")


def test_damaged_weights_are_refused_before_the_training(toys, squeezenet):
    squeezenet.write_bytes(squeezenet.read_bytes()[:1000])
    with pytest.raises(pretrained.UnfitWeights, match=f"{squeezenet.name} is unfit"):
        job_of("toy-perceptual", "stripes")


def test_a_frozen_network_is_neither_counted_nor_saved_and_its_hash_is_recorded(
    toys, squeezenet, bench
):
    job = job_of("toy-perceptual", "stripes")
    made = record.read_record(execute_run(job, bench))
    assert set(made.parameters) == {"a2b", "b2a"}
    assert not any("squeezenet" in name for name in last(job, bench)["networks"])
    assert list(made.frozen) == ["squeezenet"]
    state = torch.load(squeezenet, weights_only=True)
    model = toys["toy-perceptual"](job.settings.config)
    features = model.frozen["squeezenet"].state_dict()
    assert all(torch.equal(features[n], state[f"features.{n}"]) for n in features)
    assert not any(parameter.requires_grad for parameter in model.frozen.parameters())


@pytest.mark.slow
def test_a_training_does_not_go_on_with_other_weights(toys, squeezenet, tmp_path):
    job = job_of("toy-perceptual", "stripes")
    bench = dataclasses.replace(bench_in(tmp_path, stopping(4)), checkpoint_seconds=0.0)
    with pytest.raises(InterruptedError):
        train(job, bench)
    state = torch.load(squeezenet, weights_only=True)
    torch.save({name: tensor + 1 for name, tensor in state.items()}, squeezenet)
    with pytest.raises(ValueError, match="made with other settings: frozen"):
        train(job, dataclasses.replace(bench, report=quiet))


@pytest.mark.slow
def test_without_the_weights_a_finished_run_is_scored_and_translates(toys, squeezenet, bench, cli):
    job = job_of("toy-perceptual", "stripes", few=False)  # the run is found again by its task
    first = record.read_record(execute_run(job, bench))
    squeezenet.unlink()
    again = find_job(str(job.run), bench.places)
    assert record.read_record(evaluate_run(again, bench, force=True)) == first
    target = bench.places.data / "out"
    sources = bench.places.runs / job.run.folder / "translations-a2b"
    run = bench.places.runs / job.run.folder
    assert "translated 100" in cli("translate", "--run", run, sources, target)

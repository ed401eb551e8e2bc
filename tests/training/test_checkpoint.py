"""Training: resumed equals uninterrupted, and nothing good is lost when something fails."""

import dataclasses
import json
import os
import resource
import shutil
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from bare_model import BareModel
from few_images import with_few_images

from i2i_bench.data.training_images import TrainingImages
from i2i_bench.model import Needs
from i2i_bench.plugins import registry
from i2i_bench.records import record
from i2i_bench.records.folders import Places
from i2i_bench.runs import plan
from i2i_bench.runs.bench import Bench
from i2i_bench.runs.evaluate import evaluate_run
from i2i_bench.runs.execute import execute_run
from i2i_bench.runs.find import find_job
from i2i_bench.runs.job import Choices
from i2i_bench.runs.one_by_one import run_one_by_one
from i2i_bench.scoring import protocols
from i2i_bench.system.progress import quiet
from i2i_bench.tasks import catalogue
from i2i_bench.training import checkpoint, loop
from i2i_bench.training.checkpoint_file import read_checkpoint
from i2i_bench.training.loop import Schedule
from i2i_bench.training.signals import Stopped

pytestmark = pytest.mark.usefixtures("default_signals")


@pytest.fixture(scope="module")
def job():
    task = with_few_images(catalogue.find_task("stripes", Path()))
    choices = Choices("tiny", {}, 12)
    model_class = registry.load_model("attentiongan")
    return plan.make_job("attentiongan", model_class, ("stripes", task), 0, choices)


@pytest.fixture(scope="module")
def images(job):
    return TrainingImages(job.task, job.settings, 0)


@pytest.fixture(scope="module")
def train(job, images):
    """Give a function that trains in a folder, told of progress by ``report``."""

    def run(folder, report=quiet, *, seconds=0.0, model=None, is_bf16=False, identity=None):
        torch.manual_seed(0)
        model = model or job.model_class(job.settings.config)
        schedule = Schedule(0, 2, 12, "bf16" if is_bf16 else "fp32", seconds)
        position = loop.train(
            model,
            images,
            schedule,
            folder=folder,
            identity=identity or job.identity(),
            report=report,
        )
        return model, position

    return run


@pytest.fixture(scope="module")
def uninterrupted(train, tmp_path_factory):
    """Train once for all tests; give the folder and the networks."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, state(train(folder)[0])


@pytest.fixture
def whole(uninterrupted):
    """Give the networks of a training that nothing interrupts."""
    return uninterrupted[1]


@pytest.fixture
def trained(uninterrupted, tmp_path):
    """Give a copy of the folder of that training."""
    return Path(shutil.copytree(uninterrupted[0], tmp_path / "trained"))


def stop_after(images_seen, number=signal.SIGTERM):
    def report(stage, done, of, values):
        if stage == "train" and done == images_seen:
            os.kill(os.getpid(), number)

    return report


def state(model):
    return {name: tensor.clone() for name, tensor in model.networks.state_dict().items()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_resumed_and_uninterrupted_end_in_identical_networks(train, whole, tmp_path, number):
    with pytest.raises(Stopped, match="saved in"):
        train(tmp_path / "parts", stop_after(4, number), seconds=1e9)
    model, position = train(tmp_path / "parts")
    assert position.images_seen == 12
    assert_equal(whole, state(model))


@pytest.mark.slow
def test_signal_in_the_last_step_or_checkpoint_stops_too(train, whole, tmp_path, monkeypatch):
    with pytest.raises(Stopped, match="stopped by SIGTERM after 12 of 12 images; saved"):
        train(tmp_path / "step", stop_after(12), seconds=1e9)
    save = checkpoint.save_checkpoint

    def save_slowly(*content):
        save(*content)
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_checkpoint", save_slowly)
        with pytest.raises(Stopped, match="stopped by SIGINT after 12 of 12 images"):
            train(tmp_path / "checkpoint", seconds=1e9)
    for folder in ("step", "checkpoint"):
        model, position = train(tmp_path / folder, stop_after(2))
        assert position.images_seen == 12
        assert_equal(whole, state(model))


def test_log_has_each_step_once_after_a_resume(train, tmp_path):
    with pytest.raises(Stopped):
        train(tmp_path, stop_after(6))
    with (tmp_path / loop.LOG).open("a") as file:
        file.write('{"step": 99, "images_seen": 198, "seconds": 1, "losses": {}}\n{"ste')
    train(tmp_path)
    lines = (tmp_path / loop.LOG).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_last_two_checkpoints_are_kept(trained):
    kept = sorted(path.name for path in trained.glob("checkpoint-*.pt"))
    assert kept == ["checkpoint-000000000010.pt", "checkpoint-000000000012.pt"]


def largest_part(path):
    """Give the bytes of the largest tensor; between the parts of a file lies what nobody reads."""
    with zipfile.ZipFile(path) as archive:
        return archive.read(max(archive.infolist(), key=lambda each: each.file_size))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_damaged_checkpoint_gives_way_to_the_one_before(train, whole, trained, caplog, damage):
    newest = sorted(trained.glob("checkpoint-*.pt"))[-1]
    content = bytearray(newest.read_bytes())
    if damage == "flipped":
        content[content.index(largest_part(newest)[:64]) + 32] ^= 0xFF
    newest.write_bytes({"truncated": content[:1000], "empty": b""}.get(damage, content))
    model, _ = train(trained)
    assert "is damaged" in caplog.text
    assert "resuming from checkpoint-000000000010.pt" in caplog.text
    assert_equal(whole, state(model))


def test_only_damaged_checkpoints_are_an_error(train, tmp_path):
    (tmp_path / "checkpoint-000000000002.pt").write_bytes(b"x")
    with pytest.raises(ValueError, match="run --force restarts the run"):
        train(tmp_path)


def test_checkpoint_of_other_settings_is_refused(train, trained, job):
    with pytest.raises(ValueError, match="seed was 0, now 1"):
        train(trained, identity=job.identity() | {"seed": 1})


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "executed"),))

    torch.save({"format": 1, "networks": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="is damaged"):
        read_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "executed").exists()


def test_full_disk_leaves_the_old_checkpoint(train, tmp_path):
    with pytest.raises(Stopped):
        train(tmp_path, stop_after(4), seconds=1e9)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("checkpoint-*.pt")}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # a file may not grow further
    try:
        with pytest.raises(ValueError, match="could not be saved"):
            train(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("checkpoint-*.pt")} == before
    assert not list(tmp_path.glob(".checkpoint*"))
    assert train(tmp_path)[1].images_seen == 12


@pytest.mark.parametrize("where", ["loss", "tensor"])
def test_training_that_is_no_longer_finite_stops_and_keeps_what_was_good(
    train, tmp_path, job, where
):
    model = job.model_class(job.settings.config)
    step = model.training_step

    def spoil(batch, random):
        losses = step(batch, random)
        if random.first_sample == 6:
            if where == "tensor":
                next(model.networks.parameters()).data.fill_(float("nan"))
            else:
                losses["cycle_a"] = torch.tensor(float("inf"))
        return losses

    model.training_step = spoil
    with pytest.raises(ValueError, match=rf"{where} \S+ is not finite after 8 images"):
        train(tmp_path, model=model)
    assert [p.name for p in sorted(tmp_path.glob("checkpoint-*.pt"))][-1] == (
        "checkpoint-000000000006.pt"
    )


def test_last_step_takes_what_is_left_of_the_budget(job, images, tmp_path):
    torch.manual_seed(0)
    model = job.model_class(job.settings.config)
    schedule = Schedule(0, 5, 12)
    position = loop.train(model, images, schedule, folder=tmp_path, identity={}, report=quiet)
    assert (position.step, position.images_seen) == (3, 12)


def test_bf16_trains(train, tmp_path):
    model, position = train(tmp_path, is_bf16=True)
    assert position.images_seen == 12
    assert all(tensor.dtype != torch.bfloat16 for tensor in model.networks.state_dict().values())


@pytest.mark.slow
def test_scoring_again_gives_the_same_numbers(job, pairs, tmp_path):
    task = (str(pairs), catalogue.find_task(str(pairs), Path()))  # of fewer images to score
    job = plan.make_job("attentiongan", job.model_class, task, 0, Choices("tiny", {}, 8))
    places = Places(tmp_path / "results", tmp_path / "runs", tmp_path)
    bench = Bench(places, [protocols.find_protocol("i2i")], torch.device("cpu"), quiet)
    path = execute_run(job, bench)
    first = record.read_record(path)
    again = find_job(str(job.run), places)
    assert dataclasses.replace(again.settings) == job.settings
    assert record.read_record(evaluate_run(again, bench, force=True)) == first
    with pytest.raises(ValueError, match="--force replaces that"):
        evaluate_run(again, bench)


@pytest.mark.parametrize("takes_pairs", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_only_models_that_take_pairs_are_trained_on_pairs(takes_pairs, job, pairs, tmp_path):
    batches = []

    class Noting(job.model_class):
        @classmethod
        def needs(cls, config):
            return Needs(pairs="required" if takes_pairs else "no")

        def training_step(self, batch, random):
            batches.append(batch.names)
            return super().training_step(batch, random)

    choices = Choices("tiny", {}, 8)
    task = catalogue.find_task(str(pairs), Path())
    places = Places(tmp_path / "results", tmp_path / "runs", tmp_path)
    bench = Bench(places, [protocols.find_protocol("i2i")], torch.device("cpu"), quiet)
    paired = plan.make_job("attentiongan", Noting, (str(pairs), task), 0, choices)
    execute_run(paired, bench)
    assert all(names["a"] == names["b"] for names in batches) == takes_pairs
    stripes = ("stripes", catalogue.find_task("stripes", Path()))
    if takes_pairs:
        with pytest.raises(ValueError, match="needs pairs, and task stripes has none"):
            plan.make_job("attentiongan", Noting, stripes, 0, choices)
    else:
        plan.make_job("attentiongan", Noting, stripes, 0, choices)


@pytest.mark.slow
def test_forced_run_that_was_stopped_goes_on_and_replaces_the_record_at_its_end(
    job, tiny, tmp_path
):
    task = (str(tiny), catalogue.find_task(str(tiny), Path()))  # of fewer images to score
    job = plan.make_job("attentiongan", job.model_class, task, 0, Choices("tiny", {}, 12))
    places = Places(tmp_path / "results", tmp_path / "runs", tmp_path)
    bench = Bench(places, [protocols.find_protocol("i2i")], torch.device("cpu"), quiet)
    path = execute_run(job, bench)
    before = path.read_text()
    stopping = dataclasses.replace(bench, report=stop_after(4))
    with pytest.raises(Stopped):
        run_one_by_one([job], stopping, force=True, say=print)
    assert path.read_text() == before
    said = []
    run_one_by_one([job], bench, force=False, say=said.append)
    assert "recorded in" in said[-1]
    first, second = json.loads(before), json.loads(path.read_text())
    assert first["scores"] == second["scores"]
    run_one_by_one([job], bench, force=False, say=said.append)
    assert "recorded already" in said[-1]


def test_step_under_bf16_sees_weights_that_were_stepped_within_it(images, tmp_path):
    network = torch.nn.Conv2d(3, 3, 1)

    class TwoPhases(BareModel):
        networks = torch.nn.ModuleDict({"only": network})
        absent = frozenset()
        optimizers = {"only": torch.optim.SGD(network.parameters(), 1.0)}  # noqa: RUF012
        state = {}  # noqa: RUF012

        def advance(self, clock):
            pass

        def training_step(self, batch, random):
            before = network(batch.images["a"]).square().mean()
            before.backward()
            self.optimizers["only"].step()
            after = network(batch.images["a"]).square().mean()
            return {"classification": (before - after).detach().abs()}

        def translate(self, batch, direction, random):
            return network(batch.images[direction.source])

        def masks(self, batch, direction, random):
            return None

    model: Any = TwoPhases()
    seen = []
    loop.train(
        model,
        images,
        Schedule(0, 2, 2, "bf16"),
        folder=tmp_path,
        identity={},
        report=lambda stage, done, of, values: seen.append(values["classification"]),
    )
    assert seen[0] > 0

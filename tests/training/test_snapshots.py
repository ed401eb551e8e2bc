"""Snapshots show a training without touching it."""

import json

import numpy as np
import pytest
import torch
from few_images import with_few_images

from i2i_bench.data import test_set
from i2i_bench.data.directions import directions_of
from i2i_bench.data.training_images import TrainingImages
from i2i_bench.plugins import registry
from i2i_bench.plugins.toy import toy
from i2i_bench.runs import plan
from i2i_bench.runs.job import Choices
from i2i_bench.tasks import catalogue
from i2i_bench.training import loop, snapshots
from i2i_bench.training.checkpoint_file import read_checkpoint
from i2i_bench.training.loop import Schedule
from i2i_bench.training.snapshots import Album, evaluating, moments


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (6000, [0, 94, 188, 375, 750, 1500, 3000, 6000]),
        (8, [0, 1, 2, 4, 8]),
        (1, [0, 1]),
    ],
)
def test_moments_halve_the_budget_from_its_end(budget, expected):
    assert moments(budget) == expected


def make_job(name, data):
    model = registry.load_model(name)
    needed = toy(model)
    two = "stripes-paired" if needed.paired else "stripes"
    task = "shapes-attributes" if needed.attributes else two
    few = with_few_images(catalogue.find_task(task, data))
    return plan.make_job(name, model, (task, few), 0, Choices("tiny", {}, 8))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Give a function from a job to its training images, decoded once for each size."""
    found = {}

    def load(job):
        settings = job.settings
        masks = job.needs.masks == "required" and settings.instances
        key = (job.task.name, settings.load_size, settings.crop_size, settings.flip, masks)
        if key not in found:
            found[key] = TrainingImages(job.task, settings, 0, needs=job.needs if masks else None)
        return found[key]

    return load


def train(job, images, folder, report=lambda *_: None):
    torch.manual_seed(0)
    model = job.model_class(job.settings.config)
    size = job.settings.batch_size
    loop.train(
        model,
        images,
        Schedule(0, size, 8),
        folder=folder,
        identity=job.identity(),
        report=report,
    )
    return model


def lines(folder):
    """Give the log of a training without its seconds."""
    entries = [json.loads(line) for line in (folder / loop.LOG).read_text().splitlines()]
    return [{key: entry[key] for key in entry if key != "seconds"} for entry in entries]


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.available_models())
def test_training_is_the_same_with_and_without_snapshots(name, images, tmp_path, monkeypatch):
    job = make_job(name, tmp_path)
    whole = train(job, images(job), tmp_path / "with")
    after = torch.get_rng_state()
    taken = sorted((tmp_path / "with" / snapshots.FOLDER).glob("*.npz"))
    monkeypatch.setattr(Album, "take", lambda self, images_seen: None)
    bare = train(job, images(job), tmp_path / "without")
    assert len(taken) >= 3
    assert not (tmp_path / "without" / snapshots.FOLDER).exists()
    assert torch.equal(after, torch.get_rng_state())
    assert lines(tmp_path / "with") == lines(tmp_path / "without")
    ours, theirs = (
        read_checkpoint(tmp_path / each / "checkpoint-000000000008.pt")
        for each in ("with", "without")
    )
    ours["position"] = theirs["position"]  # its seconds and memory differ
    assert str(ours["optimizers"]) == str(theirs["optimizers"])
    assert str(ours["state"]) == str(theirs["state"])
    tensors, others = whole.networks.state_dict(), bare.networks.state_dict()
    assert all(torch.equal(tensor, others[name]) for name, tensor in tensors.items())
    assert all(module.training for module in whole.networks.modules())


@pytest.mark.slow
def test_stopped_and_resumed_training_has_the_snapshots_of_a_whole_one(images, tmp_path):
    job = make_job("attentiongan", tmp_path)
    train(job, images(job), tmp_path / "whole")

    def stop(stage, done, of, values):
        if done == 6:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(job, images(job), tmp_path / "parts", stop)
    train(job, images(job), tmp_path / "parts")
    for direction in ("a2b", "b2a"):
        whole, parts = (
            snapshots.read_snapshots(tmp_path / each, direction) for each in ("whole", "parts")
        )
        assert [shot.images_seen for shot in whole] == [0, 2, 4, 8]
        assert [shot.images_seen for shot in parts] == [0, 2, 4, 8]
        for one, other in zip(whole, parts, strict=True):
            assert (one.fakes == other.fakes).all()
            assert one.attention is not None
            assert (one.attention == other.attention).all()


def test_a_snapshot_is_what_the_model_does_then(images, tmp_path):
    job = make_job("attentiongan", tmp_path)
    train(job, images(job), tmp_path)
    *_, last = snapshots.read_snapshots(tmp_path, "a2b")
    count, height, width, _ = last.sources.shape
    assert last.fakes.shape == last.sources.shape == (snapshots.COUNT, height, width, 3)
    assert last.attention is not None
    assert last.attention.shape == (count, 3, height, width)
    assert last.background == 2
    total = last.attention.astype(int).sum(1)  # of 255, each mask rounded
    assert np.abs(total - 255).max() <= 2
    first = job.task.images("test", "a")[0].read()
    assert (last.sources[0] == np.asarray(first)).all()


def test_models_without_masks_have_snapshots_too(images, tmp_path):
    job = make_job("cyclegan", tmp_path)
    train(job, images(job), tmp_path)
    (found, *_) = snapshots.read_snapshots(tmp_path, "b2a")
    assert (found.attention, found.background) == (None, None)


def test_a_model_is_given_instances_in_the_type_of_images(tmp_path):
    task, given = catalogue.find_task("stripes", tmp_path), []
    model = registry.load_model("instagan")
    translate = model.translate

    def noted(self, batch, direction, random):
        given.append((batch.images[direction.source].dtype, batch.masks[direction.source].dtype))
        return translate(self, batch, direction, random)

    noting = type("Noting", (model,), {"translate": noted})
    settings = noting.settings("tiny", task)
    album = Album(
        noting(settings.config),
        test_set.TestSet(task, settings.resize_rule),
        tmp_path,
        1,
        device=torch.device("cpu"),
        num_instances=settings.instances,
    )
    album.take(0)
    assert given == 2 * [(torch.float32, torch.float32)]


def test_evaluating_restores_each_modules_mode_and_chance_even_after_a_failure():
    job_class = registry.load_model("cyclegan")
    task = catalogue.find_task("stripes", None)  # pyright: ignore[reportArgumentType]
    model = job_class(job_class.settings("tiny", task).config)
    model.networks.train()
    frozen = next(module for module in model.networks.modules() if not list(module.children()))
    frozen.eval()
    before = torch.get_rng_state()

    def fail():
        with evaluating(model, torch.device("cpu")):
            assert not any(module.training for module in model.networks.modules())
            assert not torch.is_grad_enabled()
            torch.rand(3)
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert [m for m in model.networks.modules() if not m.training] == [frozen]
    assert torch.equal(before, torch.get_rng_state())


def test_disk_that_takes_no_more_costs_the_snapshot_only(images, tmp_path, caplog):
    job = make_job("cyclegan", tmp_path)
    (tmp_path / snapshots.FOLDER).write_text("in the way")
    train(job, images(job), tmp_path)
    assert "could not be saved" in caplog.text
    assert (tmp_path / "checkpoint-000000000008.pt").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"no archive"])
def test_damaged_snapshot_is_refused_by_name(tmp_path, content):
    path = tmp_path / snapshots.FOLDER / "000000000008.npz"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"000000000008\.npz is damaged"):
        snapshots.read_snapshots(tmp_path, "a2b")


def test_run_without_snapshots_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="--force trains again"):
        snapshots.read_snapshots(tmp_path, "a2b")


@pytest.mark.slow
def test_a_model_of_labels_is_shown_in_every_change(images, tmp_path):
    job = make_job("attentiongan-multi", tmp_path)
    train(job, images(job), tmp_path)
    for direction in directions_of(job.task):
        *_, last = snapshots.read_snapshots(tmp_path, str(direction))
        sources = job.task.images("test", direction.source)[: snapshots.COUNT]
        expected = np.stack([np.asarray(image.read()) for image in sources])
        assert (last.sources == expected).all()
        assert last.attention is not None
        assert (last.fakes != last.sources).any()

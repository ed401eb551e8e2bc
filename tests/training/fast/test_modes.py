"""Modes change how a step is carried out, not what it computes, and leave no trace behind."""

import dataclasses
import functools
import json
import shutil
import signal
import sys
from pathlib import Path

import click
import pytest
import torch
from few_images import with_few_images

from i2i_bench.blocks.optimise import descend
from i2i_bench.cli.main import main
from i2i_bench.data.training_images import TrainingImages
from i2i_bench.model import Clock
from i2i_bench.plugins import contract, registry
from i2i_bench.plugins.toy import toy
from i2i_bench.randomness import Randomness
from i2i_bench.records.record import Record, read_record
from i2i_bench.runs import plan
from i2i_bench.runs.job import Choices
from i2i_bench.tasks import catalogue
from i2i_bench.training import loop
from i2i_bench.training.fast.modes import (
    BEST,
    NAMES,
    Modes,
    choose_modes,
    importlib,
    prepared,
    tensor_floats,
)
from i2i_bench.training.fast.step import Step
from i2i_bench.training.loop import Schedule
from i2i_bench.training.signals import Stopped

CPU = torch.device("cpu")


def mostly_slow(first, *others):
    """Give what is tried among the quick tests, and others that show the same more slowly."""
    return [first, *(pytest.param(each, marks=pytest.mark.slow) for each in others)]


QUICK = ("cyclegan", "stargan")  # a model of two domains, and one of labels
each_model = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK))
        for name in registry.available_models()
    ],
)
STATIC = Modes(fused=True, capture=True)  # on a CPU: all of a capture but the graph


def subject_of(name):
    model_class = registry.load_model(name)
    task = toy(model_class)
    return contract.Subject(model_class, model_class.settings("tiny", task))


def take(subject, modes, *, steps=6, record=None, device=CPU, is_bf16=False, left_out=1):
    """Take steps, the last of fewer samples; give the losses of each and the networks."""
    model = subject.build()
    model.networks.to(device)
    random = Randomness(2, device=device)
    found, count = [], subject.settings.batch_size
    budget = steps * count - left_out
    with prepared(model, modes):
        step = Step(model, random, modes, is_bf16=is_bf16, record=record)
        for number in range(steps):
            batch = subject.batch(number)
            size = min(count, budget - number * count)
            parts = {
                key: part and {domain: each[:size].to(device) for domain, each in part.items()}
                for key in ("images", "labels", "masks")
                for part in (getattr(batch, key),)
            }
            clock = Clock(number + 1, steps, number * count, budget)
            losses = step(clock, dataclasses.replace(batch, **parts))
            found.append({key: value.item() for key, value in losses.items()})
    return found, {key: t.cpu() for key, t in model.networks.state_dict().items()}


def at_once(body):
    return body


@each_model
def test_steps_on_fixed_buffers_equal_plain_ones_bit_for_bit(name):
    subject = subject_of(name)
    plain, networks = take(subject, Modes(fused=True))
    static, same = take(subject, STATIC, record=at_once)
    assert plain == static
    assert all(torch.equal(t, same[key]) for key, t in networks.items())


def test_a_stage_that_only_freezes_networks_is_captured_anew(toys):
    class Stages(toys["toy-staged"]):
        def advance(self, clock):
            stage = clock.step * 2 // (clock.total_steps + 1)
            for number, way in enumerate(("a2b", "b2a")):
                self.networks[way].requires_grad_(number == stage)

        def training_step(self, batch, random):
            ways = [w for w in self.optimizers if next(self.networks[w].parameters()).requires_grad]
            images = batch.images["a"]
            losses = {way: (self.networks[way](images) - images).square().mean() for way in ways}
            for way, loss in losses.items():
                descend(self.optimizers[way], loss)
            return {f"pixel_{way}": loss.detach() for way, loss in losses.items()}

    subject = contract.Subject(Stages, Stages.settings("tiny", toy(Stages)))
    plain, networks = take(subject, Modes(fused=True), steps=8, left_out=0)
    static, same = take(subject, STATIC, steps=8, left_out=0, record=fixed)
    assert [list(each) for each in plain] == [["pixel_a2b"]] * 4 + [["pixel_b2a"]] * 4
    assert plain == static
    assert all(torch.equal(t, same[key]) for key, t in networks.items())


def fixed(body):
    """Repeat the terms of the first replay alone, as a graph knows no others."""
    names = []

    def replay():
        found = body()
        names.extend(found if not names else ())
        assert list(found) == names
        return found

    return replay


@pytest.mark.parametrize("modes", [Modes(fused=True), Modes(channels_last=True)], ids=str)
@pytest.mark.parametrize("name", mostly_slow("cyclegan", "attentiongan", "unit", "ugatit-light"))
def test_modes_move_last_digits_only(name, modes):
    plain, _ = take(subject_of(name), Modes(), steps=3)
    moded, _ = take(subject_of(name), modes, steps=3)
    for one, other in zip(plain, moded, strict=True):
        assert one == pytest.approx(other, rel=2e-2)
    assert plain[0] == pytest.approx(moded[0], rel=1e-4)


@pytest.fixture
def traced(monkeypatch):
    """Have forwards traced whole as for a compiler, none of them given up, and run as traced."""
    torch._dynamo.reset()
    whole = functools.partialmethod(torch.nn.Module.compile, backend="aot_eager", fullgraph=True)
    monkeypatch.setattr(torch.nn.Module, "compile", whole)
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        yield Modes(compile=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["attentiongan", "cyclegan", "unit", "ugatit-light"])
@pytest.mark.filterwarnings("ignore")
def test_forwards_are_traced_whole_and_for_every_use(name, traced):
    whole, _ = take(subject_of(name), traced, steps=3)
    plain, _ = take(subject_of(name), Modes(), steps=3)
    for one, other in zip(plain, whole, strict=True):  # later steps are of what gradients did
        assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "title"), [("stargan", "StarGAN"), ("attentiongan-v1", "Scheme I")]
)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_compiled_is_refused(name, title, traced):
    with pytest.raises(ValueError, match=f"{title}.* cannot be taken with compile: .*; leave"):
        take(subject_of(name), traced, steps=2)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["grad", "backward"])
@pytest.mark.filterwarnings("ignore")
def test_compiled_networks_refuse_to_differentiate_gradients_and_nobody_else(way):
    subject = subject_of("cyclegan")
    model, x = subject.build(), torch.ones((), requires_grad=True)

    def differentiate():
        if way == "backward":
            x.square().backward(create_graph=True)
        else:
            torch.autograd.grad(x.square(), x, None, None, True)

    with prepared(model, Modes(compile=True)):
        x.square().backward()
        with pytest.raises(RuntimeError, match="differentiates a gradient"):
            differentiate()
    differentiate()


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_steps_give_the_same_losses_and_names():
    """Of batches of one size: each takes half a minute, and the test above has them of two."""
    subject = subject_of("cyclegan")
    plain, networks = take(subject, Modes(), steps=2, left_out=0)
    compiled, same = take(subject, Modes(compile=True), steps=2, left_out=0)
    for one, other in zip(plain, compiled, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    assert networks.keys() == same.keys()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", registry.available_models())
def test_captured_steps_equal_plain_ones(name):
    device = torch.device("cuda")
    plain, _ = take(subject_of(name), Modes(fused=True), device=device)
    captured, _ = take(subject_of(name), STATIC, device=device)
    assert plain[2] == pytest.approx(captured[2], rel=1e-2)


class Restless(registry.load_model("cyclegan")):
    """A model with a fault: it alternates in its step, or its schedule never rests."""

    def advance(self, clock):
        super().advance(clock)
        if self.config.pool_size == 3:
            self.strength = 1 / clock.step
        if self.config.pool_size == 4:
            self.strengths = {"cycle": [1 / clock.step]}

    def training_step(self, batch, random):
        if self.config.pool_size == 2:
            self.is_odd = not getattr(self, "is_odd", False)
        return super().training_step(batch, random)


@pytest.mark.parametrize(
    ("pool_size", "reason"),
    [(2, "changes Python values during a step"), (3, "too often"), (4, "too often to be captured")],
)
def test_what_cannot_be_captured_is_refused(pool_size, reason):
    settings = Restless.settings("tiny", toy(Restless))
    config = dataclasses.replace(settings.config, pool_size=pool_size)
    subject = contract.Subject(Restless, dataclasses.replace(settings, config=config))
    with pytest.raises(ValueError, match=reason):
        take(subject, STATIC, steps=12, record=at_once)


def test_option_has_every_mode():
    for name in ("run", "ablate"):
        option = next(each for each in main.commands[name].params if each.name == "modes")
        assert isinstance(option.type, click.Choice)
        assert set(option.type.choices) == {"auto", "none", *NAMES}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["auto"], BEST["cpu"]),
        (["none"], Modes()),
        (["channels-last"], Modes(channels_last=True)),
        (["auto", "compile"], dataclasses.replace(BEST["cpu"], compile=True)),
    ],
)
def test_modes_are_as_typed(typed, expected):
    chosen = choose_modes(typed, CPU)
    assert chosen == expected
    assert set(chosen.names()) <= set(NAMES)


CUDA = torch.device("cuda")  # which need not be there to choose for it


@pytest.fixture
def compiler(monkeypatch):
    """Have something taken for a C compiler, whether or not there is one."""
    monkeypatch.setenv("CC", sys.executable)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["auto"], BEST["cuda"]),
        (["kernels"], Modes(channels_last=True, kernels=True)),
        (["auto", "compile"], Modes(fused=True, compile=True, capture=True, tune=True)),
    ],
)
def test_modes_of_a_gpu_are_as_typed(typed, expected, compiler):
    assert choose_modes(typed, CUDA) == expected


def test_auto_leaves_out_what_processes_cannot_share(compiler):
    shared = choose_modes(["auto"], CUDA, is_shared=True)
    assert shared == dataclasses.replace(BEST["cuda"], capture=False)


@pytest.mark.parametrize("lack", ["Triton", "a C compiler"])
def test_kernels_are_left_out_with_a_warning_where_they_cannot_be(lack, monkeypatch, caplog):
    if lack == "Triton":
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = choose_modes(["auto"], CUDA)
    assert found == Modes(fused=True, capture=True, tune=True)
    assert f"kernels need {lack}" in caplog.text
    with pytest.raises(ValueError, match=f"kernels needs {lack}, which is not there"):
        choose_modes(["kernels"], CUDA)
    assert choose_modes(["auto"], CPU) == BEST["cpu"]


@pytest.mark.parametrize(
    ("typed", "device", "is_shared", "reason"),
    [
        (["none", "fused"], CPU, False, "cannot be combined"),
        (["capture"], CPU, False, "capture needs a CUDA device"),
        (["kernels"], CPU, False, "kernels needs a CUDA device"),
        (["tune"], CPU, False, "tune needs a CUDA device"),
        (["capture"], CUDA, True, "that processes share cannot be captured"),
        (["kernels", "compile"], CUDA, False, "exclude each other"),
    ],
)
def test_impossible_modes_are_refused(typed, device, is_shared, reason):
    with pytest.raises(ValueError, match=reason):
        choose_modes(typed, device, is_shared=is_shared)


def test_tensor_floats_are_of_cuda_and_end_with_the_training(cli, places):
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    with tensor_floats(allowed=not before):
        assert matmul.allow_tf32 is not before
    assert matmul.allow_tf32 is before
    command = ("run", "--model", "cyclegan", "--task", "stripes", "--precision", "tf32")
    assert "tf32 is a format of CUDA" in cli(*command, "--device", "cpu", code=1)


@pytest.fixture(scope="module")
def job():
    task = with_few_images(catalogue.find_task("stripes", Path()))
    model_class = registry.load_model("cyclegan")
    return plan.make_job("cyclegan", model_class, ("stripes", task), 0, Choices("tiny", {}, 12))


@pytest.fixture(scope="module")
def images(job):
    return TrainingImages(job.task, job.settings, 0)


@pytest.fixture
def train(job, images, default_signals):
    def run(folder, modes, stop_after=None):
        def report(stage, done, of, values):
            if stage == "train" and done == stop_after:
                signal.raise_signal(signal.SIGTERM)

        torch.manual_seed(0)
        model = job.model_class(job.settings.config)
        schedule = Schedule(0, 2, 12, checkpoint_seconds=1e9, modes=modes)
        loop.train(model, images, schedule, folder=folder, identity=job.identity(), report=report)
        return model.networks.state_dict()

    return run


FAST = Modes(channels_last=True, fused=True)


@pytest.mark.parametrize("modes", mostly_slow(FAST, Modes(fused=True)), ids=str)
def test_resumed_equals_uninterrupted_in_the_same_modes(train, tmp_path, modes):
    whole = train(tmp_path / "whole", modes)
    with pytest.raises(Stopped):
        train(tmp_path / "parts", modes, stop_after=6)
    resumed = train(tmp_path / "parts", modes)
    assert all(torch.equal(t, resumed[name]) for name, t in whole.items())


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [(FAST, Modes()), (Modes(), FAST)], ids=str)
def test_checkpoints_go_from_mode_to_mode(train, tmp_path, first, then):
    whole = train(tmp_path / "whole", Modes())
    with pytest.raises(Stopped):
        train(tmp_path / "parts", first, stop_after=6)
    resumed = train(tmp_path / "parts", then)
    assert all(tensor.is_contiguous() for tensor in resumed.values())
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=0, atol=3e-3)  # 12 rates and more


def test_records_name_the_modes_and_old_ones_have_none(finished):
    paths = sorted((finished / "results").glob("*/*/seed*.json"))
    assert len(paths) == 4
    for path in paths:
        assert read_record(path).modes == BEST["cpu"].names()
        plain = json.loads(path.read_text())
        del plain["modes"]
        assert Record.model_validate(plain).modes == []

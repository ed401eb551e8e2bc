"""The memory of a run: counted without running, compared with what is free."""

import dataclasses
from typing import Any

import pytest
import torch
from bare_model import BareModel
from torch import nn

from i2i_bench.model import Settings
from i2i_bench.plugins import registry
from i2i_bench.plugins.toy import Toy, toy
from i2i_bench.system.memory import _control_group, _system, available_memory
from i2i_bench.training import memory
from i2i_bench.training.memory import MemoryNeed

TASK = Toy("toy", kind="folder", image_size=32, num_train={"a": 3, "b": 4})
CPU = torch.device("cpu")
GIB = 2**30


class Linear(BareModel):
    """As much of a model as the count needs: one matrix under Adam."""

    def __init__(self, config):
        del config
        self.networks = nn.ModuleDict({"only": nn.Linear(64, 16, bias=False)})
        self.optimizer = torch.optim.Adam(self.networks.parameters())

    def advance(self, clock):
        del clock

    def training_step(self, batch, random):
        del random
        rows = batch.images["a"].view(-1, 64)
        self.optimizer.zero_grad()
        self.networks["only"](rows).sum().backward()
        self.optimizer.step()


class Undecided(Linear):
    def training_step(self, batch, random):
        del random
        torch.nonzero(batch.images["a"])  # whose size depends on the values


def expect(model_class: Any, settings: Settings) -> MemoryNeed:
    return memory.measure_need(model_class, settings, TASK)


@pytest.fixture
def settings():
    return Settings(None, batch_size=2, budget=8, load_size=20, crop_size=16)


def test_what_is_counted_follows_from_the_sizes(settings):
    need = expect(Linear, settings)
    weights, images, rows = 4 * 64 * 16, 4 * 2 * 3 * 16**2, 2 * 3 * 16**2 // 64
    assert need.images == 0  # which stay where there is room
    assert need.states == 4 * weights + 4  # and Adam's number of steps
    least = 2 * images + 4 * rows * 16  # both domains, and the output
    assert need.step is not None
    assert least <= need.step <= least + 4 * weights + 64


def test_a_model_that_looks_at_values_is_counted_by_its_weights(settings):
    need = expect(Undecided, settings)
    assert need.step is None
    assert need.states == 4 * 4 * 64 * 16
    assert str(need).startswith("at least ")


class Prepared(Linear):
    is_ready = False

    def prepare(self, batches, random):
        self.is_ready = len([batch.images["a"].mean() for batch in batches]) > 0

    def training_step(self, batch, random):
        if not self.is_ready:
            raise ValueError("it was not prepared")
        super().training_step(batch, random)


def test_a_model_prepares_itself_before_it_is_counted(settings):
    assert expect(Prepared, settings) == expect(Linear, settings)


@pytest.mark.parametrize("number", [3, 4])
def test_states_of_all_domains_are_counted_where_a_step_sees_two(number, toys):
    names = tuple("wxyz"[:number])
    task = Toy(domains=("all",), num_train={"all": 8}, attributes=names, exclusive=(names,))
    model_class = toys["toy-drawn"]
    settings = model_class.settings("tiny", task)
    networks = model_class(settings.config).networks
    weights = 4 * sum(parameter.numel() for parameter in networks.parameters())
    assert memory.measure_need(model_class, settings, task).states >= 3.4 * weights


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.available_models())
def test_every_model_can_be_counted(name):
    model = registry.load_model(name)
    task = toy(model)
    need = memory.measure_need(model, model.settings("tiny", task), task)
    assert need.step
    assert need.states > 0


def test_runs_that_differ_in_their_images_only_are_counted_once(settings):
    model_class: Any = Linear
    other = dataclasses.replace(TASK, num_train={"a": 9, "b": 9})
    memory._remember.cache_clear()
    need = memory.measure_need(model_class, dataclasses.replace(settings), other)
    assert expect(Linear, settings) == need
    assert memory._remember.cache_info().misses == 1


def test_settings_that_cannot_be_hashed_are_counted_too(settings):
    assert expect(Linear, dataclasses.replace(settings, config=[])) == expect(Linear, settings)


def test_a_larger_batch_needs_more_for_the_step_only(settings):
    small = expect(Linear, settings)
    large = expect(Linear, dataclasses.replace(settings, batch_size=8))
    assert large.states == small.states
    assert small.step is not None
    assert large.step is not None
    assert 3 * small.step < large.step <= 4 * small.step


def test_a_run_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda device: 10 * GIB)
    memory.require_memory(MemoryNeed(images=9 * GIB, states=4 * GIB, step=6 * GIB), CPU)
    with pytest.raises(ValueError, match=r"needs 11\.50 GiB .* cpu has 10\.00 GiB free"):
        memory.require_memory(MemoryNeed(images=GIB, states=4 * GIB, step=13 * GIB // 2), CPU)


def test_where_the_system_does_not_tell_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda device: None)
    memory.require_memory(MemoryNeed(0, 2**60, None), CPU)


def test_free_memory_counts_swap(tmp_path):
    file = tmp_path / "meminfo"
    file.write_text("MemTotal: 9 kB\nMemAvailable:   3000 kB\nSwapFree:  1000 kB\nHugePages: 0\n")
    assert _system(file) == 4000 * 1024
    assert _system(tmp_path / "none") is None


@pytest.mark.parametrize(("limit", "free"), [("1000", 500), ("max", None), ("100", 0)])
def test_a_control_group_may_leave_less(tmp_path, limit, free):
    contents = {"max": limit, "current": "700", "stat": "anon 400\ninactive_file 200\n"}
    for name, content in contents.items():
        (tmp_path / f"memory.{name}").write_text(content)
    assert _control_group(tmp_path) == free


def test_a_gpu_is_asked_for_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 9))
    assert available_memory(torch.device("cuda")) == 5


class Particular(Linear):
    def training_step(self, batch, random):
        del random
        side = batch.images["a"].shape[-1]
        raise ValueError(f"images of {side} px are too small; 64 px are needed")


def test_what_a_model_says_of_a_size_is_said_before_the_run(settings):
    with pytest.raises(ValueError, match="images of 16 px are too small"):
        expect(Particular, settings)

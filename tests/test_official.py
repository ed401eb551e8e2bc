"""Reading checkpoints of any origin and every version of torch, and building models with them."""

import pickle
import random
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import nn

from i2i_bench import official
from i2i_bench.model import A2B, B2A, Batch, Model, ModelCard, Settings
from i2i_bench.official import StateDict
from i2i_bench.randomness import Randomness


def same(first, second) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


# --- files of every version of torch


rebuild = import_module("torch._utils")._rebuild_tensor


class AsBefore04:
    """A tensor pickled as torch 0.3 did."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __reduce__(self):
        tensor = self.tensor
        parts = (tensor._typed_storage(), 0, tuple(tensor.shape), tensor.stride())
        return rebuild, parts


def write_today(state: nn.Module, path: Path) -> None:
    torch.save(state.state_dict(), path)


def write_before_16(state: nn.Module, path: Path) -> None:
    torch.save(state.state_dict(), path, _use_new_zipfile_serialization=False)


def write_before_04(state: nn.Module, path: Path) -> None:
    old = OrderedDict((name, AsBefore04(t)) for name, t in state.state_dict().items())
    torch.save(old, path, _use_new_zipfile_serialization=False)


def write_by_python_2(state: nn.Module, path: Path) -> None:
    """Turn text into Python 2's strings, by the bytes of the pickle."""
    write_before_04(state, path)
    content = path.read_bytes()
    for name in state.state_dict():
        text = name.encode()
        now, then = pickle.BINUNICODE + struct.pack("<I", len(text)), pickle.SHORT_BINSTRING
        assert now + text in content
        content = content.replace(now + text, then + bytes([len(text)]) + text)
    path.write_bytes(content)


WRITERS = (write_today, write_before_16, write_before_04, write_by_python_2)


@pytest.mark.parametrize("write", WRITERS)
def test_files_of_every_version_of_torch_are_read(tmp_path, write):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    write(network, tmp_path / "file.pth")
    found = official.read_state_dict(tmp_path / "file.pth")
    assert found.source == "file.pth"
    assert same(found.tensors, network.state_dict())


@pytest.mark.parametrize("write", WRITERS[1:])
def test_damaged_old_files_are_refused(tmp_path, write):
    path = tmp_path / "file.pth"
    write(nn.Conv2d(3, 4, 3), path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 50):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is damaged"):
            official.read_state_dict(path)


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16, torch.double])
def test_floating_types_become_single_precision(tmp_path, dtype):
    weight = torch.randn(4, 3).to(dtype)
    torch.save(
        {"module.weight": weight, "module.num_batches_tracked": torch.tensor(3)}, tmp_path / "f"
    )
    found = official.read_state_dict(tmp_path / "f").tensors
    assert found["weight"].dtype == torch.float32
    assert torch.equal(found["weight"], weight.float())
    assert found["num_batches_tracked"].dtype == torch.int64


def test_compressed_archives_claim_no_more_than_they_hold(tmp_path):
    torch.save({"weight": torch.zeros(100_000)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for entry in plain.infolist():
            bomb.writestr(entry.filename, plain.read(entry))
    with pytest.raises(ValueError, match=r"bomb\.pth"):
        official.read_state_dict(tmp_path / "bomb.pth")


# --- damage


def test_tensors_that_claim_more_than_the_file_has_are_refused(tmp_path):
    one = torch.zeros(1000)
    for number, tensors in enumerate([{"a": one[:1].expand(10**12)}, {"a": one, "b": one}]):
        torch.save(tensors, tmp_path / f"{number}.pth")
        with pytest.raises(ValueError, match=r"claims tensors of \d+ bytes, which is more"):
            official.read_state_dict(tmp_path / f"{number}.pth")


def test_parts_that_claim_more_than_the_file_has_together_are_refused(tmp_path):
    one, path = torch.zeros(1), tmp_path / "file.pt"
    torch.save({part: {"weight": one.expand(1)} for part in "ab"}, path)
    most = path.stat().st_size * 3 // 4 // one.nbytes  # of the bytes, three quarters each
    torch.save({part: {"weight": one.expand(most)} for part in "ab"}, path)
    official.read_parts(path, "a")
    with pytest.raises(ValueError, match=r"claims tensors of \d+ bytes, which is more"):
        official.read_parts(path, "ab")


def test_any_flipped_bit_of_a_file_is_noticed(tmp_path):
    path = tmp_path / "file.pth"
    state = {"weight": torch.randn(4, 3), "bias": torch.randn(4)}
    torch.save(state, path)
    whole, draws = path.read_bytes(), random.Random(0)
    for _ in range(200):
        content = bytearray(whole)
        content[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
        path.write_bytes(content)
        try:
            found = official.read_state_dict(path).tensors
        except ValueError as error:
            assert str(error).isprintable()
        else:  # of what no reader looks at, such as the time of a record
            assert same(found, state)


# --- what a plugin of a third party builds with


@dataclass(frozen=True)
class PlainConfig:
    width: int


class Plain(Model):
    """A convolution with batch normalisation each way."""

    card = ModelCard("Plain", "A. Nobody", "nowhere", 2026, "0000.00000", "MIT")
    Config = PlainConfig

    def __init__(self, config):
        self.config = config
        layers = {
            d: nn.Sequential(nn.Conv2d(3, config.width, 1), nn.BatchNorm2d(config.width))
            for d in ("a2b", "b2a")
        }
        self.networks, self.optimizers, self.state = nn.ModuleDict(layers), {}, {}

    @classmethod
    def settings(cls, preset, task):
        return Settings(PlainConfig(1), 1, 1, 8, 8)

    def training_step(self, batch, random):
        return {}

    def translate(self, batch, direction, random):
        return self.networks[str(direction)](batch.images[direction.source])


STEMS = [("0", "conv"), ("1", "norm")]


def plain_state(width: int = 3) -> dict[str, torch.Tensor]:
    network = nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width)).state_dict()
    names = {f"{i}.": name for i, name in enumerate(("conv.", "norm."))}
    return {names[name[:2]] + name[2:]: torch.ones_like(t) for name, t in network.items()}


def test_build_names_what_is_absent_and_leaves_counters_that_are_not_there():
    tensors = {n: t for n, t in plain_state().items() if not n.endswith("num_batches_tracked")}
    model = official.build(
        Plain, PlainConfig(3), [(StateDict("f", tensors), official.below("a2b", STEMS))]
    )
    assert model.absent == {"b2a"}
    assert model.networks.get_submodule("a2b.1").num_batches_tracked == 0
    assert model.networks.state_dict()["a2b.1.running_mean"].eq(1).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm.running_mean": None}, r"^f lacks norm\.running_mean$"),
        ({"relu.running_mean": torch.ones(3)}, None),
        ({"conv.running_mean": torch.ones(3)}, r"^f has unknown conv\.running_mean$"),
        ({"relu.weight": torch.ones(3), "relu.running_mean": torch.ones(3)}, "unknown relu"),
        (dict.fromkeys(("norm.weight", "norm.bias", "conv.weight", "conv.bias")), "and 1 more$"),
        ({"conv.bias": None, "x": torch.ones(1)}, r"^f lacks conv\.bias; has unknown x$"),
    ],
)
def test_statistics_are_dropped_for_layers_without_parameters_alone(changes, message):
    tensors = {n: t for n, t in (plain_state() | changes).items() if t is not None}
    files = [(StateDict("f", tensors), official.below("a2b", STEMS))]
    if message is None:
        official.build(Plain, PlainConfig(3), files)
        return
    with pytest.raises(ValueError, match=message):
        official.build(Plain, PlainConfig(3), files)


def test_module_that_a_plugin_forgets_is_not_left_as_it_was_born():
    tensors = {n: t for n, t in plain_state().items() if n.startswith("conv")}
    files = [(StateDict("f", tensors), official.below("a2b", STEMS[:1]))]
    with pytest.raises(ValueError, match=r"not described for a2b\.1\.weight, a2b\.1\.bias"):
        official.build(Plain, PlainConfig(3), files)


def test_absent_networks_are_refused_and_others_are_not():
    model = Plain(PlainConfig(3))
    model.absent = frozenset({"b2a"})
    official.refuse_absent(model)
    images = torch.ones(1, 3, 8, 8)
    assert model.translate(Batch({"a": images}), A2B, Randomness(0)).shape == images.shape
    with pytest.raises(official.AbsentNetwork, match="Plain has no b2a here"):
        model.translate(Batch({"b": images}), B2A, Randomness(0))
    with pytest.raises(official.AbsentNetwork):  # nor by a part of it
        model.networks.get_submodule("b2a.0")(images)

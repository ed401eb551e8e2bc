"""Files of weights of other kinds than torch's: safetensors read, all others named."""

import argparse
import io
import json
import random

import numpy as np
import pytest
import torch
from safetensors.torch import save as library_save

from i2i_bench.system.safetensors_file import DTYPES
from i2i_bench.system.state_dicts import find_state_dicts, unwrapped
from i2i_bench.system.tensors import read_untrusted

STATE = {
    "model.1.weight": torch.randn(4, 3, 7, 7),
    "model.1.bias": torch.zeros(0),
    "num_batches_tracked": torch.tensor(3),
}


def test_safetensors_are_read_as_their_own_library_writes_them(tmp_path):
    draw = torch.Generator().manual_seed(0)
    state = STATE | {
        name: (10 * torch.rand(3, 2, generator=draw)).to(dtype) for name, dtype in DTYPES.items()
    }
    (tmp_path / "x.pth").write_bytes(library_save(state, {"format": "pt"}))  # whatever its name
    found = read_untrusted(tmp_path / "x.pth")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())
    assert all(found[name].dtype == tensor.dtype for name, tensor in state.items())


def header(content, change):
    """Change the header of a file."""
    start = 8 + int.from_bytes(content[:8], "little")
    made = json.dumps(change(json.loads(content[8:start]))).encode()
    return len(made).to_bytes(8, "little") + made + content[start:]


def entry(**changes):
    def change(names):
        return names | {"model.1.weight": names["model.1.weight"] | changes}

    return change


DAMAGE = {
    "shape": entry(shape=[4, 3, 7, 8]),
    "huge": entry(shape=[2**40, 2**40]),
    "negative": entry(shape=[-4, 3, 7, 7]),
    "type": entry(dtype="F128"),
    "no type": entry(dtype=None),
    "place": entry(data_offsets=[0, 10**12]),
    "overlap": entry(data_offsets=[0, 2352]),
    "no place": entry(data_offsets="all"),
    "nothing": lambda names: {},
    "list": lambda names: {"x": [1, 2]},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_header_that_lies_is_refused(tmp_path, damage):
    path = tmp_path / "x.safetensors"
    path.write_bytes(header(library_save(STATE), DAMAGE[damage]))
    with pytest.raises(ValueError, match=r"x\.safetensors is damaged: ") as caught:
        read_untrusted(path)
    assert str(caught.value).isprintable()


def test_cut_safetensors_are_refused(tmp_path):
    path, whole = tmp_path / "x.safetensors", library_save(STATE)
    for length in random.Random(0).sample(range(9, len(whole)), 40):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"x\.safetensors is damaged"):
            read_untrusted(path)


def arrays():
    file = io.BytesIO()
    np.savez(file, weight=np.ones(3))
    return file.getvalue()


def saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


KINDS = {
    "page": (b"\n<!DOCTYPE html><html><title>Google Drive", "is a web page: the download gave"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid x", "is a pointer of Git LFS"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(600), "is a file of HDF5, as Keras"),
    "7z": (b"7z\xbc\xaf'\x1c" + bytes(600), "is a 7z archive; unpack it and give the folder"),
    "gzip": (b"\x1f\x8b\x08" + bytes(600), "is a gzip archive; unpack it"),
    "arrays": (arrays(), "is a file of NumPy arrays (.npz)"),
    "array": (b"\x93NUMPY\x01" + bytes(600), "is an array of NumPy"),
    "empty": (b"", "is damaged: it is empty"),
    "options beside tensors": (
        saved({"state_dict": STATE, "opt": argparse.Namespace(lr=1)}),
        "or holds argparse.Namespace beside tensors and plain values; nothing in it is executed",
    ),
    "whole module": (saved(torch.nn.ReLU()), "torch.nn.modules.activation.ReLU beside"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_kind_of_file_is_named(tmp_path, kind):
    content, part = KINDS[kind]
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pth is ") as caught:
        read_untrusted(tmp_path / "x.pth")
    assert part in str(caught.value)
    assert str(caught.value).isprintable()


def test_state_of_optimisers_is_no_state_dict():
    moments = {"state": {0: {"exp_avg": torch.ones(3), "step": torch.tensor(1.0)}}}
    checkpoint = {"net": {"w": torch.ones(2)}, "optimizer_G": moments, "state": moments["state"]}
    assert list(find_state_dicts(checkpoint)) == ["net"]
    assert list(find_state_dicts({"w": torch.ones(2)})) == [""]
    assert list(find_state_dicts({"w": torch.ones(2), "epoch": 3})[""]) == ["w"]
    assert find_state_dicts({"w": torch.ones(2), "layer.w": 3}) == {}


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("module.model.1.weight", "model.1.weight"),
        ("_orig_mod.module.model.1.weight", "model.1.weight"),
        ("model._orig_mod.1.weight", "model.1.weight"),
        ("enc.module.weight", "enc.module.weight"),
        ("submodule.weight", "submodule.weight"),
    ],
)
def test_wrappers_are_taken_off_names_and_nothing_else(name, plain):
    assert unwrapped(name) == plain

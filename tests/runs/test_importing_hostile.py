"""Damaged and hostile files in the place of the authors': refused in a sentence, never run."""

import os
import tarfile
from pathlib import Path

import pytest
import torch
from torch import nn

from i2i_bench.plugins import registry

pytestmark = pytest.mark.slow  # whole runs and commands


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("pwned",))


def rewrite(path: Path, change) -> None:
    """Save what a file holds after a change."""
    torch.save(change(torch.load(path)), path)


def put(name: str, tensor: object):
    return lambda path: rewrite(path, lambda tensors: tensors | {name: tensor})


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "storages")


def script(path: Path) -> None:
    with pytest.warns((DeprecationWarning, FutureWarning)):
        torch.jit.save(torch.jit.script(nn.ReLU()), path)


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = {
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "is damaged"),
    "a bit": (flip_a_bit, "is damaged"),
    "empty": (lambda path: path.write_bytes(b""), "is damaged: it is empty"),
    "text": (lambda path: path.write_text("no file"), "is damaged, or "),
    "code": (lambda path: torch.save(Evil(), path), "nothing in it is executed"),
    "code inside": (put("model.1.weight", Evil()), "nothing in it is executed"),
    "whole module": (lambda path: torch.save(nn.ReLU(), path), "nothing in it is executed"),
    "script": (script, "nothing in it is executed"),
    "tar": (tar, "is a tar archive; unpack it"),
    "list": (lambda path: torch.save([1], path), "holds no state dict"),
    "in a list": (
        lambda path: rewrite(path, lambda t: {"nets": [t]}),
        "dict (names to tensors); it",
    ),
    "number": (put("model.1.weight", 3), "holds no state dict"),
    "sparse": (put("model.1.bias", torch.ones(8).to_sparse_coo()), "holds no state dict"),
    "no values": (put("model.1.bias", torch.ones(8, device="meta")), "holds no state dict"),
    "integers": (put("model.1.bias", torch.ones(8).long()), "type: model.1.bias (int64)"),
    "complex": (
        put("model.1.bias", torch.ones(8, dtype=torch.cfloat)),
        "type: model.1.bias (complex64)",
    ),
    "not a number": (put("model.1.bias", torch.full((8,), torch.nan)), "finite in model.1.bias"),
    "infinite": (put("model.1.bias", torch.full((8,), torch.inf)), "finite in model.1.bias"),
    "twice": (put("module.model.1.bias", torch.ones(8)), "with module. before the name and not"),
    "misnamed": (put("\x1b[2J\n" * 99, torch.ones(8)), r"has unknown \x1b[2J\n\x1b[2J\n"),
    "a folder": (folder_in_its_place, "there is no file"),
    "gone": (Path.unlink, "holds no generator: needed are latest_net_G_A.pth and"),
}


@pytest.mark.filterwarnings("ignore:Sparse invariant checks", "ignore:`torch.jit")
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_or_hostile_file_is_one_sentence_and_nothing_is_written(cli, pair, places, damage):
    spoil, part = DAMAGE[damage]
    for name in ("latest_net_G_A.pth", "latest_net_G_B.pth"):
        spoil(pair / name)
    sentence = cli("import", "cyclegan", pair, "out", code=1)
    assert part in sentence
    assert sentence.isprintable()
    assert len(sentence) < 600
    assert [path.name for path in places.iterdir()] == ["official"]


def test_folder_where_nothing_can_be_written_is_one_sentence(cli, pair):
    Path("file").write_text("no folder")
    assert "file" in cli("import", "cyclegan", pair, "file/out", code=1)
    assert Path("file").read_text() == "no folder"


def test_no_model_is_built_that_is_larger_than_the_file(pair):
    """At this width a generator would take 500 GB."""
    for name in ("latest_net_G_A.pth", "latest_net_G_B.pth"):
        rewrite(
            pair / name, lambda tensors: tensors | {"model.1.weight": torch.ones(30_000, 1, 1, 1)}
        )
    with pytest.raises(ValueError, match=r"model\.1\.weight \(30000, 1, 1, 1\) instead of"):
        registry.load_model("cyclegan").from_official(pair)

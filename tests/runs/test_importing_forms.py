"""Weights as people have them: packed, below a folder, inside checkpoints, under other names."""

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from i2i_bench.runs import importing

pytestmark = pytest.mark.slow  # whole runs and commands

NAMES = ("G_A", "G_B")


@pytest.fixture(scope="module")
def states(golden):
    """Give the tensors of CycleGAN's two generators, by the authors' names."""
    return {name: golden("cyclegan").network(name) for name in NAMES}


@pytest.fixture(scope="module")
def expected(golden, tmp_path_factory):
    """Give what is read of the authors' own files."""
    folder = golden("cyclegan").save(
        tmp_path_factory.mktemp("plain"), {f"latest_net_{name}.pth": name for name in NAMES}
    )
    return importing.load_official("cyclegan", folder)[0]


def write(folder, states, change=lambda state: state, name="latest_net_{}.pth"):
    folder.mkdir(parents=True, exist_ok=True)
    for network, state in states.items():
        torch.save(change(dict(state)), folder / name.format(network))
    return folder


def as_zip(folder, states):
    path = folder / "weights.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in write(folder / "inner", states).iterdir():
            archive.write(file, f"horse2zebra_pretrained/{file.name}")
            archive.writestr(f"__MACOSX/horse2zebra_pretrained/._{file.name}", b"rubbish")
    return path


def as_tar(mode):
    def pack(folder, states):
        path = folder / "weights.of.any.name"
        with tarfile.open(path, mode) as archive:
            archive.add(write(folder / "inner", states), "checkpoints/horse2zebra")
        return path

    return pack


def below(folder, states):
    (folder / "notes.txt").write_text("horses")
    write(folder / "checkpoints" / "horse2zebra", states)
    return folder


def by_iteration(folder, states):
    for number in (900, 5000):
        sign = 1 if number == 5000 else -1
        change = lambda state, sign=sign: {n: sign * t for n, t in state.items()}  # noqa: E731
        write(folder, states, change, f"iter_{number}_net_{{}}.pth")
    write(folder, {"G_A": states["G_A"]}, name="iter_6000_net_{}.pth")  # without its partner
    return folder


def trained(state):
    """Give the state of an optimiser that has taken a step."""
    weights = {n: torch.nn.Parameter(t.clone()) for n, t in state.items()}
    optimizer = torch.optim.Adam(weights.values())
    torch.stack([weight.sum() for weight in weights.values()]).sum().backward()
    optimizer.step()
    return {"optimizer": optimizer.state_dict(), "epoch": 5, "losses": [1.5], "args": {"lr": 2e-4}}


def inside(*keys):
    def put(folder, states):
        def change(state):
            more = trained(state)
            for key in reversed(keys):
                state = {key: state}
            return more | state

        return write(folder, states, change)

    return put


def beside_epoch(folder, states):
    return write(folder, states, lambda state: state | {"epoch": 5, "name": "horses", "best": None})


def prefixed(change):
    return lambda folder, states: write(
        folder, states, lambda state: {change(name): t for name, t in state.items()}
    )


def with_judge(folder, states):
    judge = {"model.0.weight": torch.ones(4, 3, 4, 4), "model.0.bias": torch.ones(4)}
    return write(folder, states, lambda state: {"net": {"G": state, "D": judge}, "step": 3})


def in_one_file(name):
    def put(folder, states):
        nets = {name.format(network): dict(state) for network, state in states.items()}
        torch.save({"nets": nets, "epoch": 7}, folder / "any.pth")
        return folder

    return put


def by_direction(folder, states):
    nets = dict(zip(("G_AB", "G_BA"), states.values(), strict=True))
    torch.save(nets | {"D_A": {"model.0.weight": torch.ones(4, 3, 4, 4)}}, folder / "any.pth")
    return folder


def as_one_module(folder, states):
    names = {f"net{n}.{key}": t for n, state in states.items() for key, t in state.items()}
    torch.save({"state_dict": names, "global_step": 7}, folder / "last.ckpt")
    return folder


def as_safetensors(folder, states):
    for name, state in states.items():
        whole = {key: tensor.contiguous() for key, tensor in state.items()}
        save_file(whole, folder / f"latest_net_{name}.safetensors", {"format": "pt"})
    return folder


FORMS = {
    "zip": as_zip,
    "tar": as_tar("w"),
    "tar.gz": as_tar("w:gz"),
    "folders below": below,
    "iterations": by_iteration,
    **{key: inside(key) for key in ("state_dict", "params_ema")},
    "beside an epoch": beside_epoch,
    "two levels": inside("state", "model_state_dict"),
    "beside a discriminator": with_judge,
    "of one file": in_one_file("{}"),
    "of one file, net_": in_one_file("net_{}"),
    "of one file, by direction": by_direction,
    "files by direction": lambda folder, states: write(
        folder, dict(zip(("A2B", "B2A"), states.values(), strict=True)), name="netG_{}.pth"
    ),
    "of one module": as_one_module,
    "module.": prefixed("module.{}".format),
    "module._orig_mod.": prefixed("module._orig_mod.{}".format),
    "_orig_mod.module.": prefixed("_orig_mod.module.{}".format),
    "compiled part": prefixed(lambda name: name.replace("model.", "model._orig_mod.", 1)),
    "safetensors": as_safetensors,
}


QUICK = {"zip", "iterations", "state_dict", "of one file, net_", "of one module", "safetensors"}
EACH = [
    pytest.param(form, marks=[] if form in QUICK else pytest.mark.slow, id=form) for form in FORMS
]


@pytest.mark.parametrize("form", EACH)
def test_weights_are_read_in_every_form_that_people_have(tmp_path, states, expected, form):
    found, _ = importing.load_official("cyclegan", FORMS[form](tmp_path, states))
    ours, theirs = found.networks.state_dict(), expected.networks.state_dict()
    assert found.absent == expected.absent
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("name", ["horse2zebra.pth", "best.ckpt"])
def test_only_file_of_a_folder_is_read_whatever_its_name(tmp_path, states, expected, name):
    write(tmp_path, {"G_A": states["G_A"]}, name=name)
    found, _ = importing.load_official("cyclegan", tmp_path)
    ours, theirs = (m.networks["generators"].state_dict() for m in (found, expected))
    assert all(torch.equal(ours[n], theirs[n]) for n in ours if n.startswith("a2b."))
    assert "generators.b2a" in found.absent


@pytest.mark.parametrize("names", [("200000-G.pth", "200000-D.pth"), ("celeba.pth", "judge.pth")])
def test_renamed_files_for_labels_are_told_apart_by_their_tensors(golden, tmp_path, names):
    files = dict(zip(names, "GD", strict=True))
    found, _ = importing.load_official("stargan", golden("stargan").save(tmp_path, files))
    assert found.absent == frozenset()
    only = tmp_path / names[0]
    assert "discriminator" in importing.load_official("stargan", only)[0].absent


@pytest.mark.parametrize("channels", [1, 4])
def test_generators_of_other_channels_are_read(tmp_path, states, channels):
    def change(state):
        first, last = (state[f"model.{i}.weight"] for i in (1, max(_places(state))))
        state["model.1.weight"] = first[:, :1].expand(-1, channels, -1, -1).clone()
        state[f"model.{max(_places(state))}.weight"] = last[:1].repeat(channels, 1, 1, 1)
        state[f"model.{max(_places(state))}.bias"] = torch.zeros(channels)
        return state

    found, _ = importing.load_official("cyclegan", write(tmp_path, states, change))
    assert found.config.channels == (channels, channels)


def _places(state):
    return [int(name.split(".")[1]) for name in state]


def test_archive_is_unpacked_nowhere_that_stays(tmp_path, states, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    importing.load_official("cyclegan", as_zip(tmp_path, states))
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize("name", ["../out.pth", "/tmp/out.pth", "a/../../out.pth"])
def test_archive_that_leads_elsewhere_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "weights.zip", "w") as archive:
        archive.writestr(name, b"weights")
    with pytest.raises(ValueError, match=r"is refused: .* leads out of the folder"):
        importing.load_official("cyclegan", tmp_path / "weights.zip")


def test_archive_without_weights_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("images/1.png", b"png")
    with pytest.raises(ValueError, match=r"images\.zip holds no files of weights"):
        importing.load_official("cyclegan", tmp_path / "images.zip")


def test_folder_of_an_archive_and_folders_with_several_are_named(tmp_path, states):
    archive = as_zip(tmp_path, states)
    shutil.rmtree(tmp_path / "inner")
    with pytest.raises(
        ValueError, match=r"holds weights\.zip, which is packed: unpack it, or give"
    ):
        importing.load_official("cyclegan", tmp_path)
    archive.unlink()
    for name in ("horse2zebra", "maps"):
        write(tmp_path / name, states)
    with pytest.raises(ValueError, match=r"give one of them: horse2zebra, maps$"):
        importing.load_official("cyclegan", tmp_path)


def test_two_state_dicts_that_fit_are_named(tmp_path, states):
    write(tmp_path, states, lambda state: {"G": state, "ema": {n: t + 0 for n, t in state.items()}})
    sentence = (
        r"several state dicts that fit: G, ema; save the one that is meant in a file of its own$"
    )
    with pytest.raises(ValueError, match=sentence):
        importing.load_official("cyclegan", tmp_path)


def test_command_reads_an_archive(cli, places, states):
    text = cli("import", "cyclegan", as_zip(places, states), "out")
    assert text.startswith("cyclegan, read from ")
    assert sorted(path.suffix for path in Path("out").iterdir()) == [".json", ".pt"]


def test_archive_and_single_file_translate_as_their_folder(cli, places, tiny, states):
    archive, folder = as_zip(places, states), places / "inner"
    arguments = (tiny / "testA", "out", "--size", 16)
    found = []
    for weights in (folder, archive, folder / "latest_net_G_A.pth"):
        cli("translate", "--model", "cyclegan", "--weights", weights, *arguments)
        found.append([path.read_bytes() for path in sorted(Path("out").iterdir())])
        shutil.rmtree("out")
    assert found[0] == found[1] == found[2]
    assert found[0]

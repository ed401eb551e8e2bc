"""Weights that a model cannot take are named for what they are, not by heaps of tensors."""

import re

import pytest
import torch

from i2i_bench.plugins import registry
from i2i_bench.runs.misfit_words import in_words


@pytest.fixture(scope="module")
def generator(golden):
    """Give the tensors of CycleGAN's generator."""
    return golden("cyclegan").network("G_A")


def normalised(state, *leaves, second=5):
    """Give the convolutions of a generator a norm behind each, as the authors' code places them."""
    made = {}
    for name, tensor in state.items():
        module, leaf = name.rsplit(".", 1)
        if module.endswith("conv_block.5"):
            module = f"{module[:-1]}{second}"
        made[f"{module}.{leaf}"] = tensor
        *rest, place = module.split(".")
        if leaf == "weight" and module != "model.26":
            width = tensor.shape[name in ("model.19.weight", "model.22.weight")]
            for each in leaves:
                made[".".join([*rest, str(int(place) + 1), each])] = torch.ones(width)
    return made


STATISTICS = ("weight", "bias", "running_mean", "running_var")


def unet(levels, *, batch_norm):
    """Give a small U-Net the names of CycleGAN's code base, each level within the one above."""
    state, place = {"model.model.0.weight": torch.ones(4, 3, 4, 4)}, "model.model.1.model"
    for level in range(2, levels + 1):
        after = 3 if level == levels else 5  # of the convolution upwards
        state[f"{place}.1.weight"] = torch.ones(4, 4, 4, 4)
        state[f"{place}.{after}.weight"] = torch.ones(4 if level == levels else 8, 4, 4, 4)
        for leaf in STATISTICS if batch_norm else ():
            norms = [after + 1] if level == levels else [2, after + 1]
            state |= {f"{place}.{norm}.{leaf}": torch.ones(4) for norm in norms}
        place += ".3.model"
    return state | {"model.model.3.weight": torch.ones(8, 3, 4, 4)}


def spectral(state):
    """Give convolutions the names that spectral normalisation gives them."""
    return {re.sub(r"(conv_block.*)weight$", r"\1weight_orig", n): t for n, t in state.items()}


def of_channels(name, axis, count):
    def change(state):
        tensor = state[name].narrow(axis, 0, 1)
        return state | {name: torch.cat([tensor] * count, axis)}

    return change


def save(state, folder, name="x.pth"):
    torch.save({key: tensor.clone() for key, tensor in state.items()}, folder / name)
    return folder / name


def said(model, path):
    """Give the words on why a file is not of a model."""
    model_class = registry.load_model(model)
    with pytest.raises(ValueError, match=r".") as caught:
        model_class.from_official(path)
    return in_words(caught.value, model_class.card.title)


NORM = "has batch normalisation (--norm batch); only instance normalisation is supported"
UNET = (
    "holds a U-Net of {} levels with {} normalisation (--netG unet_{}), and {} has another "
    "generator"
)
CASES = {
    "batch norm": ("cyclegan", lambda s: normalised(s, *STATISTICS), NORM),
    "with dropout": ("cyclegan", lambda s: normalised(s, *STATISTICS, second=6), NORM),
    "learned scales": (
        "cyclegan",
        lambda s: normalised(s, "weight", "bias"),
        "has normalisation with learned scales (affine), which CycleGAN has not",
    ),
    "spectral norm": (
        "cyclegan",
        spectral,
        "has spectral normalisation, which CycleGAN has not",
    ),
    "unet_256": (
        "cyclegan",
        lambda s: unet(8, batch_norm=False),
        UNET.format(8, "instance", 256, "CycleGAN"),
    ),
    "unet_128": (
        "attentiongan",
        lambda s: unet(7, batch_norm=True),
        UNET.format(7, "batch", 128, "AttentionGAN"),
    ),
    "a U-Net without batch norm": (
        "pix2pix",
        lambda s: unet(5, batch_norm=False),
        "has no normalisation with running statistics, as batch normalisation is: training was "
        "with --norm instance or none, and Pix2pix has it",
    ),
    "a ResNet": (
        "pix2pix",
        lambda s: s,
        "holds a ResNet of 9 blocks (--netG resnet_9blocks), and Pix2pix has another generator",
    ),
    "grey at one end": (
        "cyclegan",
        lambda s: s | {"model.1.weight": s["model.1.weight"][:, :1]},
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_relatives_of_a_generator_are_named(tmp_path, generator, case):
    model, change, sentence = CASES[case]
    path = save(change(generator), tmp_path)
    if sentence is None:
        registry.load_model(model).from_official(path)
        return
    assert said(model, path) == f"x.pth {sentence}"


def test_discriminator_in_place_of_a_generator_is_named(golden, tmp_path):
    path = save(golden("cyclegan").network("D_A"), tmp_path)
    assert said("cyclegan", path) == (
        "x.pth holds a discriminator (of a PatchGAN), not the generator that CycleGAN needs"
    )


@pytest.mark.parametrize(
    ("name", "axis", "count", "verb"),
    [
        ("conv1.weight", 1, 1, "takes images of 1 channel where 3 are needed"),
        ("conv1.weight", 1, 4, "takes images of 4 channels where 3 are needed"),
    ],
)
def test_channels_that_a_model_cannot_have_are_named(golden, tmp_path, name, axis, count, verb):
    state = golden("attentiongan_v2").network("G_A")
    path = save(of_channels(name, axis, count)(state), tmp_path)
    assert said("attentiongan", path).startswith(f"x.pth {verb}")


def test_blurs_of_another_model_are_named(golden, tmp_path):
    path = save(golden("cut").network("G"), tmp_path)
    assert said("cyclegan", path) == (
        "x.pth has blurs where sides are halved and doubled, as CUT's generators; CycleGAN has none"
    )


@pytest.mark.parametrize("model", ["cyclegan", "stargan", "pix2pix", "unit"])
def test_networks_of_another_kind_are_not_told_by_a_norm(golden, tmp_path, model):
    """StarGAN's have running statistics of instance normalisation, which no batch norm is."""
    fixture = "unit" if model == "stargan" else "stargan"
    network = "gen_a" if model == "stargan" else "G"
    sentence = said(model, save(golden(fixture).network(network), tmp_path))
    assert "normalisation" not in sentence
    assert len(sentence) < 300


def test_many_tensors_that_do_not_fit_are_counted(generator, tmp_path):
    names = [name for name in generator if ".conv_block." in name][::2]
    path = save({n: t for n, t in generator.items() if n not in names}, tmp_path)
    assert said("cyclegan", path) == (
        "x.pth does not fit CycleGAN: of 48 tensors 18 are missing, such as "
        "model.10.conv_block.1.bias"
    )


@pytest.mark.slow
def test_family_that_was_asked_for_is_no_hint(cli, places):
    (places / "stargan").mkdir()
    torch.save({"main.0.weight": torch.randn(8, 8, 7, 7)}, places / "stargan" / "G.pth")
    sentence = cli("import", "stargan", "stargan", "out", code=1)
    assert "looks like" not in sentence
    assert sentence.startswith("G.pth ")
    assert "looks like StarGAN" in cli("import", "unit", "stargan", "out", code=1)

"""Files of InstaGAN's authors: of any size and direction, and damaged ones."""

import pytest
import torch
from i2i_baselines.instagan.config import InstaGANConfig
from i2i_baselines.instagan.model import InstaGAN


def tiny(**changes):
    shape = {"generator_width": 2, "discriminator_width": 2, "num_blocks": 1}
    return InstaGAN(InstaGANConfig(**{**shape, **changes}))


@pytest.mark.parametrize(
    ("files", "absent"),
    [
        (("G_B",), {"generators.a2b", "discriminators.a", "discriminators.b"}),
        (("G_A", "G_B", "D_B"), {"discriminators.b"}),
    ],
)
def test_files_of_other_sizes_and_directions_are_read(tmp_path, files, absent):
    made = tiny(channels=(1, 1), num_blocks=2, discriminator_layers=2)
    for name in files:
        torch.save(written(made, name), tmp_path / f"200_net_{name}.pth")
    model = InstaGAN.from_official(tmp_path)
    assert model.absent == absent
    ours, theirs = model.networks.state_dict(), made.networks.state_dict()
    held = [name for name in ours if not name.startswith(tuple(absent))]
    assert len(held) >= 40
    assert all(torch.equal(ours[name], theirs[name]) for name in held)


def written(model, name):
    """Write one of our networks as the authors' state dict, by the names of their description."""
    network = model.networks["generators" if name[0] == "G" else "discriminators"]
    key = {"G_A": "a2b", "G_B": "b2a", "D_A": "b", "D_B": "a"}[name]
    state = network[key].state_dict()
    return {theirs_of(own): tensor for own, tensor in state.items()}


def theirs_of(own):
    part, *middle, leaf = own.split(".")
    kind, role = part.split("_") if "_" in part else (part, "")
    side = {"image": "img", "mask": "seg"}.get(kind, "")
    leaf = leaf.replace("weight_orig", "weight_bar")
    if role == "features" or kind == "classifier":
        stem = f"feature_{side}" if role else kind
        return f"{stem}.{middle[0]}.module.{leaf}"
    if role == "decoder":
        return f"decoder_{side}.{(0, 3, 7)[int(middle[0])]}.{leaf}"
    if middle[0] == "blocks":
        place = {"first": 1, "second": 5}[middle[2]]
        return f"encoder_{side}.{10 + int(middle[1])}.conv_block.{place}.{leaf}"
    place = 1 if middle[0] == "stem" else (4, 7)[int(middle[1])]
    return f"encoder_{side}.{place}.{leaf}"


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("encoder_seg.4.weight", None, r"200_net_G_A\.pth lacks encoder_seg\.4\.weight$"),
        ("encoder_img.1.weight", None, r"lacks encoder_img\.1\.weight; it holds"),
        ("decoder_img.9.weight", torch.ones(1), r"has unknown decoder_img\.9\.weight$"),
        ("decoder_seg.0.bias", torch.ones(4), r"has misshapen decoder_seg\.0\.bias \(4,\)"),
        ("decoder_seg.0.bias", torch.full((12,), torch.nan), r"not finite in decoder_seg\.0\.bias"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, name, tensor, message):
    tensors = written(tiny(), "G_A")
    tensors[name] = tensor
    saved = {n: t for n, t in tensors.items() if t is not None}
    torch.save(saved, tmp_path / "200_net_G_A.pth")
    with pytest.raises(ValueError, match=message):
        InstaGAN.from_official(tmp_path)

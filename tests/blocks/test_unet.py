"""U-Nets, their layers, and what judges and encodes beside them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from i2i_bench.blocks.discriminators import MultiScalePatchDiscriminator, PatchDiscriminator
from i2i_bench.blocks.encoders import VectorEncoder, standard_normal_divergence
from i2i_bench.blocks.initialise import init_normal, init_xavier
from i2i_bench.blocks.layers import SameConv2d, SameConvTranspose2d
from i2i_bench.blocks.losses import adversarial_cross_entropy
from i2i_bench.blocks.normalise import BatchNorm, InstanceNorm
from i2i_bench.blocks.unet import UNet, UNetPlan, fitting_levels
from i2i_bench.randomness import Randomness


def affine(channels):
    return InstanceNorm(channels, affine=True)


def count(make):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in make().parameters())


TORCH7 = {"norm": BatchNorm, "bottleneck_norm": True}
DUALGAN = {"norm": affine, "bottleneck_norm": True, "join": "up_skip"}


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({"norm": BatchNorm, "bias": "last"}, 54_413_955),  # pix2pix in PyTorch
        (TORCH7, 54_420_483),  # pix2pix in Torch7
        (TORCH7 | {"skips": False}, 39_081_987),  # its encoder-decoder
        ({"norm": InstanceNorm, "code": 8}, 54_794_627),  # BicycleGAN
        (DUALGAN | {"kernel": 5}, 85_022_787),  # DualGAN of 2017
        (DUALGAN | {"kernel": 3, "end_kernel": 5}, 30_627_907),  # and its last revision
    ],
)
def test_parameters_are_those_of_published_networks(plan, expected):
    assert count(lambda: UNet(UNetPlan(8, 64, **plan))) == expected


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: PatchDiscriminator(64, inputs=6, norm=BatchNorm, norm_bias=False), 2_768_705),
        (lambda: PatchDiscriminator(64, norm=affine, kernel=5), 4_321_153),  # DualGAN of 2017
        (lambda: MultiScalePatchDiscriminator(64, 3, 2), 3_458_978),
        (lambda: VectorEncoder(64, 4, 8), 2_590_032),
    ],
)
def test_other_networks_have_the_published_parameters(make, expected):
    assert count(make) == expected


def dense(layer, shape):
    """Give the matrix of a layer without bias."""
    unit = torch.eye(int(torch.tensor(shape).prod())).double()
    return layer(unit.view(-1, *shape)).flatten(1)


@pytest.mark.parametrize(
    ("kernel", "stride", "side", "before"),
    [(3, 2, 6, 0), (5, 2, 6, 1), (4, 2, 6, 1), (3, 2, 1, 1), (5, 2, 1, 2), (5, 1, 6, 2)],
)
def test_padding_is_the_same_as_tensorflows(kernel, stride, side, before):
    layer = SameConv2d(1, 1, kernel, stride, bias=False).double()
    images = torch.rand(1, 1, side, side).double()
    padded = F.pad(images, [kernel] * 4)  # more zeros than are needed
    start = kernel - before
    all_places = F.conv2d(padded[..., start:, start:], layer.weight, stride=stride)
    found = layer(images)
    assert found.shape[2:] == (-(-side // stride),) * 2
    assert torch.allclose(found, all_places[..., : found.shape[2], : found.shape[3]])


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_transposed_convolution_is_the_gradient_of_the_convolution(kernel):
    down = SameConv2d(1, 1, kernel, 2, bias=False).double()
    up = SameConvTranspose2d(1, 1, kernel, 2, bias=False).double()
    up.load_state_dict(down.state_dict())
    with torch.no_grad():
        assert torch.allclose(dense(up, (1, 3, 4)), dense(down, (1, 6, 8)).T)


def test_kernel_of_four_is_padded_by_one_on_every_side():
    down, up = SameConv2d(2, 3, 4, 2), SameConvTranspose2d(3, 2, 4, 2)
    images = torch.rand(1, 2, 8, 6)
    halved = F.conv2d(images, down.weight, down.bias, 2, 1)
    assert torch.equal(down(images), halved)
    assert torch.equal(up(halved), F.conv_transpose2d(halved, up.weight, up.bias, 2, 1))


@pytest.mark.parametrize("code_at", ["first", "all"])
@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_a_code_reaches_a_translation_of_any_divisible_size(kernel, code_at):
    plan = UNetPlan(3, 2, inputs=1, outputs=2, kernel=kernel, code=3, code_at=code_at)
    images, network = torch.rand(2, 1, 16, 24), UNet(plan)
    made = [network(images, code) for code in (torch.zeros(2, 3), torch.ones(2, 3))]
    assert made[0].shape == (2, 2, 16, 24)
    assert not torch.equal(*made)
    with pytest.raises(ValueError, match="20x16 px: both sides must be divisible by 8"):
        network(images[..., :20], torch.zeros(2, 3))


def test_without_skips_all_passes_the_bottleneck():
    network = UNet(UNetPlan(3, 4, skips=False))
    images = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        for parameter in network.down[2].parameters():
            parameter.zero_()
        assert torch.equal(network(images), network(-images))
        assert not torch.equal(*(UNet(UNetPlan(3, 4))(each) for each in (images, -images)))


def test_dropout_keeps_half_and_belongs_to_the_image():
    network = UNet(UNetPlan(4, 16, dropout=(1, 3)))
    images = torch.rand(3, 3, 32, 16)
    kept = network.draw_kept(images, Randomness(0), "dropout")
    assert [tuple(each.shape) for each in kept] == [(3, 64, 4, 2), (3, 16, 16, 8)]
    shares = [each.double().mean().item() for each in kept]
    assert shares == [pytest.approx(0.5, abs=0.03), pytest.approx(0.5, abs=0.03)]
    last = network.draw_kept(images[2:], Randomness(0, 2), "dropout")
    assert all(torch.equal(whole[2:], own) for whole, own in zip(kept, last, strict=True))
    assert not torch.equal(network(images), network(images, kept=kept))


def test_dropout_doubles_what_is_kept():
    network = UNet(UNetPlan(2, 1, inputs=1, outputs=1, skips=False, dropout=(1,)))
    seen = []
    network.up[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(1, 1, 4, 4)
    kept = torch.tensor([[[[True, False], [False, True]]]])
    network(images)
    network(images, kept=(kept,))
    assert torch.equal(seen[1], seen[0] * kept * 2)


@pytest.mark.parametrize("number", [0, 3, 4])
def test_dropout_where_there_is_none_is_refused(number):
    with pytest.raises(ValueError, match=f"dropout at up layer {number}; .* from 1 to 2"):
        UNetPlan(3, 4, dropout=(number,))


def test_levels_that_fit():
    sizes = {256: 8, 512: 8, 128: 7, 64: 6, 48: 4, 30: 1, 33: 0}
    assert {size: fitting_levels(size, 8) for size in sizes} == sizes


def test_batch_norm_at_test_is_that_of_a_batch_of_one():
    norm = BatchNorm(3)
    images = 2 + torch.rand(2, 3, 4, 4)
    alone = [norm(image[None]) for image in images]
    norm.eval()
    assert torch.allclose(norm(images), torch.cat(alone), atol=1e-6)
    pixel = norm(torch.rand(2, 3, 1, 1))
    assert torch.allclose(pixel, torch.zeros(()), atol=1e-3)
    with pytest.raises(ValueError, match="one image of 1x1 px leaves nothing"):
        norm.train()(torch.rand(1, 3, 1, 1))


def test_initial_weights():
    torch.manual_seed(0)
    conv, linear, norm = nn.Conv2d(64, 32, 4), nn.Linear(100, 200), BatchNorm(4_000)
    network = nn.ModuleList([conv, linear, norm])
    init_normal(network)
    assert norm.weight.mean().item() == pytest.approx(1, abs=2e-3)
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.05)
    init_xavier(network, 0.02)
    for layer, fan in ((conv, 64 * 16 + 32 * 16), (linear, 300)):
        assert layer.weight.std().item() == pytest.approx(0.02 * (2 / fan) ** 0.5, rel=0.02)
        assert layer.bias is not None
        assert not layer.bias.any()


def test_divergence_is_a_sum_and_least_at_the_prior():
    zeros = torch.zeros(2, 3)
    assert standard_normal_divergence(zeros, zeros) == 0
    ones = torch.ones(2, 3)
    assert standard_normal_divergence(ones, zeros).item() == pytest.approx(6 / 2)
    expected = 6 * (torch.e - 2) / 2
    assert standard_normal_divergence(zeros, ones).item() == pytest.approx(expected)


def test_adversarial_cross_entropy_is_exact_in_half_precision_too():
    logits = torch.tensor([0.0, 100.0], dtype=torch.bfloat16)
    assert adversarial_cross_entropy(logits, 1.0).item() == pytest.approx(0.6931472 / 2)
    assert adversarial_cross_entropy(logits, 0.0).item() == pytest.approx(100.6931472 / 2)

"""Networks of DIAT: transform network, mask network, critic, denoiser, features of faces."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.diat.config import DIATConfig
from i2i_bench import pretrained
from i2i_bench.blocks.limits import require_divisible, require_square
from i2i_bench.blocks.vgg import IMAGENET_DEVIATION, IMAGENET_MEAN, VGG16, VGG_SIDE, VGGFace

SIGMA = 2.0  # of both blurs of a mask
CUT = 0.5  # values above it belong to the mask
FACE_MEAN = (129.186279296875, 104.76238250732422, 93.59396362304688)  # of VGG-Face, 0 to 255


def _layer(inputs: int, outputs: int, *, halves: bool) -> nn.Sequential:
    """Convolve, halving by a kernel of 4 or keeping the size by one of 3; normalise; PReLU."""
    kernel, stride = (4, 2) if halves else (3, 1)
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.PReLU(outputs))


class DepthToSpaceUNet(nn.Module):
    """Halve an image, double it back by moving depth to space; what was halved is added.

    Args:
        width: Channels after the first halving; they double with each, up to 8 times this. A
            multiple of 4, as each doubling leaves a quarter of the channels.
        num_halvings: And as many doublings.
        channels: Of the images.
        squashes: Whether results go through a tanh.
    """

    def __init__(self, width: int, num_halvings: int, *, channels: int, squashes: bool) -> None:
        super().__init__()
        self.num_halvings, self.squashes = num_halvings, squashes
        widths = [width * min(2**level, 8) for level in range(num_halvings)]
        self.down = nn.ModuleList(
            _layer(inputs, outputs, halves=True)
            for inputs, outputs in pairwise([channels, *widths])
        )
        self.up = nn.ModuleList(
            _layer(inputs // 4, outputs, halves=False) for inputs, outputs in pairwise(widths[::-1])
        )
        self.head = nn.Conv2d(width // 4, channels, 5, padding=2)

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to the same shape.

        Raises:
            ValueError: If a side cannot be halved as often.
        """
        require_divisible(images, 2**self.num_halvings)
        kept, x = [], images
        for layer in self.down:
            x = layer(x)
            kept.append(x)
        for layer, skip in zip(self.up, kept[-2::-1], strict=True):
            x = layer(F.pixel_shuffle(x, 2)) + skip
        x = self.head(F.pixel_shuffle(x, 2))
        return x.tanh() if self.squashes else x


class _Threshold(torch.autograd.Function):
    """1 where a value is above the cut, else 0; the gradient is passed on, and the area held.

    All values together get a gradient that shrinks the mask where it has more than ``ratio`` of
    them, and one that lets it grow otherwise.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, ratio: float, strength: float) -> Tensor:
        """Cut."""
        is_inside = values > CUT
        ctx.save_for_backward(is_inside.float().mean() > ratio)
        ctx.strength = strength
        return is_inside.to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Add the strength, or take it away, everywhere."""
        (gradient,), (is_large,) = gradients, ctx.saved_tensors
        sign = 2 * is_large.to(gradient.dtype) - 1
        return gradient + ctx.strength * sign, None, None


def gaussian_kernel(side: int) -> Tensor:
    """Give the weights (1, 1, side, side) of a Gaussian blur of deviation 2 px, which sum to 1."""
    places = torch.arange(side, dtype=torch.float64) - side // 2
    weights = (-places.square() / (2 * SIGMA**2)).exp()
    weights = weights / weights.sum()
    return torch.outer(weights, weights).float()[None, None]


class MaskNetwork(nn.Module):
    """Image to the mask of what is translated: a map, blurred, cut, enlarged and blurred again.

    Blurs take zeros outside of the image, by which a mask sinks towards the border.

    Args:
        width: Channels of the first layer.
        num_halvings: Of the map: 2, 1 or 0.
        channels: Of the images.
        blurs: Sides of the blurs before and after the cut, odd.
        area_ratio: Share of the map above which it is made smaller.
        area_strength: Of the gradient that does so, or makes it larger, at each of its values.
    """

    before: Tensor
    after: Tensor

    def __init__(
        self,
        width: int,
        num_halvings: int,
        *,
        channels: int,
        blurs: tuple[int, int],
        area_ratio: float,
        area_strength: float,
    ) -> None:
        super().__init__()
        self.num_halvings = num_halvings
        self.area_ratio, self.area_strength = area_ratio, area_strength
        widths = pairwise([channels, width, 2 * width, 4 * width, 2 * width])
        self.layers = nn.Sequential(
            *(_layer(*pair, halves=number < num_halvings) for number, pair in enumerate(widths)),
            nn.Conv2d(2 * width, 1, 3, padding=1),
            nn.Sigmoid(),
        )
        for name, side in zip(("before", "after"), blurs, strict=True):
            self.register_buffer(name, gaussian_kernel(side), persistent=False)

    def cut(self, images: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to a map of zeros and ones, (batch, 1, ...)."""
        values = F.conv2d(self.layers(images), self.before, padding=self.before.shape[2] // 2)
        return _Threshold.apply(values, self.area_ratio, self.area_strength)  # pyright: ignore[reportReturnType] - torch says Any

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Give the mask (batch, 1, height, width) in [0, 1], and the share of the map's ones.

        Raises:
            ValueError: If a side cannot be halved as often.
        """
        require_divisible(images, 2**self.num_halvings)
        found = self.cut(images)
        enlarged = F.interpolate(found, scale_factor=2**self.num_halvings, mode="nearest")
        mask = F.conv2d(enlarged, self.after, padding=self.after.shape[2] // 2)
        exact = found.detach().to(torch.promote_types(found.dtype, torch.float32))
        return mask, exact.mean()


class Critic(nn.Module):
    """Convolutions that halve, and two linear layers that keep their initial weights.

    Args:
        width: Channels of the first layer; they double up to 4 times this.
        num_halvings: At least 3.
        hidden: Numbers between the linear layers.
        channels: Of the images.
        image_size: Their side in pixels.
        is_normalised: Whether the last two convolutions are, by the batch.
    """

    def __init__(
        self,
        width: int,
        num_halvings: int,
        hidden: int,
        *,
        channels: int,
        image_size: int,
        is_normalised: bool,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        widths = [width * min(2**level, 4) for level in range(num_halvings)]
        inner: list[nn.Module] = []
        last: list[nn.Module] = []
        for number, pair in enumerate(pairwise([channels, *widths]), 1):
            layers = last if number > num_halvings - 2 else inner
            layers.append(nn.Conv2d(*pair, 4, 2, padding=1))
            if layers is last:
                layers.append(nn.BatchNorm2d(pair[1]) if is_normalised else nn.Identity())
            layers.append(nn.PReLU(pair[1]) if number == num_halvings else nn.ReLU())
        self.features = nn.Sequential(*inner)
        flat = widths[-1] * (image_size >> num_halvings) ** 2
        linear = nn.Sequential(nn.Flatten(), nn.Linear(flat, hidden), nn.Linear(hidden, 1))
        self.head = nn.Sequential(*last, *linear.requires_grad_(False))

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, channels, image_size, image_size) to values (batch, 1).

        Raises:
            ValueError: If the images have another size.
        """
        require_square(images, self.image_size, "this critic")
        return self.head(self.features(images))

    @torch.no_grad()
    def clip(self, most: float) -> None:
        """Clip all parameters but scales and shifts of normalisations; also those of the head."""
        for module in self.modules():
            if not isinstance(module, nn.BatchNorm2d):
                for parameter in module.parameters(recurse=False):
                    parameter.clamp_(-most, most)


class Denoiser(nn.Sequential):
    """Image to the noise in it: (batch, channels, height, width) to the same shape.

    Args:
        width: Channels of the layers between the first and the last.
        channels: Of the images.
    """

    def __init__(self, width: int, channels: int) -> None:
        layers: list[nn.Module] = [nn.Conv2d(channels, channels, 5, padding=2), nn.PReLU(channels)]
        for inputs in (channels, width, width, width):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.PReLU(width)]
        super().__init__(*layers, nn.Conv2d(width, channels, 3, padding=1))


class FaceFeatures(nn.Module):
    """What a VGG of 16 layers, of faces or of ImageNet, gives at fc7 for images made 224 px large.

    Args:
        kind: Which, ``vgg-face`` or ``vgg16``.

    Raises:
        ValueError: If the file of weights is missing or does not fit.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, kind: Literal["vgg-face", "vgg16"]) -> None:
        super().__init__()
        mean, deviation = IMAGENET_MEAN, IMAGENET_DEVIATION
        if kind == "vgg-face":
            mean, deviation = [value / 255 for value in FACE_MEAN], [1 / 255] * 3
        self.network = pretrained.load_frozen(
            FACE_WEIGHTS[kind], VGGFace() if kind == "vgg-face" else VGG16()
        )
        for name, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, 3, height, width) in [-1, 1] to (batch, 4096)."""
        large = F.interpolate(images, (VGG_SIDE, VGG_SIDE), mode="bilinear", align_corners=False)
        return self.network((large / 2 + 0.5 - self.mean) / self.deviation)


FACE_WEIGHTS = {"vgg-face": pretrained.VGG_FACE_NAME, "vgg16": pretrained.VGG_NAME}


def make_transform(config: DIATConfig, *, squashes: bool) -> DepthToSpaceUNet:
    """Build the transform network, or the auxiliary one, which does not squash."""
    shape = config.transform_width, config.num_halvings
    return DepthToSpaceUNet(*shape, channels=config.channels[0], squashes=squashes)


def make_mask(config: DIATConfig) -> MaskNetwork:
    """Build the mask network."""
    return MaskNetwork(
        config.mask_width,
        config.mask_halvings,
        channels=config.channels[0],
        blurs=(config.mask_blur, config.edge_blur),
        area_ratio=config.area_ratio,
        area_strength=config.area_strength,
    )


def make_critic(config: DIATConfig) -> Critic:
    """Build the critic."""
    shape = config.critic_width, config.critic_halvings, config.critic_hidden
    return Critic(
        *shape,
        channels=config.channels[0],
        image_size=config.image_size,
        is_normalised=config.critic_norm == "batch",
    )

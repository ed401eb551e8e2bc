"""Networks of ContrastGAN, and how objects are cut out of images and pasted back."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from i2i_bench.blocks.discriminators import PatchDiscriminator
from i2i_bench.blocks.halves import HalfDecoder, HalfEncoder, HalvesPlan
from i2i_bench.blocks.limits import require_size


class CategoryGenerator(nn.Module):
    """A ResNet that sees a mask and a one-hot plane for each category beside the image.

    Args:
        width: Channels of the first layer.
        num_blocks: Residual blocks.
        num_categories: Categories.
        padding: Of all convolutions that do not halve.
    """

    def __init__(
        self,
        width: int,
        num_blocks: int,
        *,
        num_categories: int,
        padding: Literal["zeros", "reflect"] = "zeros",
    ) -> None:
        super().__init__()
        plan = HalvesPlan(width, padding=padding)
        self.encoder = HalfEncoder(plan, num_blocks, 3 + num_categories + 1)
        self.decoder = HalfDecoder(plan, 0)

    def forward(self, images: Tensor, masks: Tensor, categories: Tensor) -> Tensor:
        """Translate images (batch, 3, height, width) in [-1, 1], inside and outside of masks.

        Args:
            images: To translate.
            masks: (batch, 1, height, width), 1 inside the object.
            categories: (batch, categories), one-hot.

        Raises:
            ValueError: If a side is not divisible by 4, or below 8 px.
        """
        planes = categories[:, :, None, None].expand(-1, -1, *images.shape[2:])
        joined = torch.cat([images, planes.to(images.dtype), masks.to(images.dtype)], dim=1)
        return self.decoder(self.encoder(joined))


class CategoryDiscriminator(nn.Module):
    """PatchGAN's layers with a map of logits for each category, and their features.

    Args:
        width: Channels of the first layer; they double up to 8 times this.
        num_layers: Layers of stride 2.
        num_categories: Categories.
    """

    def __init__(self, width: int, num_layers: int, num_categories: int) -> None:
        super().__init__()
        plain = PatchDiscriminator(width, num_layers)
        *trunk, last = plain.layers
        assert isinstance(last, nn.Conv2d)
        self.minimum_size = plain.minimum_size
        self.trunk = nn.Sequential(*trunk)
        self.head = nn.Conv2d(last.in_channels, num_categories, 4, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images to logits (batch, categories, rows, columns) and features (batch, channels).

        Raises:
            ValueError: If a side is below ``minimum_size``.
        """
        require_size(images, self.minimum_size, "this discriminator")
        activations = self.trunk(images)
        return self.head(activations), activations.mean(dim=(2, 3))


def find_boxes(masks: Tensor) -> Tensor:
    """Give the tight box of each mask (batch, 1, height, width) as top, bottom, left and right.

    Values are int64, (batch, 4), bottom and right beyond the last pixel; the box of an empty mask
    is the whole image.
    """
    inside = masks[:, 0] > 0.5
    bounds = [bound for lines in (inside.any(2), inside.any(1)) for bound in _ends(lines)]
    return torch.stack(bounds, dim=1)


def _ends(inside: Tensor) -> tuple[Tensor, Tensor]:
    """Give the first place that is inside, and the one behind the last, of (batch, places)."""
    count = inside.shape[1]
    places = torch.arange(count, device=inside.device)
    some = inside.any(dim=1)
    first = torch.where(inside, places, count).amin(dim=1)
    behind = torch.where(inside, places + 1, 0).amax(dim=1)
    return first * some, torch.where(some, behind, count)


def cut_out(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Resize what is in the boxes of images (batch, channels, height, width) to squares.

    That is bilinear interpolation within the box, without filter, as of ``F.interpolate``.
    """
    rows, columns = (
        _weights(_inner_places(start, stop, size), count)
        for start, stop, count in _sides(boxes, images)
    )
    return _resample(images, rows, columns)


def cut_out_masks(masks: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Resize what is in the boxes of masks (batch, 1, height, width) without blending pixels."""
    steps = torch.arange(size, device=boxes.device)
    rows, columns = (
        start[:, None] + steps * (stop - start)[:, None] // size
        for start, stop, _ in _sides(boxes, masks)
    )
    chosen = masks.gather(2, rows[:, None, :, None].expand(-1, 1, -1, masks.shape[3]))
    return chosen.gather(3, columns[:, None, None, :].expand(-1, 1, size, -1))


def put_back(squares: Tensor, boxes: Tensor, images: Tensor) -> Tensor:
    """Resize squares to their boxes, (batch, channels, height, width) as the images.

    What lies outside of the boxes has no meaning.
    """
    size = squares.shape[-1]
    rows, columns = (
        _weights(_outer_places(start, stop, count, size), size)
        for start, stop, count in _sides(boxes, images)
    )
    return _resample(squares, rows, columns)


def _sides(boxes: Tensor, images: Tensor) -> tuple[tuple[Tensor, Tensor, int], ...]:
    """Give start, stop and the pixels of the image, of rows and of columns."""
    top, bottom, left, right = boxes.unbind(1)
    return (top, bottom, images.shape[2]), (left, right, images.shape[3])


def _inner_places(start: Tensor, stop: Tensor, size: int) -> Tensor:
    """Give where the pixels of a square lie in the image, (batch, size), none outside the box."""
    steps = torch.arange(size, device=start.device) + 0.5
    start, stop = start[:, None], stop[:, None]
    places = start + steps * (stop - start).double() / size - 0.5
    return torch.minimum(torch.maximum(places, start), stop - 1)


def _outer_places(start: Tensor, stop: Tensor, count: int, size: int) -> Tensor:
    """Give where the pixels of an image lie in the square, (batch, count), none outside it."""
    pixels = torch.arange(count, device=start.device) + 0.5
    start, stop = start[:, None], stop[:, None]
    return ((pixels - start) * size / (stop - start).double() - 0.5).clamp(0, size - 1)


def _weights(places: Tensor, count: int) -> Tensor:
    """Give the weight of each of ``count`` pixels at places (batch, n), (batch, n, count)."""
    pixels = torch.arange(count, device=places.device)
    return (1 - (places[:, :, None] - pixels).abs()).clamp(min=0)


def _resample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Weigh pixels (batch, channels, height, width) into new rows and columns."""
    return rows[:, None].to(images) @ images @ columns[:, None].transpose(2, 3).to(images)

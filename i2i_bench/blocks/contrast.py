"""Patchwise contrastive learning: features of an encoder, patches of them, heads, the loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.blocks.generators import ResNetEncoder, decoder, require_encodable
from i2i_bench.blocks.layers import ConvLayer
from i2i_bench.blocks.normalise import InstanceNorm
from i2i_bench.randomness import Randomness

SMALLEST_NORM = 1e-7  # added to norms; those of untrained heads are only ten times as large
STEM_PADDING = 3


class OpenConvLayer(ConvLayer):
    """A convolution layer of which what is inside is used, too.

    It is applied part by part, so that nobody takes it for a plain sequence and leaves out the bias
    that its normalisation cancels.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Apply the parts in turn."""
        for part in self:
            input = part(input)
        return input


class FeatureEncoder(ResNetEncoder):
    """The ResNet generator's encoder, which can give the features of any of its layers.

    Layers have the numbers of CUT's authors: 0 is the padded image, then every convolution,
    normalisation, ReLU, blur and residual block is one. A normalisation's number gives what its
    ReLU gives, which overwrites it.

    Args:
        width: Channels of the stem; the blocks have 4 times as many.
        num_blocks: Residual blocks.
        inputs: Channels of the images.
        blur: Whether halvings are by ``BlurDown``.
    """

    def __init__(self, width: int, num_blocks: int, *, inputs: int, blur: bool) -> None:
        super().__init__(
            width, num_blocks, InstanceNorm, inputs=inputs, blur=blur, layer=OpenConvLayer
        )

    def features(self, images: Tensor, numbers: Sequence[int]) -> list[Tensor]:
        """Give the features of layers, each (batch, channels, rows, columns), and go no further.

        Raises:
            ValueError: For images that the encoder does not take, or a layer that it has not.
        """
        require_encodable(images)
        found: dict[int, Tensor] = {}
        for number, value in enumerate(self._values(images)):
            if number in numbers:
                found[number] = value
            if len(found) == len(set(numbers)):
                return [found[each] for each in numbers]
        raise ValueError(f"the encoder has no layers of all the numbers {tuple(numbers)}")

    def _values(self, images: Tensor) -> Iterator[Tensor]:
        """Yield what each layer gives, in the order of their numbers."""
        yield F.pad(images, (STEM_PADDING,) * 4, mode="reflect")
        x = images
        for layer in (self.stem, *self.down):
            assert isinstance(layer, OpenConvLayer)
            x = layer.conv(x)
            yield x
            x = layer.activation(layer.norm(x))
            yield x
            yield x
            if hasattr(layer, "blur"):
                x = layer.blur(x)
                yield x
        for block in self.blocks:
            x = block(x)
            yield x


def layer_numbers(text: str, num_blocks: int, *, blur: bool) -> tuple[int, ...]:
    """Read numbers of layers of a ``FeatureEncoder``, as ``0,4,8,12,16``.

    Raises:
        ValueError: If they are not numbers of its layers in ascending order.
    """
    parts, last = text.split(","), 9 + 2 * blur + num_blocks
    found = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 5]
    if len(found) < len(parts) or found != sorted(set(found)) or found[-1] > last:
        raise ValueError(
            f"nce_layers is {text!r}; numbers of layers from 0 to {last} are needed, in ascending "
            "order and with a comma between two"
        )
    return tuple(found)


class ContrastGenerator(nn.Sequential):
    """The ResNet generator of CUT: (batch, inputs, height, width) to (batch, outputs, ...).

    Args:
        width: Channels of its first layer.
        num_blocks: Residual blocks.
        inputs: Channels of the images that it takes.
        outputs: Channels of those that it makes, in [-1, 1].
        blur_down: Whether halvings are by ``BlurDown``.
        blur_up: Whether doublings are by ``BlurUp``.
    """

    def __init__(
        self,
        width: int,
        num_blocks: int,
        *,
        inputs: int = 3,
        outputs: int = 3,
        blur_down: bool = True,
        blur_up: bool = True,
    ) -> None:
        encoder = FeatureEncoder(width, num_blocks, inputs=inputs, blur=blur_down)
        head = ConvLayer(width, outputs, 7, activation=nn.Tanh())
        super().__init__(encoder, decoder(width, head, blur=blur_up))

    def features(self, images: Tensor, numbers: Sequence[int]) -> list[Tensor]:
        """Give features of the encoder, as ``FeatureEncoder`` does."""
        encoder = self[0]
        assert isinstance(encoder, FeatureEncoder)
        return encoder.features(images, numbers)


class PatchHeads(nn.Module):
    """A perceptron of two layers for each layer of features, and vectors of norm 1.

    Args:
        widths: Channels of the layers of features.
        outputs: Length of the vectors.
    """

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, outputs), nn.ReLU(), nn.Linear(outputs, outputs))
            for width in widths
        )

    def forward(self, features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Map features of each layer, at places (batch, patches), to (batch, patches, outputs)."""
        parts = zip(self.layers, features, places, strict=True)
        return [nearly_unit(layer(take_patches(each, where))) for layer, each, where in parts]


def nearly_unit(vectors: Tensor) -> Tensor:
    """Divide vectors (..., channels) by their norm and ``SMALLEST_NORM``; zeros stay zeros."""
    exact = vectors.to(torch.promote_types(vectors.dtype, torch.float32))  # also under autocast
    return exact / (torch.linalg.vector_norm(exact, dim=-1, keepdim=True) + SMALLEST_NORM)


def layer_widths(generator: ContrastGenerator, numbers: Sequence[int], inputs: int) -> list[int]:
    """Give the channels of layers of features of a generator of images of ``inputs`` channels."""
    weight = next(generator.parameters())
    with torch.no_grad():
        zeros = torch.zeros(1, inputs, 8, 8, dtype=weight.dtype, device=weight.device)
        return [each.shape[1] for each in generator.features(zeros, numbers)]


def draw_patches(features: Tensor, count: int, random: Randomness, name: str) -> Tensor:
    """Draw different places of features (batch, channels, rows, columns) for each image.

    Returns:
        Indices row * columns + column, (batch, patches): ``count``, or all where they are fewer.
    """
    size = features.shape[2] * features.shape[3]
    drawn = random.integers(name, 2**31, (len(features), size))
    places = torch.arange(size, device=drawn.device)
    keys = (drawn << 32) | places  # no two are equal, so that every device has the same order
    chosen = keys.topk(min(count, size), dim=1, largest=False).values
    return chosen & (2**32 - 1)


def take_patches(features: Tensor, places: Tensor) -> Tensor:
    """Take places (batch, patches) of features: (batch, patches, channels)."""
    flat = features.flatten(2)
    return flat.gather(2, places[:, None].expand(-1, flat.shape[1], -1)).transpose(1, 2)


def mirror(images: Tensor, mirrored: Tensor | None) -> Tensor:
    """Mirror some images (batch, channels, height, width), those that (batch,) tells."""
    if mirrored is None:
        return images
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def mirror_places(places: Tensor, features: Tensor, mirrored: Tensor | None) -> Tensor:
    """Give where places (batch, patches) lie in features, those of some images being mirrored."""
    if mirrored is None:
        return places
    columns = features.shape[3]
    return places + mirrored[:, None] * (columns - 1 - 2 * (places % columns))


def patch_nce(
    queries: Tensor,
    keys: Tensor,
    temperature: float,
    negatives: Literal["image", "batch"] = "image",
) -> Tensor:
    """Compute the cross entropy of telling each query's key among those of other patches.

    The authors put -10 in the place of the key among the negatives; exp(-10 / 0.07) is nothing.

    Args:
        queries: Vectors (batch, patches, channels), from which heads and encoders learn.
        keys: The same of the source, from which nothing learns.
        temperature: By which products are divided.
        negatives: Whether other patches are those of the same image, or of the whole batch.

    Returns:
        Losses (batch, patches).
    """
    rows = queries.shape[:2]
    if negatives == "batch":
        queries, keys = queries.flatten(0, 1)[None], keys.flatten(0, 1)[None]
    device = queries.device.type  # of meta there is no autocast
    with nullcontext() if device == "meta" else torch.autocast(device, enabled=False):
        logits = queries @ keys.detach().transpose(1, 2) / temperature
    targets = torch.arange(logits.shape[2], device=logits.device).expand(logits.shape[:2])
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return losses.view(rows)


def mean_nce(
    queries: Sequence[Tensor],
    keys: Sequence[Tensor],
    temperature: float,
    negatives: Literal["image", "batch"] = "image",
) -> Tensor:
    """Give the mean of ``patch_nce`` over images and patches, and then over layers."""
    found = [patch_nce(*pair, temperature, negatives) for pair in zip(queries, keys, strict=True)]
    return torch.stack([each.mean() for each in found]).mean()

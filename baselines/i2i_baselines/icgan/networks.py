"""IcGAN's networks: a conditional GAN of doublings and halvings, and encoders into vectors."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.blocks.layers import join_planes
from i2i_bench.blocks.limits import require_square

SLOPE = 0.2  # of the discriminator's leaky ReLUs
LEAST_SIDE = 4  # px, of the generator's first map, the discriminator's last and the encoders'


def num_stages(image_size: int) -> int:
    """Give the layers of the generator and of the discriminator: 5 for 64 px."""
    return image_size.bit_length() - 2


class ConditionalGenerator(nn.Module):
    """A code and labels to an image: from 4x4 px, doubled by transposed convolutions.

    Args:
        width: Channels of the last layer but one; they double with each layer before it.
        code: Numbers of a code.
        labels: Attributes.
        image_size: Side in pixels of what is made, a power of 2.
        labels_at: Layer that sees the labels beside what it is given; 0 for the first.
        outputs: Channels of the images.
    """

    def __init__(
        self,
        width: int,
        code: int,
        labels: int,
        *,
        image_size: int,
        labels_at: int = 0,
        outputs: int = 3,
    ) -> None:
        super().__init__()
        self.labels_at, count = labels_at, num_stages(image_size)
        widths = [code, *(width * 2**i for i in reversed(range(count - 1))), outputs]
        self.stages = nn.ModuleList()
        for number, (before, after) in enumerate(pairwise(widths)):
            before += labels if number == labels_at else 0
            stride, padding = (2, 1) if number else (1, 0)
            layers: list[nn.Module] = [nn.ConvTranspose2d(before, after, 4, stride, padding)]
            is_last = number == count - 1
            layers += [nn.Tanh()] if is_last else [nn.BatchNorm2d(after), nn.ReLU()]
            self.stages.append(nn.Sequential(*layers))

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Map (batch, code) and labels (batch, attributes), -1 or 1, to images in [-1, 1]."""
        x = codes[:, :, None, None]
        for number, stage in enumerate(self.stages):
            x = stage(join_planes(x, labels) if number == self.labels_at else x)
        return x


class ConditionalDiscriminator(nn.Module):
    """An image and labels to one logit: halvings down to 4x4 px, and a convolution of these.

    Args:
        width: Channels of the first layer; they double with each.
        labels: Attributes.
        image_size: Side in pixels of the images, a power of 2.
        labels_at: Layer that sees the labels beside what it is given; 0 for the first.
        inputs: Channels of the images.
    """

    def __init__(
        self, width: int, labels: int, *, image_size: int, labels_at: int = 1, inputs: int = 3
    ) -> None:
        super().__init__()
        self.labels_at, self.image_size = labels_at, image_size
        count = num_stages(image_size)
        widths = [inputs, *(width * 2**i for i in range(count - 1)), 1]
        self.stages = nn.ModuleList()
        for number, (before, after) in enumerate(pairwise(widths)):
            before += labels if number == labels_at else 0
            is_last = number == count - 1
            stride, padding = (1, 0) if is_last else (2, 1)
            layers: list[nn.Module] = [nn.Conv2d(before, after, 4, stride, padding)]
            layers += [nn.BatchNorm2d(after)] if 0 < number < count - 1 else []
            layers += [] if is_last else [nn.LeakyReLU(SLOPE)]
            self.stages.append(nn.Sequential(*layers))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Map images in [-1, 1] and labels (batch, attributes), -1 or 1, to logits (batch,).

        Raises:
            ValueError: If the images have another size than the last layer fits.
        """
        require_square(images, self.image_size, "this discriminator")
        x = images
        for number, stage in enumerate(self.stages):
            x = stage(join_planes(x, labels) if number == self.labels_at else x)
        return x.flatten()


class VectorNorm(nn.BatchNorm1d):
    """Batch normalisation of vectors; by running statistics where there is a single one.

    A budget may leave a last batch of one image, whose own statistics would turn it into 0.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (batch, channels)."""
        if len(input) > 1:
            return super().forward(input)
        mean, variance = self.running_mean, self.running_var
        return F.batch_norm(input, mean, variance, self.weight, self.bias, False, 0.0, self.eps)


def _halvings(inputs: int, width: int, count: int) -> list[nn.Module]:
    """Make 5x5 convolutions that halve, each twice as wide as the one before."""
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *(width * 2**i for i in range(count))]):
        layers += [nn.Conv2d(before, after, 5, 2, padding=2), nn.BatchNorm2d(after), nn.ReLU()]
    return layers


def _head(inputs: int, hidden: int, outputs: int) -> list[nn.Module]:
    """Make two linear layers; of as many hidden channels as there are inputs if ``hidden`` is 0."""
    hidden = hidden or inputs
    middle = [nn.Linear(inputs, hidden), VectorNorm(hidden), nn.ReLU()]
    return [nn.Flatten(), *middle, nn.Linear(hidden, outputs)]


class ImageEncoder(nn.Module):
    """An image to a vector: halvings, then two linear layers on all that is left.

    Args:
        width: Channels of the first layer; they double with each.
        num_layers: Halvings.
        outputs: Numbers of the vector.
        image_size: Side in pixels of the images, a power of 2.
        hidden: Channels between the linear layers; 0 for as many as come in.
        inputs: Channels of the images, and of labels beside them.
    """

    def __init__(
        self,
        width: int,
        num_layers: int,
        outputs: int,
        *,
        image_size: int,
        hidden: int = 0,
        inputs: int = 3,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        found = width * 2 ** (num_layers - 1) * (image_size >> num_layers) ** 2
        layers = _halvings(inputs, width, num_layers)
        self.layers = nn.Sequential(*layers, *_head(found, hidden, outputs))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map images, and maybe labels (batch, attributes) beside them, to (batch, outputs).

        Raises:
            ValueError: If the images have another size than the linear layers fit.
        """
        require_square(images, self.image_size, "this encoder")
        return self.layers(images if labels is None else join_planes(images, labels))


class SharedEncoder(nn.Module):
    """An image to a code and to labels: the first layer is shared, behind it are two branches.

    Args:
        width: Channels of the first layer; they double with each.
        num_layers: Halvings.
        outputs: Numbers of the code and of the labels.
        image_size: Side in pixels of the images, a power of 2.
        inputs: Channels of the images.
    """

    def __init__(
        self,
        width: int,
        num_layers: int,
        outputs: tuple[int, int],
        *,
        image_size: int,
        inputs: int = 3,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        found = width * 2 ** (num_layers - 1) * (image_size >> num_layers) ** 2
        self.stem = nn.Sequential(*_halvings(inputs, width, 1))
        self.branches = nn.ModuleList(
            nn.Sequential(*_halvings(width, 2 * width, num_layers - 1), *_head(found, 0, count))
            for count in outputs
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images to codes (batch, code) and labels (batch, attributes), which are not bounded.

        Raises:
            ValueError: If the images have another size than the linear layers fit.
        """
        require_square(images, self.image_size, "this encoder")
        features = self.stem(images)
        codes, labels = (branch(features) for branch in self.branches)
        return codes, labels

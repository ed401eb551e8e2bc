"""Instance and batch normalisation, with gradients that are right in every memory format."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def contiguous_gradient(x: Tensor) -> Tensor:
    """Return the output of a normalisation unchanged, and make its gradient contiguous.

    PyTorch (2.14.1 was tried) differentiates ``instance_norm`` wrongly on a processor for a
    batch of one image whose gradient is channels-last: it is read as if it were contiguous. The
    backward of ``flatten`` copies such a gradient and leaves a contiguous one as it is. Elsewhere
    gradients are right, and nothing is done.

    Args:
        x: Of any shape; contiguous, as ``instance_norm`` gives it, or it is copied.
    """
    return x.flatten().view(x.shape) if x.is_cpu else x


class InstanceNorm(nn.InstanceNorm2d):
    """PyTorch's instance normalisation, with a gradient that is right in every memory format.

    Options, parameters and their names are those of ``nn.InstanceNorm2d``.
    """

    stands_for: ClassVar[type[nn.Module]] = nn.InstanceNorm2d  # for kernels that replace layers

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (batch, channels, height, width)."""
        return contiguous_gradient(super().forward(input))


class TrackingInstanceNorm(InstanceNorm):
    """Instance normalisation by an image's own statistics, in training and in evaluation.

    Running statistics are kept in training, as the authors' files hold them, and never used.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, affine=True, track_running_stats=True)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (batch, width, height, width of the image)."""
        kept = (self.running_mean, self.running_var) if self.training else (None, None)
        y = F.instance_norm(input, *kept, self.weight, self.bias, True, 0.1, self.eps)
        return contiguous_gradient(y)


class SampleNorm(nn.Module):
    """Layer normalisation of each sample by its unbiased standard deviation, affine by channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(channels).uniform_())  # U(0, 1), as the authors
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (batch, channels, height, width)."""
        deviation, mean = torch.std_mean(x, dim=(1, 2, 3), keepdim=True)
        scale = self.gamma[:, None, None] / (deviation + 1e-5)
        return torch.addcmul(self.beta[:, None, None] - mean * scale, x, scale)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation in training, and by an image's own statistics in evaluation.

    That is how authors test who leave networks in training mode and take one image at a time, with
    every image by itself. Running statistics are kept in training, as the authors' files hold them,
    and never used.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (batch, channels, height, width).

        Raises:
            ValueError: In training, if a channel has a single value, which it would turn into 0.
        """
        if not self.training:
            own = torch.instance_norm(
                input, self.weight, self.bias, None, None, True, 0.0, self.eps, False
            )
            return contiguous_gradient(own)
        if input.numel() == input.shape[1]:
            raise ValueError(
                "batch normalisation of one image of 1x1 px leaves nothing of it; take a larger "
                "batch_size, fewer levels, or leave the normalisation of the bottleneck out"
            )
        return super().forward(input)


class MomentNorm(nn.Module):
    """Affine instance normalisation by TensorFlow's ``moments``: one pixel becomes the shift.

    The mean within the variance counts as constant there. That changes no gradient, but gradients
    of gradients: a critic's penalty is another one, and biases before the layer learn from it.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (batch, channels, height, width)."""
        exact = x.to(torch.promote_types(x.dtype, torch.float32))  # also under autocast
        mean = exact.mean(dim=(2, 3), keepdim=True)
        variance = (exact - mean.detach()).square().mean(dim=(2, 3), keepdim=True)
        scale = self.weight[:, None, None] * (variance + self.eps).rsqrt()
        return torch.addcmul(self.bias[:, None, None], exact - mean, scale).to(x.dtype)

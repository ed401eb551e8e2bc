"""Terms of InstaGAN: means over a batch, in which images without an instance count as 0."""

from __future__ import annotations

import torch
from torch import Tensor

from i2i_baselines.instagan.instances import MaskedImages


def active_mean(values: Tensor, is_active: Tensor) -> Tensor:
    """Give the mean over a batch of the mean of each active image's values (batch, ...)."""
    return torch.where(is_active, values.flatten(1).mean(dim=1), 0).mean()


def active_least_squares(logits: Tensor, target: float, is_active: Tensor) -> Tensor:
    """LSGAN (Mao et al., ICCV 2017), of the images that are active."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))  # also under autocast
    return active_mean((exact - target).square(), is_active)


def scene_distance(scene: MaskedImages, wanted: MaskedImages, is_active: Tensor) -> Tensor:
    """Give the mean absolute difference of images and masks, which are alike channels of it."""
    return active_mean((scene.joined() - wanted.joined()).abs(), is_active)


def context_loss(before: MaskedImages, after: MaskedImages) -> Tensor:
    """Give the mean absolute change outside of masks before and after, added up.

    What masks cover counts less the more they do, so that the gradient reaches masks as well.
    """
    masks = torch.cat([before.masks, after.masks], dim=1)
    outside = 1 - ((masks + 1) / 2).sum(dim=1, keepdim=True).clamp(0, 1)
    return active_mean(outside * (before.images - after.images).abs(), before.is_active)

"""Instances of an image in passes: which come first, and what passes make of image and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from i2i_baselines.instagan.networks import SetGenerator, has_instance


@dataclass(frozen=True, eq=False)
class MaskedImages:
    """Images with the masks of their instances.

    Attributes:
        images: (batch, channels, height, width) in [-1, 1].
        masks: (batch, instances, height, width), -1 outside and 1 inside, empty ones last.
    """

    images: Tensor
    masks: Tensor

    @property
    def is_active(self) -> Tensor:
        """Which images have an instance, (batch,)."""
        return has_instance(self.masks).any(dim=1)

    def joined(self) -> Tensor:
        """Give images and masks as channels of one tensor."""
        return torch.cat([self.images, self.masks], dim=1)

    def detached(self) -> MaskedImages:
        """Give the same without its graph."""
        return MaskedImages(self.images.detach(), self.masks.detach())


def order_by_size(masks: Tensor) -> Tensor:
    """Give the places (batch, instances) of masks (batch, instances, ...), the largest first."""
    return masks.mean(dim=(2, 3)).argsort(dim=1, descending=True, stable=True)


def arrange(masks: Tensor, order: Tensor) -> Tensor:
    """Put the masks of each image into an order (batch, instances), or choose the first ones."""
    return masks.gather(1, order[:, :, None, None].expand(-1, -1, *masks.shape[2:]))


def translate_in_passes(
    generator: SetGenerator, scene: MaskedImages, per_pass: int
) -> MaskedImages:
    """Translate some instances after the other; an image without one stays as it is in a pass.

    The host waits for each pass, to leave out those in which no image has an instance.
    """
    images, moved = scene.images, []
    for masks in scene.masks.split(per_pass, dim=1):
        before = MaskedImages(images, masks)
        if not masks.is_meta and not bool(before.is_active.any()):
            moved.append(masks)
            continue
        after = MaskedImages(*generator(images, masks))
        images = keep_inactive(before, after.images)
        moved.append(after.masks)
    return MaskedImages(images, torch.cat(moved, dim=1))


def keep_inactive(before: MaskedImages, images: Tensor) -> Tensor:
    """Put images that had no instance in the place of their translations."""
    return torch.where(before.is_active[:, None, None, None], images, before.images)


def join_masks(moved: Sequence[Tensor], count: int) -> Tensor:
    """Join the masks of passes to (batch, count, height, width), empty ones for later passes."""
    joined = torch.cat(list(moved), dim=1)
    batch, known, *size = joined.shape
    return torch.cat([joined, joined.new_full((batch, count - known, *size), -1.0)], dim=1)

"""The image pool: the history of fakes that a discriminator is shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from i2i_bench.randomness import Randomness


class ImagePool:
    """History of fakes shown to a discriminator (Shrivastava et al., CVPR 2017).

    Until the pool is full every image is stored and shown. Afterwards, with probability 1/2, a
    stored image is shown and the new one takes its place; otherwise the new one is shown and not
    stored. Images of one batch are treated one after the other, on their device.

    Where processes share a batch, ``together`` queries with the images of all of them.
    """

    together: Callable[[Callable[[Tensor, Randomness], Tensor], Tensor, Randomness], Tensor] | None

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: Tensor | None = None
        self.count: Tensor | None = None
        self.together = None

    def query(
        self, images: Tensor, random: Randomness, name: str, is_new: Tensor | None = None
    ) -> Tensor:
        """Exchange detached images (batch, channels, height, width) for as many to show.

        Args:
            images: Fakes.
            random: Source of the draws.
            name: Of the draws.
            is_new: (batch,), false for an image that is shown as it is and leaves the pool alone;
                by default all are true. Not where processes share a batch.
        """
        if self.size == 0:
            return images
        if self.together is not None:
            assert is_new is None
            return self.together(partial(self._query, name), images, random)
        return self._query(name, images, random, is_new)

    def _query(
        self, name: str, images: Tensor, random: Randomness, is_new: Tensor | None = None
    ) -> Tensor:
        if self.images is None or self.count is None:
            self.images = images.new_zeros((self.size, *images.shape[1:]))
            self.count = torch.zeros((), dtype=torch.int64, device=images.device)
        elif self.images.device != images.device:  # just loaded from a checkpoint
            self.images, self.count = self.images.to(images.device), self.count.to(images.device)
        chances = random.uniform(f"{name}_chance", (len(images),))
        slots = random.integers(f"{name}_slot", self.size, (len(images),))
        news = torch.ones_like(chances, dtype=torch.bool) if is_new is None else is_new
        rows = zip(images.split(1), chances.split(1), slots.split(1), news.split(1), strict=True)
        return torch.cat([self._exchange(*row) for row in rows])

    def _exchange(self, image: Tensor, chance: Tensor, slot: Tensor, is_new: Tensor) -> Tensor:
        assert self.images is not None
        assert self.count is not None
        is_full = self.count >= self.size
        slot = torch.where(is_full, slot, self.count)
        old = self.images.index_select(0, slot)
        swap = is_full & (chance > 0.5) & is_new
        is_kept = ~is_new | (is_full & ~swap)
        self.images.index_copy_(0, slot, torch.where(is_kept, old, image))
        self.count += ~is_full & is_new.squeeze(0)
        return torch.where(swap, old, image)

    def state_dict(self) -> dict[str, Any]:
        """Return the stored images and their number."""
        return {"images": self.images, "count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        self.images, self.count = state_dict["images"], state_dict["count"]

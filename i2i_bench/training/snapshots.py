"""Snapshots of a training: translations of the same few test images over the budget."""

from __future__ import annotations

import contextlib
import logging
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from i2i_bench.data.decode import channels_first, channels_last, to_float, to_rgb
from i2i_bench.data.directions import directions_for, labels_of
from i2i_bench.data.mixed import Images, runs_of_shape
from i2i_bench.data.needs import takes_masks
from i2i_bench.data.requests import Request, attention_of, translate_images
from i2i_bench.data.test_set import TestSet
from i2i_bench.data.window import windowed
from i2i_bench.model import Direction, Model
from i2i_bench.randomness import Randomness
from i2i_bench.system.files import replacing

logger = logging.getLogger(__name__)

FOLDER = "snapshots"  # in that of a run
MOMENTS = 8  # the start, and the budget halved up to six times
COUNT = (
    2  # images of each direction: 8 bits, without contents, so that ten masks at 256 px fit 3 MB
)
NO_BACKGROUND = -1


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Some test images and what a model makes of them at one moment.

    Attributes:
        images_seen: In training until then.
        sources: (images, height, width, 3), uint8, as people see them.
        fakes: The same shape.
        attention: (images, n, height, width), uint8, 255 for 1; None for a model without masks.
        background: Index of the mask that copies the input; None where there is none.
    """

    images_seen: int
    sources: NDArray[np.uint8]
    fakes: NDArray[np.uint8]
    attention: NDArray[np.uint8] | None
    background: int | None


def moments(budget: int) -> list[int]:
    """Return the numbers of images seen at which a snapshot is due: 0, and the budget halved."""
    return sorted({0, *(-(-budget // 2**k) for k in range(MOMENTS - 1))})


class Album:
    """Takes the snapshots of one run, changing neither networks nor random state.

    Args:
        model: In training.
        test_set: Of which the first few images of each direction are shown.
        folder: Of the run.
        budget: Images seen in the whole run.
        device: Of the model.
        num_instances: Most instance masks of an image, for a model that is given them.
    """

    def __init__(
        self,
        model: Model,
        test_set: TestSet,
        folder: Path,
        budget: int,
        *,
        device: torch.device,
        num_instances: int = 0,
    ) -> None:
        self._model, self._device, self._folder = model, device, folder / FOLDER
        self._moments = moments(budget)
        self._task = task = test_set.task
        self._labels = {d: labels_of(task, d) for d in directions_for(model, task)}
        rows = {d: range(min(COUNT, len(test_set.names(d.source)))) for d in self._labels}
        self._sources = {d: _of_one_shape(test_set.images(d.source, rows[d])) for d in rows}
        has_masks = takes_masks(model.needs(model.config), task, num_instances)
        self._instances = {
            d: test_set.instances(d.source, num_instances, rows[d]) if has_masks else None
            for d in rows
        }

    def is_due(self, before: int, now: int) -> bool:
        """Tell whether a snapshot is due between two numbers of images seen."""
        return any(before < moment <= now for moment in self._moments)

    def take(self, images_seen: int) -> None:
        """Write a snapshot; if the disk is full, go on without it."""
        content: dict[str, NDArray] = {}
        with evaluating(self._model, self._device):
            for direction in self._sources:
                parts = self._look(direction)
                content |= {f"{direction}/{name}": part for name, part in parts.items()}
        path = self._folder / f"{images_seen:012d}.npz"
        try:
            with replacing(path) as partial, partial.open("wb") as file:
                np.savez_compressed(file, **content)  # pyright: ignore[reportArgumentType]
        except OSError as error:
            logger.warning("snapshot %s could not be saved: %s", path, error.strerror or error)

    def _look(self, direction: Direction) -> dict[str, NDArray]:
        sources, labels = self._sources[direction], self._labels[direction]
        count = len(sources)
        known = None if labels is None else (labels[0][:count], labels[1][:count])
        pixels = self._task.pixel_format(direction.source)
        images = to_float(channels_first(sources).to(self._device), pixels)
        given = self._instances[direction]
        instances = None if given is None else torch.from_numpy(given[: len(images)]).to(images)
        request = Request(direction, images, known, instances)
        random = Randomness(0, device=self._device)
        fakes = to_rgb(translate_images(self._model, request, random))
        found = {"sources": windowed(sources, pixels), "fakes": channels_last(fakes)}
        masks = attention_of(self._model, request, random)
        if masks is None:
            return found
        attention = (masks.attention.float() * 255).clamp(0, 255).round().to(torch.uint8)
        background = NO_BACKGROUND if masks.background is None else masks.background
        return found | {"attention": attention.cpu().numpy(), "background": np.int64(background)}


def _of_one_shape(images: Images) -> NDArray[np.uint8]:
    """Give the first images, as many as have the shape of the first one."""
    return images[next(runs_of_shape(images, COUNT), slice(0))]


@contextlib.contextmanager
def evaluating(model: Model, device: torch.device) -> Iterator[None]:
    """Put a model into evaluation mode for a while, and restore mode and random state after."""
    before = [(module, module.training) for module in model.networks.modules()]
    model.networks.eval()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            yield
    finally:
        for module, is_training in before:
            module.training = is_training


def read_snapshots(folder: Path, direction: str) -> list[Snapshot]:
    """Read the snapshots of a run in one direction, in the order of training.

    Raises:
        ValueError: If there is none, or one is damaged.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("*.npz")):
        try:
            found.append(_read(path, direction))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"snapshot {path} is damaged or has no {direction}: {error}") from None
    if not found:
        raise ValueError(
            f"no snapshots in {folder / FOLDER}: this run predates snapshots; "
            "i2i-bench run --force trains again"
        )
    return found


def _read(path: Path, direction: str) -> Snapshot:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
        attention = content.get(f"{direction}/attention")
        background = int(content[f"{direction}/background"]) if attention is not None else None
        return Snapshot(
            int(path.stem),
            content[f"{direction}/sources"],
            content[f"{direction}/fakes"],
            attention,
            None if background == NO_BACKGROUND else background,
        )

"""What a model costs: parameters and multiply-adds."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from i2i_bench.data.directions import directions_for
from i2i_bench.data.needs import channels_of, takes_masks
from i2i_bench.data.requests import Request, translate_images
from i2i_bench.model import Direction, Model, Settings, TaskFacts, named_networks
from i2i_bench.randomness import Randomness


def count_parameters(model: Model) -> dict[str, int]:
    """Count the parameters of each network that is there."""
    return {
        name: sum(parameter.numel() for parameter in network.parameters())
        for name, network in named_networks(model.networks)
        if name not in model.absent
    }


def count_macs(
    model: Model,
    settings: Settings,
    task: TaskFacts,
    *,
    device: torch.device,
    direction: Direction | None = None,
) -> int:
    """Count the multiply-adds of translating one image, which proves that the size is possible.

    Args:
        model: On the device.
        settings: Its size is counted.
        task: For its directions and labels.
        device: May be the meta device.
        direction: By default the first in which the model translates.

    Raises:
        ValueError: If the model cannot take images of this size.
        AbsentNetwork: If it lacks what the direction needs.
    """
    direction = direction or directions_for(model, task)[0]
    request = _empty_request(model, settings, task, direction, device)
    model.networks.eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        translate_images(model, request, Randomness(0, device=device))
    return counter.get_total_flops() // 2


def why_not_whole(model: Model, settings: Settings, task: TaskFacts) -> str:
    """Say why a model cannot translate images that are not square; "" if it can.

    It is tried on an image twice as wide as high, without content.

    Args:
        model: On the meta device.
        settings: Of the model.
        task: For its directions and labels.
    """
    size, multiple = settings.crop_size, type(model).needs(settings.config).multiple
    if size % multiple:
        return f"sides must be multiples of {multiple} px, and crop_size is {size}"
    device = torch.device("meta")
    request = _empty_request(model, settings, task, directions_for(model, task)[0], device)
    request = request.at_size(size, 2 * size)
    model.networks.eval()
    try:
        with torch.no_grad():
            fake = translate_images(model, request, Randomness(0, device=device))
    except Exception as error:  # a model may refuse in any way
        return next(iter(str(error).splitlines()), type(error).__name__)
    wrong = fake.shape[2:] != request.images.shape[2:]
    return f"it makes {tuple(fake.shape)} of images {tuple(request.images.shape)}" if wrong else ""


def _empty_request(
    model: Model,
    settings: Settings,
    task: TaskFacts,
    direction: Direction,
    device: torch.device,
) -> Request:
    """Ask for the translation of one square image without content, covered by every instance.

    A model may pass over instances that are empty.
    """
    size, labels, masks = settings.crop_size, None, None
    if task.attributes:
        before, after = np.eye(2, len(task.attributes), dtype=np.int8)
        labels = before[None], after[None]
    if takes_masks(type(model).needs(settings.config), task, settings.instances):
        masks = torch.ones(1, settings.instances, size, size, device=device)
    image = torch.zeros(1, channels_of(task, direction.source), size, size, device=device)
    return Request(direction, image, labels, masks)

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
    size, direction = settings.crop_size, direction or directions_for(model, task)[0]
    channels = channels_of(task, direction.source)
    image = torch.zeros(1, channels, size, size, device=device)
    labels, masks = None, None
    if task.attributes:
        before, after = np.eye(2, len(task.attributes), dtype=np.int8)
        labels = before[None], after[None]
    if takes_masks(type(model).needs(settings.config), task, settings.instances):
        masks = torch.zeros(1, settings.instances, size, size, device=device)
    request = Request(direction, image, labels, masks)
    model.networks.eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        translate_images(model, request, Randomness(0, device=device))
    return counter.get_total_flops() // 2

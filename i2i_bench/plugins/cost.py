"""What a model costs: parameters and multiply-adds."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from i2i_bench.data.directions import directions_of, request
from i2i_bench.model import Direction, Model, Settings, TaskFacts, named_networks


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
        direction: The task's first by default.

    Raises:
        ValueError: If the model cannot take images of this size.
        AbsentNetwork: If it lacks what the direction needs.
    """
    size, direction = settings.crop_size, direction or directions_of(task)[0]
    image = torch.zeros(1, 3, size, size, device=device)
    label = np.zeros((1, len(task.attributes)), np.int8)
    batch = request(direction, image, (label, label) if task.attributes else None)
    model.networks.eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.translate(batch, direction)
    return counter.get_total_flops() // 2

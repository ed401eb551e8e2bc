"""CycleGAN's training step, which several models share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from i2i_bench.blocks.limits import load_size, require_task_size
from i2i_bench.blocks.losses import cycle_losses, differentiate, discriminator_losses
from i2i_bench.blocks.optimise import descend, frozen, restarted
from i2i_bench.blocks.pool import ImagePool
from i2i_bench.model import ModelCard, Preset, Settings, TaskFacts
from i2i_bench.randomness import Randomness


def cycle_gan_settings(
    card: ModelCard, preset: Preset, task: TaskFacts, config: object
) -> Settings:
    """Give a configuration CycleGAN's budget, batch size and image sizes.

    ``published`` is 200 epochs at batch 1, ``small`` 6,000 images of at most 64 px at batch 8,
    ``tiny`` 8 images of at most 32 px at batch 2.

    Raises:
        ValueError: If the task's images are smaller than the card allows.
    """
    require_task_size(task, card.minimum_size, card.title)
    batch_size, budget, largest = {
        "published": (1, 200 * max(task.num_train.values()), task.image_size),
        "small": (8, 6_000, 64),
        "tiny": (2, 8, 32),
    }[preset]
    size = min(task.image_size, largest)
    return Settings(config, batch_size, budget, load_size(task, size), size)


def two_way(
    make_generator: Callable[[int, int], nn.Module],
    make_discriminator: Callable[[int], nn.Module],
    channels: tuple[int, ...] = (3, 3),
) -> tuple[nn.ModuleDict, nn.ModuleDict]:
    """Build a generator for each direction, ``a2b`` and ``b2a``, and a discriminator a domain.

    Args:
        make_generator: Given the channels of source and target.
        make_discriminator: Given those of the domain that it judges.
        channels: Of domains a and b.
    """
    a, b = channels
    generators = nn.ModuleDict({"a2b": make_generator(a, b), "b2a": make_generator(b, a)})
    judges = {domain: make_discriminator(count) for domain, count in (("a", a), ("b", b))}
    return generators, nn.ModuleDict(judges)


def cycle_gan_step(
    networks: nn.ModuleDict,
    optimizers: Mapping[str, Optimizer],
    pools: Mapping[str, ImagePool],
    real: Mapping[str, Tensor],
    random: Randomness,
    weights: Mapping[str, float],
) -> dict[str, Tensor]:
    """Take CycleGAN's step: both generators, then both discriminators on the fakes made before.

    Gradients of the generators are accumulated over directions, so that the graph of one direction
    is freed before the other's is built: half the memory of the published order.

    Args:
        networks: ``generators`` (by direction) and ``discriminators`` (by the domain they judge).
        optimizers: One for each of the two.
        pools: Past fakes, by domain.
        real: (batch, channels, height, width) in [-1, 1], by domain; no identity pass where the
            domains have different channels.
        random: Source of the pools' draws.
        weights: Of ``adversarial``, ``cycle`` and ``identity``; no identity pass for a weight of 0.

    Returns:
        Detached, unweighted losses by name.
    """
    generators, discriminators = networks["generators"], networks["discriminators"]
    assert isinstance(generators, nn.ModuleDict)
    assert isinstance(discriminators, nn.ModuleDict)
    optimizer = optimizers.get("generators")  # absent where a generator has nothing to learn
    losses: dict[str, Tensor] = {}
    fake: dict[str, Tensor] = {}
    with frozen(discriminators), restarted(optimizer):
        with_identity = weights["identity"] > 0 and real["a"].shape[1] == real["b"].shape[1]
        for some, made in cycle_losses(
            generators, discriminators, real, with_identity=with_identity
        ):
            losses |= differentiate(some, weights) if optimizer else some
            fake |= made
    shown = {d: pools[d].query(fake[d], random, f"pool_{d}") for d in fake}
    judged = discriminator_losses(discriminators, real, shown)
    descend(optimizers["discriminators"], torch.stack(list(judged.values())).sum())
    return {name: value.detach() for name, value in (losses | judged).items()}

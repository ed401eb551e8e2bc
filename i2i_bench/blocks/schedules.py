"""Learning-rate factors as pure functions of the clock."""

from __future__ import annotations

from i2i_bench.model import Clock

DECAY_EVERY = 1000  # steps between two changes of the authors' learning rate


def learning_rate_factor(clock: Clock, decay: str) -> float:
    """Return the factor of the learning rate at a step: 1 for the first half of them."""
    half = clock.total_steps // 2
    num_decayed = clock.total_steps - half
    if decay == "linear":
        return 1 - max(0, clock.step - 1 - half) / num_decayed
    past = max(0, (clock.step - 1) // DECAY_EVERY - half // DECAY_EVERY)
    return 1 - past / num_decayed


def decay_after(epoch: int, constant: int, decay: int) -> float:
    """Return CycleGAN's learning-rate factor: 1 for ``constant`` epochs, then linear towards 0.

    The first decayed epoch already has decay / (decay + 1); the last one 1 / (decay + 1).
    """
    return 1 - max(0, epoch + 1 - constant) / (decay + 1)


def decay_behind(epoch: int, constant: int, decay: int) -> float:
    """Return a learning-rate factor: 1 for ``constant`` epochs and one more, then linear.

    The last epoch has 1 / decay.
    """
    return 1 - max(0, epoch - constant) / max(1, decay)

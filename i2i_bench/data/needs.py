"""What a model needs of a task, and what its batches hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from torch import Tensor

from i2i_bench.labels import EVERY, is_one_hot
from i2i_bench.model import Batch, BatchFacts, Needs, ResizeRule, Settings

NUM_DRAWN = 2  # domains of a step, drawn out of many


def test_rule(needs: Needs, settings: Settings) -> ResizeRule:
    """Give how test images come to their size: whole ones are trimmed to what networks need."""
    rule = settings.resize_rule
    return dataclasses.replace(rule, multiple=needs.multiple) if rule.is_whole else rule


def lacking_need(needs: Needs, task: BatchFacts) -> str:
    """Say what a task lacks of what a model needs; "" if it gives everything."""
    is_many = bool(task.attributes)
    lacks = {
        "pairs": needs.pairs == "required" and not task.paired,
        "labels": needs.labels == "required" and not is_many,
        "two domains": is_many and needs.labels == "no" and not draws_domains(needs, task),
        "many domains": needs.drawn_domains == "required" and not draws_domains(needs, task),
        "masks": needs.masks == "required" and not task.has_masks,
    }
    return next((what for what, is_lacking in lacks.items() if is_lacking), "")


def draws_domains(needs: Needs, task: BatchFacts) -> bool:
    """Tell whether each step of a model sees two of a task's domains, drawn out of many."""
    can = bool(task.attributes) and is_one_hot(task.attributes, task.exclusive)
    return can and needs.drawn_domains != "no"


def domains_for(needs: Needs, task: BatchFacts) -> tuple[str, ...]:
    """Name the domains that a model tells apart in a task."""
    return task.attributes if draws_domains(needs, task) else task.domains


def channels_of(task: BatchFacts, domain: str) -> int:
    """Tell the channels of a domain; one that labels tell has those of all images."""
    known = task.channels
    return known[domain] if domain in known else known[EVERY]


def takes_pairs(needs: Needs, task: BatchFacts) -> bool:
    """Tell whether a model is given pairs of a task."""
    return task.paired and needs.pairs != "no"


def takes_masks(needs: Needs, task: BatchFacts, num_instances: int) -> bool:
    """Tell whether a model is given the instance masks of a task, so many of an image at most."""
    return task.has_masks and needs.masks != "no" and num_instances > 0


def takes_labels(needs: Needs, task: BatchFacts) -> bool:
    """Tell whether a model is given the labels of a task."""
    return bool(task.attributes) and (needs.labels != "no" or not draws_domains(needs, task))


def make_batch(
    needs: Needs,
    task: BatchFacts,
    settings: Settings,
    fill: Callable[[str, str, tuple[int, ...]], Tensor],
    *,
    domains: tuple[str, ...] | None = None,
) -> Batch:
    """Make a batch of a task without data, as large as that of a step.

    Args:
        needs: Of the model.
        task: Whose batches it is like.
        settings: Sizes.
        fill: Gives a tensor from ``images``, ``labels`` or ``masks``, a domain, and a shape.
        domains: Of the step; by default the first ones.
    """
    count, size = min(settings.batch_size, settings.budget), settings.crop_size
    names = domains or domains_for(needs, task)[:NUM_DRAWN]
    images = {d: fill("images", d, (count, channels_of(task, d), size, size)) for d in names}
    labels = masks = None
    if takes_labels(needs, task):
        labels = {d: fill("labels", d, (count, len(task.attributes))) for d in names}
    if takes_masks(needs, task, settings.instances):
        masks = {d: fill("masks", d, (count, settings.instances, size, size)) for d in names}
    return Batch(images, labels, masks)

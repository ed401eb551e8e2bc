"""What ``i2i-bench models NAME`` says of a model: its card, parameters and cost."""

from __future__ import annotations

import torch

from i2i_bench.model import Model, Settings
from i2i_bench.plugins import registry
from i2i_bench.plugins.cost import count_macs, count_parameters, why_not_whole
from i2i_bench.plugins.toy import Toy, nominal
from i2i_bench.system.installed import reason_of_broken

NUM_DOMAINS = 2  # of models for labels; the others have no choice


def describe_model(name: str, *, tolerant: bool) -> str:
    """Describe an installed model under its published settings at 256 px, for labels at 128 px.

    Args:
        name: Of the model.
        tolerant: Whether a broken model is described by its reason instead of raising it.

    Raises:
        ValueError: If there is no such model, or it is broken.
    """
    try:
        return "\n".join(_lines(name))
    except registry.BrokenModel as error:
        if not tolerant:
            raise
        return f"{name}\n  broken: {error}"


def _lines(name: str) -> list[str]:
    model_class = registry.load_model(name)
    entry = registry.find_entry(name)
    whose = f"{name} ({entry.distribution} {entry.version})"
    try:
        return [whose, *_card(model_class), *_cost(model_class)]
    except Exception as error:  # a plugin may fail in any way; the others are described
        raise registry.BrokenModel(f"model {whose}: {reason_of_broken(error)}") from error


def _card(model_class: type[Model]) -> list[str]:
    card = model_class.card
    source = f"{card.authors}. {card.venue} {card.year}" if card.year else card.venue
    lines = [
        f"  {card.title}: {source}" + (f", arXiv {card.arxiv}" if card.arxiv else ""),
        f"  licence: {card.licence}",
        f"  smallest image: {card.minimum_size} px",
    ]
    lines += _needs(model_class)
    if card.is_random:
        lines.append("  has several translations of one image, one for each seed")
    if card.takes_examples:
        lines.append("  can take the style of an example image")
    if card.samples_interact:
        lines.append("  samples of a training batch influence each other")
    lines += [f"  - {deviation}" for deviation in card.deviations]
    ablations = model_class.ablations.items()
    return lines + [f"  ablation {name}: {each.title}" for name, each in ablations]


def _needs(model_class: type[Model]) -> list[str]:
    """Say what a task must, or can, give to the published configuration."""
    task = nominal(model_class, NUM_DOMAINS)
    needs = model_class.needs(model_class.settings("published", task).config)
    meanings = {
        "pairs": "pairs of training images",
        "labels": f"labels, of which it takes any number; counted for {NUM_DOMAINS}",
        "masks": "instance masks of every image",
        "drawn_domains": f"many domains, of which a step sees two; counted for {NUM_DOMAINS}",
    }
    lines = [
        f"  {'needs' if value == 'required' else 'can use'} {meaning}"
        for key, meaning in meanings.items()
        if (value := getattr(needs, key)) != "no"
    ]
    return lines + [f"  needs the weights file {name}" for name in needs.weights]


def count_published(name: str, num_domains: int) -> int:
    """Count the parameters of an installed model under its published settings.

    Images are of 256 px, and of 128 px for a model of labels.

    Args:
        name: Of the model.
        num_domains: At least 2; those of the task for which it gives its settings.

    Raises:
        ValueError: If there is no such model, or it is broken.
    """
    model_class = registry.load_model(name)
    try:
        model, _ = _build(model_class, nominal(model_class, num_domains))
        return sum(count_parameters(model).values())
    except Exception as error:  # a plugin may fail in any way
        raise registry.BrokenModel(f"model {name!r}: {reason_of_broken(error)}") from error


def _build(model_class: type[Model], task: Toy) -> tuple[Model, Settings]:
    """Build a model on the meta device, where no memory is taken."""
    settings = model_class.settings("published", task)
    with torch.device("meta"):
        return model_class(settings.config), settings


def _cost(model_class: type[Model]) -> list[str]:
    task = nominal(model_class, NUM_DOMAINS)
    model, settings = _build(model_class, task)
    counts = count_parameters(model)
    lines = [f"  parameters of {network}: {count:,}" for network, count in counts.items()]
    lines.append(f"  parameters in total: {sum(counts.values()):,}")
    macs = count_macs(model, settings, task, device=torch.device("meta"))
    size = f"{task.image_size}x{task.image_size}"
    lines.append(f"  multiply-adds of a translation at {size}: {macs / 1e9:.2f} G")
    multiple, reason = model.needs(settings.config).multiple, why_not_whole(model, settings, task)
    whole = f"sides are trimmed to multiples of {multiple} px" if multiple > 1 else "not trimmed"
    return [*lines, f"  images that are not square: {reason or whole}"]

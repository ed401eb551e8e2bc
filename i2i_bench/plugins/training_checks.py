"""What a model's training steps must satisfy."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from i2i_bench.data.directions import directions_of
from i2i_bench.data.needs import domains_for
from i2i_bench.model import TERMS, Model, named_networks
from i2i_bench.plugins.gradients import Gradients, largest_difference, recorded_gradients
from i2i_bench.plugins.subject import STEPS, Check, Subject

MOST_STEPS = 64  # of a schedule that is looked at as a whole
SAME_GRADIENT = 1e-4  # relative, in float64; layers that read a wrong layout are off by 1e-2 to 2


def losses_are_finite_detached_and_named(subject: Subject) -> str | None:
    """Check what a training step returns."""
    model = subject.build()
    if fixed := [term for term in model.losses if term in TERMS]:
        return f"losses explains {fixed[0]}, which is a fixed term already"
    losses = subject.step(model, 0)
    for name, value in losses.items():
        if reason := _wrong_name(name, model, subject):
            return reason
        if value.ndim or value.requires_grad or not value.isfinite():
            return f"{name} is not a finite, detached scalar: {value}"
    return None if losses else "a training step returns no losses"


def _wrong_name(name: str, model: Model, subject: Subject) -> str:
    """Say why a loss may not have this name, with the names that are possible; "" if it may."""
    terms, task = (*TERMS, *model.losses), subject.task
    if name in terms:
        return ""
    names = domains_for(subject.needs, task)
    pairs = [f"{source}2{target}" for source in names for target in names if source != target]
    suffixes = [*names, *pairs, *map(str, directions_of(task))]
    if any(name == f"{term}_{suffix}" for term in terms for suffix in suffixes):
        return ""
    ends = ", ".join(dict.fromkeys(suffixes))
    return (
        f"{name!r} is not a name for a loss: needed is a term, alone or with _ and one of {ends}; "
        f"terms are {', '.join(terms)}, and those that the model explains in losses"
    )


def every_network_moves(subject: Subject) -> str | None:
    """Check that the steps of the schedule change each network that has something to learn."""
    model, total = subject.build(), subject.total_steps
    waiting = {
        name: {n: p.detach().clone() for n, p in network.named_parameters() if p.requires_grad}
        for name, network in named_networks(model.networks)
    }
    waiting = {name: before for name, before in waiting.items() if before}
    for number in range(min(total, MOST_STEPS)):
        subject.step(model, number)
        for name, network in named_networks(model.networks):
            now, before = dict(network.named_parameters()), waiting.get(name, {})
            if any(not torch.equal(now[n], before[n]) for n in before):
                del waiting[name]
        if not waiting:
            return None
    if total > MOST_STEPS:
        return f"{next(iter(waiting))} does not change in the first {MOST_STEPS} of {total} steps"
    return f"{next(iter(waiting))} does not change in the {total} steps of the tiny schedule"


def optimizers_own_each_parameter_once(subject: Subject) -> str | None:
    """Check that every trainable parameter is in exactly one optimiser."""
    model = subject.build()
    groups = [g for o in model.optimizers.values() for g in o.param_groups]
    owned = [id(parameter) for group in groups for parameter in group["params"]]
    for name, parameter in model.networks.named_parameters():
        times = owned.count(id(parameter))
        if times > 1 or (parameter.requires_grad and times == 0):
            return f"{name} is in {times} optimisers"
    return None


class _Reads(TorchDispatchMode):
    """Counts the values that the host reads outside of optimisers, each of which it waits for."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.count, self._is_paused = 0, False
        for optimizer in model.optimizers.values():  # on a CPU they read their number of steps
            optimizer.register_step_pre_hook(lambda *_: self._pause(True))
            optimizer.register_step_post_hook(lambda *_: self._pause(False))

    def _pause(self, is_paused: bool) -> None:
        self._is_paused = is_paused

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        reading = func in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
        )
        self.count += reading and not self._is_paused
        return func(*args, **(kwargs or {}))


def steps_wait_for_nothing(subject: Subject) -> str | None:
    """Check that a step reads no value of a tensor on the host, where it would wait for it."""
    model = subject.build()
    with _Reads(model) as reads:
        for number in range(STEPS):
            subject.step(model, number)
    if reads.count:
        return f"{STEPS} training steps read {reads.count} values on the host, and wait for each"
    return None


def chance_comes_from_the_seed(subject: Subject) -> str | None:
    """Check that equal seeds give equal losses, and torch's own generator is left alone."""
    runs = []
    for noise in (3, 4):
        model = subject.build()
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        runs.append([subject.step(model, number) for number in range(STEPS)])
        if not torch.equal(before, torch.get_rng_state()):
            return "a training step draws from torch's generator, not from random"
    for first, second in zip(*runs, strict=True):
        if first.keys() != second.keys():
            return "the names of losses differ between two runs of one seed"
        for name, value in first.items():
            if not torch.equal(value, second[name]):
                return f"{name} differs between two runs of one seed"
    return None


def resumes_identically_after_save_and_load(subject: Subject) -> str | None:
    """Check that networks, optimizers and state are all that the next step depends on.

    After the first step, and in the middle of the schedule: a model may have stages.
    """
    middle = max(1, min(subject.total_steps // 2, MOST_STEPS))
    whole = subject.build()
    for number in range(middle + 1):
        again = _loaded(subject, whole) if number in (1, middle) else None
        expected = subject.step(whole, number)
        if again is None:
            continue
        found = subject.step(again, number)
        wrong = [name for name in expected if not torch.equal(expected[name], found[name])]
        ours, theirs = whole.networks.state_dict(), again.networks.state_dict()
        wrong += [name for name in ours if not torch.equal(ours[name], theirs[name])]
        if wrong:
            return f"{', '.join(wrong[:3])} differ after {number} steps, save, load and a step"
    return None


def _loaded(subject: Subject, model: Model) -> Model:
    """Save all of a model that a checkpoint holds, and load it into another one."""
    file = io.BytesIO()
    parts = {"optimizers": model.optimizers, "state": model.state}
    content = {key: {n: p.state_dict() for n, p in part.items()} for key, part in parts.items()}
    torch.save(content | {"networks": model.networks.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    torch.manual_seed(5)
    again = subject.model_class(subject.settings.config)
    again.networks.load_state_dict(saved["networks"])
    again.frozen.load_state_dict(model.frozen.state_dict())  # of the same files
    again.networks.train()
    for key, part in {"optimizers": again.optimizers, "state": again.state}.items():
        for name, piece in part.items():
            piece.load_state_dict(saved[key][name])
    return again


def gradients_do_not_depend_on_the_memory_format(subject: Subject) -> str | None:
    """Check that steps in float64 give channels-last images and weights the same gradients."""
    counts = (2,) if subject.model_class.card.samples_interact else (1, 2)
    for count in counts:
        settings = dataclasses.replace(subject.settings, batch_size=count)
        exact = dataclasses.replace(subject, settings=settings, dtype=torch.float64)
        try:
            wanted = _gradients(exact)
            found = _gradients(dataclasses.replace(exact, layout=torch.channels_last))
            worst = largest_difference(found, wanted)
        except (RuntimeError, ValueError) as error:
            advice = "; make tensors of the type of the images" if "dtype" in str(error) else ""
            return f"at batch {count} in float64: {error}{advice}"
        if not all(bool(t.isfinite().all()) for each in wanted.values() for t in each):
            return f"at batch {count} in float64 a gradient is not finite"
        if not worst.relative < SAME_GRADIENT:
            return (
                f"at batch {count}, channels-last gives {worst.parameter} a gradient that is "
                f"{worst.relative:.1%} off that of contiguous images; {_remedy(exact)}"
            )
    return None


def _gradients(subject: Subject) -> Gradients:
    model = subject.build()
    with recorded_gradients(model) as found:
        for number in range(STEPS):
            subject.step(model, number)
    return found


def _remedy(subject: Subject) -> str:
    """Say what to use in place of layers that PyTorch differentiates wrongly."""
    for name, layer in subject.build().networks.named_modules():
        if type(layer) is nn.InstanceNorm2d:
            return (
                f"{name} is PyTorch's InstanceNorm2d, whose gradient is wrong there: use "
                "InstanceNorm of i2i_bench.blocks.normalise"
            )
    return "give outputs of normalisations to contiguous_gradient of i2i_bench.blocks.normalise"


TRAINING_CHECKS: dict[str, Check] = {
    "losses are finite, detached and named": losses_are_finite_detached_and_named,
    "every network moves": every_network_moves,
    "optimizers own each parameter once": optimizers_own_each_parameter_once,
    "steps wait for nothing": steps_wait_for_nothing,
    "chance comes from the seed": chance_comes_from_the_seed,
    "resumes identically after save and load": resumes_identically_after_save_and_load,
    "gradients do not depend on the memory format": gradients_do_not_depend_on_the_memory_format,
}

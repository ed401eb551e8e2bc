"""Take training steps on a device, plainly or as a captured CUDA graph."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from i2i_bench.model import Batch, Clock, Model
from i2i_bench.randomness import Randomness
from i2i_bench.training.fast.modes import Modes

WARM_UPS = 3  # steps before a capture, which are taken back
MOST_GRAPHS = 8  # of one training: as many states as a model's host side may alternate between

Losses = dict[str, Tensor]
Body = Callable[[], Losses]


class Step:
    """Takes the training steps of one model.

    Args:
        model: Prepared for ``modes``.
        random: Source of chance, on the model's device.
        modes: What is on.
        is_bf16: Whether steps run under autocast.
        record: Turns a step on fixed buffers into what repeats it; a CUDA graph unless given.
    """

    def __init__(
        self,
        model: Model,
        random: Randomness,
        modes: Modes,
        *,
        is_bf16: bool = False,
        record: Callable[[Body], Body] | None = None,
    ) -> None:
        self.model, self.random, self.modes, self.is_bf16 = model, random, modes, is_bf16
        self.record = record or capture
        self.static: dict[Hashable, _Static | None] = {}  # None: seen once
        self.rates: dict[tuple[str, int], Tensor] = {}

    def __call__(self, clock: Clock, batch: Batch, first_sample: int | None = None) -> Losses:
        """Set the host side for the step, then take it; its losses stay on the device.

        Args:
            clock: Where training stands.
            batch: What to train on.
            first_sample: Global index of its first sample, where processes share a batch.

        Raises:
            ValueError: If the step is to be captured and cannot be.
        """
        self.model.advance(clock)
        first = clock.images_seen if first_sample is None else first_sample
        if self.modes.channels_last:
            images = {d: _channels_last(each) for d, each in batch.images.items()}
            batch = dataclasses.replace(batch, images=images)
        if not self.modes.capture:
            return self.run(batch, first)
        self._hold_rates()
        key = (host_state(self.model), _shapes(batch))
        if key not in self.static:  # what is made at a first step, is made by a true one
            if len(self.static) >= MOST_GRAPHS:
                raise ValueError(
                    f"{self.model.card.title} changes what its step does too often to be captured "
                    f"({MOST_GRAPHS} graphs); leave capture out by naming other modes, --fast "
                    "fused for one"
                )
            self.static[key] = None
            return self.run(batch, first)
        static = self.static[key] or _Static(self, batch)
        self.static[key] = static
        return static(batch, first)

    def run(self, batch: Batch, first_sample: int | Tensor) -> Losses:
        """Take a step under the precision that was asked for.

        Raises:
            ValueError: If a mode makes it impossible.
        """
        try:
            with torch.autocast(
                self.random.device.type,
                torch.bfloat16,
                enabled=self.is_bf16,
                cache_enabled=False,  # or a network stepped and used again had its old weights
            ):
                return self.model.training_step(batch, self.random.at(first_sample))
        except RuntimeError as error:
            mode = self._to_blame(error)
            if mode is None:
                raise
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"a step of {self.model.card.title} cannot be taken with {mode}: {reason}; leave "
                f"{mode} out by naming other modes, --fast fused for one"
            ) from error

    def _to_blame(self, error: RuntimeError) -> str | None:
        """Name the mode that made a step fail, if a mode did."""
        if isinstance(error, torch.OutOfMemoryError):
            return None
        if self.modes.kernels and "differentiate twice" in str(error):
            return "kernels"
        return "compile" if self.modes.compile else None

    def _hold_rates(self) -> None:
        """Move learning rates into tensors on the device, which a graph reads at each replay."""
        device = self.random.device
        dtype = torch.float32 if device.type == "cuda" else torch.float64  # as kernels read it
        for name, optimizer in self.model.optimizers.items():
            for number, group in enumerate(optimizer.param_groups):
                rate, held = group["lr"], self.rates.get((name, number))
                if held is None:
                    held = self.rates[name, number] = torch.zeros((), dtype=dtype, device=device)
                if isinstance(rate, Tensor):
                    held.copy_(rate)  # nothing to do where it is the same
                else:
                    held.fill_(rate)
                group["lr"] = held


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _shapes(batch: Batch) -> Hashable:
    return tuple(sorted((domain, each.shape) for domain, each in batch.images.items()))


def host_state(model: Model) -> Hashable:
    """Return every plain value of a model and its optimisers that a step may depend on.

    Which parameters are trained is one of them: a model of stages may say so in no other way.
    Learning rates are not among them: they are on the device.
    """
    own = [(key, repr(value)) for key, value in vars(model).items() if _is_plain(value)]
    trained = tuple(each.requires_grad for each in model.networks.parameters())
    groups = [
        (name, number, key, repr(value))
        for name, optimizer in model.optimizers.items()
        for number, group in enumerate(optimizer.param_groups)
        for key, value in group.items()
        if key != "lr" and _is_plain(value)
    ]
    return (tuple(own), trained, tuple(groups))


def _is_plain(value: object) -> bool:
    """Tell whether a value is a number, a text, nothing, or holds nothing but such values."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    if isinstance(value, (tuple, list, set, frozenset)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


class _Static:
    """A training step on static buffers, captured once as a CUDA graph and replayed."""

    def __init__(self, step: Step, batch: Batch) -> None:
        images = {domain: each.clone() for domain, each in batch.images.items()}
        labels = {domain: each.clone() for domain, each in (batch.labels or {}).items()}
        masks = {domain: each.clone() for domain, each in (batch.masks or {}).items()}
        self.batch = Batch(images, labels or None, masks or None)
        self.first_sample = torch.zeros((), dtype=torch.int64, device=step.random.device)

        def body() -> Losses:
            return step.run(self.batch, self.first_sample)

        with _taken_back(step.model):
            _warm_up(body, step.random.device)
        self.replay = step.record(body)

    def __call__(self, batch: Batch, first_sample: int) -> Losses:
        """Fill the buffers and replay; the losses are copies, as the next step overwrites them."""
        for held, given in zip(_tensors(self.batch), _tensors(batch), strict=True):
            held.copy_(given, non_blocking=True)
        self.first_sample.fill_(first_sample)
        return {name: value.clone() for name, value in self.replay().items()}


def _tensors(batch: Batch) -> list[Tensor]:
    parts = (batch.images, batch.labels or {}, batch.masks or {})
    return [part[domain] for part in parts for domain in sorted(part)]


def _warm_up(body: Body, device: torch.device) -> None:
    """Take steps on a side stream, as a capture demands."""
    if device.type != "cuda":
        body()
        return
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            body()
    torch.cuda.current_stream(device).wait_stream(stream)


def capture(body: Body) -> Body:
    """Record a step as a CUDA graph."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        losses = body()

    def replay() -> Losses:
        graph.replay()
        return losses

    return replay


@contextlib.contextmanager
def _taken_back(model: Model) -> Iterator[None]:
    """Restore, in place, the tensors of a model after steps.

    Raises:
        ValueError: If they do what cannot be undone.
    """
    host, before = host_state(model), {n: t.clone() for n, t in _state(model).items()}
    yield
    after = _state(model)
    title = model.card.title
    if host_state(model) != host or after.keys() != before.keys():
        raise ValueError(
            f"{title} changes Python values during a step, which a CUDA graph cannot replay; leave "
            "capture out by naming other modes, --fast fused for one"
        )
    for name, tensor in after.items():
        tensor.copy_(before[name])
    if not all(torch.equal(tensor, before[name]) for name, tensor in _state(model).items()):
        raise ValueError(f"{title} gives copies as its state; leave capture out")


def _state(model: Model) -> dict[str, Tensor]:
    """Return by name every tensor that a step depends on, without copies."""
    found = {f"networks.{name}": t.detach() for name, t in model.networks.state_dict().items()}
    for name, optimizer in model.optimizers.items():
        for number, state in enumerate(optimizer.state.values()):
            found |= _flat(state, f"optimizers.{name}.{number}")
    for name, part in model.state.items():
        found |= _flat(part.state_dict(), f"state.{name}")
    return found


def _flat(value: Any, prefix: str) -> dict[str, Tensor]:
    if isinstance(value, Tensor):
        return {prefix: value}
    if isinstance(value, Mapping):
        items: Sequence[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        return {}
    return {k: t for key, each in items for k, t in _flat(each, f"{prefix}.{key}").items()}

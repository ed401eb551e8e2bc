"""How much memory a run needs, found before it starts by a training step without data."""

from __future__ import annotations

import contextlib
import functools
import itertools
import resource
import sys
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from i2i_bench.data.needs import NUM_DRAWN, domains_for, make_batch
from i2i_bench.model import Batch, Clock, Model, Needs, Settings, TaskFacts
from i2i_bench.randomness import Randomness
from i2i_bench.system.memory import available_memory
from i2i_bench.system.messages import shown_bytes


@dataclass(frozen=True)
class MemoryNeed:
    """The memory that a run needs, in bytes, besides that of libraries.

    Attributes:
        images: Of decoded training images, which stay where there is room for them.
        states: Of weights, gradients and the optimisers' state.
        step: Peak of a training step beside these; None where it is unknown.
    """

    images: int
    states: int
    step: int | None

    @property
    def total(self) -> int:
        """The sum of what is known."""
        return self.images + self.states + (self.step or 0)

    @property
    def beside(self) -> int:
        """What the device must have free, wherever the images are."""
        return self.states + (self.step or 0)

    def __str__(self) -> str:
        parts = [f"{shown_bytes(self.states)} for weights, gradients and optimisers"]
        if self.step is not None:
            parts.append(f"{shown_bytes(self.step)} for what a step keeps")
        parts.append(f"{shown_bytes(self.images)} for training images")
        least = "at least " if self.step is None else ""
        return f"{least}{shown_bytes(self.total)} ({', '.join(parts)})"


@dataclass(frozen=True)
class _Facts:
    """What of a task decides the size of batches."""

    domains: tuple[str, ...]
    num_channels: tuple[int, ...]
    attributes: tuple[str, ...]
    exclusive: tuple[tuple[str, ...], ...]
    paired: bool
    has_masks: bool

    @property
    def channels(self) -> dict[str, int]:
        """Channels of the images of each domain."""
        return dict(zip(self.domains, self.num_channels, strict=True))


def measure_need(model_class: type[Model], settings: Settings, task: TaskFacts) -> MemoryNeed:
    """Take two training steps on the meta device, where tensors have a size and no content.

    Two of each domain, since the optimisers' state exists from the second one on. Precision is
    taken as fp32. Training images are not included. Runs that differ only in seed or images are
    measured once.

    Raises:
        ValueError: If the model refuses images of this size.
    """
    facts = _Facts(
        tuple(task.domains),
        tuple(task.channels[domain] for domain in task.domains),
        task.attributes,
        task.exclusive,
        task.paired,
        task.has_masks,
    )
    try:
        hash(settings)
    except TypeError:  # a plugin's setting may be a list
        return _count(model_class, settings, facts)
    return _remember(model_class, settings, facts)


def _count(model_class: type[Model], settings: Settings, task: _Facts) -> MemoryNeed:
    with torch.device("meta"), _Peak() as memory:
        model = model_class(settings.config)
        parameters = memory.live
        try:
            _train_twice(model, settings, task)
        except ValueError:  # what the model says of sizes holds for images with content too
            raise
        except Exception:  # it may need values; what else is wrong, training will say
            return MemoryNeed(0, states=4 * parameters, step=None)  # the same again thrice, as Adam
        return MemoryNeed(0, states=memory.live, step=memory.peak - memory.live)


_remember = functools.lru_cache(maxsize=64)(_count)


def _train_twice(model: Model, settings: Settings, task: _Facts) -> None:
    make = functools.partial(_empty_batches, type(model).needs(settings.config), settings, task)
    random, count = Randomness(0, 0, "meta"), settings.batch_size
    with torch.no_grad():
        model.prepare(list(make()), random)
    model.networks.train()
    steps = 2 * sum(1 for _ in make())
    for step, batch in enumerate(itertools.chain(make(), make())):
        model.advance(Clock(step + 1, steps, step * count, steps * count))
        model.training_step(batch, random)


def _empty_batches(needs: Needs, settings: Settings, task: _Facts) -> Iterator[Batch]:
    """Make batches that show a model each domain, of which a step may see two out of many."""
    every = domains_for(needs, task)
    for first in range(0, len(every), NUM_DRAWN):
        first = min(first, max(0, len(every) - NUM_DRAWN))
        names = every[first : first + NUM_DRAWN]
        yield make_batch(needs, task, settings, lambda *args: torch.zeros(args[2]), domains=names)


@contextlib.contextmanager
def bounded(operations: int | None) -> Iterator[None]:
    """Limit the number of tensor operations in the block; no limit if None.

    Raises:
        ValueError: In the block, at the first that is too many.
    """
    if operations is None:
        yield
        return
    with _Bounded(operations):
        yield


class _Bounded(TorchDispatchMode):
    def __init__(self, operations: int) -> None:
        super().__init__()
        self._left = operations

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        self._left -= 1
        if self._left < 0:
            raise ValueError("they need far more tensors than the checkpoint holds")
        return func(*args, **(kwargs or {}))


class _Peak(TorchDispatchMode):
    """Counts the bytes of live tensors, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return 1.0  # an optimiser asks for its number of steps
        result = func(*args, **(kwargs or {}))
        for each in tree_iter(result):
            if isinstance(each, torch.Tensor):
                self._add(each.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._sizes:
            self._sizes[key] = storage.nbytes()
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._remove, key)

    def _remove(self, key: int) -> None:
        self.live -= self._sizes.pop(key)


def require_memory(need: MemoryNeed, device: torch.device) -> None:
    """Refuse a run for which the device has too little memory; images may stay elsewhere.

    Raises:
        ValueError: If more is needed beside them than is free.
    """
    free = available_memory(device)
    if free is not None and need.beside > free:
        raise ValueError(
            f"the run needs {need} of memory, and {device.type} has {shown_bytes(free)} free; a "
            "smaller batch_size, crop_size or width may fit"
        )


def reset_peak_memory(device: torch.device) -> None:
    """Forget the peak of earlier work, where the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):  # Linux: 5 resets the peak resident size
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> int:
    """Give the peak in bytes: allocated on a CUDA device, resident in the process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

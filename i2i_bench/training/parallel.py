"""One run on several devices: processes that share each step's batch (torch.distributed).

What ``torchrun`` starts finds itself by the variables ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK``.
Each process sees its rows of a step's batch, with the draws of these rows, and they average
gradients before an optimiser's step: together they take the step that one process would take. Only
the first one reads and writes files; the others know nothing but what it tells them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous
from torch.optim import Optimizer

from i2i_bench.model import Model, ModelCard, Settings
from i2i_bench.randomness import Randomness
from i2i_bench.system.processes import several
from i2i_bench.training import checkpoint
from i2i_bench.training.checkpoint_file import Position

PATIENCE = timedelta(days=1)  # for a process that lives: the first may score for hours
GONE = (
    "another process of this training ended, and so does this one; the same command resumes from "
    "the last checkpoint"
)
T = TypeVar("T")


class Deserted(ValueError):
    """Another process of the training has ended."""


@dataclass(frozen=True)
class Share:
    """The rows of a step's batch that one process has.

    Attributes:
        start: Index of the first row.
        count: Number of rows, at least 1; where there are fewer rows than processes, several
            have the same row.
        weight: Of this process in a mean over the batch: 0 where its row is another's.
    """

    start: int
    count: int
    weight: float


def split(size: int, num_processes: int) -> list[Share]:
    """Divide the rows of a batch, in order, as evenly as can be."""
    least, more = divmod(size, num_processes)
    counts = [least + (rank < more) for rank in range(num_processes)]
    starts = [sum(counts[:rank]) for rank in range(num_processes)]
    return [
        Share(min(start, size - 1), max(1, count), count / size)
        for start, count in zip(starts, counts, strict=True)
    ]


class Crew:
    """The processes of a training; this class is for a single process."""

    rank = 0
    size = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that reads and writes files, and speaks."""
        return self.rank == 0

    def share(self, size: int) -> Share:
        """Return this process's rows of a batch, which all processes take next."""
        return Share(0, size, 1.0)

    def agree(self, *values: int) -> tuple[int, ...]:
        """Return the maximum over the processes of each of several values."""
        return values

    def mean(self, values: list[float], weights: list[float]) -> list[float]:
        """Return means over the whole batch, given each process's means over its rows."""
        del weights
        return values

    def align(
        self, model: Model, position: Position, identity: Mapping[str, Any]
    ) -> tuple[Position, contextlib.AbstractContextManager[None]]:
        """Copy the state of the first process to all; in the block, training steps are shared."""
        del model, identity
        return position, contextlib.nullcontext()

    def require(self, name: str, card: ModelCard, settings: Settings) -> None:
        """Raise ValueError if a model cannot be trained by these processes, with the reason."""

    def part(self, settings: Settings) -> Settings:
        """Return the settings with the batch that one process has."""
        return settings

    def call(self, number: int | None) -> int | None:
        """Broadcast a number from the first process; the others wait for it."""
        return number


ALONE = Crew()


class Processes(Crew):
    """Several processes, of which each is one ``rank``."""

    def __init__(self, group: Any) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._group = group  # on the CPU, where nothing waits for a device
        self._shares = split(1, self.size)

    def share(self, size: int) -> Share:
        """Return this process's rows of a batch, which all processes take next."""
        self._shares = split(size, self.size)
        return self._shares[self.rank]

    def agree(self, *values: int) -> tuple[int, ...]:
        """Return the maximum over the processes of each of several values."""
        said = torch.tensor(values)
        _run_collective(dist.all_reduce, said, dist.ReduceOp.MAX, group=self._group)
        return tuple(said.tolist())

    def mean(self, values: list[float], weights: list[float]) -> list[float]:
        """Return means over the whole batch, given each process's means over its rows."""
        known = torch.tensor(values, dtype=torch.float64)
        known *= torch.tensor(weights, dtype=torch.float64)
        _run_collective(dist.all_reduce, known, group=self._group)
        return known.tolist()

    def align(
        self, model: Model, position: Position, identity: Mapping[str, Any]
    ) -> tuple[Position, contextlib.AbstractContextManager[None]]:
        """Copy the state of the first process to all; in the block, training steps are shared.

        Raises:
            ValueError: If the model keeps a state that processes cannot share, or they differ in
                what they are to train.
        """
        for name, part in model.state.items():
            if not hasattr(part, "together"):
                raise ValueError(
                    f"{model.card.title} has state {name!r}, which cannot be shared between "
                    "processes; train it in one process"
                )
        content = checkpoint.state_of(model, identity, position) if self.is_first else None
        position = checkpoint.restore_checkpoint(model, self._tell(content), identity)
        return position, self._sharing(model)

    def _tell(self, content: Mapping[str, Any] | None) -> dict[str, Any]:
        """Give every process what the first one has."""
        file = io.BytesIO()
        if content is not None:
            torch.save(content, file)
        size = self.call(len(file.getvalue()) if content is not None else None)
        if content is None:
            data = torch.empty(size or 0, dtype=torch.uint8)
        else:
            data = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
        _run_collective(dist.broadcast, data, 0, group=self._group)
        return torch.load(io.BytesIO(data.numpy().tobytes()), "cpu", weights_only=True)

    @contextlib.contextmanager
    def _sharing(self, model: Model) -> Iterator[None]:
        """Average gradients before each optimiser's step, and show fakes to every process."""
        hooks = [o.register_step_pre_hook(self._average) for o in model.optimizers.values()]
        parts: list[Any] = list(model.state.values())
        for part in parts:
            part.together = self._query_together
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for part in parts:
                part.together = None

    def _average(self, optimizer: Optimizer, arguments: Any, named: Any) -> None:
        del arguments, named
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        flat *= self._shares[self.rank].weight
        _run_collective(dist.all_reduce, flat)
        for gradient, mean in zip(
            gradients, flat.split([g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(mean.view_as(gradient))

    def _query_together(
        self, query: Callable[[Tensor, Randomness], Tensor], images: Tensor, random: Randomness
    ) -> Tensor:
        """Query a pool with the whole batch, so that pools stay equal; return our rows."""
        own, most = self._shares[self.rank], max(share.count for share in self._shares)
        padded = torch.cat([images, images[:1].expand(most - len(images), -1, -1, -1)])
        gathered = [torch.empty_like(padded) for _ in self._shares]
        _run_collective(dist.all_gather, gathered, padded.contiguous())
        rows = [
            whole[: share.count]
            for whole, share in zip(gathered, self._shares, strict=True)
            if share.weight
        ]
        shown = query(torch.cat(rows), random.at(random.first_sample - own.start))
        return shown[own.start : own.start + own.count]

    def require(self, name: str, card: ModelCard, settings: Settings) -> None:
        """Raise ValueError if a model cannot be trained by these processes, with the reason."""
        if card.samples_interact:
            raise ValueError(
                f"samples of a batch influence each other in {name}, so that {self.size} processes "
                "would not train what one does; train it in one"
            )
        if settings.batch_size < self.size:
            raise ValueError(
                f"batch_size is {settings.batch_size}, the samples of a step, which {self.size} "
                f"processes share; start fewer, or --set batch_size={self.size} or more (which is "
                "another variant)"
            )

    def part(self, settings: Settings) -> Settings:
        """Return the settings with the batch that one process has."""
        return dataclasses.replace(settings, batch_size=-(-settings.batch_size // self.size))

    def call(self, number: int | None) -> int | None:
        """Broadcast a number from the first process; the others wait for it."""
        said = torch.tensor([-1 if number is None else number])
        _run_collective(dist.broadcast, said, 0, group=self._group)
        return None if said.item() < 0 else int(said.item())


def _run_collective(collective: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Run a collective operation of torch, which fails when another process has ended.

    Raises:
        Deserted: If one is.
    """
    try:
        return collective(*arguments, **named)
    except RuntimeError as error:
        raise Deserted(GONE) from error


def own_device(kind: str) -> torch.device:
    """Return the device of this process, among several of its kind."""
    if kind != "cuda" or not several():
        return torch.device(kind)
    device = torch.device(kind, int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


@contextlib.contextmanager
def crew(device: torch.device) -> Iterator[Crew]:
    """Join the other processes, if there are any; after a failure none is waited for."""
    if not several():
        yield ALONE
        return
    store = _store()
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    yield Processes(dist.new_group(backend="gloo", timeout=PATIENCE))
    dist.destroy_process_group()


@functools.cache
def _store() -> Any:
    """Give what all processes can write to; torchrun keeps it, whichever of them is lost."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store, _, _ = next(rendezvous("env://", rank, size))
    return store


def outlive(number: int, frame: FrameType | None) -> None:
    """Survive the SIGTERM that torchrun sends after a failure, to report that failure.

    It is not ``SIG_IGN``, which programs that this process starts would inherit.
    """
    del number, frame


def speaks_for_all() -> bool:
    """Return True to the first process that asks, which then reports the failure, else False."""
    try:
        return _store().add("i2i_bench/told", 1) == 1
    except (RuntimeError, ValueError):  # it is gone, with the process that had it
        return True


def choose_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ValueError: If CUDA is asked for and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda was asked for, but torch finds none; use --device cpu")
    torch.backends.cudnn.allow_tf32 = False  # fp32 means 32 bits
    return own_device(name)

"""How a device carries out a training step: layouts, kernels, graphs; last digits may differ."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import inspect
import logging
import os
import shutil
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from i2i_bench.model import Batch, Clock, Model, Randomness, named_networks

logger = logging.getLogger(__name__)

WARM_UPS = 3  # steps before a capture, which are taken back
MOST_GRAPHS = 8  # of one training: as many states as a model's host side may alternate between
MOST_VARIANTS = 64  # of a forward: networks, sizes of batches, with and without gradients

Losses = dict[str, Tensor]
Body = Callable[[], Losses]


@dataclass(frozen=True)
class Modes:
    """What is on.

    Attributes:
        channels_last: Weights and images lie in memory by pixel, not by channel.
        fused: One kernel updates all weights of an optimiser, where it has such a kernel.
        compile: The networks' forward and backward are compiled.
        capture: The whole step is captured as a CUDA graph and replayed.
        tune: cuDNN tries its algorithms for each convolution at the start and keeps the fastest.
        kernels: Instance normalisations, activations after them and reflection paddings are our
            kernels for images by pixel, and biases that a normalisation cancels are left alone.
    """

    channels_last: bool = False
    fused: bool = False
    compile: bool = False
    capture: bool = False
    tune: bool = False
    kernels: bool = False

    def names(self) -> list[str]:
        """Name what is on, as typed."""
        return [f.name.replace("_", "-") for f in fields(self) if getattr(self, f.name)]


PLAIN = Modes()
OF_CUDA = ("capture", "tune", "kernels")
NAMES = tuple(f.name.replace("_", "-") for f in fields(Modes))
BEST = {  # as measured in every precision: benchmarks/README.md
    "cpu": Modes(fused=True),
    "cuda": Modes(channels_last=True, fused=True, capture=True, tune=True, kernels=True),
}


def choose(typed: Sequence[str], device: torch.device, *, is_shared: bool = False) -> Modes:
    """Return the modes for ``auto`` (the best that was measured), ``none`` or names of modes.

    Args:
        typed: What was asked for.
        device: Of the training.
        is_shared: Whether several processes share a step.

    Raises:
        ValueError: For a combination that is not possible on the device.
    """
    if "none" in typed and set(typed) != {"none"}:
        raise ValueError("none is a choice of its own: it cannot be combined with other modes")
    on = {name.replace("-", "_") for name in typed if name not in ("auto", "none")}
    for name in OF_CUDA:
        if name in on and device.type != "cuda":
            raise ValueError(f"{name} needs a CUDA device, and the device is {device.type}")
    if "capture" in on and is_shared:
        raise ValueError("a step that processes share cannot be captured; leave capture out")
    if {"kernels", "compile"} <= on:
        raise ValueError("kernels and compile exclude each other; leave one out")
    lack = _lack_of_kernels()
    if "kernels" in on and lack:
        raise ValueError(f"kernels needs {lack}, which is not there; leave kernels out")
    if "auto" in typed:
        best = BEST.get(device.type, PLAIN)
        on |= _possible(best, lack, is_shared=is_shared, is_compiled="compile" in on)
    if "kernels" in on:
        on.add("channels_last")
    return Modes(**dict.fromkeys(on, True))


def _possible(best: Modes, lack: str, *, is_shared: bool, is_compiled: bool) -> set[str]:
    """Name what can be on of what is best."""
    wanted = {f.name for f in fields(best) if getattr(best, f.name)}
    if is_shared:
        wanted.discard("capture")
    if "kernels" in wanted and (lack or is_compiled):
        wanted -= {"kernels", "channels_last"}  # by pixel without them is slower
        if lack:
            logger.warning("steps are slower than they could be: kernels need %s", lack)
    return wanted


def _lack_of_kernels() -> str:
    """Name what our kernels cannot be compiled without and is not there; "" if all is."""
    if importlib.util.find_spec("triton") is None:
        return "Triton"
    compilers = (os.environ.get("CC"), "gcc", "clang")
    return "" if any(each and shutil.which(each) for each in compilers) else "a C compiler"


@contextlib.contextmanager
def prepared(model: Model, modes: Modes) -> Iterator[None]:
    """Have a model on its device, perhaps just restored, work in these modes for a while.

    Names and values of networks, optimisers and state stay, so that checkpoints written with and
    without modes are interchangeable.

    Raises:
        ValueError: If a mode is not possible.
    """
    networks = [network for _, network in named_networks(model.networks)]
    if modes.channels_last:
        _lay_out(model.networks, torch.channels_last)
    _settle(model.optimizers, modes)
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = modes.tune
    try:
        with contextlib.ExitStack() as ways:
            if modes.compile:
                ways.enter_context(_compiled(networks))
            if modes.kernels:
                ways.enter_context(_by_pixel(model.networks))
            yield
    finally:
        torch.backends.cudnn.benchmark = before
        if modes.channels_last:
            _lay_out(model.networks, torch.contiguous_format)
            _settle(model.optimizers, modes)


@contextlib.contextmanager
def _compiled(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Compile forwards when they are first called, each for every use that a step has for it."""
    import torch._dynamo as dynamo  # seconds, which nobody else need spend

    logger.warning("networks are compiled in the first steps, which may take minutes")
    for network in networks:
        network.compile(dynamic=False)
    try:
        with dynamo.config.patch(recompile_limit=MOST_VARIANTS), _no_second_gradients():
            yield
    finally:
        for network in networks:
            network._compiled_call_impl = None


@contextlib.contextmanager
def _no_second_gradients() -> Iterator[None]:
    """Refuse to differentiate gradients: of a compiled network these may be left out in silence."""
    before = torch.autograd.grad, torch.autograd.backward

    def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
        parameters = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            if parameters.bind(*args, **options).arguments.get("create_graph"):
                raise RuntimeError("it differentiates a gradient")
            return function(*args, **options)

        return call

    torch.autograd.grad, torch.autograd.backward = map(guarded, before)
    try:
        yield
    finally:
        torch.autograd.grad, torch.autograd.backward = before


def _by_pixel(networks: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Have networks work by our kernels, once one of them has been compiled."""
    from i2i_bench.training.fast import layers  # it needs Triton

    device = next(networks.parameters()).device
    try:
        layers.kernels.reflection_pad(torch.zeros(1, 1, 2, 2, device=device), 1)
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(
            f"kernels cannot be compiled here: {reason}; leave kernels out by naming other modes, "
            "--fast fused for one"
        ) from error
    return layers.by_pixel(networks)


@contextlib.contextmanager
def tensor_floats(*, allowed: bool) -> Iterator[None]:
    """Let convolutions and matrix products of float32 have 10 bits of mantissa on CUDA, or not."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _lay_out(networks: nn.Module, layout: torch.memory_format) -> None:
    for parameter in networks.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)


def _settle(optimizers: Mapping[str, Optimizer], modes: Modes) -> None:
    """Set what optimisers can do; states come to lie as the weights, which fused kernels need.

    Raises:
        ValueError: If a step is to be captured and an optimiser cannot be.
    """
    for name, optimizer in optimizers.items():
        for group in optimizer.param_groups:
            if modes.capture and "capturable" not in group:
                kind = type(optimizer).__name__
                raise ValueError(f"optimiser {name}, {kind}, cannot be captured; leave capture out")
            if "fused" in group:
                group["fused"] = True if modes.fused else None
            if "capturable" in group:
                group["capturable"] = modes.capture
            if isinstance(group["lr"], Tensor) and not modes.capture:
                group["lr"] = group["lr"].item()
            on_device = bool(group.get("fused") or group.get("capturable"))
            for parameter in group["params"]:
                _settle_state(optimizer.state.get(parameter, {}), parameter, on_device=on_device)


def _settle_state(state: dict[str, Any], parameter: Tensor, *, on_device: bool) -> None:
    for key, value in state.items():
        if key == "step" and isinstance(value, Tensor):
            state[key] = value.to(parameter.device if on_device else "cpu", torch.float32)
        elif isinstance(value, Tensor) and value.shape == parameter.shape:
            state[key] = torch.empty_like(parameter).copy_(value)


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
            batch = Batch(images, batch.labels, batch.masks, batch.names)
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
        """Name the mode that a step failed for, if it is one."""
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

    Learning rates are not among them: they are on the device.
    """
    own = [(key, repr(value)) for key, value in vars(model).items() if _is_plain(value)]
    groups = [
        (name, number, key, repr(value))
        for name, optimizer in model.optimizers.items()
        for number, group in enumerate(optimizer.param_groups)
        for key, value in group.items()
        if key != "lr" and _is_plain(value)
    ]
    return (tuple(own), tuple(groups))


def _is_plain(value: object) -> bool:
    """Tell whether a value is a number, a text, nothing, or holds nothing but such values."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    if isinstance(value, (tuple, list, set, frozenset)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


class _Static:
    """A step on buffers that stay where they are, recorded once and replayed."""

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
    """Take steps on a stream of their own, as a capture demands."""
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
    """Undo, in place, what steps do to the tensors of a model.

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
    """Give every tensor that a step depends on, itself and no copy, by a name of its own."""
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

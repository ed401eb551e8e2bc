"""The modes of ``--fast``: memory format, kernels, CUDA graphs; chosen and switched on."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import inspect
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from i2i_bench.model import Model, named_networks

logger = logging.getLogger(__name__)
MOST_VARIANTS = 64  # of a forward: networks, sizes of batches, with and without gradients


@dataclass(frozen=True)
class Modes:
    """The modes that are on.

    Attributes:
        channels_last: Weights and images are channels-last in memory.
        fused: One kernel updates all weights of an optimiser, where it has such a kernel.
        compile: The networks' forward and backward are compiled.
        capture: The whole step is captured as a CUDA graph and replayed.
        tune: cuDNN tries its algorithms for each convolution at the start and keeps the fastest.
        kernels: Our channels-last kernels replace instance normalisations, the activations after
            them and reflection paddings; biases that a normalisation cancels are not trained.
    """

    channels_last: bool = False
    fused: bool = False
    compile: bool = False
    capture: bool = False
    tune: bool = False
    kernels: bool = False

    def names(self) -> list[str]:
        """Name the modes that are on, as they are typed."""
        return [f.name.replace("_", "-") for f in fields(self) if getattr(self, f.name)]


PLAIN = Modes()
OF_CUDA = ("capture", "tune", "kernels")
NAMES = tuple(f.name.replace("_", "-") for f in fields(Modes))
BEST = {  # as measured in every precision: benchmarks/README.md
    "cpu": Modes(fused=True),
    "cuda": Modes(channels_last=True, fused=True, capture=True, tune=True, kernels=True),
}


def choose_modes(typed: Sequence[str], device: torch.device, *, is_shared: bool = False) -> Modes:
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
    """Name the best modes that are possible here."""
    wanted = {f.name for f in fields(best) if getattr(best, f.name)}
    if is_shared:
        wanted.discard("capture")
    if "kernels" in wanted and (lack or is_compiled):
        wanted -= {"kernels", "channels_last"}  # without them channels-last is slower
        if lack:
            logger.warning("steps are slower than they could be: kernels need %s", lack)
    return wanted


def leave_out(modes: Modes, *, draws_domains: bool) -> tuple[Modes, dict[str, str]]:
    """Leave out the modes that are not possible for a model.

    Args:
        modes: That are on.
        draws_domains: Whether each step sees two domains drawn out of many.

    Returns:
        The modes, and those left out by name, each with the reason.
    """
    if not (modes.capture and draws_domains):
        return modes, {}
    reason = "each step sees two domains drawn out of many, and a graph would hold one choice"
    return dataclasses.replace(modes, capture=False), {"capture": reason}


def _lack_of_kernels() -> str:
    """Name what is missing to compile our kernels; "" if nothing is."""
    if importlib.util.find_spec("triton") is None:
        return "Triton"
    compilers = (os.environ.get("CC"), "gcc", "clang")
    return "" if any(each and shutil.which(each) for each in compilers) else "a C compiler"


@contextlib.contextmanager
def prepared(model: Model, modes: Modes) -> Iterator[None]:
    """Switch a model that is on its device, new or restored, to these modes for a while.

    Names and values of networks, optimisers and state stay, so that checkpoints written with and
    without modes are interchangeable.

    Raises:
        ValueError: If a mode is not possible.
    """
    networks = [network for _, network in named_networks(model.networks)]
    if modes.channels_last:
        lay_out(model.networks, torch.channels_last)
    _settle(model.optimizers, modes)
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = modes.tune
    try:
        with contextlib.ExitStack() as ways:
            if modes.compile:
                ways.enter_context(_compiled(networks))
            if modes.kernels:
                ways.enter_context(_replaced_layers(model.networks))
            yield
    finally:
        torch.backends.cudnn.benchmark = before
        if modes.channels_last:
            lay_out(model.networks, torch.contiguous_format)
            _settle(model.optimizers, modes)


@contextlib.contextmanager
def _compiled(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Compile each network when it is first called, once for every kind of input in a step."""
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
    """Refuse gradients of gradients, which compiled networks may leave out in silence."""
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


def _replaced_layers(networks: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Replace layers of networks by our kernels, after compiling one of them as a trial."""
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
    return layers.channels_last_layers(networks)


@contextlib.contextmanager
def tensor_floats(*, allowed: bool) -> Iterator[None]:
    """Let convolutions and matrix products of float32 have 10 bits of mantissa on CUDA, or not."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def lay_out(networks: nn.Module, layout: torch.memory_format) -> None:
    """Give the weights of convolutions a memory format; other tensors have no such layout."""
    for parameter in networks.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)


def _settle(optimizers: Mapping[str, Optimizer], modes: Modes) -> None:
    """Set the options of optimisers, and give states the layout of weights, for fused kernels.

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

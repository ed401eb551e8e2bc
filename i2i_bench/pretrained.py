"""The files of pretrained networks that scores need: where they lie and what is known of them."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import hashlib
import logging
import os
import pickle
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from i2i_bench.system import download, first_seen
from i2i_bench.system.download import Seen, Wanted
from i2i_bench.system.files import user_cache
from i2i_bench.system.messages import near
from i2i_bench.system.progress import Progress

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

INCEPTION_NAME = (
    "inception-2015-12-05.pt"  # TorchScript, as NVlabs/stylegan2-ada-pytorch publishes it
)
TORCH_FIDELITY_INCEPTION_NAME = "weights-inception-2015-12-05-6726825d.pth"
PYTORCH_FID_INCEPTION_NAME = "pt_inception-2015-12-05-6726825d.pth"
ALEXNET_NAME = "alexnet-owt-7be5be79.pth"  # torchvision's ImageNet weights, as the next two
VGG_NAME = "vgg16-397923af.pth"
SQUEEZENET_NAME = "squeezenet1_1-b8a52dc0.pth"
VGG_FACE_NAME = "vgg_face_dag.pth"  # VGG-Face, converted for PyTorch by S. Albanie

UNREADABLE = (  # what reading a file of weights may end in
    RuntimeError,
    ValueError,
    EOFError,
    LookupError,
    OSError,
    pickle.UnpicklingError,
)

WeightsState = Literal["missing", "partial", "damaged", "wrong", "unverified", "verified"]
WeightsStatus = Literal["verified", "unverified"]


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights as its publisher offers it.

    Attributes:
        name: Of the file.
        purpose: What needs it.
        urls: Where it is published.
        digits: With which its sha256 begins, as its publisher states; "" where none are stated.
        size: In words.
        largest: Bytes beyond which it is refused.
        is_script: Whether it is TorchScript, and not a dictionary of tensors.
    """

    name: str
    purpose: str
    urls: tuple[str, ...]
    digits: str
    size: str
    largest: int
    is_script: bool = False


# Addresses as in clean-fid (inception), torch-fidelity, pytorch-fid and torchvision, whose names of
# files end in the first digits of their sha256; sizes of the trunks as in torchvision.
_PUBLISHED = (
    WeightsFile(
        INCEPTION_NAME,
        "FID and KID of protocol i2i and clean (clean-fid)",
        (
            "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/"
            "inception-2015-12-05.pt",
        ),
        "",
        "about 96 MB",
        2**28,
        is_script=True,
    ),
    WeightsFile(
        TORCH_FIDELITY_INCEPTION_NAME,
        "FID and KID as torch-fidelity's and TTUR's",
        (
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            f"{TORCH_FIDELITY_INCEPTION_NAME}",
        ),
        "6726825d",
        "about 96 MB",
        2**28,
    ),
    WeightsFile(
        PYTORCH_FID_INCEPTION_NAME,
        "FID as pytorch-fid's",
        (
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            f"{PYTORCH_FID_INCEPTION_NAME}",
        ),
        "6726825d",
        "about 96 MB",
        2**28,
    ),
    WeightsFile(
        ALEXNET_NAME,
        "LPIPS",
        (f"https://download.pytorch.org/models/{ALEXNET_NAME}",),
        "7be5be79",
        "233 MiB",
        2**30,
    ),
    WeightsFile(
        VGG_NAME,
        "LPIPS on VGG16",
        (f"https://download.pytorch.org/models/{VGG_NAME}",),
        "397923af",
        "528 MiB",
        2**30,
    ),
    WeightsFile(
        SQUEEZENET_NAME,
        "LPIPS on SqueezeNet",
        (f"https://download.pytorch.org/models/{SQUEEZENET_NAME}",),
        "b8a52dc0",
        "5 MiB",
        2**26,
    ),
    WeightsFile(
        VGG_FACE_NAME,
        "the features of faces that DIAT compares",
        (f"https://www.robots.ox.ac.uk/~albanie/models/pytorch-mcn/{VGG_FACE_NAME}",),
        "",
        "about 580 MB",
        2**30,
    ),
)
FILES = {file.name: file for file in _PUBLISHED}
NEEDED = (INCEPTION_NAME, ALEXNET_NAME)  # by protocol i2i


_without = contextvars.ContextVar[list[str] | None]("without_weights", default=None)


@contextlib.contextmanager
def without_weights() -> Iterator[list[str]]:
    """Let frozen networks of losses keep initial weights in the block, as translations need none.

    A model that was built in it must not be trained, except in a test. The block is given a list of
    the files that are not read, which grows.
    """
    unread: list[str] = []
    token = _without.set(unread)
    try:
        yield unread
    finally:
        _without.reset(token)


def load_frozen(name: str, network: nn.Module) -> nn.Module:
    """Give a network of a loss the weights of a published file, and freeze it.

    On the meta device, and in ``without_weights``, it keeps what it has.

    Args:
        name: Of the file; a model names it in ``Needs.weights``, so that it is asked for before
            the training.
        network: Its tensors have the names and shapes of those in the file.

    Returns:
        The network, in evaluation mode, for ``Model.frozen``.

    Raises:
        MissingWeights: If the file is not there.
        UnfitWeights: If it is not the published one, or does not fit the network.
    """
    from i2i_bench.system.tensors import read_untrusted

    is_meta = any(parameter.is_meta for parameter in network.parameters())
    unread = _without.get()
    if unread is not None:
        unread.append(name)
    elif not is_meta:
        path = required_weights(name)
        try:
            network.load_state_dict(read_untrusted(path))
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            why = next(iter(str(error).splitlines()), type(error).__name__)
            raise UnfitWeights(f"weights file {path.name} is unfit: {why}; get it again") from error
    return network.eval().requires_grad_(False)


class MissingWeights(ValueError):
    """A file of weights is not where it was looked for.

    Attributes:
        path: Where it belongs.
        reason: The same without the folder, for a record that others read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reason = f"weights file {path.name} is missing"
        super().__init__(
            f"weights file {path.name} not found in {path.parent}; "
            "put it there or set I2I_BENCH_WEIGHTS to the folder that holds it, "
            f"or get it by i2i-bench weights fetch {path.name}"
        )


class UnfitWeights(ValueError):
    """A file of weights is there, and damaged or another than it should be."""


@dataclass(frozen=True)
class FoundWeights:
    """What is there of a file of weights.

    Attributes:
        name: Of the file.
        state: ``damaged`` if it cannot be loaded, ``wrong`` if its hash is not the publisher's or
            not the one seen first, ``unverified`` if there is no publisher's hash.
        path: Where it is or belongs.
        sha256: Of what is there; "" if there is nothing.
        advice: What to do; "" if nothing.
    """

    name: str
    state: WeightsState
    path: Path
    sha256: str = ""
    advice: str = ""


def weights_folder() -> Path:
    """Return the folder of weights: I2I_BENCH_WEIGHTS, or ``i2i-bench/weights`` in the cache.

    Where I2I_BENCH_WEIGHTS names a file, which is then taken for the Inception's, its folder.
    """
    chosen = os.environ.get("I2I_BENCH_WEIGHTS")
    if not chosen:
        return user_cache() / "weights"
    path = Path(chosen).expanduser()
    return path.parent if path.is_file() else path


def required_weights(name: str) -> Path:
    """Return the file of weights of this name.

    Another file than the published one is used only from where the user said, I2I_BENCH_WEIGHTS,
    and with a warning; another than the one seen first, where no hash is published, never.

    Raises:
        MissingWeights: If there is none.
        UnfitWeights: If there is another one than published in the user's cache, or than seen
            first.
        ValueError: If what was seen first cannot be read.
    """
    path = weights_path(name)
    if not path.is_file():
        raise MissingWeights(path)
    if name in FILES and path.name == name and not FILES[name].digits:
        _require_as_seen_first(path)
    if name in FILES and not weights_hash(path).startswith(FILES[name].digits):
        if not os.environ.get("I2I_BENCH_WEIGHTS"):
            raise UnfitWeights(
                f"weights file {name} is not the one that is published under this name; "
                f"i2i-bench weights fetch {name} --force gets that one"
            )
        _warn_of_stranger(path)
    return path


def require_sound_weights(name: str) -> None:
    """Require, before the work, that a file of weights can be loaded.

    Raises:
        As ``required``; and UnfitWeights if it cannot.
    """
    path = required_weights(name)
    if weights_status(path) != "verified":
        _require_loads(path, weights_hash(path), is_script=find_weights(name).is_script)


@functools.lru_cache  # the hash tells whether the file has changed
def _require_loads(path: Path, sha256: str, *, is_script: bool) -> None:
    del sha256
    try:
        _check_loads(path, is_script=is_script)
    except ValueError as error:
        raise UnfitWeights(f"weights file {path.name} is unfit: {error}; get it again") from error


def weights_path(name: str) -> Path:
    """Return where a file of weights belongs; I2I_BENCH_WEIGHTS may name the Inception's itself."""
    chosen = Path(os.environ.get("I2I_BENCH_WEIGHTS", "")).expanduser()
    return chosen if name == INCEPTION_NAME and chosen.is_file() else weights_folder() / name


def _require_as_seen_first(path: Path) -> None:
    first = first_seen.read_first_seen(_first_seen_path(path)).get(path.name)
    if first and first.sha256 != weights_hash(path):
        raise UnfitWeights(
            f"weights file {path.name} is not the one that was seen first, {first.sha256[:8]}...; "
            f"i2i-bench weights fetch {path.name} --force gets it again, and i2i-bench weights "
            "verify --force takes this one"
        )


@functools.cache  # once is enough
def _warn_of_stranger(path: Path) -> None:
    logger.warning(
        "weights file %s is not the one that is published under this name; values computed with "
        "it are not comparable with others",
        path,
    )


def weights_hash(path: Path) -> str:
    """Return the sha256 of a file, computed once as long as its size and time of change stay."""
    state = path.stat()
    return _file_hash(path.resolve(), state.st_size, state.st_mtime_ns)


def weights_status(path: Path) -> WeightsStatus:
    """Tell whether a file is known to be the published one, as far as digits of it are known."""
    known = FILES[path.name].digits if path.name in FILES else ""
    return "verified" if known and weights_hash(path).startswith(known) else "unverified"


def find_weights(name: str) -> WeightsFile:
    """Return the file of this name.

    Raises:
        ValueError: If it is none of the known.
    """
    if name in FILES:
        return FILES[name]
    known = f"{near(name, FILES, cutoff=0.3)}known: {', '.join(FILES)}"
    raise ValueError(f"unknown weights file {name!r}; {known}")


def obtain_weights(
    file: WeightsFile,
    *,
    urls: Sequence[str] = (),
    source: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Seen:
    """Put a file of weights where it belongs, unless it is there.

    Args:
        file: Which.
        urls: Where to get it, instead of the mirror and the publisher.
        source: A file to copy instead.
        force: Whether to replace what is there, and to take a file that is not the one seen first.
        progress: Called with the bytes that are there and those in all.

    Returns:
        What is there now.

    Raises:
        DownloadError: If no address gives it.
        ValueError: If what was given, or is there already, is not this file.
    """
    target = weights_path(file.name)
    wanted = _wanted(file, urls, force=force)
    if source is not None:
        seen = download.adopt_file(wanted, source, target)
    else:
        seen = download.download_file(wanted, target, replace=force, progress=progress)
    first_seen.remember_first(_first_seen_path(target), file.name, seen, replace=force)
    return seen


def _wanted(file: WeightsFile, urls: Sequence[str], *, force: bool) -> Wanted:
    known = _first_seen_path(weights_path(file.name))

    def accept(path: Path, sha256: str) -> None:
        _check_loads(path, is_script=file.is_script)
        if not force:
            first_seen.check_known(known, file.name, sha256)

    where = urls or download.with_mirror("weights", file.name, file.urls)
    return Wanted(f"weights file {file.name}", where, file.largest, file.digits, accept)


def inspect_weights(file: WeightsFile, *, load: bool = True, force: bool = False) -> FoundWeights:
    """Say what is there of a file; the hash of one without a published hash is remembered.

    Args:
        file: Which.
        load: Whether to load it too, which finds damage that no known hash would show.
        force: Whether to remember another hash than the one seen first.
    """
    path = weights_path(file.name)
    again = f"i2i-bench weights fetch {file.name}"
    if not path.is_file():
        is_partial = path.with_name(f"{path.name}.part").is_file()
        goes_on = f"{again} resumes it" if is_partial else f"{again} ({file.size})"
        return FoundWeights(file.name, "partial" if is_partial else "missing", path, "", goes_on)
    found = FoundWeights(file.name, weights_status(path), path, weights_hash(path))
    if file.digits and found.state == "unverified" and path.name == file.name:
        reason = f"its sha256 does not begin {file.digits} as the publisher's; {again} --force"
        return replace(found, state="wrong", advice=reason)
    try:
        if load:
            _check_loads(path, is_script=file.is_script)
    except ValueError as error:
        return replace(found, state="damaged", advice=f"{error}; {again} --force")
    try:
        seen = Seen(found.sha256, path.stat().st_size, path.name)
        first_seen.remember_first(_first_seen_path(path), file.name, seen, replace=force)
    except ValueError as error:
        return replace(found, state="wrong", advice=str(error))
    return found


def _first_seen_path(path: Path) -> Path:
    return path.with_name(first_seen.NAME)


def _check_loads(path: Path, *, is_script: bool) -> None:
    """Refuse a file that torch cannot load, or that holds something else.

    Raises:
        ValueError: If it is damaged or of another kind.
    """
    import torch

    try:
        if is_script:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "`torch.jit.load` is")
                torch.jit.load(path, map_location="cpu")
            return
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError("it is damaged or not a torch file") from error
    if not isinstance(content, dict) or not all(map(torch.is_tensor, content.values())):
        raise ValueError("it holds something other than named tensors")


@functools.lru_cache
def _file_hash(path: Path, size: int, changed: int) -> str:
    """Give the sha256 of a file; size and time of change belong to the key of the memory."""
    del size, changed
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

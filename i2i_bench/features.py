"""From images to what distances are computed on: Inception features, cached by content, and LPIPS.

Weights are files the user has; nothing here downloads.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

INCEPTION_NAME = (
    "inception-2015-12-05.pt"  # TorchScript, as NVlabs/stylegan2-ada-pytorch publishes it
)
ALEXNET_NAME = "alexnet-owt-7be5be79.pth"  # torchvision's ImageNet weights
RECIPES = ("clean",)
WIDTH = 2048
LPIPS_MINIMUM_SIZE = 31  # pixels; below, AlexNet's second pooling has nothing left to pool

_DTYPE = "float32"  # of the network's arithmetic
_UNREADABLE = (RuntimeError, ValueError, EOFError, LookupError, OSError, pickle.UnpicklingError)

logger = logging.getLogger(__name__)

Image = NDArray[np.uint8]
Images = Sequence[Image] | Image
Progress = Callable[[int, int], None]


class MissingWeights(ValueError):  # noqa: N818 - says what is wrong, as StopIteration does
    """A file of weights is not where it was looked for.

    Attributes:
        reason: The same without the folder, for a record that others read.
    """

    def __init__(self, path: Path) -> None:
        self.reason = f"weights file {path.name} is missing"
        super().__init__(
            f"weights file {path.name} not found in {path.parent}; "
            "put it there or set I2I_BENCH_WEIGHTS to the folder that holds it"
        )


def weights_folder() -> Path:
    """Give the folder of weights: I2I_BENCH_WEIGHTS, or ``i2i-bench/weights`` in the user's cache.

    Where I2I_BENCH_WEIGHTS names a file, which is then taken for the Inception's, its folder.
    """
    chosen = os.environ.get("I2I_BENCH_WEIGHTS")
    if not chosen:
        return _user_cache() / "weights"
    path = Path(chosen).expanduser()
    return path.parent if path.is_file() else path


def inception_file() -> Path:
    """Give the file of the Inception's weights.

    Raises:
        MissingWeights: If there is none.
    """
    chosen = Path(os.environ.get("I2I_BENCH_WEIGHTS", "")).expanduser()
    return chosen if chosen.is_file() else _present(weights_folder() / INCEPTION_NAME)


def weights_hash(path: Path) -> str:
    """Give the sha256 of a file, computed once as long as its size and time of change stay."""
    state = path.stat()
    return _file_hash(path.resolve(), state.st_size, state.st_mtime_ns)


def content_hash(names: Sequence[str], images: Images) -> tuple[str, str]:
    """Identify a set of images, whatever the order in which it is given.

    Args:
        names: Relative path of each image.
        images: As many arrays, uint8 (height, width, 3).

    Returns:
        sha256 of the sorted names, each ended by a newline, in UTF-8; sha256 of the pixels,
        concatenated in the order of the sorted names.

    Raises:
        ValueError: If a name occurs twice, or there is not one for each image.
    """
    if len(names) != len(images) or len(set(names)) != len(names):
        raise ValueError(
            f"{len(images)} images need as many different names, "
            f"not {len(names)} names of which {len(set(names))} differ"
        )
    order = sorted(range(len(names)), key=lambda index: names[index])
    files, pixels = hashlib.sha256(), hashlib.sha256()
    for index in order:
        files.update(f"{names[index]}\n".encode())
        pixels.update(images[index].tobytes())
    return files.hexdigest(), pixels.hexdigest()


def extract_features(
    images: Images,
    recipe: str = "clean",
    *,
    batch_size: int = 32,
    device: str = "cpu",
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Give the Inception features of images, from the cache where these were seen before.

    Images are put through the network sorted by content, so that their order changes no digit. The
    recipe ``clean`` (GaParmar/clean-fid): each channel resized to 299 x 299 in float32 by PIL's
    antialiased bicubic filter, clipped to [0, 255], not rounded; then (x - 128) / 128.

    Args:
        images: uint8 (height, width, 3) each; they may differ in size.
        recipe: One of ``RECIPES``.
        batch_size: Images put through the network at once.
        device: Where the network runs, always in float32.
        progress: Called after each batch with the number of images done and of all.

    Returns:
        (images, 2048), in the order given.

    Raises:
        MissingWeights: If there is no Inception.
        ValueError: If an image is not uint8 RGB, there is none, or recipe or weights are unfit.
    """
    if recipe not in RECIPES:
        raise ValueError(f"unknown feature recipe {recipe!r}; known: {', '.join(RECIPES)}")
    if len(images) == 0 or batch_size < 1:
        raise ValueError(f"cannot extract features of {len(images)} images by {batch_size} at once")
    weights = inception_file()
    digests = [_image_hash(image) for image in images]
    order = sorted(range(len(images)), key=lambda index: digests[index])
    cached = _cache_file([digests[index] for index in order], recipe, weights_hash(weights))
    found = _load_cached(cached, len(images))
    if found is None:
        batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        found = _run_inception(images, batches, weights, device=device, progress=progress)
        try:
            _save_cached(cached, found)
        except OSError as error:
            logger.warning("features are not kept for next time: %s", error)
    features = np.empty(found.shape)
    features[order] = found
    return features


def lpips_distance(first: Images, second: Images, device: str = "cpu") -> list[float]:
    """Give the LPIPS distance (Zhang et al., 2018; AlexNet, version 0.1) of each pair of images.

    Args:
        first: uint8 (height, width, 3) each.
        second: As many, each of the size of its partner.
        device: Where the network runs, always in float32.

    Raises:
        MissingWeights: If there is no AlexNet.
        ValueError: If the images are not uint8 RGB, do not pair up or have a side below 31 pixels,
            which AlexNet cannot take; or the weights are unfit.
    """
    import torch

    if len(first) != len(second):
        raise ValueError(f"{len(first)} images cannot be paired with {len(second)}")
    for one, other in zip(first, second, strict=True):
        _check_lpips_pair(one, other)
    network = _load_lpips(_present(weights_folder() / ALEXNET_NAME)).to(device)
    distances = []
    with torch.no_grad(), _full_precision():
        for one, other in zip(first, second, strict=True):
            pair = torch.from_numpy(np.stack([one, other])).permute(0, 3, 1, 2).to(device)
            scaled = pair.float() / 127.5 - 1
            distances.append(float(network(scaled[:1], scaled[1:])))
    return distances


def _user_cache() -> Path:
    """Give the folder of this program in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "i2i-bench"


def _present(path: Path) -> Path:
    """Give the path back if there is a file."""
    if not path.is_file():
        raise MissingWeights(path)
    return path


@lru_cache
def _file_hash(path: Path, size: int, changed: int) -> str:
    """Give the sha256 of a file; size and time of change belong to the key of the memory."""
    del size, changed
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_image(image: Image) -> None:
    """Refuse what is not an 8-bit RGB image."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(
            "an image must be uint8 of shape (height, width, 3), "
            f"not {image.dtype} of shape {image.shape}"
        )


def _check_lpips_pair(one: Image, other: Image) -> None:
    """Refuse what LPIPS cannot compare."""
    _check_image(one)
    _check_image(other)
    if one.shape != other.shape:
        raise ValueError(f"images of a pair differ in shape: {one.shape} and {other.shape}")
    if min(one.shape[:2]) < LPIPS_MINIMUM_SIZE:
        raise ValueError(
            f"LPIPS needs images of at least {LPIPS_MINIMUM_SIZE} x {LPIPS_MINIMUM_SIZE} pixels, "
            f"not {one.shape[0]} x {one.shape[1]}"
        )


def _image_hash(image: Image) -> bytes:
    """Give the sha256 of shape and pixels."""
    _check_image(image)
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(image.tobytes())
    return digest.digest()


def _cache_file(digests: list[bytes], recipe: str, weights_sha256: str) -> Path:
    """Give the file that holds the features of the images with these sorted hashes."""
    chosen = os.environ.get("I2I_BENCH_CACHE")
    folder = Path(chosen).expanduser() if chosen else _user_cache()
    key = hashlib.sha256(b"".join(digests))
    key.update(f"{recipe}/{weights_sha256}/{_DTYPE}".encode())
    return folder / "features" / f"{key.hexdigest()}.npy"


def _load_cached(path: Path, num_images: int) -> NDArray[np.float32] | None:
    """Read cached features; None where there are none or the file is not what it should be."""
    try:
        features = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    sound = (
        isinstance(features, np.ndarray)
        and features.shape == (num_images, WIDTH)
        and features.dtype == _DTYPE
        and bool(np.isfinite(features).all())
    )
    return features if sound else None


def _save_cached(path: Path, features: NDArray[np.float32]) -> None:
    """Write features so that no reader ever sees a part of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, features)
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)


def _run_inception(
    images: Images,
    batches: list[list[int]],
    weights: Path,
    *,
    device: str,
    progress: Progress | None,
) -> NDArray[np.float32]:
    """Put batches of images, given by their indices, through the network of a weights file."""
    import torch
    from cleanfid.resize import make_resizer

    resize = make_resizer("PIL", False, "bicubic", (299, 299))
    layers = _load_inception(weights).to(device)
    num_images = sum(map(len, batches))
    done, features = 0, []
    with torch.no_grad(), _full_precision():
        for batch in batches:
            resized = np.stack([resize(images[index]) for index in batch])
            pixels = torch.from_numpy(resized).permute(0, 3, 1, 2).contiguous().to(device)
            features.append(_apply_inception(layers, pixels, weights))
            done += len(batch)
            if progress is not None:
                progress(done, num_images)
    return np.concatenate(features)


def _apply_inception(layers: Any, pixels: Tensor, weights: Path) -> NDArray[np.float32]:
    """Give the features (batch, 2048) of pixels (batch, 3, 299, 299) in [0, 255]."""
    features = layers((pixels - 128) / 128).flatten(1)
    if features.shape[1] != WIDTH or not features.isfinite().all():
        raise ValueError(
            f"weights file {weights.name} is not the Inception: its features are "
            f"{features.shape[1]} wide or not finite, not {WIDTH} wide and finite; get it anew"
        )
    return features.float().cpu().numpy()


def _load_inception(path: Path) -> torch.jit.ScriptModule:
    """Load the layers of the TorchScript network, without the resize it has of its own."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load` is", DeprecationWarning)
        try:
            return torch.jit.load(path, map_location="cpu").eval().layers
        except (*_UNREADABLE, AttributeError) as error:
            raise _corrupt(path, "TorchScript Inception with a module `layers`") from error


def _load_lpips(path: Path) -> torch.nn.Module:
    """Build LPIPS on the AlexNet of a file; its own calibration comes with the package."""
    import lpips
    import torch

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", "The parameter 'pretrained' is", UserWarning)
        warnings.filterwarnings("ignore", "Arguments other than a weight enum", UserWarning)
        network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        names = {name: f"features.{name.split('.', 1)[1]}" for name in network.net.state_dict()}
        network.net.load_state_dict({name: weights[origin] for name, origin in names.items()})
    except (*_UNREADABLE, TypeError) as error:
        raise _corrupt(path, "state of torchvision's AlexNet") from error
    return network.eval()


def _corrupt(path: Path, expected: str) -> ValueError:
    """Say that a file of weights is not what its name promises."""
    return ValueError(f"weights file {path.name} is corrupt or not the {expected}; get it anew")


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keep convolutions on a GPU from rounding their input to TF32, 10 bits of mantissa."""
    import torch

    with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False):
        yield

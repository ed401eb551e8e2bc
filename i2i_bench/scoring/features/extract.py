"""From images to what distances are computed on: Inception features, cached by content, and LPIPS.

Weights are files the user has; nothing here downloads. A set of images is a sequence; one whose
items are decoded when they are asked for, by several threads at once, never lies in memory.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from i2i_bench.pretrained import ALEXNET_NAME, UNREADABLE, required, weights_hash
from i2i_bench.scoring.features import cache, inception
from i2i_bench.scoring.features.inception import WIDTH, corrupt, full_precision
from i2i_bench.system.prefetch import ahead

if TYPE_CHECKING:
    import torch

LPIPS_MINIMUM_SIZE = 31  # pixels; below, AlexNet's second pooling has nothing left to pool

_DTYPE = "float32"  # of the network's arithmetic

Image = NDArray[np.uint8]
Images = Sequence[Image] | Image
Progress = Callable[[int, int], None]


class ContentHash(NamedTuple):
    """The identity of a set of images.

    Attributes:
        files: sha256 of the sorted names, each ended by a newline, in UTF-8.
        pixels: sha256 of the pixels, concatenated in the order of the sorted names.
        digests: sha256 of shape and pixels of each image, in the order given.
    """

    files: str
    pixels: str
    digests: list[bytes]


def content_hash(names: Sequence[str], images: Images) -> ContentHash:
    """Identify a set of images, whatever the order in which it is given, looking at each once.

    Args:
        names: Relative path of each image.
        images: As many arrays, uint8 (height, width, 3).

    Raises:
        ValueError: If a name occurs twice, there is not one for each image, or one is unfit.
    """
    if len(names) != len(images) or len(set(names)) != len(names):
        raise ValueError(
            f"{len(images)} images need as many different names, "
            f"not {len(names)} names of which {len(set(names))} differ"
        )
    order = sorted(range(len(names)), key=lambda index: names[index])
    files, pixels = hashlib.sha256(), hashlib.sha256()
    digests = [b""] * len(images)

    def read(index: int) -> tuple[int, Image]:
        return index, images[index]

    for index, image in ahead(read, order):
        files.update(f"{names[index]}\n".encode())
        pixels.update(image.tobytes())
        digests[index] = _digest(image)
    return ContentHash(files.hexdigest(), pixels.hexdigest(), digests)


def extract_features(
    images: Images,
    recipe: str = "clean",
    *,
    digests: Sequence[bytes] | None = None,
    batch_size: int = 32,
    device: str = "cpu",
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Give the Inception features of images, from the cache where these were seen before.

    Images are put through the network sorted by content, so that their order changes no digit,
    and a batch at a time, so that only two batches of them lie in memory.

    Args:
        images: uint8 (height, width, 3) each; they may differ in size.
        recipe: A name in ``inception.RECIPES``.
        digests: Those of ``content_hash`` if it has been asked; otherwise found by a look at each.
        batch_size: Images put through the network at once.
        device: Where the network runs, always in float32.
        progress: Called after each batch with the number of images done and of all.

    Returns:
        (images, 2048), in the order given.

    Raises:
        MissingWeights: If there is no file of the recipe's weights.
        ValueError: If an image is not uint8 RGB, there is none, or recipe or weights are unfit.
    """
    chosen = inception.find(recipe)
    if len(images) == 0 or batch_size < 1:
        raise ValueError(f"cannot extract features of {len(images)} images by {batch_size} at once")
    weights = chosen.weights_file()
    sha256 = weights_hash(weights)
    cache.cache_limit()  # a limit that is none fails before the work
    if digests is None:
        digests = list(ahead(lambda index: _digest(images[index]), range(len(images))))
    if len(digests) != len(images):
        raise ValueError(f"{len(images)} images cannot have {len(digests)} digests")
    order = sorted(range(len(images)), key=digests.__getitem__)
    key = _cache_key([digests[index] for index in order], recipe, sha256)
    found = cache.load(key, (len(images), WIDTH))
    if found is None:
        network = inception.network(weights, sha256, device, is_script=chosen.is_script)
        found = _run(network, chosen, images, order, batch_size=batch_size, progress=progress)
        cache.keep(key, found)
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
    weights = required(ALEXNET_NAME)
    network = _load_lpips(weights, weights_hash(weights), device)
    distances = []
    with torch.no_grad(), full_precision():
        for one, other in zip(first, second, strict=True):
            pair = torch.from_numpy(np.stack([one, other])).permute(0, 3, 1, 2).to(device)
            scaled = pair.float() / 127.5 - 1
            distances.append(float(network(scaled[:1], scaled[1:])))
    return distances


def _run(
    network: inception.Network,
    recipe: inception.Recipe,
    images: Images,
    order: Sequence[int],
    *,
    batch_size: int,
    progress: Progress | None,
) -> NDArray[np.float32]:
    """Put images, in the order given, through the network."""

    def resize(index: int) -> NDArray[np.float32]:
        image = images[index]
        _check_image(image)
        return recipe.resize(image)

    resized = ahead(resize, order, depth=batch_size)
    features = np.empty((len(order), WIDTH), np.float32)
    for start in range(0, len(order), batch_size):
        batch = np.stack(list(islice(resized, batch_size)))
        features[start : start + len(batch)] = network.features(batch, recipe)
        if progress is not None:
            progress(start + len(batch), len(order))
    return features


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


def _digest(image: Image) -> bytes:
    """Give the sha256 of shape and pixels."""
    _check_image(image)
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(image.tobytes())
    return digest.digest()


def _cache_key(digests: list[bytes], recipe: str, weights_sha256: str) -> str:
    """Give the key of the features of the images with these sorted digests."""
    key = hashlib.sha256(b"".join(digests))
    key.update(f"{recipe}/{weights_sha256}/{_DTYPE}".encode())
    return key.hexdigest()


@lru_cache(maxsize=2)
def _load_lpips(path: Path, sha256: str, device: str) -> torch.nn.Module:
    """Build LPIPS on the AlexNet of a file once; its own calibration comes with the package."""
    del sha256  # tells whether the file has changed
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
    except (*UNREADABLE, TypeError) as error:
        raise corrupt(path, "state of torchvision's AlexNet") from error
    return network.eval().to(device)

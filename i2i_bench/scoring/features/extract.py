"""From images to Inception features, cached by content.

Weights are files the user has; nothing here downloads. A set of images is a sequence; one whose
items are decoded when they are asked for, by several threads at once, never lies in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    pass
from i2i_bench.pretrained import weights_hash
from i2i_bench.scoring.features import cache, inception
from i2i_bench.scoring.features.inception import WIDTH
from i2i_bench.system.prefetch import prefetch
from i2i_bench.system.progress import Progress

_DTYPE = "float32"  # of the network's arithmetic

ImageArray = NDArray[np.uint8]
ImageSet = Sequence[ImageArray] | ImageArray


class ContentHash(NamedTuple):
    """The identity of a set of images.

    Attributes:
        files: sha256 of the sorted names, each ended by a newline, in UTF-8.
        pixels: sha256 of the pixels, concatenated in the order of the sorted names.
        digests: sha256 of shape and pixels of each image, in the order given; of features only if
            it is of 8-bit RGB.
    """

    files: str
    pixels: str
    digests: list[bytes]


def content_hash(names: Sequence[str], images: ImageSet) -> ContentHash:
    """Hash a set of images, independent of their order, reading each once.

    Args:
        names: Relative path of each image.
        images: As many arrays (height, width, channels), RGB or grey, uint8 or uint16.

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

    def read(index: int) -> tuple[int, ImageArray]:
        return index, images[index]

    for index, image in prefetch(read, order):
        files.update(f"{names[index]}\n".encode())
        _check_kept(image)
        pixels.update(image.tobytes())
        digests[index] = _digest(image)
    return ContentHash(files.hexdigest(), pixels.hexdigest(), digests)


def extract_features(
    images: ImageSet,
    recipe: str = "clean",
    *,
    digests: Sequence[bytes] | None = None,
    batch_size: int = 32,
    device: str = "cpu",
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Return the Inception features of images, cached if these were extracted before.

    Images go through the network sorted by content, so that their order changes no digit, and in
    batches, of which only two lie in memory.

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
    chosen = inception.find_recipe(recipe)
    if len(images) == 0 or batch_size < 1:
        raise ValueError(f"cannot extract features of {len(images)} images by {batch_size} at once")
    weights = chosen.weights_file()
    sha256 = weights_hash(weights)
    cache.cache_limit()  # a limit that is none fails before the work
    if digests is None:
        digests = list(prefetch(lambda index: _digest_seen(images[index]), range(len(images))))
    if len(digests) != len(images):
        raise ValueError(f"{len(images)} images cannot have {len(digests)} digests")
    order = sorted(range(len(images)), key=digests.__getitem__)
    key = _cache_key([digests[index] for index in order], recipe, sha256)
    found = cache.load_features(key, (len(images), WIDTH))
    if found is None:
        network = inception.load_network(weights, sha256, device, is_script=chosen.is_script)
        found = _run(network, chosen, images, order, batch_size=batch_size, progress=progress)
        cache.keep_features(key, found)
    features = np.empty(found.shape)
    features[order] = found
    return features


def _run(
    network: inception.InceptionNetwork,
    recipe: inception.Recipe,
    images: ImageSet,
    order: Sequence[int],
    *,
    batch_size: int,
    progress: Progress | None,
) -> NDArray[np.float32]:
    """Put images, in the order given, through the network."""

    def resize(index: int) -> NDArray[np.float32]:
        image = images[index]
        check_image(image)
        return recipe.resize(image)

    resized = prefetch(resize, order, depth=batch_size)
    features = np.empty((len(order), WIDTH), np.float32)
    for start in range(0, len(order), batch_size):
        batch = np.stack(list(islice(resized, batch_size)))
        features[start : start + len(batch)] = network.features(batch, recipe)
        if progress is not None:
            progress(start + len(batch), len(order))
    return features


def check_image(image: ImageArray) -> None:
    """Refuse what is not an 8-bit RGB image."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(
            "an image must be uint8 of shape (height, width, 3), "
            f"not {image.dtype} of shape {image.shape}"
        )


def _check_kept(image: NDArray[Any]) -> None:
    """Refuse what is no image of a task, of whatever channels and depth."""
    is_grey = image.ndim == 3 and image.shape[2] == 1 and image.size > 0
    if not (is_grey and image.dtype in (np.uint8, np.uint16)):
        check_image(image)


def _digest_seen(image: ImageArray) -> bytes:
    """Give the sha256 of shape and pixels of an image that the network can see."""
    check_image(image)
    return _digest(image)


def _digest(image: ImageArray) -> bytes:
    """Give the sha256 of shape and pixels."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(image.tobytes())
    return digest.digest()


def _cache_key(digests: list[bytes], recipe: str, weights_sha256: str) -> str:
    """Give the key of the features of the images with these sorted digests."""
    key = hashlib.sha256(b"".join(digests))
    key.update(f"{recipe}/{weights_sha256}/{_DTYPE}".encode())
    return key.hexdigest()

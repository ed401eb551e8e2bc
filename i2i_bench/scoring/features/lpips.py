"""LPIPS between pairs of images: of two lists, or among several images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import torch
from i2i_bench.pretrained import ALEXNET_NAME, UNREADABLE, required_weights, weights_hash
from i2i_bench.scoring.features.extract import ImageArray, ImageSet, check_image
from i2i_bench.scoring.features.inception import corrupt, full_precision

LpipsVersion = Literal["0.0", "0.1"]  # the first release fed images to AlexNet without its scaling
PAIRS_AT_ONCE = 32  # whose layers are compared together
LPIPS_MINIMUM_SIZE = 31  # pixels; below, AlexNet's second pooling has nothing left to pool


def lpips_distance(first: ImageSet, second: ImageSet, device: str = "cpu") -> list[float]:
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
    weights = required_weights(ALEXNET_NAME)
    network = _load_lpips(weights, weights_hash(weights), device)
    distances = []
    with torch.no_grad(), full_precision():
        for one, other in zip(first, second, strict=True):
            pair = torch.from_numpy(np.stack([one, other])).permute(0, 3, 1, 2).to(device)
            scaled = pair.float() / 127.5 - 1
            distances.append(float(network(scaled[:1], scaled[1:])))
    return distances


def lpips_of_pairs(
    images: ImageSet,
    pairs: Sequence[tuple[int, int]],
    device: str = "cpu",
    version: LpipsVersion = "0.1",
) -> list[float]:
    """Give the LPIPS distance of pairs among some images, each of which AlexNet sees once.

    Args:
        images: uint8 (height, width, 3) each, all of one size.
        pairs: Positions of two of them each.
        device: Where the network runs, always in float32.
        version: Of LPIPS.

    Raises:
        MissingWeights: If there is no AlexNet.
        ValueError: As ``lpips_distance``.
    """
    import torch

    for image in images:
        _check_lpips_pair(images[0], image)
    weights = required_weights(ALEXNET_NAME)
    network = _load_lpips(weights, weights_hash(weights), device, version)
    seen: dict[bytes, int] = {}  # of equal images, such as those of a model without chance, one
    places = [seen.setdefault(np.ascontiguousarray(each).tobytes(), len(seen)) for each in images]
    used = [images[places.index(place)] for place in range(len(seen))]
    found = {(place, place): 0.0 for place in range(len(seen))}
    wanted = dict.fromkeys((places[i], places[j]) for i, j in pairs)
    left = [pair for pair in wanted if pair not in found]
    with torch.no_grad(), full_precision():
        layers = _layers(network, used, device) if left else []
        for start in range(0, len(left), PAIRS_AT_ONCE):
            part = left[start : start + PAIRS_AT_ONCE]
            found |= dict(zip(part, _distances(network, layers, part), strict=True))
    return [found[places[i], places[j]] for i, j in pairs]


def _layers(network: Any, images: ImageSet, device: str) -> list[torch.Tensor]:
    """Give the normalised features of images, by layer: (images, channels, height, width)."""
    import lpips
    import torch

    by_image = []
    for image in images:
        pixels = torch.from_numpy(np.array(image)[None]).permute(0, 3, 1, 2).to(device)
        scaled = pixels.float() / 127.5 - 1
        seen = network.scaling_layer(scaled) if network.version == "0.1" else scaled
        by_image.append([lpips.normalize_tensor(layer) for layer in network.net(seen)])
    return [torch.cat(layer) for layer in zip(*by_image, strict=True)]


def _distances(
    network: Any, layers: Sequence[torch.Tensor], pairs: Sequence[tuple[int, int]]
) -> list[float]:
    """Weigh the squared differences of each layer, and sum their means over the image."""
    first, second = [list(side) for side in zip(*pairs, strict=True)]
    total = sum(
        weigh((layer[first] - layer[second]) ** 2).mean(dim=(1, 2, 3))
        for weigh, layer in zip(network.lins, layers, strict=True)
    )
    return [float(value) for value in total]  # pyright: ignore[reportGeneralTypeIssues]  # a tensor


def _check_lpips_pair(one: ImageArray, other: ImageArray) -> None:
    """Refuse what LPIPS cannot compare."""
    check_image(one)
    check_image(other)
    if one.shape != other.shape:
        raise ValueError(f"images of a pair differ in shape: {one.shape} and {other.shape}")
    if min(one.shape[:2]) < LPIPS_MINIMUM_SIZE:
        raise ValueError(
            f"LPIPS needs images of at least {LPIPS_MINIMUM_SIZE} x {LPIPS_MINIMUM_SIZE} pixels, "
            f"not {one.shape[0]} x {one.shape[1]}"
        )


@lru_cache(maxsize=4)
def _load_lpips(
    path: Path, sha256: str, device: str, version: LpipsVersion = "0.1"
) -> torch.nn.Module:
    """Build LPIPS on the AlexNet of a file once; its own calibration comes with the package."""
    del sha256  # tells whether the file has changed
    import lpips
    import torch

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", "The parameter 'pretrained' is", UserWarning)
        warnings.filterwarnings("ignore", "Arguments other than a weight enum", UserWarning)
        network = lpips.LPIPS(net="alex", version=version, pnet_rand=True, verbose=False)
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        names = {name: f"features.{name.split('.', 1)[1]}" for name in network.net.state_dict()}
        network.net.load_state_dict({name: weights[origin] for name, origin in names.items()})
    except (*UNREADABLE, TypeError) as error:
        raise corrupt(path, "state of torchvision's AlexNet") from error
    return network.eval().to(device)

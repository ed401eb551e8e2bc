"""Feature recipes: how an image becomes what the Inception of 2015-12-05 takes, and that network.

Four conversions of the network are in use, and what each project does to an image before it differs
(spec section 1): a recipe is one such pair, and no recipe stands in for another.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from i2i_bench import pretrained

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

SIDE = 299  # pixels of what the network takes
WIDTH = 2048  # of its features, pool3

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """How an image becomes features: resize, scaling and network.

    Attributes:
        name: As protocols and records have it.
        resize: Turns uint8 RGB (height, width, 3) into float32 (299, 299, 3), in ``[0, 255]``.
        scale: Turns such pixels (batch, 3, 299, 299) into what the network takes, about [-1, 1].
        weights: Name of the network's file.
        title: One line: resize, scaling, network.
    """

    name: str
    resize: Callable[[NDArray[np.uint8]], Pixels]
    scale: Callable[[Tensor], Tensor]
    weights: str
    title: str

    @property
    def is_script(self) -> bool:
        """Whether the file is TorchScript, and not a dictionary of tensors."""
        return pretrained.FILES[self.weights].is_script

    def weights_file(self) -> Path:
        """Return the file of the network's weights.

        Raises:
            MissingWeights: If there is none under the recipe's name; another conversion of the
                network is never taken in its place.
        """
        return pretrained.required_weights(self.weights)


def resize_clean(image: NDArray[np.uint8]) -> Pixels:
    """Resize as GaParmar/clean-fid: each channel by PIL's bicubic, antialiased, not rounded."""
    return _clean_resizer()(image)


def resize_tf_compat(image: NDArray[np.uint8]) -> Pixels:
    """Resize as TensorFlow 1 did: bilinear, no antialias, pixel i of the output at i * in / out.

    Float32 in this order of operations gives toshas/torch-fidelity's result to the last bit.
    """
    height, width = image.shape[:2]
    left, right, across = _legacy_grid(width)
    upper, lower, down = _legacy_grid(height)
    pixels = image.astype(np.float32)
    start = pixels[:, left]
    rows = start + (pixels[:, right] - start) * across[:, None]  # (height, 299, 3)
    start = rows[upper]
    return (start + (rows[lower] - start) * down[:, None, None]).astype(np.float32, copy=False)


def resize_pt_legacy(image: NDArray[np.uint8]) -> Pixels:
    """Resize as mseitzer/pytorch-fid: bilinear, half-pixel centres, no antialias."""
    import torch
    from torch.nn import functional

    pixels = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    resized = functional.interpolate(pixels, (SIDE, SIDE), mode="bilinear", align_corners=False)
    return resized[0].permute(1, 2, 0).numpy()


def resize_tf_scipy(image: NDArray[np.uint8]) -> Pixels:
    """Resize as SciPy's ``imresize`` did: PIL's bilinear on 8 bits, rounded to 8 bits."""
    from PIL import Image

    resized = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(resized).astype(np.float32)


def scale_by_128(pixels: Tensor) -> Tensor:
    """Scale [0, 255] to [-1, 127/128]."""
    return (pixels - 128) / 128


def scale_to_one(pixels: Tensor) -> Tensor:
    """Scale [0, 255] to [-1, 1]; not the same as ``scale_by_128``."""
    return pixels / 255 * 2 - 1


_TORCH_FIDELITY = pretrained.TORCH_FIDELITY_INCEPTION_NAME
RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "clean",
            resize_clean,
            scale_by_128,
            pretrained.INCEPTION_NAME,
            "antialiased bicubic by PIL, not rounded; (x - 128) / 128; TorchScript of NVlabs",
        ),
        Recipe(
            "tf-compat",
            resize_tf_compat,
            scale_by_128,
            _TORCH_FIDELITY,
            "bilinear of TensorFlow 1; (x - 128) / 128; weights of torch-fidelity",
        ),
        Recipe(
            "pt-legacy",
            resize_pt_legacy,
            scale_to_one,
            pretrained.PYTORCH_FID_INCEPTION_NAME,
            "bilinear of PyTorch; x / 255 * 2 - 1; weights of pytorch-fid",
        ),
        Recipe(
            "tf-scipy",
            resize_tf_scipy,
            scale_to_one,
            # The original read TF-GAN's frozen graph, of which there is no PyTorch file; this
            # conversion is believed, not proven, to be the same network (spec section 1).
            _TORCH_FIDELITY,
            "bilinear by PIL, rounded; x / 255 * 2 - 1; weights of torch-fidelity, believed equal "
            "to the frozen graph of the original",
        ),
    )
}


def find_recipe(name: str) -> Recipe:
    """Return the recipe of this name.

    Raises:
        ValueError: If there is none, naming those there are.
    """
    if name not in RECIPES:
        raise ValueError(f"unknown feature recipe {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name]


class InceptionNetwork:
    """The Inception of a weights file, as far as pool3, on a device.

    Args:
        path: Of the file.
        device: Where it runs.
        is_script: Whether the file is TorchScript, and not a dictionary of tensors.

    Raises:
        ValueError: If it cannot be read as that.
    """

    def __init__(self, path: Path, device: str, *, is_script: bool) -> None:
        self._name, self._device = path.name, device
        load = _load_script if is_script else _load_state
        layers: Any = load(path).eval().to(device)
        self._layers = layers.to(memory_format=self._memory_format)

    @property
    def _memory_format(self) -> torch.memory_format:
        """Channels-last on a CPU, 1.2 to 1.7 times as fast there; elsewhere the default."""
        import torch

        is_cpu = torch.device(self._device).type == "cpu"
        return torch.channels_last if is_cpu else torch.contiguous_format

    def features(self, resized: Pixels, recipe: Recipe) -> NDArray[np.float32]:
        """Return the features (batch, 2048) of images (batch, 299, 299, 3) as the recipe resizes.

        Raises:
            UnfitWeights: If the file is not the Inception after all.
        """
        import torch

        with torch.no_grad(), full_precision():
            pixels = torch.from_numpy(resized).permute(0, 3, 1, 2)
            pixels = pixels.to(self._device).contiguous(memory_format=self._memory_format)
            found = self._layers(recipe.scale(pixels)).flatten(1)
        if found.shape[1] != WIDTH or not found.isfinite().all():
            raise pretrained.UnfitWeights(
                f"weights file {self._name} is not the Inception: its features are "
                f"{found.shape[1]} wide or not finite, not {WIDTH} wide and finite; get it again"
            )
        return found.float().cpu().numpy()


@lru_cache(maxsize=2)
def load_network(path: Path, sha256: str, device: str, *, is_script: bool) -> InceptionNetwork:
    """Load a network once for all sets of images; the hash tells whether the file has changed.

    Arguments and errors otherwise as of ``InceptionNetwork``.
    """
    del sha256
    return InceptionNetwork(path, device, is_script=is_script)


def corrupt(path: Path, expected: str) -> pretrained.UnfitWeights:
    """Make the error that a file of weights is not what its name says."""
    return pretrained.UnfitWeights(
        f"weights file {path.name} is corrupt or not the {expected}; get it again"
    )


@contextmanager
def full_precision() -> Iterator[None]:
    """Keep convolutions on a GPU from rounding their input to TF32, 10 bits of mantissa."""
    import torch

    with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False):
        yield


@lru_cache(maxsize=1)
def _clean_resizer() -> Callable[[NDArray[np.uint8]], Any]:
    from cleanfid.resize import make_resizer

    return make_resizer("PIL", False, "bicubic", (SIDE, SIDE))


@lru_cache(maxsize=16)
def _legacy_grid(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Pixels]:
    """Give, for each of 299 positions along a side, both neighbours and the second one's share."""
    positions = np.arange(SIDE, dtype=np.float32) * np.float32(size / SIDE)
    first = positions.astype(np.intp)
    return first, np.minimum(first + 1, size - 1), positions - first.astype(np.float32)


def _load_script(path: Path) -> Any:
    """Load the layers of the TorchScript network, without the resize it has of its own."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load` is")
        try:
            return torch.jit.load(path, map_location="cpu").layers
        except (*pretrained.UNREADABLE, AttributeError) as error:
            raise corrupt(path, "TorchScript Inception with a module `layers`") from error


def _load_state(path: Path) -> nn.Module:
    """Build the network from a state of weights; both conversions name them as torchvision does."""
    import torch

    network = _empty_inception()
    try:
        given = torch.load(path, map_location="cpu", weights_only=True)
        state = {
            name: torch.zeros((), dtype=torch.long)  # in training only; old files lack it
            if name.endswith(".num_batches_tracked")
            else given[name].float()
            for name in network.state_dict()
        }
        network.load_state_dict(state, assign=True)
    except (*pretrained.UNREADABLE, TypeError, AttributeError) as error:
        raise corrupt(path, "state of the Inception") from error
    network.fc = torch.nn.Identity()  # what follows pool3
    return network


def _empty_inception() -> Any:
    """Give the network without weights: torchvision's, with the pooling that TensorFlow had."""
    import torch
    from cleanfid import inception_pytorch as patched
    from torchvision.models.inception import Inception3

    with torch.device("meta"):
        network: Any = Inception3(num_classes=1008, aux_logits=False, init_weights=False)
        for name, channels, pooled in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
            setattr(network, f"Mixed_{name}", patched.FIDInceptionA(channels, pooled))
        for name, inner in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
            setattr(network, f"Mixed_{name}", patched.FIDInceptionC(768, inner))
        network.Mixed_7b = patched.FIDInceptionE_1(1280)
        network.Mixed_7c = patched.FIDInceptionE_2(2048)
    return network

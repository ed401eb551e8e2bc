"""One image against another, pixel by pixel: PSNR, SSIM, correlation of luminance.

An image is RGB or grey, uint8, or float64 in levels of 255 where its values have a range.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from i2i_bench.metric import Deferred, Metric, each

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[Any]
else:
    np = Deferred("numpy")

PSNR_CAP = (
    100.0  # dB; stands for equality in a mean, above what a difference can reach below 227 px
)
_PEAK = 255.0
_WINDOW_RADIUS = 5  # a window of 11 x 11 pixels
_WINDOW_SIGMA = 1.5
_LUMINANCE = (0.299, 0.587, 0.114)
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2  # Wang et al., 2004: K1 = 0.01, K2 = 0.03


def psnr(image: Image, truth: Image, mask: NDArray[np.bool_] | None = None) -> float:
    """Return the peak signal-to-noise ratio of one image in dB, peak 255.

    Args:
        image: (height, width, channels), uint8 or levels of 255.
        truth: The same.
        mask: Boolean (height, width); where given, only its pixels count.

    Returns:
        The ratio; inf where the images are equal.

    Raises:
        ValueError: If an image is unfit, the shapes differ, or the mask is unfit or empty.
    """
    _check_pair(image, truth)
    difference = image.astype(np.float64) - truth.astype(np.float64)
    if mask is not None:
        if mask.dtype != np.bool_ or mask.shape != image.shape[:2]:
            raise ValueError(
                f"the mask must be boolean of shape {image.shape[:2]}, "
                f"not {mask.dtype} of shape {mask.shape}"
            )
        if not mask.any():
            raise ValueError("the mask is empty: there is no pixel to compare")
        difference = difference[mask]
    error = float((difference**2).mean())
    return math.inf if error == 0 else 10 * math.log10(_PEAK**2 / error)


def mean_psnr(values: Iterable[float]) -> float:
    """Return the mean of PSNR values in dB, none counting for more than ``PSNR_CAP``.

    Without the cap one image equal to its truth would make the mean infinite. It holds for finite
    values too (possible from 227 x 227 pixels on), so that a better image never lowers the mean.

    Raises:
        ValueError: If there is no value or one is not a number.
    """
    capped = [min(value, PSNR_CAP) for value in values]
    if not capped or any(math.isnan(value) for value in capped):
        raise ValueError(f"a mean PSNR needs at least one value and numbers only, not {capped}")
    return math.fsum(capped) / len(capped)


def ssim(image: Image, truth: Image) -> float:
    """Return the structural similarity of one image (Wang et al., 2004), mean over all its values.

    Gaussian window of 11 x 11 pixels with sigma 1.5, K1 = 0.01, K2 = 0.03, population covariance;
    the 5 pixels along each border, where the window leaves the image, do not count.

    Args:
        image: (height, width, channels), uint8 or levels of 255.
        truth: The same.

    Returns:
        The similarity, at most 1.

    Raises:
        ValueError: If an image is unfit, the shapes differ, or a side is below 11 pixels.
    """
    _check_pair(image, truth)
    height, width = image.shape[:2]
    smallest = 2 * _WINDOW_RADIUS + 1
    if min(height, width) < smallest:
        raise ValueError(
            f"SSIM needs images of at least {smallest} x {smallest} pixels, not {height} x {width}"
        )
    x, y = image.astype(np.float64), truth.astype(np.float64)
    mean_x, mean_y = _smooth(x), _smooth(y)
    variance_x = _smooth(x * x) - mean_x**2
    variance_y = _smooth(y * y) - mean_y**2
    covariance = _smooth(x * y) - mean_x * mean_y
    similarity = ((2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)) / (
        (mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)
    )  # equation 13
    inside = slice(_WINDOW_RADIUS, -_WINDOW_RADIUS)
    return float(similarity[inside, inside].mean())


def luminance_correlation(image: Image, other: Image) -> float:
    """Return Pearson's correlation of the luminance of two images, in [-1, 1].

    1 where one is the other but for contrast and brightness, -1 where it is its negative. Luminance
    is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    Args:
        image: (height, width, channels), uint8 or levels of 255.
        other: The same.

    Returns:
        The correlation; nan where an image has a single luminance, which correlates with nothing.

    Raises:
        ValueError: If an image is unfit, or the shapes differ.
    """
    _check_pair(image, other)
    is_grey = image.shape[2] == 1
    weights = np.ones(1) if is_grey else np.array(_LUMINANCE)
    x, y = (side @ weights for side in (image, other))
    if x.max() == x.min() or y.max() == y.min():
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    ratio = float((x * y).sum() / math.sqrt((x * x).sum() * (y * y).sum()))
    return min(max(ratio, -1.0), 1.0)  # but for rounding


def mean_correlation(values: Iterable[float]) -> float:
    """Return the mean of the correlations that are defined: those that are not nan.

    Raises:
        ValueError: If there is none.
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        raise ValueError("every image has a single luminance")
    return math.fsum(known) / len(known)


def _capped(image: Image, truth: Image, mask: NDArray[np.bool_] | None = None) -> float:
    """Give the PSNR as it counts in a mean."""
    return min(psnr(image, truth, mask), PSNR_CAP)


def _capped_around(image: Image, truth: Image, foreground: NDArray[np.bool_]) -> float:
    """Give the PSNR of the background as it counts in a mean."""
    return _capped(image, truth, ~foreground)


def _check_pair(image: Image, truth: Image) -> None:
    """Refuse what is not two images of one shape, both uint8 or both in levels."""
    _check_shape("image", image)
    _check_shape("truth", truth)
    if image.shape[:2] == truth.shape[:2] and image.shape != truth.shape:
        counts = f"{image.shape[2]} and {truth.shape[2]}"
        raise ValueError(f"images of {counts} channels cannot be compared pixel by pixel")
    if image.shape != truth.shape:
        raise ValueError(f"image and truth differ in shape: {image.shape} and {truth.shape}")
    if image.dtype == truth.dtype == np.float64:  # levels: those that ``data.window`` gives
        return
    for name, array in (("image", image), ("truth", truth)):
        if array.dtype != np.uint8:
            raise ValueError(
                f"the {name} must be uint8 from 0 to 255, not {array.dtype} from "
                f"{array.min():.3g} to {array.max():.3g}; scale it to that range, round and "
                "convert it first"
            )


def _check_shape(name: str, array: Image) -> None:
    """Refuse another number of channels or size than those of an image."""
    if array.ndim != 3 or array.shape[2] not in (1, 3) or array.size == 0:
        raise ValueError(
            f"the {name} must be RGB of shape (height, width, 3), or grey of one channel, not of "
            f"shape {array.shape}"
        )


def _smooth(channels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average (height, width, channels) over the Gaussian window, each channel by itself."""
    from scipy.ndimage import gaussian_filter  # 0.3 s to import

    radius, sigma = (_WINDOW_RADIUS, _WINDOW_RADIUS, 0), (_WINDOW_SIGMA, _WINDOW_SIGMA, 0)
    return gaussian_filter(channels, sigma=sigma, radius=radius)


PSNR_FOREGROUND = Metric(
    "psnr_foreground",
    "PSNR fg",
    unit="dB",
    digits=2,
    better="higher",
    meaning="over the true foreground",
    needs=("fake", "truth", "foreground"),
    by_image=each(_capped),
    mean=mean_psnr,
    bounds=(0.0, PSNR_CAP),
    place=10,
    sees="levels",
)
PSNR_BACKGROUND = Metric(
    "psnr_background",
    "PSNR bg",
    unit="dB",
    digits=2,
    better="higher",
    meaning="over the true background; 100 where equal",
    needs=("fake", "truth", "foreground"),
    by_image=each(_capped_around),
    mean=mean_psnr,
    bounds=(0.0, PSNR_CAP),
    place=20,
    sees="levels",
)
PSNR = Metric(
    "psnr",
    "PSNR",
    unit="dB",
    digits=2,
    better="higher",
    needs=("fake", "truth"),
    by_image=each(_capped),
    mean=mean_psnr,
    bounds=(0.0, PSNR_CAP),
    place=50,
    is_required=True,
    sees="levels",
)
PSNR_CYCLE = Metric(
    "psnr_cycle",
    "PSNR cycle",
    unit="dB",
    digits=2,
    meaning="of the reconstruction",
    needs=("reconstruction", "source"),
    by_image=each(_capped),
    mean=mean_psnr,
    bounds=(0.0, PSNR_CAP),
    place=140,
    sees="levels",
)
SSIM = Metric(
    "ssim",
    "SSIM",
    digits=3,
    better="higher",
    needs=("fake", "truth"),
    by_image=each(ssim),
    bounds=(-1.0, 1.0),
    place=60,
    is_required=True,
    sees="levels",
)
PSNR_SOURCE = Metric(
    "psnr_source",
    "PSNR src",
    unit="dB",
    digits=2,
    meaning="between source and translation; 100 where equal",
    needs=("fake", "source"),
    by_image=each(_capped),
    mean=mean_psnr,
    bounds=(0.0, PSNR_CAP),
    of_identity=(PSNR_CAP, 0.0),
    place=116,
    sees="levels",
)
SSIM_SOURCE = Metric(
    "ssim_source",
    "SSIM src",
    digits=3,
    meaning="between source and translation",
    needs=("fake", "source"),
    by_image=each(ssim),
    bounds=(-1.0, 1.0),
    of_identity=(1.0, 1e-6),
    place=118,
    sees="levels",
)
COLOUR_CORRELATION = Metric(
    "colour_correlation",
    "colour correlation",
    needs=("source", "fake"),
    by_image=each(luminance_correlation),
    mean=mean_correlation,
    bounds=(-1.0, 1.0),
    of_identity=(1.0, 1e-6),
    is_shown=False,
    sees="levels",
)
COLOUR_CORRELATION_TRUTH = Metric(
    "colour_correlation_truth",
    "colour correlation of the truth",
    needs=("source", "truth"),
    by_image=each(luminance_correlation),
    mean=mean_correlation,
    bounds=(-1.0, 1.0),
    is_shown=False,
    sees="levels",
)

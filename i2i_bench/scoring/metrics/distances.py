"""Distances between two sets of image features: FID and the KID estimators, raw (not times 100).

Every function takes features as (images, width) arrays, real ones first, and computes in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from i2i_bench.metric import Deferred, Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Features = NDArray[np.float64]
else:
    np = Deferred("numpy")

_BLOCK_ELEMENTS = 2**23  # of one slab of a kernel matrix: 64 MiB in float64
_QR_ROWS = 4096


@dataclass(frozen=True, kw_only=True)
class Distance(Metric):
    """A distance of features, of which a protocol chooses recipe and estimator.

    Attributes:
        estimators: By name; each takes real and fake features and what the protocol states as
            keywords, and gives the value, or a pair of it and its spread.
    """

    estimators: Mapping[str, Callable[..., float | tuple[float, float]]] = field(
        default_factory=dict, compare=False
    )


class KernelSums(NamedTuple):
    """What the KID needs of a kernel matrix: sums along its rows (m,) and its columns (n,)."""

    rows: Features
    columns: Features


def fid(real: ArrayLike, fake: ArrayLike) -> float:
    """Return the Fréchet distance between Gaussians fitted to both sets (Heusel et al., 2017).

    With centred sets A and B, scaled so that A'A and B'B are the covariances (ddof 1), the trace of
    the matrix square root of their product is the sum of the singular values of A B': no matrix
    square root, exact at any rank. A set of more rows than columns is replaced by the triangle R of
    its QR decomposition, which has the same covariance: the problem never exceeds (width, width).

    Args:
        real: (m, width), m at least 2.
        fake: (n, width), n at least 2.

    Returns:
        The distance; rounding below zero is given as 0, the smallest possible value.

    Raises:
        ValueError: If a set is not a finite matrix, has fewer than 2 rows, or the widths differ.
    """
    x, y = _check_pair(real, fake)
    mean = x.mean(0) - y.mean(0)
    a, b = _covariance_factor(x), _covariance_factor(y)
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return max(float(mean @ mean + (a**2).sum() + (b**2).sum() - 2 * cross), 0.0)


def kid_unbiased(real: ArrayLike, fake: ArrayLike) -> tuple[float, float]:
    """Return the unbiased squared MMD over all images and its jackknife standard error.

    The kernel is (x.y / width + 1)^3 (Bińkowski et al., 2018). The value may be negative. The error
    is that of the two-sample delete-one jackknife, in closed form from sums of the kernel matrices.

    Args:
        real: (m, width), m at least 2.
        fake: (n, width), n at least 2.

    Returns:
        Value and standard error; the error is nan where a set has fewer than 3 rows, for which
        leaving one out is undefined.

    Raises:
        ValueError: If a set is not a finite matrix, has fewer than 2 rows, or the widths differ.
    """
    x, y = _check_pair(real, fake)
    return _with_error(_within_sums(x), _within_sums(y), _kernel_sums(x, y))


def kid_difference(
    real: ArrayLike, fake_one: ArrayLike, fake_other: ArrayLike
) -> tuple[float, float]:
    """Return by how much the unbiased KID of one model exceeds another's, and the standard error.

    Both are compared with the same real images and translate the same sources, so most of their
    noise is shared and cancels: the jackknife leaves the same real image, or the translations of
    the same source, out of both.

    Args:
        real: (m, width), m at least 2.
        fake_one: (n, width), n at least 2.
        fake_other: (n, width), row i of the same source as row i of ``fake_one``.

    Returns:
        Difference, positive where the first is farther from the real images, and standard error;
        the error is nan where a set has fewer than 3 rows.

    Raises:
        ValueError: If the translations do not pair up, or as in ``kid_unbiased``.
    """
    x, one = _check_pair(real, fake_one)
    _, other = _check_pair(real, fake_other)
    if len(one) != len(other):
        raise ValueError(
            f"{len(one)} translations cannot be paired with {len(other)}; "
            "compare models on the same sources, in the same order"
        )
    first, second = _kernel_sums(x, one), _kernel_sums(x, other)
    across = KernelSums(first.rows - second.rows, first.columns - second.columns)
    within_real = np.zeros(len(x))  # the same in both: cancels
    return _with_error(within_real, _within_sums(one) - _within_sums(other), across)


def kid_blocks(real: ArrayLike, fake: ArrayLike, block: int = 10) -> tuple[float, float]:
    """Return the mean unbiased squared MMD of disjoint blocks of images and its standard error.

    Both sets are cut, in the order given, into ceil(max(m, n) / block) blocks; where that does not
    divide a set, its last blocks have one image more (taki0112/GAN_Metrics-Tensorflow). The value
    depends on the order of the images.

    Args:
        real: (m, width).
        fake: (n, width).
        block: Largest number of images in a block.

    Returns:
        Value and standard error; the error is nan where there is a single block.

    Raises:
        ValueError: If a block would hold fewer than 2 images, or as in ``kid_unbiased``.
    """
    x, y = _check_pair(real, fake)
    if block < 2:
        raise ValueError(f"block must be at least 2 images, not {block}")
    num_blocks = math.ceil(max(len(x), len(y)) / block)
    if min(len(x), len(y)) < 2 * num_blocks:
        raise ValueError(
            f"{len(x)} real and {len(y)} fake images in {num_blocks} blocks leave a block with "
            "fewer than two images; choose a larger block"
        )
    pairs = zip(_cut(x, num_blocks), _cut(y, num_blocks), strict=True)
    values = np.array([_squared_mmd(a, b) for a, b in pairs])
    if num_blocks == 1:
        return float(values[0]), math.nan
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(num_blocks))


def kid_subsets(
    real: ArrayLike, fake: ArrayLike, subsets: int, size: int, seed: int
) -> tuple[float, float]:
    """Return mean and standard deviation (ddof 0) of the unbiased squared MMD over random subsets.

    Subsets are drawn without replacement from ``numpy.random.RandomState(seed)``, the real one
    first (toshas/torch-fidelity).

    Args:
        real: (m, width).
        fake: (n, width).
        subsets: Number of subsets.
        size: Images of each set in a subset; where it is the whole set the deviation says nothing.
        seed: Seed of the draws.

    Raises:
        ValueError: If a subset is larger than a set or smaller than 2, or as in ``kid_unbiased``.
    """
    x, y = _check_pair(real, fake)
    if not 2 <= size <= min(len(x), len(y)):
        raise ValueError(
            f"a subset of {size} images cannot be drawn from {len(x)} real and {len(y)} fake "
            f"images; possible: 2 to {min(len(x), len(y))}"
        )
    if subsets < 1:
        raise ValueError(f"at least one subset is needed, not {subsets}")
    random = np.random.RandomState(seed)
    draws = [
        tuple(random.choice(len(features), size, replace=False) for features in (x, y))
        for _ in range(subsets)
    ]
    if max(len(x), len(y)) ** 2 <= subsets * size**2:  # all pairs are fewer than those drawn
        values = _squared_mmd_of_subsets(x, y, draws)
    else:
        values = [_squared_mmd(x[a], y[b]) for a, b in draws]
    return float(np.mean(values)), float(np.std(values))


def _check_pair(real: ArrayLike, fake: ArrayLike) -> tuple[Features, Features]:
    """Give both sets as float64, or say what is wrong with them."""
    x, y = _check_set(real, "real"), _check_set(fake, "fake")
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"real features are {x.shape[1]} wide and fake features {y.shape[1]}; "
            "both must come from the same extractor"
        )
    return x, y


def _check_set(features: ArrayLike, name: str) -> Features:
    """Give one set as float64 (images, width)."""
    array = np.asarray(features, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} features must have shape (images, width), not {array.shape}")
    if len(array) < 2:
        raise ValueError(f"{name} features hold {len(array)} image(s); at least 2 are needed")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} features contain values that are not finite")
    return array


def _covariance_factor(x: Features) -> Features:
    """Give A (at most width, width) with A'A the covariance of x (ddof 1)."""
    scale = math.sqrt(len(x) - 1)
    mean, width = x.mean(0), x.shape[1]
    if len(x) <= width:
        return (x - mean) / scale
    factor = np.empty((0, width))
    for start in range(0, len(x), _QR_ROWS):  # in slabs: no second copy of a large set
        slab = x[start : start + _QR_ROWS] - mean
        factor = np.asarray(np.linalg.qr(np.concatenate([factor, slab]), mode="r"))
    return factor / scale


def _kernel(x: Features, y: Features) -> Features:
    """Give the kernel matrix (m, n), in place where possible."""
    products = x @ y.T
    products /= x.shape[1]
    products += 1
    cubes = products * products
    cubes *= products
    return cubes


def _slabs(x: Features, y: Features) -> Iterator[tuple[slice, Features]]:
    """Give the kernel matrix a slab of rows at a time, and which rows these are."""
    step = max(1, _BLOCK_ELEMENTS // len(y))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        yield rows, _kernel(x[rows], y)


def _kernel_sums(x: Features, y: Features) -> KernelSums:
    """Sum the kernel matrix of x (m, width) and y (n, width)."""
    rows, columns = np.empty(len(x)), np.zeros(len(y))
    for part, slab in _slabs(x, y):
        rows[part] = slab.sum(1)
        columns += slab.sum(0)
    return KernelSums(rows, columns)


def _within_sums(x: Features) -> Features:
    """Sum the rows of the kernel matrix of a set with itself, without its diagonal.

    Of the symmetric matrix only the upper triangle is computed, a slab of rows at a time.
    """
    step = max(1, _BLOCK_ELEMENTS // len(x))
    sums = np.zeros(len(x))
    for start in range(0, len(x), step):
        slab = _kernel(x[start : start + step], x[start:])
        np.fill_diagonal(slab, 0)
        end = start + len(slab)
        sums[start:end] += slab.sum(1)
        sums[end:] += slab[:, len(slab) :].sum(0)
    return sums


def _squared_mmd(x: Features, y: Features) -> float:
    """Give the unbiased squared MMD of two small sets."""
    within_x, within_y = _kernel(x, x), _kernel(y, y)
    value = _unbiased(
        within_x.sum() - np.trace(within_x),
        within_y.sum() - np.trace(within_y),
        _kernel(x, y).sum(),
        size=(len(x), len(y)),
    )
    return float(value)


def _squared_mmd_of_subsets(
    x: Features, y: Features, draws: list[tuple[NDArray[np.int64], ...]]
) -> Features:
    """Give the unbiased squared MMD of many subsets from one kernel matrix of each kind.

    Args:
        x: (m, width).
        y: (n, width).
        draws: Indices of each subset in x and in y, as many in each.
    """
    members = np.zeros((len(draws), len(x))), np.zeros((len(draws), len(y)))
    for subset, both in enumerate(draws):
        for side, indices in zip(members, both, strict=True):
            side[subset, indices] = 1
    within = []
    for features, side in zip((x, y), members, strict=True):
        diagonal = ((features**2).sum(1) / features.shape[1] + 1) ** 3
        within.append(_subset_sums(features, features, side, side) - side @ diagonal)
    size = len(draws[0][0])
    return _unbiased(within[0], within[1], _subset_sums(x, y, *members), size=(size, size))


def _subset_sums(x: Features, y: Features, in_x: Features, in_y: Features) -> Features:
    """Sum the kernel matrix over subsets of its rows and columns.

    Args:
        x: (m, width).
        y: (n, width).
        in_x: (subsets, m), 1 for the members of a subset and 0 for others.
        in_y: (subsets, n).
    """
    sums = np.zeros(len(in_x))
    for rows, slab in _slabs(x, y):
        sums += ((in_x[:, rows] @ slab) * in_y).sum(1)
    return sums


def _unbiased(within_x: Any, within_y: Any, across: Any, *, size: tuple[int, int]) -> Any:
    """Combine sums of kernels, those within a set without their diagonal; numbers or arrays."""
    m, n = size
    return within_x / (m * (m - 1)) + within_y / (n * (n - 1)) - 2 * across / (m * n)


def _with_error(within_x: Features, within_y: Features, across: KernelSums) -> tuple[float, float]:
    """Give the unbiased estimate and its standard error.

    Args:
        within_x: (m,) row sums of the kernel of the first set, without its diagonal.
        within_y: (n,) the same of the second set.
        across: Sums of the kernel between the sets.
    """
    size = (len(within_x), len(within_y))
    value = _unbiased(within_x.sum(), within_y.sum(), across.rows.sum(), size=size)
    return float(value), _jackknife_error(within_x, within_y, across)


def _jackknife_error(within_x: Features, within_y: Features, across: KernelSums) -> float:
    """Give the standard error of the unbiased estimate from its delete-one values, linear in all.

    Arguments as in ``_with_error``.
    """
    m, n = len(within_x), len(within_y)
    if min(m, n) < 3:
        return math.nan
    a, b, c = within_x.sum(), within_y.sum(), across.rows.sum()
    # Without the i-th image of one set; terms that do not change with i cancel in the deviations.
    without_x = (a - 2 * within_x) / ((m - 1) * (m - 2)) - 2 * (c - across.rows) / ((m - 1) * n)
    without_y = (b - 2 * within_y) / ((n - 1) * (n - 2)) - 2 * (c - across.columns) / (m * (n - 1))
    variance = (m - 1) * without_x.var() + (n - 1) * without_y.var()
    return math.sqrt(variance)


def _cut(x: Features, num_blocks: int) -> list[Features]:
    """Cut into consecutive blocks, the last ones larger by one where they cannot be equal."""
    size, larger = divmod(len(x), num_blocks)
    sizes = [size] * (num_blocks - larger) + [size + 1] * larger
    return np.split(x, np.cumsum(sizes)[:-1])


def key_beside(key: str, side: str) -> str:
    """Put a side into a key, after the distance: ``kid_se`` becomes ``kid_source_se``."""
    return f"{key[:3]}_{side}{key[3:]}"


def _beside(distance: Distance, side: Literal["target", "source"], **changes: Any) -> Distance:
    """Give the distance to one of the sets that a protocol may mix, or state beside it."""
    whole = {
        "key": key_beside(distance.key, side),
        "title": f"{distance.title} {'tgt' if side == 'target' else 'src'}",
        "spreads": tuple(key_beside(key, side) for key in distance.spreads),
        "estimators": {},
    }
    return replace(distance, **(whole | changes))


FID = Distance(
    "fid",
    "FID",
    digits=1,
    better="lower",
    bounds=(0.0, math.inf),
    weights_field="weights_sha256",
    place=30,
    estimators={"fid_lowrank": fid},
)
KID = Distance(
    "kid",
    "KID",
    unit="x100",
    digits=2,
    better="lower",
    scale=100,
    bounds=(-1.0, math.inf),  # unbiased: below zero by its noise
    spreads=("kid_se", "kid_sd"),
    weights_field="weights_sha256",
    place=40,
    estimators={
        "kid_ustat": kid_unbiased,
        "kid_blocks": kid_blocks,
        "kid_subsets": kid_subsets,
    },
)
FID_TARGET = _beside(FID, "target", meaning="to the target images alone", place=150)
KID_TARGET = _beside(KID, "target", meaning="to the target images alone", place=160)
FID_SOURCE = _beside(
    FID,
    "source",
    better="",
    meaning="to the source images",
    of_identity=(0.0, 1e-3),  # of the distance of a set to itself, against some tens
    place=170,
)
BIASED = (FID, FID_TARGET, FID_SOURCE)  # the more, the fewer images there are
KID_SOURCE = _beside(KID, "source", better="", meaning="to the source images", place=180)
KID_ORDER_MEAN = replace(
    KID,
    key="kid_order_mean",
    title="KID orders",
    better="",
    meaning="over orders of the files",
    spreads=("kid_order_sd",),
    place=190,
    estimators={},
)
KID_ORDERS = Metric("kid_orders", "orders of the files", bounds=(0.0, math.inf), is_shown=False)

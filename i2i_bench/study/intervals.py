"""How sure a percentage is: exact for one count, and by resampling people and images."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

from i2i_bench.study.judgements import Judgements

Cluster = Literal["people", "people and images"]
LEVEL = 0.95
DRAWS = 10_000  # as phillipi/AMT_Real_vs_Fake
PART = 250  # draws at a time, which bounds memory
UNMOVED = "all answers are alike, and resampling them says nothing; see the exact binomial interval"
Draws = NDArray[np.float64]


class Interval(NamedTuple):
    """Limits between which a value lies, of a stated probability."""

    low: float
    high: float


def binomial_interval(points: int, answers: int, level: float = LEVEL) -> Interval:
    """Give the exact interval of Clopper and Pearson for a share.

    It takes answers for independent ones: it holds for these people and images, and says nothing
    of others.

    Args:
        points: How many.
        answers: Of how many, at least 1.
        level: Probability.
    """
    found = stats.binomtest(points, answers).proportion_ci(level, method="exact")
    return Interval(float(found.low), float(found.high))


def compatible_bootstrap(found: Judgements, num_draws: int = DRAWS, seed: int = 0) -> Draws:
    """Resample people, then answers within each, as phillipi/AMT_Real_vs_Fake does.

    Returns:
        Shares of points, (draws, methods). A method that a draw does not hold has NaN.
    """
    random = np.random.default_rng(seed)
    kinds, kind = _kinds(found)
    table = np.zeros((found.num_people, len(kinds)), np.int64)  # answers of a person by kind
    np.add.at(table, (found.person, kind), 1)
    numbers = table.sum(axis=1)
    parts = []
    for size in _parts(num_draws):
        times = random.multinomial(found.num_people, _even(found.num_people), size)
        counts = np.zeros((size, len(kinds)), np.int64)
        for person, row in enumerate(table):
            drawn = times[:, person] * numbers[person]
            counts += random.multinomial(drawn, row / numbers[person])
        parts.append(_shares(counts @ kinds[:, 1], counts @ kinds[:, 0]))
    return np.concatenate(parts)


def _kinds(found: Judgements) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the different answers there are, (kinds, 2: shown and points, methods), and each's."""
    both = np.stack([found.shown.astype(np.int64), found.points], axis=1)
    flat, kind = np.unique(both.reshape(len(both), -1), axis=0, return_inverse=True)
    return flat.reshape(len(flat), 2, -1), kind.reshape(-1)


def people_bootstrap(found: Judgements, num_draws: int = DRAWS, seed: int = 0) -> Draws:
    """Resample people with all their answers; as many of each method where each judged only one.

    Returns:
        Shares of points, (draws, methods).
    """
    random = np.random.default_rng(seed)
    points, shown = (_by_person(found, each) for each in (found.points, found.shown))
    parts = []
    for size in _parts(num_draws):
        times = _resampled_people(found, random, size)
        parts.append(_shares(times @ points, times @ shown))
    return np.concatenate(parts)


def two_way_bootstrap(found: Judgements, num_draws: int = DRAWS, seed: int = 0) -> Draws:
    """Resample people and, independently, images: an answer counts as often as both are drawn.

    Its spread is too wide, as it counts the noise of single answers three times (Owen, The
    pigeonhole bootstrap, 2007); ``cluster_interval`` corrects that.

    Returns:
        Shares of points, (draws, methods).

    Raises:
        ValueError: If images are not known.
    """
    if found.image is None:
        raise ValueError("which images were shown is not known, so they cannot be resampled")
    random = np.random.default_rng(seed)
    num_images = int(found.image.max()) + 1
    shape = (found.num_people, num_images)
    place = (found.person, found.image)
    tables = [
        [sparse.csr_array((each[:, m], place), shape) for m in range(len(found.methods))]
        for each in (found.points, found.shown.astype(np.int64))
    ]
    parts = []
    for size in _parts(num_draws):
        people = _resampled_people(found, random, size)
        images = random.multinomial(num_images, _even(num_images), size)
        points, shown = (
            np.stack([((people @ table) * images).sum(axis=1) for table in each], axis=1)
            for each in tables
        )
        parts.append(_shares(points, shown))
    return np.concatenate(parts)


def _by_person(found: Judgements, values: NDArray[np.generic]) -> NDArray[np.int64]:
    sums = np.zeros((found.num_people, len(found.methods)), np.int64)
    np.add.at(sums, found.person, values.astype(np.int64))
    return sums


def _resampled_people(
    found: Judgements, random: np.random.Generator, num_draws: int
) -> NDArray[np.int64]:
    """Give how often each person is drawn, (draws, people)."""
    times = np.zeros((num_draws, found.num_people), np.int64)
    for group in np.unique(found.groups):
        of_group = np.flatnonzero(found.groups == group)
        times[:, of_group] = random.multinomial(len(of_group), _even(len(of_group)), num_draws)
    return times


def _even(number: int) -> NDArray[np.float64]:
    return np.full(number, 1 / number)


def _parts(num_draws: int) -> list[int]:
    return [min(PART, num_draws - start) for start in range(0, num_draws, PART)]


def _shares(points: NDArray[np.int64], shown: NDArray[np.int64]) -> Draws:
    with np.errstate(invalid="ignore"):
        return points / shown


def cluster_interval(
    found: Judgements,
    draws: Draws,
    contrast: NDArray[np.float64],
    cluster: Cluster,
    level: float = LEVEL,
) -> Interval | str:
    """Give the percentile interval of a sum of shares, corrected for how draws spread.

    Deviations of the draws are scaled to the standard error that the answers themselves give:
    the sum of squares over people plus that over images less that over answers (Cameron, Gelbach
    and Miller, 2011), each times n/(n-1), and by Student's t over the normal quantile, with
    Satterthwaite's degrees of freedom. Without this 50 people cover in 98 instead of 95 %.

    Args:
        found: The answers.
        draws: Resampled shares, (draws, methods).
        contrast: Weight of each method, (methods,): 1 for one alone, 1 and -1 for a difference.
        cluster: What was resampled.
        level: Probability.

    Returns:
        The interval, within [-1, 1], and [0, 1] for one share; or why there is none.
    """
    variance, freedom = cluster_variance(found, contrast, cluster)
    used = np.flatnonzero(contrast)
    sample = draws[:, used] @ contrast[used]
    sample = sample[np.isfinite(sample)]
    if not len(sample) or sample.std() == 0 or variance <= 0:
        return UNMOVED
    if freedom < 1:
        return "one person, or one image, says nothing of others"
    centre = float(found.shares[used] @ contrast[used])
    tail = (1 - level) / 2
    wide = stats.t.ppf(1 - tail, freedom) / stats.norm.ppf(1 - tail)
    scale = wide * np.sqrt(variance) / sample.std()
    low, high = centre + scale * (np.quantile(sample, [tail, 1 - tail]) - sample.mean())
    floor = -1.0 if (contrast < 0).any() else 0.0
    return Interval(float(max(low, floor)), float(min(high, 1.0)))


def cluster_variance(
    found: Judgements, contrast: NDArray[np.float64], cluster: Cluster
) -> tuple[float, float]:
    """Give the squared standard error of a sum of shares, and its degrees of freedom.

    Args:
        found: The answers.
        contrast: Weight of each method, (methods,).
        cluster: Whether answers to one image, too, hang together.
    """
    used = contrast != 0
    parts = np.where(found.shown, found.points - found.shares, 0.0) / found.answers
    pull = parts[:, used] @ contrast[used]  # of each answer on the estimate
    told = found.shown[:, used].any(axis=1)
    of_people, num_people = _squares(pull[told], found.person[told])
    if cluster == "people":
        return of_people, num_people - 1
    if found.image is None:
        raise ValueError("which images were shown is not known")
    of_images, num_images = _squares(pull[told], found.image[told])
    both = of_people + of_images - float(pull @ pull)
    if both <= max(of_people, of_images):  # images, or people, do not differ
        is_people = of_people >= of_images
        return max(of_people, of_images), (num_people if is_people else num_images) - 1
    parts_of_freedom = of_people**2 / max(num_people - 1, 1) + of_images**2 / max(num_images - 1, 1)
    freedom = both**2 / parts_of_freedom if min(num_people, num_images) > 1 else 0.0
    return both, freedom


def _squares(pull: NDArray[np.float64], cluster: NDArray[np.int64]) -> tuple[float, int]:
    """Give the sum of squares over clusters, times n/(n-1), and the number of clusters."""
    names, which = np.unique(cluster, return_inverse=True)
    sums = np.bincount(which.reshape(-1), pull)
    number = len(names)
    return float(sums @ sums) * number / max(number - 1, 1), number


def probability_higher(draws: Draws) -> NDArray[np.float64]:
    """Give how often each method is above each other over the draws, ties one half.

    Returns:
        (methods, methods), the first above the second; NaN on the diagonal.
    """
    number = draws.shape[1]
    found = np.full((number, number), np.nan)
    for one in range(number):
        for other in range(number):
            if one != other:
                both = draws[np.isfinite(draws[:, one] + draws[:, other])]
                above = (both[:, one] > both[:, other]).mean()
                found[one, other] = above + (both[:, one] == both[:, other]).mean() / 2
    return found

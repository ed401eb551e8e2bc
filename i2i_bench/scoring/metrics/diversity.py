"""How far outputs of one image are apart, by LPIPS: our default, and the recipes of papers.

Recipes differ in how many outputs of how many images are paired, and how; their values do not
compare. Output k is that of ``Randomness(k)``, and which outputs make a random pair is drawn by the
position of the image alone, so that a value can be repeated. A recipe of a number of inputs takes
the first ones in the order of the task.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from i2i_bench.metric import Deferred, Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from i2i_bench.data.mixed import MixedImages
    from i2i_bench.scoring.outputs import RandomImages

    Images = MixedImages | NDArray[np.uint8]  # (outputs, height, width, 3), of one input
    Outputs = Images | RandomImages
else:
    np = Deferred("numpy")

Pairs = list[tuple[int, int]]
NUM_INPUTS = 100  # of BicycleGAN's, MUNIT's and DRIT's recipes
STARGANV2_SEEDS = 10  # of as many outputs each
PAIR_SEED = 0


def diversity(outputs: Outputs, device: str) -> tuple[float, float]:
    """Return the mean LPIPS of all pairs of outputs of an input, and its error over inputs.

    Args:
        outputs: For each input uint8 (outputs, height, width, 3), two at least.
        device: Where LPIPS is computed.

    Returns:
        The mean over inputs, and its standard error by the jackknife that leaves an input out,
        which for a mean is the standard deviation over the root of their number; NaN for one input.

    Raises:
        ValueError: If images are unfit or there are no weights; so below.
    """
    means = [_mean(images, all_pairs(len(images)), device) for images in outputs]
    error = np.std(means, ddof=1) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    return float(np.mean(means)), float(error)


def diversity_bicyclegan(outputs: Outputs, device: str, num_inputs: int = NUM_INPUTS) -> float:
    """Return the mean LPIPS, version 0.0, of consecutive outputs of 100 inputs.

    BicycleGAN's README: 20 outputs of random z each, 19 pairs, 1,900 in all.

    Args:
        outputs: For each input uint8 (20, height, width, 3).
        device: Where LPIPS is computed.
        num_inputs: How many of them count.
    """
    means = [
        _mean(images, [(i, i + 1) for i in range(len(images) - 1)], device, "0.0")
        for images in _first(outputs, num_inputs)
    ]
    return float(np.mean(means))


def diversity_munit(outputs: Outputs, device: str, num_inputs: int = NUM_INPUTS) -> float:
    """Return the mean LPIPS of 19 pairs of 100 inputs, every pair of two fresh outputs.

    The authors in issue 25 of NVlabs/MUNIT: 38 style vectors of each input, 1,900 pairs in all.

    Args:
        outputs: For each input uint8 (38, height, width, 3).
        device: Where LPIPS is computed.
        num_inputs: How many of them count.
    """
    means = [
        _mean(images, [(i, i + 1) for i in range(0, len(images) - 1, 2)], device)
        for images in _first(outputs, num_inputs)
    ]
    return float(np.mean(means))


def diversity_drit(fakes: Images, device: str, num_inputs: int = NUM_INPUTS) -> float:
    """Return the mean LPIPS of 1,000 random pairs of translations of different inputs.

    An author in issue 24 of HsinYingLee/DRIT: one translation of each of 100 inputs, so that it
    measures how inputs differ as well.

    Args:
        fakes: uint8 (images, height, width, 3), one of each input.
        device: Where LPIPS is computed.
        num_inputs: How many of them count.
    """
    chosen = np.stack(list(_first(fakes, num_inputs)))
    return _mean(chosen, random_pairs(0, num_inputs, 1000), device)


def diversity_msgan(outputs: Outputs, device: str) -> float:
    """Return the mean LPIPS of 50 random pairs of 50 outputs of every input.

    Issue 12 of HelenMao/MSGAN.

    Args:
        outputs: For each input uint8 (50, height, width, 3).
        device: Where LPIPS is computed.
    """
    return _mean_of_random(outputs, 50, device)


def diversity_dsmap(outputs: Outputs, device: str) -> float:
    """Return the mean LPIPS of 15 random pairs of 100 outputs of every input.

    Issue 5 of acht7111020/DSMAP.

    Args:
        outputs: For each input uint8 (100, height, width, 3).
        device: Where LPIPS is computed.
    """
    return _mean_of_random(outputs, 15, device)


def diversity_starganv2(outputs: Outputs, device: str) -> float:
    """Return the mean LPIPS of all 45 pairs of 10 outputs of every input, the mean of 10 seeds.

    clovaai/stargan-v2, whose own LPIPS is version 0.1 but for how it keeps from dividing by zero.
    Its tables have the mean over directions, a score the value of one.

    Args:
        outputs: For each input uint8 (100, height, width, 3), ten of each seed in turn.
        device: Where LPIPS is computed.
    """

    def pairs(count: int) -> Pairs:
        size = count // STARGANV2_SEEDS
        starts = range(0, count, size)
        return [(start + i, start + j) for start in starts for i, j in all_pairs(size)]

    return float(np.mean([_mean(images, pairs(len(images)), device) for images in outputs]))


def all_pairs(count: int) -> Pairs:
    """Return every pair of so many outputs, once."""
    return list(itertools.combinations(range(count), 2))


def random_pairs(position: int, count: int, num_pairs: int) -> Pairs:
    """Draw pairs of two different outputs; a pair may come again.

    Args:
        position: Of the input, which decides the draw.
        count: Outputs of it.
        num_pairs: How many pairs.
    """
    random = np.random.RandomState([PAIR_SEED, position])
    first = random.randint(0, count, num_pairs)
    other = (first + random.randint(1, count, num_pairs)) % count
    return list(zip(first.tolist(), other.tolist(), strict=True))


def _mean_of_random(outputs: Outputs, num_pairs: int, device: str) -> float:
    means = [
        _mean(images, random_pairs(i, len(images), num_pairs), device)
        for i, images in enumerate(outputs)
    ]
    return float(np.mean(means))


def _mean(
    images: Images, pairs: Pairs, device: str, version: Literal["0.0", "0.1"] = "0.1"
) -> float:
    """Return the mean LPIPS of pairs, extracting features of the images in them only."""
    from i2i_bench.scoring.features.lpips import lpips_of_pairs

    used = sorted({i for pair in pairs for i in pair})
    places = {each: place for place, each in enumerate(used)}
    renamed = [(places[i], places[j]) for i, j in pairs]
    return float(np.mean(lpips_of_pairs([images[i] for i in used], renamed, device, version)))


def _first(outputs: Outputs, count: int) -> Iterator[Images]:
    """Give what belongs to the first inputs; with fewer, a value would be of another recipe."""
    if len(outputs) < count:
        raise ValueError(f"the recipe is of {count} images, and there are {len(outputs)}")
    return (outputs[i] for i in range(count))


def _recipe(
    name: str, function: Callable[..., float], num_outputs: int, place: int, meaning: str
) -> Metric:
    """Make the row of a paper's recipe."""
    is_within = num_outputs > 1
    return Metric(
        f"diversity_{name.lower().replace(' ', '')}",
        f"diversity {name}",
        digits=3,
        better="higher",
        meaning=meaning,
        needs=("outputs", "device") if is_within else ("fake", "device"),
        of_set=function,
        bounds=(0.0, math.inf),
        of_identity=(0.0, 1e-6) if is_within else None,
        weights_field="lpips_sha256",
        num_outputs=num_outputs,
        is_default=False,
        place=place,
    )


DIVERSITY = Metric(
    "diversity",
    "diversity",
    digits=3,
    better="higher",
    meaning="mean LPIPS of all 190 pairs of 20 outputs, ± jackknife over inputs; real: random "
    "pairs of real images",
    needs=("outputs", "device"),
    of_set=diversity,
    bounds=(0.0, math.inf),
    of_identity=(0.0, 1e-6),
    spreads=("diversity_se",),
    weights_field="lpips_sha256",
    is_default=False,
    place=140,
)
BICYCLEGAN = _recipe(
    *("BicycleGAN", diversity_bicyclegan, 20, 141),
    "LPIPS 0.0 of 19 consecutive pairs of 20 outputs of 100 inputs",
)
MUNIT = _recipe(
    *("MUNIT", diversity_munit, 38, 142), "LPIPS of 19 independent pairs of outputs of 100 inputs"
)
DRIT = _recipe(*("DRIT", diversity_drit, 1, 143), "LPIPS of 1,000 random pairs across 100 inputs")
MSGAN = _recipe(
    *("MSGAN", diversity_msgan, 50, 144), "LPIPS of 50 random pairs of 50 outputs of each input"
)
DSMAP = _recipe(
    *("DSMAP", diversity_dsmap, 100, 145), "LPIPS of 15 random pairs of 100 outputs of each input"
)
STARGANV2 = _recipe(
    *("StarGANv2", diversity_starganv2, 100, 146),
    "LPIPS of all 45 pairs of 10 outputs of each input, mean of 10 seeds",
)

"""Whether intervals of studies hold what they promise: simulated people with known abilities.

Each study asks 50 people about two methods with images that all share. How easily a person is
fooled, and how well an image fools, are drawn from normal distributions; chances are known, so that
it is known what each interval should cover:

* the share of these people and images, which is the mean of the chances of what was shown;
* the share of people like these, with these images;
* the share of people and images like these.

python benchmarks/studies.py --output benchmarks/studies.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from i2i_bench.study import intervals
from i2i_bench.study.intervals import Cluster
from i2i_bench.study.judgements import Judgements

TARGETS = ("these people and images", "people", "people and images")
METHODS = ("first", "second")
EXACT = 10  # times as many studies for the exact interval, which costs little


@dataclass(frozen=True)
class World:
    """What studies are drawn from.

    Attributes:
        name: For the table.
        shares: Chance of each method to fool, at the mean person and image.
        people_sd: Of the chance over people.
        images_sd: Of the chance over images.
        people: Of a study.
        images: Of a study.
        trials: Of a person.
    """

    name: str
    shares: tuple[float, float] = (0.3, 0.25)
    people_sd: float = 0.08
    images_sd: float = 0.08
    people: int = 50
    images: int = 100
    trials: int = 40


WORLDS = (
    World("people and images differ"),
    World("people differ", images_sd=0.0),
    World("images differ", people_sd=0.0),
    World("all are alike", people_sd=0.0, images_sd=0.0),
    World("few images", images=20),
    World("seldom fooled", shares=(0.06, 0.04), people_sd=0.015, images_sd=0.015),
)


def drawn_study(world: World, seed: int) -> tuple[Judgements, dict[str, NDArray[np.float64]]]:
    """Draw a study, and the share of each method for each target."""
    random = np.random.default_rng([WORLDS.index(world), seed])
    people = random.normal(0, world.people_sd, (world.people, 1, 2))
    images = random.normal(0, world.images_sd, (1, world.images, 2))
    chances = np.clip(np.array(world.shares) + people + images, 0, 1)
    person = np.repeat(np.arange(world.people), world.trials)
    order = [random.permutation(max(world.images, world.trials)) for _ in range(world.people)]
    image = np.concatenate([each[: world.trials] for each in order]) % world.images
    method = np.tile(np.arange(world.trials) % 2, world.people)
    chance = chances[person, image, method]
    shown = method[:, None] == np.arange(2)
    points = (shown & (random.random(len(person)) < chance)[:, None]).astype(np.int64)
    found = Judgements("fooled", METHODS, person, shown, points, image)
    of_shown = np.array([chance[method == m].mean() for m in range(2)])
    of_people = np.clip(np.array(world.shares) + images[0], 0, 1).mean(axis=0)
    return found, dict(zip(TARGETS, (of_shown, of_people, np.array(world.shares)), strict=True))


@cache
def _exact(points: int, answers: int) -> intervals.Interval:
    return intervals.binomial_interval(points, answers)


def exact(found: Judgements) -> intervals.Interval:
    """Give the exact binomial interval of the first method."""
    return _exact(int(found.counts[0]), int(found.answers[0]))


def exact_coverage(world: World, num_studies: int) -> float:
    """Give the percentage of studies in which the exact interval holds what it speaks of."""
    held = 0
    for seed in range(num_studies):
        found, targets = drawn_study(world, seed)
        low, high = exact(found)
        held += bool(low <= targets[TARGETS[0]][0] <= high)
    return round(100 * held / num_studies, 1)


def covered(world: World, seed: int, num_draws: int) -> Iterator[tuple[str, str, bool]]:
    """Tell which intervals of a study hold which targets, for its first method."""
    found, targets = drawn_study(world, seed)
    compatible = intervals.compatible_bootstrap(found, num_draws, seed)
    one = np.array([1.0, 0.0])
    limits: dict[str, object] = {
        "exact binomial": exact(found),
        "compatible": intervals.Interval(*np.quantile(compatible[:, 0], [0.025, 0.975])),
    }
    clusters: tuple[tuple[Cluster, NDArray[np.float64]], ...] = (
        ("people", intervals.people_bootstrap(found, num_draws, seed)),
        ("people and images", intervals.two_way_bootstrap(found, num_draws, seed)),
    )
    for cluster, draws in clusters:
        limits[cluster] = intervals.cluster_interval(found, draws, one, cluster)
    for name, interval in limits.items():
        for target, share in targets.items():
            is_there = isinstance(interval, intervals.Interval)
            yield name, target, is_there and interval.low <= share[0] <= interval.high


def _covered(job: tuple[World, int, int]) -> list[tuple[str, str, bool]]:
    return list(covered(*job))


def coverage(world: World, num_studies: int, num_draws: int, workers: int) -> dict[str, object]:
    """Give the percentage of studies in which each interval holds each target."""
    jobs = [(world, seed, num_draws) for seed in range(num_studies)]
    held: dict[str, dict[str, int]] = {}
    with ProcessPoolExecutor(workers) as pool:
        for found in pool.map(_covered, jobs, chunksize=20):
            for name, target, is_held in found:
                of_name = held.setdefault(name, dict.fromkeys(TARGETS, 0))
                of_name[target] += is_held
    percent = {
        name: {target: round(100 * number / num_studies, 1) for target, number in each.items()}
        for name, each in held.items()
    }
    return {
        "world": asdict(world),
        "covered_percent": percent,
        "exact_covered_percent": exact_coverage(world, EXACT * num_studies),
    }


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    start, found = time.monotonic(), []
    for world in WORLDS:
        found.append(coverage(world, options.studies, options.draws, options.workers))
        print(json.dumps(found[-1], indent=1), flush=True)
    content = {
        "command": f"python benchmarks/studies.py --studies {options.studies} "
        f"--draws {options.draws} --output {options.output}",
        "harness_version": version("i2i-bench"),
        "seconds": round(time.monotonic() - start),
        "worlds": found,
    }
    if options.output:
        options.output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

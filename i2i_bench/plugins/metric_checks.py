"""What every metric of a plugin must satisfy: used by ``i2i-bench check`` and by its tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from i2i_bench.metric import Metric, Need
from i2i_bench.scoring.metric_plugins import METRIC_GROUP
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.scoring.metrics.masks import MaskHealth
from i2i_bench.scoring.sample import Sample
from i2i_bench.system.installed import find_installed
from i2i_bench.system.messages import near

NUM_IMAGES, SIDE, NUM_COLOURS = 4, 64, 5
HEAVY = (  # what listing metrics must not wait for
    *("cv2", "jax", "lpips", "matplotlib", "numpy", "pandas", "PIL", "scipy", "skimage"),
    *("sklearn", "tensorflow", "torch", "torchvision", "transformers"),
)
MetricCheck = Callable[[Metric], str | None]


@dataclass(frozen=True)
class MetricCheckResult:
    """What one check found of one metric.

    Attributes:
        name: The property, with the key of the metric.
        reason: Why it does not hold; None where it does.
    """

    name: str
    reason: str | None


def is_metric(name: str) -> bool:
    """Tell whether a plugin has metrics of this name, sound or not."""
    return any(entry.name == name for entry in find_installed(METRIC_GROUP))


def check_metrics(name: str) -> list[MetricCheckResult]:
    """Run every check on each metric of an installed plugin.

    Args:
        name: Of the entry point.

    Raises:
        ValueError: If there is none, or it is broken.
    """
    known = known_metrics()
    if name in known.problems:
        raise ValueError(known.problems[name])
    rows = [metric for metric in known if metric.name == name and metric.key in known.owners]
    if not rows:
        names = sorted({each.name for each in find_installed(METRIC_GROUP)})
        there = f"{near(name, names)}installed: {', '.join(names) or 'none'}"
        raise ValueError(f"unknown metric {name!r} of a plugin; {there}")
    module = known.owners[rows[0].key].point.module
    found = [MetricCheckResult(f"{name}: importing it is cheap", slow_import(module))]
    for metric in rows:
        for title, check in METRIC_CHECKS.items():
            found.append(MetricCheckResult(f"{metric.key}: {title}", _run(check, metric)))
    return found


def _run(check: MetricCheck, metric: Metric) -> str | None:
    try:
        return check(metric)
    except Exception as error:  # whatever a metric does wrong is its check's result
        return f"{type(error).__name__}: {error}"


def slow_import(module: str) -> str | None:
    """Say which heavy modules come with the import of a module, which listing would wait for."""
    program = f"import sys, {module}; print(*sorted(sys.modules.keys() & {set(HEAVY)!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if done.returncode:
        return f"{module} cannot be imported: {done.stderr.strip().splitlines()[-1]}"
    heavy = done.stdout.split()
    advice = "import inside functions, or by metric.Deferred"
    return f"{module} imports {', '.join(heavy)}; {advice}" if heavy else None


def sample_images(num_outputs: int = 20, num_colours: int | None = None) -> Sample:
    """Make images, the same each time, and everything else that metrics may need.

    Args:
        num_outputs: Of each image.
        num_colours: Of all images, as label maps have few; None for noise.
    """
    random = np.random.RandomState(0)
    shape = (NUM_IMAGES, SIDE, SIDE)
    palette = random.randint(1, 256, (num_colours or 1, 3)).astype(np.uint8)

    def images(*shape: int) -> Any:
        if num_colours:
            return palette[random.randint(0, num_colours, shape)]
        return random.randint(0, 256, (*shape, 3), dtype=np.uint8)

    masks = random.randint(0, 2, (NUM_IMAGES, 2, SIDE, SIDE)).astype(bool)
    given: dict[Need, Any] = {
        **{"fake": images(*shape), "source": images(*shape), "truth": images(*shape)},
        **{"reconstruction": images(*shape), "answers": images(NUM_IMAGES, 4, SIDE, SIDE)},
        "outputs": images(NUM_IMAGES, num_outputs, SIDE, SIDE),
        "foreground": [mask[0] for mask in masks],
        "instances": masks.astype(np.float32),
        "true_instances": masks,
        "background_attention": random.random_sample(shape).astype(np.float32),
        "attention": MaskHealth(*random.random_sample((2, 4)), usage=random.dirichlet([1] * 3, 4)),
        "recognised": random.randint(0, 2, (NUM_IMAGES, 3)).astype(bool),
        "labels": random.randint(0, 2, (NUM_IMAGES, 3)).astype(np.int8),
        **{"target": 0, "kept": [1, 2], "device": "cpu"},
    }
    return Sample(given)


def _values(metric: Metric, sample: Sample) -> list[float]:
    """Return the values by image, or the value of the set with its spread."""
    arguments = sample.arguments(metric)
    if metric.by_image:
        return list(metric.by_image(*arguments))
    assert metric.of_set is not None
    found = metric.of_set(*arguments)
    return list(found) if isinstance(found, tuple) else [found]


def _sample(metric: Metric) -> Sample:
    """Make images of noise, or of few colours for a metric that has no value of noise."""
    try:
        _values(metric, sample_images(metric.num_outputs))  # which a metric may spoil
    except ValueError:
        return sample_images(metric.num_outputs, NUM_COLOURS)
    return sample_images(metric.num_outputs)


def needs_exist(metric: Metric) -> str | None:
    """Check that it asks for what there is."""
    unknown = [need for need in metric.needs if need not in get_args(Need)]
    possible = ", ".join(get_args(Need))
    return f"needs {unknown[0]!r}, which is none of {possible}" if unknown else None


def has_as_many_values(metric: Metric) -> str | None:
    """Check that there is a value for each image, or one of the set with the stated spread."""
    found = _values(metric, _sample(metric))
    wanted = NUM_IMAGES if metric.by_image else 1 + bool(metric.spreads)
    return f"gives {len(found)} values, not {wanted}" if len(found) != wanted else None


def has_values_in_bounds(metric: Metric) -> str | None:
    """Check that values are finite and keep to the stated bounds."""
    lowest, highest = metric.bounds
    values = _values(metric, _sample(metric))
    for value in values if metric.by_image else values[:1]:
        if not (np.isfinite(value) and lowest <= value <= highest):
            return f"gives {value}, not in [{lowest:g}, {highest:g}]"
    return None


def is_pure(metric: Metric) -> str | None:
    """Check that the same images give the same value again, and stay as they are."""
    sample = _sample(metric)
    first, second = (_values(metric, sample) for _ in range(2))
    if first != second:
        return f"gives {first} for some images, and {second} for the same again"
    fresh = _sample(metric)
    for need in metric.needs:
        for one, other in zip(_arrays(sample.given[need]), _arrays(fresh.given[need]), strict=True):
            if not np.array_equal(one, other):
                return f"changes the {need} that it is given"
    return None


def judges_images_alone(metric: Metric) -> str | None:
    """Check that the value of an image does not depend on the others, as ``compare`` takes it."""
    if not metric.by_image:
        return None
    arguments = _sample(metric).arguments(metric)
    whole = metric.by_image(*arguments)
    part = [each[:1] if _is_by_image(each) else each for each in arguments]
    (alone,) = metric.by_image(*part)
    if not np.isclose(alone, whole[0], rtol=1e-5):
        return f"gives {alone} for an image alone, and {whole[0]} for it among {NUM_IMAGES}"
    return None


def knows_identity(metric: Metric) -> str | None:
    """Check the stated value of translations that are their sources."""
    if metric.of_identity is None:
        return None
    sample = _sample(metric)
    source = sample.given["source"]
    outputs = np.repeat(source[:, None], metric.num_outputs, axis=1)
    same: dict[Need, Any] = {"fake": source, "reconstruction": source, "outputs": outputs}
    values = _values(metric, sample.more(same))
    exact, rounding = metric.of_identity
    for value in values if metric.by_image else values[:1]:
        if abs(value - exact) > rounding:
            return f"gives {value} for unchanged sources, and states {exact:g} ± {rounding:g}"
    return None


def _is_by_image(given: Any) -> bool:
    return isinstance(given, (np.ndarray, list)) and len(given) == NUM_IMAGES


def _arrays(given: Any) -> Sequence[Any]:
    return [given] if isinstance(given, np.ndarray) else given if isinstance(given, list) else []


METRIC_CHECKS: dict[str, MetricCheck] = {
    "what it needs exists": needs_exist,
    "there are as many values as stated": has_as_many_values,
    "values are in the bounds": has_values_in_bounds,
    "the same images give the same value, and stay as they are": is_pure,
    "an image is judged by itself": judges_images_alone,
    "unchanged sources have the stated value": knows_identity,
}

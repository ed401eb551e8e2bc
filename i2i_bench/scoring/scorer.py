"""Score the translations of one direction under named protocols, and the baselines beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from i2i_bench import pretrained
from i2i_bench.data.mixed import Images, shortest_side
from i2i_bench.data.window import windowed
from i2i_bench.metric import Need
from i2i_bench.records.record import MetricOrigin, Score, Scores, Values
from i2i_bench.scoring import classifier, health
from i2i_bench.scoring.features import cache, extract, inception
from i2i_bench.scoring.metric_set import MetricSet, chosen_metrics
from i2i_bench.scoring.metrics import distances
from i2i_bench.scoring.metrics.answers import OUTPUTS
from i2i_bench.scoring.metrics.distances import KID, KID_ORDER_MEAN, KID_ORDERS
from i2i_bench.scoring.metrics.lpips import LPIPS
from i2i_bench.scoring.metrics.masks import NO_COPY
from i2i_bench.scoring.metrics.recognition import TARGET_SHARE
from i2i_bench.scoring.outputs import RandomImages, repeated_outputs
from i2i_bench.scoring.protocols import (
    Protocol,
    ValuesOrReasons,
    chosen_size,
    parameters,
    score_features,
    unavailable,
)
from i2i_bench.scoring.sample import Meter, Sample, reason_of_missing, sample_of, warn_of_missing
from i2i_bench.scoring.translations import Reference, Translations
from i2i_bench.system.progress import Report
from i2i_bench.tasks.pixel_format import RGB, PixelFormat
from i2i_bench.tasks.task import Task

LIBRARIES = ("clean-fid", "lpips", "numpy", "pillow", "torch")
COMPARED = {  # whose values → the sets in the places of the real images and of the translations
    "translations": ("real", "fake"),
    "identity": ("real", "source"),
    "real": ("half", "other half"),
}
ORDER_SEED = 0
SUITE_NAME = "i2i-bench"

Features = NDArray[np.float64]


@dataclass(frozen=True)
class Scorer:
    """Scores translations of any origin.

    Attributes:
        protocols: Under which.
        device: Where features are extracted.
        report: Told of progress.
        order_replicates: Random orders of the images over which estimators over blocks, which
            depend on the order, are repeated; 0 for none.
        kid_subset_size: Of estimators over subsets; None for what the protocol chooses.
        metrics: What is measured beside the distances of the protocols.
    """

    protocols: Sequence[Protocol]
    device: torch.device
    report: Report
    order_replicates: int = 0
    kid_subset_size: int | None = None
    metrics: MetricSet = field(default_factory=chosen_metrics)

    def require_possible(self) -> None:
        """Refuse, before the work, what would stop it; missing weights are warned of, in one line.

        Raises:
            ValueError: If weights are there and unfit, or the cache's limit is no number.
        """
        cache.cache_limit()
        used = {inception.find_recipe(protocol.recipe).weights for protocol in self.protocols}
        missing = []
        for name in [*sorted(used), pretrained.ALEXNET_NAME]:
            try:
                pretrained.require_sound_weights(name)
            except pretrained.MissingWeights as error:
                missing.append(error.path)
        warn_of_missing(missing)

    def score(self, task: Task, found: Translations, against: Reference) -> Scores:
        """Score the translations of one direction, by protocol and direction as a record does.

        The identity baseline takes each source for its translation; the real one compares two
        halves of the target's training images as real images and translations are compared.

        Raises:
            ValueError: If weights are there and unfit, or the cache's limit is no number; missing
                weights are the reason of what has no value.
        """
        sets = _Sets(found, against, str(self.device), self.report)
        judge = None
        if found.labels is not None and against.labels is not None:
            judge = classifier.trained_classifier(task, self.device, self.report)
        samples = _samples(found, against, str(self.device), judge)
        meter = Meter()
        measured = {whose: meter.values(self.metrics, each) for whose, each in samples.items()}
        made_by = {
            "metrics": self._origins(measured.values()),
            LPIPS.weights_field: self._lpips_hash(measured.values()),
            TARGET_SHARE.weights_field: judge.sha256 if judge else None,
        }
        scores: Scores = {}
        for protocol in self.protocols:
            values = {
                whose: _values(self._distances(protocol, sets, *pair) | measured[whose])
                for whose, pair in COMPARED.items()
            }
            score = self._score(protocol, task, sets, values)
            key = f"{protocol}/{found.direction}"
            scores[key] = score.model_copy(update=made_by)
        return scores

    def _origins(self, measured: Iterable[ValuesOrReasons]) -> dict[str, MetricOrigin]:
        """Say where metrics are from that not every run is scored with."""
        found = {key for values in measured for key in values}
        origins = {}
        for metric in self.metrics:
            entry = self.metrics.owners.get(metric.key)
            if metric.key not in found or (metric.is_default and not entry):
                continue
            origins[metric.key] = MetricOrigin(
                version=metric.version,
                distribution=entry.distribution if entry else SUITE_NAME,
                distribution_version=entry.version if entry else version(SUITE_NAME),
            )
        return origins

    def _lpips_hash(self, measured: Iterable[ValuesOrReasons]) -> str | None:
        """Give the hash of the weights of LPIPS, if there is a value of it."""
        keys = [m.key for m in self.metrics if m.weights_field == LPIPS.weights_field]
        if not any(isinstance(values.get(key), float) for values in measured for key in keys):
            return None
        return pretrained.weights_hash(pretrained.required_weights(pretrained.ALEXNET_NAME))

    def _score(
        self, protocol: Protocol, task: Task, sets: _Sets, values: dict[str, Values]
    ) -> Score:
        """Make a score: the values, with what was scored and how."""
        found, sizes = sets.found, (len(sets.against.real), len(sets.found.fakes))
        sha256, status = sets.weights(protocol.recipe)
        return Score(
            protocol=protocol.name,
            protocol_version=protocol.version,
            direction=str(found.direction),
            image_size=shortest_side(found.fakes),
            whole=found.whole,
            n_real=sizes[0],
            n_fake=sizes[1],
            files_sha256={kind: each.files for kind, each in sets.hashes.items()},
            pixels_sha256={kind: each.pixels for kind, each in sets.hashes.items()},
            recipe=protocol.recipe,
            weights_sha256=sha256,
            weights_status=status,
            estimator=dict(parameters(protocol, *sizes, kid_subset_size=self.kid_subset_size)),
            spread_kind=protocol.spread_kind,
            checkpoint=found.checkpoint,
            selected_on=None,
            task_version=task.version,
            libraries={name: version(name) for name in LIBRARIES},
            partial=found.partial,
            window=_window(found, sets.against),
            baselines={name: values[name] for name in ("identity", "real")},
            **values["translations"].model_dump(),
        )

    def _distances(self, protocol: Protocol, sets: _Sets, real: str, fake: str) -> ValuesOrReasons:
        """Compare two of the sets, and the second with the sources."""
        names = (real, fake, "source")
        if any(sets.is_empty(name) for name in names):
            return unavailable(protocol, "there is no image on one side")
        try:
            sides = [sets.features(protocol.recipe, name) for name in names]
        except pretrained.MissingWeights as error:
            return unavailable(protocol, reason_of_missing(error))
        sizes = len(sets.against.real), len(sets.found.fakes)
        size = chosen_size(self.kid_subset_size, min(sizes))  # for all, as recorded
        found = score_features(protocol, *sides, kid_subset_size=size)
        if real == "half" and len(sides[0]) < sizes[0]:
            found |= _biased(found, len(sides[0]), sizes[0])
        if self.order_replicates and protocol.block and isinstance(found[KID.key], float):
            mean, deviation = order_replicates(protocol, *sides, count=self.order_replicates)
            found |= {KID_ORDER_MEAN.key: mean, KID_ORDER_MEAN.spreads[0]: deviation}
            found[KID_ORDERS.key] = float(self.order_replicates)
        return found


def order_replicates(
    protocol: Protocol, real: Features, fake: Features, source: Features, *, count: int
) -> tuple[float, float]:
    """Return mean and standard deviation of a KID over blocks, over random orders of all images.

    Orders are drawn from ``numpy.random.RandomState(ORDER_SEED)``, one set after the other.

    Args:
        protocol: Whose estimator depends on the order.
        real: Features of the reference, (n_real, width).
        fake: Those of the translations, (n_fake, width).
        source: Those of the sources, (n_source, width).
        count: Number of orders, at least 2.

    Raises:
        ValueError: If there are too few orders or images.
    """
    if count < 2:
        raise ValueError(f"at least 2 orders are needed for a deviation, not {count}")
    random = np.random.RandomState(ORDER_SEED)
    kid_alone = dataclasses.replace(protocol, distances=("kid_blocks",))
    sides = (real, fake, source) if protocol.source_weight else (real, fake)
    values = []
    for _ in range(count):
        shuffled = [side[random.permutation(len(side))] for side in sides]
        values.append(score_features(kid_alone, *shuffled)[KID.key])
    return float(np.mean(values)), float(np.std(values, ddof=1))


def _biased(found: ValuesOrReasons, num_images: int, num_compared: int) -> ValuesOrReasons:
    """Replace each FID whose bias exceeds that of the rows by the reason."""
    why = (
        f"halves of {num_images} images are smaller than the {num_compared} compared, so FID would "
        "be more biased"
    )
    return {key: why for key in found if key in {metric.key for metric in distances.BIASED}}


class _Sets:
    """The image sets of one direction: their hashes, and features, extracted once a recipe."""

    def __init__(
        self, found: Translations, against: Reference, device: str, report: Report
    ) -> None:
        self.found, self.against = found, against
        self._device, self._report = device, report
        self.hashes = {
            "real": extract.content_hash(against.names, against.real),
            "fake": extract.content_hash(found.names, found.fakes),
        }
        kinds = {"real": against.pixels, "fake": found.pixels[1]}
        self._unchanged = {name for name, pixels in kinds.items() if pixels == RGB}
        half, other = against.halves
        source, fake = found.pixels
        self._images = {
            "real": windowed(against.real, against.pixels),
            "fake": windowed(found.fakes, fake),
            "source": windowed(found.sources, source),
            "half": windowed(half, against.pixels),
            "other half": windowed(other, against.pixels),
        }
        self._orders = {"real": _by_name(against.names)}
        self._orders |= dict.fromkeys(("fake", "source"), _by_name(found.names))
        self._features: dict[tuple[str, str], Features] = {}

    def is_empty(self, name: str) -> bool:
        """Tell whether a set has no image."""
        return len(self._images[name]) == 0

    def features(self, recipe: str, name: str) -> Features:
        """Return the features of a set, in the order of its names, on which blocks depend.

        Raises:
            MissingWeights: If there are none.
            ValueError: If they cannot be extracted.
        """
        key = recipe, name
        if key not in self._features:
            extracted = extract.extract_features(
                self._images[name],
                recipe,
                digests=self.hashes[name].digests if name in self._unchanged else None,
                device=self._device,
                progress=lambda done, of: self._report("features", done, of, {}),
            )
            self._features[key] = extracted[self._orders.get(name, slice(None))]
        return self._features[key]

    def weights(self, recipe: str) -> tuple[str | None, str | None]:
        """Return hash and status of the file behind a recipe's features; None if there are none."""
        if not any(used == recipe for used, _ in self._features):
            return None, None
        path = inception.find_recipe(recipe).weights_file()
        return pretrained.weights_hash(path), pretrained.weights_status(path)


def _by_name(names: Sequence[str]) -> list[int]:
    return sorted(range(len(names)), key=names.__getitem__)


def _samples(
    found: Translations, against: Reference, device: str, judge: classifier.Classifier | None
) -> dict[str, Sample]:
    """Return the samples to measure: translations, and both baselines."""
    shapes = found.source_instances
    unchanged = dataclasses.replace(
        found,
        fakes=found.sources,
        pixels=(found.pixels[0], found.pixels[0]),
        reconstructions=found.sources,
        background=None,
        health=health.NO_MASKS,
        outputs=_as_many(found.sources, found.outputs),
        instances=None if shapes is None else shapes.astype(np.float32),
    )
    samples = {
        "translations": _sample(found, against, device),
        "identity": _sample(unchanged, against, device),
        "real": _real_sample(found, against, device),
    }
    if judge is None or found.labels is None or against.labels is None:
        return samples
    labels = dict.fromkeys(samples, found.labels[1]) | {"real": against.labels}
    return {
        whose: each.more(judge.asked(each.given["fake"], labels[whose], found.direction.target))
        for whose, each in samples.items()
    }


def _as_many(images: Images, outputs: Images | None) -> Images | None:
    """Give each image in the place of as many outputs as there are."""
    return None if outputs is None else repeated_outputs(images, len(outputs[0]))


def _real_sample(found: Translations, against: Reference, device: str) -> Sample:
    """Take real images for translations, and random ones for the outputs of one source."""
    given: dict[Need, Any] = {"device": device}
    if found.outputs is not None:
        seen = windowed(against.real, against.pixels)
        given["outputs"] = RandomImages(seen, len(found.fakes))
    return sample_of({"fake": (against.real, against.pixels)}, given)


def _sample(found: Translations, against: Reference, device: str) -> Sample:
    """Gather what metrics may need of translations, except the classifier's predictions."""
    source, target = found.pixels
    images: dict[Need, tuple[Any, PixelFormat]] = {
        "fake": (found.fakes, target),
        "source": (found.sources, source),
        "reconstruction": (found.reconstructions, source),
    }
    given: dict[Need, Any] = {
        "background_attention": NO_COPY if found.background is None else found.background,
        "attention": found.health,
        "device": device,
    }
    if against.answers is not None:
        images["answers"] = against.answers, against.pixels
    if found.outputs is not None:
        images["outputs"] = found.outputs, target
    elif against.answers is not None:  # of another program
        images["outputs"] = repeated_outputs(found.fakes, OUTPUTS), target
    if found.instances is not None and against.true_instances is not None:
        given["instances"] = found.instances
        given["true_instances"] = against.true_instances.astype(bool)
    if against.foreground is not None:
        given["foreground"] = against.foreground
    needs: tuple[Need, ...] = get_args(Need)
    absent: dict[Need, str] = {n: f"the task has no {n.replace('_', ' ')}" for n in needs}
    if against.truth is not None:
        return sample_of({**images, "truth": (against.truth, against.pixels)}, given, absent)
    several = "several translations of an image are right"
    why = "the task has no true translations" if against.answers is None else several
    return sample_of(images, given, {**absent, "truth": why})


def _window(found: Translations, against: Reference) -> str | None:
    """Say how distances and networks saw images that are not of 8-bit RGB; None where all are."""
    source, target = found.pixels[0], against.pixels
    if source == target == RGB:
        return None
    return f"source: {source}; target: {target}; seen as 8-bit RGB of that range"


def _values(found: ValuesOrReasons) -> Values:
    return Values(
        values={k: None if isinstance(v, str) else float(v) for k, v in found.items()},
        reasons={k: v for k, v in found.items() if isinstance(v, str)},
    )

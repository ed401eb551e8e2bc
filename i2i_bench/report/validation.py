"""Whether records can be true: schema, ranges, identities of what they state, duplicates."""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from i2i_bench.records import record
from i2i_bench.records.record import AnyRecord, External, Record, Score, Values
from i2i_bench.records.run import EXTERNAL, STUDIES
from i2i_bench.report.directions import direction_problems, ends, is_possible, num_scored_images
from i2i_bench.report.study_validation import read_placed_study, study_problems
from i2i_bench.scoring import protocols
from i2i_bench.scoring.alarms import equals_identity
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.scoring.metrics.distances import FID
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.validation import TEST

PLANS = "ablations"  # folder of plans of ablations, which ablate --check reads
ROUNDING = 1e-6  # of a share or a correlation
ROUNDED_SECONDS = 1e-3  # to which a record gives the seconds of a training
MACHINES = 1e-3  # relative, by which processors may differ in one number
_HEXADECIMAL = re.compile("[0-9a-f]{64}")
_HASHED = re.compile("-[0-9a-f]{8}")
_SHORT = re.compile("[0-9a-f]{8}")  # hash of the tensors of a pretrained network

FoundRecords = list[tuple[Path, AnyRecord]]


def validate_results_in(results: Path) -> tuple[int, list[str]]:
    """Check every record below a folder.

    Returns:
        Number of records, and what is wrong, a sentence each that begins with a file.

    Raises:
        OSError: If a folder cannot be listed.
        ValueError: If there is none.
    """
    found: FoundRecords = []
    problems = []
    num_studies = 0
    for path in sorted(_files(results)):
        if path.is_relative_to(results / PLANS):
            continue
        try:
            if _is_of_study(path, results):
                study = read_placed_study(path, results)
                problems += [f"{path}: {each}" for each in study_problems(path, study, results)]
                num_studies += 1
                continue
            found.append((path, _read(path, results)))
        except ValueError as error:
            problems.append(str(error))
    for path, each in found:
        problems += [f"{path}: {problem}" for problem in _of_record(path, each)]
    return len(found) + num_studies, [*problems, *_among(found)]


def _is_of_study(path: Path, results: Path) -> bool:
    """Tell whether a file lies where the record of a study with people does."""
    parts = path.relative_to(results).parts
    return len(parts) == 3 and parts[1] == STUDIES and not path.name.startswith(".")


def _files(results: Path) -> Iterator[Path]:
    """Find the JSON files below a folder; raise if a folder cannot be listed."""

    def fail(error: OSError) -> None:
        raise error

    record.require_results(results)
    for folder, folders, names in os.walk(results, onerror=fail):
        yield from (Path(folder, name) for name in folders + names if name.endswith(".json"))


def _read(path: Path, results: Path) -> AnyRecord:
    """Read a record of either kind, as its place demands."""
    parts = path.relative_to(results).parts
    if path.name.startswith("."):
        raise ValueError(f"{path} was left behind by a process that was killed; remove it")
    if len(parts) != 3:
        raise ValueError(f"{path} lies where no record belongs; move or remove it")
    each = record.read_external_record(path) if parts[1] == EXTERNAL else record.read_record(path)
    place = results / (each.file if isinstance(each, External) else each.run.file)
    if place != path:
        raise ValueError(f"{path} holds the record of {place}; move it to its place")
    return each


def _of_record(path: Path, each: AnyRecord) -> Iterator[str]:
    """Find what is wrong with one record by itself."""
    if path.read_bytes() != record.record_text(each).encode():
        yield "is not as i2i-bench writes it; it was edited by hand"
    if isinstance(each, Record):
        yield from _costs(each)
        yield from _variant(each)
        yield from direction_problems(each)
        yield from _networks(each)
    yield from _task(each)
    for key, score in each.scores.items():
        yield from (f"{key}: {problem}" for problem in _of_score(each, score))


def _costs(each: Record) -> Iterator[str]:
    """Compare what a training cost with what was asked for."""
    if each.macs < 1:
        yield "macs is not a count"
    budget, batch = each.settings.get("budget"), each.settings.get("batch_size")
    if budget is None or each.images_seen is None:  # trained elsewhere
        if each.steps is not None or each.images_seen is not None or budget is not None:
            yield "costs and settings of a training are there only in part"
        return
    if each.images_seen != budget:
        yield f"images_seen is {each.images_seen}, the budget {budget}"
    if isinstance(batch, int) and batch > 0 and each.steps != -(-each.images_seen // batch):
        yield f"steps is {each.steps}, but {each.images_seen} images come in batches of {batch}"
    if not each.seconds or each.seconds <= 0 or not each.peak_memory_bytes:
        yield "seconds or peak_memory_bytes is not positive"
    elif not math.isclose(
        each.images_per_second or 0,
        each.images_seen / each.seconds,
        rel_tol=0.01 + ROUNDED_SECONDS / each.seconds,
        abs_tol=0.001,
    ):
        yield "images_per_second is not images_seen divided by seconds"


def _variant(each: Record) -> Iterator[str]:
    """Compare the name of a variant with the settings it stands for."""
    if each.preset == "official":
        if not each.variant.startswith("official-"):
            yield f"variant {each.variant!r} is not one of preset official"
        return
    hashed = _HASHED.fullmatch(each.variant[-9:])
    parts = (part.partition("=") for part in each.variant.split(",") if part)
    named = {key: value for key, _, value in parts}
    if named.pop("preset", "published") != each.preset and not hashed:
        yield f"variant {each.variant!r} is not one of preset {each.preset}"
    config = each.settings.get("config")
    known = each.settings | (config if isinstance(config, dict) else {})
    known |= {"split": each.split} if each.split else {}
    if each.split and not hashed and "split" not in named:
        yield f"variant {each.variant!r} does not name the split {each.split}"
    for key, value in named.items():
        if not hashed and key != "start" and str(known.get(key)) != value:
            yield f"variant {each.variant!r} disagrees with the setting {key} {known.get(key)!r}"


def _networks(each: Record) -> Iterator[str]:
    """Check what is said of pretrained networks, and of the modes of training."""
    for name, digest in each.frozen.items():
        if not _SHORT.fullmatch(digest):
            yield f"frozen {name} {digest!r} is not a hash of 8 digits"
    if each.source_sha256 and not all(map(_SHORT.fullmatch, each.source_sha256.split("+"))):
        yield f"source_sha256 {each.source_sha256!r} is not hashes of 8 digits, with + between"
    if both := sorted(each.modes_left_out.keys() & set(each.modes)):
        yield f"mode {both[0]} is among modes and modes_left_out"


def _task(each: AnyRecord) -> Iterator[str]:
    """Compare what is said of the task with the task."""
    versions = {score.task_version for score in each.scores.values()}
    if isinstance(each, Record):
        if versions - {each.task_version}:
            yield f"task_version is {each.task_version}, and not that of all scores"
        versions = {each.task_version}
    task = catalogue.find_named(each.task)
    if task is None:  # a folder
        return
    version, headline = task.version, task.headline
    if unknown := sorted(v for v in versions if not 1 <= v <= version):
        yield f"there is no version {unknown[0]} of task {each.task}"
    elif versions == {version} and each.headline != headline:
        yield f"headline is {each.headline}, and {each.task} ranks by {headline}"


def _of_score(each: AnyRecord, score: Score) -> Iterator[str]:
    """Find what is wrong with one score by itself."""
    unknown = _unknown_metrics(score)
    yield from _values("", score, unknown)
    for name, baseline in score.baselines.items():
        yield from _values(f"baseline {name}: ", baseline, unknown)
    yield from _unchanged(score.baselines, unknown)
    held = {key for values in (score, *score.baselines.values()) for key in values.values}
    if lacking := sorted(score.metrics.keys() - held):
        yield f"metrics names {lacking[0]}, of which there is no value and no reason"
    yield from _lacks(score)
    yield from _hashes(score)
    yield from _protocol(score)
    yield from _counts(each.task, score, _split(each))


def _unknown_metrics(score: Score) -> frozenset[str]:
    """Give the keys of metrics that are not installed here in the version that was recorded."""
    known = known_metrics()
    found = set(known.owners) - score.metrics.keys()  # of a plugin that came later
    for key, origin in score.metrics.items():
        metric, entry = known.by_key.get(key), known.owners.get(key)
        owner = entry.distribution if entry else "i2i-bench"
        if metric is None or (metric.version, owner) != (origin.version, origin.distribution):
            found.add(key)
    return frozenset(found)


def _values(prefix: str, values: Values, unknown: Collection[str]) -> Iterator[str]:
    missing = {key for key, value in values.values.items() if value is None}
    for key in sorted(missing ^ values.reasons.keys()):
        yield f"{prefix}{key} needs either a value or the reason why it has none"
    for key, value in values.values.items():
        if any(f"{key}_".startswith(f"{each}_") for each in unknown):
            continue  # or a spread of it
        if value is not None and (bounds := _bounds(key)):
            lowest, highest = bounds
            if not lowest - ROUNDING <= value <= highest + ROUNDING:
                yield f"{prefix}{key} {value} is not in [{lowest:g}, {highest:g}]"


def _bounds(key: str) -> tuple[float, float] | None:
    """Give the smallest and largest possible value of a metric or a spread; None if unknown.

    A key that is not known has the bounds of the longest known one that it continues, as
    ``fid_other`` has those of ``fid``.
    """
    known = known_metrics()
    if key in known.of_spread:
        return 0.0, math.inf
    while key not in known.by_key and "_" in key:
        key = key.rpartition("_")[0]
    return known.by_key[key].bounds if key in known.by_key else None


def _lacks(score: Score) -> Iterator[str]:
    """Find values that every score of a protocol must hold, or hold a reason for."""
    known = protocols.PROTOCOLS.get(score.protocol)
    wanted = {m.key for m in known_metrics().of_suite if m.is_required and m.is_default}
    if known is not None and known.version == score.protocol_version:
        wanted |= protocols.unavailable(known, "", with_source=False).keys()
    if missing := sorted(wanted - score.values.keys()):
        yield f"lacks {', '.join(missing)}"


def _unchanged(baselines: Mapping[str, Values], unknown: Collection[str]) -> Iterator[str]:
    """Check known values of the identity baseline, such as FID(x, x) = 0."""
    if baselines.keys() != {"identity", "real"}:
        yield f"baselines are {', '.join(sorted(baselines)) or 'none'}, not identity and real"
        return
    for metric in known_metrics():
        value = baselines["identity"].values.get(metric.key)
        if value is None or metric.of_identity is None or metric.key in unknown:
            continue
        exact, rounding = metric.of_identity
        if abs(value - exact) > rounding:
            yield f"baseline identity: {metric.key} {value} is not {exact:g}"


def _hashes(score: Score) -> Iterator[str]:
    for name in ("files_sha256", "pixels_sha256"):
        hashes: dict[str, str] = getattr(score, name)
        if hashes.keys() != {"real", "fake"} or not all(map(_is_hash, hashes.values())):
            yield f"{name} does not hold a sha256 of real and one of fake images"
    if score.weights_sha256 and not _is_hash(score.weights_sha256):
        yield "weights_sha256 is not a sha256"
    has_distance = any(
        score.values.get(metric.key) is not None
        for metric in known_metrics()
        if metric.weights_field == FID.weights_field
    )
    if has_distance and not score.weights_sha256:
        yield "has a distance of features, but not the hash of the weights that made them"


def _is_hash(text: str) -> bool:
    return _HEXADECIMAL.fullmatch(text) is not None


def _protocol(score: Score) -> Iterator[str]:
    """Compare what a score says of its protocol with the protocol."""
    known = protocols.PROTOCOLS.get(score.protocol)
    if known is None or score.protocol_version > known.version:
        yield f"there is no protocol {score.protocol}@{score.protocol_version}"
        return
    if score.protocol_version < known.version:
        return  # of the past: nothing here says what it was
    size = score.estimator.get("kid_subset_size")
    estimator = protocols.parameters(
        known,
        score.n_real,
        score.n_fake,
        kid_subset_size=size if isinstance(size, int) else None,
    )
    stated = (score.recipe, score.spread_kind, score.estimator)
    if stated != (known.recipe, known.spread_kind, estimator):
        yield f"recipe, spread_kind or estimator is not that of {known}"


def _split(each: AnyRecord) -> str:
    """Name the images that a record's scores are of."""
    return each.split if isinstance(each, Record) and each.split else TEST


def _counts(task: str, score: Score, split: str) -> Iterator[str]:
    """Compare the numbers of images with those of the task."""
    if not is_possible(score.direction, task):
        yield f"direction {score.direction} is none of task {task}"
        return
    source, target = ends(score.direction)
    numbers = num_scored_images(task, split)
    real, fake = numbers.get(target), numbers.get(source)
    if fake is not None and (score.n_fake > fake or (score.n_fake == fake) == score.partial):
        yield f"n_fake is {score.n_fake} of {fake}, and partial is {str(score.partial).lower()}"
    if real is not None and score.n_real != real:
        yield f"n_real is {score.n_real}, but {task} has {real} real images"


def _among(found: FoundRecords) -> Iterator[str]:
    """Find contradictions between records."""
    yield from _twins(found, "translations of the same pixels as", _fakes)
    yield from _twins(found, "the settings, task and seed of", _work)
    yield from _siblings(found)
    by_set: dict[tuple[Any, ...], tuple[Path, Score]] = {}
    for path, each in found:
        for score in each.scores.values():
            if score.partial:
                continue
            first, other = by_set.setdefault(_reference(each, score), (path, score))
            if score.pixels_sha256.get("real") != other.pixels_sha256.get("real"):
                yield f"{path}: {score.direction}: real images differ from those of {first}"
            elif problem := _baselines_differ(score, other):
                yield f"{path}: {score.direction}: baseline {problem} differs from that in {first}"


def _reference(each: AnyRecord, score: Score) -> tuple[Any, ...]:
    """Give what determines the real images and the baselines of a score."""
    settings = each.settings if isinstance(each, Record) else {}
    return (
        *(settings.get("resampling", "bicubic"), settings.get("resize", "square")),
        *(each.task, _split(each), score.task_version, score.direction, score.image_size),
        *(score.protocol, score.protocol_version, score.weights_sha256, score.lpips_sha256),
        str(score.estimator),
    )


def _baselines_differ(score: Score, other: Score) -> str | None:
    for name in score.baselines.keys() & other.baselines.keys():
        ours, theirs = score.baselines[name].values, other.baselines[name].values
        for key in sorted(ours.keys() & theirs.keys()):
            one, two = ours[key], theirs[key]
            if one is None or two is None:
                continue
            if not math.isclose(one, two, rel_tol=MACHINES, abs_tol=MACHINES):
                return f"{name} {key}"
    return None


def _twins(
    found: FoundRecords, what: str, keys: Callable[[AnyRecord], Iterable[tuple[str, ...]]]
) -> Iterator[str]:
    """Find records that share what must differ."""
    first: dict[tuple[str, ...], Path] = {}
    told: defaultdict[Path, set[Path]] = defaultdict(set)
    for path, each in found:
        for key in keys(each):
            other = first.setdefault(key, path)
            if other != path and other not in told[path]:
                told[path].add(other)
                yield f"{path}: has {what} {other}"


def _siblings(found: FoundRecords) -> Iterator[str]:
    """Find records of one variant that differ in more than the seed."""
    first: dict[tuple[str, ...], tuple[Path, Record]] = {}
    for path, each in found:
        if not isinstance(each, Record):
            continue
        key = (each.model, each.variant, each.task, str(each.task_version))
        place, other = first.setdefault(key, (path, each))
        ours, theirs = each.settings, other.settings
        keys = (key for key in ours | theirs if ours.get(key) != theirs.get(key))
        if differing := sorted(keys):
            yield f"{path}: setting {differing[0]} differs from that of {place}"
        elif each.parameters != other.parameters:
            yield f"{path}: parameters differ from those of {place}"
        elif each.frozen != other.frozen:
            yield f"{path}: pretrained networks (frozen) differ from those of {place}"
        elif set(each.directions) != set(other.directions):
            yield f"{path}: directions differ from those of {place}"


def _fakes(each: AnyRecord) -> Iterator[tuple[str, ...]]:
    for score in each.scores.values():
        # those that equal their sources may be the same of several runs
        if "fake" in score.pixels_sha256 and not equals_identity(score):
            yield each.task, score.direction, score.pixels_sha256["fake"]


def _work(each: AnyRecord) -> Iterator[tuple[str, ...]]:
    if isinstance(each, Record) and each.preset != "official":
        settings = sorted(each.settings.items())
        version, seed = str(each.task_version), str(each.seed)
        yield each.model, each.task, each.split, version, seed, repr(settings)

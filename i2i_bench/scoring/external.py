"""Score images that any other program made of a task's test images."""

from __future__ import annotations

import io
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from PIL import Image
from pydantic import ValidationError

from i2i_bench.data.decode import cut_size, decode_images
from i2i_bench.data.directions import LabelArray, labels_of
from i2i_bench.data.mixed import Images
from i2i_bench.data.test_set import TestSet
from i2i_bench.model import Direction, ResizeRule
from i2i_bench.records import record
from i2i_bench.records.record import External, FilesTaken, Scores
from i2i_bench.scoring import translations
from i2i_bench.scoring.alarms import alarms_of_scores
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.scoring.more import kept_scores
from i2i_bench.scoring.panels import cut_panels, format_of
from i2i_bench.scoring.result_files import ChosenFiles, choose_files, listed, unknown_names
from i2i_bench.scoring.scorer import Scorer
from i2i_bench.scoring.submission import ImageFile, Listing, opened
from i2i_bench.scoring.submission_shape import Shape, shape_rule
from i2i_bench.scoring.translations import Reference, Translations
from i2i_bench.system.files import locked, require_writable
from i2i_bench.tasks.image_file import read_image, read_image_size
from i2i_bench.tasks.pixel_format import PixelFormat
from i2i_bench.tasks.task import Task, TaskImage

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Submission:
    """Another program's images, to be scored.

    Attributes:
        source: Folder or zip archive of the images.
        task: Whose test images they translate.
        direction: From which domain to which.
        size: Side in pixels which the images must have, of whole ones the short one; None for that
            of the task.
        allow_partial: Whether images may be missing.
        shape: Whether they are squares, whole, or of their sources' own size; None to tell it from
            their sizes.
    """

    source: Path
    task: Task
    direction: Direction
    size: int | None = None
    allow_partial: bool = False
    shape: Shape | None = None


@dataclass(frozen=True, eq=False)
class ReadImages:
    """Images of another program, paired with their sources.

    Attributes:
        indices: Of the source of each image, rising.
        fakes: The images.
        formats: Number of files of each format.
        taken: Which files they are from.
        rule: How sources and references come to the size of the images.
    """

    indices: list[int]
    fakes: Images
    formats: dict[str, int]
    taken: FilesTaken
    rule: ResizeRule


def score_submission(
    images: Submission, name: str, scorer: Scorer, results: Path, *, force: bool
) -> External:
    """Score another program's images and add the scores to the record of its name.

    Args:
        images: What to score.
        name: Of the record.
        scorer: How to score.
        results: Folder of the records.
        force: Whether scores that are there are replaced.

    Raises:
        ValueError: If the name is unfit, there are scores already, or as in ``load_submission``.
    """
    new = _empty_record(name, images.task)
    keys = [f"{protocol}/{images.direction}" for protocol in scorer.protocols]
    require_writable(results / new.file)
    scorer.require_possible()
    _require_one_output(scorer)
    if not force:
        _require_new(_recorded(new, results), keys, results)
    found, against, read = load_submission(images)
    _warn_of_losses(read.formats)
    scores = scorer.score(images.task, found, against)
    with locked((results / new.file).parent):
        before = _recorded(new, results)
        kept = _of_the_same_images(before, scores, str(images.direction))
        if not force:
            _require_new(before, [*keys, *(before.scores.keys() - kept.keys())], results)
        scores, said = kept_scores(before.scores, scores, known_metrics())
        whole = {
            "formats": before.formats | {str(images.direction): read.formats},
            "files": before.files | {str(images.direction): read.taken},
            "scores": kept | scores,
            "harness_version": new.harness_version,
            "alarms": alarms_of_scores(kept | scores),
        }
        made = before.model_copy(update=whole)
        record.write_record(made, results)
    for alarm in [*said, *alarms_of_scores(scores)]:
        logger.warning("%s: %s", name, alarm)
    return made


def _require_one_output(scorer: Scorer) -> None:
    for metric in scorer.metrics:
        if not metric.is_default and {"outputs", "answers"} & set(metric.needs) == {"outputs"}:
            raise ValueError(
                f"metric {metric.name} is of {metric.num_outputs} outputs of each image, and score "
                "is given one; leave it out"
            )


def _empty_record(name: str, task: Task) -> External:
    try:
        return External(
            name=name,
            task=task.name,
            headline=task.headline,
            harness_version=version("i2i-bench"),
            formats={},
            scores={},
        )
    except ValidationError:
        raise ValueError(
            f"{name!r} cannot name a file: up to 100 letters, digits and . , = _ - are "
            "possible, the first of them a letter or digit"
        ) from None


def _recorded(new: External, results: Path) -> External:
    path = results / new.file
    return record.read_external_record(path) if path.exists() else new


def _of_the_same_images(before: External, scores: Scores, direction: str) -> Scores:
    """Return the scores to keep: of other directions, and of the same images in this one."""
    pixels = {score.pixels_sha256["fake"] for score in scores.values()}
    return {
        key: score
        for key, score in before.scores.items()
        if score.direction != direction or score.pixels_sha256.get("fake") in pixels
    }


def _require_new(before: External, keys: Sequence[str], results: Path) -> None:
    present = [key for key in keys if key in before.scores]
    if present:
        raise ValueError(
            f"{results / before.file} holds {', '.join(present)} already; choose another name, or "
            "--force, which replaces that"
        )


def _warn_of_losses(formats: dict[str, int]) -> None:
    lossy = sum(formats.get(name, 0) for name in ("jpeg", "webp"))
    if lossy:
        logger.warning(
            "%d of %d images are JPEG or WebP: their compression loss is scored too",
            lossy,
            sum(formats.values()),
        )


def load_submission(images: Submission) -> tuple[Translations, Reference, ReadImages]:
    """Read images, pair them with the test images by name, and gather what they are compared with.

    Returns:
        The translations in the order of their sources, the reference for just these, and what was
        read.

    Raises:
        ValueError: As in ``read_submission``.
    """
    task, direction = images.task, images.direction
    read = read_submission(images)
    indices, test_set = read.indices, TestSet(task, read.rule)
    names = test_set.names(direction.source)
    found = Translations(
        direction,
        [names[i] for i in indices],
        sources=test_set.images(direction.source, indices),
        fakes=read.fakes,
        reconstructions="images of another program cannot be translated back",
        checkpoint="unknown",
        partial=len(indices) < len(names),
        labels=_labels(task, direction, indices),
        whole=test_set.whole(direction.source),
        pixels=(task.pixel_format(direction.source), task.pixel_format(direction.target)),
    )
    return found, _only(translations.reference(test_set, direction), indices), read


def _labels(
    task: Task, direction: Direction, indices: list[int]
) -> tuple[LabelArray, LabelArray] | None:
    """Give the labels of the chosen sources, and those they were to get."""
    found = labels_of(task, direction)
    return None if found is None else (found[0][indices], found[1][indices])


def read_submission(images: Submission) -> ReadImages:
    """Read images that translate a task's test images, and pair them with these by name.

    Each must be of 8 bits, or of 16 where the values of its domain have a range, and opaque. All
    are squares of one size: that of the task, or the one that is chosen, to which the references
    are then resized; or, of sources that are not square, whole, as ``shape_rule`` tells. Grey
    becomes RGB, unless the domain is grey.

    Raises:
        ValueError: If an image is missing or unknown, there twice, unfit or of another size.
    """
    task, direction = images.task, images.direction
    sources, pixels = task.images("test", direction.source), task.pixel_format(direction.target)
    size = _size(images)
    with opened(images.source) as listing:
        chosen = _translations_in(images, listing)
        found = chosen.files
        rule = _rule(images, size, [sources[i] for i in found], list(found.values()))
        as_saved = replace(rule, resize="own", multiple=1) if rule.is_whole else rule
        fakes = decode_images(
            [
                TaskImage(str(file.path), partial(_read, file, sources[i], rule, pixels), pixels)
                for i, file in found.items()
            ],
            as_saved,
        )
        formats = Counter(format_of(file) for file in found.values())
    counts = {"taken": chosen.num_taken, "passed_over": chosen.num_passed_over}
    taken = FilesTaken(**counts, how=chosen.how)
    return ReadImages(list(found), fakes, dict(sorted(formats.items())), taken, rule)


def _translations_in(images: Submission, listing: Listing) -> ChosenFiles:
    """Find the translation of each test image, by the index of that, in the order of the task.

    Raises:
        ValueError: If a name is unknown or there twice, or one is missing and none may be.
    """
    task, direction = images.task, images.direction
    names = [image.name for image in task.images("test", direction.source)]
    apart = [domain for domain in task.domains if domain != direction.source]
    others = [image.name for domain in apart for image in task.images("test", domain)]
    found = choose_files(listing, names, direction, others) or cut_panels(listing, task, direction)
    if found is None:
        raise unknown_names(listing, [str(file.path) for file in listing.files], names)
    missing = [PurePosixPath(name).stem for i, name in enumerate(names) if i not in found.files]
    if missing and not images.allow_partial:
        raise ValueError(
            f"{images.source} has translations of {len(found.files)} of the {len(names)} test "
            f"images of {task.name}, domain {direction.source}, and lacks {listed(missing)}; "
            "--allow-partial scores them all the same, in a row that is marked and never ranked"
        )
    return found


def _rule(
    images: Submission, size: int, sources: Sequence[TaskImage], files: Sequence[ImageFile]
) -> ResizeRule:
    """Tell how sources come to the size of their translations."""
    if images.shape is None and any(image.measure is None for image in sources):
        return ResizeRule(_side_of(images, size, [_measure(file) for file in files]))
    before = [image.size() for image in sources]
    if images.shape in (None, "square") and all(width == height for width, height in before):
        return ResizeRule(_side_of(images, size, [_measure(file) for file in files]))
    made = [_measure(file) for file in files]
    return shape_rule(before, made, _side_of(images, size, made), images.size, images.shape)


def _side_of(images: Submission, size: int, made: Sequence[tuple[int, int]]) -> int:
    """Give the side of squares: that of all translations where no other was asked for."""
    sides = {side for each in made for side in each}
    if images.size is not None or images.task.kind == "embedded" or len(sides) != 1:
        return size
    (side,) = sides
    if side != size:
        logger.warning(
            "translations are of %d px and the task of %d: all is compared at %d px, as by --size "
            "%d, apart from scores at %d px",
            *(side, size, side, side, size),
        )
    return side


def _measure(file: ImageFile) -> tuple[int, int]:
    """Read width and height of an image from its header."""
    return read_image_size(Path(file.path), io.BytesIO(file.content()))


def _size(images: Submission) -> int:
    """Give the side in pixels at which everything is compared."""
    task = images.task
    if images.size is None or images.size == task.image_size:
        return task.image_size
    if task.kind == "embedded":
        raise ValueError(
            f"task {task.name} is exact in pixels: images must be of {task.image_size} px"
        )
    return images.size


def _only(reference: Reference, indices: list[int]) -> Reference:
    """Keep the reference of the chosen sources only."""
    truth, foreground = reference.truth, reference.foreground
    return replace(
        reference,
        truth=None if truth is None else truth[indices],
        foreground=None if foreground is None else [foreground[i] for i in indices],
    )


def _read(file: ImageFile, source: TaskImage, rule: ResizeRule, pixels: PixelFormat) -> Image.Image:
    """Read an image of the target domain that has the size at which it is scored."""
    path = Path(file.path)
    image = read_image(path, io.BytesIO(file.content()), is_plain=True, pixels=pixels)
    wanted = cut_size(source.size(), rule) if rule.is_whole else (rule.size, rule.size)
    if image.size != wanted:
        given, needed = (f"{width}x{height}" for width, height in (image.size, wanted))
        raise ValueError(
            f"{path} has {given} pixels, not {needed}; save translations at the size at which they "
            "are scored, or choose one with --size"
        )
    return image

"""``task.toml`` in a folder of images: what the folder itself does not tell of the task."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2i_bench.system.messages import near
from i2i_bench.tasks import arrangement
from i2i_bench.tasks.arrangement import Arrangement, read_arrangement
from i2i_bench.tasks.image_file import (
    DeepGreyError,
    read_image,
    read_image_size,
)
from i2i_bench.tasks.image_folder import Stamp, require_unchanged
from i2i_bench.tasks.image_traits import read_image_traits
from i2i_bench.tasks.mask_files import MaskFiles
from i2i_bench.tasks.pixel_format import LARGEST_VALUE, RGB, PixelFormat
from i2i_bench.tasks.reading import AS_STORED, COLOURS, Colour, Reading, is_colour
from i2i_bench.tasks.task import TaskImage

if TYPE_CHECKING:
    from PIL import Image

TASK_FILE = "task.toml"
_OF_IMAGES = ("background", "channels", "headline", "paired", "range", "resize", "title", "units")
KEYS = tuple(sorted((*_OF_IMAGES, "upright", *arrangement.KEYS)))
RESIZES = ("square", "short_side", "whole")
LONGEST_TEXT = 200  # letters of a title or of units
LARGEST_FILE = 2**16  # bytes


@dataclass(frozen=True)
class TaskFile:
    """What a folder's ``task.toml`` states, or that there is none.

    Attributes:
        path: Of the file, which need not be there.
        is_there: Whether it is.
        domains: Of the task; of a labelled one, whose images are all alike, ``EVERY`` alone.
        pixels: Domain → what its images consist of.
        title: One line for people; "" where not stated.
        headline: Key of the metric that ranks; "" where not stated.
        paired: Whether images of the same name are pairs; None where not stated.
        resize: How models are to resize its images; "" where not stated.
        reading: What is done to the pixels of every file.
        halves: Domain → half of its images that is of it; empty where each is of one domain.
    """

    path: Path
    is_there: bool
    domains: tuple[str, ...]
    pixels: Mapping[str, PixelFormat] = field(default_factory=dict)
    title: str = ""
    headline: str = ""
    paired: bool | None = None
    resize: str = ""
    reading: Reading = AS_STORED
    halves: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """What it states of a ``Task``."""
        words = {"title": self.title, "headline": self.headline, "resize": self.resize}
        known = {"pixels": self.pixels, "reading": self.reading}
        return known | {key: text for key, text in words.items() if text}

    @property
    def hashed(self) -> dict[str, Sequence[Path]]:
        """The file as one of the folders whose contents name the task; nothing without it."""
        return {"": [self.path]} if self.is_there else {}

    def image(self, name: str, path: Path, domain: str, before: Stamp) -> TaskImage:
        """Give a file as an image of a domain, which must not change once it is one.

        Args:
            name: Of the image.
            path: Of the file.
            domain: Of which it is.
            before: Of the file.
        """
        pixels = self.pixels.get(domain, RGB)
        read = partial(self._read_unchanged, path, domain, before)
        measure = partial(read_image_size, path, reading=self.reading_of(domain))
        traits = partial(read_image_traits, path)
        return TaskImage(name, read, pixels, measure=measure, traits=traits)

    def reading_of(self, domain: str) -> Reading:
        """Tell what is done to the pixels of the files of a domain."""
        return replace(self.reading, half=self.halves.get(domain, ""))

    def read(self, path: Path, domain: str) -> Image.Image:
        """Read an image of a domain.

        Raises:
            ValueError: If it cannot be read, or is not what its domain consists of; of a range that
                is not stated, with the line to write.
        """
        try:
            pixels = self.pixels.get(domain, RGB)
            return read_image(path, pixels=pixels, reading=self.reading_of(domain))
        except DeepGreyError:
            key = f"range.{domain}" if len(self.domains) > 1 else "range"
            raise ValueError(
                f"{path} has 16-bit grey values, whose range is not stated; write into {self.path} "
                f"the line {key} = [0, {LARGEST_VALUE}], with the lowest and the highest value of "
                "all its images"
            ) from None

    def _read_unchanged(self, path: Path, domain: str, before: Stamp) -> Image.Image:
        image = self.read(path, domain)
        require_unchanged(path, before)
        return image


def read_task_file(folder: Path, domains: Sequence[str]) -> TaskFile:
    """Read what a folder states of its task.

    Args:
        folder: Of the task.
        domains: Of the task.

    Raises:
        ValueError: If the file cannot be read, or states what is unknown or not possible.
    """
    path, names = folder / TASK_FILE, tuple(domains)
    if not path.exists():
        return TaskFile(path, is_there=False, domains=names)
    content = _content(path)
    paired = content.get("paired")
    if not isinstance(paired, bool | None):
        raise _unfit(path, "paired", paired, "true or false")
    if paired is not None and len(names) == 1:
        raise ValueError(f"{path} states paired, and the images of many domains are no pairs")
    return TaskFile(
        path,
        is_there=True,
        domains=names,
        pixels=_pixels(path, content, names),
        title=_text(path, "title", content.get("title", "")),
        headline=_text(path, "headline", content.get("headline", "")),
        paired=paired,
        resize=_resize(path, content.get("resize", "")),
        reading=_reading(path, content),
    )


def require_as_stored(stated: TaskFile, masks: MaskFiles) -> None:
    """Refuse to turn images that have masks, which would not be turned with them.

    Raises:
        ValueError: If that is stated.
    """
    if stated.reading.is_upright and masks.folders:
        raise ValueError(
            f"{stated.path} states upright = true, and images with instance masks are read as "
            "stored; save both upright first"
        )


def read_stated_arrangement(folder: Path) -> Arrangement:
    """Read what a folder's ``task.toml`` states of where its images lie; nothing without one.

    Raises:
        ValueError: If the file cannot be read, or states what is unknown or not possible.
    """
    path = folder / TASK_FILE
    return read_arrangement(path, _content(path)) if path.exists() else Arrangement()


def _content(path: Path) -> dict[str, Any]:
    """Read the file, all of whose keys are known."""
    content = _read(path)
    if unknown := sorted(content.keys() - set(KEYS)):
        possible = f"{near(unknown[0], KEYS)}possible: {', '.join(KEYS)}"
        raise ValueError(f"{path} states {unknown[0]!r}, which is unknown; {possible}")
    return content


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"{path} is larger than any such file, {LARGEST_FILE} bytes")
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error


def _pixels(
    path: Path, content: Mapping[str, Any], domains: Sequence[str]
) -> dict[str, PixelFormat]:
    """Give the pixels of domains that are not of 8-bit RGB."""
    channels = _by_domain(path, "channels", content, domains, _channels)
    ranges = _by_domain(path, "range", content, domains, _range)
    units = _by_domain(path, "units", content, domains, _text)
    found = {}
    for domain in domains:
        known = ranges.get(domain)
        count = channels.get(domain, 1 if known else RGB.channels)
        if known and count != 1:
            raise ValueError(
                f"{path} states {count} channels and a range of domain {domain}; only grey images, "
                "of 1 channel, have a range"
            )
        found[domain] = PixelFormat(count, known, units.get(domain, ""))
    return {domain: each for domain, each in found.items() if each != RGB}


def _by_domain(
    path: Path,
    key: str,
    content: Mapping[str, Any],
    domains: Sequence[str],
    check: Callable[[Path, str, Any], Any],
) -> dict[str, Any]:
    """Give what a key states of each domain, once for all of them or in a table."""
    if key not in content:
        return {}
    value = content[key]
    if not isinstance(value, dict):
        return dict.fromkeys(domains, check(path, key, value))
    if len(domains) == 1:
        raise ValueError(f"{path}: {key} is of all images of a task of many domains, not a table")
    if unknown := sorted(value.keys() - set(domains)):
        raise ValueError(
            f"{path}: {key}.{unknown[0]} is of no domain; possible: {', '.join(domains)}"
        )
    return {domain: check(path, f"{key}.{domain}", each) for domain, each in value.items()}


def _channels(path: Path, key: str, value: Any) -> int:
    if type(value) is not int or value not in (1, RGB.channels):
        raise _unfit(path, key, value, "1 for grey or 3 for RGB")
    return value


def _range(path: Path, key: str, value: Any) -> tuple[int, int]:
    what = f"the lowest and the highest value, whole numbers from 0 to {LARGEST_VALUE}"
    if not isinstance(value, list) or [type(each) for each in value] != [int, int]:
        raise _unfit(path, key, value, what)
    low, high = value
    if not 0 <= low < high <= LARGEST_VALUE:
        raise _unfit(path, key, value, what)
    return low, high


def _reading(path: Path, content: Mapping[str, Any]) -> Reading:
    upright = content.get("upright", False)
    if not isinstance(upright, bool):
        raise _unfit(path, "upright", upright, "true or false")
    return Reading(upright, _background(path, content.get("background")))


def _background(path: Path, value: Any) -> Colour | None:
    if value is None or (isinstance(value, str) and value in COLOURS):
        return COLOURS[value] if value else None
    if isinstance(value, str) or not is_colour(value):
        needed = f"{', '.join(COLOURS)} or red, green and blue as [255, 255, 255]"
        raise _unfit(path, "background", value, needed)
    red, green, blue = value
    return red, green, blue


def _resize(path: Path, value: Any) -> str:
    if value not in ("", *RESIZES):
        raise _unfit(path, "resize", value, " or ".join(RESIZES))
    return value


def _text(path: Path, key: str, value: Any) -> str:
    if not isinstance(value, str) or not (value.isprintable() and len(value) <= LONGEST_TEXT):
        raise _unfit(path, key, value, f"one line of at most {LONGEST_TEXT} letters")
    return value


def _unfit(path: Path, key: str, value: Any, needed: str) -> ValueError:
    return ValueError(f"{path}: {key} is {value!r}; needed is {needed}")

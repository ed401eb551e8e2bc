"""What is to be said of files to translate: what is passed over, at what size, what is lost."""

from __future__ import annotations

from pathlib import Path

from i2i_bench.data.decode import cut_size, resized_size
from i2i_bench.data.traits import say_traits
from i2i_bench.model import ResizeRule
from i2i_bench.runs.source_files import list_image_files, passed_over
from i2i_bench.runs.translator import Translator
from i2i_bench.system.prefetch import prefetch
from i2i_bench.tasks.image_file import read_image_size
from i2i_bench.tasks.image_traits import read_image_traits

SHOWN = 8  # names of what is passed over


def say_of_files(translator: Translator, source: Path) -> list[str]:
    """Say what of an image, or of those of a folder, is dropped or changed, and of how many.

    Raises:
        ValueError: If there is no image, or one cannot be read.
    """
    files = list_image_files(source)
    traits = prefetch(read_image_traits, files, part_size=16)
    return say_traits(traits, translator.reading, upright="--upright")


def say_size(translator: Translator, source: Path) -> str:
    """Say at what size images are translated, and of how many the sides are trimmed.

    Raises:
        ValueError: If an image cannot be read.
    """
    rule = translator.rule
    if not rule.is_whole:
        return f"at {rule.size}x{rule.size} px"
    how = "at their own size" if rule.resize == "own" else f"with a short side of {rule.size} px"
    files = list_image_files(source)
    sizes = [read_image_size(path, reading=translator.reading) for path in files]
    count = sum(_is_trimmed(size, rule) for size in sizes)
    if not count:
        return how
    return f"{how} ({count} of {len(files)} trimmed to sides that are multiples of {rule.multiple})"


def _is_trimmed(size: tuple[int, int], rule: ResizeRule) -> bool:
    return cut_size(size, rule) != resized_size(size, rule)


def say_passed_over(source: Path) -> str:
    """Name what of a folder is not translated; "" where there is nothing."""
    names = passed_over(source)
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"passed over {len(names)}: {', '.join(names[:SHOWN])}{more}"

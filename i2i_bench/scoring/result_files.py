"""Which files of another program's results are its translations, and of which test image each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from i2i_bench.model import Direction
from i2i_bench.scoring.submission import ImageFile, Listing

NUM_SHOWN = 3  # names in a message
# What stands beside translations, by the endings of names or the folders of published programs:
# junyanz/pytorch-CycleGAN-and-pix2pix, taesungp/contrastive-unpaired-translation,
# NVIDIA/pix2pixHD, NVlabs/SPADE, phillipi/pix2pix and affinelayer/pix2pix-tensorflow.
_BESIDE = re.compile(
    r"(?i)(.+)[_-](real|fake|rec|idt|same|input|inputs|target|targets|input_label|input_image|"
    r"real_image|label|ground_truth)(_?[a-z])?"
)


@dataclass(frozen=True)
class ChosenFiles:
    """The translations among the files of a folder or an archive.

    Attributes:
        files: By the index of the source, in the order of the task.
        mark: Ending of their names, or name of their folder; "" for those of sources' own names.
        num_passed_over: Other files.
        cut: What was cut out of the files, in words; "" for whole ones.
        num_taken: Files that translations come from.
    """

    files: dict[int, ImageFile]
    mark: str
    num_passed_over: int
    num_taken: int
    cut: str = ""

    @property
    def how(self) -> str:
        """How translations were found: by an ending, a folder or cutting; "" by their names."""
        first = next(iter(self.files.values()))
        if self.cut or not self.mark:
            return self.cut
        if first.path.stem.lower().endswith(self.mark):
            return f"*{first.path.stem[-len(self.mark) - 1 :]}"
        folders = [part for part in first.path.parts[:-1] if part.lower() == self.mark]
        return f"folder {folders[-1]}"


def marks_of(direction: Direction) -> tuple[str, ...]:
    """Name the endings and folders by which programs mark translations, the surest first."""
    target = direction.target.lower()
    return (
        *(f"fake_{target}", f"fake{target}", "fake", "synthesized_image", "synthesized"),
        *("outputs", "output", "translated"),
    )


def choose_files(
    listing: Listing, names: Sequence[str], direction: Direction, others: Iterable[str] = ()
) -> ChosenFiles | None:
    """Find the translation of each test image by the names of files.

    ``x.png`` is the translation of ``x.jpg``, in any folder; so are ``x_fake_B.png`` (the domain
    into which is translated), ``x_fake.png``, ``x_synthesized_image.png`` and the like, and
    ``x.png`` in a folder of such a name. What has the most names of test images is taken.

    Args:
        listing: The files there are.
        names: Of the sources.
        direction: From which domain to which.
        others: Names of test images of other domains, whose files may lie beside.

    Returns:
        None where no file has the name of a test image.

    Raises:
        ValueError: If one has an unknown name, or two have the same.
    """
    wanted = {PurePosixPath(name).stem: index for index, name in enumerate(names)}
    marks = marks_of(direction)
    marked = by_mark(listing.files, marks)
    mark = max(marked, key=lambda each: len(marked[each].keys() & wanted.keys()))
    found = marked[mark]
    if not found.keys() & wanted.keys():
        return None
    strangers = [stem for stem in found if stem not in wanted]
    if not mark:
        beside = {PurePosixPath(name).stem for name in others}
        translated = {stem for each in marks for stem in _with_ending(marked[each], each)}
        strangers = [
            stem for stem in strangers if stem in translated or not _is_beside(stem, wanted, beside)
        ]
    if strangers:
        raise unknown_names(listing, [str(found[stem][0].path) for stem in strangers], names)
    files = {wanted[stem]: _only(found[stem], listing) for stem in wanted if stem in found}
    rest = len(listing.files) - len(files) + listing.num_others
    return ChosenFiles(files, mark, rest, len(files))


def by_mark(
    files: Iterable[ImageFile], marks: Sequence[str]
) -> dict[str, dict[str, list[ImageFile]]]:
    """Give files by mark and the stem before it; the mark "" has all by their own stem.

    Args:
        files: Of a folder or an archive.
        marks: Endings of names, or names of folders, in small letters.
    """
    found: dict[str, dict[str, list[ImageFile]]] = {mark: {} for mark in (*marks, "")}
    for file in files:
        stem, folders = file.path.stem, {part.lower() for part in file.path.parts[:-1]}
        found[""].setdefault(stem, []).append(file)
        for mark in marks:
            before = stem[: -len(mark) - 1]
            if before and stem[len(before) :].lower() in (f"_{mark}", f"-{mark}"):
                found[mark].setdefault(before, []).append(file)
            elif mark in folders:
                found[mark].setdefault(stem, []).append(file)
    return found


def _with_ending(found: Mapping[str, list[ImageFile]], mark: str) -> list[str]:
    """List the whole stems of files that end in a mark."""
    stems = [file.path.stem for files in found.values() for file in files]
    return [stem for stem in stems if stem.lower().endswith(mark)]


def _is_beside(stem: str, wanted: Mapping[str, int], others: set[str]) -> bool:
    """Tell whether a file is of another domain, or one of those that programs write beside."""
    match = _BESIDE.fullmatch(stem)
    return stem in others or bool(match and (match[1] in wanted or match[1] in others))


def _only(files: list[ImageFile], listing: Listing) -> ImageFile:
    if len(files) > 1:
        first, second = files[0].path, files[1].path
        way = "remove one of the two"
        if first.parent != second.parent:
            way = f"give one of the folders {first.parent} and {second.parent}"
        raise ValueError(f"{first} and {second} in {listing.source} have one name; {way}")
    return files[0]


def unknown_names(listing: Listing, unknown: Sequence[str], names: Sequence[str]) -> ValueError:
    """Say which names are none of test images, and how those are."""
    example = PurePosixPath(next(iter(names), "x")).stem
    held = listed(sorted(unknown)) if unknown else "no images"
    if not unknown and listing.num_others:
        held += f" and {listing.num_others} other files"
    return ValueError(
        f"{listing.source} holds {held}; names must be those of the test images of the source, "
        f"such as {example}.png, or {example}_fake_B.png or fake_B/{example}.png beside others"
    )


def listed(names: Sequence[str]) -> str:
    """List some names, and count the others."""
    more = f" and {len(names) - NUM_SHOWN} more" if len(names) > NUM_SHOWN else ""
    return ", ".join(names[:NUM_SHOWN]) + more

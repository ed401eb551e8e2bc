"""Find the folders of a task in an unpacked archive, or cut them from side-by-side images."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from i2i_bench.tasks.archives import ArchiveError
from i2i_bench.tasks.image_file import SUFFIXES, read_image
from i2i_bench.tasks.source import FetchProgress
from i2i_bench.tasks.task import DOMAINS
from i2i_bench.tasks.two_domains import FOLDERS

_DEEPEST = 4  # folders an archive may put around trainA and the others
_HALVES = {"train": "train", "test": "test", "val": "test"}  # of pix2pix; test goes before val


def find_root(draft: Path, report: FetchProgress, *, paired: bool) -> Path:
    """Find trainA and the others in what was unpacked, or make them of halves.

    Args:
        draft: Where the archive was unpacked.
        report: Told of progress.
        paired: Whether images may be cut into a half of a and a half of b.

    Raises:
        ArchiveError: If neither is there, or an image has no two halves.
    """
    folders = _folders(draft)
    roots = [path for path in folders if all((path / name).is_dir() for name in FOLDERS.values())]
    if len(roots) == 1:
        return roots[0]
    if roots:
        raise ArchiveError(f"{len(roots)} folders of it hold trainA and the others")
    for path in folders if paired else []:
        splits = {
            _HALVES[name]: path / name
            for name in ("val", "test", "train")
            if (path / name).is_dir()
        }
        if set(splits) == {"train", "test"}:
            return _cut(splits, path / ".cut", report)
    tops = sorted(path.name for path in draft.iterdir())[:5]
    raise ArchiveError(f"it has no {' '.join(FOLDERS.values())}, but {' '.join(tops) or 'nothing'}")


def _folders(draft: Path) -> list[Path]:
    """List a folder and those below it, the outer ones first."""
    found = level = [draft]
    for _ in range(_DEEPEST):
        level = [path for folder in level for path in sorted(folder.iterdir()) if path.is_dir()]
        found = found + level
    return found


def _cut(splits: dict[str, Path], target: Path, report: FetchProgress) -> Path:
    """Cut images that hold a pair side by side: the left half is of a, the right one of b."""
    todo = [
        (path, split)
        for split, folder in splits.items()
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES
    ]
    for folder in FOLDERS.values():
        (target / folder).mkdir(parents=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(
            pool.map(lambda item: _cut_one(item[0], item[1], target), todo), start=1
        ):
            report("cut", done, len(todo))
    return target


def _cut_one(path: Path, split: str, target: Path) -> None:
    image = read_image(path)
    width, height = image.size
    if width % 2:
        raise ArchiveError(f"{path} of {width}x{height} pixels does not hold two halves")
    for domain, left in zip(DOMAINS, (0, width // 2), strict=True):
        half = image.crop((left, 0, left + width // 2, height))
        half.save(target / FOLDERS[split, domain] / f"{path.stem}.png", compress_level=1)
    path.unlink()  # so that the disk need not hold both

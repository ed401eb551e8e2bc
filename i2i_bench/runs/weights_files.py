"""Where the files of weights lie that a user names: unpacked, or in the one folder below."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from i2i_bench.system.file_kinds import is_archive
from i2i_bench.system.messages import printable
from i2i_bench.tasks import archives

SUFFIXES = {".pt", ".pth", ".ckpt", ".safetensors"}
BESIDE = {".txt", ".index", ".meta"}  # names of domains, and what tells TensorFlow's weights
BOUNDS = archives.Bounds(
    members=10_000, file_bytes=2**34, total_bytes=2**36, ratio=20, free_bytes=2**30
)
DEEPEST = 4  # levels of folders that are looked through
MOST_FOLDERS = 1000
NUM_SHOWN = 4  # names in a message


@contextlib.contextmanager
def weights_at(source: Path) -> Iterator[Path]:
    """Give the folder or file of weights that a user means by a path.

    An archive is unpacked for the block. Of a folder without weights, the one folder below that has
    some is taken.

    Raises:
        ValueError: If an archive is refused or damaged, or several folders have weights.
    """
    if source.is_file() and is_archive(source):
        with tempfile.TemporaryDirectory(prefix="i2i-bench-weights-") as name:
            folder = Path(name)
            archives.unpack(source, folder, bounds=BOUNDS, suffixes=SUFFIXES | BESIDE)
            if not any(folder.iterdir()):
                known = " ".join(sorted(SUFFIXES))
                raise ValueError(f"archive {source} holds no files of weights ({known})")
            yield _folder_of_weights(folder, source)
    elif source.is_dir():
        yield _folder_of_weights(source, source)
    else:
        yield source


def single_file(folder: Path) -> Path | None:
    """Give the only file of weights in a folder; None where there are several, or none."""
    found = weights_in(folder)
    return found[0] if len(found) == 1 else None


def weights_in(folder: Path) -> list[Path]:
    """List the files of weights that lie in a folder itself, by name."""
    return sorted(path for path in folder.iterdir() if _is_weights(path) and path.is_file())


def _is_weights(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _folder_of_weights(folder: Path, source: Path) -> Path:
    if weights_in(folder):
        return folder
    below = _folders_below(folder)
    if len(below) > 1:
        names = ", ".join(printable(str(each.relative_to(folder)), 80) for each in below)
        raise ValueError(f"{source} holds weights in several folders; give one of them: {names}")
    packed = [path.name for path in sorted(folder.iterdir()) if _is_packed(path)][:NUM_SHOWN]
    if packed and not below:
        raise ValueError(
            f"{source} holds {', '.join(printable(name, 80) for name in packed)}, which is packed: "
            "unpack it, or give an archive itself in place of the folder"
        )
    return below[0] if below else folder


def _folders_below(folder: Path) -> list[Path]:
    """Find a few folders with weights, not deep below."""
    found = []
    for number, (name, folders, files) in enumerate(os.walk(folder)):
        here = Path(name)
        folders[:] = sorted(each for each in folders if not each.startswith((".", "__MACOSX")))
        if len(here.relative_to(folder).parts) >= DEEPEST:
            folders.clear()
        if any(_is_weights(here / each) for each in files):
            found.append(here)
        if len(found) >= NUM_SHOWN or number > MOST_FOLDERS:
            break
    return found


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() in (".zip", ".gz", ".tgz", ".tar") and path.is_file()

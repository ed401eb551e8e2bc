"""Features kept between runs in a folder: bounded, safe for several processes, cleared at will.

A file appears whole under its name or not at all, and any of them may vanish at any time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from i2i_bench.system.files import replacing, user_cache

DEFAULT_LIMIT = 2 * 2**30  # bytes: 260,000 images
ABANDONED = 3600  # seconds after which an unfinished file is of a process that was killed
_HEADER = 128  # bytes of a .npy file before its content

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CacheState:
    """What the cache holds.

    Attributes:
        folder: Where.
        files: Number of files, each the features of one set of images.
        bytes: Their size.
        limit: Size that is not exceeded.
    """

    folder: Path
    files: int
    bytes: int
    limit: int


def cache_state() -> CacheState:
    """Say what the cache holds.

    Raises:
        ValueError: If the limit that was set is no number.
    """
    entries = _entries()
    return CacheState(cache_folder(), len(entries), sum(e.size for e in entries), cache_limit())


def clear_cache() -> int:
    """Remove everything from the cache; give the number of bytes that this freed."""
    return sum(entry.size for entry in _entries() if _remove(entry))


def cache_folder() -> Path:
    """Give the folder of features, below I2I_BENCH_CACHE or ``i2i-bench`` in the user's cache."""
    chosen = os.environ.get("I2I_BENCH_CACHE")
    return (Path(chosen).expanduser() if chosen else user_cache()) / "features"


def cache_limit() -> int:
    """Give the size that the cache does not exceed: I2I_BENCH_CACHE_BYTES, or 2 GiB.

    Raises:
        ValueError: If that is set to something else than a number of bytes.
    """
    chosen = os.environ.get("I2I_BENCH_CACHE_BYTES", "").strip()
    if not chosen:
        return DEFAULT_LIMIT
    if not (chosen.isascii() and chosen.isdigit()):
        raise ValueError(
            f"I2I_BENCH_CACHE_BYTES is {chosen!r}; "
            "set it to a number of bytes, 0 to keep no features"
        )
    return int(chosen)


def load_features(key: str, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Read features, which stay on disk until used.

    Args:
        key: Under which they were kept.
        shape: Which they must have.

    Returns:
        Finite float32 features; None where there are none or the file is not what it should be.
    """
    path = cache_folder() / f"{key}.npy"
    try:
        features = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    sound = (
        isinstance(features, np.ndarray)
        and features.shape == shape
        and features.dtype == np.float32
        and bool(np.isfinite(features).all())
    )
    with contextlib.suppress(OSError):  # a cache that others share may be read-only
        os.utime(path)  # the least recently used go first
    return features if sound else None


def keep_features(key: str, features: NDArray[np.float32]) -> None:
    """Write features for next time, and remove the least recently used ones beyond the limit.

    What exceeds the limit alone is not kept; a folder that cannot be written costs a warning.
    """
    limit = cache_limit()
    if features.nbytes + _HEADER > limit:
        logger.warning("features of %d images exceed the cache's limit", len(features))
        return
    path = cache_folder() / f"{key}.npy"
    try:
        with replacing(path) as partial:
            np.save(partial, features)
        _trim(limit, path)
    except (OSError, ValueError) as error:  # ValueError of a link that leads nowhere
        logger.warning("features are not kept for next time: %s", error)


@dataclass(frozen=True)
class _Entry:
    path: Path
    size: int
    used: float

    @property
    def is_draft(self) -> bool:
        """Whether a process is writing it, or was killed while writing."""
        return self.path.name.startswith(".")


def _entries() -> list[_Entry]:
    """List the files there are, the least recently used first."""
    entries = []
    with contextlib.suppress(OSError), os.scandir(cache_folder()) as listing:
        for found in listing:
            if not (found.name.endswith(".npy") and found.is_file(follow_symlinks=False)):
                continue
            with contextlib.suppress(OSError):  # another process removed it
                state = found.stat(follow_symlinks=False)
                entries.append(_Entry(Path(found.path), state.st_size, state.st_mtime))
    return sorted(entries, key=lambda entry: entry.used)


def _trim(limit: int, newest: Path) -> None:
    """Remove abandoned drafts, and the least recently used files until the rest fits."""
    entries, now = _entries(), time.time()
    total = sum(entry.size for entry in entries)
    for entry in entries:
        abandoned = entry.is_draft and entry.used < now - ABANDONED
        spare = not entry.is_draft and entry.path != newest and total > limit
        if (abandoned or spare) and _remove(entry):
            total -= entry.size


def _remove(entry: _Entry) -> bool:
    """Remove a file, unless another process did or it may not be."""
    try:
        entry.path.unlink()
    except OSError:
        return False
    return True

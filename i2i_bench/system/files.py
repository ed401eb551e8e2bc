"""Read untrusted files with bounds; write ours so that they are whole on disk or not there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LARGEST_NOTE = 2**20  # bytes of a JSON file that is no record


def read_bounded(path: Path, largest: int) -> bytes:
    """Read an untrusted file up to a limit of bytes.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is larger, or no file, such as a device or a pipe that never ends.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a file")
    with path.open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"{path} is larger than {largest >> 20} MiB; nothing here needs to be")
    return content


def read_json(path: Path) -> Any:
    """Read a small untrusted JSON file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is none.
    """
    try:
        return json.loads(read_bounded(path, LARGEST_NOTE))
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new one, never a part."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time change a folder; all at once where the system has no locks."""
    make_folders(folder)
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # of some network file systems
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # and with it the lock


def lock_file(path: Path, held: Callable[[], None]) -> tuple[int, bool]:
    """Open, or create, and lock a file that its owner may remove.

    Args:
        path: Of the file.
        held: Called if another process has the lock, before that is waited for; may raise.

    Returns:
        The handle, with which the lock ends, and whether the file system has locks at all.
    """
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            has_locks = _lock(handle, held)
            with contextlib.suppress(FileNotFoundError):  # the last owner has removed this file
                if path.stat().st_ino == os.fstat(handle).st_ino:
                    return handle, has_locks
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int, held: Callable[[], None]) -> bool:
    """Lock a file; tell whether the file system can."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held()
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:  # of some network file systems
        return False
    return True


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Return the name of a file beside ``path`` that takes its place once it is safely on disk.

    If the block fails, that file is removed and ``path`` stays as it was.
    """
    make_folders(path.parent)
    handle, partial = _draft(path)
    os.close(handle)
    try:
        yield partial
        sync(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync(path.parent)


def put(path: Path, content: bytes | memoryview) -> None:
    """Write one of many files as ``replacing`` does; the caller has ``sync`` their folder.

    It makes few calls to the system, as threads that write images wait for each other after each.
    """
    try:
        handle, partial = _draft(path)
    except (FileNotFoundError, NotADirectoryError):  # which makes a better sentence of it
        make_folders(path.parent)
        handle, partial = _draft(path)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _draft(path: Path) -> tuple[int, Path]:
    """Open a new hidden file beside a path, with the permissions of the user's mask."""
    prefix = f".{path.stem[:32]}-"  # the whole name may be as long as a file system allows
    while True:
        draft = path.with_name(f"{prefix}{secrets.token_hex(6)}{path.suffix}")
        with contextlib.suppress(FileExistsError):
            return os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), draft


def sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folders(folder: Path) -> None:
    """Make a folder and its parents, synced so that they outlive a loss of power.

    Raises:
        OSError: If it cannot be made.
        ValueError: If it is a link that leads nowhere.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in missing:
        require_no_dead_link(each)
    folder.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        sync(made.parent)


def require_no_dead_link(path: Path) -> None:
    """Raise ValueError if a path is a link that leads nowhere, such as to an unmounted disk."""
    if path.is_symlink() and not path.exists():
        raise ValueError(f"{path} is a link that leads nowhere; fix it, or mount what it leads to")


def require_writable(path: Path) -> None:
    """Require that a record can be written at a place, before the work is done.

    Raises:
        ValueError: If it cannot.
    """
    for each in path.absolute().parents:
        require_no_dead_link(each)
    nearest = next(each for each in path.absolute().parents if each.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise ValueError(
            f"no record can be written into {nearest}: {error.strerror}; choose another folder "
            "with --results"
        ) from None


def user_cache() -> Path:
    """Return the folder of this program in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "i2i-bench"

"""The lock of a run: one process at a time works on it; a lock file names the owner."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from i2i_bench.system.files import lock_file, make_folders
from i2i_bench.system.messages import printable, shown_seconds

BEAT_SECONDS = 10.0  # between two signs of life
IN_PROGRESS = " is in progress: "  # how a launcher recognises this failure
WATCH_SECONDS = 45.0  # without any, after which an owner on another machine is dead
LARGEST_LOCK = 4096  # bytes

logger = logging.getLogger(__name__)


class Locked(ValueError):
    """Another process works on the run."""


class LockLost(ValueError):
    """The lock was taken over by a process that found its owner dead, or its file was removed."""


@dataclass(frozen=True)
class Owner:
    """The process that holds a lock, as the lock file has it.

    Attributes:
        host: Name of the machine.
        machine: What tells machines, and starts of one, apart.
        process: Number of the process.
        born: When the process started, by its machine's own count; tells processes of one number
            apart.
        since: Seconds since 1970, for messages only: nothing is decided by a clock.
        token: Differs every time a lock is taken.
    """

    host: str
    machine: str
    process: int
    born: str
    since: float
    token: str

    def __str__(self) -> str:
        age = shown_seconds(time.time() - self.since)
        return f"process {self.process} on {printable(self.host)}, for {age}"


@dataclass(frozen=True)
class RunLock:
    """The lock that a process holds while it works on a run.

    Attributes:
        path: Of the lock file.
        token: Written in it by this process.
    """

    path: Path
    token: str

    def require(self) -> None:
        """Make sure, before something is written, that this process still holds the lock.

        Raises:
            LockLost: If it does not.
        """
        owner = _read(self.path)
        if owner is None and self.path.exists():
            return  # it cannot be read for a moment, or is being written: the next time will tell
        if owner is None or owner.token != self.token:
            by = f"taken over by {owner}" if owner else "removed"
            raise LockLost(f"the lock {self.path} was {by}; this process stops and writes no more")


def lock_path(folder: Path) -> Path:
    """Return the lock file of a run: beside its folder, which may be removed."""
    return folder.with_name(f".{folder.name}.lock")


@contextlib.contextmanager
def lock_run(folder: Path, *, watch: float = WATCH_SECONDS) -> Iterator[RunLock]:
    """Keep other processes from working on a run.

    The system frees the lock of a process that dies. Where the owner is on another machine, whose
    locks a shared folder may not pass on, the lock file is watched for signs of life instead.

    Args:
        folder: Of the run.
        watch: Seconds without a sign after which an owner on another machine is dead.

    Raises:
        Locked: If a living process works on it; the message says which and since when.
    """
    path = lock_path(folder)
    make_folders(path.parent)

    def refuse() -> None:
        raise _locked(folder, _read(path))

    handle, has_locks = lock_file(path, refuse)
    try:
        _require_dead(path, folder, watch, has_locks=has_locks)
        token = _write(handle)
        try:
            with _beating(handle):
                yield RunLock(path, token)
        finally:
            _remove(path, token)  # while it is locked, so that no newer owner's file is removed
    finally:
        os.close(handle)  # and with it the lock


def _remove(path: Path, token: str) -> None:
    owner = _read(path)
    if owner is not None and owner.token == token:
        path.unlink(missing_ok=True)


def _locked(folder: Path, owner: Owner | None) -> Locked:
    by = owner or "another process"
    return Locked(f"{folder}{IN_PROGRESS}{by}; wait for it, or stop it and repeat this command")


def _require_dead(path: Path, folder: Path, watch: float, *, has_locks: bool) -> None:
    owner = _read(path)
    if owner is None:
        return
    is_dead = _is_dead_here(owner, has_locks=has_locks)
    if not is_dead and (owner.machine == _machine() or _shows_life(path, watch)):
        raise _locked(folder, owner)
    logger.warning("%s was in progress: %s; it is dead, taking its place", folder, owner)


def _is_dead_here(owner: Owner, *, has_locks: bool) -> bool:
    """Tell whether an owner was on this machine and is no more, given that its lock is free."""
    if owner.machine != _machine():
        return False
    if has_locks:
        return True
    return owner.host == socket.gethostname() and owner.born != _born(owner.process)


def _shows_life(path: Path, seconds: float) -> bool:
    """Watch whether a file is touched, by this machine's count of seconds and no clock."""
    logger.warning("%s is of another machine: watching it for %.0f s", path, seconds)
    first, end = _touched(path), time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(1.0, seconds))
        if _touched(path) != first:
            return True
    return False


def _touched(path: Path) -> int | None:
    try:
        with path.open("rb") as file:  # opened, for a network file system to ask anew
            return os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _beating(handle: int) -> Iterator[None]:
    """Touch the lock file regularly, as a sign of life."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # of a folder that is away for a while
                os.utime(handle)

    thread = threading.Thread(target=beat, name="lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _write(handle: int) -> str:
    """Write this process into the lock file; give the token."""
    token, process = secrets.token_hex(8), os.getpid()
    owner = Owner(
        socket.gethostname(), _machine(), process, _born(process), round(time.time(), 3), token
    )
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(asdict(owner)).encode(), 0)
    return token


def _read(path: Path) -> Owner | None:
    """Read who holds a lock; None where nobody does, or the owner died while writing it."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(LARGEST_LOCK))
        owner = Owner(**content)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    kinds = {"process": int, "since": float}
    sound = all(isinstance(content[f.name], kinds.get(f.name, str)) for f in fields(Owner))
    return owner if sound and math.isfinite(owner.since) else None


def _machine() -> str:
    """Give what tells this machine, since it was started, from others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def _born(process: int) -> str:
    """Give when a process started; empty if there is none, or the system does not tell."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]  # field 22; the name before it may hold anything

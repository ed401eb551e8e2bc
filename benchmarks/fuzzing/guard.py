"""Notice what reading a file must never do, and require that a refusal is a sentence."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS = 20  # of one input
LONGEST = 2100  # letters of a sentence
EXECUTIONS = {"os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect"}
WRITES = {
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "shutil.rmtree",
}


class Found(AssertionError):
    """Something happened that must not."""


class Guard:
    """Notices what reading must never do; one for a process, as audit hooks cannot be removed."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.caught: list[str] = []
        sys.addaudithook(self._watch)

    def _watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event in EXECUTIONS:
            self.caught.append(f"{event} {arguments}"[:200])
        elif event in WRITES or (event == "open" and _writes(arguments)):
            path = _place(event, arguments)
            if path and not path.is_relative_to(self.folder) and path != Path("/dev/null"):
                self.caught.append(f"{event} {path}")

    @contextlib.contextmanager
    def watching(self, folder: Path) -> Iterator[None]:
        """Watch while a block runs.

        Raises:
            Found: If it did what it must not.
        """
        self.folder, self.caught = folder, []
        signal.alarm(SECONDS)
        try:
            yield
        finally:
            signal.alarm(0)
            self.folder = None
        if self.caught:
            raise Found("; ".join(self.caught))


def _place(event: str, arguments: tuple[Any, ...]) -> Path | None:
    """Give the path that an operation is about; None where it is an open file."""
    if not isinstance(arguments[0], str | bytes | os.PathLike):
        return None
    path = Path(os.fsdecode(arguments[0]))
    inside = arguments[-1]  # of most operations, the folder in which a relative path begins
    if event != "open" and isinstance(inside, int) and inside >= 0 and not path.is_absolute():
        with contextlib.suppress(OSError):
            path = Path(f"/proc/self/fd/{inside}").readlink() / path
    return path.absolute()


def _writes(arguments: tuple[Any, ...]) -> bool:
    place, mode, flags = arguments
    if not isinstance(place, str | bytes):
        return False
    return (
        bool(flags & (os.O_WRONLY | os.O_RDWR)) if mode is None else bool(set(mode) & set("wax+"))
    )


def require_sentence(error: ValueError) -> None:
    """Require that what is said of a file can be printed and is short.

    Raises:
        Found: If not.
    """
    from i2i_bench.system import messages

    said = messages.reason(error)
    if not said.isprintable() or len(said) > LONGEST:
        raise Found(f"no sentence: {said[:200]!r}... of {len(said)}") from error


def stop_slow(number: int, frame: object) -> None:
    """Raise Found; to be called by an alarm."""
    del number, frame
    raise Found(f"more than {SECONDS} s for one input")

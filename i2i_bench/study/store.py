"""The log of a served study: every line is on disk before it is acknowledged."""

from __future__ import annotations

import csv
import fcntl
import io
import os
import re
import threading
from pathlib import Path

from i2i_bench.study.answers import (
    LOG,
    Answered,
    Begun,
    Given,
    Handed,
    LogLine,
    log_text,
    read_log,
    require_next,
)
from i2i_bench.study.answers import apply_line as apply
from i2i_bench.study.plan import ANSWERS, LINKS, Study
from i2i_bench.system.files import LARGEST_NOTE, make_folders, read_bounded, sync

_TOKEN = re.compile("[A-Za-z0-9_-]{16,64}")


class AnswerConflictError(ValueError):
    """An answer does not follow: it was given already, perhaps in another window."""


class AnswerStore:
    """What was answered so far; one process at a time has it, any number of threads use it.

    Args:
        study: Whose answers.

    Raises:
        ValueError: If another process has it, or the log is damaged.
    """

    def __init__(self, study: Study) -> None:
        self._study, self._lock = study, threading.Lock()
        make_folders(study.folder / ANSWERS)
        self._path = study.folder / ANSWERS / LOG
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise ValueError(f"{study.folder} is served already; end that process first") from None
        self._given, self._size = read_log(self._path, study)
        os.ftruncate(self._handle, self._size)  # a line that was never acknowledged
        sync(self._path.parent)

    def given(self, session: int) -> Given:
        """Return what was given in a session so far."""
        with self._lock:
            return self._given.get(session, Given())

    def begin(self, line: Begun) -> None:
        """Keep that a person began; once more is no harm.

        Raises:
            AnswerConflictError: If they began in another way.
            ValueError: If it is unfit.
        """
        with self._lock:
            given = self._given.get(line.session, Given())
            if given.begun and given.asked == line.asked:
                return
            if given.begun:
                raise AnswerConflictError(f"session {line.session} has begun already")
            self._append(line)

    def answer(self, line: Answered) -> None:
        """Keep an answer; the same once more is no harm.

        Raises:
            AnswerConflictError: If the trial was answered otherwise, or is not the next one.
            ValueError: If it is unfit.
        """
        with self._lock:
            given = self._given.get(line.session, Given())
            number = line.answer.trial
            if number < len(given.answers) and given.answers[number] == line.answer:
                return
            if number != len(given.answers):
                raise AnswerConflictError(f"trial {number} is not the next one")
            self._append(line)

    def hand_out(self) -> int | None:
        """Give a session to somebody without a link; None if all are taken."""
        with self._lock:
            free = (k for k in range(len(self._study.sessions)) if k not in self._given)
            session = next(free, None)
            if session is not None:
                self._append(Handed(study=self._study.id, session=session))
            return session

    def _append(self, line: LogLine) -> None:
        """Write a line, and wait until it is on disk."""
        require_next(self._given, line, self._study)
        content = log_text(line)
        try:
            written = os.write(self._handle, content)
            if written != len(content):
                raise OSError(f"{self._path}: the disk is full")
            os.fsync(self._handle)
        except OSError:
            os.ftruncate(self._handle, self._size)  # nothing of it was acknowledged
            raise
        self._size += len(content)
        apply(self._given, line, self._study)

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._handle)


def read_links(study: Study) -> list[tuple[str, str]]:
    """Read the token and the completion code of each session.

    Raises:
        ValueError: If they are not those of the study.
    """
    path = study.folder / LINKS
    text = read_bounded(path, 64 * LARGEST_NOTE).decode("utf-8", "replace")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    found = [(row.get("token") or "", row.get("code") or "") for row in rows]
    is_fit = len({token for token, _ in found}) == len(found) == len(study.sessions)
    if not is_fit or not all(_TOKEN.fullmatch(token) for token, _ in found):
        raise ValueError(f"{path} does not hold a token of each of {len(study.sessions)} sessions")
    return found


def log_path(folder: Path) -> Path:
    """Return where the log of a study lies."""
    return folder / ANSWERS / LOG

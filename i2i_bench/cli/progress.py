"""Progress on the console: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

LINE_SECONDS = 10.0  # between plain lines of one stage


class Reporter:
    """Show the progress of stages, one after the other; a context manager and a ``Report``."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars: Progress | None = None
        self._ids: dict[str, TaskID] = {}
        self._done: dict[str, int] = {}
        self._stage, self._last = "", 0.0

    def __enter__(self) -> Reporter:
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[values]}"),
                console=self._console,
            )
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, stage: str, done: int, of: int, values: Mapping[str, float]) -> None:
        """Show that ``done`` of ``of`` units of a stage are done, and some values."""
        shown = "  ".join(f"{name} {value:.3g}" for name, value in values.items())
        if self._bars is None:
            self._line(stage, done, of, shown)
            return
        if stage not in self._ids:
            self._ids[stage] = self._bars.add_task(stage, total=of, values="")
        if done < self._done.get(stage, 0):  # the next run's
            self._bars.reset(self._ids[stage], total=of)
        self._done[stage] = done
        width = max(0, self._console.width - 70)
        self._bars.update(self._ids[stage], completed=done, total=of, values=shown[:width])

    def _line(self, stage: str, done: int, of: int, shown: str) -> None:
        now = time.monotonic()
        if stage == self._stage and done < of and now - self._last < LINE_SECONDS:
            return
        self._stage, self._last = stage, now
        print(f"{stage} {done}/{of}  {shown}".rstrip(), file=sys.stderr, flush=True)


class ProgressBoard:
    """Show the output of parallel runs: one table on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._lines: dict[str, str] = {}
        self._lock = threading.Lock()
        self._live = Live(console=self._console, transient=True, get_renderable=self._table)

    def __enter__(self) -> ProgressBoard:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, run: str, line: str) -> None:
        """Show the newest line of a run; a warning stays."""
        line = line.removeprefix(run).removeprefix(": ").strip()
        with self._lock:
            self._lines[run] = line
            if not self._console.is_terminal:
                print(f"{run}: {line}", file=sys.stderr, flush=True)
            elif line.startswith("WARNING"):
                self._console.print(f"{run}: {line}", markup=False, highlight=False)

    def say(self, line: str) -> None:
        """Print a lasting line above the table."""
        with self._lock:
            self._lines = {r: said for r, said in self._lines.items() if f" {r}: " not in line}
        print(line, flush=True)

    def _table(self) -> Table:
        table = Table("run", "progress", box=None, pad_edge=False)
        for run, line in list(self._lines.items()):
            table.add_row(Text(run), Text(line, no_wrap=True, overflow="ellipsis"))
        return table

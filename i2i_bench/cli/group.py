"""How commands fail: in one sentence, with the nearest name, with other processes."""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click

from i2i_bench.cli.terminal import use_plain_output
from i2i_bench.system.messages import near, reason
from i2i_bench.system.processes import several

SPIN_COUNT = "10000"  # looks at a lock before a thread sleeps, as measured: docs/speed.md
SHARED = ("run", "ablate")  # commands that processes of torchrun share


class Commands(click.Group):
    """Commands that fail in one sentence, and name the nearest to a misspelt name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or name the nearest; only the first process runs unshared commands."""
        if args and args[0] not in SHARED and is_one_of_several() and os.environ["RANK"] != "0":
            raise click.exceptions.Exit(0)
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            possible = f"{near(args[0], self.commands)}possible: {', '.join(sorted(self.commands))}"
            raise click.UsageError(f"no command {args[0]!r}; {possible}", ctx)
        return super().resolve_command(ctx, args)

    def main(self, *arguments: Any, **named: Any) -> Any:
        """Run as a program; a failure to print help is one sentence, too."""
        use_plain_output()
        _name_user()
        _give_way()
        try:
            return super().main(*arguments, **named)
        except OSError as error:
            click.echo(f"Error: {reason(error)}", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an exception becomes one sentence, also with several processes."""
        logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
        if is_one_of_several() and ctx.parent is None:  # a group of the group fails through it
            return _invoke_with_others(super().invoke, ctx)
        return _invoke(super().invoke, ctx)


def _invoke(command: Callable[[click.Context], Any], ctx: click.Context) -> Any:
    try:
        return command(ctx)
    except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
        raise  # of the last, click makes a quiet end: the reader, such as head, has enough
    except Exception as error:  # a plugin may fail in any way
        if os.environ.get("I2I_BENCH_DEBUG"):
            raise
        raise click.ClickException(reason(error)) from None


@contextlib.contextmanager
def unwinding() -> Iterator[None]:
    """Turn SIGTERM into an exception in the block, so that nothing is left half done.

    A process that ignores SIGTERM goes on ignoring it.
    """

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        raise SystemExit(128 + number)  # as shells name the end by a signal

    before = signal.getsignal(signal.SIGTERM)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before == signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _name_user() -> None:
    """Set a user name where the system has none, as in containers: torch asks for one."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"user{os.getuid()}"


def _give_way() -> None:
    """Limit how long waiting OpenMP threads spin, unless the user has set it.

    Threads of GNU's OpenMP, which torch uses on Linux, spin for milliseconds while they wait, which
    beside other processes slows down the thread that they wait for. The variable is read once,
    when torch is imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def is_one_of_several() -> bool:
    """Tell whether torchrun started this process and others; wrong variables are wrong usage."""
    try:
        return several()
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _invoke_with_others(command: Callable[[click.Context], Any], ctx: click.Context) -> Any:
    """Run a command in several processes: the first one prints, a failure is printed once."""
    from i2i_bench.training import parallel

    is_first = os.environ["RANK"] == "0"
    with contextlib.ExitStack() as silence:
        if not is_first:
            nowhere = silence.enter_context(Path(os.devnull).open("w"))
            silence.enter_context(contextlib.redirect_stdout(nowhere))
            silence.callback(logging.disable, logging.root.manager.disable)
            logging.disable()
        try:
            return _invoke(command, ctx)
        except click.ClickException as error:
            if signal.getsignal(signal.SIGTERM) != signal.SIG_IGN:
                signal.signal(signal.SIGTERM, parallel.outlive)
            if parallel.speaks_for_all():
                raise
            raise click.exceptions.Exit(error.exit_code) from None

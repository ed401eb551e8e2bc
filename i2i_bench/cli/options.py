"""What the modules of commands share: how they fail, their common options, columns."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from i2i_bench.runs.launch.process import several
from i2i_bench.system.messages import near, printable, reason

if TYPE_CHECKING:
    import torch

    from i2i_bench.runs.execute import Bench
    from i2i_bench.runs.launch.at_once import Site
    from i2i_bench.runs.plan import Choices, Job, Places
    from i2i_bench.scoring.protocols import Protocol


SPIN_COUNT = "10000"  # looks at a lock before a thread sleeps, as measured: docs/speed.md
SHARED = ("run", "ablate")  # what processes that torchrun started do together


class Commands(click.Group):
    """Commands whose failures are one sentence, and whose misspelt names get the nearest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or name the nearest; what is not shared, the first process does alone."""
        if args and args[0] not in SHARED and _is_one_of_several() and os.environ["RANK"] != "0":
            raise click.exceptions.Exit(0)
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            possible = f"{near(args[0], self.commands)}possible: {', '.join(sorted(self.commands))}"
            raise click.UsageError(f"no command {args[0]!r}; {possible}", ctx)
        return super().resolve_command(ctx, args)

    def main(self, *arguments: Any, **named: Any) -> Any:
        """Run as a program; help that cannot be printed is one sentence, too."""
        _name_user()
        _give_way()
        try:
            return super().main(*arguments, **named)
        except OSError as error:
            click.echo(f"Error: {reason(error)}", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what it raises becomes one sentence, of several processes too."""
        logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
        if _is_one_of_several() and ctx.parent is None:  # a group of the group fails through it
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
    """Have SIGTERM end the block as an exception does, which leaves nothing half done.

    A process that ignores it goes on ignoring it.
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
    """Give the user a name where the system has none, as in containers: torch asks for one."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"user{os.getuid()}"


def _give_way() -> None:
    """Have threads that wait for others leave the processor soon, where the user says nothing.

    Threads of GNU's OpenMP, which torch uses on Linux, wait for milliseconds without: beside other
    processes they keep the very thread that they wait for from its work. It is read once, when
    torch is imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def _is_one_of_several() -> bool:
    try:
        return several()
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _invoke_with_others(command: Callable[[click.Context], Any], ctx: click.Context) -> Any:
    """Run a command of which the first process speaks, and of a failure who meets it first."""
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


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _place(name: str, default: str, what: str) -> Decorator:
    return click.option(
        f"--{name}",
        type=click.Path(path_type=Path, file_okay=False),
        callback=lambda ctx, param, value: value.expanduser(),  # a shell leaves variables alone
        default=default,
        envvar=f"I2I_BENCH_{name.upper()}",
        show_default=True,
        show_envvar=True,
        help=what,
    )


RESULTS = _place("results", "results", "Folder of records.")
RUNS = _place("runs", "runs", "Folder of checkpoints, logs, translations and figures.")
_CACHE = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
DATA = _place("data", f"{_CACHE}/i2i-bench/data", "Folder of catalogued tasks.")
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Device to compute on.",
)
PROTOCOL = click.option(
    "--protocol",
    "protocols",
    multiple=True,
    default=["i2i"],
    show_default=True,
    help="How to score, such as i2i or ugatit (see i2i-bench protocols); repeatable.",
)
ORDERS = click.option(
    "--order-replicates",
    type=click.IntRange(min=2),
    default=None,
    metavar="N",
    help="Also score N random file orders, where the KID depends on the order (ugatit).",
)
SUBSET_SIZE = click.option(
    "--kid-subset-size",
    type=click.IntRange(min=2),
    metavar="N",
    help="Images per subset, where the KID is over subsets (uvcgan2); default: see the record.",
)
FORCE = click.option("--force", is_flag=True, help="Repeat and replace what exists already.")
MODELS = "Name of an installed model (see i2i-bench models); repeatable."


def _tasks(*, required: bool) -> Decorator:
    what = "Task name such as stripes (see i2i-bench tasks), or a folder of images; repeatable."
    return click.option("--task", "tasks", multiple=True, required=required, help=what)


TASKS, OPTIONAL_TASKS = _tasks(required=True), _tasks(required=False)
SEEDS = click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=click.IntRange(min=0),
    default=[0],
    show_default=True,
    help="Seed of a run; repeatable: --seed 0 --seed 1 gives two runs.",
)
PRESET = click.option(
    "--preset",
    default="published",
    show_default=True,
    help="published (as the authors), small (minutes on a CPU) or tiny (seconds).",
)
CHANGES = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting, such as num_masks=4 (see run --dry-run); repeatable.",
)
BUDGET = click.option(
    "--budget",
    type=click.IntRange(min=1),
    help="Images seen in training, counting repeats; default: the preset's.",
)
PRECISION = click.option(
    "--precision",
    type=click.Choice(["fp32", "tf32", "bf16"]),
    default="fp32",
    show_default=True,
    help="Number format for training; tf32 needs CUDA.",
)
FAST = click.option(
    "--fast",
    "modes",
    multiple=True,
    type=click.Choice(
        ["auto", "none", "channels-last", "fused", "compile", "capture", "tune", "kernels"]
    ),
    default=["auto"],
    show_default=True,
    help="Optimisations of training steps; auto is what was measured to be fastest. Repeatable.",
)


class _Seconds(click.FloatRange):
    """A time; no comparison tells that a NaN is none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


CHECKPOINTS = click.option(
    "--checkpoint-seconds",
    type=_Seconds(min=0),
    default=300.0,
    show_default=True,
    help="Seconds between checkpoints.",
)
JOBS = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run N at a time, each in a process with its share of CUDA devices or processors.",
)
LAUNCHER = click.option(
    "--launcher",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Run on this machine or on a Ray cluster (RAY_ADDRESS).",
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Print the plan and stop.")


def places_from(options: Mapping[str, Any]) -> Places:
    """Return the chosen places."""
    from i2i_bench.runs.plan import Places

    return Places(options["results"], options["runs"], options["data"])


def find_protocols(names: Iterable[str]) -> list[Protocol]:
    """Return the protocols of these names, each once."""
    from i2i_bench.scoring import protocols

    return [protocols.find(name) for name in dict.fromkeys(names)]


def protocols_from(options: Mapping[str, Any]) -> list[Protocol]:
    """Return the chosen protocols; refuse options that none of them uses."""
    found = find_protocols(options["protocols"])
    if options.get("kid_subset_size") and not any(each.subsets for each in found):
        raise click.UsageError("--kid-subset-size is for protocols with subsets, such as uvcgan2")
    if options.get("order_replicates") and not any(each.block for each in found):
        raise click.UsageError("--order-replicates is for protocols with blocks, such as ugatit")
    return found


def choices_from(options: Mapping[str, Any]) -> Choices:
    """Return what was chosen for every run of a plan."""
    from i2i_bench.runs.plan import Choices, find_start

    changes = typed_changes(options["changes"])
    named = options.get("start")
    start = find_start(named, places_from(options)) if named else None
    return Choices(options["preset"], changes, options["budget"], options["precision"], start)


def typed_changes(typed: Iterable[str]) -> dict[str, str]:
    """Split KEY=VALUE."""
    changes = {}
    for change in typed:
        key, equals, value = change.partition("=")
        if not equals:
            raise click.UsageError(f"--set {change}: KEY=VALUE is needed")
        if key.strip() in changes:
            raise click.UsageError(f"--set {key.strip()} is given twice; leave one out")
        changes[key.strip()] = value.strip()
    return changes


def carry_out(jobs: Sequence[Job], options: Mapping[str, Any]) -> None:
    """Do what is left to do of a plan, and say what was done.

    Raises:
        click.exceptions.Exit: In a process that helps another one, once the plan is done.
    """
    from i2i_bench.training.loop import Stopped

    try:
        if options["jobs"] is not None or options["launcher"] == "ray":
            _carry_out_at_once(jobs, options)
        else:
            _carry_out_here(jobs, options)
    except Stopped as stopped:
        how = "the same command without --force" if options["force"] else "the same command"
        raise click.ClickException(f"{stopped}; {how} resumes it") from None


def _carry_out_here(jobs: Sequence[Job], options: Mapping[str, Any]) -> None:
    """Carry out run after run in this process, and in those that train with it."""
    from i2i_bench.cli.progress import Reporter
    from i2i_bench.runs import execute
    from i2i_bench.training import parallel

    bench = _bench(options)
    with contextlib.ExitStack() as stack:
        crew = stack.enter_context(parallel.crew(bench.device))
        bench = dataclasses.replace(bench, crew=crew)
        if crew.is_first:
            bench = dataclasses.replace(bench, report=stack.enter_context(Reporter()))
            execute.carry_out(jobs, bench, force=options["force"], say=click.echo)
        else:
            execute.assist(jobs, bench)
    if not crew.is_first:
        raise click.exceptions.Exit(0)


def _carry_out_at_once(jobs: Sequence[Job], options: Mapping[str, Any]) -> None:
    """Carry out several runs at once, each in a process of its own."""
    from i2i_bench.cli.progress import Board
    from i2i_bench.runs import execute
    from i2i_bench.runs.launch import at_once, process

    if _is_one_of_several():
        raise click.UsageError("torchrun shares one run among processes; leave --jobs and ray out")
    bench, force = _bench(options), options["force"]
    left = [job for job in jobs if not execute.is_done(job, bench, force=force)]
    for job in (job for job in jobs if job not in left):
        click.echo(f"{job.run}: recorded already in {bench.places.results / job.run.file}")
    if not left:
        return
    site = _site(options, bench.device, len(left))

    def command(job: Job, is_begun: bool) -> process.Command:
        is_new = force and not is_begun
        device, modes = options["device"], options["modes"]
        return at_once.command_of(job, bench, device=device, modes=modes, force=is_new)

    with Board() as board:
        at_once.carry_out(left, site, command, show=board.show, say=board.say)


def _site(options: Mapping[str, Any], device: torch.device, count: int) -> Site:
    from i2i_bench.runs.launch import at_once

    if options["launcher"] == "ray":
        return at_once.Cluster(options["device"], options["jobs"] or count)
    devices = at_once.devices() if device.type == "cuda" else []
    return at_once.Local(min(options["jobs"], count), devices)


def _bench(options: Mapping[str, Any]) -> Bench:
    """Give what all runs share, without anything that shows progress."""
    from i2i_bench.cli.progress import quiet
    from i2i_bench.runs import execute
    from i2i_bench.training.fast.modes import PLAIN, choose

    is_of_cluster = options["launcher"] == "ray"  # what this machine has does not matter then
    device = execute.choose_device("cpu" if is_of_cluster else options["device"])
    modes = PLAIN
    if not is_of_cluster and device.type != "cuda" and options["precision"] == "tf32":
        raise click.ClickException(f"tf32 is a format of CUDA devices, not of {device.type}")
    if not is_of_cluster:
        modes = choose(options["modes"], device, is_shared=_is_one_of_several())
    return execute.Bench(
        places_from(options),
        protocols_from(options),
        device,
        quiet,
        options["checkpoint_seconds"],
        logs=options.get("logs", ()),
        order_replicates=options.get("order_replicates") or 0,
        kid_subset_size=options.get("kid_subset_size"),
        modes=modes,
    )


def columns(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns."""
    table = [[printable(str(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())

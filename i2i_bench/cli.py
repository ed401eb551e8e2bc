"""The command line; each command imports what it needs when it runs."""
# ruff: noqa: D301 - a raw docstring would hide the backspace by which click keeps lines apart

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from i2i_bench.plan import Choices, Places
    from i2i_bench.protocols import Protocol


class _Commands(click.Group):
    """Commands whose failures are one sentence, and whose misspelt names get the nearest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            near = difflib.get_close_matches(args[0], self.commands, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            known = ", ".join(sorted(self.commands))
            raise click.UsageError(f"no command {args[0]!r}; {hint}possible: {known}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise  # of the last, click makes a quiet end: the reader, such as head, has enough
        except Exception as error:  # a plugin may fail in any way
            if os.environ.get("I2I_BENCH_DEBUG"):
                raise
            raise click.ClickException(_sentence(error)) from None


def _sentence(error: Exception) -> str:
    """Say what went wrong; only what torch or a plugin raises needs more than its message."""
    if isinstance(error, ValueError | OSError):
        return str(error)
    from i2i_bench.runner import reason

    return reason(error)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="i2i-bench")
def main() -> None:
    """Benchmark image-to-image translation: train, translate, score, record, rank.

    \b
    Example:
      i2i-bench run --model attentiongan --task stripes --preset small
      i2i-bench leaderboard
    """


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _place(name: str, default: str, what: str) -> Decorator:
    return click.option(
        f"--{name}",
        type=click.Path(path_type=Path, file_okay=False),
        default=default,
        envvar=f"I2I_BENCH_{name.upper()}",
        show_default=True,
        show_envvar=True,
        help=what,
    )


_RESULTS = _place("results", "results", "Folder of the records.")
_RUNS = _place("runs", "runs", "Folder of checkpoints, logs, translations and figures.")
_CACHE = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
_DATA = _place("data", f"{_CACHE}/i2i-bench/data", "Folder of the catalogued tasks.")
_DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)
_PROTOCOL = click.option(
    "--protocol", "protocols", multiple=True, default=["i2i"], show_default=True, help="Repeats."
)
_FORCE = click.option("--force", is_flag=True, help="Replace what is there.")


def _places(results: Path, runs: Path, data: Path) -> Places:
    from i2i_bench.plan import Places

    return Places(results, runs, data.expanduser())


def _columns(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns."""
    table = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@main.command()
@click.argument("names", nargs=-1)
@click.option("--detail", is_flag=True, help="Import the models and show their cards.")
def models(names: tuple[str, ...], detail: bool) -> None:
    """List installed models; with NAMES or --detail, import them and show what they are.

    \b
    Example:
      i2i-bench models attentiongan
    """
    from i2i_bench import registry

    found = registry.entries()
    if names or detail:
        from i2i_bench.describe import describe

        wanted = names or tuple(dict.fromkeys(entry.name for entry in found))
        click.echo("\n\n".join(describe(name, tolerant=not names) for name in wanted))
        return
    problems = [registry.problem(entry, found) for entry in found]
    rows = [(e.name, e.distribution, e.version, e.summary) for e in found]
    _columns(("model", "distribution", "version", "summary"), rows)
    if any(problems):
        raise click.ClickException("; ".join(dict.fromkeys(p for p in problems if p)))


@main.command()
@_DATA
def tasks(data: Path) -> None:
    """List tasks: what can be run now, and what is missing for the others.

    \b
    Example:
      i2i-bench tasks
    """
    from i2i_bench.tasks import catalog

    rows = [
        (
            row.name,
            row.state,
            f"{row.image_size} px",
            "/".join("?" if n is None else str(n) for n in row.counts.values()),
            row.title,
            row.licence,
        )
        for row in catalog.listing(data.expanduser())
    ]
    _columns(("task", "state", "size", "trainA/trainB/testA/testB", "what", "licence"), rows)
    click.echo("\nAlso: any folder with trainA, trainB, testA and testB, given by its path.")


@main.command("protocols")
def protocols_() -> None:
    """List the ways to score translations.

    \b
    Example:
      i2i-bench protocols
    """
    from i2i_bench.protocols import PROTOCOLS

    rows = [(str(p), p.recipe, p.reference, p.title) for p in PROTOCOLS.values()]
    _columns(("protocol", "features", "reference", "what"), rows)


@main.command()
@click.option("--model", "models", multiple=True, required=True, help="Repeats.")
@click.option("--task", "tasks", multiple=True, required=True, help="Name or folder; repeats.")
@click.option(
    "--seed", "seeds", multiple=True, type=click.IntRange(min=0), default=[0], show_default=True
)
@_PROTOCOL
@click.option("--preset", default="published", show_default=True, help="published, small or tiny.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Repeats.")
@click.option("--budget", type=click.IntRange(min=1), help="Images seen in training.")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True)
@_DEVICE
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@_FORCE
@_RESULTS
@_RUNS
@_DATA
def run(**options: Any) -> None:
    """Train, translate, score and record; the plan is the product of models, tasks and seeds.

    What is recorded is skipped, what was stopped goes on.

    \b
    Example:
      i2i-bench run --model attentiongan --model cyclegan --task stripes --preset small
      i2i-bench run --model attentiongan --task my/folder --set num_masks=4 --dry-run
    """
    from i2i_bench import plan, runner
    from i2i_bench.console import Reporter
    from i2i_bench.training import Stopped

    places = _places(options["results"], options["runs"], options["data"])
    scored_by = _protocols(options["protocols"])
    jobs = plan.plan(
        options["models"], options["tasks"], options["seeds"], _choices(options), places.data
    )
    if options["dry_run"]:
        click.echo("\n\n".join(plan.describe(job, places) for job in jobs))
        return
    device = runner.choose_device(options["device"])
    with Reporter() as report:
        bench = runner.Bench(places, scored_by, device, report)
        try:
            runner.carry_out(jobs, bench, force=options["force"], say=click.echo)
        except Stopped as stopped:
            how = "the same command without --force" if options["force"] else "the same command"
            raise click.ClickException(f"{stopped}; {how} goes on") from None


def _protocols(names: Iterable[str]) -> list[Protocol]:
    from i2i_bench import protocols

    return [protocols.find(name) for name in dict.fromkeys(names)]


def _choices(options: dict[str, Any]) -> Choices:
    from i2i_bench.plan import Choices

    changes = _changes(options["changes"])
    return Choices(options["preset"], changes, options["budget"], options["precision"])


def _changes(typed: Iterable[str]) -> dict[str, str]:
    """Split KEY=VALUE."""
    changes = {}
    for change in typed:
        key, equals, value = change.partition("=")
        if not equals:
            raise click.UsageError(f"--set {change}: KEY=VALUE is needed")
        changes[key.strip()] = value.strip()
    return changes


@main.command()
@click.argument("model")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Repeats.")
def check(model: str, changes: tuple[str, ...]) -> None:
    """Test on the CPU, in seconds, that an installed MODEL keeps the contract.

    \b
    Example:
      i2i-bench check attentiongan
    """
    from i2i_bench import contract, registry

    found = contract.check(registry.load(model), model, _changes(changes))
    for result in found:
        click.echo(f"{'ok  ' if result.reason is None else 'FAIL'}  {result.name}")
    broken = [f"{result.name}: {result.reason}" for result in found if result.reason]
    if broken:
        raise click.ClickException(f"{model} breaks the contract: {'; '.join(broken)}")


@main.command()
@click.argument("run")
@_PROTOCOL
@_DEVICE
@_FORCE
@_RESULTS
@_RUNS
@_DATA
def evaluate(run: str, protocols: tuple[str, ...], device: str, force: bool, **where: Path) -> None:
    """Score a finished RUN again, or under another protocol, without training it.

    RUN is its folder, its record, or task/model+variant/seedK.

    \b
    Example:
      i2i-bench evaluate stripes/attentiongan+preset=small/seed0 --force
    """
    from i2i_bench import plan, runner
    from i2i_bench.console import Reporter

    places = _places(**where)
    job = plan.find_job(run, places)
    with Reporter() as report:
        bench = runner.Bench(places, _protocols(protocols), runner.choose_device(device), report)
        click.echo(f"scored {runner.evaluate(job, bench, force=force)}")


@main.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@click.option("--run", "run_name", help="A run: its folder, record or task/model+variant/seedK.")
@click.option("--model", "model_name", help="With --weights: an installed model.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="A checkpoint of this program, or a folder of the authors' files.",
)
@click.option("--direction", default="a2b", show_default=True, help="From which domain to which.")
@click.option("--size", type=click.IntRange(min=1), help="Side in pixels; default: as trained.")
@click.option("--masks", is_flag=True, help="Write attention masks too, 0 black and 1 white.")
@_DEVICE
@_RESULTS
@_RUNS
@_DATA
def translate(source: Path, target: Path, **options: Any) -> None:
    """Translate the image or folder SOURCE into the folder TARGET, as PNG.

    \b
    Example:
      i2i-bench translate --run stripes/attentiongan+preset=small/seed0 photos out --masks
      i2i-bench translate --model attentiongan --weights official/ photos out
    """
    from i2i_bench import runner, translation
    from i2i_bench.console import Reporter

    places = _places(options["results"], options["runs"], options["data"])
    with Reporter() as report:
        translator = translation.load(
            places, options["run_name"], options["model_name"], options["weights"]
        )
        count = translation.translate_files(
            translator.at(options["size"], options["direction"]),
            source,
            target,
            device=runner.choose_device(options["device"]),
            with_masks=options["masks"],
            report=report,
        )
    click.echo(f"translated {count} images into {target}")


@main.command()
@click.option("--task", help="Only this task.")
@click.option(
    "--format",
    "layout",
    type=click.Choice(["md", "csv", "latex"]),
    default="md",
    show_default=True,
)
@click.option("--write", is_flag=True, help="Write README.md in the folder of the records.")
@click.option("--check", is_flag=True, help="Fail if that README.md is stale.")
@_RESULTS
def leaderboard(task: str | None, layout: str, write: bool, check: bool, results: Path) -> None:
    """Rank what may be ranked: same task, version, protocol, preset and weights.

    \b
    Example:
      i2i-bench leaderboard --task stripes --format latex
    """
    from i2i_bench import record
    from i2i_bench.report import render as board

    records = record.read_all(results)
    if task and (write or check):
        raise click.UsageError("README.md holds all tasks; leave --task out")
    if write or check:
        _readme(results / "README.md", board.readme(records), write=write)
        return
    render = {"md": board.to_markdown, "csv": board.to_csv, "latex": board.to_latex}[layout]
    click.echo(render(records, task), nl=False)


def _readme(path: Path, text: str, *, write: bool) -> None:
    from i2i_bench.record import write_text

    if write:
        write_text(path, text)
        click.echo(f"wrote {path}")
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        raise click.ClickException(
            f"{path} is stale; i2i-bench leaderboard --write makes it anew from the records"
        )
    else:
        click.echo(f"{path} is up to date")

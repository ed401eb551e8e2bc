"""The command ``ablate``, which varies settings of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_bench.cli.carry_out import carry_out
from i2i_bench.cli.fetching import FETCH, obtain_images
from i2i_bench.cli.options import (
    BUDGET,
    CHANGES,
    CHECKPOINTS,
    DATA,
    DEVICE,
    DRY_RUN,
    FAST,
    FORCE,
    JOBS,
    LAUNCHER,
    METRIC,
    OPTIONAL_TASKS,
    PRECISION,
    PRESET,
    PROTOCOL,
    RESULTS,
    RUNS,
    SEEDS,
    SPLIT,
    choices_from,
    columns,
    find_protocols,
    places_from,
)

if TYPE_CHECKING:
    from i2i_bench.records.ablation import AblationPlan
    from i2i_bench.runs.ablation import Theme
    from i2i_bench.runs.job import Job


@click.command()
@click.option("--model", help="Name of an installed model (see i2i-bench models).")
@OPTIONAL_TASKS
@SEEDS
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=VALUE,...",
    help="A setting (or budget) and its values, such as num_masks=1,2,4; repeated: a grid.",
)
@click.option(
    "--ablation", help="One that the model declares, such as masks (see --list); not with --vary."
)
@click.option("--study", hidden=True, help="What --ablation was called: recorded plans name it.")
@click.option("--list", "is_listing", is_flag=True, help="List the ablations models declare.")
@click.option(
    "--name", help="Base name of the files, after the task's name; default: model, keys, settings."
)
@PROTOCOL
@METRIC
@PRESET
@CHANGES
@BUDGET
@SPLIT
@PRECISION
@FAST
@DEVICE
@CHECKPOINTS
@JOBS
@LAUNCHER
@FETCH
@DRY_RUN
@FORCE
@click.option(
    "--write", is_flag=True, help="Regenerate the files of all ablations, running nothing."
)
@click.option("--check", is_flag=True, help="Fail if those files are stale.")
@RESULTS
@RUNS
@DATA
def ablate(**options: Any) -> None:
    """Vary settings of a model, run what is not recorded yet, write table and curve.

    Runs every combination of values, tasks and seeds. The files are ablations/TASK-NAME.md, .csv,
    .tex, .png and .svg in the folder of records, and .json, which --write and --check read. With
    --split validation, by which settings are chosen, their names end in -validation.

    \b
    Example:
      i2i-bench ablate --model attentiongan --task stripes --vary num_masks=1,2,4 --seed 0 --seed 1
      i2i-bench ablate --model attentiongan --task stripes --preset small --ablation losses
      i2i-bench ablate --list
    """
    if options["is_listing"]:
        _list_declared()
    elif options["write"] or options["check"]:
        _require_all(options)
        _refresh(options["results"], write=options["write"])
    else:
        _ablate(options)


def _list_declared() -> None:
    from i2i_bench.runs import ablation

    rows = [
        (model, name, each.title, ", ".join(point.label for point in each.points))
        for model, name, each in ablation.declared_ablations()
    ]
    columns(("model", "ablation", "what", "points"), rows)


def _require_all(options: dict[str, Any]) -> None:
    """Refuse what cannot stand beside --write or --check."""
    if options["write"] and options["check"]:
        raise click.UsageError(
            "--check only looks whether --write would change them; leave one out"
        )
    names = {"model": "--model", "tasks": "--task", "vary": "--vary", "ablation": "--ablation"}
    if typed := [shown for key, shown in names.items() if options[key]]:
        raise click.UsageError(f"--write and --check are of all ablations; leave {typed[0]} out")


def _refresh(results: Path, *, write: bool) -> None:
    """Regenerate the files of all ablations, or tell whether that would change them."""
    from i2i_bench.records import record
    from i2i_bench.records.ablation import FOLDER, read_ablations
    from i2i_bench.report.ablation import stale_files, write_ablation

    record.require_results(results)
    records = record.read_records(results)
    plans = read_ablations(results)
    for plan in plans:
        if write:
            click.echo(f"wrote {_places(write_ablation(plan, records, results))}")
        elif stale := stale_files(plan, records, results):
            raise click.ClickException(
                f"{stale[0]} is stale; i2i-bench ablate --write regenerates it from the records"
            )
    if write and not plans:
        click.echo(f"no ablation in {results / FOLDER}: nothing to write")
    if not write:
        count = f"{len(plans)} ablation{'s' * (len(plans) != 1)}"
        click.echo(f"{count} in {results / FOLDER}: up to date")


def _places(paths: Sequence[Path]) -> str:
    """Name files of one stem in one line."""
    return f"{paths[0]} and {', '.join(path.suffix for path in paths[1:])}"


def _ablate(options: dict[str, Any]) -> None:
    from i2i_bench.runs import ablation

    if not (options["model"] and options["tasks"]):
        raise click.UsageError("--model and --task are needed; --list shows what models declare")
    if options["study"]:
        options = options | {"ablation": options["ablation"] or options["study"]}
    if options["vary"] and options["ablation"]:
        raise click.UsageError("--ablation says what to vary; leave --vary or --ablation out")
    if not (options["vary"] or options["ablation"]):
        raise click.UsageError("either --vary KEY=VALUE,... or --ablation NAME is needed")
    places = places_from(options)
    theme = _theme(options)
    tasks = dict.fromkeys(options["tasks"])
    is_preview = options["dry_run"]
    if not is_preview:
        obtain_images(options["tasks"], places.data, is_wanted=options["fetch"])
    plans = [
        ablation.plan_ablation(theme, task, options["seeds"], places.data, is_preview=is_preview)
        for task in tasks
    ]
    jobs = [job for _, of_plan in plans for job in of_plan]
    if options["dry_run"]:
        _print_plan(jobs, options)
        return
    failure = None
    try:
        carry_out(jobs, options)
    except ValueError as error:  # of some runs; the others are shown
        failure = error
    for plan, _ in plans:
        _show(plan, places.results, is_whole=failure is None)
    if failure:
        raise failure


def _theme(options: dict[str, Any]) -> Theme:
    """Describe the ablation from what was typed."""
    from i2i_bench.runs import ablation

    model, choices = options["model"], choices_from(options)
    protocols = tuple(protocol.name for protocol in find_protocols(options["protocols"]))
    if options["ablation"]:
        found, variants = ablation.declared(model, options["ablation"], choices)
        title, keys, what = found.title, (found.key,), (options["ablation"],)
    else:
        axes = _axes(options["vary"])
        variants = ablation.product(model, axes, choices)
        keys = what = tuple(axes)
        title = f"{model} by {' and '.join(keys)}"
    name = options["name"] or ablation.default_name(model, what, choices)
    command, split = _command(options), options["split"]
    return ablation.Theme(name, title, keys, tuple(variants), command, protocols, split)


def _axes(typed: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Split KEY=VALUE,... into the values of each key."""
    axes: dict[str, tuple[str, ...]] = {}
    for axis in typed:
        key, _, values = (part.strip() for part in axis.partition("="))
        found = tuple(dict.fromkeys(value.strip() for value in values.split(",")))
        if not key or not all(found):
            raise click.UsageError(f"--vary {axis}: KEY=VALUE,VALUE,... is needed")
        if key in axes:
            raise click.UsageError(f"--vary {key} is given twice; join its values with commas")
        axes[key] = found
    return axes


def _command(options: dict[str, Any]) -> tuple[str, ...]:
    """Return the command that makes the same files, except for task and places."""
    words = ["i2i-bench", "ablate"]
    repeated = {"--vary": "vary", "--set": "changes", "--seed": "seeds"}
    single = {key: key[2:] for key in ("--model", "--ablation", "--name", "--budget")}
    for option, key in (single | repeated).items():
        given = options[key] if key in repeated.values() else [options[key]]
        words += [word for value in given if value is not None for word in (option, str(value))]
    for option, key, usual in (
        ("--preset", "preset", "published"),
        ("--precision", "precision", "fp32"),
        ("--split", "split", "test"),
    ):
        words += [option, options[key]] if options[key] != usual else []
    if list(options["protocols"]) != ["i2i"]:
        words += [word for name in options["protocols"] for word in ("--protocol", name)]
    words += [word for name in options["metrics"] for word in ("--metric", name)]
    return tuple(words)


def _print_plan(jobs: Sequence[Job], options: dict[str, Any]) -> None:
    from i2i_bench.runs.preview import expected_time, recorded_where

    places = places_from(options)
    rows = [
        (
            job.run,
            recorded_where(job, places).partition(";")[0],
            expected_time(job, places),
        )
        for job in jobs
    ]
    columns(("run", "recorded", "time"), rows)


def _show(plan: AblationPlan, results: Path, *, is_whole: bool) -> None:
    """Print the tables of an ablation and write its files; where runs failed, of what there is."""
    from i2i_bench.records import record
    from i2i_bench.report import render
    from i2i_bench.report.ablation import ablation_tables, write_ablation

    records = record.read_records(results)
    found = ablation_tables(plan, records)
    if found or is_whole:
        click.echo()
        click.echo(render.tables_to_markdown(found))
        click.echo(f"wrote {_places(write_ablation(plan, records, results))}")

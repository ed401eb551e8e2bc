"""The command ``table``: a paper's table beside what was measured, and how to fill it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from i2i_bench.cli.carry_out import carry_out
from i2i_bench.cli.options import (
    CHECKPOINTS,
    DATA,
    DEVICE,
    FAST,
    JOBS,
    LAUNCHER,
    PRECISION,
    PRESET,
    RESULTS,
    RUNS,
    SEEDS,
    is_typed,
    places_from,
)

if TYPE_CHECKING:
    from i2i_bench.report.papers.tables import PaperTable
    from i2i_bench.runs.table_plan import PlanRequest, TablePlan

OF_BOTH = {  # options that only a plan has, and its commands repeat, by the names of their values
    "precision": "--precision",
    "modes": "--fast",
    "checkpoint_seconds": "--checkpoint-seconds",
    "jobs": "--jobs",
    "launcher": "--launcher",
}
OF_PLANS = {"seeds": "--seed", "preset": "--preset", "models": "--model"} | OF_BOTH
PLACES = {"results": "--results", "runs": "--runs", "data": "--data"}
OF_COMMANDS = {"device": "--device"} | OF_BOTH | PLACES  # repeated where they were typed


@click.command()
@click.argument(
    "name", metavar="TABLE", type=click.Choice(["ii", "iii", "iv", "v", "diversity"], False)
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["md", "csv", "latex"]),
    default="md",
    show_default=True,
)
@click.option(
    "--m",
    "num_domains",
    type=click.IntRange(2, 1000),
    help="Number of domains in table v; default: 8, as printed.",
)
@click.option("--all", "further", is_flag=True, help="Also values printed by others (table iv).")
@click.option("--plan", "is_plan", is_flag=True, help="Say what its cells take, and stop.")
@click.option("--run", "is_run", is_flag=True, help="Carry out the runs that it takes; resumes.")
@click.option("--model", "models", multiple=True, help="Plan only this model; repeatable.")
@SEEDS
@PRESET
@PRECISION
@FAST
@DEVICE
@CHECKPOINTS
@JOBS
@LAUNCHER
@RESULTS
@RUNS
@DATA
def table(name: str, **options: Any) -> None:
    """Print TABLE ii, iii, iv or v of the AttentionGAN paper beside our values, or diversity.

    Table v counts the networks of installed models, which takes some seconds. Table diversity has
    how many right answers are found and the diversity by each paper's recipe, beside printed ones.

    With --plan it says what every cell takes: runs, data, weights, people, memory, time, and the
    commands. With --run it carries out those of the runs that have their data. Cells of table v
    take none; its plan is of the trainings that its models mean.

    \b
    Example:
      i2i-bench table iv
      i2i-bench table v --m 5 --format csv
      i2i-bench table ii --plan
      i2i-bench table iv --run --preset small --seed 0 --seed 1 --jobs 2
    """
    _require_fitting(name, options)
    if name == "v" and options["is_run"]:
        click.echo("table v takes no run: its parameters are counted", err=True)
    elif options["is_plan"] or options["is_run"]:
        _plan(name, options)
        return
    click.echo(_rendered(_found(name, options), options["layout"]), nl=False)


def _require_fitting(name: str, options: dict[str, Any]) -> None:
    """Refuse options that have no meaning for a table.

    Raises:
        click.UsageError: For the first one.
    """
    is_planned = options["is_plan"] or options["is_run"]
    if options["further"] and name != "iv":
        raise click.UsageError("--all is for table iv; nobody else printed values of the others")
    if options["num_domains"] and name != "v":
        raise click.UsageError("--m sets the domains of table v; the others have none to set")
    if options["is_plan"] and options["is_run"]:
        raise click.UsageError("--plan only says what --run does; leave one out")
    if is_planned and name == "diversity":
        raise click.UsageError(
            "table diversity is of any runs; --plan and --run are for ii, iii, iv and v"
        )
    if options["num_domains"] and options["is_plan"]:
        raise click.UsageError(
            "--plan is for the domains as printed, the expressions of RaFD; leave --m out"
        )
    if options["is_plan"] and options["layout"] != "md":
        raise click.UsageError("a plan is text; leave --format out")
    typed = [shown for option, shown in OF_PLANS.items() if is_typed(option)]
    if typed and name == "v" and options["is_run"]:
        raise click.UsageError(f"table v takes no run, so {typed[0]} has no meaning for --run")
    if typed and not is_planned:
        raise click.UsageError(f"{typed[0]} is for --plan and --run")


def _found(name: str, options: dict[str, Any]) -> PaperTable:
    from i2i_bench.records import record
    from i2i_bench.records.study import read_study_records
    from i2i_bench.report.papers import capacity, comparison, diversity

    results = options["results"]
    if name == "v":
        click.echo("counting the networks of installed models; this takes some seconds", err=True)
        return capacity.capacity_table(options["num_domains"] or 8, _count_published)
    if is_typed("results") and not options["is_run"]:
        record.require_results(results)
    if name == "diversity":
        return diversity.diversity_table(record.read_records(results))
    records, studies = record.read_records(results), read_study_records(results)
    return comparison.comparison_table(name, records, studies, further=options["further"])


def _rendered(found: PaperTable, layout: str) -> str:
    from i2i_bench.report.papers import tables

    render = {"md": tables.paper_markdown, "csv": tables.paper_csv, "latex": tables.paper_latex}
    return render[layout](found)


def _count_published(model: str, num_domains: int) -> int:
    from i2i_bench.plugins.describe import count_published

    return count_published(model, num_domains)


def _plan(name: str, options: dict[str, Any]) -> None:
    """Say what a table takes, or carry it out."""
    from i2i_bench.runs.table_plan_text import plan_text, unmet

    click.echo("finding what each cell takes; this can take a minute", err=True)
    if name == "v":
        _plan_capacity(options)
        return
    plan = _planned(name, options)
    if options["is_plan"]:
        click.echo(plan_text(plan), nl=False)
        return
    jobs = [job for training in plan.trainings for job in training.left]
    if lines := unmet(plan):
        click.echo("\n".join(lines), err=True)
    if not jobs and not any(training.jobs for training in plan.trainings):
        raise click.ClickException(
            f"no run of table {name} can be carried out; i2i-bench table {name} --plan says what "
            "each takes"
        )
    protocols = [p for training in plan.trainings for p in training.protocols]
    chosen = {"protocols": list(dict.fromkeys(protocols)), "force": False}
    if jobs:
        carry_out(jobs, options | chosen)
    click.echo(_rendered(_found(name, options), options["layout"]), nl=False)


def _plan_capacity(options: dict[str, Any]) -> None:
    """Say what the models of table v take, of which the table itself takes none."""
    from i2i_bench.runs.capacity_plan import plan_capacity
    from i2i_bench.runs.table_plan_text import capacity_plan_text
    from i2i_bench.training import parallel

    request = _request("v", options)
    device = parallel.choose_device(options["device"])
    plans = plan_capacity(request, places_from(options), device)
    click.echo(capacity_plan_text(request, plans), nl=False)


def _request(name: str, options: dict[str, Any]) -> PlanRequest:
    from i2i_bench.runs.table_plan import PlanRequest

    keys = ("preset", "seeds", "models", "further", "precision")
    chosen = {key: options[key] for key in keys}
    return PlanRequest(name, **chosen, options=_typed(options))


def _typed(options: dict[str, Any]) -> list[str]:
    """Give what was typed that the commands of a plan need as well."""
    words = []
    for key, shown in OF_COMMANDS.items():
        given = options[key] if key == "modes" else [options[key]]
        words += [word for each in given if is_typed(key) for word in (shown, str(each))]
    return words


def _planned(name: str, options: dict[str, Any]) -> TablePlan:
    from i2i_bench.records.study import read_study_records
    from i2i_bench.runs.table_plan import plan_table
    from i2i_bench.training import parallel

    request = _request(name, options)
    device = parallel.choose_device(options["device"])
    studies = read_study_records(options["results"])
    return plan_table(request, places_from(options), device, studies)

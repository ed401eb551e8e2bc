"""The commands that show what runs have found: leaderboard, tables, figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_bench.cli.options import DATA, RESULTS, RUNS, is_typed, places_from

if TYPE_CHECKING:
    from i2i_bench.records.record import AnyRecord
    from i2i_bench.runs.shown_images import DrawnFigure


@click.command()
@click.argument(
    "kind", type=click.Choice(["masks", "evolution", "styles", "comparison", "scatter"])
)
@click.argument("wanted", metavar="RUN...", nargs=-1)
@click.option(
    "--task",
    help="Task of an import, or where a folder is now; for comparison, all of its finished runs; "
    "for scatter, all of its records.",
)
@click.option(
    "--direction", "directions", multiple=True, help="Such as a2b; default: all. Repeatable."
)
@click.option("--image", "names", multiple=True, help="Name of a test image to show; repeatable.")
@click.option(
    "--count",
    type=click.IntRange(min=1),
    help="Images per direction; default: masks 2, evolution 1, styles 4, comparison 6.",
)
@click.option(
    "--outputs",
    type=click.IntRange(min=1),
    help="For styles: outputs of each image; default: 5, where the model makes several.",
)
@click.option(
    "--like",
    "examples",
    metavar="IMAGE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="For styles: an example, or a folder; default: test images of the target. Repeatable.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["png", "svg", "pdf"]),
    multiple=True,
    default=["png", "pdf"],
    show_default=True,
    help="File format; repeatable.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Output folder; default: the run's, or the task's for comparison and scatter.",
)
@RESULTS
@RUNS
@DATA
def figure(kind: str, wanted: tuple[str, ...], **options: Any) -> None:
    """Draw finished RUNs: masks and contents, attention over training, styles, or side by side.

    Masks show 0 as black and 1 as white. Styles are inputs by outputs, and inputs by examples,
    as the model has them. Figures are one column wide, 3.5 in; comparisons of more than eight
    models, side by side, and scatters are two. A scatter is each recorded model of a task at its
    preset, its quality against its parameters and its training.

    \b
    Example:
      i2i-bench figure masks stripes/attentiongan+preset=small/seed0
      i2i-bench figure evolution stripes/attentiongan+preset=small/seed0 --direction a2b
      i2i-bench figure styles stripes/my-styles/seed0 --outputs 8
      i2i-bench figure comparison --task stripes --format svg
      i2i-bench figure scatter --task stripes
    """
    if kind == "scatter":
        _scatter(wanted, options)
        return
    if not wanted and not (kind == "comparison" and options["task"]):
        raise click.UsageError("a RUN is needed, or comparison --task TASK")
    if kind == "evolution" and options["names"]:
        raise click.UsageError("evolution shows the images of the snapshots; leave --image out")
    if kind != "styles" and (options["outputs"] or options["examples"]):
        raise click.UsageError(f"--outputs and --like are for styles, not for {kind}")
    if options["outputs"] and options["examples"]:
        raise click.UsageError("--like gives the styles, and --outputs draws them; leave one out")
    from i2i_bench.report.figures import mosaic

    output = options["output"]
    for found in _figures(kind, wanted, options):
        stem = output / found.name if output else found.folder / found.kind
        for suffix in dict.fromkeys(options["formats"]):
            path = stem.with_name(f"{stem.name}.{suffix}")
            mosaic.draw_mosaic(found.blocks, path, caption=found.caption)
            click.echo(f"wrote {path}")


def _scatter(wanted: Sequence[str], options: dict[str, Any]) -> None:
    from i2i_bench.records import record
    from i2i_bench.report import leaderboard as board
    from i2i_bench.report.figures import scatter
    from i2i_bench.tasks import catalogue

    if wanted or not options["task"]:
        raise click.UsageError("scatter is of all records of a task: scatter --task TASK")
    for name in ("directions", "names", "count", "outputs", "examples"):
        if options[name]:
            raise click.UsageError("scatter takes --task, --format and --output only")
    task = catalogue.task_name_of(options["task"], options["data"])
    record.require_results(options["results"])
    groups = scatter.scatter_groups(board.tabulate(record.read_records(options["results"]), task))
    if not groups:
        raise click.ClickException(
            f"no record of {task} has a model at its preset to show; i2i-bench run makes them"
        )
    output = options["output"]
    for name, tables in groups.items():
        stem = output / f"{task}-{name}" if output else options["runs"] / task / name
        for suffix in dict.fromkeys(options["formats"]):
            path = stem.with_name(f"{stem.name}.{suffix}")
            scatter.draw_scatter(tables, path)
            click.echo(f"wrote {path}")


def _figures(kind: str, wanted: Sequence[str], options: dict[str, Any]) -> Iterable[DrawnFigure]:
    from i2i_bench.runs import pictures
    from i2i_bench.runs.shown_images import Choice
    from i2i_bench.runs.style_figure import StyleChoice, styles_figure
    from i2i_bench.tasks import catalogue

    places, task = places_from(options), options["task"]
    count = options["count"] or {"masks": 2, "evolution": 1, "styles": 4, "comparison": 6}[kind]
    choice = Choice(options["directions"], options["names"], count)
    if kind == "comparison":
        name = catalogue.task_name_of(task, places.data) if task else ""
        runs = wanted or pictures.finished_runs(name, places)
        moved = task if wanted or task != name else None
        return pictures.comparison_figures(runs, moved, choice, places)
    if kind == "styles":
        styles = StyleChoice(options["outputs"], options["examples"])
        return [styles_figure(run, task, choice, styles, places) for run in wanted]
    if kind == "masks":
        return [pictures.masks_figure(run, task, choice, places) for run in wanted]
    return [pictures.evolution_figure(run, task, choice, places) for run in wanted]


@click.command()
@click.option(
    "--task",
    "tasks",
    multiple=True,
    help="Only this task: a name such as stripes, or a folder; repeatable.",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["md", "csv", "latex", "html"]),
    default="md",
    show_default=True,
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the html page; default: site in the folder of records.",
)
@click.option("--write", is_flag=True, help="Write README.md in the folder of records.")
@click.option("--check", is_flag=True, help="Fail if that README.md is stale.")
@RESULTS
@RUNS
@DATA
def leaderboard(
    tasks: tuple[str, ...], layout: str, write: bool, check: bool, **options: Any
) -> None:
    """Rank runs of the same task, version, protocol, preset, weights and real images.

    As html it is a page that opens from disk, with plots, details of every run, and samples where
    the folder of runs has them.

    \b
    Example:
      i2i-bench leaderboard --task stripes --format latex
      i2i-bench leaderboard --format html --output site
    """
    from i2i_bench.records import record
    from i2i_bench.report import leaderboard as leaders
    from i2i_bench.report import render as board
    from i2i_bench.report import summary
    from i2i_bench.tasks import catalogue

    results = options["results"]
    if options["output"] and layout != "html":
        raise click.UsageError("--output is the folder of the page; it needs --format html")
    if write and check:
        raise click.UsageError("--check only looks whether --write would change it; leave one out")
    if (tasks or layout != "md") and (write or check):
        raise click.UsageError("README.md holds all tasks; leave --task and --format out")
    if write or check or is_typed("results"):
        record.require_results(results)
    names = [catalogue.task_name_of(task, options["data"]) for task in tasks]
    records = [*record.read_records(results), *record.read_external_records(results)]
    if layout == "html":
        _page(records, names, options)
        return
    if names:
        records = leaders.of_tasks(records, names)
    if write or check:
        _readme(results / "README.md", summary.results_readme(records), write=write)
        return
    render = {
        "md": board.leaderboard_markdown,
        "csv": board.leaderboard_csv,
        "latex": board.leaderboard_latex,
    }[layout]
    click.echo(render(records), nl=False)


def _page(records: Sequence[AnyRecord], tasks: Sequence[str], options: dict[str, Any]) -> None:
    from i2i_bench.records.study import read_study_records
    from i2i_bench.report.site import page, samples

    folders = samples.Folders(options["runs"], options["data"])
    output = options["output"] or options["results"] / "site"
    studies = read_study_records(options["results"])
    click.echo(f"wrote {page.write_page(records, output, folders, tasks, studies)}")


def _readme(path: Path, text: str, *, write: bool) -> None:
    from i2i_bench.system.files import write_text

    if write:
        write_text(path, text)
        click.echo(f"wrote {path}")
    elif not path.exists():
        raise click.ClickException(f"there is no {path}; i2i-bench leaderboard --write makes it")
    elif path.read_text(encoding="utf-8") != text:
        raise click.ClickException(
            f"{path} is stale; i2i-bench leaderboard --write regenerates it from the records"
        )
    else:
        click.echo(f"{path} is up to date")

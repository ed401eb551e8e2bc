"""The command line; each command imports what it needs when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_bench.cli import assets, authoring, hygiene, scoring, showing
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
    MODELS,
    ORDERS,
    PRECISION,
    PRESET,
    PROTOCOL,
    RESULTS,
    RUNS,
    SEEDS,
    SUBSET_SIZE,
    TASKS,
    Commands,
    carry_out,
    choices_from,
    columns,
    find_protocols,
    places_from,
    typed_changes,
    unwinding,
)

if TYPE_CHECKING:
    from i2i_bench.records.record import AnyRecord


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="i2i-bench")
def main() -> None:
    """Benchmark image-to-image translation: train, translate, score, record and rank.

    \b
    Example:
      i2i-bench run --model attentiongan --task stripes --preset small
      i2i-bench leaderboard
    """
    if sys.platform == "win32":
        raise click.ClickException("Windows has not what runs rely on, such as flock; use WSL")


for _command in (
    *(assets.weights, assets.data, assets.cache, assets.doctor),
    *(scoring.evaluate, scoring.score, scoring.compare),
    *(showing.ablate, showing.figure),
    *(hygiene.validate_results, hygiene.runs),
    authoring.new_model,
):
    main.add_command(_command)


@main.command()
@click.argument("names", nargs=-1)
@click.option("--detail", is_flag=True, help="Import the models and show their cards.")
def models(names: tuple[str, ...], detail: bool) -> None:
    """List installed models; with NAMES or --detail, import them and show what they are.

    \b
    Example:
      i2i-bench models attentiongan
    """
    from i2i_bench.plugins import registry

    found = registry.entries()
    if names or detail:
        from i2i_bench.plugins.describe import describe

        wanted = names or tuple(dict.fromkeys(entry.name for entry in found))
        click.echo("\n\n".join(describe(name, tolerant=not names) for name in wanted))
        return
    problems = [registry.problem(entry, found) for entry in found]
    rows = [(e.name, e.distribution, e.version, e.summary) for e in found]
    columns(("model", "distribution", "version", "summary"), rows)
    if any(problems):
        raise click.ClickException("; ".join(dict.fromkeys(p for p in problems if p)))


@main.command()
@DATA
def tasks(data: Path) -> None:
    """List tasks: which can be run now, and what the others lack.

    \b
    Example:
      i2i-bench tasks
    """
    from i2i_bench.tasks import catalogue

    rows = [
        (
            row.name,
            row.state,
            f"{row.image_size} px",
            "/".join("?" if n is None else str(n) for n in row.counts.values()),
            row.title,
            row.licence,
        )
        for row in catalogue.listing(data)
    ]
    columns(("task", "state", "size", "trainA/trainB/testA/testB", "what", "licence"), rows)
    click.echo(
        "\nAlso: any folder with trainA, trainB, testA and testB, or with train/DOMAIN and "
        "test/DOMAIN for many domains, given by its path.\nTasks with labels show train/test."
    )


@main.command("protocols")
def protocols_() -> None:
    """List the ways to score translations.

    \b
    Example:
      i2i-bench protocols
    """
    from i2i_bench.scoring.protocols import PROTOCOLS

    rows = [(str(p), p.recipe, p.reference, p.title) for p in PROTOCOLS.values()]
    columns(("protocol", "features", "reference", "what"), rows)


@main.command()
@click.option("--model", "models", multiple=True, required=True, help=MODELS)
@TASKS
@SEEDS
@PROTOCOL
@ORDERS
@SUBSET_SIZE
@PRESET
@CHANGES
@BUDGET
@PRECISION
@FAST
@click.option(
    "--start",
    metavar="RUN",
    help="Start from the networks and configuration of this run, import or checkpoint.",
)
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Choice(["tensorboard"]),
    help="Also log losses and samples to the run's folder for this program; repeatable.",
)
@DEVICE
@CHECKPOINTS
@JOBS
@LAUNCHER
@DRY_RUN
@FORCE
@RESULTS
@RUNS
@DATA
def run(**options: Any) -> None:
    """Train, translate, score and record every combination of models, tasks and seeds.

    Recorded runs are skipped; interrupted runs resume.

    \b
    Example:
      i2i-bench run --model attentiongan --model cyclegan --task stripes --preset small
      i2i-bench run --model attentiongan --task my/folder --set num_masks=4 --dry-run
      i2i-bench run --model cyclegan --task my/folder --start imported/horse2zebra
    """
    from i2i_bench.runs import execute, plan
    from i2i_bench.training import tensorboard

    if "tensorboard" in options["logs"]:
        tensorboard.require()
    places = places_from(options)
    find_protocols(options["protocols"])  # a misspelt one is reported before the plan is made
    jobs = plan.plan(
        options["models"],
        options["tasks"],
        options["seeds"],
        choices_from(options),
        places.data,
    )
    if options["dry_run"]:
        device = execute.choose_device(options["device"])
        click.echo("\n\n".join(plan.describe(job, places, device) for job in jobs))
        return
    carry_out(jobs, options)


@main.command()
@click.argument("model")
@CHANGES
def check(model: str, changes: tuple[str, ...]) -> None:
    """Test in seconds, on the CPU, that an installed MODEL keeps the contract.

    \b
    Example:
      i2i-bench check attentiongan
    """
    from i2i_bench.plugins import contract, registry

    found = contract.check(registry.load(model), model, typed_changes(changes))
    for result in found:
        click.echo(f"{'ok  ' if result.reason is None else 'FAIL'}  {result.name}")
    broken = [f"{result.name}: {result.reason}" for result in found if result.reason]
    if broken:
        raise click.ClickException(f"{model} breaks the contract: {'; '.join(broken)}")


@main.command("import")
@click.argument("model")
@click.argument("source", metavar="FOLDER", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path, file_okay=False))
@FORCE
def import_(model: str, source: Path, target: Path, force: bool) -> None:
    """Convert the checkpoints of MODEL's authors in FOLDER into a run in OUT.

    The run works with translate, evaluate --task and run --start. Nothing in the files is executed.
    A single latest_net_G.pth translates a to b; named latest_net_G_B.pth it translates b to a.

    \b
    Example:
      i2i-bench import cyclegan horse2zebra_pretrained imported/horse2zebra
    """
    from i2i_bench.runs import importing

    click.echo(importing.import_official(model, source, target, force=force))


@main.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--run", "run_name", help="A run: its folder, its record, or task/model+variant/seedK."
)
@click.option(
    "--model", "model_name", help="Name of the installed model that --weights belongs to."
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="An i2i-bench checkpoint, or a folder of the authors' files.",
)
@click.option(
    "--direction", help="Such as a2b (the default); with labels, +blond or neutral2happy."
)
@click.option(
    "--to", "to", help="With labels: all labels the result shall have, such as blond,young."
)
@click.option("--labels", help="With labels: those of the source images, which +blond keeps.")
@click.option(
    "--size",
    type=click.IntRange(4, 8192),
    help="Resize images to a square of this side in pixels; default: as trained.",
)
@click.option("--masks", is_flag=True, help="Also write attention masks, 0 black and 1 white.")
@DEVICE
@RESULTS
@RUNS
@DATA
def translate(source: Path, target: Path, **options: Any) -> None:
    """Translate the image or folder SOURCE into the folder TARGET, as PNG.

    \b
    Example:
      i2i-bench translate --run stripes/attentiongan+preset=small/seed0 photos out --masks
      i2i-bench translate --model attentiongan --weights official/ photos out
      i2i-bench translate --run imported/celeba faces out --to Blond_Hair,Young --masks
      i2i-bench translate --run imported/rafd faces out --direction neutral2happy
    """
    from i2i_bench.cli.progress import Reporter
    from i2i_bench.runs import execute
    from i2i_bench.runs.translate import load, translate_files

    places = places_from(options)
    with unwinding(), Reporter() as report:
        translator = load(places, options["run_name"], options["model_name"], options["weights"])
        count = translate_files(
            translator.at(
                options["size"],
                options["direction"],
                labels=options["labels"],
                to=options["to"],
            ),
            source,
            target,
            device=execute.choose_device(options["device"]),
            with_masks=options["masks"],
            report=report,
        )
    click.echo(f"translated {count} image{'s' * (count != 1)} into {target}")


@main.command()
@click.option("--task", help="Only this task: a name such as stripes, or a folder.")
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
def leaderboard(task: str | None, layout: str, write: bool, check: bool, **options: Any) -> None:
    """Rank runs of the same task, version, protocol, preset, weights and real images.

    As html it is a page that opens from disk, with plots, details of every run, and samples where
    the folder of runs has them.

    \b
    Example:
      i2i-bench leaderboard --task stripes --format latex
      i2i-bench leaderboard --format html --output site
    """
    from i2i_bench.records import record
    from i2i_bench.report import render as board
    from i2i_bench.tasks import catalogue

    results = options["results"]
    if options["output"] and layout != "html":
        raise click.UsageError("--output is the folder of the page; it needs --format html")
    if (task or layout != "md") and (write or check):
        raise click.UsageError("README.md holds all tasks; leave --task and --format out")
    if write or check:
        record.require_results(results)
    task = task and catalogue.name_of(task)
    records = [*record.read_all(results), *record.read_all_external(results)]
    if layout == "html":
        _page(records, task, options)
        return
    if write or check:
        _readme(results / "README.md", board.readme(records), write=write)
        return
    render = {"md": board.to_markdown, "csv": board.to_csv, "latex": board.to_latex}[layout]
    click.echo(render(records, task), nl=False)


def _page(records: Sequence[AnyRecord], task: str | None, options: dict[str, Any]) -> None:
    from i2i_bench.report.site import page, samples

    folders = samples.Folders(options["runs"], options["data"])
    output = options["output"] or options["results"] / "site"
    click.echo(f"wrote {page.write(records, output, folders, task)}")


@main.command()
@click.argument("name", metavar="TABLE", type=click.Choice(["ii", "iii", "iv", "v"], False))
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
@RESULTS
def table(name: str, layout: str, num_domains: int | None, further: bool, results: Path) -> None:
    """Print TABLE ii, iii, iv or v of the AttentionGAN paper beside our values.

    Table v counts the networks of installed models, which takes some seconds.

    \b
    Example:
      i2i-bench table iv
      i2i-bench table v --m 5 --format csv
    """
    from i2i_bench.records import record
    from i2i_bench.report.papers import capacity, comparison, tables

    if further and name != "iv":
        raise click.UsageError("--all is for table iv; nobody else printed values of the others")
    if name == "v":
        click.echo("counting the networks of installed models; this takes some seconds", err=True)
        found = capacity.capacity(num_domains or 8, _count_published)
    elif num_domains:
        raise click.UsageError("--m sets the domains of table v; the others have none to set")
    else:
        found = comparison.comparison(name, record.read_all(results), further=further)
    render = {"md": tables.to_markdown, "csv": tables.to_csv, "latex": tables.to_latex}[layout]
    click.echo(render(found), nl=False)


def _count_published(model: str, num_domains: int) -> int:
    from i2i_bench.plugins.describe import count_published

    return count_published(model, num_domains)


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

"""The commands ``study``: perceptual studies with people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_bench.cli.group import Commands
from i2i_bench.cli.options import columns

if TYPE_CHECKING:
    from i2i_bench.records.study import StudyResults
    from i2i_bench.study.judgements import Judgements

_PERCENT = click.FloatRange(0, 100, min_open=True, max_open=True)
_SD = click.FloatRange(0, 50, max_open=True)
_TABLE = click.Path(path_type=Path, dir_okay=False)


@click.group(cls=Commands)
def study() -> None:
    """Ask people: which image is real, or which translation is best.

    \b
    Example:
      i2i-bench study power --percent 30 --against 20 --trials 40
      i2i-bench study score --amt results.csv --practice 10
    """


@study.command("score")
@click.option("--amt", type=_TABLE, help="Results of AMT_Real_vs_Fake, a CSV file.")
@click.option(
    "--practice",
    type=click.IntRange(min=0),
    help="Trials at the beginning of --amt that do not count; 10 in that tool.",
)
@click.option("--realism", type=_TABLE, help="Answers as dgm-eval publishes them, a CSV file.")
@click.option(
    "--draws",
    type=click.IntRange(100, 1_000_000),
    default=10_000,
    show_default=True,
    help="Bootstraps of each kind.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of bootstraps."
)
def score_study(**options: Any) -> None:
    """Say what answers of people say, with intervals.

    Percentages are pooled over people. Intervals of people, and of people and images, tell what
    others like them would say; the exact binomial one speaks of these alone.

    \b
    Example:
      i2i-bench study score --amt results.csv --practice 10
      i2i-bench study score --realism cifar10.csv
    """
    if bool(options["amt"]) == bool(options["realism"]):
        raise click.UsageError("give either --amt FILE or --realism FILE")
    if bool(options["amt"]) != (options["practice"] is not None):
        raise click.UsageError("--amt needs --practice, and only --amt: 10 is that tool's default")
    _print(_scored_table(options))


def _scored_table(options: dict[str, Any]) -> StudyResults:
    from i2i_bench.study import tables
    from i2i_bench.study.judgements import gather_judgements
    from i2i_bench.study.results import results_of

    left_out: dict[str, int] = {}
    if options["amt"]:
        people = tables.read_amt_trials(options["amt"])
        answers, silent = tables.amt_judgements(people, options["practice"])
        practice = options["practice"] * len(people)
        left_out = {"practice": practice, "not answered": silent}
        found: Judgements = gather_judgements("fooled", answers)
    else:
        found = gather_judgements("error", tables.read_realism(options["realism"]))
    return results_of(
        found, answers_left_out=left_out, num_draws=options["draws"], seed=options["seed"]
    )


def _print(found: StudyResults) -> None:
    from i2i_bench.study import results
    from i2i_bench.study.judgements import MEANINGS

    click.echo(f"{found.measure}: {MEANINGS[found.measure]}\n")
    for header, *rows in (results.method_rows(found), results.pair_rows(found)):
        if rows:
            columns(header, rows)
            click.echo()
    for note in results.result_notes(found):
        click.echo(note)


@study.command("power")
@click.option("--percent", type=_PERCENT, required=True, help="Expected of one method.")
@click.option("--against", type=_PERCENT, required=True, help="Expected of the other.")
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="Answers of a person on each method.",
)
@click.option(
    "--people-sd",
    type=_SD,
    default=8.0,
    show_default=True,
    help="Deviation of people's own percentages, in points; 4 to 11 in dgm-eval's answers.",
)
@click.option("--within", is_flag=True, help="Everybody judges both methods.")
@click.option(
    "--images", type=click.IntRange(min=2), help="Test images, to speak of others like them, too."
)
@click.option(
    "--images-sd",
    type=_SD,
    default=8.0,
    show_default=True,
    help="Deviation of images' own percentages, in points.",
)
@click.option("--people", type=click.IntRange(min=2), help="Also say what so many people find.")
def power(people: int | None, **options: Any) -> None:
    """Say how many people a difference needs, before anybody is asked.

    The number is of each method, or, with --within, in all; for a two-sided test at 5 %.

    \b
    Example:
      i2i-bench study power --percent 30 --against 20 --trials 40
      i2i-bench study power --percent 30 --against 25 --within --trials 20 --images 100
    """
    from i2i_bench.study.power import Design, people_needed, power_of

    design = Design(
        first=options["percent"] / 100,
        second=options["against"] / 100,
        trials=options["trials"],
        people_sd=options["people_sd"] / 100,
        is_within=options["within"],
        images=options["images"],
        images_sd=options["images_sd"] / 100,
    )
    wanted = (0.8, 0.9, 0.95)
    rows = [(f"{100 * chance:.0f} %", people_needed(design, chance)) for chance in wanted]
    what = "people in all" if design.is_within else "people of each method"
    columns(("found in", what), rows)
    if people:
        click.echo(f"{people} {what} find it in {100 * power_of(design, people):.0f} %")

"""The commands ``study score`` and ``study power``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_bench.cli.options import FORCE, RESULTS, columns

if TYPE_CHECKING:
    from i2i_bench.records.study import StudyResults
    from i2i_bench.study.judgements import Judgements

_PERCENT = click.FloatRange(0, 100, min_open=True, max_open=True)
_SD = click.FloatRange(0, 50, max_open=True)
_TABLE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("score")
@click.argument("folder", type=_FOLDER, required=False)
@click.option("--record", "name", help="Also write a record of this name.")
@click.option("--write-amt", type=_TABLE, help="Also write answers as AMT_Real_vs_Fake has them.")
@click.option("--amt", type=_TABLE, help="Results of AMT_Real_vs_Fake, a CSV file, not a FOLDER.")
@click.option(
    "--practice",
    type=click.IntRange(min=0),
    help="Trials at the beginning of --amt that do not count; 10 in that tool.",
)
@click.option("--realism", type=_TABLE, help="Answers as dgm-eval publishes them, not a FOLDER.")
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
@FORCE
@RESULTS
def score_study(folder: Path | None, **options: Any) -> None:
    """Say what the answers in FOLDER say, with intervals; people are left out by its plan.

    Files that people sent belong into FOLDER/answers. Percentages are pooled over people.
    Intervals of people, and of people and images, tell what others like them would say; the exact
    binomial one speaks of these alone.

    \b
    Example:
      i2i-bench study score faces --record faces
      i2i-bench study score --amt results.csv --practice 10
      i2i-bench study score --realism cifar10.csv
    """
    given = [each for each in (folder, options["amt"], options["realism"]) if each]
    if len(given) != 1:
        raise click.UsageError("give either a FOLDER, --amt FILE or --realism FILE")
    if bool(options["amt"]) != (options["practice"] is not None):
        raise click.UsageError("--amt needs --practice, and only --amt: 10 is that tool's default")
    if not folder:
        if options["name"] or options["write_amt"]:
            raise click.UsageError("--record and --write-amt need a FOLDER, whose plan they state")
        _print(_scored_table(options))
        return
    _score_folder(folder, options)


def _score_folder(folder: Path, options: dict[str, Any]) -> None:
    from i2i_bench.records.study import write_study_record
    from i2i_bench.study import score
    from i2i_bench.study.plan import Study
    from i2i_bench.study.tables import amt_table
    from i2i_bench.system.files import write_text

    found = Study(folder)
    results = score.score_study(found, num_draws=options["draws"], seed=options["seed"])
    _print(results)
    if options["write_amt"]:
        write_text(options["write_amt"], amt_table(score.amt_trials(found)))
        click.echo(f"wrote {options['write_amt']}")
    if options["name"]:
        record = score.study_record(options["name"], found, results)
        path = options["results"] / record.file
        if path.exists() and not options["force"]:
            raise ValueError(f"{path} is there already; --force replaces it")
        click.echo(f"recorded in {write_study_record(record, options['results'])}")


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


@click.command("power")
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

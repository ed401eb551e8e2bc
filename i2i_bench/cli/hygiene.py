"""The commands ``validate-results`` and ``runs prune``."""

from __future__ import annotations

from pathlib import Path

import click

from i2i_bench.cli.group import Commands
from i2i_bench.cli.options import RESULTS, RUNS


@click.command("validate-results")
@RESULTS
def validate_results(results: Path) -> None:
    """Check that records can be true: schema, ranges, identities, counts, duplicates.

    Prints every problem; one is enough to fail.

    \b
    Example:
      i2i-bench validate-results --results results
    """
    from i2i_bench.report.validation import validate_results_in

    count, problems = validate_results_in(results)
    for problem in problems:
        click.echo(problem)
    if problems:
        many = "problems" if len(problems) > 1 else "problem"
        raise click.ClickException(f"{len(problems)} {many} in the records of {results}")
    if not count:
        raise click.ClickException(f"there are no records in {results}")
    click.echo(f"{count} records are valid" if count > 1 else "1 record is valid")


@click.group(cls=Commands)
def runs() -> None:
    """Manage the folder of runs.

    \b
    Example:
      i2i-bench runs prune --dry-run
    """


@runs.command()
@click.option(
    "--translations", is_flag=True, help="Also remove translated images; evaluate makes them again."
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Remove everything of recorded runs, including the last checkpoint.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and stop.")
@RESULTS
@RUNS
def prune(translations: bool, everything: bool, dry_run: bool, results: Path, runs: Path) -> None:
    """Remove what is no longer needed; records and unfinished runs stay.

    Removes half-written files of killed processes, and all but the last checkpoint of recorded
    runs. Runs in progress are skipped. After --all, a recorded run can no longer be scored again.

    \b
    Example:
      i2i-bench runs prune --translations
    """
    from i2i_bench.runs import pruning

    level = "all" if everything else "translations" if translations else "spare"
    verb, total = ("would remove" if dry_run else "removed"), 0
    for done in pruning.prune_runs(runs, results, level=level, dry_run=dry_run):
        total += done.bytes
        click.echo(
            f"{done.run}: {done.reason or f'{verb} {done.files} files, {_size(done.bytes)}'}"
        )
    click.echo(f"{verb} {_size(total)} in {runs}")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"

"""Fetch images, after showing what they are and their licence: ``data fetch`` and ``--fetch``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from i2i_bench.cli.group import is_one_of_several

if TYPE_CHECKING:
    from i2i_bench.cli.progress import Reporter
    from i2i_bench.tasks.source import Offer, Source

FETCH = click.option(
    "--fetch",
    is_flag=True,
    help="Fetch images that are missing, after showing source, size and licence.",
)


def obtain_images(tasks: Sequence[str], data: Path, *, is_wanted: bool) -> None:
    """Fetch the images of tasks that are not there, each after showing what they are.

    On a terminal the user is asked; elsewhere the option has said it.

    Args:
        tasks: As typed.
        data: Folder of data.
        is_wanted: Whether --fetch is given; without it what is missing is refused.

    Raises:
        ValueError: If images are missing and not wanted, or cannot be had.
    """
    from i2i_bench.tasks import catalogue

    for typed in dict.fromkeys(tasks):
        source = catalogue.source_of(typed, data)
        state = source.state(source.place(data)) if source else "ready"
        if source is None or state in ("ready", "incomplete"):
            continue  # what is incomplete is said where the task is made
        if is_wanted:
            _obtain(source, data)
        elif state == "missing":
            _refuse(source, data)


def _refuse(source: Source, data: Path) -> None:
    """Say what is missing, and that the option gets it."""
    try:
        source.make_task(source.place(data))
    except ValueError as error:
        raise ValueError(f"{error}; so does this command with --fetch") from None


def _obtain(source: Source, data: Path) -> None:
    if is_one_of_several():
        raise click.UsageError(
            "several processes share this run; i2i-bench data fetch "
            f"{source.name} gets its images before"
        )
    offer = source.offer(source.place(data))
    click.echo("\n".join(offer.lines()))
    agree(not sys.stdin.isatty())
    fetch_offer(source, offer)


def fetch_offer(source: Source, offer: Offer, *, force: bool = False, keep: bool = False) -> None:
    """Fetch what was agreed to, with its progress, and say what is there."""
    from i2i_bench.cli.progress import Reporter

    with Reporter() as report:
        counts = source.fetch(offer, report=stages(report, source.name), force=force, keep=keep)
    click.echo(f"{source.name} is complete: {numbers(counts)} in {offer.target}")


def agree(yes: bool) -> None:
    """Continue only if the user agrees to the licence shown."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.ClickException("the licence above must be accepted; --yes does so")
    click.confirm("Agree to this licence and fetch?", abort=True)


def numbers(counts: dict[str, int]) -> str:
    """Write the number of images in each folder."""
    return ", ".join(f"{folder} {number}" for folder, number in counts.items())


def in_megabytes(report: Reporter, name: str) -> Callable[[int, int], None]:
    """Report progress in bytes as a stage, which ends only with the last byte."""

    def show(done: int, total: int) -> None:
        megabytes = done // 10**6
        of = -(-total // 10**6) or megabytes + 1  # the total may be unknown
        report(f"{name} (MB)", of if done == total else megabytes, of, {})

    return show


def stages(report: Reporter, task: str) -> Callable[[str, int, int], None]:
    """Turn the steps of a task's download into stages of the report."""

    def show(stage: str, done: int, total: int) -> None:
        if stage in ("fetch", "unpack"):
            in_megabytes(report, f"{stage} {task}")(done, total)
        else:
            report(f"{stage} {task}", done, total, {})

    return show

"""The commands that score without training: runs, imports and other programs' images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_bench.cli.fetching import FETCH, obtain_images
from i2i_bench.cli.options import (
    DATA,
    DEVICE,
    FORCE,
    METRIC,
    ORDERS,
    PROTOCOL,
    RESULTS,
    RUNS,
    SUBSET_SIZE,
    columns,
    find_protocols,
    places_from,
    protocols_from,
)

if TYPE_CHECKING:
    from i2i_bench.records.record import Score
    from i2i_bench.report.differences import Comparison

_DIRECTION = "Source and target domain, such as a2b."
_IMAGES = click.Path(path_type=Path)


@click.command()
@click.argument("run")
@click.option("--task", help="Task of an import; or where the folder of a run is now.")
@PROTOCOL
@METRIC
@ORDERS
@SUBSET_SIZE
@DEVICE
@FORCE
@RESULTS
@RUNS
@DATA
def evaluate(run: str, task: str | None, **options: Any) -> None:
    """Score a finished RUN or an import again, or under other protocols, without training.

    RUN is its folder, its record, or task/model+variant/seedK.

    \b
    Example:
      i2i-bench evaluate stripes/attentiongan+preset=small/seed0 --force
      i2i-bench evaluate imported/horse2zebra --task horse2zebra --protocol i2i --protocol cut
    """
    from i2i_bench.cli.progress import Reporter
    from i2i_bench.records import record
    from i2i_bench.runs.bench import Bench
    from i2i_bench.runs.evaluate import evaluate_run
    from i2i_bench.runs.find import find_job
    from i2i_bench.training import parallel

    scored_by = protocols_from(options)
    job = find_job(run, places_from(options), task)
    with Reporter() as report:
        bench = Bench(
            places_from(options),
            scored_by,
            parallel.choose_device(options["device"]),
            report,
            order_replicates=options["order_replicates"] or 0,
            kid_subset_size=options["kid_subset_size"],
            metrics=options["metrics"],
        )
        path = evaluate_run(job, bench, force=options["force"])
    _show(path, record.read_record(path).scores.values(), {str(protocol) for protocol in scored_by})


@click.command()
@click.argument("folder", type=_IMAGES)
@click.option("--task", required=True, help="Task whose test images were translated.")
@click.option("--direction", required=True, help=_DIRECTION)
@click.option(
    "--name", required=True, help="Name for the record and its leaderboard row, such as cut."
)
@click.option(
    "--size",
    type=click.IntRange(4, 8192),
    help="Side in pixels, if not the task's; of whole images the short one.",
)
@click.option(
    "--resize",
    type=click.Choice(["square", "whole", "own"]),
    help="How sources that are not square come to the shape of their translations: as squares, "
    "whole with the short side resized, or of their own size. Default: told by the sizes.",
)
@click.option(
    "--allow-partial", is_flag=True, help="Score even if images are missing; never ranked."
)
@PROTOCOL
@METRIC
@ORDERS
@SUBSET_SIZE
@FETCH
@DEVICE
@FORCE
@RESULTS
@RUNS
@DATA
def score(folder: Path, **options: Any) -> None:
    """Score images made by any other program, in FOLDER or a zip archive.

    One image per test image of the source domain, PNG if possible, with the same name except for
    the suffix; or FOLDER as other programs leave it: x_fake_B.png (the target) or x_fake.png beside
    x_real_A.png and an index.html, folders fake_B and real_A, x_synthesized_image.jpg, U-GAT-IT's
    strips A2B_1.png, StarGAN's grids 1-images.jpg. Other files are passed over and counted. Images
    must be 8-bit, grey or RGB (16-bit grey for a task of 16-bit values), without transparency,
    and of one square size; those of sources that are not square may have their size instead, or
    that of the whole image resized. Several directions of one name share a record.

    \b
    Example:
      i2i-bench score fakes.zip --task horse2zebra --direction a2b --name cut --protocol cut
    """
    from i2i_bench.cli.progress import Reporter
    from i2i_bench.data.directions import find_direction
    from i2i_bench.scoring import external
    from i2i_bench.scoring.metric_set import chosen_metrics
    from i2i_bench.scoring.scorer import Scorer
    from i2i_bench.tasks import catalogue
    from i2i_bench.training import parallel

    places = places_from(options)
    scored_by = protocols_from(options)
    obtain_images([options["task"]], places.data, is_wanted=options["fetch"])
    found = catalogue.find_task(options["task"], places.data)
    direction = find_direction(found, options["direction"])
    images = external.Submission(
        folder, found, direction, options["size"], options["allow_partial"], options["resize"]
    )
    with Reporter() as report:
        scorer = Scorer(
            scored_by,
            parallel.choose_device(options["device"]),
            report,
            options["order_replicates"] or 0,
            options["kid_subset_size"],
            chosen_metrics(options["metrics"]),
        )
        made = external.score_submission(
            images, options["name"], scorer, places.results, force=options["force"]
        )
    new = [s for s in made.scores.values() if s.direction == options["direction"]]
    _show(places.results / made.file, new, {str(protocol) for protocol in scored_by})
    click.echo(str(made.files[options["direction"]]))


def _show(path: Path, scores: Iterable[Score], scored_by: set[str]) -> None:
    """Print scores; of further protocols, only the values that differ by protocol."""
    from i2i_bench.report.columns import summary
    from i2i_bench.scoring.protocols import DISTANCE_KEYS

    click.echo(f"scored {path}")
    known: dict[str, dict[str, float | None]] = {}  # by direction
    for found in scores:
        protocol = f"{found.protocol}@{found.protocol_version}"
        if protocol in scored_by:
            partial = ", partial" if found.partial else ""
            missing = [found.reasons[key] for key in DISTANCE_KEYS if key in found.reasons]
            before = known.setdefault(found.direction, {})
            new = dict(found.values.items() - before.items())
            before |= new
            texts = [text for text in (summary(new), *missing[:1]) if text]
            where = f"{protocol}, {found.direction}, n = {found.n_fake}{partial}"
            click.echo(f"{where}: {'; '.join(texts) or 'the same values'}")


@click.command()
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option("--direction", help=f"{_DIRECTION} Default: all in which both are scored.")
@click.option(
    "--protocol", default="i2i", show_default=True, help="Protocol whose KID is compared."
)
@click.option("--task", help="Folder of the task, if no run names it.")
@click.option(
    "--images-a", type=_IMAGES, help="Images of A (folder or zip), if another program made them."
)
@click.option(
    "--images-b", type=_IMAGES, help="Images of B (folder or zip), if another program made them."
)
@DEVICE
@RESULTS
@RUNS
@DATA
def compare(one: str, other: str, **options: Any) -> None:
    """Compare A with B on the same test images: differences, errors, what they mean.

    A and B are records, run folders, task/model+variant/seedK or task/external/name. The error is
    the noise of the test images, most of which is shared and cancels.

    \b
    Example:
      i2i-bench compare stripes/attentiongan+preset=small/seed0 stripes/cyclegan+preset=small/seed0
      i2i-bench compare horse2zebra/external/cut horse2zebra/cyclegan/seed0 --images-a fakes.zip
    """
    from i2i_bench.runs.compare import (
        compare_sides,
        differing_code,
        directions,
        find_side,
        find_task_of_sides,
    )
    from i2i_bench.training import parallel

    places = places_from(options)
    (protocol,) = find_protocols([options["protocol"]])
    sides = (
        find_side(one, options["images_a"], places),
        find_side(other, options["images_b"], places),
    )
    task = find_task_of_sides(sides, options["task"], places)
    chosen = options["direction"]
    device = str(parallel.choose_device(options["device"]))
    click.echo(f"A is {sides[0].label}\nB is {sides[1].label}")
    if different := differing_code(sides):
        click.echo(different)
    both = [chosen] if chosen else directions(sides, protocol)
    for found in compare_sides(sides, task, protocol, both, device):
        _print(found)


def _print(found: Comparison) -> None:
    click.echo(f"\n{found.heading}")
    rows = [
        (d.column.header, d.column.text(d.one), d.column.text(d.other), d.text(), d.verdict())
        for d in found.differences
    ]
    columns(("metric", "A", "B", "A - B", "by these test images"), rows)
    for line in found.sentences():
        click.echo(line)

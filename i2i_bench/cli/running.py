"""The commands that train, import and translate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from i2i_bench.cli.carry_out import carry_out
from i2i_bench.cli.fetching import FETCH, obtain_images
from i2i_bench.cli.group import unwinding
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
    MODELS,
    ORDERS,
    PRECISION,
    PRESET,
    PROTOCOL,
    RESULTS,
    RUNS,
    SEEDS,
    SPLIT,
    SUBSET_SIZE,
    TASKS,
    choices_from,
    find_protocols,
    places_from,
)


@click.command()
@click.option("--model", "models", multiple=True, required=True, help=MODELS)
@TASKS
@SEEDS
@PROTOCOL
@METRIC
@ORDERS
@SUBSET_SIZE
@PRESET
@CHANGES
@BUDGET
@SPLIT
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
@FETCH
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
      i2i-bench run --model attentiongan --task selfie2anime --fetch
      i2i-bench run --model attentiongan --task my/folder --set num_masks=4 --dry-run
      i2i-bench run --model cyclegan --task my/folder --start imported/horse2zebra
      i2i-bench run --model cyclegan --task stripes --set lambda_cycle=5 --split validation
      i2i-bench run --model all --task embedded --preset small --seed 0 --seed 1 --seed 2 --jobs 2
    """
    from i2i_bench.runs import plan
    from i2i_bench.runs.preview import describe_job, said_of_all
    from i2i_bench.training import parallel, tensorboard

    if "tensorboard" in options["logs"]:
        tensorboard.require_tensorboard()
    places = places_from(options)
    find_protocols(options["protocols"])  # a misspelt one is reported before the plan is made
    if not options["dry_run"]:
        obtain_images(options["tasks"], places.data, is_wanted=options["fetch"])
    jobs = plan.plan_runs(
        options["models"],
        options["tasks"],
        options["seeds"],
        choices_from(options),
        places.data,
        is_preview=options["dry_run"],
    )
    if options["dry_run"]:
        device = parallel.choose_device(options["device"])
        for number, job in enumerate(jobs):
            click.echo(("\n" if number else "") + describe_job(job, places, device))
        if len(jobs) > 1:
            click.echo(f"\n{said_of_all(jobs, places)}")
        return
    carry_out(jobs, options)


@click.command("import")
@click.argument("model")
@click.argument("source", metavar="FOLDER", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path, file_okay=False))
@FORCE
def import_(model: str, source: Path, target: Path, force: bool) -> None:
    """Convert the checkpoints of MODEL's authors in FOLDER into a run in OUT.

    The run works with translate, evaluate --task and run --start. Nothing in the files is executed.
    A single latest_net_G.pth translates a to b; named latest_net_G_B.pth it translates b to a.
    FOLDER may be one file, too, or a zip, tar or tar.gz.

    \b
    Example:
      i2i-bench import cyclegan horse2zebra_pretrained imported/horse2zebra
    """
    from i2i_bench.runs import importing

    click.echo(importing.import_official(model, source, target, force=force))


@click.command()
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
    help="An i2i-bench checkpoint, or the authors' files: a folder, one file or an archive.",
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
    help="Resize images to squares of this side in pixels; default: as trained. Of a run of whole "
    "images the short side; default: the image's own size.",
)
@click.option(
    "--masks", is_flag=True, help="Also write attention and instance masks, 0 black, 1 white."
)
@click.option(
    "--outputs",
    type=click.IntRange(1, 10_000),
    help="Outputs of each image, NAME_0.png and so on, for a model that draws its styles.",
)
@click.option(
    "--like",
    metavar="IMAGE",
    type=click.Path(path_type=Path),
    help="Take the style of this image, or of each in this folder, for a model that can.",
)
@click.option(
    "--instances",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Instance masks, NAME_0.png and so on, for a model of objects; default: SOURCE_seg.",
)
@click.option(
    "--upright",
    is_flag=True,
    help="Apply the EXIF orientation of photos; default: as in training, where it is ignored "
    "unless task.toml said otherwise.",
)
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
      i2i-bench translate --run my-styles/seed0 photos out --outputs 5
      i2i-bench translate --run my-styles/seed0 photos out --like painting.png
    """
    from i2i_bench.cli.progress import Reporter
    from i2i_bench.runs.said_of_files import say_of_files, say_passed_over, say_size
    from i2i_bench.runs.source_files import Wanted
    from i2i_bench.runs.translate import translate_files
    from i2i_bench.runs.translator import load_translator
    from i2i_bench.training import parallel

    run, model, weights = (options[key] for key in ("run_name", "model_name", "weights"))
    if bool(run) == bool(model or weights) or bool(model) != bool(weights):
        raise click.UsageError("either --run, or --model with --weights, is needed")
    places = places_from(options)
    keys = ("outputs", "like", "instances", "masks")
    wanted = Wanted(**{key: options[key] for key in keys})
    with unwinding(), Reporter() as report:
        translator = load_translator(places, run, model, weights)
        translator = translator.at(
            options["size"], options["direction"], labels=options["labels"], to=options["to"]
        )
        if options["upright"]:
            translator = translator.upright()
        for line in say_of_files(translator, source):
            click.echo(line)
        size, others = say_size(translator, source), say_passed_over(source)
        count = translate_files(
            translator,
            source,
            target,
            device=parallel.choose_device(options["device"]),
            report=report,
            wanted=wanted,
        )
    many = wanted.outputs or wanted.like
    what = f"wrote {count} translation" if many else f"translated {count} image"
    told = f"; {others}" if others else ""
    click.echo(f"{what}{'s' * (count != 1)} into {target} {size}{told}")

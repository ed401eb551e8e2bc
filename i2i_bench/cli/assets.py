"""The commands ``weights``, ``data``, ``doctor`` and ``cache``, on files not shipped here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from i2i_bench.cli.fetching import agree, fetch_offer, in_megabytes, numbers, stages
from i2i_bench.cli.group import Commands
from i2i_bench.cli.options import DATA, RESULTS, RUNS, columns

_URL = click.option(
    "--url", "urls", multiple=True, help="Download from this address instead; repeatable."
)
_FILE = click.option(
    "--file",
    "source",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Use this file instead of downloading one.",
)
_FORCE = click.option(
    "--force",
    is_flag=True,
    help="Replace what is there, even with contents that differ from those first seen.",
)
_NEW = click.option(
    "--force", is_flag=True, help="Accept contents that differ from those first seen."
)


@click.group(cls=Commands)
def weights() -> None:
    """Fetch and verify the pretrained networks that FID, KID and LPIPS need.

    I2I_BENCH_WEIGHTS names their folder, I2I_BENCH_MIRROR a mirror that is tried first.

    \b
    Example:
      i2i-bench weights fetch
      i2i-bench weights verify
    """


@weights.command("fetch")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--all", "every", is_flag=True, help="Fetch all files, not only those for protocol i2i."
)
@_URL
@_FILE
@_FORCE
def fetch_weights(
    names: tuple[str, ...], every: bool, urls: tuple[str, ...], source: Path | None, force: bool
) -> None:
    """Fetch weights files, by default those that protocol i2i needs.

    Interrupted downloads resume. A file appears whole and verified, or not at all.

    \b
    Example:
      i2i-bench weights fetch
      i2i-bench weights fetch inception-2015-12-05.pt --file downloads/inception-2015-12-05.pt
    """
    from i2i_bench import pretrained
    from i2i_bench.cli.progress import Reporter

    chosen = names or (tuple(pretrained.FILES) if every else pretrained.NEEDED)
    if (urls or source) and len(names) != 1:
        raise click.UsageError("--url and --file need the name of one file")
    failed = []
    for file in [pretrained.find_weights(name) for name in chosen]:
        try:
            with Reporter() as report:
                progress = in_megabytes(report, file.name)
                seen = pretrained.obtain_weights(
                    file, urls=urls, source=source, force=force, progress=progress
                )
        except ValueError as error:
            failed.append(str(error))
        else:
            path = pretrained.weights_path(file.name)
            status = pretrained.weights_status(path)
            click.echo(f"{status} {path} sha256 {seen.sha256} from {seen.origin}")
    _fail(failed)


def _fail(reasons: Iterable[str]) -> None:
    """Fail, after all else is done, if there are reasons."""
    if sentence := "; ".join(reasons):
        raise click.ClickException(sentence)


@weights.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_NEW
def verify_weights(names: tuple[str, ...], force: bool) -> None:
    """Check that weights files are present, complete, loadable and the published ones.

    Without a NAME, those that protocol i2i does not need may be missing. A file without a published
    hash is unverified; its first hash is remembered.

    \b
    Example:
      i2i-bench weights verify
    """
    from i2i_bench import pretrained

    files = [pretrained.find_weights(name) for name in names or pretrained.FILES]
    found = [pretrained.inspect_weights(file, force=force) for file in files]
    rows = [(each.name, each.state, each.sha256 or "-", each.path) for each in found]
    columns(("file", "state", "sha256", "where"), rows)
    needed = names or pretrained.NEEDED
    bad = [each for each in found if each.state in ("damaged", "wrong")]
    bad += [each for each in found if each.name in needed and each.state in ("missing", "partial")]
    _fail(f"{each.name} is {each.state}: {each.advice}" for each in bad)


@click.group(cls=Commands)
def data() -> None:
    """Fetch and verify the images of catalogued tasks.

    I2I_BENCH_MIRROR names a mirror that is tried first.

    \b
    Example:
      i2i-bench data fetch horse2zebra
      i2i-bench data verify horse2zebra
    """


@data.command("fetch")
@click.argument("task")
@_URL
@_FILE
@click.option("--yes", is_flag=True, help="Accept the licence without being asked.")
@click.option("--keep", is_flag=True, help="Keep the archive after it is unpacked.")
@_FORCE
@DATA
def fetch_data(
    task: str, urls: tuple[str, ...], source: Path | None, yes: bool, keep: bool, **where: Path
) -> None:
    """Fetch the images of TASK, after showing what they are and their licence.

    Interrupted downloads resume. The folder of the task appears whole and verified, or not at all.
    TASK may be a data set of the Hugging Face hub, and so may --url: hf:owner/name.

    \b
    Example:
      i2i-bench data fetch horse2zebra
      i2i-bench data fetch hf:huggan/selfie2anime
      i2i-bench data fetch selfie2anime --file downloads/selfie2anime.zip
    """
    from i2i_bench.tasks import catalogue

    force, found = bool(where["force"]), catalogue.find_source(task, where["data"])
    folder = found.place(where["data"])
    if not force and (there := found.count_present(folder)):
        click.echo(f"{task} is there: {numbers(there)} in {folder}")
        return
    offer = found.offer(folder, urls=urls, file=source)
    click.echo("\n".join(offer.lines()))
    agree(yes)
    fetch_offer(found, offer, force=force, keep=keep)


@data.command("verify")
@click.argument("tasks", nargs=-1, metavar="[TASK]...")
@_NEW
@DATA
def verify_data(tasks: tuple[str, ...], force: bool, data: Path) -> None:
    """Check each image of TASKS, by default of all those present.

    \b
    Example:
      i2i-bench data verify horse2zebra
    """
    from i2i_bench.cli.progress import Reporter
    from i2i_bench.tasks import catalogue

    chosen = tasks or tuple(name for name in catalogue.sources() if (data / name).is_dir())
    if not chosen:
        raise click.ClickException(f"there are no tasks in {data}; i2i-bench data fetch TASK")
    failed = []
    for task in chosen:
        try:
            with Reporter() as report:
                source = catalogue.find_source(task, data)
                lines = source.verify(source.place(data), stages(report, task), force=force)
            click.echo("\n".join(lines))
        except ValueError as error:
            failed.append(str(error))
    _fail(failed)


@click.command()
@click.option("--clear", is_flag=True, help="Remove all; they are extracted again when needed.")
def cache(clear: bool) -> None:
    """Show how much room the features of scored images take, or remove them.

    I2I_BENCH_CACHE names their folder, I2I_BENCH_CACHE_BYTES its largest size.

    \b
    Example:
      i2i-bench cache --clear
    """
    from i2i_bench.scoring.features.cache import cache_state, clear_cache

    if clear:
        click.echo(f"removed {clear_cache() / 1e6:.1f} MB")
    state = cache_state()
    used, limit = state.bytes / 1e6, state.limit / 1e6
    click.echo(f"{used:.1f} of {limit:.1f} MB, features of {state.files} sets in {state.folder}")


@click.command()
@RESULTS
@RUNS
@DATA
def doctor(results: Path, runs: Path, data: Path) -> None:
    """Show what is installed and where, what is missing, and what to do about it.

    \b
    Example:
      i2i-bench doctor
    """
    from i2i_bench.cli.doctor import examine

    found = examine({"results": results, "runs": runs, "data": data})
    for topic in dict.fromkeys(each.topic for each in found):
        click.echo(topic)
        for each in (each for each in found if each.topic == topic):
            click.echo(f"  {each.mark:8}{each.text}{f': {each.advice}' if each.advice else ''}")
    broken = [f"{each.text}: {each.advice}" for each in found if each.mark == "broken"]
    if broken:
        raise click.ClickException(f"{len(broken)} broken: {'; '.join(broken)}")

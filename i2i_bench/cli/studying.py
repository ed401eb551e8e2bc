"""The commands ``study``: perceptual studies with people."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_bench.cli import study_scores
from i2i_bench.cli.group import Commands
from i2i_bench.cli.options import DATA, RESULTS, RUNS, places_from, typed_changes

if TYPE_CHECKING:
    from i2i_bench.study.plan import Study

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group(cls=Commands)
def study() -> None:
    """Ask people: which image is real, or which translation is best.

    \b
    Example:
      i2i-bench study power --percent 30 --against 20 --trials 40
      i2i-bench study new faces --task stripes --direction a2b --procedure realfake-cyclegan \\
        --run stripes/cyclegan+preset=small/seed0
      i2i-bench study serve faces
      i2i-bench study score faces --record faces
    """


study.add_command(study_scores.score_study)
study.add_command(study_scores.power)


@study.command("new")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--task", required=True, help="Task name such as stripes, or a folder of images.")
@click.option("--direction", required=True, help="Source and target domain, such as a2b.")
@click.option("--procedure", required=True, help="How to ask, such as realfake-cyclegan; see docs.")
@click.option(
    "--run", "shown", multiple=True, help="A finished run whose images to show; repeatable."
)
@click.option(
    "--external",
    multiple=True,
    metavar="NAME=FOLDER",
    help="Images of any other program, named as the test images; repeatable.",
)
@click.option("--images", type=click.IntRange(min=1), help="Test images, drawn; default: all.")
@click.option("--image", "names", multiple=True, help="Name of a test image to show; repeatable.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the procedure, such as trials=20, which is then stated; repeatable.",
)
@click.option(
    "--target", default="", help="What translations are to look like, for people: a zebra."
)
@click.option(
    "--ask", "asked", multiple=True, help="What people are asked about themselves; repeatable."
)
@click.option(
    "--completion-code", default="", help="Shown at the end, such as Prolific's; default: one each."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of the plan."
)
@RESULTS
@RUNS
@DATA
def new(folder: Path, **options: Any) -> None:
    """Plan a study in a new FOLDER: who sees what, image copies, texts, and its page.

    page/index.html needs no network. texts/ holds what the page says and the consent to fill in;
    study page writes the page again after that.

    \b
    Example:
      i2i-bench study new faces --task stripes --direction a2b --procedure realfake-cyclegan \\
        --run stripes/cyclegan+preset=small/seed0 --run stripes/unit+preset=small/seed0
    """
    from dataclasses import replace

    from i2i_bench.runs.studies import StudyRequest, gather_study, subject_of
    from i2i_bench.study import make
    from i2i_bench.study.procedures import changed_settings, find_procedure

    if options["images"] and options["names"]:
        raise click.UsageError("give either --images or --image")
    procedure = find_procedure(options["procedure"])
    typed = typed_changes(options["changes"])
    settings = changed_settings(procedure, typed)
    make.require_new_folder(folder)
    wanted = StudyRequest(
        task=options["task"],
        direction=options["direction"],
        runs=options["shown"],
        external=_named_folders(options["external"]),
        names=options["names"],
        count=options["images"],
        seed=options["seed"],
    )
    images, task, methods = gather_study(wanted, places_from(options))
    settings = make.settled_settings(
        procedure, settings, images, is_asked_to_pair=typed.get("pairing") == "input"
    )
    subject = subject_of(task, options["direction"], options["target"], methods)
    subject = replace(subject, asked=options["asked"], completion_code=options["completion_code"])
    _tell(make.make_study(folder, subject, procedure, settings, images, options["seed"]))


def _named_folders(typed: tuple[str, ...]) -> dict[str, Path]:
    found = {}
    for each in typed:
        name, equals, folder = each.partition("=")
        if not equals or not name or name in found:
            raise click.UsageError(f"--external {each}: NAME=FOLDER is needed, each name once")
        found[name] = Path(folder)
    return found


def _tell(study: Study) -> None:
    """Print what was planned, what differs from the paper, and what to do next."""
    plan, settings = study.plan, study.plan.settings
    total = len(study.sessions[0])
    click.echo(
        f"planned {plan.sessions} sessions of {total} trials ({plan.procedure}, "
        f"{', '.join(each.method for each in plan.methods)}), {len(plan.images)} images"
    )
    for key, (before, now) in plan.changed.items():
        click.echo(f"not as in the paper: {key} is {now}, there {before}")
    if settings.trials > len({t.item for s in study.sessions for t in s if t.kind == "scored"}):
        click.echo("there are fewer test images than trials, so that people see some again")
    click.echo(
        f"fill in {study.folder}/texts/consent.*.txt, then: i2i-bench study page {study.folder}"
    )


@study.command("page")
@click.argument("folder", type=_FOLDER)
@click.option("--session", type=click.IntRange(min=1), help="Only of this one, as one file.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Where that file goes."
)
def page(folder: Path, session: int | None, output: Path | None) -> None:
    """Write the page of the study in FOLDER again, after its texts were edited.

    A file of one session holds its images, and can be sent by mail.

    \b
    Example:
      i2i-bench study page faces
      i2i-bench study page faces --session 3 --output for-anna.html
    """
    from i2i_bench.study.page import write_offline_page, write_single_page
    from i2i_bench.study.plan import Study

    found = Study(folder)
    if (session is None) != (output is None):
        raise click.UsageError("--session and --output belong together")
    if session is None or output is None:
        click.echo(f"wrote {write_offline_page(found)}")
        return
    if session > len(found.sessions):
        raise ValueError(f"there is no session {session}; the last is {len(found.sessions)}")
    write_single_page(found, session - 1, output)
    click.echo(f"wrote {output}")


@study.command("serve")
@click.argument("folder", type=_FOLDER)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@click.option(
    "--behind-proxy",
    "prefix",
    metavar="PREFIX",
    default="",
    help="Path under which a proxy of yours shows it, such as /faces.",
)
@click.option(
    "--open", "is_open", is_flag=True, help="Give a session to whoever comes without a link."
)
def serve(folder: Path, host: str, port: int, prefix: str, is_open: bool) -> None:
    """Ask people for the study in FOLDER, by a small web server; Ctrl-C ends it.

    links.csv has a token of each session: its page is s/TOKEN/. An answer is on disk before it is
    acknowledged; a page that is loaded again goes on where it was. Only this machine reaches it,
    unless --host or a proxy says otherwise; use a proxy with TLS for the internet.

    \b
    Example:
      i2i-bench study serve faces
      i2i-bench study serve faces --behind-proxy /faces --open
    """
    from i2i_bench.study.plan import Study
    from i2i_bench.study.server import LOOPBACK, StudyServer
    from i2i_bench.study.texts import read_texts

    if prefix and (not prefix.startswith("/") or "//" in prefix or "?" in prefix):
        raise click.UsageError("--behind-proxy needs a path, such as /faces")
    found = Study(folder)
    for name in read_texts(folder / "texts").blanks:
        click.echo(f"Warning: {folder}/texts/{name} still has [blanks] to fill in", err=True)
    if host not in (LOOPBACK, "localhost", "::1"):
        click.echo("Warning: others reach this, and without TLS they can be listened to", err=True)
    with StudyServer(found, (host, port), prefix=prefix, is_open=is_open) as server:
        where = server.url if is_open else f"{server.url}s/TOKEN/"
        click.echo(f"serving {folder} at {where}, tokens are in {folder}/links.csv; Ctrl-C ends it")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.2)

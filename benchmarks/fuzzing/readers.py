"""Everything of the suite that reads files, each given bytes and a folder of its own."""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from pathlib import Path

from fuzzing.guard import Found, require_sentence
from fuzzing.sound import OFFICIAL, sound_checkpoint, write_images

FOUR = ("trainA", "trainB", "testA", "testB")
LABELS = ("train/horse", "train/zebra", "test/horse", "test/zebra")


def read_record(content: bytes, folder: Path) -> None:
    """Read a record and do with it all that is done with records."""
    from i2i_bench.records import record
    from i2i_bench.report import render, summary, validation

    path = folder / "results/stripes/cyclegan/seed0.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    found = record.read_record(path)
    made = record.write_record(found, folder / "results")
    if made != path:
        made.unlink()
    shows = (summary.results_readme, render.leaderboard_csv, render.leaderboard_latex)
    texts = [show([found]) for show in shows]
    plain = "".join(texts).replace("\n", "")
    if "<script" in texts[0] or not plain.isprintable():
        raise Found("a name became HTML or a command to the terminal")
    validation.validate_results_in(folder / "results")


def read_external(content: bytes, folder: Path) -> None:
    """Read the record of another program's images."""
    from i2i_bench.records import record

    (folder / "x.json").write_bytes(content)
    record.write_record(record.read_external_record(folder / "x.json"), folder / "results")


def read_notes(content: bytes, folder: Path) -> None:
    """Read the small files beside runs and downloads."""
    from i2i_bench.records.folders import RUN_FILE, is_imported, is_unfinished, noted_task
    from i2i_bench.report.figures import losses
    from i2i_bench.runs import lock
    from i2i_bench.system import first_seen

    run = folder / "seed0"
    run.mkdir(exist_ok=True)
    for path in (run / RUN_FILE, lock.lock_path(run), run / "losses.jsonl", folder / "k.json"):
        path.write_bytes(content)
    for read in (noted_task, is_unfinished, is_imported):
        read(run)
    with lock.lock_run(run, watch=0.0):
        pass
    with contextlib.suppress(ValueError):
        first_seen.read_first_seen(folder / "k.json")
    losses._read_log(run / "losses.jsonl")


def read_setting(content: bytes, folder: Path) -> None:
    """Read a setting as typed."""
    from i2i_bench.plugins import registry
    from i2i_bench.plugins.toy import NOMINAL
    from i2i_bench.training.settings import change_settings

    del folder
    key, _, value = content.decode(errors="replace").partition("=")
    for name in ("cyclegan", "unit"):
        settings = registry.load_model(name).settings("tiny", NOMINAL)
        change_settings(name, settings, {key: value})


def read_image(content: bytes, folder: Path) -> None:
    """Decode an image file."""
    from i2i_bench.tasks import image_file

    (folder / "x.png").write_bytes(content)
    for is_plain in (False, True):
        image_file.read_image(folder / "x.png", io.BytesIO(content), is_plain=is_plain)


def read_deep(content: bytes, folder: Path) -> None:
    """Decode an image of 16-bit grey values whose domain has a range."""
    from i2i_bench.tasks import image_file, pixel_format

    (folder / "x.png").write_bytes(content)
    for low, high in ((0, 65535), (100, 4095)):
        pixels = pixel_format.PixelFormat(1, (low, high))
        image = image_file.read_image(folder / "x.png", pixels=pixels)
        lowest, highest = map(float, image.getextrema())  # pyright: ignore[reportArgumentType] - one channel
        if not low <= lowest <= highest <= high:  # also where any is not a number
            raise Found(f"values of {lowest} to {highest} are beyond {low} to {high}")


def read_mask(content: bytes, folder: Path) -> None:
    """Decode the mask of an object."""
    from i2i_bench.tasks import image_file

    (folder / "x.png").write_bytes(content)
    mask = image_file.read_mask(folder / "x.png")
    if mask.shape[::-1] != image_file.read_image_size(folder / "x.png"):
        raise Found("a mask has another size than its header says")


def read_images(content: bytes, folder: Path) -> None:
    """Read an archive of another program's images."""
    from i2i_bench.scoring import submission

    (folder / "x.zip").write_bytes(content)
    with submission.opened(folder / "x.zip") as listing:
        for file in listing.files[:20]:
            file.content()


def read_task_file(content: bytes, folder: Path) -> None:
    """Make the task of a folder whose ``task.toml`` this is, of each arrangement."""
    from i2i_bench.tasks import catalogue

    refusals = []
    arrangements = (FOUR, LABELS, ("train", "test"), ("x", "y"))
    for places in arrangements:
        root = folder / "-".join(places).replace("/", "-")
        write_images(root, places)
        (root / "task.toml").write_bytes(content)
        try:
            task = catalogue.find_task(str(root), folder)
            [image.read() for domain in task.domains for image in task.images("train", domain)]
        except ValueError as error:
            require_sentence(error)
            refusals.append(error)
    if len(refusals) == len(arrangements):
        raise refusals[0]


def read_name_list(content: bytes, folder: Path) -> None:
    """Read a list of images, and make the task that four such lists name."""
    from i2i_bench.tasks import catalogue
    from i2i_bench.tasks.name_lists import read_name_list

    write_images(folder, ("images",))
    for name in FOUR:
        (folder / f"{name}.txt").write_bytes(content)
    read_name_list(folder / "trainA.txt", [folder, folder / "images"])
    with contextlib.suppress(ValueError):  # such as of two columns
        catalogue.find_task(str(folder), folder)


def read_results(content: bytes, folder: Path) -> None:
    """Find the translations in the results of another program, and cut them out."""
    from i2i_bench.model import A2B
    from i2i_bench.scoring.external import Submission, read_submission
    from i2i_bench.tasks.catalogue import EMBEDDED

    (folder / "x.zip").write_bytes(content)
    given = Submission(folder / "x.zip", EMBEDDED["stripes"], A2B, allow_partial=True)
    read_submission(given)


def read_archive(content: bytes, folder: Path) -> None:
    """Unpack a downloaded archive."""
    from i2i_bench.tasks import archives

    (folder / "x.zip").write_bytes(content)
    target = folder / "target"
    target.mkdir()
    bounds = archives.Bounds(members=100, file_bytes=2**20, total_bytes=2**22, free_bytes=2**22)
    try:
        archives.unpack(folder / "x.zip", target, bounds=bounds)
    finally:
        archives.remove(target)


def read_parquet(content: bytes, folder: Path) -> None:
    """Write the images of a parquet file as a data set of the hub would be."""
    from i2i_bench.tasks.hub.images import ImageWriter
    from i2i_bench.tasks.hub.layout import Part
    from i2i_bench.tasks.hub.parquet import read_columns

    path, draft = folder / "x.parquet", folder / "draft"
    path.write_bytes(content)
    draft.mkdir()
    columns = read_columns(path, "x.parquet")
    if len(columns.images) == 2:
        folders = [
            (column, f"train{side}") for column, side in zip(columns.images, "AB", strict=True)
        ]
        parts = [Part("train", (path,), (column,), (name,)) for column, name in folders]
    elif len(columns.images) == 1 and len(columns.labels) == 1:
        parts = [Part("train", (path,), columns.images, label=next(iter(columns.labels)))]
    else:
        raise ValueError("it has other columns")
    classes = next(iter(columns.labels.values()), ())
    shown, show = {path: "x.parquet"}, lambda stage, done, total: None
    ImageWriter(draft, {}, classes, shown, show).write(parts)


def read_hub_answer(content: bytes, folder: Path) -> None:
    """Understand what a server says of a data set."""
    from i2i_bench.system.ask import Answer
    from i2i_bench.tasks.hub import layout, listing
    from i2i_bench.tasks.hub.name import HubName

    del folder
    name = HubName("me", "own")
    found = listing.read_listing(Answer(200, {}, content), name, "main")
    layout.choose_files(found)


def read_checkpoint(content: bytes, folder: Path) -> None:
    """Read a checkpoint, and build and restore the model that it is of."""
    from i2i_bench.plugins import registry
    from i2i_bench.training import checkpoint, checkpoint_file
    from i2i_bench.training.settings import restore_settings, without_memory

    path = folder / "checkpoint-000000000000.pt"
    path.write_bytes(content)
    found = checkpoint_file.read_checkpoint(path)
    model_class = registry.load_model(found["identity"]["model"])
    settings = restore_settings(model_class, found["identity"]["settings"])
    checkpoint.require_fit(without_memory(model_class, settings, found["networks"]), found)
    checkpoint.restore_checkpoint(
        model_class(settings.config), found, sound_checkpoint()["identity"]
    )


def read_official(content: bytes, folder: Path) -> None:
    """Build the model whose authors' file it is; the others refuse it, each in a sentence."""
    from i2i_bench.plugins import registry
    from i2i_bench.runs import importing

    path = folder / "netG_A2B.pth"  # a name that all of them take
    path.write_bytes(content)
    refusals = []
    for name in OFFICIAL:
        try:
            registry.load_model(name).from_official(path)
        except ValueError as error:
            require_sentence(error)
            refusals.append(error)
    importing._family(path)
    if len(refusals) == len(OFFICIAL):
        raise refusals[0]


def read_weights(content: bytes, folder: Path) -> None:
    """Find the state dicts in a file of weights, or in those of an archive of them."""
    from i2i_bench.runs.weights_files import weights_at, weights_in
    from i2i_bench.system.state_dicts import find_state_dicts
    from i2i_bench.system.tensors import read_untrusted

    (folder / "x.pth").write_bytes(content)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)  # where archives are unpacked
    try:
        with weights_at(folder / "x.pth") as place:
            for file in weights_in(place) if place.is_dir() else [place]:
                find_state_dicts(read_untrusted(file))
    finally:
        tempfile.tempdir = before


def read_metadata(content: bytes, folder: Path) -> None:
    """List models with a distribution of this metadata installed."""
    from i2i_bench.plugins import registry

    first, _, rest = content.partition(b"\x00")
    information = folder / "hostile-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_bytes(first)
    (information / "entry_points.txt").write_bytes(rest)
    sys.path.insert(0, str(folder))
    try:
        found = registry.find_entries()
        [registry.entry_problem(entry, found) for entry in found]
        if len(registry.available_models()) < 2:
            raise Found("a damaged distribution hides the models of others")
    finally:
        sys.path.remove(str(folder))

"""Feed files that nobody would write to everything that reads files, and watch what happens.

Whatever is read, the answer is either a value or a ValueError of one sentence: no other exception,
nothing executed, nothing written outside the target's folder, no more memory than the limit, no
second more than the limit. With ``--atheris`` libFuzzer chooses the bytes by the branches they
reach in this package; without, they are mutations of sound files.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import logging
import os
import random
import resource
import signal
import string
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SECONDS = 20  # of one input
MEMORY = 2 * 2**30  # bytes beyond those at the start
LONGEST = 2100  # letters of a sentence
EXECUTIONS = {"os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect"}
WRITES = {
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "shutil.rmtree",
}
HOSTILE: tuple[Any, ...] = (  # in the place of a sound value
    *(None, True, -1, 0, 2**31, 2**63, 2**64, -(2**70), 10**300, 1e308, float("nan"), -0.0),
    *("", "../../x", "/etc/passwd", "<script>alert(1)</script>", "a\nb", "\x1b[31m", "\u202e"),
    *("\N{HAMSTER FACE}" * 300, "x" * 100_000, "seed0", "i2i@1/a2b", "'\"`$(id)", "|a|b|"),
    *([], {}, [[]], {"a": {"b": {}}}, ["x"] * 1000),
)

PAIR = ("trainA/1.png", "trainB/2.png")  # in an archive
OFFICIAL = {  # model → fixture in tests/golden, and the parts of a file by the networks in it
    "cyclegan": ("cyclegan", {"G_A": ""}),
    "attentiongan": ("attentiongan_v2", {"G_A": ""}),
    "attentiongan-v1": ("attentiongan_v1", {"netG_A2B": ""}),
    "unit": ("unit", {"gen_a": "a", "gen_b": "b"}),
    "ugatit-light": (
        "ugatit_light",
        {n: n for n in ("genA2B", "genB2A", "disGA", "disGB", "disLA", "disLB")},
    ),
    "stargan": ("stargan", {"G": ""}),
}

Target = Callable[[bytes, Path], object]


@dataclass(frozen=True)
class Fuzzed:
    """Something that reads files.

    Attributes:
        read: Reads bytes, in a folder of its own.
        seeds: Makes sound files.
        change: Makes a hostile file of a sound one; None for any bytes.
    """

    read: Target
    seeds: Callable[[], list[bytes]]
    change: Callable[[random.Random, bytes], bytes] | None = None


class Found(AssertionError):
    """Something happened that must not."""


def read_record(content: bytes, folder: Path) -> None:
    """Read a record and do with it all that is done with records."""
    from i2i_bench import record, validation
    from i2i_bench.report import render

    path = folder / "results/stripes/cyclegan/seed0.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    found = record.read(path)
    made = record.write(found, folder / "results")
    if made != path:
        made.unlink()
    texts = [show([found]) for show in (render.readme, render.to_csv, render.to_latex)]
    plain = "".join(texts).replace("\n", "")
    if "<script" in texts[0] or not plain.isprintable():
        raise Found("a name became HTML or a command to the terminal")
    validation.validate(folder / "results")


def read_external(content: bytes, folder: Path) -> None:
    """Read the record of another program's images."""
    from i2i_bench import record

    (folder / "x.json").write_bytes(content)
    record.write(record.read_external(folder / "x.json"), folder / "results")


def read_notes(content: bytes, folder: Path) -> None:
    """Read the small files beside runs and downloads."""
    from i2i_bench import claims, ledger, plan
    from i2i_bench.report import figures

    run = folder / "seed0"
    run.mkdir(exist_ok=True)
    for path in (run / plan.RUN_FILE, claims.place(run), run / "losses.jsonl", folder / "k.json"):
        path.write_bytes(content)
    for read in (plan.noted_task, plan.is_unfinished, plan.is_imported):
        read(run)
    with claims.claim(run, watch=0.0):
        pass
    with contextlib.suppress(ValueError):
        ledger.read(folder / "k.json")
    figures._read_log(run / "losses.jsonl")


def read_setting(content: bytes, folder: Path) -> None:
    """Read a setting as typed."""
    from i2i_bench import registry
    from i2i_bench.contract import NOMINAL
    from i2i_bench.settings import change_settings

    del folder
    key, _, value = content.decode(errors="replace").partition("=")
    for name in ("cyclegan", "unit"):
        settings = registry.load(name).settings("tiny", NOMINAL)
        change_settings(name, settings, {key: value})


def read_image(content: bytes, folder: Path) -> None:
    """Decode an image file."""
    from i2i_bench.tasks import folders

    (folder / "x.png").write_bytes(content)
    for is_plain in (False, True):
        folders.read_image(folder / "x.png", io.BytesIO(content), is_plain=is_plain)


def read_images(content: bytes, folder: Path) -> None:
    """Read an archive of another program's images."""
    from i2i_bench import image_files

    (folder / "x.zip").write_bytes(content)
    with image_files.opened(folder / "x.zip") as files:
        for file in files[:20]:
            file.content()


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


def read_checkpoint(content: bytes, folder: Path) -> None:
    """Read a checkpoint, and build and restore the model that it is of."""
    from i2i_bench import checkpoint, registry
    from i2i_bench.settings import restore_settings, without_memory

    path = folder / "checkpoint-000000000000.pt"
    path.write_bytes(content)
    found = checkpoint.read(path)
    model_class = registry.load(found["identity"]["model"])
    settings = restore_settings(model_class, found["identity"]["settings"])
    checkpoint.require_fit(without_memory(model_class, settings, found["networks"]), found)
    checkpoint.restore(model_class(settings.config), found, _sound_checkpoint()["identity"])


def read_official(content: bytes, folder: Path) -> None:
    """Build the model whose authors' file it is; the others refuse it, each in a sentence."""
    from i2i_bench import importing, registry

    path = folder / "netG_A2B.pth"  # a name that all of them take
    path.write_bytes(content)
    refusals = []
    for name in OFFICIAL:
        try:
            registry.load(name).from_official(path)
        except ValueError as error:
            require_sentence(error)
            refusals.append(error)
    importing._family(path)
    if len(refusals) == len(OFFICIAL):
        raise refusals[0]


def read_metadata(content: bytes, folder: Path) -> None:
    """List models with a distribution of this metadata installed."""
    from i2i_bench import registry

    first, _, rest = content.partition(b"\x00")
    information = folder / "hostile-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_bytes(first)
    (information / "entry_points.txt").write_bytes(rest)
    sys.path.insert(0, str(folder))
    try:
        found = registry.entries()
        [registry.problem(entry, found) for entry in found]
        if len(registry.available_models()) < 2:
            raise Found("a damaged distribution hides the models of others")
    finally:
        sys.path.remove(str(folder))


_kept: dict[str, Any] = {}


def _sound_checkpoint() -> dict[str, Any]:
    """Make a checkpoint of a small model once, as plain values and tensors."""
    import torch

    from i2i_bench import checkpoint, plan, runner
    from i2i_bench.plan import Choices

    if "checkpoint" not in _kept:
        widths = {"generator_width": "2", "discriminator_width": "2", "num_blocks": "1"}
        (job,) = plan.plan(["cyclegan"], ["stripes"], [0], Choices("tiny", widths, 4), Path())
        with tempfile.TemporaryDirectory() as folder:
            made = checkpoint.save(
                Path(folder), runner.build(job), job.identity(), checkpoint.Position()
            )
            _kept["checkpoint"] = torch.load(made, weights_only=True)
    return _kept["checkpoint"]


def sound_checkpoints() -> list[bytes]:
    """Give a checkpoint's file."""
    import torch

    file = io.BytesIO()
    torch.save(_sound_checkpoint(), file)
    return [file.getvalue()]


def sound_officials() -> list[bytes]:
    """Give a file of the authors of each model, with their names of its tensors."""
    import torch
    from safetensors.torch import load_file

    found = []
    for fixture, networks in OFFICIAL.values():
        tensors = load_file(ROOT / "tests/golden" / fixture / "init.safetensors")
        parts: dict[str, dict[str, Any]] = {part: {} for part in networks.values()}
        for name, tensor in tensors.items():
            network, _, leaf = name.partition("/")
            if network in networks:
                parts[networks[network]][leaf] = tensor
        file = io.BytesIO()
        torch.save(parts.get("", parts), file)
        found.append(file.getvalue())
    return found


def sound_records() -> list[bytes]:
    """Give some of the committed records."""
    return [path.read_bytes() for path in sorted((ROOT / "results").glob("*/*/*.json"))[::6]]


def sound_external() -> list[bytes]:
    """Give a record of another program's images."""
    scores = json.loads(sound_records()[-1])["scores"]
    head = {
        "name": "x",
        "task": "stripes",
        "headline": "kid",
        "harness_version": "0",
        "formats": {},
    }
    return [json.dumps(head | {"schema_version": 1, "scores": scores}).encode()]


def sound_notes() -> list[bytes]:
    """Give a note of a run, a line of a log and a ledger."""
    texts = (
        '{"task": "stripes", "finished": false}',
        '{"step": 1, "images_seen": 2, "seconds": 0.1, "losses": {"cycle_a": 1.0}}',
        '{"a": {"sha256": "00", "size": 1, "origin": "x"}}',
        '{"host": "h", "machine": "m", "process": 1, "born": "1", "since": 1.0, "token": "t"}',
    )
    return [text.encode() for text in texts]


def sound_settings() -> list[bytes]:
    """Give some settings."""
    return [
        b"learning_rate=1e-4",
        b"lambda_cycle=1e1",
        b"resize=square",
        b"flip=true",
        b"batch_size=1",
    ]


def sound_images() -> list[bytes]:
    """Give an image in each format and some modes."""
    from PIL import Image

    found = []
    for form, mode in (
        *(("PNG", "RGB"), ("PNG", "P"), ("PNG", "RGBA"), ("JPEG", "RGB"), ("WEBP", "RGB")),
        *(("BMP", "RGB"), ("TIFF", "RGB"), ("TIFF", "L")),
    ):
        file = io.BytesIO()
        Image.effect_noise((16, 12), 64).convert(mode).save(file, form)
        found.append(file.getvalue())
    return found


def sound_zips() -> list[bytes]:
    """Give zip archives of images, compressed and not."""
    files: dict[str, bytes] = dict.fromkeys(PAIR, sound_images()[0])
    return [packed_zip(files, how) for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]


def sound_archives() -> list[bytes]:
    """Give archives of images of every kind that is unpacked."""
    files: dict[str, bytes] = dict.fromkeys(PAIR, sound_images()[0])
    return [*sound_zips(), packed_tar(files)]


def packed_zip(files: Mapping[str, bytes], how: int) -> bytes:
    """Pack files by name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def packed_tar(files: Mapping[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    """Pack files by name; or what else a tar archive can hold, at the last of these names."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if name == list(files)[-1]:
                info.type, info.linkname = kind, "../../x"
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def sound_metadata() -> list[bytes]:
    """Give metadata of a plugin, a zero byte between its two files."""
    metadata = "Metadata-Version: 2.1\nName: hostile\nVersion: 1\nSummary: A summary\n\nText\n"
    return [f"{metadata}\0[i2i_bench.models]\nhostile = hostile:Model\n".encode()]


def change_bytes(draw: random.Random, content: bytes) -> bytes:
    """Flip, cut, repeat or overwrite bytes."""
    made = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        at = draw.randrange(len(made) + 1)
        match draw.randrange(6):
            case 0 if at < len(made):
                made[at] ^= 1 << draw.randrange(8)
            case 1:
                del made[at : at + draw.randrange(1, 64)]
            case 2:
                made[at:at] = made[at : at + draw.randrange(1, 256)] * draw.randrange(1, 9)
            case 3:
                made[at : at + 4] = draw.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
            case 4:
                made[at:at] = json.dumps(draw.choice(HOSTILE)).encode()[:5000]
            case _:
                made[at:at] = "".join(draw.choices(string.printable, k=3)).encode()
    return bytes(made)


def change_json(draw: random.Random, content: bytes) -> bytes:
    """Replace, remove or double a part of JSON; sometimes, bytes."""
    if draw.random() < 0.3:
        return change_bytes(draw, content)
    if draw.random() < 0.02:
        return b"[" * draw.choice((500, 5000, 500_000))
    tree = replaced(draw, json.loads(content), lambda value: draw.choice(HOSTILE))
    return json.dumps(tree).encode()


def change_archive(draw: random.Random, content: bytes) -> bytes:
    """Pack files of other names and contents in an archive of that kind; sometimes, bytes."""
    if draw.random() < 0.4:
        return change_bytes(draw, content)
    image, texts = sound_images()[0], [v[:60_000] for v in HOSTILE if isinstance(v, str) and v]
    names = ["trainA/1.png", "trainB/2.png", "trainA\\3.png", "trainA/", "C:/4.png"]
    names += [draw.choice((f"{text}.png", f"trainA/{text}.png", text)) for text in texts]
    contents = (image, image, b"", change_bytes(draw, image), bytes(2**21))
    files = {name: draw.choice(contents) for name in draw.sample(names, draw.randrange(1, 4))}
    if zipfile.is_zipfile(io.BytesIO(content)):
        return packed_zip(files, draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
    return packed_tar(files, draw.choice((tarfile.REGTYPE, *kinds)))


def change_checkpoint(draw: random.Random, content: bytes) -> bytes:
    """Replace a part of a checkpoint, its checksums right; sometimes, bytes or the pickle."""
    import torch

    if draw.random() < 0.2:
        return change_bytes(draw, content)
    if draw.random() < 0.3:
        return _repacked(draw, content)
    bomb: Any = []
    for _ in range(40):
        bomb = [bomb, bomb]
    one = torch.zeros(1)
    values = (
        *HOSTILE,
        *(one.expand(1 << 40), one.expand(1 << 20, 1 << 20), torch.zeros(0), one.double()),
        *(torch.full((3,), float("nan")), torch.zeros(3, 3).to_sparse(), one.to("meta")),
        *(torch.quantize_per_tensor(one, 1.0, 0, torch.qint8), torch.zeros(2, dtype=torch.bool)),
        bomb,
    )

    def change(value: Any) -> Any:
        if (
            not isinstance(value, torch.Tensor)
            or not (value.ndim and len(value))
            or draw.random() < 0.4
        ):
            return draw.choice(values)
        ways = (value.half(), value.double(), -value, value[:1], value[:0], value[None], value[0])
        return draw.choice((*ways, torch.cat([value, value])))

    file = io.BytesIO()
    torch.save(replaced(draw, torch.load(io.BytesIO(content), weights_only=True), change), file)
    return file.getvalue()


def _repacked(draw: random.Random, content: bytes) -> bytes:
    """Change the pickle in a checkpoint and pack it again, perhaps compressed."""
    file = io.BytesIO()
    how = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", how) as new:
        for entry in old.infolist():
            data = old.read(entry)
            is_pickle = entry.filename.endswith("data.pkl")
            new.writestr(entry.filename, change_bytes(draw, data) if is_pickle else data)
    return file.getvalue()


def replaced(draw: random.Random, tree: Any, change: Callable[[Any], Any]) -> Any:
    """Give a copy of nested containers with one of its parts replaced, removed or doubled."""
    if not isinstance(tree, dict | list) or not tree or draw.random() < 0.1:
        return change(tree)
    made = tree.copy()
    keys = list(made) if isinstance(made, dict) else list(range(len(made)))
    key: Any = draw.choice(keys)
    if draw.random() < 0.1:
        del made[key]
    elif draw.random() < 0.1 and isinstance(made, dict):
        made[str(draw.choice(HOSTILE))] = made[key]
    else:
        made[key] = replaced(draw, made[key], change)
    return made


TARGETS = {
    "record": Fuzzed(read_record, sound_records, change_json),
    "external": Fuzzed(read_external, sound_external, change_json),
    "notes": Fuzzed(read_notes, sound_notes, change_json),
    "setting": Fuzzed(read_setting, sound_settings),
    "image": Fuzzed(read_image, sound_images),
    "images": Fuzzed(read_images, sound_zips, change_archive),
    "archive": Fuzzed(read_archive, sound_archives, change_archive),
    "checkpoint": Fuzzed(read_checkpoint, sound_checkpoints, change_checkpoint),
    "official": Fuzzed(read_official, sound_officials, change_checkpoint),
    "metadata": Fuzzed(read_metadata, sound_metadata),
}


class Guard:
    """Notices what reading must never do; one for a process, as audit hooks cannot be removed."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.caught: list[str] = []
        sys.addaudithook(self._watch)

    def _watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event in EXECUTIONS:
            self.caught.append(f"{event} {arguments}"[:200])
        elif event in WRITES or (event == "open" and _writes(arguments)):
            path = _place(event, arguments)
            if path and not path.is_relative_to(self.folder) and path != Path("/dev/null"):
                self.caught.append(f"{event} {path}")

    @contextlib.contextmanager
    def watching(self, folder: Path) -> Iterator[None]:
        """Watch while a block runs.

        Raises:
            Found: If it did what it must not.
        """
        self.folder, self.caught = folder, []
        signal.alarm(SECONDS)
        try:
            yield
        finally:
            signal.alarm(0)
            self.folder = None
        if self.caught:
            raise Found("; ".join(self.caught))


def _place(event: str, arguments: tuple[Any, ...]) -> Path | None:
    """Give the path that an operation is about; None where it is an open file."""
    if not isinstance(arguments[0], str | bytes | os.PathLike):
        return None
    path = Path(os.fsdecode(arguments[0]))
    inside = arguments[-1]  # of most operations, the folder in which a relative path begins
    if event != "open" and isinstance(inside, int) and inside >= 0 and not path.is_absolute():
        with contextlib.suppress(OSError):
            path = Path(f"/proc/self/fd/{inside}").readlink() / path
    return path.absolute()


def _writes(arguments: tuple[Any, ...]) -> bool:
    place, mode, flags = arguments
    if not isinstance(place, str | bytes):
        return False
    return (
        bool(flags & (os.O_WRONLY | os.O_RDWR)) if mode is None else bool(set(mode) & set("wax+"))
    )


def once(guard: Guard, target: Fuzzed, content: bytes) -> str:
    """Read one input; give ``read`` or ``refused``.

    Raises:
        Found: If it ended in anything else.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name).resolve()
        try:
            with guard.watching(folder):
                target.read(content, folder)
        except ValueError as error:
            require_sentence(error)
            return "refused"
    return "read"


def require_sentence(error: ValueError) -> None:
    """Require that what is said of a file can be printed and is short.

    Raises:
        Found: If not.
    """
    from i2i_bench import faults

    said = faults.reason(error)
    if not said.isprintable() or len(said) > LONGEST:
        raise Found(f"no sentence: {said[:200]!r}... of {len(said)}") from error


def warm(target: Fuzzed) -> None:
    """Read what is sound, so that imports and their helpers are done before anything is limited.

    Raises:
        Exception: If it cannot be read, as nothing is then known of what is beyond the refusal.
    """
    for content in target.seeds():
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            target.read(content, Path(folder))


def fuzz(name: str, executions: int, seed: int, guard: Guard) -> Counter[str]:
    """Read so many mutations of sound files.

    Raises:
        Exception: The first that is none of the allowed; the input lies in ``fuzz-<name>.bin``.
    """
    target, draw = TARGETS[name], random.Random(f"{name}/{seed}")
    seeds, ended = target.seeds(), Counter[str]()
    change = target.change or change_bytes
    for _ in range(executions):
        content = change(draw, draw.choice(seeds))
        try:
            ended[once(guard, target, content)] += 1
        except BaseException:
            Path(tempfile.gettempdir(), f"fuzz-{name}.bin").write_bytes(content)
            raise
    return ended


def limit_memory() -> None:
    """Have this process fail rather than grow without bound."""
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    now = int(status["VmData"].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (now + MEMORY, resource.RLIM_INFINITY))


def _too_slow(number: int, frame: object) -> None:
    raise Found(f"more than {SECONDS} s for one input")


def main() -> None:
    """Print how many inputs were read and refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=list(TARGETS), help=", ".join(TARGETS))
    parser.add_argument("--executions", type=int, default=2000, help="of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", type=int, metavar="SECONDS", help="one target, by coverage")
    options = parser.parse_args()
    logging.disable()
    signal.signal(signal.SIGALRM, _too_slow)
    if options.atheris:
        _by_coverage(options.targets[0], options.atheris)
        return
    guard = Guard()
    for name in options.targets:
        warm(TARGETS[name])
        limit_memory()
        began, seeds = time.monotonic(), len(TARGETS[name].seeds())
        ended = fuzz(name, options.executions, options.seed, guard)
        seconds = time.monotonic() - began
        print(
            f"{name}: {ended.total()} of {seeds} seeds in {seconds:.0f} s: {dict(ended)}",
            flush=True,
        )


def _by_coverage(name: str, seconds: int) -> None:
    """Have libFuzzer choose the bytes."""
    atheris: Any = importlib.import_module("atheris")  # typed by nobody
    with atheris.instrument_imports(include=["i2i_bench"]):
        import i2i_bench.cli
        import i2i_bench.runner
        import i2i_bench.validation  # noqa: F401 - to have them instrumented
    corpus = Path(tempfile.mkdtemp(prefix=f"corpus-{name}-"))
    for number, content in enumerate(TARGETS[name].seeds()):
        (corpus / str(number)).write_bytes(content)
    warm(TARGETS[name])
    guard = Guard()
    arguments = [f"-max_total_time={seconds}", "-print_final_stats=1", "-rss_limit_mb=4096"]
    atheris.Setup(
        [sys.argv[0], *arguments, str(corpus)],
        lambda content: once(guard, TARGETS[name], content),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()

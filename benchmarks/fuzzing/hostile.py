"""Hostile files made of sound ones, by chance."""

from __future__ import annotations

import io
import json
import random
import string
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

from fuzzing.sound import packed_tar, packed_zip, sound_images

HOSTILE: tuple[Any, ...] = (  # in the place of a sound value
    *(None, True, -1, 0, 2**31, 2**63, 2**64, -(2**70), 10**300, 1e308, float("nan"), -0.0),
    *("", "../../x", "/etc/passwd", "<script>alert(1)</script>", "a\nb", "\x1b[31m", "\u202e"),
    *("\N{HAMSTER FACE}" * 300, "x" * 100_000, "seed0", "i2i@1/a2b", "'\"`$(id)", "|a|b|"),
    *([], {}, [[]], {"a": {"b": {}}}, ["x"] * 1000),
)


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


def change_lines(draw: random.Random, content: bytes) -> bytes:
    """Replace what is behind the equals sign, or all, of a line; sometimes, bytes."""
    if draw.random() < 0.4:
        return change_bytes(draw, content)
    lines = content.decode().split("\n")
    at = draw.randrange(len(lines))
    key, equals, _ = lines[at].partition("=")
    value = json.dumps(draw.choice(HOSTILE))[:60_000]
    lines[at] = (
        f"{key}{equals}{value}" if equals else draw.choice((value, lines[0], "", "../x.png"))
    )
    return "\n".join(lines).encode()


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


def change_parquet(draw: random.Random, content: bytes) -> bytes:
    """Put other images, paths and labels into sound parquet; sometimes, bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    if draw.random() < 0.5:
        return change_bytes(draw, content)
    image = sound_images()[0]
    texts = [value for value in HOSTILE if isinstance(value, str)]
    bodies = (image, b"", None, b"junk", change_bytes(draw, image), bytes(2**16))
    rows = [
        {"bytes": draw.choice(bodies), "path": draw.choice([*texts, "a/b.png", "b.png", None])}
        for _ in range(draw.randrange(1, 6))
    ]
    plain: list[Any] = [draw.choice((None, -1, 0, 2**40)) for _ in rows]
    labels = draw.choice(([draw.choice(texts) for _ in rows], plain))
    columns = {"image": rows, draw.choice(("label", "class", *texts[:6])): labels}
    said = json.dumps({"info": {"features": draw.choice(HOSTILE)}})
    table = pa.table(columns).replace_schema_metadata({"huggingface": said[:60_000]})
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


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
    with warnings.catch_warnings(action="ignore"):  # deprecated, and still found in files
        quantized = torch.quantize_per_tensor(one, 1.0, 0, torch.qint8)
    values = (
        *HOSTILE,
        *(one.expand(1 << 40), one.expand(1 << 20, 1 << 20), torch.zeros(0), one.double()),
        *(torch.full((3,), float("nan")), torch.zeros(3, 3).to_sparse(), one.to("meta")),
        *(quantized, torch.zeros(2, dtype=torch.bool)),
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

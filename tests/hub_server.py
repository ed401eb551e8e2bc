"""Data sets on a server that answers as the Hugging Face hub does, and the parquet in them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

COMMIT = "7d40964" + "0" * 33
CONVERTED = "refs%2Fconvert%2Fparquet"


def picture(seed: int, side: int = 8) -> bytes:
    """Make a PNG of noise."""
    pixels = np.random.RandomState(seed).randint(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def pictures(count: int, first: int = 0) -> list[bytes]:
    """Make so many different images."""
    return [picture(first + number) for number in range(count)]


def structs(images: Sequence[bytes | None], paths: Sequence[str | None] = ()) -> pa.Array:
    """Put images into a column as the hub has them, beside their paths."""
    rows = [
        {"bytes": image, "path": paths[row] if paths else None} for row, image in enumerate(images)
    ]
    return pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def packed(
    columns: Mapping[str, Any], features: Mapping[str, Any] | None = None, group: int = 5
) -> bytes:
    """Make a parquet file of groups of so many rows, and say in it what its columns are."""
    made = pa.table(dict(columns))
    if features:
        said = json.dumps({"info": {"features": features}})
        made = made.replace_schema_metadata({"huggingface": said})
    file = io.BytesIO()
    parquet.write_table(made, file, row_group_size=group)
    return file.getvalue()


def pair_of(a: Sequence[bytes | None], b: Sequence[bytes | None]) -> bytes:
    """Make a parquet file of two columns of images."""
    return packed({"imageA": structs(a), "imageB": structs(b)}, group=max(5, len(a) // 4))


def serve_set(
    server: Any,
    name: str,
    files: Mapping[str, bytes],
    *,
    revision: str = "main",
    commit: str = COMMIT,
    card: Mapping[str, Any] | None = None,
) -> None:
    """Serve a data set at a revision as the hub does: what it is of, and its files."""
    siblings = [
        {
            "rfilename": path,
            "size": len(content),
            "lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)},
        }
        for path, content in files.items()
    ]
    info = {"id": name, "sha": commit, "siblings": siblings, "cardData": card, "gated": False}
    for each in {revision, commit}:
        where = f"/api/datasets/{name}/revision/{each}"
        server.serve(f"{where}?blobs=true", json.dumps(info).encode())
    for path, content in files.items():
        server.serve(f"/datasets/{name}/resolve/{commit}/{path}", content)

"""Read images and labels from parquet files that nobody has looked at before."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from i2i_bench.tasks.archives import ArchiveError
from i2i_bench.tasks.hub.card import class_names

if TYPE_CHECKING:
    from pyarrow import DataType, Schema
    from pyarrow.parquet import ParquetFile

ParquetOrigin = Path | BinaryIO  # a path, or an open file

ROWS_AT_ONCE = 16
LABEL_WORDS = ("label", "labels", "class", "classes", "category", "domain", "target")


def require_pyarrow() -> None:
    """Refuse before anything is downloaded that could not be read.

    Raises:
        ValueError: If pyarrow is not installed, with the command that installs it.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise ValueError(
            "data sets of the Hugging Face hub are parquet files, which pyarrow reads, and it is "
            "not installed: pip install 'i2i-bench[hub]'"
        )


@dataclass(frozen=True)
class Columns:
    """What the columns of a parquet file are.

    Attributes:
        images: Columns of images, in the order of the file.
        labels: Columns of labels → their names; none where labels are texts or plain numbers.
        all: Every column.
    """

    images: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]
    all: tuple[str, ...]


@dataclass(frozen=True)
class ParquetImage:
    """An image in a row, as its bytes.

    Attributes:
        content: Of the image file; None where the row has none.
        path: Name of the file that it was; "" where unknown.
    """

    content: bytes | None
    path: str = ""


@dataclass(frozen=True)
class ParquetRow:
    """A row.

    Attributes:
        number: In its file, from 0.
        images: One of each column asked for.
        label: As the column of labels has it; None without one, or where it is null.
    """

    number: int
    images: tuple[ParquetImage, ...]
    label: str | int | None = None


@contextlib.contextmanager
def _opened(origin: ParquetOrigin, shown: str) -> Iterator[ParquetFile]:
    """Open a file; whatever goes wrong in reading it is one sentence."""
    require_pyarrow()
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(origin) as file:
            yield file
    except ArchiveError:
        raise
    except (pa.ArrowMemoryError, MemoryError):
        raise ArchiveError(
            f"parquet file {shown} is damaged, or needs more memory than there is"
        ) from None
    except (pa.ArrowException, OSError, ValueError, OverflowError, LookupError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        reason = first.replace(str(origin), shown)[:300]
        raise ArchiveError(f"parquet file {shown} is damaged or no parquet: {reason}") from error


def read_columns(origin: ParquetOrigin, shown: str) -> Columns:
    """Tell which columns of a file are images and which are labels.

    Args:
        origin: The file.
        shown: Its name for people.

    Raises:
        ArchiveError: If it cannot be read.
    """
    with _opened(origin, shown) as file:
        schema = file.schema_arrow
        features = _features(schema)
        images = [f.name for f in schema if _is_image(f.type, features.get(f.name))]
        labels = {
            f.name: class_names(features.get(f.name))
            for f in schema
            if _is_label(f.name, f.type, features.get(f.name))
        }
        stated = {name: names for name, names in labels.items() if names}
        return Columns(tuple(images), stated or labels, tuple(schema.names))


def count_rows(origin: ParquetOrigin, shown: str) -> int:
    """Return the number of rows that a file states.

    Args:
        origin: The file.
        shown: Its name for people.

    Raises:
        ArchiveError: If it cannot be read.
    """
    with _opened(origin, shown) as file:
        return file.metadata.num_rows


def _features(schema: Schema) -> dict[str, Any]:
    """Return what the library that wrote a file says of its columns, by name."""
    with contextlib.suppress(ValueError, RecursionError, KeyError, TypeError, AttributeError):
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: each for name, each in found.items() if isinstance(each, dict)}
    return {}


def _is_bytes(kind: DataType) -> bool:
    from pyarrow import types

    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)


def _is_image(kind: DataType, feature: Any) -> bool:
    """Tell whether a column holds files: bytes, or bytes beside their path; sound is no image."""
    from pyarrow import types

    if feature and feature.get("_type") not in (None, "Image", "Value"):
        return False
    if types.is_struct(kind):
        names = [field.name for field in kind]
        return "bytes" in names and _is_bytes(kind.field("bytes").type)
    return _is_bytes(kind)


def _is_label(name: str, kind: DataType, feature: Any) -> bool:
    from pyarrow import types

    if class_names(feature):
        return types.is_integer(kind)
    is_text = types.is_string(kind) or types.is_large_string(kind)
    is_plain = is_text or types.is_integer(kind) or types.is_boolean(kind)
    return is_plain and name.lower() in LABEL_WORDS


def read_rows(
    path: Path, shown: str, images: Sequence[str], label: str = ""
) -> Iterator[ParquetRow]:
    """Read the rows of a file, a few at a time.

    Args:
        path: Of the file.
        shown: Its name for people.
        images: Columns of images.
        label: Column of labels; "" for none.

    Raises:
        ArchiveError: If it cannot be read, or lacks a column.
    """
    wanted = [*images, *([label] if label else [])]
    with _opened(path, shown) as file:
        _require_columns(file.schema_arrow, wanted, shown)
        number = 0
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=wanted):
            parts = [batch.column(name) for name in wanted]
            for row in zip(*parts, strict=True):
                found = tuple(_image(cell.as_py()) for cell in row[: len(images)])
                yield ParquetRow(number, found, _label(row[-1].as_py()) if label else None)
                number += 1


def _require_columns(schema: Schema, wanted: Sequence[str], shown: str) -> None:
    """Refuse a file whose columns are not those of the first file of its set."""
    features = _features(schema)
    for name in wanted:
        if schema.names.count(name) != 1:
            raise ArchiveError(
                f"parquet file {shown} has no column {name!r}, or several; "
                f"it has {', '.join(map(repr, schema.names))}"
            )
    for name in wanted:
        field = schema.field(name)
        if not (
            _is_image(field.type, features.get(name))
            or _is_label(name, field.type, features.get(name))
        ):
            raise ArchiveError(f"column {name!r} of parquet file {shown} is of {field.type}")


def _image(value: Any) -> ParquetImage:
    """Understand a cell: bytes, or bytes beside their path."""
    if isinstance(value, dict):
        path = value.get("path")
        return ParquetImage(value.get("bytes"), path if isinstance(path, str) else "")
    return ParquetImage(value)


def _label(value: Any) -> str | int | None:
    return value if isinstance(value, str | int) else None

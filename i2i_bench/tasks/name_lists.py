"""Images named in a text file, one a line or a pair a line, as UNIT and MUNIT take them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from i2i_bench.tasks.image_file import SUFFIXES
from i2i_bench.tasks.image_folder import flat_names

LIST_SUFFIXES = (".txt", ".lst", ".list")
LARGEST_LIST = 2**26  # bytes

_BREAKS = re.compile(r"[,;\s]+")


def read_name_list(
    path: Path, folders: Sequence[Path], *, may_have_labels: bool = True
) -> list[list[Path]]:
    """Read the images of a list.

    A line is a path, or two of a pair with a comma, a tab or a space between; what follows and is
    no image, as a label, is passed over, and so are empty lines and those that begin with ``#``.

    Args:
        path: Of the list.
        folders: To which its paths may be relative; that of the first one is that of all.
        may_have_labels: Whether what follows the images of a line is passed over, or refused.

    Returns:
        One list of images of each column.

    Raises:
        ValueError: If it cannot be read, is empty, or names what is not there, or one thing twice.
    """
    lines = _lines(path)
    if not lines:
        raise ValueError(f"list {path} names no image; write one a line")
    number, first = lines[0]
    base = _base(path, number, first, folders)
    rows = [(number, _images(line, base)) for number, line in lines]
    width = len(rows[0][1])
    if not may_have_labels and width == 1 and not _is_file(base / first.replace("\\", "/")):
        raise ValueError(
            f"line {number} of {path} says more than the name of an image: {_shown(first)}; of two "
            "domains, write a list of each, such as trainA.txt"
        )
    for number, row in rows:
        if not row or len(row) != width:
            raise ValueError(
                f"line {number} of {path} does not name {_count(width)} below {base}; each line "
                "has to, as the first one does"
            )
    columns = [[row[column] for _, row in rows] for column in range(width)]
    for column in columns:
        _require_once(path, column, [number for number, _ in rows])
    return columns


def _count(width: int) -> str:
    return "one image" if width == 1 else f"{width} images"


def _lines(path: Path) -> list[tuple[int, str]]:
    """Give the lines that say something, with their numbers."""
    try:
        if path.stat().st_size > LARGEST_LIST:
            raise ValueError(f"{path} is larger than any list of images, {LARGEST_LIST} bytes")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8; save it so") from error
    stripped = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return [(number, line) for number, line in stripped if line and line[0] != "#"]


def _base(path: Path, number: int, line: str, folders: Sequence[Path]) -> Path:
    """Find the one folder to which the first line is relative."""
    able = [folder for folder in dict.fromkeys(folders) if _images(line, folder)]
    found = list({_images(line, folder)[0].resolve(): folder for folder in able}.values())
    if len(found) == 1:
        return found[0]
    looked = ", ".join(map(str, dict.fromkeys(folders)))
    if found:
        both = " and ".join(map(str, found))
        raise ValueError(
            f"line {number} of {path} is an image both in {both}; write the line root = "
            f'"{found[0].name}" or another folder into task.toml'
        )
    raise ValueError(
        f"line {number} of {path} names no image that is there: {_shown(line)}; looked in "
        f'{looked}; the line root = "FOLDER" in task.toml names another folder'
    )


def _images(line: str, base: Path) -> list[Path]:
    """Give the images that a line names below a folder; none where one is not there."""
    whole = base / line.replace("\\", "/")
    if whole.suffix.lower() in SUFFIXES and _is_file(whole):  # a name with spaces
        return [whole]
    words = [word.replace("\\", "/") for word in _BREAKS.split(line)]
    named = [base / word for word in words[:2] if Path(word).suffix.lower() in SUFFIXES]
    return named if all(map(_is_file, named)) else []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _require_once(path: Path, files: Sequence[Path], numbers: Sequence[int]) -> None:
    seen: dict[Path, int] = {}
    for file, number in zip(files, numbers, strict=True):
        if file in seen:
            raise ValueError(
                f"lines {seen[file]} and {number} of {path} are one image, {file.name}; "
                "name it once"
            )
        seen[file] = number


def _shown(line: str) -> str:
    return repr(line if len(line) <= 100 else f"{line[:100]} …")


def named_rows(columns: Sequence[Sequence[Path]]) -> list[dict[Path, str]]:
    """Name the images of the columns of a list, in the order of the names of the first column."""
    names = [flat_names(column) for column in columns]
    rows = sorted(range(len(columns[0])), key=lambda row: names[0][columns[0][row]])
    return [
        {column[row]: known[column[row]] for row in rows}
        for column, known in zip(columns, names, strict=True)
    ]

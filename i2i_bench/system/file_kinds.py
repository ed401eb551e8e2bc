"""Name files that are not what torch writes: archives, pages, other programs' weights."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path

STARTS = {  # first bytes → what such a file is
    b"\x1f\x8b": "a gzip archive",  # of one file: a tar in it is unpacked before
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"7z\xbc\xaf'\x1c": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"\x89HDF\r\n": "a file of HDF5, as Keras and TensorFlow write it",
    b"\x93NUMPY": "an array of NumPy",
    b"version https://git-lfs": "a pointer of Git LFS and not the file itself",
    b"<!DOCTYPE": "a web page: the download gave a page and not the file",
    b"<!doctype": "a web page: the download gave a page and not the file",
    b"<html": "a web page: the download gave a page and not the file",
    b"<HTML": "a web page: the download gave a page and not the file",
}
TAR_MAGIC = slice(257, 262)  # of the first header, POSIX and GNU


def foreign_kind(path: Path) -> str | None:
    """Say what a file is that torch did not write, and what to do; None if it may be torch's.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "damaged: it is empty, as where a download broke off"
    if start.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path)
    found = next((kind for mark, kind in STARTS.items() if start.lstrip().startswith(mark)), None)
    if found is None and start[TAR_MAGIC] == b"ustar":
        found = "a tar archive"
    return f"{found}; unpack it and give the folder" if found and "archive" in found else found


def is_archive(path: Path) -> bool:
    """Tell whether a file is a zip or tar, compressed by gzip or not, that holds other files."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(b"PK\x03\x04"):
        kind = _kind_of_zip(path)
        return kind is not None and kind.startswith("a zip archive")
    if start.startswith(b"\x1f\x8b"):  # of a tar, or of one file, which is no archive of others
        try:
            with gzip.open(path) as plain:
                start = plain.read(512)
        except (OSError, EOFError, zlib.error):
            return False
    return start[TAR_MAGIC] == b"ustar"


def _kind_of_zip(path: Path) -> str | None:
    """Tell what a zip is that is not of torch, which has ``NAME/data.pkl``."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # whatever a hostile file may provoke; torch says what is wrong with it
        return None
    if any(name.endswith("data.pkl") and name.count("/") == 1 for name in names):
        is_program = any("/code/" in name for name in names)
        program = "a program of TorchScript; nothing in it is executed, so save its state_dict()"
        return program if is_program else None
    if names and all(name.endswith(".npy") for name in names):
        return "a file of NumPy arrays (.npz)"
    return "a zip archive; unpack it and give the folder"

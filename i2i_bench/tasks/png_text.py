"""PNG files without the text and profiles that PIL would refuse the whole image for."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST_TEXT = 2**16  # bytes of a text, unpacked, that is left for what it may say of orientation
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_LEFT_OUT = (*_TEXTS, b"iCCP")  # kinds of chunks; PIL reads no pixel by them
_TOLD_BY = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")  # that hold an orientation


def without_text(content: bytes) -> bytes:
    """Leave out text and colour profiles of a PNG, but short ones that may tell its orientation.

    Generators of images keep whole workflows in them. Other files, and damaged ones from where
    they are damaged, stay as they are.
    """
    if not content.startswith(SIGNATURE) or not any(kind in content for kind in _LEFT_OUT):
        return content
    parts, end = [SIGNATURE], len(SIGNATURE)
    for kind, start, stop in _chunks(content):
        end = stop
        if kind not in _LEFT_OUT or _is_told(kind, content[start + 8 : stop - 4]):
            parts.append(content[start:stop])
    return b"".join([*parts, content[end:]])


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Give kind, start and stop of each whole chunk, with its length and checksum."""
    start = len(SIGNATURE)
    while start + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        stop = start + 12 + length
        if stop > len(content):
            return
        yield kind, start, stop
        start = stop


def _is_told(kind: bytes, data: bytes) -> bool:
    """Tell whether a chunk is a short text that may hold an orientation."""
    name = next((name for name in _TOLD_BY if data.startswith(name)), None)
    if name is None or kind not in _TEXTS or len(data) > LARGEST_TEXT:
        return False
    rest = data[len(name) :]
    if kind == b"tEXt" or (kind == b"iTXt" and rest[:1] != b"\1"):
        return True
    packed = rest[1:] if kind == b"zTXt" else rest[2:].split(b"\0", 2)[-1]
    try:
        unpacker = zlib.decompressobj()
        unpacker.decompress(packed, LARGEST_TEXT)
    except zlib.error:
        return False
    return not unpacker.unconsumed_tail

"""Output on terminals and into files of any encoding: what cannot be encoded is replaced."""

from __future__ import annotations

import codecs
import functools
import io
import sys

HANDLER = "i2i_bench_plain"  # of characters that cannot be encoded
ASCII = "i2i_bench_ascii"  # a name of ASCII that click does not take for a wrong setting
PLAIN = {
    **{"±": "+-", "\u00d7": "x", "→": ">", "≤": "<=", "≥": ">=", "…": "...", "·": "."},
    **{"↓": "v", "↑": "^", "†": "*", "\u2010": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-"},
    **{"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "},
}


def use_plain_output() -> None:
    """Have standard output and error replace what their encoding lacks, whatever that is.

    Characters of tables become ASCII that reads alike, others a question mark. An ASCII terminal,
    to which click would write UTF-8, gets ASCII.
    """
    _register()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not where a program captures them in memory
            is_ascii = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding=ASCII if is_ascii else None, errors=HANDLER)


@functools.cache  # once is enough
def _register() -> None:
    codecs.register_error(HANDLER, _replace)
    codecs.register(_find_ascii)


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Give what stands for the characters that cannot be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    left = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in left), error.end


def _find_ascii(name: str) -> codecs.CodecInfo | None:
    """Find ASCII under our name for it."""
    if name != ASCII:
        return None
    found = codecs.lookup("ascii")
    return codecs.CodecInfo(
        found.encode,
        found.decode,
        found.streamreader,
        found.streamwriter,
        found.incrementalencoder,
        found.incrementaldecoder,
        name=ASCII,
    )

"""Error messages: what went wrong, in one sentence, with what to do about it."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

ADVICE = {
    errno.ENOSPC: "free some space, and the same command continues",
    errno.EDQUOT: "free some of your quota, and the same command continues",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "choose another folder",
    errno.EACCES: "fix its permissions, or choose another folder",
    errno.EPERM: "fix its permissions, or choose another folder",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.EIO: "the disk or its connection fails; once it works again, the same command continues",
    errno.ESTALE: "the folder is unavailable; once it is back, the same command continues",
}
LONGEST = 2000  # letters of a sentence
NO_MEMORY = (  # in what libraries say; CUDA's own is an exception by this name
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "unable to allocate",
    "alloc_failed",
)


def reason(error: Exception) -> str:
    """Say in one sentence what went wrong."""
    if is_out_of_memory(error):
        return (
            "there is no memory left for this; a smaller batch_size, crop_size, load_size or width "
            "may fit, or a device with more"
        )
    if isinstance(error, OSError):
        return printable(_of_system(error))
    if isinstance(error, ValueError):
        return printable(str(error))
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return "the home folder is not known; set HOME"
    first = next(iter(str(error).splitlines()), "")
    return printable(f"{type(error).__name__}: {first} (I2I_BENCH_DEBUG=1 shows where)")


def near(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Ask whether the nearest of some names was meant; the text ends a clause of a sentence."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"did you mean {found[0]!r}? " if found else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out, of the device or of the machine."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in NO_MEMORY)


def _of_system(error: OSError) -> str:
    """Name the file, the error and the way out."""
    if error.strerror is None or error.errno is None:
        return str(error)
    what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    advice = ADVICE.get(error.errno)
    return f"{what}; {advice}" if advice else what


def printable(text: str, longest: int = LONGEST) -> str:
    """Make untrusted text safe to print: no control characters, one line, bounded length."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} ... {text[-half:]}"


def shown_bytes(number: int) -> str:
    """Write a size for people, such as "1.50 GiB" or "3.25 MiB"."""
    unit, name = (2**30, "GiB") if number >= 2**30 / 10 else (2**20, "MiB")
    return f"{number / unit:.2f} {name}"


def shown_seconds(number: float) -> str:
    """Write a duration for people, such as "90 s", "15 min" or "2.5 h"; a negative one as "0 s"."""
    if number < 120:
        return f"{max(0, number):.0f} s"
    return f"{number / 60:.0f} min" if number < 7200 else f"{number / 3600:.1f} h"

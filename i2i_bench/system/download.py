"""Fetch a file whole or not at all: mirrors, resume, bounds, hashes, one process at a time.

pooch is not used because it cannot go on where a download stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from i2i_bench.system.files import lock_file, make_folders, sync
from i2i_bench.system.progress import Progress
from i2i_bench.system.transfer import (
    Patience,
    Transfer,
    TransferRefused,
    content_length,
    discard_part,
    part_of,
    sidecar_of,
)

MIRROR = "I2I_BENCH_MIRROR"  # environment variable: address of a folder with weights/ and data/

_WEB_PAGE = (b"<!doctype html", b"<html")

logger = logging.getLogger(__name__)

Accept = Callable[[Path, str], None]


class DownloadError(ValueError):
    """No address gives the file."""


def _accept_any(path: Path, sha256: str) -> None:
    """Accept any file."""
    del path, sha256


def _explain_nothing(status: int) -> str:
    """Leave the words to the server."""
    del status
    return ""


def _show_nothing(done: int, total: int) -> None:
    """Ignore progress."""
    del done, total


@dataclass(frozen=True)
class Wanted:
    """A file to download, and what the right one is known by.

    Attributes:
        name: For people.
        urls: Addresses in the order in which they are tried.
        largest: Bytes; what is larger is refused.
        digits: Leading hexadecimal digits of its sha256, or all; "" where none are published.
        accept: Called with the whole file and its sha256; raises ValueError if it is unfit.
        headers: That the servers need, such as a token.
        explain: Says in words what the status of a refusal means; "" leaves it to the server's.
    """

    name: str
    urls: Sequence[str]
    largest: int
    digits: str = ""
    accept: Accept = _accept_any
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    explain: Callable[[int], str] = _explain_nothing


@dataclass(frozen=True)
class Seen:
    """What is known of a file that was verified before.

    Attributes:
        sha256: Of its content.
        size: In bytes.
        origin: Address or path it came from, without passwords.
    """

    sha256: str
    size: int
    origin: str


def with_mirror(kind: str, name: str, urls: Sequence[str]) -> tuple[str, ...]:
    """Put the file of the mirror that I2I_BENCH_MIRROR names, if any, before other addresses.

    Args:
        kind: Folder at the mirror: ``weights`` or ``data``.
        name: Of the file.
        urls: Other addresses.

    Raises:
        ValueError: If the variable holds no address.
    """
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return tuple(urls)
    return (check_url(f"{mirror.rstrip('/')}/{kind}/{quote(name)}"), *urls)


def check_url(url: str) -> str:
    """Return the address if it can be downloaded from.

    Raises:
        ValueError: If it is not one of http or https.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and url.isprintable()
    except ValueError:
        sound = False
    if not sound or " " in url:
        raise ValueError(
            f"{url!r} is not an address to download from; it must begin with https:// or http://"
        )
    return url


def shown(url: str) -> str:
    """Return an address without user, password and query, which may be secrets."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def download_file(
    wanted: Wanted,
    target: Path,
    *,
    replace: bool = False,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> Seen:
    """Download a file from the first address that gives it whole and right.

    An interrupted download lies in ``<target>.part`` and is resumed if the server still has the
    same file. ``target`` appears complete, or not at all. Proxies are those of
    the environment.

    Args:
        wanted: What to download.
        target: Where it belongs.
        replace: Whether to download it although it is there.
        progress: Called after each piece.
        patience: With servers.

    Returns:
        What was found, downloaded now or there already.

    Raises:
        DownloadError: Naming each address and why it failed.
        ValueError: If the file is there already and is not what is wanted.
    """
    if target.exists() and not replace:
        return _found(target, wanted)
    with alone(target):
        if target.exists() and not replace:  # by another process, which had the lock
            return _found(target, wanted)
        try:
            return _first_whole(wanted, target, progress or _show_nothing, patience or Patience())
        finally:
            if not sidecar_of(part_of(target)).exists():  # nothing to go on with
                part_of(target).unlink(missing_ok=True)


def _first_whole(wanted: Wanted, target: Path, progress: Progress, patience: Patience) -> Seen:
    """Put in place the first file that an address gives whole and right."""
    part, failures = part_of(target), []
    for url in wanted.urls:
        try:
            address, largest = check_url(url), wanted.largest
            Transfer(address, part, largest, progress, patience, wanted.headers).carry_out()
            sha256 = _verified(part, wanted)
        except TransferRefused as refusal:
            failures.append(f"{shown(url)}: {wanted.explain(refusal.status) or refusal}")
        except ValueError as error:
            discard_part(part)
            failures.append(f"{shown(url)}: {error}")
        else:
            _put(part, target)
            return Seen(sha256, target.stat().st_size, shown(url))
    reasons = "; ".join(failures) or "no address is known"
    raise DownloadError(
        f"{wanted.name} cannot be fetched ({reasons}); the same command tries again, --url URL "
        f"takes another address and --file FILE one you have; it belongs to {target}"
    )


def _found(target: Path, wanted: Wanted) -> Seen:
    """Say what a file is that was there before."""
    try:
        return Seen(_verified(target, wanted), target.stat().st_size, target.name)
    except ValueError as error:
        raise ValueError(
            f"{target} is there but not as it must be ({error}); --force replaces it"
        ) from None


def adopt_file(wanted: Wanted, source: Path, target: Path) -> Seen:
    """Copy a file of the user's to where it belongs, verified as a download would be.

    Raises:
        ValueError: If there is no such file or it is not what is wanted.
    """
    if not source.is_file():
        raise ValueError(f"there is no file {source}")
    with alone(target):
        try:
            sha256 = _verified(source, wanted)
        except ValueError as error:
            raise ValueError(f"{source} is not {wanted.name}: {error}") from None
        if target.exists() and target.samefile(source):
            return Seen(sha256, target.stat().st_size, str(source))
        part = part_of(target)
        discard_part(part)
        shutil.copyfile(source, part)
        if sha256_of(part) != sha256:
            discard_part(part)
            raise ValueError(f"{source} changed while it was copied; try again")
        _put(part, target)
        return Seen(sha256, target.stat().st_size, source.name)


def remote_size(urls: Sequence[str], patience: Patience | None = None) -> int | None:
    """Ask for the size in bytes of a file; None if no address states it."""
    import requests

    patience = patience or Patience()
    for url in urls:
        with contextlib.suppress(requests.RequestException, ValueError):
            answer = requests.head(
                check_url(url),
                headers={"Accept-Encoding": "identity"},
                timeout=(patience.connect, patience.read),
                allow_redirects=True,
            )
            is_page = answer.headers.get("Content-Type", "").startswith("text/html")
            if answer.ok and not is_page and content_length(answer):
                return content_length(answer)
    return None


@contextlib.contextmanager
def alone(target: Path) -> Iterator[None]:
    """Keep other processes from making the same file; the lock ends with the process."""
    path = target.with_name(f".{target.name}.lock")
    make_folders(target.parent)
    handle, _ = lock_file(
        path,
        lambda: logger.warning("another process is at work on %s; waiting for it", target),
    )
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is locked, so that nobody's newer one is taken
        os.close(handle)


def _put(part: Path, target: Path) -> None:
    """Make a complete part the file, safely on disk."""
    sync(part)
    part.replace(target)
    sidecar_of(part).unlink(missing_ok=True)
    sync(target.parent)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verified(path: Path, wanted: Wanted) -> str:
    """Give the sha256 of a file that is what is wanted.

    Raises:
        ValueError: If it is not.
    """
    size = path.stat().st_size
    if not 0 < size <= wanted.largest:
        raise ValueError(f"{size} bytes are not what is wanted, 1 to {wanted.largest}")
    with path.open("rb") as file:
        if file.read(512).lstrip().lower().startswith(_WEB_PAGE):
            raise ValueError("it is a web page, perhaps of a login, and not the file")
    sha256 = sha256_of(path)
    if not sha256.startswith(wanted.digits):
        raise ValueError(
            f"sha256 {sha256[:8]}... is wrong: the publisher's begins {wanted.digits[:8]}"
        )
    wanted.accept(path, sha256)
    return sha256

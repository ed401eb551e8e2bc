"""Fetch a file whole or not at all: mirrors, resume, bounds, hashes, one process at a time.

pooch is not used because it cannot go on where a download stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from i2i_bench.disk import lock_file, make_folders, sync, write_text

if TYPE_CHECKING:
    from requests import Response

MIRROR = "I2I_BENCH_MIRROR"  # environment variable: address of a folder with weights/ and data/

_CHUNK = 1 << 16  # bytes
_WEB_PAGE = (b"<!doctype html", b"<html")
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # bytes there, bytes in all or 0 where unknown
Accept = Callable[[Path, str], None]


class DownloadError(ValueError):
    """A file could not be had from anywhere."""


class _Refusal(Exception):
    """What an address gives is not what is wanted, and asking again would not help."""


class _Break(Exception):
    """A transfer stopped in a way that may not happen again."""


class _Changed(_Break):
    """The file on the server is not the one of which a part is there."""


def _accept_any(path: Path, sha256: str) -> None:
    """Find no fault with a file."""
    del path, sha256


def _show_nothing(done: int, total: int) -> None:
    """Keep progress for itself."""
    del done, total


@dataclass(frozen=True)
class Wanted:
    """A file, and how it is known to be the right one.

    Attributes:
        name: For people.
        urls: Addresses in the order in which they are tried.
        largest: Bytes; what is larger is refused.
        digits: Leading hexadecimal digits of its sha256, or all; "" where none are published.
        accept: Called with the whole file and its sha256; raises ValueError with a fault it finds.
    """

    name: str
    urls: Sequence[str]
    largest: int
    digits: str = ""
    accept: Accept = _accept_any


@dataclass(frozen=True)
class Patience:
    """How long to wait for servers, and how often to ask again.

    Attributes:
        connect: Seconds until a connection stands.
        read: Seconds between two pieces of an answer.
        attempts: Without a byte more than before, until an address is given up.
        pause: Seconds before the second attempt; doubled before each further one.
    """

    connect: float = 10
    read: float = 60
    attempts: int = 3
    pause: float = 0.5


@dataclass(frozen=True)
class Seen:
    """What is known of a file that was there once.

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


def fetch(
    wanted: Wanted,
    target: Path,
    *,
    replace: bool = False,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> Seen:
    """Download a file from the first address that gives it whole and right.

    What is there of an interrupted download lies in ``<target>.part`` and is gone on with if the
    server still has the same file. ``target`` appears complete, or not at all. Proxies are those of
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
            if not _sidecar(_part(target)).exists():  # nothing to go on with
                _part(target).unlink(missing_ok=True)


def _first_whole(wanted: Wanted, target: Path, progress: Progress, patience: Patience) -> Seen:
    """Put the first file in its place that an address gives whole and right."""
    part, failures = _part(target), []
    for url in wanted.urls:
        try:
            _Transfer(check_url(url), part, wanted, progress, patience).carry_out()
            sha256 = _verified(part, wanted)
        except _Refusal as refusal:
            failures.append(f"{shown(url)}: {refusal}")
        except ValueError as fault:
            _discard(part)
            failures.append(f"{shown(url)}: {fault}")
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
    except ValueError as fault:
        raise ValueError(
            f"{target} is there but not as it must be ({fault}); --force replaces it"
        ) from None


def adopt(wanted: Wanted, source: Path, target: Path) -> Seen:
    """Copy a file of the user's to where it belongs, verified as a download would be.

    Raises:
        ValueError: If there is no such file or it is not what is wanted.
    """
    if not source.is_file():
        raise ValueError(f"there is no file {source}")
    with alone(target):
        try:
            sha256 = _verified(source, wanted)
        except ValueError as fault:
            raise ValueError(f"{source} is not {wanted.name}: {fault}") from None
        if target.exists() and target.samefile(source):
            return Seen(sha256, target.stat().st_size, str(source))
        part = _part(target)
        _discard(part)
        shutil.copyfile(source, part)
        if _sha256(part) != sha256:
            _discard(part)
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
            if answer.ok and not is_page and _content_length(answer):
                return _content_length(answer)
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


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _sidecar(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _sidecar(part).unlink(missing_ok=True)


def _put(part: Path, target: Path) -> None:
    """Make a complete part the file, safely on disk."""
    sync(part)
    part.replace(target)
    _sidecar(part).unlink(missing_ok=True)
    sync(target.parent)


def _sha256(path: Path) -> str:
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
    sha256 = _sha256(path)
    if not sha256.startswith(wanted.digits):
        raise ValueError(
            f"sha256 {sha256[:8]}... is wrong: the publisher's begins {wanted.digits[:8]}"
        )
    wanted.accept(path, sha256)
    return sha256


@dataclass(frozen=True)
class _Version:
    """Which file of a server a part belongs to.

    Attributes:
        url: Where it is.
        etag: The server's name of this version; "" if it gives none.
        changed: Its time of change as the server writes it; "" if it gives none.
        total: Bytes of the whole file; 0 if unknown.
    """

    url: str
    etag: str
    changed: str
    total: int

    def is_of(self, other: _Version) -> bool:
        """Tell whether what both say agrees; an answer with a part may say less than the first."""
        pairs = ((self.etag, other.etag), (self.changed, other.changed))
        return self.total == other.total and all(a == b for a, b in pairs if a and b)

    def condition(self) -> str:
        """Return what makes a server send the rest of this version only, and else a whole file."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.changed


@dataclass(frozen=True)
class _Transfer:
    """The download of one address into a part."""

    url: str
    part: Path
    wanted: Wanted
    progress: Progress
    patience: Patience

    def carry_out(self) -> None:
        """Download, going on after breaks.

        Raises:
            _Refusal: If this address does not give the file.
        """
        failures, reached = 0, self._have()[0]
        while True:
            try:
                return self._ask()
            except _Break as broken:
                if isinstance(broken, _Changed):
                    _discard(self.part)
                have = self._have()[0]
                failures = 1 if have > reached else failures + 1
                reached = max(reached, have)
                if failures >= self.patience.attempts:
                    raise _Refusal(str(broken)) from None
                time.sleep(self.patience.pause * 2 ** (failures - 1))

    def _have(self) -> tuple[int, _Version | None]:
        """Give the bytes that are there of the file at the address, and which file that was."""
        try:
            known = _Version(**json.loads(_sidecar(self.part).read_bytes()))
            size = self.part.stat().st_size
            if known.url == self.url and known.condition() and 0 < size <= known.total:
                return size, known
        except (OSError, ValueError, TypeError):
            pass  # no part, or one of unknown origin: the download starts anew
        return 0, None

    def _ask(self) -> None:
        """Ask once for what is missing, and append it."""
        have, known = self._have()
        if known and have == known.total:
            return  # it was stopped between the last byte and the move to its place
        headers = {"Accept-Encoding": "identity", "User-Agent": "i2i-bench"}
        if known:
            headers |= {"Range": f"bytes={have}-", "If-Range": known.condition()}
        with _in_words(), self._open(headers) as response:
            _check_status(response)
            start, found = _understand(response, self.url)
            if start and not (known and start == have and found.is_of(known)):
                raise _Changed("the file on the server changed while it was downloaded")
            self._check_size(found.total, start)
            if not start:
                _discard(self.part)
                if found.total and found.condition():
                    write_text(_sidecar(self.part), json.dumps(asdict(found)))
            self._append(response, found.total)

    def _open(self, headers: dict[str, str]) -> Response:
        import requests

        timeout = (self.patience.connect, self.patience.read)
        return requests.get(self.url, headers=headers, timeout=timeout, stream=True)

    def _check_size(self, total: int, have: int) -> None:
        """Refuse what is too large for its kind or for the disk."""
        if total > self.wanted.largest:
            raise _Refusal(f"{total} bytes are more than such a file has, {self.wanted.largest}")
        free = shutil.disk_usage(self.part.parent).free
        if total - have > free:
            raise _Refusal(f"{total - have} bytes do not fit on the disk, which has {free} left")

    def _append(self, response: Response, total: int) -> None:
        """Write what a server sends, as it sends it, up to a limit."""
        # Some servers call a .tar.gz a text compressed on the way; it is to stay compressed.
        raw: Any = response.raw
        raw.headers.discard("content-encoding")
        limit = total or self.wanted.largest
        with self.part.open("ab") as file:
            size = file.tell()
            for chunk in response.iter_content(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise _Refusal(f"it sends more than {limit} bytes")
                file.write(chunk)
                self.progress(size, total)
        if total and size != total:
            raise _Break(f"it ended after {size} of {total} bytes")


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Say in words what went wrong between here and a server."""
    import requests

    try:
        yield
    except requests.exceptions.SSLError:
        raise _Refusal("its certificate is not trusted") from None
    except requests.TooManyRedirects:
        raise _Refusal("it redirects without end") from None
    except requests.exceptions.ProxyError:
        raise _Break("the proxy does not answer") from None
    except requests.Timeout:
        raise _Break("no answer in time") from None
    except requests.exceptions.ChunkedEncodingError:
        raise _Break("the connection broke off") from None
    except requests.ConnectionError as error:
        is_slow = "timed out" in str(error)
        raise _Break("no answer in time" if is_slow else "no connection") from None
    except requests.RequestException as error:  # such as a redirect to something else than http
        raise _Refusal(f"it cannot be asked ({type(error).__name__})") from None


def _check_status(response: Response) -> None:
    """Tell answers that bring a file from others, and those worth asking again from the rest."""
    status = response.status_code
    words = f"{status} {response.reason}".strip()
    if status == 416:  # what is there is no beginning of the file that is there now
        raise _Changed(words)
    if status == 429 or status >= 500:
        raise _Break(words)
    if status not in (200, 206):
        raise _Refusal(words)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise _Refusal("it is a web page, perhaps of a login, and not the file")


def _understand(response: Response, url: str) -> tuple[int, _Version]:
    """Give the byte at which an answer begins, and which file it is of."""
    headers = response.headers
    start, total = 0, _content_length(response)
    if response.status_code == 206:
        match = _RANGE.fullmatch(headers.get("Content-Range", ""))
        if not match:
            raise _Refusal("it sends a part without saying which")
        start, total = int(match[1]), int(match[2])
    elif not total and "chunked" not in headers.get("Transfer-Encoding", ""):
        raise _Refusal("it does not say how long the file is, so that its end cannot be known")
    return start, _Version(url, headers.get("ETag", ""), headers.get("Last-Modified", ""), total)


def _content_length(response: Response) -> int:
    """Give the length that an answer states; 0 if it states none."""
    stated = response.headers.get("Content-Length", "")
    return int(stated) if stated.isdecimal() else 0

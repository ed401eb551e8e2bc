"""Transfer the file of one address to disk, resuming where an earlier transfer stopped."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Response
from i2i_bench.system.files import write_text
from i2i_bench.system.progress import Progress

USER_AGENT = "i2i-bench"

_CHUNK = 1 << 16  # bytes
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class TransferRefused(Exception):
    """What an address gives is not what is wanted, and asking again would not help.

    Attributes:
        status: Of the answer; 0 where it is not for its status.
    """

    def __init__(self, words: str, status: int = 0) -> None:
        super().__init__(words)
        self.status = status


class TransferBroken(Exception):
    """A transfer broke off in a way that may not happen again."""


class _Changed(TransferBroken):
    """The file on the server is not the one that a part was downloaded of."""


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


def part_of(target: Path) -> Path:
    """Return the path of an incomplete download."""
    return target.with_name(f"{target.name}.part")


def sidecar_of(part: Path) -> Path:
    """Return the path of the note on which file a part belongs to."""
    return part.with_name(f"{part.name}.json")


def discard_part(part: Path) -> None:
    """Remove a part and its note, if there."""
    part.unlink(missing_ok=True)
    sidecar_of(part).unlink(missing_ok=True)


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
        """Tell whether two versions agree; an answer with a part may state less than the first."""
        pairs = ((self.etag, other.etag), (self.changed, other.changed))
        return self.total == other.total and all(a == b for a, b in pairs if a and b)

    def condition(self) -> str:
        """Return the value of If-Range: the server sends the rest of this version, or all."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.changed


@dataclass(frozen=True)
class Transfer:
    """The download of one address into a part.

    Attributes:
        url: Address of http or https.
        part: Where the bytes are put; the file beside it says which version of which file they are.
        largest: Bytes; what is larger is refused.
        progress: Called after each piece.
        patience: With the server.
        headers: That the server needs, such as a token.
    """

    url: str
    part: Path
    largest: int
    progress: Progress
    patience: Patience
    headers: Mapping[str, str] = field(default_factory=dict)

    def carry_out(self) -> None:
        """Download, resuming after breaks.

        Raises:
            TransferRefused: If this address does not give the file.
        """
        failures, reached = 0, self._have()[0]
        while True:
            try:
                return self._ask()
            except TransferBroken as broken:
                if isinstance(broken, _Changed):
                    discard_part(self.part)
                have = self._have()[0]
                failures = 1 if have > reached else failures + 1
                reached = max(reached, have)
                if failures >= self.patience.attempts:
                    raise TransferRefused(str(broken)) from None
                time.sleep(self.patience.pause * 2 ** (failures - 1))

    def _have(self) -> tuple[int, _Version | None]:
        """Return the number of bytes downloaded so far, and the version they are of."""
        try:
            known = _Version(**json.loads(sidecar_of(self.part).read_bytes()))
            size = self.part.stat().st_size
            if known.url == self.url and known.condition() and 0 < size <= known.total:
                return size, known
        except (OSError, ValueError, TypeError):
            pass  # no part, or one of unknown origin: the download starts anew
        return 0, None

    def _ask(self) -> None:
        """Request what is missing once, and append it."""
        have, known = self._have()
        if known and have == known.total:
            return  # it was stopped between the last byte and the move to its place
        headers = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT, **self.headers}
        if known:
            headers |= {"Range": f"bytes={have}-", "If-Range": known.condition()}
        with in_words(), self._open(headers) as response:
            _check_status(response)
            start, found = _understand(response, self.url)
            if start and not (known and start == have and found.is_of(known)):
                raise _Changed("the file on the server changed while it was downloaded")
            self._check_size(found.total, start)
            if not start:
                discard_part(self.part)
                if found.total and found.condition():
                    write_text(sidecar_of(self.part), json.dumps(asdict(found)))
            self._append(response, found.total)

    def _open(self, headers: dict[str, str]) -> Response:
        import requests

        timeout = (self.patience.connect, self.patience.read)
        return requests.get(self.url, headers=headers, timeout=timeout, stream=True)

    def _check_size(self, total: int, have: int) -> None:
        """Refuse what is too large for its kind or for the disk."""
        if total > self.largest:
            raise TransferRefused(f"{total} bytes are more than such a file has, {self.largest}")
        free = shutil.disk_usage(self.part.parent).free
        if total - have > free:
            raise TransferRefused(
                f"{total - have} bytes do not fit on the disk, which has {free} left"
            )

    def _append(self, response: Response, total: int) -> None:
        """Write what a server sends, as it sends it, up to a limit."""
        # Some servers call a .tar.gz a text compressed on the way; it is to stay compressed.
        raw: Any = response.raw
        raw.headers.discard("content-encoding")
        limit = total or self.largest
        with self.part.open("ab") as file:
            size = file.tell()
            for chunk in response.iter_content(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise TransferRefused(f"it sends more than {limit} bytes")
                file.write(chunk)
                self.progress(size, total)
        if total and size != total:
            raise TransferBroken(f"it ended after {size} of {total} bytes")


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Say in words what went wrong between here and a server."""
    import requests

    try:
        yield
    except requests.exceptions.SSLError:
        raise TransferRefused("its certificate is not trusted") from None
    except requests.TooManyRedirects:
        raise TransferRefused("it redirects without end") from None
    except requests.exceptions.ProxyError:
        raise TransferBroken("the proxy does not answer") from None
    except requests.Timeout:
        raise TransferBroken("no answer in time") from None
    except requests.exceptions.ChunkedEncodingError:
        raise TransferBroken("the connection broke off") from None
    except requests.ConnectionError as error:
        is_slow = "timed out" in str(error)
        raise TransferBroken("no answer in time" if is_slow else "no connection") from None
    except requests.RequestException as error:  # such as a redirect to something else than http
        raise TransferRefused(f"it cannot be asked ({type(error).__name__})") from None


def _check_status(response: Response) -> None:
    """Accept answers with a file; raise for others, telling those worth a retry apart."""
    status = response.status_code
    words = f"{status} {response.reason}".strip()
    if status == 416:  # what is there is no beginning of the file that is there now
        raise _Changed(words)
    if status == 429 or status >= 500:
        raise TransferBroken(words)
    if status not in (200, 206):
        raise TransferRefused(words, status)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise TransferRefused("it is a web page, perhaps of a login, and not the file")


def _understand(response: Response, url: str) -> tuple[int, _Version]:
    """Give the byte at which an answer begins, and which file it is of."""
    headers = response.headers
    start, total = 0, content_length(response)
    if response.status_code == 206:
        match = _RANGE.fullmatch(headers.get("Content-Range", ""))
        if not match:
            raise TransferRefused("it sends a part without saying which")
        start, total = int(match[1]), int(match[2])
    elif not total and "chunked" not in headers.get("Transfer-Encoding", ""):
        raise TransferRefused(
            "it does not say how long the file is, so that its end cannot be known"
        )
    return start, _Version(url, headers.get("ETag", ""), headers.get("Last-Modified", ""), total)


def content_length(response: Response) -> int:
    """Give the length that an answer states; 0 if it states none."""
    stated = response.headers.get("Content-Length", "")
    return int(stated) if stated.isdecimal() else 0

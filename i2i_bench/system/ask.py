"""Ask a server a small question: the status, headers and content of its answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from i2i_bench.system.download import check_url, shown
from i2i_bench.system.transfer import (
    USER_AGENT,
    Patience,
    TransferBroken,
    TransferRefused,
    in_words,
)

LARGEST_ANSWER = 2**25  # bytes

_CHUNK = 1 << 16  # bytes


@dataclass(frozen=True)
class Answer:
    """What a server says.

    Attributes:
        status: Of HTTP.
        headers: Whatever their capitals.
        content: Empty where only the headers were asked for.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


def ask_server(
    url: str,
    *,
    method: Literal["GET", "HEAD"] = "GET",
    headers: Mapping[str, str] | None = None,
    patience: Patience | None = None,
) -> Answer:
    """Ask once, and again where the connection breaks or the server is busy.

    Redirects are followed by GET alone: HEAD tells of the first server.

    Args:
        url: Address of http or https.
        method: HEAD for the headers alone.
        headers: That the server needs, such as a token.
        patience: With the server.

    Raises:
        ValueError: If there is no answer, in words.
    """
    patience, failures = patience or Patience(), 0
    while True:
        try:
            with in_words():
                return _ask_once(check_url(url), method, headers or {}, patience)
        except TransferRefused as refusal:
            raise ValueError(f"{shown(url)}: {refusal}") from None
        except TransferBroken as broken:
            failures += 1
            if failures >= patience.attempts:
                raise ValueError(f"{shown(url)}: {broken}") from None
            time.sleep(patience.pause * 2 ** (failures - 1))


def _ask_once(url: str, method: str, headers: Mapping[str, str], patience: Patience) -> Answer:
    import requests

    with requests.request(
        method,
        url,
        headers={"User-Agent": USER_AGENT, **headers},
        timeout=(patience.connect, patience.read),
        allow_redirects=method == "GET",
        stream=True,
    ) as response:
        if response.status_code == 429 or response.status_code >= 500:
            raise TransferBroken(f"{response.status_code} {response.reason}".strip())
        content = bytearray()
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            if len(content) > LARGEST_ANSWER:
                raise TransferRefused(f"it answers with more than {LARGEST_ANSWER} bytes")
        return Answer(response.status_code, response.headers, bytes(content))

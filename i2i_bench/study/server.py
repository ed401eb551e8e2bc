"""A small server for one study: pages, images, and answers that are on disk once acknowledged.

It keeps no address and sets no cookie. Paths are looked up, never joined to a folder; bodies,
connections and waiting are bounded.
"""

from __future__ import annotations

import html
import json
import logging
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import Field, ValidationError

from i2i_bench.records.record import StrictModel
from i2i_bench.study.answers import Answer, Answered, Begun, Told
from i2i_bench.study.page import common_data, render_page, shown_trials
from i2i_bench.study.plan import IMAGES, PAGE, TEXTS, Study
from i2i_bench.study.store import AnswerConflictError, AnswerStore, read_links
from i2i_bench.study.texts import read_texts

LARGEST_BODY = 64 * 2**10  # bytes
MOST_CONNECTIONS = 200
LONGEST_WAIT = 15.0  # seconds for the next bytes of a request
LOOPBACK = "127.0.0.1"

logger = logging.getLogger(__name__)


class _Start(StrictModel):
    """Body of a request to begin."""

    asked: Told = Field(default_factory=dict)
    language: str


class StudyServer(ThreadingHTTPServer):
    """Serve a study.

    Args:
        study: Which.
        address: Host and port; port 0 for a free one.
        prefix: Path under which a proxy shows it, such as ``/faces``.
        is_open: Whether whoever comes without a link is given a session.

    Raises:
        ValueError: If the study is served already, or its files are unfit.
        OSError: If the address cannot be had.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, study: Study, address: tuple[str, int], *, prefix: str = "", is_open: bool = False
    ) -> None:
        self.study, self.prefix, self.is_open = study, prefix.rstrip("/"), is_open
        links = read_links(study)
        self.sessions = {token: number for number, (token, _) in enumerate(links)}
        self.tokens = [token for token, _ in links]
        self.codes = [code for _, code in links]
        self.common = common_data(study, read_texts(study.folder / TEXTS))
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, _StudyHandler)
        try:
            self.store = AnswerStore(study)
        except BaseException:
            self.server_close()
            raise

    @property
    def url(self) -> str:
        """Where it is reached on this machine."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}{self.prefix}/"

    def link_of(self, session: int) -> str:
        """Return the path of a session, relative to ``url``."""
        return f"s/{self.tokens[session]}/"

    def state_of(self, session: int) -> dict[str, Any]:
        """Say how far a session is; with its code once it is done."""
        given = self.store.given(session)
        is_done = len(given.answers) >= len(self.study.sessions[session])
        return {
            "next": len(given.answers),
            "begun": given.begun,
            "language": given.language,
            "code": self.codes[session] if is_done else "",
        }

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection, unless there are too many."""
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note a failure without the address of whom it met."""
        del request, client_address
        logger.debug("a request failed", exc_info=True)

    def server_close(self) -> None:
        """Stop, and let another process serve the study."""
        super().server_close()
        if hasattr(self, "store"):
            self.store.close()


class _Refused(Exception):
    """A request that is not answered as it wishes."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class _StudyHandler(BaseHTTPRequestHandler):
    server: StudyServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "i2i-bench", ""
    timeout = LONGEST_WAIT

    def log_message(self, format: str, *args: Any) -> None:
        """Keep no line, as it would hold the address of a person."""

    def do_GET(self) -> None:
        """Answer with a page or an image."""
        self._answer(self._get)

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        """Take an answer."""
        self._answer(self._post)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a broken request, without repeating what was sent."""
        del message, explain
        if self.request_version == "HTTP/0.9":  # in which there is no status
            self.request_version = self.protocol_version
        self._refuse(HTTPStatus(code), HTTPStatus(code).phrase)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True
        self._send(status, f"{why}\n".encode("ascii", "replace"), "text/plain")

    def _answer(self, how: Any) -> None:
        try:
            how()
        except _Refused as refused:
            self._refuse(refused.status, refused.why)
        except (TimeoutError, ConnectionError):
            self.close_connection = True
        except OSError as error:  # the disk
            logger.error("an answer was not kept: %s", error)
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "not kept")

    def _parts(self) -> list[str]:
        path = self.path.partition("?")[0].partition("#")[0]
        prefix = self.server.prefix
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            path = path[len(prefix) :]
        if not path.startswith("/"):
            raise _Refused(HTTPStatus.NOT_FOUND, "not found")
        return path[1:].split("/")

    def _session(self, token: str) -> int:
        session = self.server.sessions.get(token)
        if session is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "not found")
        return session

    def _get(self) -> None:
        match self._parts():
            case [""]:
                self._front()
            case ["s", token, ""]:
                self._page(self._session(token))
            case ["s", token]:
                self._session(token)
                self._redirect(f"{token}/")
            case ["images", name] if name in self.server.study.plan.images:
                content = (self.server.study.folder / PAGE / IMAGES / name).read_bytes()
                self._send(HTTPStatus.OK, content, "image/png", "private, max-age=86400")
            case _:
                raise _Refused(HTTPStatus.NOT_FOUND, "not found")

    def _front(self) -> None:
        if not self.server.is_open:
            raise _Refused(HTTPStatus.NOT_FOUND, "please open the link that you were given")
        texts = next(iter(self.server.common["texts"].values()))
        title, begin = (html.escape(texts[key]) for key in ("title", "begin"))
        content = (
            f'<!doctype html><html lang="{next(iter(self.server.common["texts"]))}">'
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f'<title>{title}</title><h1>{title}</h1><form method="post" action="begin">'
            f"<button>{begin}</button></form></html>"
        )
        self._send(HTTPStatus.OK, content.encode(), "text/html; charset=utf-8")

    def _page(self, session: int) -> None:
        server = self.server
        data = server.common | {
            "mode": "server",
            "base": "../../images/",
            "session": session,
            "trials": shown_trials(server.study.sessions[session]),
            "state": server.state_of(session),
        }
        page, policy = render_page(data)
        self._send(HTTPStatus.OK, page.encode(), "text/html; charset=utf-8", policy=policy)

    def _post(self) -> None:
        parts = self._parts()
        if parts == ["begin"] and self.server.is_open:
            self._body()
            session = self.server.store.hand_out()
            if session is None:
                raise _Refused(HTTPStatus.GONE, "all places are taken; thank you")
            self._redirect(self.server.link_of(session))
            return
        match parts:
            case ["s", token, "start" | "answer" as what]:
                session = self._session(token)
            case _:
                raise _Refused(HTTPStatus.NOT_FOUND, "not found")
        if self.headers.get_content_type() != "application/json":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "JSON is needed")
        body, study = self._body(), self.server.study.id
        try:
            if what == "start":
                start = _Start.model_validate_json(body)
                begun = Begun(study=study, session=session, **start.model_dump())
                self.server.store.begin(begun)
            else:
                answer = Answer.model_validate_json(body)
                self.server.store.answer(Answered(study=study, session=session, answer=answer))
        except AnswerConflictError as error:
            raise _Refused(HTTPStatus.CONFLICT, str(error)) from None
        except (ValidationError, ValueError):
            raise _Refused(HTTPStatus.BAD_REQUEST, "not an answer to this trial") from None
        content = json.dumps(self.server.state_of(session)).encode()
        self._send(HTTPStatus.OK, content, "application/json")

    def _body(self) -> bytes:
        """Read the body, no more of it than is allowed."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not (length.isascii() and length.isdecimal()):
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "the length must be stated")
        if len(length) > 10 or int(length) > LARGEST_BODY:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too large")
        content = self.rfile.read(int(length))
        if len(content) < int(length):
            raise _Refused(HTTPStatus.BAD_REQUEST, "cut off")
        return content

    def _redirect(self, where: str) -> None:
        self.close_connection = True
        self._send(HTTPStatus.SEE_OTHER, b"", "text/plain", where=where)

    def _send(
        self,
        status: HTTPStatus,
        content: bytes,
        kind: str,
        cache: str = "no-store",
        *,
        policy: str = "default-src 'none'; form-action 'self'; base-uri 'none'",
        where: str = "",
    ) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Cache-Control": cache,
            "Content-Security-Policy": f"{policy}; frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            **({"Location": where} if where else {}),
            **({"Connection": "close"} if self.close_connection else {}),
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

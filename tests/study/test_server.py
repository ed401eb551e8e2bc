"""The server of a study: what it acknowledges is on disk, and what is hostile it refuses."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from study_folders import right, small_study

from i2i_bench.study.answers import LOG, collect_answers
from i2i_bench.study.plan import ANSWERS, Study
from i2i_bench.study.server import LARGEST_BODY, StudyServer
from i2i_bench.study.store import AnswerStore, read_links

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "own"
    return small_study(folder, people=2, practice=1, trials=4, asked=["Age group"]).folder


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Study:
    return Study(Path(shutil.copytree(made, tmp_path / "own")))


@pytest.fixture
def served(study: Study) -> Iterator[StudyServer]:
    with StudyServer(study, ("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, dict[str, str]]:
    """Send a request; give status, body and headers of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    content = json.dumps(body).encode() if isinstance(body, dict | list) else body
    connection.request(method, path, content, headers or {})
    reply = connection.getresponse()
    found = reply.status, reply.read(), {k.lower(): v for k, v in reply.getheaders()}
    connection.close()
    return found


def begin(server: StudyServer, session: int = 0) -> tuple[int, bytes, dict[str, str]]:
    body = {"asked": {"Age group": "30"}, "language": "en"}
    return ask(server.server_port, "POST", f"/{server.link_of(session)}start", body, JSON)


def answer(
    server: StudyServer, trial: int, choice: int = 0, ms: int = 1500, session: int = 0
) -> tuple[int, dict[str, Any]]:
    body = {"trial": trial, "choice": choice, "ms": ms, "left": False, "shown_ms": 1000}
    path = f"/{server.link_of(session)}answer"
    status, content, _ = ask(server.server_port, "POST", path, body, JSON)
    return status, json.loads(content) if status == 200 else {}


def log_of(study: Study) -> bytes:
    return (study.folder / ANSWERS / LOG).read_bytes()


# --- as people use it


def test_whole_session_is_kept_and_ends_with_its_code(served, study):
    assert begin(served)[0] == 200
    for number, trial in enumerate(study.sessions[0]):
        status, state = answer(served, number, right(trial))
        assert (status, state["next"]) == (200, number + 1)
        assert state["code"] == ("" if number < 4 else read_links(study)[0][1])
    given, _ = collect_answers(study)
    assert [each.choice for each in given[0].answers] == [right(t) for t in study.sessions[0]]
    assert given[0].asked == {"Age group": "30"}


def test_answer_is_on_disk_before_it_is_acknowledged(served, study, synced):
    begin(served)
    inode = (study.folder / ANSWERS / LOG).stat().st_ino
    before = synced.count(inode)
    answer(served, 0)
    assert synced.count(inode) == before + 1


def test_page_that_is_loaded_again_goes_on(served):
    begin(served)
    answer(served, 0)
    _, page, _ = ask(served.server_port, "GET", f"/{served.link_of(0)}")
    data = json.loads(page.partition(b'id="data">')[2].partition(b"</script>")[0])
    assert data["state"] == {"next": 1, "begun": True, "language": "en", "code": ""}
    assert "sessions" not in data  # of nobody else
    assert "correct" not in json.dumps(data["trials"][1:])


def test_answer_that_is_sent_again_is_kept_once(served, study):
    begin(served)
    first, again = answer(served, 0), answer(served, 0)
    assert first == again
    assert len(collect_answers(study)[0][0].answers) == 1


def test_two_windows_cannot_answer_twice(served, study):
    begin(served)
    assert answer(served, 0, ms=1500)[0] == 200
    assert answer(served, 0, ms=1700)[0] == 409
    assert answer(served, 0, choice=1)[0] == 409
    found = []
    threads = [
        threading.Thread(target=lambda k=k: found.append(answer(served, 1, ms=2000 + k)[0]))
        for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200] + [409] * 7
    assert len(collect_answers(study)[0][0].answers) == 2


def test_second_server_of_a_study_is_refused(served, study):
    with pytest.raises(ValueError, match="is served already"):
        AnswerStore(study)


def test_answers_outlive_the_server_and_a_line_cut_off_is_taken_away(study):
    with StudyServer(study, ("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        begin(server)
        answer(server, 0)
        server.shutdown()
        thread.join()
    whole = log_of(study)
    (study.folder / ANSWERS / LOG).write_bytes(whole + b'{"event": "answer", "stu')
    with StudyServer(study, ("127.0.0.1", 0)) as server:
        assert server.state_of(0)["next"] == 1
        assert log_of(study) == whole


def test_nothing_is_kept_of_who_sent_it(served, study):
    begin(served)
    answer(served, 0)
    text = log_of(study).decode()
    assert "127.0.0.1" not in text
    assert set(json.loads(text.splitlines()[1])) == {"event", "study", "session", "answer"}


def test_disk_that_is_full_acknowledges_nothing(served, study, monkeypatch):
    begin(served)
    before = log_of(study)

    def full(handle: int, content: bytes) -> int:
        if content.startswith(b'{"event"'):
            written = write(handle, content[:7])
            assert written == 7
            raise OSError(28, "No space left on device")
        return write(handle, content)

    write = os.write
    monkeypatch.setattr(os, "write", full)
    assert answer(served, 0)[0] == 500
    monkeypatch.undo()
    assert log_of(study) == before
    assert answer(served, 0)[0] == 200


def test_open_study_gives_each_visitor_a_session(study):
    with StudyServer(study, ("127.0.0.1", 0), prefix="/faces", is_open=True) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        port = server.server_port
        assert ask(port, "GET", "/faces/")[0] == 200
        given = []
        for _ in range(4):
            status, _, headers = ask(port, "POST", "/faces/begin", b"")
            assert status == 303
            given.append(headers["location"])
        assert given == [server.link_of(k) for k in range(4)]
        assert ask(port, "POST", "/faces/begin", b"")[0] == 410
        assert ask(port, "GET", f"/faces/{given[2]}")[0] == 200
        assert ask(port, "GET", f"/{given[2]}")[0] == 200  # a proxy may take the prefix away
        server.shutdown()
        thread.join()


# --- hostile

NAME = "/images/" + "0" * 20 + ".png"
PATHS = [
    "/../plan.json",
    "/plan.json",
    "/trials.json",
    "/links.csv",
    "/answers/answers.jsonl",
    "/images/",
    "/images",
    "/images/../../plan.json",
    "/images/..%2f..%2fplan.json",
    "/images/%2e%2e/%2e%2e/trials.json",
    "/images//etc/passwd",
    "/images/..\\..\\plan.json",
    NAME,
    "/page/index.html",
    "/s/",
    "/s//",
    "/s/../links.csv",
    "/s/AAAAAAAAAAAAAAAAAAAAAA/",
    "/s/%00/",
    "/s/" + "a" * 5000 + "/",
    "//",
    "/begin",
    "/.git/config",
    "*",
    "http://127.0.0.1/plan.json",
]
FIT = {"trial": 0, "choice": 0, "ms": 1500}
BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"[" * 20_000,
    b'{"trial": 0}',
    b"\xff\xfe\x00",
    FIT | {"trial": -1},
    FIT | {"choice": 2},
    FIT | {"choice": -1},
    FIT | {"choice": "0; DROP"},
    FIT | {"choice": 1.5},
    FIT | {"ms": 1e400},
    FIT | {"ms": 10**30},
    FIT | {"session": 1},
    FIT | {"study": "x"},
    FIT | {"left": "\ud800"},
]
LATER = [FIT | {"trial": 2}, FIT | {"trial": 10**18}]
METHODS = ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"]


@pytest.fixture
def unmoved(served, study) -> Iterator[StudyServer]:
    """Begin a session, and see that nothing was lost, added or revealed."""
    begin(served)
    answer(served, 0, ms=1)
    before = log_of(study)
    yield served
    assert log_of(study) == before
    assert answer(served, 1)[0] == 200  # it still serves


def test_at_least_fifty_requests_are_hostile():
    assert len(PATHS) + len(BODIES) + len(LATER) + len(METHODS) + len(RAW) >= 50


def test_paths_lead_nowhere_else(unmoved):
    for path in PATHS:
        status, content, _ = ask(unmoved.server_port, "GET", path)
        assert status in (400, 404, 414, 431), path
        assert len(content) < 100


def test_unfit_answers_are_refused(unmoved):
    path = f"/{unmoved.link_of(0)}answer"
    for body in [*BODIES, *LATER]:
        content = json.dumps(body) if isinstance(body, dict) else body
        status, said, _ = ask(unmoved.server_port, "POST", path, content, JSON)
        is_answered = isinstance(body, dict) and body["trial"] == 0  # so it may conflict, too
        assert status in ((400, 409) if is_answered else (409,) if body in LATER else (400,)), body
        assert b"Traceback" not in said


def test_wrong_tokens_and_replays_are_refused(unmoved):
    port = unmoved.server_port
    for token in ("x", "A" * 22, unmoved.tokens[0][:-1], unmoved.tokens[0].swapcase()):
        assert ask(port, "POST", f"/s/{token}/answer", FIT | {"trial": 1}, JSON)[0] == 404
    assert ask(port, "POST", f"/{unmoved.link_of(1)}answer", FIT, JSON)[0] == 400  # not begun
    for _ in range(3):
        assert answer(unmoved, 0, ms=2)[0] == 409
    path = f"/{unmoved.link_of(0)}answer"
    assert ask(port, "POST", path, FIT | {"trial": 1}, {"Content-Type": "text/plain"})[0] == 415
    other = {"asked": {"Age group": "99"}, "language": "en"}
    assert ask(port, "POST", f"/{unmoved.link_of(0)}start", other, JSON)[0] == 409
    for asked in ({}, {"Age group": "x" * 201}, {"Age group": "x", "Name": "y"}):
        body = {"asked": asked, "language": "en"}
        assert ask(port, "POST", f"/{unmoved.link_of(1)}start", body, JSON)[0] == 400


def test_other_methods_are_refused(unmoved):
    for method in METHODS:
        status, content, _ = ask(unmoved.server_port, method, f"/{unmoved.link_of(0)}answer")
        assert status in (400, 404, 405, 501)
        assert method.encode() not in content


RAW = [
    b"GET\r\n\r\n",
    b"\x00\x01\x02\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"POST %s HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: -5\r\n\r\n",
    b"POST %s HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9999999999\r\n\r\n{}",
    b"POST %s HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: "
    + b"9" * 5000
    + b"\r\n\r\n",
    b"POST %s HTTP/1.1\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5\r\n",
    b"POST %s HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{}",
    b"POST %s HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
]


@pytest.mark.parametrize("request_", RAW, ids=range(len(RAW)))
def test_broken_requests_are_refused(unmoved, request_):
    path = f"/{unmoved.link_of(0)}answer".encode()
    with socket.create_connection(("127.0.0.1", unmoved.server_port), timeout=20) as raw:
        reply = b""
        with contextlib.suppress(ConnectionError, OSError):  # it need not read on
            raw.sendall(request_.replace(b"%s", path))
            raw.shutdown(socket.SHUT_WR)
            while part := raw.recv(65536):
                reply += part
    status = reply.partition(b"\r\n")[0]
    assert not reply or status.split()[1][:1] in (b"4", b"5"), status
    assert b"Traceback" not in reply


def test_body_is_bounded(unmoved):
    path = f"/{unmoved.link_of(0)}answer"
    body = b" " * (LARGEST_BODY + 1)
    try:
        status, _, _ = ask(unmoved.server_port, "POST", path, body, JSON)
    except ConnectionError:  # it need not read on
        return
    assert status == 413


def test_answers_tell_browsers_to_load_nothing_else(served):
    for path in ("/", f"/{served.link_of(0)}"):
        _, _, headers = ask(served.server_port, "GET", path)
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"  # which would hold the token
        assert headers["cache-control"] == "no-store"


# --- the command


def start(folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], int]:
    """Serve a study in a process of its own; give it and its port."""
    command = [sys.executable, "-m", "i2i_bench", "study", "serve", str(folder), "--port", "0"]
    process = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    line = process.stdout.readline()
    assert "serving" in line, process.communicate()
    return process, int(line.partition("127.0.0.1:")[2].partition("/")[0])


def stop(process: subprocess.Popen[str], number: int) -> str:
    process.send_signal(number)
    return process.communicate(timeout=30)[1]


@pytest.mark.slow
def test_server_that_is_killed_loses_nothing_that_it_acknowledged(study):
    link, acknowledged = f"/s/{read_links(study)[0][0]}/", []
    asked = {"asked": {"Age group": "30"}, "language": "de"}
    for number in range(5):
        process, port = start(study.folder)
        if not number:
            assert ask(port, "POST", f"{link}start", asked, JSON)[0] == 200
        body = FIT | {"trial": number, "choice": number % 2}
        assert ask(port, "POST", f"{link}answer", body, JSON)[0] == 200
        acknowledged.append(number % 2)
        stop(process, signal.SIGKILL)
    assert [each.choice for each in collect_answers(study)[0][0].answers] == acknowledged


@pytest.mark.slow
@pytest.mark.usefixtures("default_signals")
def test_command_warns_of_blanks_and_ends_quietly(study):
    process, port = start(study.folder, "--behind-proxy", "/faces")
    assert ask(port, "GET", f"/faces/s/{read_links(study)[0][0]}/")[0] == 200
    said = stop(process, signal.SIGINT)
    assert "consent.en.txt still has [blanks]" in said
    assert "Traceback" not in said
    assert process.returncode == 0


def test_proxy_prefix_must_be_a_path(study, cli):
    message = cli("study", "serve", study.folder, "--behind-proxy", "faces", code=2)
    assert "needs a path" in message

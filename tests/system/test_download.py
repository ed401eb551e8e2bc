"""A download ends in the right file or in none, whatever server, network and other processes do."""

import gzip
import hashlib
import itertools
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from i2i_bench.system import download, first_seen
from i2i_bench.system.download import DownloadError, Seen, Wanted
from i2i_bench.system.transfer import Patience

CONTENT = bytes(itertools.islice(itertools.cycle(range(251)), 400_000))
PIECE = 2**16  # bytes, which arrive whole or are asked for again
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PATIENCE = Patience(connect=5, read=0.5, attempts=3, pause=0.01)
PROGRAM = """
import sys
from pathlib import Path
from i2i_bench.system.download import Wanted, download_file
download_file(Wanted("the file", [sys.argv[1]], 10**6), Path(sys.argv[2]))
"""


@pytest.fixture
def target(tmp_path):
    return tmp_path / "files" / "file.bin"


def fetch(target, *urls, digits="", largest=10**6, patience=PATIENCE, **options):
    wanted = Wanted("the file", urls, largest, digits, **options)
    return download.download_file(wanted, target, patience=patience)


def assert_whole_and_alone(target):
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def assert_nothing_left(target):
    assert not target.parent.exists() or not list(target.parent.iterdir())


def ranges(server):
    return [wanted for _, _, wanted in server.asked]


# Whole files


def test_a_file_arrives_whole_with_its_hash_and_origin(server, target):
    seen = fetch(target, server.serve("/file", CONTENT))
    assert seen == Seen(SHA256, len(CONTENT), f"{server.url}/file")
    assert_whole_and_alone(target)


def test_progress_grows_to_the_total(server, target):
    calls = []
    wanted = Wanted("the file", [server.serve("/file", CONTENT)], 10**6)
    download.download_file(wanted, target, progress=lambda *call: calls.append(call))
    assert calls == sorted(calls) and calls[-1] == (len(CONTENT), len(CONTENT))
    assert len(calls) > 3


def test_what_is_there_is_not_asked_for_again(server, target):
    url = server.serve("/file", CONTENT)
    fetch(target, url)
    assert fetch(target, url).sha256 == SHA256
    assert len(server.asked) == 1


def test_what_is_there_and_wrong_is_refused_until_it_may_be_replaced(server, target):
    url = server.serve("/file", CONTENT)
    target.parent.mkdir()
    target.write_bytes(b"other")
    with pytest.raises(ValueError, match=r"not as it must be .*--force replaces it"):
        fetch(target, url, digits=SHA256)
    wanted = Wanted("the file", [url], 10**6, SHA256)
    download.download_file(wanted, target, replace=True)
    assert_whole_and_alone(target)


def test_a_file_in_a_folder_that_cannot_be_written_is_used(server, target):
    url = server.serve("/file", CONTENT)
    fetch(target, url)
    target.parent.chmod(0o555)
    try:
        assert fetch(target, url).sha256 == SHA256
    finally:
        target.parent.chmod(0o755)


def test_chunks_without_a_length_are_put_together(server, target):
    fetch(target, server.serve("/file", CONTENT, is_chunked=True))
    assert_whole_and_alone(target)


def test_an_archive_that_is_called_an_encoding_stays_an_archive(server, target):
    archive = gzip.compress(b"content")
    url = server.serve("/file.tar.gz", archive, headers={"Content-Encoding": "x-gzip"})
    fetch(target, url)
    assert target.read_bytes() == archive


def test_a_slow_server_is_waited_for(server, target):
    fetch(target, server.serve("/file", CONTENT, pause=0.05))
    assert_whole_and_alone(target)


# Interrupted


@pytest.mark.parametrize("cuts", [[1], [70_000], [270_000, 90_000, 5_000], [0, 0, 399_999]])
def test_an_interrupted_download_goes_on_where_it_was(cuts, server, target):
    fetch(target, server.serve("/file", CONTENT, cuts=list(cuts)))
    assert_whole_and_alone(target)
    whole = [cut - cut % PIECE for cut in cuts]
    reached = [sum(whole[:count]) for count in range(len(cuts) + 1)]
    assert ranges(server) == [f"bytes={n}-" if n else None for n in reached]


def test_the_next_call_goes_on_where_the_last_gave_up(server, target):
    url = server.serve("/file", CONTENT, cuts=[3 * PIECE, 0, 0, 0])
    with pytest.raises(DownloadError):
        fetch(target, url)
    assert not target.exists()
    fetch(target, url)
    assert_whole_and_alone(target)
    assert ranges(server)[-1] == f"bytes={3 * PIECE}-"


def test_a_killed_download_leaves_no_file_and_is_gone_on_with(server, target):
    url = server.serve("/file", CONTENT, pause=0.1)
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, url, str(target)])
    part = target.with_name("file.bin.part")
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    have = part.stat().st_size
    assert 0 < have < len(CONTENT) and not target.exists()
    server.files["/file"].pause = 0
    fetch(target, url)
    assert_whole_and_alone(target)
    assert ranges(server) == [None, f"bytes={have}-"]


def test_a_download_killed_before_the_last_step_needs_no_server(server, target):
    url = server.serve("/file", CONTENT, cuts=[399_999, 0, 0])
    with pytest.raises(DownloadError):
        fetch(target, url)
    with target.with_name("file.bin.part").open("ab") as part:
        part.write(CONTENT[part.tell() :])
    server.files.clear()
    fetch(target, url)
    assert_whole_and_alone(target)


@pytest.mark.parametrize("is_careless", [False, True])
def test_a_file_that_changed_meanwhile_is_not_glued_to_the_old_part(is_careless, server, target):
    url = server.serve("/file", CONTENT[::-1], cuts=[3 * PIECE, 0, 0, 0])
    with pytest.raises(DownloadError):
        fetch(target, url)
    server.serve("/file", CONTENT, is_careless=is_careless)
    fetch(target, url)
    assert_whole_and_alone(target)


def test_a_part_longer_than_the_file_of_the_server_is_thrown_away(server, target):
    url = server.serve("/file", CONTENT * 2, cuts=[9 * PIECE, 0, 0, 0])
    with pytest.raises(DownloadError):
        fetch(target, url)
    server.serve("/file", CONTENT, status=416)
    with pytest.raises(DownloadError, match="416"):
        fetch(target, url)
    server.serve("/file", CONTENT)
    fetch(target, url)
    assert_whole_and_alone(target)


def test_the_part_of_one_address_is_not_glued_to_another(server, target):
    first = server.serve("/first", CONTENT[::-1], cuts=[3 * PIECE, 0, 0])
    second = server.serve("/second", CONTENT)
    fetch(target, first, second)
    assert_whole_and_alone(target)
    assert server.asked[-1] == ("GET", "/second", None)


@pytest.mark.parametrize("harm", ["missing", "text", "list", "keys"])
def test_a_part_of_unknown_origin_is_thrown_away(harm, server, target):
    url = server.serve("/file", CONTENT, cuts=[3 * PIECE, 0, 0])
    with pytest.raises(DownloadError):
        fetch(target, url)
    sidecar = target.with_name("file.bin.part.json")
    if harm == "missing":
        sidecar.unlink()
    else:
        sidecar.write_text({"text": "{", "list": "[]", "keys": '{"url": 1}'}[harm])
    fetch(target, url)
    assert_whole_and_alone(target)


@pytest.mark.parametrize("options", [{"ranges": False}, {"headers": {"ETag": None}}])
def test_without_parts_or_tags_a_download_begins_anew(options, server, target):
    fetch(target, server.serve("/file", CONTENT, cuts=[3 * PIECE], **options))
    assert_whole_and_alone(target)


def test_the_time_of_change_serves_where_there_is_no_tag(server, target):
    headers = {"ETag": None, "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    options = {"headers": headers, "is_careless": True}
    fetch(target, server.serve("/file", CONTENT, cuts=[3 * PIECE], **options))
    assert_whole_and_alone(target)
    assert ranges(server) == [None, f"bytes={3 * PIECE}-"]


def test_an_unreadable_moment_is_tried_again(server, target):
    url = server.serve("/file", CONTENT, status=503)
    with pytest.raises(DownloadError, match="503 Service Unavailable"):
        fetch(target, url)
    assert len(server.asked) == PATIENCE.attempts
    assert_nothing_left(target)


# Wrong files


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_file_that_is_always_cut_never_arrives(is_chunked, server, target):
    url = server.serve("/file", CONTENT, cuts=[1000] * 9, ranges=False, is_chunked=is_chunked)
    with pytest.raises(DownloadError, match="broke off"):
        fetch(target, url)
    assert not target.exists()


def test_a_wrong_hash_is_refused_and_nothing_kept(server, target):
    with pytest.raises(DownloadError, match=f"sha256 {SHA256[:8]}.* begins 00000000"):
        fetch(target, server.serve("/file", CONTENT), digits="0" * 64)
    assert_nothing_left(target)


def test_after_a_wrong_file_the_next_address_is_tried(server, target):
    urls = [server.serve("/bad", CONTENT[::-1]), server.serve("/good", CONTENT)]
    assert fetch(target, *urls, digits=SHA256[:8]).origin == urls[1]
    assert_whole_and_alone(target)


def test_what_the_caller_finds_wrong_is_refused(server, target):
    def accept(path, sha256):
        assert path.read_bytes() == CONTENT and sha256 == SHA256
        raise ValueError("it is ugly")

    with pytest.raises(DownloadError, match="it is ugly"):
        fetch(target, server.serve("/file", CONTENT), accept=accept)
    assert_nothing_left(target)


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"<p>Log in", {"Content-Type": "text/html; charset=utf-8"}),
        (b" \n<!DOCTYPE html><title>Log in</title>", {}),
        (b"<html>", {"Content-Type": "application/zip"}),
    ],
)
def test_a_web_page_is_no_file(content, headers, server, target):
    with pytest.raises(DownloadError, match="it is a web page"):
        fetch(target, server.serve("/file", content, headers=headers))
    assert_nothing_left(target)


def test_an_empty_file_is_refused(server, target):
    with pytest.raises(DownloadError, match=r"does not say how long|0 bytes"):
        fetch(target, server.serve("/file", b""))
    assert_nothing_left(target)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_file_beyond_the_bound_is_refused_while_it_arrives(is_chunked, server, target):
    url = server.serve("/file", CONTENT, is_chunked=is_chunked)
    with pytest.raises(DownloadError, match="399999"):
        fetch(target, url, largest=len(CONTENT) - 1)
    assert_nothing_left(target)


def test_a_file_without_an_end_that_could_be_known_is_refused(server, target):
    url = server.serve("/file", CONTENT, headers={"Content-Length": None})
    with pytest.raises(DownloadError, match="does not say how long"):
        fetch(target, url)
    assert_nothing_left(target)


def test_a_file_that_does_not_fit_on_the_disk_is_not_begun(server, target, monkeypatch):
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match="400000 bytes do not fit on the disk"):
        fetch(target, server.serve("/file", CONTENT))
    assert_nothing_left(target)


# Other addresses


def test_after_404_the_mirror_is_asked(server, target):
    urls = [f"{server.url}/gone", server.serve("/mirror", CONTENT)]
    assert fetch(target, *urls).origin == urls[1]
    assert [path for _, path, _ in server.asked] == ["/gone", "/mirror"]
    assert_whole_and_alone(target)


def test_failure_names_each_address_its_reason_and_what_to_do(server, target):
    closed = "http://127.0.0.1:9/file"  # the port of discard, where nothing listens
    with pytest.raises(DownloadError) as caught:
        fetch(target, f"{server.url}/gone", closed)
    text = str(caught.value)
    assert f"{server.url}/gone: 404 Not Found; {closed}: no connection" in text
    assert "--url" in text and "--file" in text and str(target) in text and "\n" not in text
    assert_nothing_left(target)


def test_secrets_in_an_address_are_not_told(server, target):
    secret = server.url.replace("//", "//me:password@") + "/gone?token=token"
    with pytest.raises(DownloadError) as caught:
        fetch(target, secret)
    assert "password" not in str(caught.value) and "token" not in str(caught.value)


def test_a_redirect_is_followed(server, target):
    server.serve("/file", CONTENT)
    fetch(target, server.serve("/old", status=302, headers={"Location": "/file"}))
    assert_whole_and_alone(target)


@pytest.mark.parametrize(
    ("location", "reason"),
    [("/old", "redirects without end"), ("file:///etc/hostname", "cannot be asked")],
)
def test_a_redirect_that_leads_nowhere_is_refused(location, reason, server, target):
    url = server.serve("/old", status=302, headers={"Location": location})
    with pytest.raises(DownloadError, match=reason):
        fetch(target, url)
    assert_nothing_left(target)


def test_a_server_that_falls_silent_is_given_up(server, target):
    url = server.serve("/file", CONTENT, pause=1.0)
    patience = Patience(connect=5, read=0.1, attempts=2, pause=0.01)
    with pytest.raises(DownloadError, match="no answer in time"):
        fetch(target, url, patience=patience)
    assert not target.exists()


@pytest.mark.parametrize(
    "url", ["ftp://host/file", "file:///etc/hostname", "host/file", "http://", "http://a b/c", ""]
)
def test_only_addresses_of_the_web_are_asked(url, target):
    with pytest.raises(ValueError, match="is not an address to download from"):
        fetch(target, url)


def test_the_proxy_of_the_environment_is_used(server, target, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    server.files["http://publisher.example/file"] = server.files.setdefault(
        server.serve("/file", CONTENT), server.files["/file"]
    )
    fetch(target, "http://publisher.example/file")
    assert_whole_and_alone(target)
    assert server.asked == [("GET", "http://publisher.example/file", None)]


def test_the_mirror_of_the_environment_comes_first(monkeypatch):
    monkeypatch.setenv(download.MIRROR, "https://mirror.example/i2i/")
    found = download.with_mirror("data", "a b.zip", ["https://publisher.example/a.zip"])
    assert found == ("https://mirror.example/i2i/data/a%20b.zip", "https://publisher.example/a.zip")
    monkeypatch.setenv(download.MIRROR, "/mnt/mirror")
    with pytest.raises(ValueError, match="not an address"):
        download.with_mirror("data", "a.zip", [])


def test_the_size_is_asked_for_without_the_file(server):
    urls = [f"{server.url}/gone", server.serve("/file", CONTENT)]
    assert download.remote_size(urls) == len(CONTENT)
    assert {method for method, _, _ in server.asked} == {"HEAD"}
    page = server.serve("/page", b"x", headers={"Content-Type": "text/html"})
    assert download.remote_size([page, "http://127.0.0.1:9/"]) is None


# Several processes


def test_two_at_once_download_once(server, target):
    url = server.serve("/file", CONTENT, pause=0.02)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: fetch(target, url), range(2)))
    assert {seen.sha256 for seen in found} == {SHA256}
    assert len(server.asked) == 1
    assert_whole_and_alone(target)


def test_a_lock_of_a_process_that_died_holds_nobody(server, target):
    target.parent.mkdir()
    target.with_name(".file.bin.lock").touch()
    fetch(target, server.serve("/file", CONTENT))
    assert_whole_and_alone(target)


# Files of the user's


def test_a_file_of_the_users_is_copied_verified(target, tmp_path):
    source = tmp_path / "mine.bin"
    source.write_bytes(CONTENT)
    wanted = Wanted("the file", [], 10**6, SHA256)
    assert download.adopt_file(wanted, source, target).sha256 == SHA256
    assert_whole_and_alone(target)
    assert source.exists()
    assert download.adopt_file(wanted, target, target).sha256 == SHA256  # in its place already


@pytest.mark.parametrize("content", [b"", b"other", b"<html>", None])
def test_a_wrong_file_of_the_users_is_refused(content, target, tmp_path):
    source = tmp_path / "mine.bin"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"mine\.bin is not the file: .*(bytes|sha256|web page)|no file .*mine"
    ):
        download.adopt_file(Wanted("the file", [], 10**6, SHA256), source, target)
    assert_nothing_left(target)


# What was seen first


def test_the_first_hash_is_remembered_and_others_are_refused(tmp_path):
    path = tmp_path / first_seen.NAME
    first_seen.remember_first(path, "file", Seen("a" * 64, 1, "here"))
    first_seen.remember_first(path, "file", Seen("a" * 64, 1, "there"))
    assert first_seen.read_first_seen(path) == {"file": Seen("a" * 64, 1, "here")}
    with pytest.raises(ValueError, match=r"bbbbbbbb.*aaaaaaaa.* of here.*--force"):
        first_seen.remember_first(path, "file", Seen("b" * 64, 1, "there"))
    first_seen.remember_first(path, "file", Seen("b" * 64, 1, "there"), replace=True)
    assert first_seen.read_first_seen(path)["file"].sha256 == "b" * 64
    assert list(tmp_path.iterdir()) == [path]


def test_two_at_once_lose_nothing_of_each_other(tmp_path):
    path = tmp_path / first_seen.NAME
    names = [f"file{i}" for i in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda name: first_seen.remember_first(path, name, Seen("a" * 64, 1, name)), names
            )
        )
    assert set(first_seen.read_first_seen(path)) == set(names)


def test_the_first_of_two_at_once_is_the_one_that_is_remembered(tmp_path):
    path = tmp_path / first_seen.NAME
    with ThreadPoolExecutor(1) as pool, download.alone(path):
        second = pool.submit(first_seen.remember_first, path, "file", Seen("b" * 64, 1, "second"))
        while not second.running():
            time.sleep(0.01)
        time.sleep(0.2)  # for it to have found nothing yet
        entry = {"sha256": "a" * 64, "size": 1, "origin": "first"}
        path.write_text(json.dumps({"file": entry}))
    with pytest.raises(ValueError, match="differs from aaaaaaaa"):
        second.result()
    assert first_seen.read_first_seen(path)["file"].origin == "first"


def test_without_locks_files_are_fetched_all_the_same(server, target, without_locks):
    fetch(target, server.serve("/file", CONTENT))
    assert list(target.parent.iterdir()) == [target]

"""Who is shown what: tokens, private and gated sets, offline mode and the cache of the hub."""

import importlib.util
import json

import pytest
from hub_server import COMMIT, packed, pair_of, picture, pictures, serve_set

from i2i_bench.tasks import catalogue

FILES = {
    "data/train-0.parquet": pair_of(pictures(2), pictures(2, 10)),
    "data/test-0.parquet": pair_of(pictures(1, 20), pictures(1, 30)),
}
INFO = "/api/datasets/me/own/revision/main?blobs=true"


@pytest.fixture
def own(hub):
    serve_set(hub, "me/own", FILES)
    return hub


def fetch(cli, name="hf:me/own", code=0):
    return cli("data", "fetch", name, "--yes", code=code)


@pytest.mark.parametrize(
    ("status", "code", "token", "words"),
    [
        (401, "RepoNotFound", "", "to everybody: it is private, gated or misspelt; set HF_TOKEN"),
        (401, "", "hf_old", "the hub does not accept your token for data set me/own"),
        (401, "GatedRepo", "", "is gated: accept its terms at {url}/datasets/me/own, and set"),
        (403, "GatedRepo", "hf_x", "is gated: accept its terms at {url}/datasets/me/own, and set"),
        (403, "", "hf_x", "is gated: accept its terms"),
        (404, "RepoNotFound", "", "there is no data set me/own on the hub"),
        (404, "RevisionNotFound", "", "there is no revision 'main' of data set me/own"),
        (404, "", "", "there is no data set me/own on the hub"),
        (418, "", "", "answers 418 about me/own"),
    ],
)
def test_what_is_not_shown_is_told_apart(status, code, token, words, cli, own, monkeypatch):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    for path in (INFO, INFO.partition("?")[0]):
        own.serve(path, b"{}", status=status, headers={"X-Error-Code": code or None})
    error = fetch(cli, code=1)
    assert words.format(url=own.url) in error
    assert not token or token not in error


def test_a_gated_set_shows_its_list_and_not_its_files(cli, own):
    for path in FILES:
        served = own.files[f"/datasets/me/own/resolve/{COMMIT}/{path}"]
        served.status, served.headers = 401, {"X-Error-Code": "GatedRepo"}
    assert "me/own is gated: accept its terms at" in fetch(cli, code=1)


def test_no_such_revision(cli, own):
    error = fetch(cli, "hf:me/own@v9", code=1)
    assert "there is no revision 'v9' of data set me/own on the hub" in error


@pytest.mark.parametrize("how", ["variable", "file", "path", "none", "not implicit"])
def test_the_token_is_that_of_the_variable_or_of_who_logged_in(how, cli, places, own, monkeypatch):
    expected = "Bearer hf_mine"
    (places / "hf").mkdir()
    (places / "hf" / "token").write_text(
        "hf_mine\n" if how in ("file", "not implicit") else "hf_other"
    )
    if how == "variable":
        monkeypatch.setenv("HF_TOKEN", "hf_mine")
    elif how == "path":
        (places / "mine").write_text("hf_mine")
        monkeypatch.setenv("HF_TOKEN_PATH", str(places / "mine"))
    elif how == "not implicit":
        monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
        expected = None
    elif how == "none":
        (places / "hf" / "token").unlink()
        expected = None
    fetch(cli)
    assert {each.get("Authorization") for each in own.told} == {expected}


def test_another_server_than_the_hub_is_told_no_token(cli, own, places, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    cli("data", "fetch", "horse2zebra", "--yes", "--url", f"{own.url}/x.zip", code=1)
    assert all("Authorization" not in each for each in own.told)


def test_a_host_that_files_are_moved_to_is_told_no_token(cli, own, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    elsewhere = own.url.replace("127.0.0.1", "localhost")
    for path, content in FILES.items():
        served = own.files[f"/datasets/me/own/resolve/{COMMIT}/{path}"]
        served.status, served.headers = 302, {"Location": f"{elsewhere}/moved/{path}"}
        own.serve(f"/moved/{path}", content)
    fetch(cli)
    for (_, path, _), told in zip(own.asked, own.told, strict=True):
        assert ("Authorization" in told) is not path.startswith("/moved/")


def test_offline_reads_the_cache_alone(cli, places, own, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    error = fetch(cli, code=1)
    assert "HF_HUB_OFFLINE is set, and parquet files of me/own at main are not in" in error
    cache = places / "hf" / "hub" / "datasets--me--own"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(COMMIT)
    for path, content in FILES.items():
        file = cache / "snapshots" / COMMIT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    fetch(cli)
    assert own.asked == []
    assert (cache / "snapshots" / COMMIT / "data" / "train-0.parquet").exists()
    assert catalogue.find_task("hf:me/own", places / "data").num_train == {"a": 2, "b": 2}


@pytest.mark.parametrize("is_damaged", [False, True])
def test_what_is_in_the_cache_is_not_downloaded_unless_damaged(
    is_damaged, cli, places, own, monkeypatch
):
    monkeypatch.setenv("HF_HUB_CACHE", str(places / "cache"))
    for path, content in FILES.items():
        file = places / "cache" / "datasets--me--own" / "snapshots" / COMMIT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content[:-1] + b"x" if is_damaged else content)
    fetch(cli)
    got = [path for method, path, _ in own.asked if method == "GET" and "/resolve/" in path]
    assert len(got) == (len(FILES) if is_damaged else 0)


def test_without_pyarrow_the_extra_is_named_before_anything_is_asked(cli, own, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "pyarrow" else find(name, *rest),
    )
    assert "pip install 'i2i-bench[hub]'" in fetch(cli, code=1)
    assert own.asked == []


def test_a_broken_download_goes_on(cli, places, hub):
    large = pair_of([picture(1, 256)], [picture(2, 256)])
    serve_set(hub, "me/own", FILES | {"data/train-0.parquet": large})
    path = f"/datasets/me/own/resolve/{COMMIT}/data/train-0.parquet"
    hub.files[path].cuts = [2**17]
    fetch(cli)
    parts = [part for method, asked, part in hub.asked if asked == path and method == "GET"]
    assert parts == [None, f"bytes={2**17}-"]


@pytest.mark.parametrize("harm", ["size", "hash", "list", "sha"])
def test_a_hub_that_contradicts_itself_is_not_believed(harm, cli, places, own):
    info = json.loads(own.files[INFO].content)
    if harm == "size":
        info["siblings"][0]["size"] += 1
    elif harm == "hash":
        info["siblings"][0]["lfs"]["sha256"] = "0" * 64
    elif harm == "sha":
        info["sha"] = "../../evil"
    else:
        info["siblings"] = [{"rfilename": "../../train.parquet"}, {"rfilename": 3}, None]
    for path in (INFO, INFO.replace("main", COMMIT)):
        own.files[path].content = json.dumps(info).encode()
    words = {"size": "and the hub states", "hash": "the publisher's begins 00000000"}
    words |= {"list": "holds no parquet files", "sha": "main/data/train-0.parquet: 404"}
    assert words[harm] in fetch(cli, code=1)
    assert not [path for path in places.rglob("*") if path.name == "hub.json"]


def test_a_server_without_commits_heads_and_queries_serves_too(cli, places, hub):
    siblings = [{"rfilename": path} for path in FILES]
    info = {"sha": COMMIT, "siblings": siblings}
    hub.serve("/api/datasets/me/own/revision/main", json.dumps(info).encode())
    for path, content in FILES.items():
        hub.serve(f"/datasets/me/own/resolve/main/{path}", content)
    hub.refused = {"HEAD"}
    fetch(cli)
    task = catalogue.find_task("hf:me/own", places / "data")
    assert task.num_train == {"a": 2, "b": 2} and task.argument == f"hf:me/own@{COMMIT}"


def test_a_server_without_hashes_or_revisions_serves_too(cli, places, hub):
    listed = {"default": {"train": [], "test": []}}
    for path, content in FILES.items():
        url = hub.serve(f"/api/datasets/me/own/parquet/default/{path[5:-10]}/0.parquet", content)
        listed["default"][path[5:-10]].append(url.replace(hub.url, "https://huggingface.co"))
    hub.serve("/api/datasets/me/own/parquet", json.dumps(listed).encode())
    fetch(cli)
    assert catalogue.find_task("hf:me/own", places / "data").num_test == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hf:own", "is no data set of the Hugging Face hub; written are hf:owner/name"),
        ("hf:me/../own", "is no data set"),
        ("hf:me/own@", "is no data set"),
        ("hf:me/own:a:b:c", "is no data set"),
        ("https://huggingface.co/datasets/me/own/viewer", "a data set, which is named hf:me/own"),
        (
            "me/own",
            "no folder me/own; if it is a data set of the Hugging Face hub, it is hf:me/own",
        ),
    ],
)
def test_names_are_read_or_refused_with_how_they_are_written(name, words, cli, places):
    assert words in fetch(cli, name, code=1)


def test_a_set_of_sound_or_text_is_no_task(cli, places, hub):
    rows = {"text": ["a", "b"], "score": [1.5, 2.5]}
    serve_set(hub, "me/text", {f"{split}.parquet": packed(rows) for split in ("train", "test")})
    error = fetch(cli, "hf:me/text", code=1)
    assert "has none among text, score; needed are two columns of images" in error

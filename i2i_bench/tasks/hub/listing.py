"""Which parquet files a data set of the hub has: by configuration and split, at which commit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from i2i_bench.system.ask import Answer, ask_server
from i2i_bench.system.transfer import Patience
from i2i_bench.tasks.hub.access import (
    cache_of,
    cached_commit,
    cached_file,
    cached_files,
    hub_endpoint,
    hub_headers,
    hub_token,
    is_offline,
)
from i2i_bench.tasks.hub.card import (
    NOT_STATED,
    list_of,
    place_files,
    split_of,
    stated_classes,
    stated_licence,
)
from i2i_bench.tasks.hub.name import MAIN, HubName

CONVERTED = "refs/convert/parquet"  # the branch on which the hub keeps parquet of other formats

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HubFile:
    """A parquet file of a data set.

    Attributes:
        path: In the repository.
        config: Configuration that it is of.
        split: ``train``, ``test`` or ``validation``.
        size: In bytes; None where the hub does not state it.
        sha256: Of its content; "" where the hub does not state it.
        urls: Where it is: at the commit, and at the revision that was asked for.
    """

    path: str
    config: str
    split: str
    size: int | None
    sha256: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class HubListing:
    """A data set at one commit.

    Attributes:
        name: As asked for.
        commit: Of the revision; the revision itself where the hub does not tell.
        licence: As its card states it.
        files: Parquet files, by name.
        classes: Column of labels → their names, as the card states them.
    """

    name: HubName
    commit: str
    licence: str
    files: tuple[HubFile, ...]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def configs(self) -> tuple[str, ...]:
        """Names of the configurations, in the order of the hub."""
        return tuple(dict.fromkeys(file.config for file in self.files))


def list_hub_files(name: HubName) -> HubListing:
    """Ask the hub for the parquet files of a data set, or look into its cache offline.

    Raises:
        ValueError: If there is no such set, it is not shown to this user, or holds no parquet.
    """
    if is_offline():
        return _list_cached(name)
    found = _listed(name, name.revision)
    if not found.files and name.revision == MAIN:  # of another format, which the hub has converted
        other = _converted(name)
        licence, classes = found.licence, found.classes or other.classes
        found = replace(other, licence=licence, classes=classes)
    if not found.files:
        raise ValueError(
            f"data set {name.repository} holds no parquet files of training or test images at "
            f"revision {name.revision}; download its files and name their folder"
        )
    return _measured(found)


def _listed(name: HubName, revision: str) -> HubListing:
    """List the parquet files of a revision."""
    where = f"{hub_endpoint()}/api/datasets/{name.repository}/revision/{quote(revision, safe='')}"
    answer = _ask(f"{where}?blobs=true")  # with sizes and hashes
    if answer.status == 404:
        answer = _ask(where)
    is_converted = revision in (MAIN, CONVERTED)
    if answer.status == 404 and is_converted and (found := _listed_by_config(name)):
        return found
    _require_answered(answer, name)
    return read_listing(answer, name, revision)


def read_listing(answer: Answer, name: HubName, revision: str) -> HubListing:
    """Understand what the hub says of a revision of a data set.

    Raises:
        ValueError: If it is nothing of the kind.
    """
    info = _read_json(answer)
    details = {_path_of(each): each for each in list_of(info.get("siblings"), dict)}
    card, commit = info.get("cardData"), info.get("sha")
    card = card if isinstance(card, dict) else {}
    commit = commit if isinstance(commit, str) and commit.isalnum() else revision
    files = tuple(
        HubFile(
            path, config, split, *_size_and_hash(details[path]), _at(name, commit, revision, path)
        )
        for path, (config, split) in place_files(list(details), card).items()
    )
    return HubListing(name, commit, stated_licence(card), files, stated_classes(card))


def _converted(name: HubName) -> HubListing:
    """List the parquet files that the hub has made of other formats."""
    try:
        found = _listed(name, CONVERTED)
    except ValueError:  # there is no such branch, or another server than the hub
        found = None
    none = HubListing(name, name.revision, NOT_STATED, ())
    return found if found and found.files else _listed_by_config(name) or none


def _listed_by_config(name: HubName) -> HubListing | None:
    """List the parquet files by what the hub has converted; None if it has nothing."""
    where = f"{hub_endpoint()}/api/datasets/{name.repository}/parquet"
    answer = _ask(where)
    if answer.status == 404:
        return None
    _require_answered(answer, name)
    files = []
    for config, splits in _read_json(answer).items():
        for split, urls in (splits if isinstance(splits, dict) else {}).items():
            for number, url in enumerate(list_of(urls, str)):
                if kind := split_of(split):
                    path = f"{config}/{split}/{number:04}.parquet"
                    files.append(HubFile(path, config, kind, None, "", (_at_endpoint(url),)))
    return HubListing(name, CONVERTED, NOT_STATED, tuple(files)) if files else None


def _list_cached(name: HubName) -> HubListing:
    """List the parquet files that the cache has of a revision."""
    for revision in (name.revision, *([CONVERTED] if name.revision == MAIN else [])):
        commit = cached_commit(name.repository, revision)
        placed = place_files(cached_files(name.repository, commit), {}) if commit else {}
        files = []
        for path, (config, split) in placed.items():
            local = cached_file(name.repository, commit, path)
            size = local.stat().st_size if local else None
            files.append(HubFile(path, config, split, size, "", ()))
        if files:
            return HubListing(name, commit, NOT_STATED, tuple(files))
    raise ValueError(
        f"HF_HUB_OFFLINE is set, and parquet files of {name.repository} at {name.revision} are "
        f"not in {cache_of(name.repository)}; unset it to ask the hub"
    )


def _ask(url: str) -> Answer:
    return ask_server(url, headers=hub_headers())


def _measured(listing: HubListing) -> HubListing:
    """Ask for the head of files whose size is not known, and of one in any case.

    Sets that are gated show their lists to everybody, and their files to some.
    """
    files = []
    for number, file in enumerate(listing.files):
        if number and file.size is not None:
            files.append(file)
            continue
        answer = _ask_head(file.urls[0])
        if answer.status in (401, 403):
            _require_answered(answer, listing.name)
        files.append(replace(file, **_of_head(answer)) if file.size is None else file)
    return replace(listing, files=tuple(files))


def _ask_head(url: str) -> Answer:
    """Ask for the head of a file; servers that give none do not matter."""
    try:
        return ask_server(url, method="HEAD", headers=hub_headers(), patience=Patience(attempts=1))
    except ValueError:
        return Answer(0, {}, b"")


def _of_head(answer: Answer) -> dict[str, Any]:
    """Return size and sha256 of a file as the headers of its address state them."""
    linked = answer.headers.get("X-Linked-Size", "")
    stated = linked or (answer.headers.get("Content-Length", "") if answer.status == 200 else "")
    sha256 = answer.headers.get("X-Linked-Etag", "").strip('"')
    size = int(stated) if stated.isdecimal() else None
    return {"size": size, "sha256": sha256 if _SHA256.fullmatch(sha256) else ""}


def _require_answered(answer: Answer, name: HubName) -> None:
    """Refuse answers other than what was asked for.

    Raises:
        ValueError: With what to do about it.
    """
    code = answer.headers.get("X-Error-Code", "")
    if reason := why_refused(answer.status, name, code):
        raise ValueError(reason)
    if answer.status != 200:
        raise ValueError(f"{hub_endpoint()} answers {answer.status} about {name.repository}")


def why_refused(status: int, name: HubName, code: str = "") -> str:
    """Say what it means that the hub refuses to show a set, or a file of it; "" for others.

    Args:
        status: 401, 403 or 404.
        name: Of the set.
        code: What the hub calls it.
    """
    page = f"{hub_endpoint()}/datasets/{name.repository}"
    if status == 401 and code != "GatedRepo":
        if hub_token():
            return (
                f"the hub does not accept your token for data set {name.repository}: it has "
                "expired, or the set is private or misspelt"
            )
        return (
            f"the hub does not show data set {name.repository} to everybody: it is private, gated "
            "or misspelt; set HF_TOKEN to a token of an account that may read it"
        )
    if status in (401, 403):
        return (
            f"data set {name.repository} is gated: accept its terms at {page}, and set HF_TOKEN to "
            "a token of that account"
        )
    if status == 404 and (code == "RevisionNotFound" or (name.revision != MAIN and not code)):
        return (
            f"there is no revision {name.revision!r} of data set {name.repository} on the hub; "
            f"{page} lists them"
        )
    if status == 404:
        return (
            f"there is no data set {name.repository} on the hub; if it is private, set HF_TOKEN to "
            "a token of an account that may read it"
        )
    return ""


def _read_json(answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{hub_endpoint()} does not answer as the Hugging Face hub does")
    return found


def _path_of(sibling: Mapping[str, Any]) -> str:
    """Return the path of a parquet file; "" of anything else."""
    path = sibling.get("rfilename")
    if not isinstance(path, str) or not path.endswith(".parquet") or not path.isprintable():
        return ""
    return "" if path.startswith("/") or ".." in PurePosixPath(path).parts else path


def _size_and_hash(sibling: Mapping[str, Any]) -> tuple[int | None, str]:
    size, stored = sibling.get("size"), sibling.get("lfs")
    sha256 = stored.get("sha256") or stored.get("oid") if isinstance(stored, dict) else None
    known = sha256 if isinstance(sha256, str) and _SHA256.fullmatch(sha256) else ""
    return size if type(size) is int and size >= 0 else None, known


def _at(name: HubName, commit: str, revision: str, path: str) -> tuple[str, ...]:
    """Return the addresses of a file, that of the commit first."""
    where = f"{hub_endpoint()}/datasets/{name.repository}/resolve"
    known = dict.fromkeys((commit, revision))
    return tuple(f"{where}/{quote(each, safe='')}/{quote(path)}" for each in known)


def _at_endpoint(url: str) -> str:
    """Return an address of the hub at the endpoint that is asked."""
    parts = urlsplit(url)
    return f"{hub_endpoint()}{quote(unquote(parts.path))}"

"""Where the Hugging Face hub is, who asks, and what is in its cache: the variables people set."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from i2i_bench.system.download import check_url
from i2i_bench.system.files import read_bounded

HUB = "https://huggingface.co"

_TRUE = {"1", "ON", "YES", "TRUE"}
_LONGEST_TOKEN = 2**12  # bytes


def hub_endpoint() -> str:
    """Return the address of the hub, which HF_ENDPOINT may name.

    Raises:
        ValueError: If the variable holds no address.
    """
    return check_url((os.environ.get("HF_ENDPOINT") or HUB).rstrip("/"))


def is_offline() -> bool:
    """Tell whether HF_HUB_OFFLINE asks for what is in the cache alone."""
    return any(
        os.environ.get(name, "").upper() in _TRUE
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    )


def hub_home() -> Path:
    """Return the folder of the hub's own programs: HF_HOME, or in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return _folder(os.environ.get("HF_HOME") or f"{base}/huggingface")


def hub_token() -> str:
    """Return the user's token: HF_TOKEN, else the one that logging in has left; "" without one.

    Raises:
        ValueError: If it is no token, as one of several lines.
    """
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := os.environ.get(name, "").strip():
            return _plain(token, name)
    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in _TRUE:
        return ""
    path = _folder(os.environ.get("HF_TOKEN_PATH") or str(hub_home() / "token"))
    try:
        return _plain(read_bounded(path, _LONGEST_TOKEN).decode().strip(), str(path))
    except OSError:  # nobody has logged in
        return ""


def _plain(token: str, where: str) -> str:
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError(f"what {where} holds is no token of the Hugging Face hub")
    return token


def hub_headers() -> dict[str, str]:
    """Return what tells the hub who asks."""
    token = hub_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _folder(name: str) -> Path:
    return Path(os.path.expandvars(name)).expanduser()


def _cached(repository: str) -> Path:
    """Return the folder in which the hub's own programs keep a data set."""
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    base = _folder(cache) if cache else hub_home() / "hub"
    return base / f"datasets--{repository.replace('/', '--')}"


def cached_commit(repository: str, revision: str) -> str:
    """Return the commit of a revision whose files are in the cache; "" if there is none."""
    folder = _cached(repository)
    reference = folder / "refs" / revision
    try:
        commit = read_bounded(reference, _LONGEST_TOKEN).decode().strip()
    except (OSError, ValueError):
        commit = revision
    is_plain = commit and "/" not in commit and ".." not in commit and commit.isprintable()
    return commit if is_plain and (folder / "snapshots" / commit).is_dir() else ""


def cached_files(repository: str, commit: str) -> list[str]:
    """List the files of a commit that are in the cache, by name."""
    snapshot = _cached(repository) / "snapshots" / commit
    found = (path for path in snapshot.rglob("*") if path.is_file())
    return sorted(path.relative_to(snapshot).as_posix() for path in found)


def cached_file(repository: str, commit: str, name: str) -> Path | None:
    """Return a file of a commit in the cache; None where it is not there."""
    if ".." in PurePosixPath(name).parts or not commit:
        return None
    path = _cached(repository) / "snapshots" / commit / name
    return path if path.is_file() else None


def cache_of(repository: str) -> Path:
    """Return where a data set would be in the cache, for messages."""
    return _cached(repository)

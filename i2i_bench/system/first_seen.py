"""Remember the sha256 of files when they were first seen, where publishers state no hash."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path

from i2i_bench.system.download import Seen, alone
from i2i_bench.system.files import read_json, write_text

NAME = "known.json"

logger = logging.getLogger(__name__)


def read_first_seen(path: Path) -> dict[str, Seen]:
    """Read the first-seen hashes of a folder; none where there is no such file.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        entries = read_json(path)
        return {name: Seen(**entry) for name, entry in entries.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}); remove it; it is created again") from None


def check_known(path: Path, name: str, sha256: str) -> None:
    """Compare the hash of a file with the first one seen under its name, if any.

    Raises:
        ValueError: If they differ.
    """
    first = read_first_seen(path).get(name)
    if first and first.sha256 != sha256:
        raise ValueError(
            f"sha256 {sha256[:8]}... differs from {first.sha256[:8]}... of {first.origin}, "
            f"seen first; --force takes the new one"
        )


def remember_first(path: Path, name: str, seen: Seen, *, replace: bool = False) -> None:
    """Remember the hash of a file as the first one seen under its name.

    Raises:
        ValueError: If another was seen before, unless ``replace``.
    """
    if not replace:
        check_known(path, name, seen.sha256)
    if name in (found := read_first_seen(path)) and found[name].sha256 == seen.sha256:
        return
    try:
        with alone(path):
            if not replace:  # another process may have written since
                check_known(path, name, seen.sha256)
            entries = {
                key: asdict(value) for key, value in (read_first_seen(path) | {name: seen}).items()
            }
            write_text(path, json.dumps(entries, indent=1, sort_keys=True) + "\n")
    except OSError as error:  # a folder that cannot be written is no fault of the file
        logger.warning("the hash of %s is not remembered: %s", name, error)

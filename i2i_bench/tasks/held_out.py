"""Hold a share of training images out for tests, where a folder has none for these."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path


def hold_out(parts: Mapping[str, list[Path]], share: float) -> dict[str, list[Path]]:
    """Give parts of which a share of the images is moved to tests, by digests of their names.

    Names that pair are held out in both domains where these have as many images.
    """
    left, moved = dict[str, list[Path]](), dict[str, list[Path]]()
    for name, files in parts.items():
        count = round(len(files) * share) or 1
        if count >= len(files):
            raise ValueError(
                f"{files[0].parent} has too few images to hold {share:.0%} of them out"
            )
        chosen = set(sorted(files, key=_digest)[:count])
        left[name] = [file for file in files if file not in chosen]
        moved[name.replace("train", "test", 1)] = [file for file in files if file in chosen]
    return left | moved


def _digest(file: Path) -> str:
    return hashlib.sha256(re.sub("_[AB]$", "", file.stem).encode(errors="replace")).hexdigest()

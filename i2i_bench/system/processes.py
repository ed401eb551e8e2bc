"""Tell whether this process is one of several that train together."""

from __future__ import annotations

import os


def several() -> bool:
    """Tell, without importing torch, whether torchrun or the like started several processes.

    Raises:
        ValueError: If the variables that tell so are no numbers.
    """
    if "RANK" not in os.environ or os.environ.get("WORLD_SIZE", "1") in ("", "1"):
        return False
    for name in ("RANK", "WORLD_SIZE"):
        if not os.environ[name].isdecimal():
            raise ValueError(f"{name} is {os.environ[name]!r}; torchrun sets a number")
    return True

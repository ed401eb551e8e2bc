"""Tell whether this process is one of several that train together, and what else runs."""

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


def machine_load() -> float | None:
    """Return the machine's load, processes that ran or waited for a processor in the last minute.

    None where the system does not tell.
    """
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None

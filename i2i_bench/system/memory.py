"""How much memory a device or this machine has free."""

from __future__ import annotations

from pathlib import Path

import torch


def available_memory(device: torch.device) -> int | None:
    """Return the free bytes of a device, with swap on a CPU; None if the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    limits = [free for free in (_system(), _control_group()) if free is not None]
    return min(limits, default=None)


def _system(information: Path = Path("/proc/meminfo")) -> int | None:
    fields = _numbers(information)
    if "MemAvailable:" not in fields:
        return None
    return 1024 * (fields["MemAvailable:"] + fields.get("SwapFree:", 0))


def _control_group(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Give what the control group, as of a container or a batch job, leaves; file cache is free."""
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no group, or no limit
        return None
    return max(0, limit - used + _numbers(group / "memory.stat").get("inactive_file", 0))


def _numbers(path: Path) -> dict[str, int]:
    """Read a file of lines that start with a name and a number."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}

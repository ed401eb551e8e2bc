"""Measure how long the light commands take from a fresh process; print a Markdown table.

Run it from a checkout, on a quiet machine: ``.venv/bin/python benchmarks/startup.py``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

REPETITIONS = 5
LIMITS = {  # seconds, of design.md section 3
    "--help": 0.3,
    "models": 0.3,
    "tasks": 0.3,
    "protocols": 0.3,
    "leaderboard": 1.0,
}


def measure(command: str) -> float:
    """Give the median wall time of a command in seconds."""
    seconds = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        program = [sys.executable, "-m", "i2i_bench", command]
        subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    """Print the table."""
    print(f"| command | seconds, median of {REPETITIONS} | limit |")
    print("|:--|--:|--:|")
    for command, limit in LIMITS.items():
        print(f"| `i2i-bench {command}` | {measure(command):.3f} | {limit} |")


if __name__ == "__main__":
    main()

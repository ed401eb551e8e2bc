"""Notes under a table about costs: where they were measured, and beside what."""

from __future__ import annotations

from i2i_bench.records.record import External, Record
from i2i_bench.report.columns import SHARED
from i2i_bench.report.rows import Entry, Row

MOST_SHARED = 6  # runs that a note names


def cost_note(rows: list[tuple[list[Entry], Row]]) -> str:
    """Say on which devices costs were measured, and what they include."""
    memory = {"process": "resident memory", "device": "device memory"}
    devices: dict[str, list[str]] = {}
    for part, row in rows:
        for record, _ in part:
            if isinstance(record, External) or record.peak_memory_of is None:
                continue  # trained elsewhere
            where = f"{record.device} ({memory.get(record.peak_memory_of, record.peak_memory_of)})"
            labels = devices.setdefault(where, [])
            labels += [row.label] if row.label not in labels else []
    if not devices:
        return "Training costs are unknown: the training was done elsewhere."
    compiled = {
        row.label
        for part, row in rows
        for record, _ in part
        if isinstance(record, Record) and "compile" in record.modes
    }
    more = f" That of {', '.join(sorted(compiled))} includes compiling." if compiled else ""
    if len(devices) == 1:
        return f"Costs are of training, on {next(iter(devices))}.{more}"
    each = "; ".join(f"{where}: {', '.join(labels)}" for where, labels in sorted(devices.items()))
    return f"Costs are of training and not comparable across devices: {each}.{more}"


def shared_notes(rows: list[tuple[list[Entry], Row]]) -> list[str]:
    """Say whose training was measured beside other work, and how much there was."""
    whose = [
        f"{row.label} (seed {record.seed}: {record.load})"
        for _, row in rows
        for record in row.shared
    ]
    if not whose:
        return []
    more = f", and {len(whose) - MOST_SHARED} more" if len(whose) > MOST_SHARED else ""
    return [
        f"{SHARED} Measured beside other work, so slower than on a machine of its own: "
        f"{', '.join(whose[:MOST_SHARED])}{more}."
    ]

"""Show what ``step.py`` measured as Markdown."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch

GIB = 2**30
TITLES = {
    "models": "Models on a processor",
    "styles": "Models that draw styles, on a processor",
    "modes": "Other modes on a processor",
    "resolutions": "Resolution, on a processor",
    "batches": "Batch, on a processor",
    "masks": "Number of masks, on a processor",
    "gpu-models": "Models on a GPU",
    "gpu-styles": "Models that draw styles, on a GPU",
    "gpu-modes": "Other modes on a GPU",
    "gpu-batches": "Batch, on a GPU",
    "gpu-resolutions": "Resolution, on a GPU",
    "gpu-masks": "Number of masks, on a GPU",
}


def device_name(device: torch.device) -> str:
    """Name the hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {torch.get_num_threads()} threads"


def render_gradients(tables: dict[str, dict[str, Any]]) -> list[str]:
    """Show how far gradients are off the published step's, by device."""
    lines = []
    for kind, title in (("cpu", "Gradients on a processor"), ("cuda", "Gradients on a GPU")):
        lines += [f"## {title}", ""]
        if f"gradients-{kind}" not in tables:
            lines += [
                f"Not measured: `python benchmarks/step.py --device {kind} --only-gradients`.",
                "",
            ]
            continue
        table = tables[f"gradients-{kind}"]
        lines += [f"`{table['command']}`, {table['machine']}, {table['versions']}.", ""]
        lines += ["| model | px | batch | precision | modes | off the published step's |"]
        lines += ["|:--|--:|--:|:--|:--|--:|"]
        lines += [
            f"| {row['model']} | {row['size']} | {row['batch']} | {row['precision']} "
            f"| {row['modes'].replace(',', ', ') or 'none'} | {row['gradients']:.1e} |"
            for row in table["rows"]
        ]
        lines.append("")
    return lines


def render(tables: dict[str, dict[str, Any]]) -> str:
    """Show every table as Markdown; what was not measured is said to be so."""
    lines = [
        "# Training steps",
        "",
        "Written by `benchmarks/step.py`; see [README](README.md).",
        "",
    ]
    for name, title in TITLES.items():
        lines += [f"## {title}", ""]
        if name not in tables:
            lines += [f"Not measured: `python benchmarks/step.py --plan {name}`.", ""]
            continue
        table = tables[name]
        lines += [f"`{table['command']}`, {table['machine']}, {table['versions']}.", ""]
        lines += [HEAD, RULE, *map(table_line, table["rows"]), ""]
    return "\n".join([*lines, *render_gradients(tables)])


HEAD = (
    "| model | px | batch | n | precision | modes | s/step | images/s | peak, GiB | TFLOP/s "
    "| of peak | reference time / time | memory / reference |"
)
RULE = "|:--|--:|--:|--:|:--|:--|--:|--:|--:|--:|--:|--:|--:|"


def table_line(row: dict[str, Any]) -> str:
    """Show one measured row."""
    cells = (
        row["model"],
        row["size"],
        row["batch"],
        row["masks"] or "",
        row["precision"],
        row["modes"].replace(",", ", ") or "none",
        f"{row['seconds']:.4g}",
        f"{row['images_per_second']:.3g}",
        f"{row['peak_bytes'] / GIB:.2f}",
        f"{row['flops_per_second'] / 1e12:.3g}",
        f"{row['share_of_peak']:.0%}",
        *("" if row[key] is None else f"{row[key]:.2f}" for key in ("speed", "memory")),
    )
    return "| " + " | ".join(str(cell) for cell in cells) + " |"

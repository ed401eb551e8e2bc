"""How Sphinx builds the documentation: pages from Markdown, docstrings, click and the catalogues.

Sphinx with MyST was chosen over mkdocs-material with mkdocstrings: 17 packages to 20 on top of the
harness's own, its theme included.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.scoring.protocols import PROTOCOLS
from i2i_bench.tasks import catalogue

project = "i2i-bench"
author = "The i2i-bench authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
myst_enable_extensions = ["substitution"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_ivar = True  # fields of a dataclass are explained once
smartquotes = False  # two hyphens are those of an option
html_theme = "alabaster"
html_theme_options = {
    "description": "The benchmark suite for image-to-image translation",
    "page_width": "1180px",  # room for the 100 columns of code
}
html_show_sourcelink = False
html_show_copyright = False


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lay out rows as a Markdown table."""
    lines = [header, ["--"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def counts(row: catalogue.TaskRow) -> str:
    """Return the images of each folder, with a question mark where the number is unknown."""
    return " / ".join("?" if number is None else str(number) for number in row.counts.values())


myst_substitutions = {
    "metrics": table(
        ("column", "spread", "unit", "better", "what"),
        [
            (
                f"`{metric.key}`",
                ", ".join(f"`{key}`" for key in metric.spreads),
                metric.unit if metric.scale == 1 else "",  # tables scale what has none
                metric.better,
                metric.meaning or metric.title,
            )
            for metric in known_metrics().shown
        ],
    ),
    "tasks": table(
        ("task", "kind", "size", "trainA / trainB / testA / testB", "what", "licence"),
        [
            (row.name, row.kind, f"{row.image_size} px", counts(row), row.title, row.licence)
            for row in catalogue.list_tasks(Path())
        ],
    ),
    "protocols": table(
        ("protocol", "features", "reference", "what"),
        [(str(p), p.recipe, p.reference, p.title) for p in PROTOCOLS.values()],
    ),
}

"""Print a table of a paper as Markdown, CSV or LaTeX."""

from __future__ import annotations

from dataclasses import dataclass

from i2i_bench.report.render import (
    csv_text,
    latex_tabular,
    latex_text,
    markdown_lines,
    markdown_text,
)


@dataclass(frozen=True)
class Section:
    """A part of a table with columns of its own.

    Attributes:
        title: Its heading.
        header: Titles of the columns.
        rows: Cells as text; "" for one without value.
        left: Positions of the columns of text.
        notes: Sentences that belong under it.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper.

    Attributes:
        sections: For people.
        header: Of ``lines``.
        lines: For programs, one for each value, with more digits and columns than ``sections``.
    """

    sections: tuple[Section, ...]
    header: tuple[str, ...]
    lines: tuple[tuple[object, ...], ...]


def paper_markdown(table: PaperTable) -> str:
    """Give a table as Markdown that also reads well in a terminal."""
    return "\n".join(_markdown_section(section) for section in table.sections)


def _markdown_section(section: Section) -> str:
    body = [[markdown_text(text) for text in cells] for cells in (section.header, *section.rows)]
    lines = [f"## {markdown_text(section.title)}", "", *markdown_lines(body, section.left)]
    lines += ["", *(f"- {markdown_text(note)}" for note in section.notes)] if section.notes else []
    return "\n".join(lines) + "\n"


def paper_csv(table: PaperTable) -> str:
    """Give a table as CSV, a line for each value."""
    return csv_text([table.header, *table.lines])


def paper_latex(table: PaperTable) -> str:
    """Give a table as LaTeX for the package booktabs, a float for each section."""
    return "% needs \\usepackage{booktabs}\n" + "\n".join(map(_latex_section, table.sections))


def _latex_section(section: Section) -> str:
    alignment = "".join("l" if i in section.left else "r" for i in range(len(section.header)))
    lines = [" & ".join(map(latex_text, cells)) + r" \\" for cells in section.rows]
    notes = latex_text(" ".join([f"{section.title}.", *section.notes]))
    return (
        "\\begin{table}[t]\n\\centering\n\\scriptsize\n\\setlength{\\tabcolsep}{3pt}\n"
        "\\setlength{\\belowcaptionskip}{6pt}\n"
        f"\\caption{{{notes}}}\n{latex_tabular(alignment, section.header, lines)}\n\\end{{table}}\n"
    )

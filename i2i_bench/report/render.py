"""Tables as text: Markdown that reads well in a terminal, CSV and LaTeX; here, leaderboards."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from i2i_bench.metric import Column
from i2i_bench.records.record import AnyRecord
from i2i_bench.records.run import EXTERNAL
from i2i_bench.report.columns import BASELINES, COST_KEYS, COSTS, SHARED
from i2i_bench.report.leaderboard import tabulate
from i2i_bench.report.rows import Group, Row, Stat, Table, cell, without_empty
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.scoring.metrics.distances import KID

WIDTH = 120  # columns of a terminal; a wider table continues in a second block
EMPTY = "No record holds a score yet; `i2i-bench run` makes one."


@dataclass(frozen=True)
class _Block:
    """A part of a table that fits a terminal, as plain text."""

    header: list[str]
    rows: list[tuple[Row, list[str]]]
    keys: list[str]  # of the columns; "" for what names a row, and for seeds
    left: frozenset[int]  # positions of the columns of text


def _blocks(table: Table) -> list[_Block]:
    """Break a table that is too wide; costs stay together."""
    widths = {column: _width(table, column) for column in (*table.columns, *table.costs)}
    leads = [*_leads(table), [] if table.keys else ["10", ""]]  # a tenth row changes no layout
    names = itertools.zip_longest(*leads, fillvalue="")
    margin = sum(len(f"| {max(column, key=len)} ") for column in names)
    margin += len("| seeds ") + len("|")
    parts: list[list[Column]] = [[]]
    for unit in [*([column] for column in table.columns), list(table.costs)]:
        used = sum(widths[column] for column in parts[-1])
        if parts[-1] and margin + used + sum(widths[column] for column in unit) > WIDTH:
            parts.append([])
        parts[-1].extend(unit)
    return [_block(table, part, is_first=i == 0) for i, part in enumerate(parts)]


def _width(table: Table, column: Column) -> int:
    """Give the letters a column takes, with its border and the stars of a bold value."""
    stars = len("****") if column.better else 0
    longest = max(len(cell(row, column)) for row in table.rows) + stars
    return len("|  ") + max(len(column.header), longest)


def _leads(table: Table) -> list[list[str]]:
    """Return the cells that name each row, titles first: rank and label, or varied values."""
    if table.keys:
        return [list(table.keys), *(list(row.values) for row in table.rows)]
    return [["#", "model"], *([_place(row), row.label] for row in table.rows)]


def _place(row: Row) -> str:
    """Give the rank of a row, "!" where it must have none."""
    return str(row.rank or ("!" if row.unsound else "-"))


def _block(table: Table, columns: list[Column], is_first: bool) -> _Block:
    titles, *leads = _leads(table)
    rows = []
    for row, lead in zip(table.rows, leads, strict=True):
        if is_first or any(column.key in row.stats for column in columns):
            seeds = [str(row.seeds or "-")] if is_first else []
            rows.append((row, lead + seeds + [cell(row, column) for column in columns]))
    left = frozenset(range(len(titles)) if table.keys else [1])
    titles += ["seeds"] if is_first else []
    header = titles + [column.header for column in columns]
    return _Block(header, rows, [""] * len(titles) + [column.key for column in columns], left)


def leaderboard_markdown(records: Iterable[AnyRecord], task: str | None = None) -> str:
    """Give the leaderboard as Markdown that also reads well in a terminal.

    Raises:
        ValueError: If there are records, but none of this task.
    """
    return tables_to_markdown(tabulate(records, task))


def tables_to_markdown(tables: Sequence[Table]) -> str:
    """Give tables as Markdown that also reads well in a terminal."""
    if not tables:
        return EMPTY + "\n"
    return "\n".join(_markdown_table(without_empty(table)) for table in tables)


def _markdown_table(table: Table) -> str:
    lines = [f"## {markdown_text(table.heading)}", ""]
    for block in _blocks(table):
        lines += [*_markdown_block(block), ""]
    lines += [f"- {markdown_text(note)}" for note in table.notes]
    return "\n".join(lines) + "\n"


def _markdown_block(block: _Block) -> list[str]:
    def mark(row: Row, key: str, text: str) -> str:
        return f"**{text}**" if row.marks.get(key) == "best" else text

    body = [[markdown_text(text) for text in block.header]]
    for row, cells in block.rows:
        pairs = zip(block.keys, cells, strict=True)
        body.append([mark(row, key, markdown_text(text)) for key, text in pairs])
    return markdown_lines(body, block.left)


def markdown_lines(body: Sequence[Sequence[str]], left: Collection[int]) -> list[str]:
    """Align a table, its header first.

    Args:
        body: Cells, escaped already.
        left: Positions of the columns of text; the others are numbers, to the right.
    """
    widths = [max(map(len, column)) for column in zip(*body, strict=True)]
    lines = [
        "| "
        + " | ".join(
            text.ljust(width) if i in left else text.rjust(width)
            for i, (text, width) in enumerate(zip(cells, widths, strict=True))
        )
        + " |"
        for cells in body
    ]
    rule = [
        ":" + "-" * w if i in left else "-" * w + ":" for i, w in enumerate(w + 1 for w in widths)
    ]
    return [lines[0], "|" + "|".join(rule) + "|", *lines[1:]]


_MARKDOWN = str.maketrans(
    {"|": "&#124;", "\\": "&#92;", "<": "&lt;", ">": "&gt;", "&": "&amp;"}
    | {character: f"\\{character}" for character in "`*[]~$"}
)


def markdown_text(text: str) -> str:
    """Escape what Markdown, HTML or a terminal would interpret."""
    plain = _one_line(text).translate(_MARKDOWN)
    inner = [
        f"\\{c}"
        if c == "_" and not (plain[i - 1 : i].isalnum() and plain[i + 1 : i + 2].isalnum())
        else c
        for i, c in enumerate(plain)
    ]
    return "".join(inner)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run such a text


def leaderboard_csv(records: Iterable[AnyRecord], task: str | None = None) -> str:
    """Give the leaderboard as CSV: a line per row and table, raw values; a header alone if empty.

    Raises:
        ValueError: If there are records, but none of this task.
    """
    return tables_to_csv(tabulate(records, task))


def tables_to_csv(tables: Sequence[Table]) -> str:
    """Give tables that vary the same keys as CSV: a line per row and table, raw values.

    A metric has a column if a score holds it, be it with the reason why it has no value: what is
    installed besides decides nothing.
    """
    varied = tables[0].keys if tables else ()
    rows = [row for table in tables for row in table.rows]
    held = {key for row in rows for _, score in row.entries for key in score.values}
    valued = {key for row in rows for key in row.stats} - COST_KEYS
    columns = [m.key for m in known_metrics().shown if m.key in held | valued]
    known = [*columns, *([KID.spreads[0]] if KID.key in columns else [])]
    metrics = [*known, *sorted(valued - set(known))]
    keys = metrics + [column.key for column in COSTS]
    apart = ("stats", "marks", "entries", "values")
    lead = [f.name for f in dataclasses.fields(Row) if f.name not in apart]
    statistics = [f"{key}_{part}" for key in keys for part in Stat._fields]
    header = [*varied, *Group._fields, *lead, *statistics]
    body: list[Sequence[object]] = [header]
    for table in tables:
        for row in table.rows:
            is_other = row.kind == EXTERNAL  # it has no preset, whichever it stands beside
            group = table.group._replace(preset=EXTERNAL) if is_other else table.group
            cells = [*row.values, *group, *(getattr(row, name) for name in lead)]
            cells += [part for key in keys for part in row.stats.get(key, (None, None, None))]
            body.append(cells)
    return csv_text(body)


def csv_text(body: Iterable[Iterable[object]]) -> str:
    """Give lines of CSV, the header first; None is an empty cell."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerows([_inert(value) for value in cells] for cells in body)
    return output.getvalue()


def _inert(value: object) -> object:
    """Make a text safe: no formula for a spreadsheet, no control character for a terminal."""
    if not isinstance(value, str):
        return value
    text = _one_line(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def leaderboard_latex(records: Iterable[AnyRecord], task: str | None = None) -> str:
    """Give the leaderboard as LaTeX tables for the package booktabs.

    Raises:
        ValueError: If there are records, but none of this task.
    """
    return tables_to_latex(tabulate(records, task))


def tables_to_latex(tables: Sequence[Table]) -> str:
    """Give tables as LaTeX for the package booktabs, a float each."""
    if not tables:
        return f"% {EMPTY}\n"
    return "% needs \\usepackage{booktabs}\n" + "\n".join(
        _latex_table(without_empty(table)) for table in tables
    )


def _latex_table(table: Table) -> str:
    bodies = "\n\n\\medskip\n".join(_latex_block(block) for block in _blocks(table))
    caption = latex_text(" ".join([f"{table.heading}.", *map(_sentence, table.notes)]))
    return (
        "\\begin{table}[t]\n\\centering\n\\footnotesize\n\\setlength{\\tabcolsep}{3pt}\n"
        "\\setlength{\\belowcaptionskip}{6pt}\n"
        f"\\caption{{{caption}}}\n{bodies}\n\\end{{table}}\n"
    )


def _sentence(note: str) -> str:
    return note if note.endswith((".", "!", "?")) else f"{note}."


def _latex_block(block: _Block) -> str:
    def line(texts: Iterable[str]) -> str:
        return " & ".join(texts) + r" \\"

    lines = []
    is_baseline = False
    for row, cells in block.rows:
        if row.kind in BASELINES and not is_baseline:
            lines.append(r"\midrule")
            is_baseline = True
        triples = enumerate(zip(block.keys, cells, strict=True))
        names = block.left
        lines.append(line(_latex_cell(row, i in names, key, text) for i, (key, text) in triples))
    alignment = "".join("l" if i in block.left else "r" for i in range(len(block.header)))
    return latex_tabular(alignment, block.header, lines)


def latex_tabular(alignment: str, header: Iterable[str], lines: Iterable[str]) -> str:
    """Give a tabular of the package booktabs.

    Args:
        alignment: A letter for each column.
        header: Titles as plain text.
        lines: Finished lines of LaTeX.
    """
    head = " & ".join(map(latex_text, header)) + r" \\"
    begin = [f"\\begin{{tabular}}{{{alignment}}}", r"\toprule", head, r"\midrule"]
    return "\n".join([*begin, *lines, r"\bottomrule", r"\end{tabular}"])


def _latex_cell(row: Row, is_text: bool, key: str, text: str) -> str:
    if is_text:
        return latex_text(text)
    if text == "-":
        return "--"
    value, plus_minus, spread = text.partition(" ± ")
    wrap: Callable[[str], str] = {
        "best": r"\textbf{{{}}}".format,
        "second": r"\underline{{{}}}".format,
    }.get(row.marks.get(key, ""), str)
    number = wrap(value.replace("-", "$-$").replace(SHARED, _LATEX[ord(SHARED)]))
    return f"{number} $\\pm$ {spread}" if plus_minus else number


_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "{}$&#_%"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': "''",
        "`": r"\textasciigrave{}",
        "±": r"$\pm$",
        "\u00d7": r"$\times$",
        "→": r"$\rightarrow$",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "\u2013": "--",
        "\u2014": "---",
        "…": r"\ldots{}",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        SHARED: r"$^\dagger$",
    }
)


def latex_text(text: str) -> str:
    """Escape what LaTeX would interpret, and name characters that its usual fonts lack."""
    plain = _one_line(text).replace("--", "-\0-").replace("--", "-\0-")
    return "".join(map(_latex_letter, plain)).replace("\0", "{}")


def _latex_letter(letter: str) -> str:
    if ord(letter) in _LATEX:
        return _LATEX[ord(letter)]
    has_accent = letter <= "ÿ" and len(unicodedata.normalize("NFD", letter)) == 2
    return letter if letter.isascii() or has_accent else f"U+{ord(letter):04X}"

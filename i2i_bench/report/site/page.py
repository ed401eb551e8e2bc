"""The page: records and samples as one HTML file that needs nothing but the images beside it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jinja2

from i2i_bench.metric import Column
from i2i_bench.records.record import AnyRecord, Record, Score, record_text
from i2i_bench.records.study import StudyRecord, study_text
from i2i_bench.report.columns import COSTS
from i2i_bench.report.leaderboard import of_tasks, ranked_by, tabulate
from i2i_bench.report.rows import Row, Table, cell, without_empty
from i2i_bench.report.site import plot
from i2i_bench.report.site.detail import RunDetail, run_detail
from i2i_bench.report.site.plot import Plot
from i2i_bench.report.site.samples import Folders, Gallery, Samples, SampleStore
from i2i_bench.report.studies import said_of_methods, study_note, value_text
from i2i_bench.report.summary import Summary, summaries
from i2i_bench.report.targets import in_words
from i2i_bench.system.files import write_text
from i2i_bench.tasks.catalogue import find_named, typed_name
from i2i_bench.tasks.validation import TEST

PAGE = "index.html"
GENERATOR = "i2i-bench"  # by which a page of ours is known
_HERE = Path(__file__).parent

BoardKey = tuple[str, str]  # model and variant; "" and a name for images of another program


class Unranked(NamedTuple):
    """A row apart, and why."""

    row: Row
    reason: str


@dataclass(frozen=True)
class Board:
    """A table of the leaderboard.

    Attributes:
        id: Of its place in the page.
        table: As every format shows it.
        title: What it has in common.
        headline: The metric that ranks.
        ranked: Rows with a rank, best first.
        unranked: Models that cannot be ranked.
        baselines: What models are to be seen against.
        plots: Quality against each cost.
    """

    id: str
    table: Table
    title: str
    headline: Column
    ranked: tuple[Row, ...]
    unranked: tuple[Unranked, ...]
    baselines: tuple[Row, ...]
    plots: tuple[Plot, ...]

    @property
    def most_seeds(self) -> int:
        """The number of seeds of the row that has most."""
        return max(row.seeds for row in self.table.rows)


@dataclass(frozen=True)
class Way:
    """A direction of a task: its tables and samples."""

    id: str
    name: str
    boards: tuple[Board, ...]
    gallery: Gallery


@dataclass(frozen=True)
class PageSection:
    """All of a task that is of the same split."""

    id: str
    name: str
    title: str
    ways: tuple[Way, ...]
    entries: tuple[RunDetail, ...]
    has_samples: bool
    studies: tuple[StudyRecord, ...] = ()

    def detail(self, record: AnyRecord) -> RunDetail:
        """Return the detail that a record belongs to."""
        return next(each for each in self.entries if _key(each.records[0]) == _key(record))


class Ids:
    """Names of places in the page: of letters, digits and hyphens, none twice."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, *parts: object) -> str:
        """Give a readable one."""
        text = "-".join(map(str, parts)).lower()
        stem = re.sub(r"[^a-z0-9]+", "-", text).strip("-")[:80] or "place"
        name, count = stem, 1
        while name in self._taken:
            count += 1
            name = f"{stem}-{count}"
        self._taken.add(name)
        return name


def write_page(
    records: Sequence[AnyRecord],
    output: Path,
    folders: Folders,
    tasks: Sequence[str] = (),
    studies: Sequence[StudyRecord] = (),
) -> Path:
    """Write the page and its images into a folder; give the page.

    Args:
        records: Of runs and of other programs' images.
        output: The folder.
        folders: Where samples come from, if they are there.
        tasks: Only these; () for all.
        studies: With people, of every task.

    Raises:
        ValueError: If there are records, but none of one of these tasks, or another page is in its
            place.
    """
    page = output / PAGE
    _refuse_another(page)
    chosen = of_tasks(records, tasks) if tasks else records
    tables = [without_empty(table) for table in tabulate(chosen)]
    store = SampleStore(output)
    asked = [each for each in studies if not tasks or each.task in tasks]
    sections = _sections(tables, Samples(folders, store), asked)
    write_text(page, _render(sections, summaries(tables) if len(sections) > 1 else []))
    store.remove_others()
    return page


def _refuse_another(page: Path) -> None:
    """Refuse to replace a page that is not ours."""
    mark = f'<meta name="generator" content="{GENERATOR} '
    if page.exists() and mark not in page.read_text(encoding="utf-8", errors="replace"):
        raise ValueError(f"{page} was not made by i2i-bench; give another folder with --output")


def _sections(
    tables: Iterable[Table], samples: Samples, studies: Sequence[StudyRecord]
) -> list[PageSection]:
    ids = Ids()
    by_task: dict[tuple[str, int, str], list[Table]] = {}
    for table in tables:
        group = table.group
        by_task.setdefault((group.task, group.task_version, group.split), []).append(table)
    asked: dict[tuple[str, int, str], list[StudyRecord]] = {}
    for study in studies:
        asked.setdefault((study.task, study.task_version, TEST), []).append(study)
        by_task.setdefault((study.task, study.task_version, TEST), [])
    return [
        replace(
            _section(ids, task, tables=found, samples=samples), studies=tuple(asked.get(task, ()))
        )
        for task, found in by_task.items()
    ]


def _section(
    ids: Ids, task: tuple[str, int, str], *, tables: list[Table], samples: Samples
) -> PageSection:
    name, number, split = task
    known, typed = find_named(name), typed_name(name)
    by_way: dict[str, list[Table]] = {}
    for table in tables:
        by_way.setdefault(table.group.direction, []).append(table)
    marks = [f"v{number}"] if number > 1 else []
    apart = "" if split == TEST else f", {split} images"
    place = ids.new(name, *marks, *([split] if apart else []))
    ways = tuple(
        Way(
            id=ids.new(place, direction),
            name=direction,
            boards=tuple(_board(ids, place, table) for table in found),
            gallery=_gallery(found, samples),
        )
        for direction, found in by_way.items()
    )
    return PageSection(
        id=place,
        name=(f"{typed}, version {number}" if number > 1 else typed) + apart,
        title=known.title if known else "",
        ways=ways,
        entries=tuple(_entries(ids, place, tables)),
        has_samples=any(way.gallery.columns for way in ways),
    )


def _gallery(tables: Iterable[Table], samples: Samples) -> Gallery:
    """Show the first seed of each model that has translations, in the order of the tables."""
    chosen: dict[tuple[str, str], tuple[Record, Score]] = {}
    for row in (row for table in tables for row in table.rows):
        for record, score in row.entries:
            if isinstance(record, Record) and samples.has_any(record, score.direction):
                chosen.setdefault((record.model, record.variant), (record, score))
    return samples.gather(chosen.values()) if chosen else Gallery()


def _board(ids: Ids, place: str, table: Table) -> Board:
    group, headline = table.group, ranked_by(table.group)
    models = [row for row in table.rows if row.entries]
    return Board(
        id=ids.new(place, group.direction, group.protocol, group.preset),
        table=table,
        title=_title(table),
        headline=headline,
        ranked=tuple(row for row in models if row.rank),
        unranked=tuple(
            Unranked(row, _why_unranked(row, headline)) for row in models if not row.rank
        ),
        baselines=tuple(row for row in table.rows if not row.entries),
        plots=plot.plots(table, headline),
    )


def _title(table: Table) -> str:
    """Give the heading of a table without what stands above it: task and direction."""
    group = table.group
    above = f"{group.task}@{group.task_version}, {group.direction}, "
    return f"Protocol {table.heading.removeprefix(above)}"


def _why_unranked(row: Row, headline: Column) -> str:
    """Say why a row has no rank."""
    if not headline.better:
        return f"{headline.title!r} is not a metric to rank by"
    if row.unsound:
        return row.unsound
    if row.partial:
        counts = sorted({score.n_fake for _, score in row.entries})
        return f"test images are missing: {' or '.join(map(str, counts))} were translated"
    silent = "no reason was recorded"
    reasons = [score.reasons.get(headline.key, silent) for _, score in row.entries]
    return f"no {headline.title}: {'; '.join(dict.fromkeys(reasons))}"


def _entries(ids: Ids, place: str, tables: Iterable[Table]) -> list[RunDetail]:
    """Give the detail of every row, each model and variant once."""
    found: dict[BoardKey, dict[int, AnyRecord]] = {}
    for record, _ in (pair for table in tables for row in table.rows for pair in row.entries):
        seed = record.seed if isinstance(record, Record) else 0
        found.setdefault(_key(record), {})[seed] = record
    return [
        run_detail(ids.new("run", place, *key), [records[seed] for seed in sorted(records)])
        for key, records in found.items()
    ]


def _key(record: AnyRecord) -> BoardKey:
    if isinstance(record, Record):
        return (record.model, record.variant)
    return ("", record.name)


def _render(sections: Sequence[PageSection], summed: Sequence[Summary]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"cell": cell, "has_alarm": _has_alarm, "drawing": plot}
    environment.filters |= {"record": record_text, "in_words": in_words}
    environment.filters |= {"said_of_methods": said_of_methods, "said_value": value_text}
    environment.filters |= {"study_note": study_note, "study_record": study_text}
    style, script = (_text(f"page.{kind}") for kind in ("css", "js"))
    entries = [each for section in sections for each in section.entries]
    records = [record for each in entries for record in each.records]
    return environment.get_template("page.html").render(
        sections=sections,
        summaries=summed,
        num_records=len(records),
        num_models=len({r.model for r in records if isinstance(r, Record)}),
        cost_headers=[column.header for column in COSTS[1:]],
        style=style,
        script=script,
        policy=_policy(style, script),
        generator=f"{GENERATOR} {version('i2i-bench')}",
    )


def _has_alarm(row: Row) -> bool:
    """Tell whether a row is known to have gone wrong in its direction."""
    return bool(row.unsound) or any(
        alarm.startswith(f"{score.direction}: ")
        for record, score in row.entries
        for alarm in record.alarms
    )


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Forbid a browser all but the page's own style, script and images."""

    def digest(text: str) -> str:
        found = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        return f"'sha256-{found}'"

    return (
        f"default-src 'none'; img-src 'self' file: data:; style-src {digest(style)}; "
        f"script-src {digest(script)}; base-uri 'none'; form-action 'none'"
    )

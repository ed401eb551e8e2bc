"""Quality against cost: where the points, ticks and names of a plot lie, for the page to draw."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from i2i_bench.metric import Column
from i2i_bench.records.record import Record
from i2i_bench.report.rows import Row, Table

WIDTH, HEIGHT = 480, 340  # of the drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 46  # margins
LETTER, LINE = 6.4, 13.0  # expected size of a letter of a name
LONGEST_NAME = 30  # letters
WIDE = 30.0  # times the least cost; where they spread further, the axis is logarithmic
SHAPES = ("circle", "square", "triangle", "diamond", "cross")  # of the devices
MIXED = "several devices"
FIRST = "seconds"  # the cost that is shown first


class Tick(NamedTuple):
    """A labelled place on an axis."""

    at: float
    text: str


class Name(NamedTuple):
    """The text beside a point."""

    x: float
    y: float
    anchor: str
    text: str


class FrontLine(NamedTuple):
    """A baseline across the drawing."""

    at: float
    name: Name


@dataclass(frozen=True)
class Point:
    """A row of the table.

    Attributes:
        x: Place of its mean cost.
        y: Place of its mean quality.
        low: Place of the mean less a standard deviation; None for a single seed.
        high: Place of the mean and a standard deviation.
        seeds: Places of the seeds; none for a single one.
        shape: Tells the device.
        is_best: Whether the row is ranked first.
        title: All of it in words.
        name: Beside the point; None where there is no room.
    """

    x: float
    y: float
    low: float | None
    high: float | None
    seeds: tuple[tuple[float, float], ...]
    shape: str
    is_best: bool
    title: str
    name: Name | None = None


@dataclass(frozen=True)
class Plot:
    """A drawing of ``WIDTH`` times ``HEIGHT``.

    Attributes:
        key: Of the cost.
        across: What the axis to the right shows.
        upwards: What the axis upwards shows.
        title: What the drawing shows.
        x_ticks: On the axis to the right.
        y_ticks: On the axis upwards.
        points: Models with a value of both.
        lines: Baselines.
        devices: Name and shape of each, where the cost depends on it.
        remarks: Sentences on what is not drawn.
    """

    key: str
    across: str
    upwards: str
    title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    points: tuple[Point, ...]
    lines: tuple[FrontLine, ...]
    devices: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]


class Axis(NamedTuple):
    """From a value to its place; ``ticks`` lie within ``low`` and ``high``."""

    low: float
    high: float
    is_log: bool
    start: float
    end: float

    def place(self, value: float) -> float:
        """Give where a value lies in the drawing."""
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return round(self.start + (self.end - self.start) * (value - low) / (high - low), 1)

    def ticks(self) -> tuple[Tick, ...]:
        """Give round values along the axis."""
        values = _decades(self.low, self.high) if self.is_log else _steps(self.low, self.high)
        return tuple(Tick(self.place(value), f"{value:,.6g}") for value in values)


def plots(table: Table, headline: Column) -> tuple[Plot, ...]:
    """Draw the metric that ranks against each cost that two ranked models or more have."""
    rows = [row for row in table.rows if row.rank]
    drawn = []
    for cost in sorted(table.costs, key=lambda cost: cost.key != FIRST):
        known = [row for row in rows if cost.key in row.stats]
        if len(known) > 1:
            missing = len(rows) - len(known)
            drawn.append(_plot(table, known, quality=headline, cost=cost, missing=missing))
    return tuple(drawn)


def _plot(table: Table, rows: list[Row], *, quality: Column, cost: Column, missing: int) -> Plot:
    costs = [cost.scale * row.stats[cost.key].mean for row in rows]
    x_axis = _axis(costs, LEFT, WIDTH - RIGHT, is_log=max(costs) > WIDE * min(costs) > 0)
    shown = [value for row in rows for value in _extent(row, quality)]
    levels = {
        row.label: row.stats[quality.key].mean
        for row in table.rows
        if not row.entries and quality.key in row.stats
    }
    near, remarks = _near(levels, shown, quality)
    y_axis = _axis([*shown, *near.values()], HEIGHT - BOTTOM, TOP, is_log=False)
    shapes = _shapes(rows) if cost.key != "parameters" else {}
    points = [
        _point(
            row,
            (x_axis, y_axis),
            quality=quality,
            cost=cost,
            shape=shapes.get(_device(row), SHAPES[0]),
        )
        for row in rows
    ]
    if missing:
        remarks.append(f"Not drawn: {missing} without known cost.")
    lines = tuple(_line(y_axis.place(value), label, points) for label, value in near.items())
    return Plot(
        key=cost.key,
        across=_axis_title(cost),
        upwards=f"{_axis_title(quality)}, {quality.better} is better",
        title=f"{quality.title} against {cost.title}",
        x_ticks=x_axis.ticks(),
        y_ticks=y_axis.ticks(),
        points=tuple(_named(points, [row.label for row in rows], lines)),
        lines=lines,
        devices=tuple(shapes.items()) if len(shapes) > 1 else (),
        remarks=tuple(remarks),
    )


def _axis_title(column: Column) -> str:
    return f"{column.title} ({column.unit})" if column.unit else column.title


def _extent(row: Row, column: Column) -> list[float]:
    """Return the values that must be visible: the ends of the bar, and every seed."""
    mean, sd, _ = row.stats[column.key]
    ends = [mean - (sd or 0), mean + (sd or 0)]
    return [column.scale * value for value in (*ends, *_by_seed(row, column.key))]


def _by_seed(row: Row, key: str) -> list[float]:
    found = (score.values.get(key) for _, score in row.entries)
    return [value for value in found if value is not None]


def _near(
    levels: Mapping[str, float], shown: Sequence[float], column: Column
) -> tuple[dict[str, float], list[str]]:
    """Give baselines that fit beside the models, scaled, and a sentence on the others."""
    low, high = min(shown), max(shown)
    room = (high - low) or abs(high) or 1.0
    scaled = {name: column.scale * value for name, value in levels.items()}
    near = {name: v for name, v in scaled.items() if low - room <= v <= high + room}
    far = [f"{name}: {column.text(v)}" for name, v in levels.items() if name not in near]
    return near, ([f"Outside the plot: {'; '.join(far)}."] if far else [])


def _device(row: Row) -> str:
    devices = {record.device for record, _ in row.entries if isinstance(record, Record)}
    return devices.pop() if len(devices) == 1 else MIXED


def _shapes(rows: Iterable[Row]) -> dict[str, str]:
    """Give each device a shape; from the fifth on they share the last."""
    devices = sorted({_device(row) for row in rows})
    return {name: SHAPES[min(i, len(SHAPES) - 1)] for i, name in enumerate(devices)}


def _point(
    row: Row, axes: tuple[Axis, Axis], *, quality: Column, cost: Column, shape: str
) -> Point:
    x_axis, y_axis = axes
    mean, sd, count = row.stats[quality.key]
    x = x_axis.place(cost.scale * row.stats[cost.key].mean)

    def height(value: float) -> float:
        return y_axis.place(quality.scale * value)

    spread = f" ± {quality.text(sd)}" if sd is not None else ""
    value = f"{quality.title} {quality.text(mean)}{spread}"
    seeds = f", {count} seed{'s' * (count > 1)}" if row.seeds else ""
    return Point(
        x=x,
        y=height(mean),
        low=None if sd is None else height(mean - sd),
        high=None if sd is None else height(mean + sd),
        seeds=tuple((x, height(v)) for v in _by_seed(row, quality.key)) if count > 1 else (),
        shape=shape,
        is_best=row.rank == 1,
        title=f"{row.label}: {value}; {cost.title} {cost.text(row.stats[cost.key].mean)}"
        f"{' ' + cost.unit if cost.unit else ''}{seeds}",
    )


def _axis(values: Sequence[float], start: float, end: float, *, is_log: bool) -> Axis:
    """Give an axis with a little room at both ends."""
    low, high = min(values), max(values)
    if is_log:
        room = (high / low) ** 0.06
        return Axis(low / room, high * room, True, start, end)
    room = 0.08 * (high - low) or abs(high) / 2 or 1.0
    return Axis(low - room, high + room, False, start, end)


def _steps(low: float, high: float) -> list[float]:
    """Give multiples of 1, 2 or 5 times a power of ten, four to seven of them."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * min((1, 2, 5, 10), key=lambda factor: abs(factor * power - raw))
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Give powers of ten, and twice and five times them where those are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high < 300 * low else (1,)
    values = [factor * 10.0**power for power in powers for factor in factors]
    return [value for value in values if low <= value <= high]


Box = tuple[float, float, float, float]  # left, top, right, bottom


def _named(points: list[Point], labels: list[str], lines: Iterable[FrontLine]) -> Iterable[Point]:
    """Put each name where it covers no point, no bar and no other name, the best ones first."""
    taken: list[Box] = [_mark_box(point) for point in points]
    taken += [(p.x - 3, p.high, p.x + 3, p.low) for p in points if p.low and p.high]
    taken += [box for line in lines for box in (_box(line.name), _stroke_box(line))]
    for point, label in zip(points, labels, strict=True):
        name = _free_name(point, _short(label), taken)
        if name:
            taken.append(_box(name))
        yield dataclasses.replace(point, name=name)


def _mark_box(point: Point) -> Box:
    return (point.x - 6, point.y - 6, point.x + 6, point.y + 6)


def _stroke_box(line: FrontLine) -> Box:
    return (LEFT, line.at - 1, WIDTH - RIGHT, line.at + 1)


def _line(at: float, label: str, points: Iterable[Point]) -> FrontLine:
    """Name a baseline above it, to the right; to the left if a point is in the way there."""
    right = Name(WIDTH - RIGHT, at - 5, "end", label)
    left = Name(LEFT + 4, at - 5, "start", label)
    marks = [_mark_box(point) for point in points]
    return FrontLine(at, right if not _hits(_box(right), marks) else left)


def _short(label: str) -> str:
    """Cut the middle out, as models differ at the start of their names, variants at the end."""
    if len(label) <= LONGEST_NAME:
        return label
    end = LONGEST_NAME // 2
    return f"{label[: LONGEST_NAME - 1 - end]}…{label[-end:]}"


def _free_name(point: Point, text: str, taken: Sequence[Box]) -> Name | None:
    sides = (("start", 1), ("end", -1))
    names = [
        Name(point.x + sign * (10 if shift == 0 else 8), point.y + 4 + shift, anchor, text)
        for shift in (0, -12, 16)
        for anchor, sign in sides
    ]
    return next((n for n in names if _is_inside(_box(n)) and not _hits(_box(n), taken)), None)


def _box(name: Name) -> Box:
    width = LETTER * len(name.text)
    left = name.x if name.anchor == "start" else name.x - width
    return (left, name.y - LINE + 3, left + width, name.y + 3)


def _is_inside(box: Box) -> bool:
    return box[0] >= LEFT + 2 and box[1] >= 2 and box[2] <= WIDTH - 2 and box[3] < HEIGHT - BOTTOM


def _hits(box: Box, taken: Iterable[Box]) -> bool:
    return any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
        for other in taken
    )

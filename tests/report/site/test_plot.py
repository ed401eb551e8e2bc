"""Quality against cost: every point is where its value is, and no name covers another."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from i2i_bench.records import record
from i2i_bench.records.record import Record
from i2i_bench.report.leaderboard import ranked_by, tabulate
from i2i_bench.report.site import plot
from i2i_bench.report.site.plot import Plot

COMMITTED = Path(__file__).parents[3] / "results/stripes/cyclegan+preset=small/seed0.json"
KEY = "i2i@1/a2b"


def make(model: str, value: float, seconds: float | None = 10.0, **changes) -> Record:
    found = record.read_record(COMMITTED)
    score = found.scores[KEY]
    values = {"psnr_foreground": value}
    identity = score.baselines["identity"].model_copy(update={"values": {"psnr_foreground": 8.0}})
    whole = score.model_copy(update={"values": values, "baselines": {"identity": identity}})
    update = {"model": model, "scores": {KEY: whole}, "seconds": seconds}
    return found.model_copy(update=update | changes)


def draw(*records: Record, key: str = "seconds") -> Plot:
    (table,) = tabulate(records)
    (found,) = [p for p in plot.plots(table, ranked_by(table.group)) if p.key == key]
    return found


def place(drawn: Plot, model: str) -> tuple[float, float]:
    (point,) = [p for p in drawn.points if p.title.startswith(f"{model}:")]
    return point.x, point.y


def test_points_lie_where_the_ticks_say():
    drawn = draw(make("a", 10.0, 100.0), make("b", 20.0, 200.0), make("c", 15.0, 150.0))
    across = {tick.text: tick.at for tick in drawn.x_ticks}
    upwards = {tick.text: tick.at for tick in drawn.y_ticks}
    assert {"100", "120", "140", "160", "180", "200"} == set(across)
    assert {"8", "10", "12", "14", "16", "18", "20"} <= set(upwards)
    assert place(drawn, "a") == (across["100"], upwards["10"])
    assert place(drawn, "b") == (across["200"], upwards["20"])


def test_wide_costs_stand_on_a_logarithmic_axis():
    drawn = draw(make("a", 10.0, 1.0), make("b", 12.0, 10.0), make("c", 14.0, 100.0))
    xs = [place(drawn, model)[0] for model in "abc"]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)
    ticks = {tick.text: tick.at for tick in drawn.x_ticks}
    assert [ticks["1"], ticks["10"], ticks["100"]] == xs


def test_bar_and_seeds_lie_about_the_mean():
    seeds = [make("a", value, seed=seed) for seed, value in enumerate((10.0, 12.0, 17.0))]
    drawn = draw(*seeds, make("b", 20.0))
    upwards = {tick.text: tick.at for tick in drawn.y_ticks}
    (point,) = [p for p in drawn.points if p.seeds]
    unit = (upwards["10"] - upwards["20"]) / 10
    assert point.y == pytest.approx(upwards["10"] - 3 * unit, abs=0.1)
    assert point.low is not None and point.high is not None
    assert point.low - point.high == pytest.approx(2 * 13**0.5 * unit, abs=0.2)
    assert [y for _, y in point.seeds] == pytest.approx(
        [upwards["10"] - d * unit for d in (0, 2, 7)], abs=0.1
    )
    (alone,) = [p for p in drawn.points if not p.seeds]
    assert alone.low is alone.high is None


def test_best_is_told_and_devices_have_shapes_of_their_own():
    drawn = draw(make("a", 10.0), make("b", 12.0, device="GPU"), make("c", 11.0, device="GPU"))
    shapes = {p.title[0]: p.shape for p in drawn.points}
    assert shapes["b"] == shapes["c"] != shapes["a"]
    assert [p.title[0] for p in drawn.points if p.is_best] == ["b"]
    assert len(drawn.devices) == 2


def test_cost_that_is_of_the_model_alone_knows_no_device():
    drawn = draw(make("a", 10.0), make("b", 12.0, device="GPU"), key="parameters")
    assert not drawn.devices
    assert len({p.shape for p in drawn.points}) == 1


def test_baseline_is_a_line_if_it_is_near_and_a_sentence_if_not():
    near = draw(make("a", 10.0), make("b", 20.0))
    (line,) = near.lines
    assert line.name.text == "identity (source unchanged)"
    far = draw(make("a", 40.0), make("b", 41.0))
    assert not far.lines
    assert far.remarks == ("Outside the plot: identity (source unchanged): 8.00.",)


def test_model_of_unknown_cost_is_said_not_to_be_drawn():
    drawn = draw(make("a", 10.0), make("b", 20.0), make("c", 15.0, None))
    assert len(drawn.points) == 2
    assert drawn.remarks == ("Not drawn: 1 without known cost.",)


def test_what_is_not_ranked_is_not_drawn():
    (whole,) = make("c", 30.0).scores.values()
    partial = {KEY: whole.model_copy(update={"partial": True})}
    drawn = draw(make("a", 10.0), make("b", 20.0), make("c", 30.0, scores=partial))
    assert sorted(p.title[0] for p in drawn.points) == ["a", "b"]
    unknown = [make(model, 10.0, headline="beauty") for model in "ab"]
    (table,) = tabulate(unknown)
    assert plot.plots(table, ranked_by(table.group)) == ()


def test_long_names_of_variants_differ_when_cut():
    start = "attentiongan+budget=16,num_masks="
    names = {plot._short(f"{start}{number}") for number in (1, 2, 10)}
    assert len(names) == 3
    assert all(len(name) == plot.LONGEST_NAME and "…" in name for name in names)
    assert plot._short("cyclegan") == "cyclegan"


def test_single_model_has_no_plot():
    (table,) = tabulate([make("a", 10.0)])
    assert plot.plots(table, ranked_by(table.group)) == ()


@pytest.mark.parametrize("step", [0.0, 0.01, 0.3, 3.0])
def test_names_cover_no_point_and_no_other_name(step):
    names = [f"model-{'x' * (i % 9)}{i}" for i in range(14)]
    drawn = draw(*(make(n, 10 + step * i, 100 + step * i) for i, n in enumerate(names)))
    named = [p for p in drawn.points if p.name]
    boxes = [plot._box(p.name) for p in named if p.name]
    assert len(boxes) >= 4
    for one, other in itertools.combinations(boxes, 2):
        assert not plot._hits(one, [other])
    assert all(box[0] >= plot.LEFT and box[2] <= plot.WIDTH for box in boxes)
    marks = [plot._mark_box(p) for p in drawn.points]
    assert not any(plot._hits(box, marks) for box in boxes)


def test_equal_values_are_drawn():
    drawn = draw(make("a", 10.0), make("b", 10.0))
    assert place(drawn, "a") == place(drawn, "b")
    assert drawn.x_ticks and drawn.y_ticks

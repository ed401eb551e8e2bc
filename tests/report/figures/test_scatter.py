"""The scatter of a task: its figures, points, and what is hollow."""

import numpy as np
import pytest
from leaderboard_records import make
from matplotlib.container import ErrorbarContainer

from i2i_bench.records.record import MachineLoad
from i2i_bench.report import leaderboard
from i2i_bench.report.figures import scatter, style

BUSY = MachineLoad(start=3.0, end=2.5, threads=1)


def tables(*records):
    return leaderboard.tabulate(records, "stripes")


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Give a function that draws the only figure of records, laid out."""
    kept = []
    monkeypatch.setattr(style, "save_figure", lambda figure, output: kept.append(figure))

    def draw(*records):
        (group,) = scatter.scatter_groups(tables(*records)).values()
        scatter.draw_scatter(group, tmp_path / "unused.png")
        kept[-1].draw_without_rendering()
        return kept[-1]

    return draw


def points(axes):
    """Give place and filling of each point of a panel, by the name of its model."""
    found = {}
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        line = container.lines[0]
        (place,) = np.asarray(line.get_xydata()).tolist()
        found[container.get_label()] = (*place, line.get_fillstyle())
    return found


def test_points_are_means_over_seeds_at_the_costs(drawn):
    seeds = [make("unit", s, values={"psnr_foreground": 10.0 + 2 * s}) for s in (0, 1)]
    figure = drawn(*seeds, make("cyclegan", values={"psnr_foreground": 20.0}))
    parameters, seconds = figure.axes
    made = seeds[0]
    assert points(parameters)["unit"] == (sum(made.parameters.values()) * 1e-6, 11.0, "full")
    assert points(seconds)["unit"][:2] == (made.seconds, 11.0)
    assert points(seconds)["cyclegan"][1] == 20.0


def test_times_beside_other_work_and_of_other_devices_are_hollow(drawn):
    records = [make(name) for name in ("cyclegan", "unit", "munit")]
    figure = drawn(*records, make("drit", load=BUSY), make("ugatit", device="another"))
    parameters, seconds = (points(axes) for axes in figure.axes)
    assert {name for name, point in seconds.items() if point[2] == "none"} == {"drit", "ugatit"}
    assert all(point[2] == "full" for point in parameters.values())
    assert "hollow" in figure.axes[1].get_xlabel()
    assert "hollow" not in figure.axes[0].get_xlabel()


def test_forty_models_have_looks_of_their_own(drawn):
    figure = drawn(*(make(f"model-{number:02}") for number in range(40)))
    looks = [each.lines[0] for each in figure.axes[0].containers]
    assert len({(line.get_color(), line.get_marker()) for line in looks}) == 40


def test_variants_are_left_out_and_presets_have_figures_of_their_own():
    variant = make("unit", variant="preset=small,lambda_cycle=1")
    small = make("unit", preset="small", variant="preset=small")
    groups = scatter.scatter_groups(tables(variant, small, make("unit", preset="tiny")))
    assert list(groups) == ["scatter-small-i2i", "scatter-tiny-i2i"]
    assert scatter.scatter_groups(tables(variant)) == {}

"""Ablations: what is run, what is skipped, and what tables and curves show of the records."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from sound_records import make_record, make_score

from i2i_bench.plugins import registry
from i2i_bench.plugins.toy import toy
from i2i_bench.records.ablation import FOLDER, AblationPlan, AblationPoint, read_ablations
from i2i_bench.records.record import Values
from i2i_bench.report import ablation
from i2i_bench.report.figures import curves, style
from i2i_bench.runs.ablation import LONGEST_NAME, Theme, declared, plan_ablation, product
from i2i_bench.runs.job import Choices

pytestmark = pytest.mark.slow  # whole runs and commands

# --- from records to tables


def make(masks, background="input", seed=0, **values):
    """Make a record of one point, scored in both directions."""
    found = {"psnr_foreground": 10.0 + masks + seed, "psnr_background": 30.0}
    found |= {"background_share": 0.5, "effective_masks": masks / 2} | values
    identity = {"identity": Values(values={"psnr_foreground": 8.0, "psnr_background": 100.0})}
    score = {"image_size": 32, "baselines": identity, "values": found}
    return make_record(
        *(make_score(direction=direction, **score) for direction in ("a2b", "b2a")),
        model="some",
        variant=f"preset=small,background={background},num_masks={masks}",
        preset="small",
        seed=seed,
        parameters={"generator": masks * 1_000_000},
        images_per_second=50.0,
    )


def planned(masks=(1, 2, 10), backgrounds=("input",), seeds=(0, 1)):
    keys = ("num_masks",) if len(backgrounds) == 1 else ("num_masks", "background")
    points = [
        AblationPoint(
            values=(str(n), kind)[: len(keys)],
            run=f"stripes/some+preset=small,background={kind},num_masks={n}",
        )
        for n in masks
        for kind in backgrounds
    ]
    return AblationPlan(
        name="stripes-some-num_masks",
        title="some by num_masks: stripes",
        command="i2i-bench ablate --task stripes",
        task="stripes",
        keys=keys,
        points=tuple(points),
        seeds=seeds,
        protocols=("i2i",),
    )


RECORDS = [make(n, seed=s) for n in (10, 1, 2) for s in (1, 0)]


def lines(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def test_rows_are_points_in_the_order_of_the_plan_in_both_directions():
    boards = ablation.ablation_tables(planned(), [*RECORDS, make(4)])
    assert [board.group.direction for board in boards] == ["a2b", "b2a"]
    for board in boards:
        assert [row.values[0] for row in board.rows] == ["1", "2", "10", board.rows[-1].label]
        assert [row.rank for row in board.rows] == [None] * 4
        assert board.columns[0].key == "psnr_foreground"
        shown = {column.key for column in (*board.columns, *board.costs)}
        assert {"effective_masks", "background_share", "parameters", "images_per_second"} <= shown


def test_values_are_mean_and_deviation_over_the_seeds_of_the_plan():
    text = ablation.ablation_texts(planned(), [*RECORDS, make(2, seed=7)])[".md"]
    (row, *_) = [line for line in lines(text) if line.startswith("| 2 ")]
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[2:4] == ["2", "12.50 ± 0.71"]  # seed 7 is not of the plan


def test_grid_has_a_column_for_each_key():
    records = [make(n, b) for n in (1, 2) for b in ("input", "generated")]
    plan = planned((1, 2), ("input", "generated"), (0,))
    text = ablation.ablation_texts(plan, records)[".md"]
    heads = [line for line in lines(text) if "num_masks" in line]
    assert all(line.startswith("| num_masks") and "| background" in line for line in heads)
    rows = [line.split("|")[1:3] for line in lines(text) if line.startswith(("| 1 ", "| 2 "))]
    cells = [tuple(part.strip() for part in row) for row in rows]
    assert cells[:4] == [("1", "input"), ("1", "generated"), ("2", "input"), ("2", "generated")]


def test_markdown_is_aligned_and_fits_a_terminal():
    text = ablation.ablation_texts(planned(), RECORDS)[".md"]
    for block in text.split("\n\n"):
        widths = {len(line) for line in lines(block)}
        assert len(widths) <= 1
        assert max(widths, default=0) <= 120


def test_older_records_without_mask_health_show_a_dash():
    old = [make(n, seed=s, effective_masks=None) for n in (1,) for s in (0, 1)]
    text = ablation.ablation_texts(planned(), [*old, *RECORDS[:2], *RECORDS[4:]])[".csv"]
    rows = list(csv.DictReader(text.splitlines()))
    found = {row["num_masks"]: row["effective_masks_mean"] for row in rows}
    assert (found["1"], found["10"]) == ("", "5.0")


def test_missing_runs_are_named():
    text = ablation.ablation_texts(planned(), RECORDS[:3])[".md"]
    assert "- No record of 1, seed 0." in text
    assert "- No record of 2, seeds 0, 1." in text


def test_equal_records_give_equal_files_whatever_their_order(tmp_path):
    for name, records in (("one", RECORDS), ("two", RECORDS[::-1])):
        ablation.write_ablation(planned(), records, tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "one" / FOLDER).iterdir())
    suffixes = ["csv", "json", "md", "png", "svg", "tex"]
    assert names == [f"stripes-some-num_masks.{suffix}" for suffix in suffixes]
    for name in names:
        one, two = (tmp_path / each / FOLDER / name for each in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_plan_is_read_back_and_text_that_the_records_no_longer_give_is_stale(tmp_path):
    ablation.write_ablation(planned(), RECORDS, tmp_path)
    (found,) = read_ablations(tmp_path)
    assert found == planned()
    assert ablation.stale_files(found, RECORDS, tmp_path) == []
    wrong = [path.suffix for path in ablation.stale_files(found, RECORDS[1:], tmp_path)]
    assert wrong == [".md", ".csv", ".tex"]
    (tmp_path / FOLDER / "stripes-some-num_masks.svg").unlink()
    (gone,) = ablation.stale_files(found, RECORDS, tmp_path)
    assert gone.suffix == ".svg"


@pytest.mark.parametrize(
    ("content", "part"),
    [("{}", "name: Field required"), ("[", "Invalid JSON"), (None, "is the plan of stripes-some")],
)
def test_broken_plan_is_refused_by_name(tmp_path, content, part):
    path = tmp_path / FOLDER / "other.json"
    path.parent.mkdir()
    path.write_text(content or planned().model_dump_json())
    with pytest.raises(ValueError, match=part) as caught:
        read_ablations(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("masks", "backgrounds", "values"),
    [
        pytest.param((1, 2, 10), ("input", "generated"), {}, id="grid"),
        pytest.param((1, 2, 100), ("input",), {}, id="far apart", marks=pytest.mark.slow),
        pytest.param(
            *((1, 2), ("input",), {"psnr_background": 100.0}),
            id="equal backgrounds",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_curves_are_a_column_wide(tmp_path, masks, backgrounds, values):
    records = [make(n, b, s, **values) for n in masks for b in backgrounds for s in (0, 1)]
    ablation.write_ablation(planned(masks, backgrounds), records, tmp_path)
    with Image.open(tmp_path / FOLDER / "stripes-some-num_masks.png") as image:
        assert image.width == style.COLUMN * style.DPI


def test_tables_that_lack_points_keep_their_places(monkeypatch):
    """As where some records were scored with weights, and others without."""
    seen = []
    monkeypatch.setattr(style, "save_figure", lambda figure, output: seen.append(figure))
    boards = ablation.ablation_tables(planned(seeds=(0,)), [make(n) for n in (1, 2, 10)])
    words = {"1": "none", "2": "few", "10": "many"}
    boards = [
        dataclasses.replace(
            board,
            rows=tuple(
                dataclasses.replace(row, values=(words.get(row.values[0], row.values[0]),))
                for row in board.rows[skipped:]
            ),
        )
        for skipped, board in enumerate(boards)
    ]
    curves.draw_curves(boards, Path("unused.png"))
    first, second = seen[0].axes[:2]
    assert list(first.lines[0].get_xdata()) == [0, 1, 2]
    assert list(second.lines[0].get_xdata()) == [1, 2]
    lowest = seen[0].axes[-1]
    assert [label.get_text() for label in lowest.get_xticklabels()] == ["none", "few", "many"]


def one_way(masks, seeds=(0, 1)):
    """Make records of which those of more than one mask translate b to a only."""
    records = [make(n, seed=seed) for n in masks for seed in seeds]
    return [
        r
        if "num_masks=1" in r.variant.split(",")
        else r.model_copy(
            update={
                "directions": ["b2a"],
                "scores": {k: s for k, s in r.scores.items() if s.direction == "b2a"},
            }
        )
        for r in records
    ]


def test_points_of_one_way_stand_in_its_table_alone_and_are_not_missing():
    there, back = ablation.ablation_tables(planned(), one_way((1, 2, 10)))
    assert [row.values[0] for row in there.rows if row.kind == "model"] == ["1"]
    assert [row.values[0] for row in back.rows if row.kind == "model"] == ["1", "2", "10"]
    for table in (there, back):
        assert not [note for note in table.notes if note.startswith("No record")]
        (said,) = [note for note in table.notes if note.endswith(" b2a only.")]
        assert "num_masks=10 and some+background=input,num_masks=2 translate" in said


def test_curves_of_one_way_have_the_legend_of_both(monkeypatch):
    seen = []
    monkeypatch.setattr(style, "save_figure", lambda figure, output: seen.append(figure))
    records = [r for r in one_way((1, 2, 10)) if r.seed == 0 or r.directions]
    curves.draw_curves(ablation.ablation_tables(planned(), records), Path("unused.png"))
    first, second = seen[0].axes[:2]
    assert list(first.lines[0].get_xdata()) == [1]
    assert list(second.lines[0].get_xdata()) == [1, 2, 10]
    (legend,) = seen[0].legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "source unchanged",
        "mean ± standard deviation over seeds",
    ]


# --- from what is varied to runs


def theme(variants, keys=("num_masks",)):
    return Theme("name", "title", keys, tuple(variants), ("i2i-bench", "ablate"), ("i2i",))


def test_product_of_values_and_seeds_is_planned_point_by_point(tmp_path):
    axes = {"num_masks": ("1", "4"), "budget": ("8", "16")}
    variants = product("attentiongan", axes, Choices("small", {"beta1": "0.4"}))
    found, jobs = plan_ablation(theme(variants, tuple(axes)), "stripes", [3, 3, 1], tmp_path)
    assert [point.values for point in found.points] == [
        *(("1", "8"), ("1", "16"), ("4", "8"), ("4", "16"))
    ]
    assert found.points[3].run == "stripes/attentiongan+preset=small,beta1=0.4,budget=16"
    assert [job.run.seed for job in jobs] == [3, 1] * 4
    assert [job.settings.budget for job in jobs][:4] == [8, 8, 16, 16]


@pytest.mark.parametrize(
    ("axes", "choices", "part"),
    [
        ({"num_masks": ("1",)}, Choices(changes={"num_masks": "2"}), "num_masks is varied"),
        ({"budget": ("1",)}, Choices(budget=3), "budget is varied"),
        ({"budget": ("none",)}, Choices(), "budget=none: a number of images"),
        ({"num_mask": ("1",)}, Choices("tiny"), "did you mean 'num_masks'"),
        ({"num_masks": ("1", "01")}, Choices("tiny"), "1 and 1 are the same run"),
        ({"background": ("input", "blue")}, Choices("tiny"), "background=blue: Input should be"),
    ],
)
def test_what_cannot_be_varied_is_refused_before_anything_runs(tmp_path, axes, choices, part):
    with pytest.raises(ValueError, match=part):
        plan_ablation(
            theme(product("attentiongan", axes, choices), tuple(axes)),
            *("stripes", [0], tmp_path),
        )


def test_names_of_files_are_safe_and_bounded(tmp_path):
    variants = product("attentiongan", {"num_masks": ("1", "2")}, Choices("tiny"))
    long = dataclasses.replace(theme(variants), name="n" * 200)
    found, _ = plan_ablation(long, "stripes", [0], tmp_path)
    assert len(found.name) == LONGEST_NAME
    hostile = dataclasses.replace(theme(variants), name="../out")
    with pytest.raises(ValueError, match=r"no files can be named 'stripes-\.\./out'"):
        plan_ablation(hostile, "stripes", [0], tmp_path)


@pytest.mark.parametrize("model", registry.available_models())
def test_declared_ablations_can_be_planned(tmp_path, model):
    model_class = registry.load_model(model)
    like = toy(model_class)
    task = "shapes-attributes" if like.attributes else "stripes"
    task = "stripes-paired" if like.paired else task
    for name in model_class.ablations:
        found, variants = declared(model, name, Choices("small"))
        made, jobs = plan_ablation(theme(variants, (found.key,)), task, [0], tmp_path)
        assert [point.values[0] for point in made.points] == [p.label for p in found.points]
        assert len({job.run for job in jobs}) == len(found.points)


def test_unknown_ablation_gets_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'losses'"):
        declared("attentiongan", "loss", Choices())
    with pytest.raises(ValueError, match="possible: none; use --vary"):
        declared("cyclegan", "losses", Choices())


# --- the command

VARY = ("ablate", "--model", "attentiongan", "--preset", "tiny", "--vary", "num_masks=1,3")


def test_ablation_runs_what_is_not_recorded_and_then_nothing(finished, cli, tiny):
    arguments = (*VARY, "--task", tiny, "--seed", 0, "--seed", 1)
    dry = cli(*arguments, "--dry-run")
    assert dry.count(" no ") == 2  # three masks are the tiny preset's own
    assert not (finished / "results" / FOLDER).exists()
    first = cli(*arguments)
    assert first.count("recorded already") == 2
    assert first.count(": recorded in") == 2
    folder = finished / "results" / FOLDER
    before = {path: path.read_bytes() for path in folder.iterdir()}
    again = cli(*arguments)
    assert again.count("recorded already") == 4
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    (plan,) = [json.loads(content) for path, content in before.items() if path.suffix == ".json"]
    assert [point["values"] for point in plan["points"]] == [["1"], ["3"]]
    assert plan["command"].startswith("i2i-bench ablate --model attentiongan --vary num_masks=1,3")
    shutil.rmtree(finished / "runs")
    (folder / f"{plan['name']}.md").write_text("old")
    assert "is stale; i2i-bench ablate --write" in cli("ablate", "--check", code=1)
    cli("ablate", "--write")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert cli("ablate", "--check").startswith("1 ablation in")
    assert "there is no folder of records nowhere" in cli(
        "ablate", "--check", "--results", "nowhere", code=1
    )


def test_points_that_fail_do_not_keep_the_others_from_being_shown(places, cli, tiny):
    values = f"generator_width=4,{10**7}"  # of which no machine holds the second
    arguments = ("ablate", "--model", "cyclegan", "--preset", "tiny", "--task", tiny)
    arguments = (*arguments, "--vary", values, "--name", "own", "--metric", "label-map")
    assert "1 of 2 runs failed" in cli(*arguments, code=1)
    (path,) = (places / "results" / FOLDER).glob("*-own.md")
    assert "No record of 10000000, seed 0." in path.read_text()
    plan = json.loads(path.with_suffix(".json").read_text())
    assert " --metric label-map" in plan["command"]
    (made,) = (places / "results").glob("*/cyclegan*/seed0.json")
    assert all(
        "label_map_iou" in s["values"] for s in json.loads(made.read_text())["scores"].values()
    )


def test_old_option_of_recorded_commands_still_names_an_ablation(places, cli):
    arguments = ("ablate", "--model", "attentiongan", "--task", "stripes", "--dry-run")
    assert cli(*arguments, "--study", "masks") == cli(*arguments, "--ablation", "masks")
    assert "--study" not in cli("ablate", "--help")


def test_declared_ablations_are_listed(cli):
    text = cli("ablate", "--list")
    assert "attentiongan     schemes" in text
    assert "attentiongan-v1  losses" in text


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((), "--model and --task are needed"),
        (("--model", "cyclegan", "--task", "stripes"), "either --vary"),
        ((*VARY[1:], "--task", "stripes", "--ablation", "masks"), "leave --vary or --ablation out"),
        ((*VARY[1:], "--task", "stripes", "--vary", "num_masks=2"), "given twice"),
        ((*VARY[1:5], "--task", "stripes", "--vary", "num_masks"), "KEY=VALUE,VALUE"),
        ((*VARY[1:5], "--task", "stripes", "--vary", "num_masks=1,,2"), "KEY=VALUE,VALUE"),
    ],
)
def test_wrong_usage_is_told(places, cli, arguments, part):
    assert part in cli("ablate", *arguments, code=2)

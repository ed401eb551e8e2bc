"""How diverse translations are: every recipe by its name, beside what papers print."""

import csv
import io

from sound_records import make_record, make_score

from i2i_bench.records.record import Values
from i2i_bench.report.papers import published, tables
from i2i_bench.report.papers.diversity import diversity_table
from i2i_bench.scoring.metric_set import known_metrics


def make(model, values, *, task="palette", seed=0, real=None, direction="a2b", headline="kid"):
    baselines = {"real": Values(values=real)} if real else {}
    score = make_score(values=values, baselines=baselines, direction=direction)
    return make_record(score, model=model, task=task, seed=seed, headline=headline)


def text(records=()):
    return tables.paper_markdown(diversity_table(records))


def cells(shown, start):
    rows = [line for line in shown.splitlines() if line.startswith(f"| {start} ")]
    return [[part.strip() for part in row.strip("|").split("|")] for row in rows]


def lines(records=()):
    return list(csv.DictReader(io.StringIO(tables.paper_csv(diversity_table(records)))))


def test_recipes_of_printed_values_are_metrics_and_methods_keep_their_decimals():
    printed = published.printed_diversities()
    assert printed
    for value in printed:
        assert value.metric in known_metrics().by_key
        assert 0 < float(value.value) < 1
        assert value.styles in ("drawn", "of examples")
    ours = {line["value"] for line in lines() if line["origin"] == "paper"}
    assert ours == {value.value for value in printed}
    assert "0.3880" in ours


def test_exact_values_stand_before_the_recipes_with_real_images_as_the_bound():
    values = {"valid_share": 0.5, "modes_found": 3.0, "diversity": 0.2, "diversity_munit": 0.19}
    again = values | {"valid_share": 0.7, "diversity": 0.4}
    records = [make("munit", values, real={"diversity": 0.45}), make("munit", again, seed=1)]
    shown = text(records)
    head = next(line for line in shown.splitlines() if line.startswith("| model "))
    assert [part.strip().split(" ")[0] for part in head.strip("|").split("|")] == [
        *("model", "runs", "valid", "modes", "diversity", "diversity"),
    ]
    (row,) = cells(shown, "munit")
    assert row[:5] == ["munit", "2", "60.0 ± 14.1", "3.00 ± 0.00", "0.300 ± 0.141"]
    (real,) = cells(shown, "real vs real")
    assert real[1:] == ["", "-", "-", "0.450", "-"]


def test_a_task_whose_diversity_nobody_asked_for_shows_what_is_exact_and_says_so():
    shown = text([make("cyclegan", {"valid_share": 0.5, "modes_found": 1.0})])
    assert cells(shown, "cyclegan") == [["cyclegan", "1", "50.0", "1.00"]]
    assert "No recipe has a value" in shown


def test_records_without_diversity_have_no_section():
    assert text([make("cyclegan", {"kid": 0.1})]) == text()


def test_a_measured_value_stands_beside_the_printed_one_of_its_recipe_and_data_set_alone():
    munit, other = {"diversity_munit": 0.12}, {"diversity": 0.2}
    records = [
        make("munit", munit, task="edges2shoes"),
        make("unit", munit, task="edges2shoes"),
        make("munit", munit, task="palette"),
        make("munit", other, task="edges2handbags"),
    ]
    rows = cells(text(records), "MUNIT")
    assert [row[:7] for row in rows] == [
        ["MUNIT", "edges2shoes", "drawn", "diversity MUNIT", "0.109", "0.120", "munit"]
    ]
    (unmeasured,) = cells(text(), "MUNIT")
    assert unmeasured[4:] == ["0.109", "", ""]


def test_programs_get_every_value_with_its_group():
    found = [line for line in lines([make("munit", {"modes_found": 2.5})]) if line["runs"]]
    (line,) = found
    assert (line["origin"], line["metric"], line["value"]) == ("measured", "modes_found", "2.5")
    assert (line["dataset"], line["direction"], line["method"]) == ("palette", "a2b", "munit")


def test_command_prints_the_table(cli, places):
    assert "Diversity that papers print" in cli("table", "diversity")
    assert "booktabs" in cli("table", "diversity", "--format", "latex")

import subprocess
import sys

import pytest
from leaderboard_records import MISSING, kid, make, models, parse, psnr

from i2i_bench.report import columns, render
from i2i_bench.report.leaderboard import tabulate
from i2i_bench.report.render import leaderboard_csv, leaderboard_latex, leaderboard_markdown
from i2i_bench.report.rows import cell
from i2i_bench.report.summary import results_readme
from i2i_bench.scoring.metric_set import known_metrics

# --- ranking


def test_higher_psnr_ranks_first():
    (table,) = tabulate([psnr("unit", 19.0), psnr("cyclegan", 21.0), psnr("ugatit", 20.0)])
    assert models(table) == [("cyclegan", 1), ("ugatit", 2), ("unit", 3)]


def test_lower_kid_ranks_first_and_may_be_negative():
    (table,) = tabulate([kid("unit", 0.01), kid("cyclegan", -0.002)])
    assert models(table) == [("cyclegan", 1), ("unit", 2)]


def test_values_that_print_the_same_share_a_rank():
    records = [psnr("unit", 20.001), psnr("cyclegan", 20.004), psnr("ugatit", 19.0)]
    (table,) = tabulate(records)
    assert models(table) == [("cyclegan", 1), ("unit", 1), ("ugatit", 3)]
    assert table.rows[0].marks == table.rows[1].marks == {"psnr_foreground": "best"}
    assert table.rows[2].marks == {"psnr_foreground": "second"}


def test_row_without_headline_comes_after_the_ranked_with_its_reason():
    records = [
        psnr("attentiongan", None, reasons={"psnr_foreground": "broken images"}),
        psnr("cyclegan", 20.0),
    ]
    (table,) = tabulate(records)
    assert models(table) == [("cyclegan", 1), ("attentiongan", None)]
    assert "No PSNR fg of attentiongan: broken images" in table.notes


def test_nothing_is_ranked_where_all_headlines_are_null():
    reasons = {"kid": MISSING, "fid": MISSING, "kid_se": MISSING}
    (table,) = tabulate([kid("unit", None, reasons=reasons), kid("ugatit", None, reasons=reasons)])
    assert models(table) == [("ugatit", None), ("unit", None)]
    assert table.notes[0].startswith("Nothing is ranked: no row has a value of KID")
    assert f"No FID, KID: {MISSING}" in table.notes
    assert sum(note.count(MISSING) for note in table.notes) == 1


def test_unknown_headline_ranks_nothing():
    (table,) = tabulate([make(headline="beauty", values={"beauty": 3.0})])
    assert models(table) == [("cyclegan", None)]
    assert table.notes[0] == "Nothing is ranked: 'beauty' is not a metric to rank by."
    assert [column.header for column in table.columns] == ["beauty"]


def test_partial_scores_are_neither_ranked_nor_marked_nor_averaged_with_complete_ones():
    records = [
        psnr("unit", 20.0),
        psnr("cyclegan", 21.0),
        psnr("cyclegan", 90.0, seed=1, score={"partial": True, "n_fake": 50}),
    ]
    (table,) = tabulate(records)
    assert models(table) == [("cyclegan", 1), ("unit", 2), ("cyclegan (partial)", None)]
    assert [row.marks for row in table.rows[:3]] == [
        {"psnr_foreground": "best"},
        {"psnr_foreground": "second"},
        {},
    ]
    note = "cyclegan (partial): not ranked, test images are missing (50 were translated)."
    assert note in table.notes


def test_single_model_is_ranked_but_not_marked_best():
    (table,) = tabulate([psnr("unit", 20.0)])
    assert models(table) == [("unit", 1)]
    assert not table.rows[0].marks


def test_metric_that_is_neither_good_nor_bad_is_not_marked():
    values = {"psnr_foreground": 20.0, "lpips_source": 0.1}
    (table,) = tabulate([make("unit", values=values), make("ugatit", values=values)])
    assert all("lpips_source" not in row.marks for row in table.rows)


# --- seeds


def test_seeds_give_mean_and_sample_deviation():
    (table,) = tabulate([psnr("unit", value, seed=i) for i, value in enumerate((19, 20, 24))])
    row = table.rows[0]
    assert row.seeds == 3
    assert row.stats["psnr_foreground"] == pytest.approx((21.0, 7**0.5, 3))
    assert cell(row, table.columns[0]) == "21.00 ± 2.65"


def test_one_seed_shows_no_spread_but_the_jackknife_error_of_the_kid():
    (table,) = tabulate([kid("unit", 0.12)])
    shown = {column.key: cell(table.rows[0], column) for column in table.columns}
    assert shown == {"kid": "12.00 ± 0.10", "fid": "0.1"}
    assert (
        "± is the standard deviation over seeds; "
        "rows of one seed show the jackknife standard error of the KID, or none." in table.notes
    )


def test_several_seeds_show_their_spread_and_not_the_jackknife():
    (table,) = tabulate([kid("unit", 0.10), kid("unit", 0.12, seed=1)])
    assert cell(table.rows[0], table.columns[0]) == "11.00 ± 1.41"


def test_seed_without_value_is_left_out_and_said():
    reasons = {"psnr_foreground": "no truth"}
    (table,) = tabulate([psnr("unit", 20.0), psnr("unit", None, seed=1, reasons=reasons)])
    assert table.rows[0].stats["psnr_foreground"] == (20.0, None, 1)
    assert "No PSNR fg of unit, 1 of 2 seeds: no truth" in table.notes


def test_seeds_of_several_versions_are_said():
    (table,) = tabulate([make(), make(seed=1, distribution_version="0.2.0")])
    note = "cyclegan: seeds of several versions (i2i-baselines 0.1.0, i2i-baselines 0.2.0)."
    assert note in table.notes


def test_checkpoints_chosen_on_the_test_set_are_a_visible_row_of_their_own():
    chosen = {"checkpoint": "best", "selected_on": "test fid"}
    (table,) = tabulate([psnr("unit", 20.0), psnr("unit", 21.0, seed=1, score=chosen)])
    assert models(table) == [("unit (best, selected on test fid)", 1), ("unit", 2)]


def test_seeds_of_several_checkpoints_are_several_rows():
    best = {"checkpoint": "best", "selected_on": None}
    (table,) = tabulate([psnr("unit", 20.0), psnr("unit", 21.0, seed=1, score=best)])
    assert models(table) == [("unit (best)", 1), ("unit", 2)]


# --- groups


@pytest.mark.parametrize(
    "other",
    [
        {"task": "hue"},
        {"preset": "small", "variant": "preset=small"},
        {"task_version": 2},
        {"headline": "psnr"},
        {"score": {"task_version": 2}},
        {"score": {"protocol": "clean"}},
        {"score": {"protocol_version": 2}},
        {"score": {"direction": "b2a"}},
        {"score": {"weights_sha256": "c" * 64}},
        {"score": {"image_size": 128}},
        {"score": {"pixels_sha256": {"real": "d" * 64}}},
        {"score": {"recipe": "pt-legacy"}},
        {"score": {"estimator": {"subsets": 10}}},
    ],
    ids=str,
)
def test_what_is_not_comparable_is_never_in_one_table(other):
    tables = tabulate([make("unit"), make("ugatit", **other)])
    assert sorted(label for table in tables for label, _ in models(table)) == ["ugatit", "unit"]
    assert len(tables) == 2


def test_variants_stand_beside_each_other():
    small = "preset=small"
    records = [
        psnr("unit", 20.0, preset="small", variant=small),
        psnr("unit", 21.0, preset="small", variant=f"{small},lambda_cycle=5"),
    ]
    (table,) = tabulate(records)
    assert models(table) == [("unit+lambda_cycle=5", 1), ("unit", 2)]
    assert "preset small" in table.heading


def test_every_direction_of_a_record_gets_its_table():
    record = make()
    score = record.scores["i2i@1/a2b"]
    back = score.model_copy(update={"direction": "b2a"})
    both = record.model_copy(update={"scores": {**record.scores, "i2i@1/b2a": back}})
    assert [table.group.direction for table in tabulate([both])] == ["a2b", "b2a"]


def test_order_of_the_records_does_not_matter():
    records = [psnr(m, v, seed=s) for m, v, s in (("unit", 20, 0), ("unit", 21, 1), ("a", 9, 0))]
    records.append(make("hue-model", task="hue"))
    assert results_readme(records) == results_readme(records[::-1])


def test_task_chooses_and_an_unknown_one_lists_those_with_records():
    records = [make(), make(task="hue")]
    assert [table.group.task for table in tabulate(records, "hue")] == ["hue"]
    expected = (
        r"^no records of task 'stripe'; did you mean 'stripes'\? there are some of: hue, stripes"
    )
    for make_text in (tabulate, leaderboard_markdown, leaderboard_csv, leaderboard_latex):
        with pytest.raises(ValueError, match=expected):
            make_text(records, "stripe")


def test_time_that_includes_compiling_is_told():
    records = [make("x", modes=["compile", "fused"]), make("y", modes=["fused"])]
    (table,) = tabulate(records)
    (note,) = [note for note in table.notes if note.startswith("Costs are of training")]
    assert note.endswith(" That of x includes compiling.")
    assert not any("compiling" in note for note in tabulate(records[1:])[0].notes)


def test_tables_of_one_heading_say_why_they_are_two():
    sets = [{"pixels_sha256": {"real": letter * 64, "fake": "b" * 64}} for letter in "ac"]
    ways = [{"resampling": "bicubic"}, {"resampling": "bilinear"}]
    records = [make(m, score=s, settings=w) for m, s, w in zip("xy", sets, ways, strict=True)]
    tables = tabulate(records)
    assert len({table.heading for table in tables}) == 1
    for table, way in zip(tables, ways, strict=True):
        assert "different real images" in table.notes[-1]
        assert f"(here {way['resampling']})" in table.notes[-1]
    assert "different real images" not in tabulate(records[:1])[0].notes[-1]


# --- Markdown


PRINTED = """\
## stripes@1, a2b, i2i@1 (KID x100 ± jackknife standard error), preset published, 64 px, n = 100

| # | model                       | seeds | PSNR fg dB ↑ | params M | images/s | training s | memory GiB |
|--:|:----------------------------|------:|-------------:|---------:|---------:|-----------:|-----------:|
| 1 | cyclegan                    |     1 |    **21.25** |     1.50 |     10.0 |       10.0 |       1.00 |
| 2 | unit                        |     2 | 20.50 ± 0.71 |     1.50 |     10.0 |       10.0 |       1.00 |
| - | identity (source unchanged) |     - |        11.00 |        - |        - |          - |          - |

- Ranked by PSNR fg, higher is better.
- ± is the standard deviation over seeds; rows of one seed show the jackknife standard error of the KID, or none.
- PSNR fg: over the true foreground.
- Costs are of training, on a processor, 2 threads (resident memory).
- Real set aaaaaaaa.
- Left out, having no value: real vs real.
"""  # noqa: E501 - as printed


def test_markdown_of_a_small_leaderboard():
    records = [psnr("unit", 20.0), psnr("unit", 21.0, seed=1), psnr("cyclegan", 21.25)]
    assert leaderboard_markdown(records) == PRINTED


def full_values(shift=0.0):
    names = [column.key for column in known_metrics().shown]
    return {name: 0.5 + shift + 0.01 * i for i, name in enumerate(names)} | {"kid_se": 0.002}


def test_wide_markdown_continues_in_a_second_block_within_the_terminal():
    records = [make(m, s, values=full_values(s)) for m in ("attentiongan", "unit") for s in (0, 1)]
    text = leaderboard_markdown(records)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert max(map(len, table)) <= render.WIDTH
    for title in [column.header for column in (*known_metrics().shown, *columns.COSTS)]:
        assert sum(f" {title} |" in line for line in table) == 1
    heads = [line for line in table if line.startswith("| # | model ")]
    assert len(heads) > 1
    assert all(f" {cost.header} |" in heads[-1] for cost in columns.COSTS)


def test_columns_without_values_vanish():
    reasons = {"fid": MISSING, "kid": MISSING, "kid_se": MISSING}
    values = {"psnr_foreground": 20.0, "fid": None, "kid": None, "kid_se": None}
    text = leaderboard_markdown([make(values=values, reasons=reasons)])
    assert f"- No FID, KID: {MISSING}" in text
    assert "FID" not in "".join(line for line in text.splitlines() if line.startswith("|"))


def test_fid_of_few_images_is_called_biased():
    text = leaderboard_markdown([kid("unit", 0.1)])
    assert "FID is biased at n = 100, below 2048" in text
    assert "biased" not in leaderboard_markdown(
        [kid("unit", 0.1, score={"n_real": 5000, "n_fake": 5000})]
    )


def test_unequal_sets_and_the_weights_are_named():
    score = {"n_fake": 120, "weights_sha256": "c" * 64, "weights_status": "unverified"}
    note = tabulate([make(score=score)])[0].notes[-1]
    expected = "of 100, translated 120; features clean, weights cccccccc (unverified)."
    assert note == f"Real set aaaaaaaa {expected}"


def test_costs_of_several_devices_are_called_not_comparable():
    records = [make("unit"), make("ugatit", device="H200", peak_memory_of="device")]
    assert (
        "not comparable across devices: H200 (device memory): ugatit; "
        "a processor, 2 threads (resident memory): unit." in leaderboard_markdown(records)
    )


HOSTILE = (
    "a|b\n# `x` <script>alert(1)</script> **bold** [l](u) _i_ \x1b[31m\u202e \\ & 5% $x$ {y}~^"
)


def test_markdown_escapes_hostile_names():
    records = [
        make(HOSTILE, variant=HOSTILE, device=HOSTILE, headline="psnr", reasons={"psnr": HOSTILE})
    ]
    text = leaderboard_markdown([*records, make("unit", headline="psnr")])
    blocks = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert all(len({line.count("|") for line in block}) == 1 for block in blocks)
    assert not set("\x1b\u202e<>") & set(text)
    assert "\n# " not in text
    assert r"a&#124;b # \`x\` &lt;script&gt;" in text
    assert r"\*\*bold\*\* \[l\](u) \_i\_" in text


def test_underscores_within_words_stay_readable():
    assert render.markdown_text("summer2winter_yosemite") == "summer2winter_yosemite"


def test_long_reasons_are_cut():
    text = leaderboard_markdown([make(values={}, reasons={"psnr_foreground": "x" * 10_000})])
    assert "x" * 200 in text
    assert max(map(len, text.splitlines())) < 400


@pytest.mark.parametrize("records", [[], [make(scores={})]], ids=["none", "unscored"])
def test_no_scores_give_one_clear_sentence(records):
    sentence = "No record holds a score yet; `i2i-bench run` makes one.\n"
    assert leaderboard_markdown(records) == sentence
    assert results_readme(records).endswith(f"\n\n{sentence}")
    assert leaderboard_latex(records) == f"% {sentence}"
    assert len(leaderboard_csv(records).splitlines()) == 1


def test_readme_names_its_command_and_holds_the_tables():
    text = results_readme([make()])
    assert text.startswith("# Results\n\nGenerated from the records in this folder by `i2i-bench ")
    assert "`i2i-bench leaderboard --write`" in text
    assert text.endswith(leaderboard_markdown([make()]))
    assert text == results_readme([make()])


# --- CSV


def test_csv_parses_back_raw_and_exact():
    values = [0.1 + 0.2, 1 / 3]
    lines = parse(leaderboard_csv([kid("unit", value, seed=i) for i, value in enumerate(values)]))
    assert [line["kind"] for line in lines] == ["model", "identity", "real"]
    unit = lines[0]
    assert float(unit["kid_mean"]) == pytest.approx(sum(values) / 2, rel=1e-15)
    assert float(unit["kid_sd"]) == pytest.approx(abs(values[0] - values[1]) / 2**0.5, rel=1e-12)
    assert (unit["seeds"], unit["kid_seeds"], unit["rank"]) == ("2", "2", "1")
    assert "psnr_mean" not in unit  # no score holds it
    assert (unit["task"], unit["direction"], unit["preset"]) == ("stripes", "a2b", "published")
    assert (unit["headline"], unit["n_real"], unit["real_sha256"]) == ("kid", "100", "a" * 64)
    assert float(unit["parameters_mean"]) == 1_500_000
    assert float(unit["kid_se_mean"]) == 0.001


def test_csv_has_a_line_for_each_row_and_direction():
    records = [make(), make("unit"), make(score={"direction": "b2a"}, seed=0, variant="x=1")]
    assert len(parse(leaderboard_csv(records))) == (2 + 2) + (1 + 2)


def test_csv_keeps_hostile_names_in_their_cell_and_inert():
    lines = parse(leaderboard_csv([make(f'{HOSTILE},"q"'), make("=HYPERLINK(1)")]))
    shown = "".join(c if c.isprintable() else " " for c in f'{HOSTILE},"q"')
    assert sorted(line["model"] for line in lines)[2:] == ["'=HYPERLINK(1)", shown]


# --- LaTeX


def test_latex_is_balanced_booktabs():
    text = leaderboard_latex([make("attention_gan", s, values=full_values(s)) for s in (0, 1)])
    assert text.startswith("% needs \\usepackage{booktabs}\n\\begin{table}[t]\n")
    for kind in ("table", "tabular"):
        assert text.count(f"\\begin{{{kind}}}") == text.count(f"\\end{{{kind}}}") > 0
    tabulars = text.count("\\begin{tabular}")
    assert text.count("\\toprule") == text.count("\\bottomrule") == tabulars
    assert r"attention\_gan" in text
    for block in text.split("\\begin{tabular}{")[1:]:
        format_, _, body = block.partition("}")
        rows = [line for line in body.splitlines() if line.endswith(r" \\")]
        assert {line.count(" & ") for line in rows} == {len(format_) - 1}


def test_latex_marks_best_bold_and_second_underlined():
    text = leaderboard_latex([kid("unit", -0.01), kid("ugatit", 0.02), kid("munit", 0.03)])
    assert r"1 & unit & 1 & \textbf{$-$1.00} $\pm$ 0.10" in text
    assert r"2 & ugatit & 1 & \underline{2.00} $\pm$ 0.10" in text
    assert r"3 & munit & 1 & 3.00 $\pm$ 0.10" in text


def test_latex_escapes_hostile_names():
    text = leaderboard_latex([make(HOSTILE)])
    assert r"\# `x`".replace("`", r"\textasciigrave{}") in text
    assert r"\textbackslash{} \& 5\% \$x\$ \{y\}\textasciitilde{}\textasciicircum{}" in text
    assert r"a\textbar{}b" in text
    plain = text.replace(r"\{", "").replace(r"\}", "")
    assert plain.count("{") == plain.count("}")


# --- the module


def test_report_is_cheap_to_import():
    heavy = "{'torch', 'numpy', 'matplotlib'} & set(sys.modules)"
    modules = "i2i_bench.report.render, i2i_bench.report.figures.samples"
    code = f"import sys, {modules}; sys.exit(str({heavy}) if {heavy} else 0)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

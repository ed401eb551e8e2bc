"""What tables say of protocols, of other programs' images and of the baselines."""

import pytest
from leaderboard_records import cells, make, make_external, models, parse, psnr, score_of
from sound_records import make_record

from i2i_bench.records.record import Values
from i2i_bench.report.leaderboard import tabulate
from i2i_bench.report.render import leaderboard_csv, leaderboard_latex, leaderboard_markdown
from i2i_bench.report.render import tables_to_markdown as render_markdown
from i2i_bench.report.rows import cell

MIXED = {
    "protocol": "ugatit-mean",
    "recipe": "tf-scipy",
    "spread_kind": "se_blocks",
    "estimator": {
        "distances": ["kid_blocks"],
        "kid_unit": "raw",
        "block": 10,
        "target_weight": 0.5,
        "source_weight": 0.5,
    },
}


@pytest.mark.parametrize(
    ("score", "part"),
    [
        ({}, "i2i@1 (KID x100 ± jackknife standard error), preset published, 64 px, n = 100"),
        (MIXED, "ugatit-mean@1 (KID (target + source)/2 x100 ± standard error over blocks), "),
        (
            {
                "protocol": "ugatit-mean-head",
                "estimator": {"kid_unit": "raw", "target_weight": 0.01, "source_weight": 0.49},
            },
            "ugatit-mean-head@1 (KID 0.01 target + 0.49 source x100 ± ",
        ),
        (
            {"protocol": "cut", "estimator": {"distances": ["fid_lowrank"]}, "spread_kind": "none"},
            "cut@1 (FID), ",
        ),
        (
            {
                "protocol": "clean",
                "estimator": {"distances": ["fid_lowrank", "kid_ustat"], "kid_unit": "raw"},
                "spread_kind": "none",
            },
            "clean@1 (FID, KID x100), ",
        ),
    ],
)
def test_header_names_protocol_unit_spread_and_number(score, part):
    (table,) = tabulate([make(score=score)])
    assert part in table.heading


def test_mean_of_distances_says_so_in_its_column_and_below():
    values = {"kid": 0.1, "kid_se": 0.01, "kid_target": 0.05, "kid_target_se": 0.02}
    (table,) = tabulate([make(score=MIXED, values=values, headline="kid")])
    headers = [column.header for column in table.columns]
    assert headers == ["KID (target + source)/2 x100 ↓", "KID tgt x100 ↓"]
    assert [cell(table.rows[0], c) for c in table.columns] == [
        "10.00 ± 1.00",
        "5.00 ± 2.00",
    ]
    assert table.notes[0] == "Ranked by KID (target + source)/2, lower is better."
    assert "50% of the value is the distance to the source: see the identity." in table.notes


def test_protocol_without_kid_ranks_by_its_fid():
    score = {"protocol": "cut", "estimator": {"distances": ["fid_lowrank"]}, "spread_kind": "none"}
    records = [
        make(name, values={"fid": value}, headline="kid", score=score)
        for name, value in (("unit", 60.0), ("cyclegan", 50.0))
    ]
    (table,) = tabulate(records)
    assert models(table) == [("cyclegan", 1), ("unit", 2)]
    assert "± is the standard deviation over seeds." in table.notes


def test_deviation_over_subsets_stands_beside_the_kid():
    (table,) = tabulate([make(values={"kid": 0.1, "kid_sd": 0.02}, headline="kid")])
    assert cell(table.rows[0], table.columns[0]) == "10.00 ± 2.00"


def test_orders_and_their_deviation_stand_in_one_cell():
    values = {"kid": 0.1, "kid_order_mean": 0.11, "kid_order_sd": 0.003, "kid_orders": 200.0}
    (table,) = tabulate([make(values=values)])
    shown = {column.key: cell(table.rows[0], column) for column in table.columns}
    assert shown == {"kid": "10.00", "kid_order_mean": "11.00 ± 0.30"}


def test_lpips_of_different_weights_is_shown_but_not_compared():
    values = {"psnr_foreground": 20.0, "lpips": 0.2}
    first = make("unit", values=values, score={"lpips_sha256": "c" * 64})
    second = make("ugatit", values=values | {"lpips": 0.1}, score={"lpips_sha256": "c" * 64})
    (table,) = tabulate([first, second])
    assert [row.marks.get("lpips") for row in table.rows[:2]] == ["best", "second"]
    other = make("unit", values=values, score={"lpips_sha256": "d" * 64})
    (table,) = tabulate([other, second])
    assert [row.marks.get("lpips") for row in table.rows[:2]] == [None, None]
    assert any(
        note.startswith("LPIPS here comes from several weights files") for note in table.notes
    )


def test_alarms_stand_below_the_table_of_their_direction():
    (table,) = tabulate([make(alarms=["a2b: masks are gone", "b2a: colours are gone"])])
    notes = [note for note in table.notes if "gone" in note]
    assert notes == ["Alarm of cyclegan, seed 0: masks are gone."]


COPY = {"psnr_foreground": 30.0, "psnr_background": 100.0, "unchanged_share": 1.0}
SOUND = {"psnr_foreground": 20.0, "psnr_background": 30.0, "unchanged_share": 0.0}


def test_copy_of_the_source_has_neither_rank_nor_mark_and_a_note_says_why():
    (table,) = tabulate([make("copier", values=COPY), make("a", values=SOUND), make("b")])
    assert models(table) == [("a", 1), ("b", 1), ("copier", None)]
    assert {row.label: dict(row.marks) for row in table.rows[:3]}["copier"] == {}
    assert table.rows[0].marks["psnr_background"] == "best"
    (note,) = [note for note in table.notes if note.startswith("copier: ")]
    assert note.startswith(
        "copier: neither ranked nor marked, sources are returned unchanged: 100%"
    )
    assert cells(render_markdown([table]), "copier")[0] == "!"


def test_one_seed_that_copies_spoils_its_row_and_is_named():
    (table,) = tabulate([make("a", seed=s, values=v) for s, v in enumerate((SOUND, COPY))])
    assert models(table) == [("a", None)]
    assert table.rows[0].unsound.endswith("within rounding (seed 1)")
    assert table.notes[0] == "Nothing is ranked: no sound and complete row has a value of PSNR fg."


def test_copy_in_an_older_record_is_known_by_values_that_are_the_identitys():
    (table,) = tabulate([make("copier", values={"psnr": 11.0}), make("a", values={"psnr": 9.0})])
    assert [row.label for row in table.rows if row.unsound] == ["copier"]


def test_mean_over_targets_is_not_ranked_where_one_of_them_is_a_copy():
    ways = {"+x": SOUND, "+y": COPY}
    scores = [score_of(values, direction=way) for way, values in ways.items()]
    found = make_record(*scores, task="shapes-attributes")
    tables = {table.group.direction: table for table in tabulate([found])}
    assert [row.unsound.partition(":")[0] for row in tables["mean over 2 targets"].rows[:1]] == [
        "+y"
    ]
    assert tables["+x"].rows[0].rank == 1
    assert tables["+y"].rows[0].rank is None


def test_seeds_made_by_several_codes_of_a_model_are_told():
    codes = ["0" * 8, "1" * 8, "0" * 8]
    (table,) = tabulate([make("a", s, source_sha256=code) for s, code in enumerate(codes)])
    expected = "a: made by several codes of the model: 00000000 (seed 0, 2); 11111111 (seed 1)."
    assert expected in table.notes
    (table,) = tabulate([make("a", s, source_sha256=codes[0]) for s in (0, 1)])
    assert not any("codes" in note for note in table.notes)


def test_an_alarm_of_several_seeds_is_one_note():
    alarms = {0: "masks are gone", 1: "colours are gone", 2: "masks are gone"}
    (table,) = tabulate([make(seed=s, alarms=[f"a2b: {alarm}"]) for s, alarm in alarms.items()])
    notes = [note for note in table.notes if "gone" in note]
    assert notes == [
        "Alarm of cyclegan, seeds 0, 2: masks are gone.",
        "Alarm of cyclegan, seed 1: colours are gone.",
    ]


# --- images of other programs


def test_external_images_stand_beside_the_models_they_may_be_compared_with():
    values = {"psnr_foreground": 30.0}
    small = psnr("unit", 40.0, preset="small", variant="preset=small")
    other = make_external(values=values)
    published, smaller = tabulate([psnr("cyclegan", 20.0), small, other])
    label = ("cut (external)", "external", 0)
    shown = [[(row.label, row.rank) for row in table.rows[:2]] for table in (published, smaller)]
    assert shown[0] == [("cut (external)", 1), ("cyclegan", 2)]
    assert shown[1] == [("unit", 1), ("cut (external)", 2)]
    assert (published.rows[0].label, published.rows[0].kind, published.rows[0].seeds) == label
    said = "cut (external): made by other programs, with a training that is not known."
    assert said in published.notes


@pytest.mark.parametrize(
    "changes",
    [
        {"image_size": 128},
        {"pixels_sha256": {"real": "b" * 64, "fake": "c" * 64}},
        {"protocol": "clean"},
        {"weights_sha256": "d" * 64},
    ],
    ids=["size", "real images", "protocol", "weights"],
)
def test_external_images_that_differ_in_what_is_compared_stand_apart(changes):
    other = make_external(values={"psnr_foreground": 30.0}, **changes)
    tables = tabulate([psnr("unit", 20.0), other])
    assert sorted(table.group.preset for table in tables) == ["external", "published"]
    assert all(len([row for row in table.rows if row.entries]) == 1 for table in tables)
    (apart,) = (table for table in tables if table.group.preset == "external")
    assert "Training costs are unknown: the training was done elsewhere." in apart.notes


def test_partial_external_images_are_marked_and_never_ranked():
    scores = [{}, {"partial": True, "n_fake": 9}]
    records = [make_external(f"cut{i}", **score) for i, score in enumerate(scores)]
    (table,) = tabulate(records)
    labels = [(row.label, row.rank) for row in table.rows[:2]]
    assert labels == [("cut0 (external)", 1), ("cut1 (external, partial)", None)]


def test_every_layout_takes_external_images():
    records = [make_external(), psnr("unit", 20.0)]
    assert cells(leaderboard_markdown(records), "cut (external)")[2] == "-"
    assert "cut (external) & --" in leaderboard_latex(records)
    (line,) = [line for line in parse(leaderboard_csv(records)) if line["kind"] == "external"]
    assert (line["model"], line["label"], line["preset"]) == ("", "cut (external)", "external")


# --- baselines


def test_baselines_stand_last_and_unranked_in_every_table():
    for table in tabulate([make(), make(preset="small", variant="preset=small")]):
        last = table.rows[-2:]
        assert [row.label for row in last] == ["identity (source unchanged)", "real vs real"]
        assert all(row.rank is None and not row.marks for row in last)


def test_empty_baselines_and_columns_are_left_out_of_texts_with_a_note():
    baselines = {"identity": Values(values={"psnr": 12.0}), "real": Values(values={"variety": 9.0})}
    records = [make(score={"baselines": baselines})]
    for text in (leaderboard_markdown(records), leaderboard_latex(records)):
        body, note = text.split("Left out, having no value: ")
        assert note.startswith("PSNR, identity (source unchanged), real vs real.")
        assert not any(name in body for name in ("PSNR dB", "identity", "real vs real"))
    (line,) = [line for line in parse(leaderboard_csv(records)) if line["kind"] == "identity"]
    assert float(line["psnr_mean"]) == 12.0


def test_table_without_any_value_is_shown_whole():
    found = Values(values={"psnr": 12.0})
    text = leaderboard_markdown([make(values={"kid": None}, score={"baselines": {"real": found}})])
    assert "Left out" not in text
    assert cells(text, "real vs real")[3:4] == ["12.00"]


def test_baselines_prefer_the_complete_test_set():
    part = {"partial": True, "baselines": {"identity": Values(values={"psnr_foreground": 1.0})}}
    (table,) = tabulate([make("a", score=part), make("b")])
    assert table.rows[-2].stats["psnr_foreground"].mean == 11.0


def test_column_stands_where_only_a_baseline_has_a_value():
    baselines = {"identity": Values(values={"psnr": 12.0})}
    (table,) = tabulate([make(score={"baselines": baselines})])
    assert "psnr" in {column.key for column in table.columns}


# --- models of one way, pretrained networks, modes that were left out


def of_directions(model, *directions, stated=(), **changes):
    """Make a record with a score for each direction."""
    scores = [score_of({"psnr_foreground": 20.0}, direction=each) for each in directions]
    return make_record(*scores, model=model, directions=list(stated), **changes)


def by_direction(records):
    return {table.group.direction: table for table in tabulate(records)}


def test_model_of_one_way_stands_in_its_table_alone_and_both_say_so():
    records = [
        of_directions("cyclegan", "a2b", "b2a"),
        of_directions("pix2pix", "a2b", stated=["a2b"]),
        of_directions("bicyclegan", "a2b", stated=["a2b"]),
        of_directions("diat", "b2a", stated=["b2a"], variant="direction=b2a"),
    ]
    boards = by_direction(records)
    assert {name: dict(models(board)).keys() for name, board in boards.items()} == {
        "a2b": {"cyclegan", "pix2pix", "bicyclegan"},
        "b2a": {"cyclegan", "diat+direction=b2a"},
    }
    for board in boards.values():
        assert board.notes[1:3] == (
            "bicyclegan and pix2pix translate a2b only.",
            "diat+direction=b2a translates b2a only.",
        )


def test_model_of_one_way_says_so_where_there_is_no_other():
    (table,) = tabulate([of_directions("pix2pix", "a2b", stated=["a2b"])])
    assert table.notes[1] == "pix2pix translates a2b only."


def test_model_that_states_every_direction_leaves_none_out():
    records = [
        of_directions("cyclegan", "a2b", "b2a"),
        of_directions("unit", "a2b", "b2a", stated=["a2b", "b2a"]),
    ]
    notes = [note for table in tabulate(records) for note in table.notes]
    assert not [note for note in notes if "translates" in note]


@pytest.mark.parametrize("other", [{"preset": "small"}, {"task": "hue"}])
def test_one_way_is_told_in_the_tables_of_its_kind_alone(other):
    records = [
        of_directions("cyclegan", "a2b", "b2a"),
        of_directions("pix2pix", "a2b", stated=["a2b"], **other),
    ]
    telling = [t for t in tabulate(records) if any("translates a2b only" in n for n in t.notes)]
    assert [[name for name, _ in models(table)] for table in telling] == [["pix2pix"]]


def test_real_images_of_the_other_way_may_differ():
    """As those of two domains always do."""
    two = make_record(
        score_of(direction="a2b"),
        score_of(direction="b2a", pixels_sha256={"real": "c" * 64, "fake": "d" * 64}, n_real=7),
        model="cyclegan",
    )
    boards = by_direction([two, of_directions("pix2pix", "a2b", stated=["a2b"])])
    assert boards["b2a"].notes[1] == "pix2pix translates a2b only."


def test_one_way_is_told_in_every_layout():
    records = [
        of_directions("cyclegan", "a2b", "b2a"),
        of_directions("pix2pix", "a2b", stated=["a2b"]),
    ]
    assert leaderboard_markdown(records).count("- pix2pix translates a2b only.\n") == 2
    assert leaderboard_latex(records).count("pix2pix translates a2b only.") == 2
    lines = [line for line in parse(leaderboard_csv(records)) if line["model"] == "pix2pix"]
    assert [line["direction"] for line in lines] == ["a2b"]


def test_value_of_the_way_back_is_a_dash_with_its_reason():
    reason = "there is no way back: pix2pix translates a2b only"
    both = score_of({"psnr_foreground": 20.0, "psnr_cycle": 30.0})
    one = score_of({"psnr_foreground": 21.0, "psnr_cycle": None}, {"psnr_cycle": reason})
    records = [
        make_record(both, model="cyclegan"),
        make_record(one, model="pix2pix", directions=["a2b"]),
    ]
    (table,) = tabulate(records)
    assert [row.rank for row in table.rows[:2]] == [1, 2]
    (column,) = [column for column in table.columns if column.key == "psnr_cycle"]
    assert [cell(row, column) for row in table.rows[:2]] == ["-", "30.00"]
    assert f"No {column.title} of pix2pix: {reason}" in table.notes


def test_other_weights_of_a_pretrained_network_are_said():
    def of(model, digest, seed=0):
        return make(model, seed, frozen={"vgg": digest})

    def said(records):
        (table,) = tabulate(records)
        return [note for note in table.notes if note.startswith("Pretrained network")]

    assert said([of("munit", "0" * 8), of("diat", "0" * 8), make("cyclegan")]) == []
    assert said([of("munit", "0" * 8), of("diat", "1" * 8), make("cyclegan")]) == [
        "Pretrained network vgg is not the same in all: 11111111 of diat; 00000000 of munit."
    ]
    seeds = [of("munit", str(i) * 8, seed) for seed, i in enumerate((0, 1, 0))]
    assert said([of("diat", "1" * 8), *seeds]) == [
        "Pretrained network vgg is not the same in all: 11111111 of diat, munit (seed 1); "
        "00000000 of munit (seed 0, 2)."
    ]


def test_modes_that_were_left_out_are_said_once_for_each_reason():
    reason = "its step draws domains"
    records = [make(seed=seed, modes_left_out={"capture": reason}) for seed in (0, 1)]
    (table,) = tabulate([*records, make("unit")])
    notes = [note for note in table.notes if note.startswith("Trained without")]
    assert notes == [f"Trained without capture: cyclegan, because {reason}."]


def test_means_over_other_targets_say_why_they_stand_apart():
    records = [
        of_directions("stargan", "+cold", "+dotted", task="shapes-attributes"),
        of_directions("icgan", "+cold", "+round", task="shapes-attributes"),
    ]
    boards = [t for t in tabulate(records) if t.group.direction == "mean over 2 targets"]
    said = sorted(note for board in boards for note in board.notes if "Another table" in note)
    assert ["mean over other targets (here +cold, +dotted)" in said[0], len(said)] == [True, 2]
    assert "mean over other targets (here +cold, +round)" in said[1]

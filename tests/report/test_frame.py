"""Records as a DataFrame: a row a run, protocol and direction; what is recorded, and no more."""

import json
import re
from pathlib import Path
from typing import Any

import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_records import keyed, make_record, make_score

from i2i_bench.records.record import AnyRecord, External, Values, read_records, write_record
from i2i_bench.report import frame
from i2i_bench.report.frame import make_frame, read_frame
from i2i_bench.report.leaderboard import tabulate
from i2i_bench.report.rows import Table
from i2i_bench.report.targets import MEAN
from i2i_bench.scoring.metric_set import known_metrics

RESULTS = Path(__file__).parents[2] / "results"
COMMITTED = read_frame(RESULTS)
METRIC_KEYS = {key for m in known_metrics() if m.is_default for key in (m.key, *m.spreads)}
FINITE = st.floats(-1e30, 1e30)
WHOLE = st.integers(0, 2**63 - 1)


def make_external(*scores):
    return External(
        name="cut",
        task="stripes",
        headline="psnr",
        harness_version="0.2.0",
        formats={"a2b": {"png": 100}},
        scores=keyed(*scores),
    )


def row_of(record: AnyRecord) -> dict[str, Any]:
    """Give the only row of a record."""
    (row,) = make_frame([record]).to_dict("records")
    return {str(name): value for name, value in row.items()}


def missing(row: dict[str, Any]) -> set[str]:
    """Name the columns in which a row has no value."""
    return {name for name, value in row.items() if pandas.isna(value)}


def documented():
    """Give dtype and unit by column, as the docstring has them."""
    _, _, body, _ = re.split(r"^=+ [= ]+$", frame.__doc__ or "", flags=re.MULTILINE)
    lines = [line for line in body.splitlines() if line]
    return {line[:22].strip(): (line[22:31].strip(), line[31:41].strip()) for line in lines}


def as_documented(name):
    """Give the name under which the docstring has a column."""
    start, dot, _ = name.partition(".")
    if dot:
        return "setting.KEY" if start == "setting" else f"{start}.METRIC"
    return "METRIC" if name in METRIC_KEYS else name


# --- columns, dtypes and units


def test_docstring_lists_the_columns_in_their_order():
    assert list(dict.fromkeys(map(as_documented, COMMITTED.columns))) == list(documented())


def test_columns_have_the_documented_dtypes():
    found = COMMITTED.loc[:, ~COMMITTED.columns.str.startswith("setting.")].dtypes
    for name, dtype in found.items():
        assert str(dtype) == documented()[as_documented(name)][0], name


def test_measured_columns_have_a_documented_unit_that_is_the_records():
    units = {name: unit for name, (dtype, unit) in documented().items() if dtype == "float64"}
    assert all(units.values())
    made = row_of(make_record(make_score(values={"kid": 0.012, "psnr": 20.5})))
    assert (made["kid"], made["psnr"]) == (0.012, 20.5)  # as recorded, not as tables show it
    assert (made["seconds"], made["images_per_second"]) == (10.0, 10.0)
    assert (made["peak_memory_bytes"], made["parameters"]) == (2**30, 1_500_000)


def test_frame_of_no_records_has_the_same_columns_and_dtypes(tmp_path):
    (tmp_path / "results").mkdir()
    empty = read_frame(tmp_path / "results")
    pandas.testing.assert_frame_equal(empty, read_frame(tmp_path / "none"))
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == COMMITTED.dtypes[empty.columns].to_dict()
    others = COMMITTED.columns.difference(empty.columns)
    assert len(others) and others.str.startswith("setting.").all()


# --- rows


def test_each_run_protocol_and_direction_has_one_row():
    names = ["protocol", "protocol_version", "direction"]
    wanted = []
    for path in RESULTS.glob("*/*/seed*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        run = (path.parents[1].name, path.parent.name, content["seed"])
        wanted += [(*run, *(score[name] for name in names)) for score in content["scores"].values()]
    found = list(COMMITTED[["task", "label", "seed", *names]].itertuples(index=False, name=None))
    assert sorted(found) == sorted(wanted)
    assert len(set(wanted)) == len(wanted) > 100


def test_run_has_what_its_record_says_of_it():
    scored = make_score(direction="b2a", selected_on="fid", task_version=3, n_fake=7)
    alarms = ["a2b: no", "b2a: the colours are inverted", "b2a: again"]
    record = make_record(scored, variant="num_masks=4", seed=2**64 - 1, alarms=alarms, modes=["x"])
    made = row_of(record)
    same = {"model": "model", "variant": "num_masks=4", "seed": 2**64 - 1, "device": record.device}
    same |= {"distribution": "i2i-baselines", "macs": 10, "steps": 100, "torch_version": "2.12.1"}
    same |= {"kind": "run", "label": "model+num_masks=4", "task_version": 3, "trained_version": 1}
    same |= {"direction": "b2a", "selected_on": "fid", "n_fake": 7, "n_real": 100, "modes": "x"}
    same |= {"estimator": '{"kid_unit": "raw"}', "real_sha256": "a" * 64, "weights_sha256": ""}
    same |= {"alarms": "the colours are inverted; again", "harness_version": "0.1.0"}
    assert {name: made[name] for name in same} == same
    assert "commit" in missing(made)


def test_run_of_one_way_with_pretrained_networks_has_what_its_record_says():
    more = {"modes_left_out": {"tune": "too large", "capture": "it draws"}, "directions": ["a2b"]}
    made = row_of(make_record(make_score(), frozen={"vgg": "0" * 8, "arc": "1" * 8}, **more))
    assert made["modes_left_out"] == "capture: it draws; tune: too large"
    assert (made["directions"], made["frozen"]) == ("a2b", "arc 11111111, vgg 00000000")
    plain = row_of(make_record(make_score()))
    assert [plain[name] for name in ("modes_left_out", "directions", "frozen")] == ["", "", ""]


def test_images_of_another_program_have_a_row_without_identity_and_cost_of_a_run():
    row = row_of(make_external(make_score(checkpoint="unknown", values={"psnr": 21.0})))
    assert (row["kind"], row["label"], row["preset"]) == ("external", "cut", "external")
    assert (row["psnr"], row["harness_version"], row["checkpoint"]) == (21.0, "0.2.0", "unknown")
    lacking = {
        "model",
        "variant",
        "seed",
        "distribution",
        "parameters",
        "macs",
        "device",
        "seconds",
        "directions",
        "frozen",
    }
    assert lacking <= missing(row)


def test_both_kinds_of_records_are_read(tmp_path):
    write_record(make_record(make_score()), tmp_path)
    write_record(make_external(make_score()), tmp_path)
    assert list(read_frame(tmp_path)["kind"]) == ["run", "external"]


def test_every_direction_of_a_labelled_task_has_a_row_and_their_mean_has_none():
    directions = ["+blond", "-blond", "neutral2happy"]
    made = make_frame([make_record(*(make_score(direction=each) for each in directions))])
    assert list(made["direction"]) == directions
    assert not COMMITTED["direction"].str.startswith(MEAN).any()


@pytest.mark.parametrize("spoil", ["damage", "move"])
def test_bad_record_is_refused_in_the_words_of_read_all(tmp_path, spoil):
    path = write_record(make_record(make_score()), tmp_path)
    if spoil == "damage":
        path.write_text("{", encoding="utf-8")
    else:
        path.rename(path.with_name("seed9.json"))
    with pytest.raises(ValueError) as expected:
        read_records(tmp_path)
    with pytest.raises(ValueError, match=f"^{re.escape(str(expected.value))}$"):
        read_frame(tmp_path)


# --- metrics


def test_null_is_nan_with_its_reason_and_a_value_has_none():
    scored = make_score(values={"fid": None, "psnr": 20.0}, reasons={"fid": "no weights"})
    made = row_of(make_record(scored))
    assert (made["psnr"], made["reason.fid"]) == (20.0, "no weights")
    assert {"fid", "ssim", "reason.psnr", "reason.ssim"} <= missing(made)


def test_committed_rows_have_either_a_headline_or_its_reason():
    for row in COMMITTED.to_dict("records"):
        reason = row[f"reason.{row['headline']}"]
        assert pandas.isna(row[str(row["headline"])]) != pandas.isna(reason)
    assert COMMITTED.loc[COMMITTED["fid"].isna(), "reason.fid"].str.contains("is missing").all()


def test_baselines_stand_beside_the_values():
    baselines = {"identity": Values(values={"psnr": 9.0}), "real": Values(values={"fid": 3.0})}
    made = row_of(make_record(make_score(values={"psnr": 20.0}, baselines=baselines)))
    assert (made["psnr"], made["identity.psnr"], made["real.fid"]) == (20.0, 9.0, 3.0)
    assert {"real.psnr", "identity.fid"} <= missing(made)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.sampled_from([*sorted(METRIC_KEYS), "beauty"]), FINITE | st.none()))
def test_values_come_back_to_the_last_digit(values):
    row = row_of(make_record(make_score(values=values)))
    known = {key: value for key, value in values.items() if value is not None}
    assert {key: row[key] for key in known} == known
    assert METRIC_KEYS & missing(row) == METRIC_KEYS - known.keys()


def test_metric_of_others_comes_after_the_known_ones():
    made = make_frame([make_record(make_score(values={"beauty": 3.0, "psnr": 1.0}))])
    names = list(made.columns)
    assert names[names.index("identity.psnr_foreground") - 1] == "beauty"
    assert made["beauty"].item() == 3.0


@pytest.mark.parametrize("name", ["seed", "identity.psnr", "reason.fid"])
def test_metric_with_the_name_of_another_column_is_refused(name):
    scored = make_score(values={name: 1.0})
    with pytest.raises(ValueError, match=f"metric named '{name}'"):
        make_frame([make_record(scored)])


# --- settings and whole numbers


def settings_of(*settings):
    records = [make_record(make_score(), settings=each, seed=i) for i, each in enumerate(settings)]
    made = make_frame(records)
    return made.loc[:, made.columns.str.startswith("setting.")]


def test_settings_on_which_records_disagree_are_columns():
    first = {"batch_size": 4, "flip": True, "config": {"num_masks": 4, "own": 1, "decay": 0}}
    second = {"batch_size": 4, "flip": False, "config": {"num_masks": 10, "decay": 0.5}}
    found = settings_of(first, second)
    assert found.dtypes.astype(str).to_dict() == {
        "setting.decay": "Float64",
        "setting.flip": "boolean",
        "setting.num_masks": "Int64",
    }
    assert list(found["setting.num_masks"]) == [4, 10]


def test_setting_that_a_run_lacks_or_has_as_null_is_na():
    found = settings_of({"config": {"image": "a"}}, {}, {"config": {"image": None}})
    assert found["setting.image"].dtype == "string"
    assert list(found["setting.image"].isna()) == [False, True, True]


def test_setting_of_several_kinds_stays_as_recorded():
    found = settings_of({"to": ["red"]}, {"to": "red"})
    assert list(found["setting.to"]) == [["red"], "red"]


@settings(max_examples=20, deadline=None)
@given(WHOLE, WHOLE, st.integers(0, 2**64 - 1))
def test_whole_numbers_keep_every_digit(steps, count, seed):
    changes = {"steps": steps, "parameters": {"g": count}, "seed": seed, "settings": {"n": count}}
    made = make_frame([make_record(make_score(), **changes), make_record(make_score())])
    row = made.iloc[0]
    assert (row["steps"], row["parameters"], row["seed"]) == (steps, count, seed)


@pytest.mark.parametrize(
    "changes", [{"parameters": {"g": 2**62, "d": 2**62}}, {"task_version": 10**30}]
)
def test_number_beyond_64_bits_is_refused(changes):
    with pytest.raises(ValueError, match="more than 64 bits hold"):
        make_frame([make_record(make_score(), **changes)])


# --- the leaderboard from the frame


def ranking(part, headline):
    """Rank models by the mean over seeds as printed, as a leaderboard does."""
    means = part[~part["partial"]].groupby(["model", "variant"])[headline.key].mean().dropna()
    copies = part[part["unsound"] != ""] if "unsound" in part else part[:0]
    means = means.drop(list({*zip(copies["model"], copies["variant"], strict=True)}))
    ranks = means.map(headline.goodness).rank(method="min", ascending=False)
    return {name: int(rank) for name, rank in ranks.items()}


def over_targets(part: pandas.DataFrame) -> pandas.DataFrame:
    """Average every run over the changes of a label."""
    changes = part.loc[part["direction"].str.match(r"[+-]"), :]
    keys = ["model", "variant", "seed", "partial"]
    return changes.groupby(keys, as_index=False).mean(numeric_only=True)


def rows_of(table: Table) -> pandas.DataFrame:
    """Give the rows behind a table; of a mean over targets, those of its targets."""
    group = table.group._asdict()
    if group["direction"].startswith(MEAN):
        for name in ("direction", "real_sha256", "n_real", "spread_kind"):
            del group[name]
    is_part = (COMMITTED[list(group)] == list(group.values())).all(axis="columns")
    part = COMMITTED.loc[is_part, :]
    return part if "direction" in group else over_targets(part)


TABLES = tabulate(read_records(RESULTS))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.heading)
def test_ranking_from_the_frame_is_the_leaderboards(table):
    ranked = {(row.model, row.variant): row.rank for row in table.rows if row.rank}
    assert ranked and ranking(rows_of(table), table.columns[0]) == ranked


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.heading)
def test_deviations_over_seeds_are_the_leaderboards(table):
    key = table.columns[0].key
    found = rows_of(table).groupby(["model", "variant"])[key].std().dropna()
    rows = [row for row in table.rows if row.kind == "model" and row.seeds > 1]
    assert found.to_dict() == {
        (row.model, row.variant): pytest.approx(row.stats[key].sd, rel=1e-9) for row in rows
    }

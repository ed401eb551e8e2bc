"""Tables II to IV: what the paper prints beside what records hold."""

import csv
import io
from pathlib import Path

import pytest
from sound_records import make_record, make_score

from i2i_bench.records.record import Values, write_record
from i2i_bench.report.papers import published, tables
from i2i_bench.report.papers.comparison import comparison_table
from i2i_bench.tasks import catalogue

# As printed: AMT on AR Face, PSNR on AR Face, AMT on CelebA
TABLE_II = """
CycleGAN        10.2 14.8142 34.6
DualGAN          1.3 14.7458  3.2
DiscoGAN         0.1 13.1547  1.2
ComboGAN         1.5 14.7465  9.6
DistanceGAN      0.3 11.4983  1.9
Dist.+Cycle      0.1  3.8632  1.3
Self.Dist.       0.1  3.8674  1.2
StarGAN          1.6 13.5757 14.8
ContrastGAN      8.3 14.8495 25.1
Pix2pix          2.6 14.6118  -
Encoder-Decoder  0.1 12.6660  -
BicycleGAN       1.5 14.7914  -
AttentionGAN    12.8 14.9187 38.9
"""
TABLE_III = """
DIAT          3.5 21.1  3.2
CycleGAN      9.8  8.2  9.4
IcGAN         1.3  6.3  5.7
StarGAN      24.8 28.8 30.8
AttentionGAN 60.6 35.6 50.9
"""
TABLE_IV = {
    "U-GAT-IT": "11.61 ± 0.57",
    "CycleGAN": "13.08 ± 0.49",
    "UNIT": "14.71 ± 0.59",
    "MUNIT": "13.85 ± 0.41",
    "DRIT": "15.08 ± 0.62",
    "AttentionGAN": "12.14 ± 0.43",
}
FURTHER = {  # of U-GAT-IT's own table, and of third parties
    ("U-GAT-IT", "horse2zebra"): ("7.06", "0.80", "ugatit-mean"),
    ("CycleGAN", "zebra2horse"): ("8.00", "0.66", "ugatit-mean"),
    ("UNIT", "anime2selfie"): ("26.32", "0.92", "ugatit-mean"),
    ("CartoonGAN", "selfie2anime"): ("15.85", "0.69", "ugatit-mean"),
    ("AGGAN", "photo2vangogh"): ("6.95", "0.33", "ugatit-mean"),
    ("AttentionGAN", "horse2zebra"): ("2.03", "", "unknown"),
    ("AttentionGAN", "apple2orange"): ("10.03", "", "unknown"),
}


def make(model="cyclegan", seed=0, *, values=None, score=None, **changes):
    """Make a record of selfie2anime with one score."""
    found = {"kid": 0.025, "kid_se": 0.004} if values is None else values
    baseline = Values(values={key: value and 0.2 for key, value in found.items()})
    entry = {
        "image_size": 256,
        "weights_sha256": "c" * 64,
        "weights_status": "known",
        "baselines": {"identity": baseline},
        "values": found,
        "reasons": {key: "no weights" for key, value in found.items() if value is None},
    }
    fields = {"model": model, "seed": seed, "task": "selfie2anime", "headline": "kid"}
    fields |= {"distribution": "i2i-third", "distribution_version": "1.0"}
    return make_record(make_score(**(entry | (score or {}))), **(fields | changes))


def lines(name="iv", records=(), *, further=False):
    """Give the lines of the CSV."""
    text = tables.paper_csv(comparison_table(name, records, further=further))
    return list(csv.DictReader(io.StringIO(text)))


def of(method, records, **arguments):
    found = lines(records=records, **arguments)
    return [line for line in found if line["method"] == method]


def text(name="iv", records=(), *, further=False):
    return tables.paper_markdown(comparison_table(name, records, further=further))


def cells(shown, start):
    """Give the cells of each Markdown row of a method."""
    rows = [line for line in shown.splitlines() if line.startswith(f"| {start} ")]
    return [[part.strip() for part in row.strip("|").split("|")] for row in rows]


# --- what is printed


@pytest.mark.parametrize(
    ("name", "printed", "columns"),
    [
        ("ii", TABLE_II, [("AMT", "AR Face"), ("PSNR", "AR Face"), ("AMT", "CelebA")]),
        ("iii", TABLE_III, [("AMT", f"CelebA/{x}") for x in ("Hair Color", "Gender", "Aged")]),
    ],
)
def test_every_cell_of_the_paper_is_there_with_its_own_decimals(name, printed, columns):
    expected = {
        (method.replace("Self.Dist.", "Self Dist."), *column, value.replace("-", ""))
        for method, *values in map(str.split, printed.strip().splitlines())
        for column, value in zip(columns, values, strict=True)
    }
    found = lines(name)
    keys = ("method", "metric", "dataset", "paper_value")
    assert {tuple(line[key] for key in keys) for line in found} == expected
    assert len(found) == len(expected)


def test_table_iv_is_the_papers():
    found = {line["method"]: f"{line['paper_value']} ± {line['paper_spread']}" for line in lines()}
    assert found == TABLE_IV


def test_values_that_others_printed_come_when_asked_with_their_origin():
    assert {line["dataset"] for line in lines()} == {"selfie2anime"}
    found = {
        (line["method"], line["dataset"]): (
            line["paper_value"],
            line["paper_spread"],
            line["paper_protocol"],
        )
        for line in lines(further=True)
    }
    assert len(found) == 6 + 60
    assert found.items() >= FURTHER.items()
    shown = text(further=True)
    assert "## Beside Table IV, zebra2horse: KID x100 ↓" in shown
    assert "- AttentionGAN: third party; not checked against the paper." in shown
    assert "--all shows them" in text()
    assert "--all" not in shown


def test_every_value_has_a_source_and_a_known_method():
    layout = published.layout()
    for name in ("ii", "iii", "iv"):
        for value in published.values(name):
            assert value.source
            assert value.method in layout.methods
            metric = layout.metrics[value.metric]
            assert bool(metric.key) != bool(metric.header)
            assert not metric.key or value.dataset in layout.datasets


def test_tasks_of_the_papers_data_sets_are_catalogued():
    layout = published.layout()
    assert {dataset.task for dataset in layout.datasets.values()} <= set(catalogue.sources())


def test_one_method_under_two_names_is_one_row():
    shown = text("ii")
    assert len(cells(shown, "Encoder-Decoder")) == 3  # one in each column
    assert "EncDecoder" not in shown


# --- what was measured


@pytest.mark.parametrize("name", ["ii", "iii"])
def test_human_study_is_never_measured(name):
    amt = [line for line in lines(name) if line["metric"] == "AMT"]
    assert {line["measured"] for line in amt} == {"human study"}
    assert not any(line["runs"] for line in amt)
    first = cells(text(name), "AttentionGAN")[0]
    assert first[2:] == ["human study", "human study", "", ""]


@pytest.mark.parametrize("further", [False, True])
def test_what_nobody_measured_is_empty(further):
    for line in lines(further=further):
        assert (line["measured"], line["runs"], line["protocol"]) == ("", "", "")
    assert cells(text(), "UNIT") == [["UNIT", "14.71 ± 0.59", "ugatit-mean", "", "", ""]]


def test_runs_give_mean_deviation_and_their_number():
    records = [make(seed=i, values={"kid": v}) for i, v in enumerate((0.02, 0.03, 0.07))]
    (line,) = of("CycleGAN", records)
    assert float(line["measured"]) == pytest.approx(4.0)
    assert float(line["measured_spread"]) == pytest.approx(7**0.5)
    assert (line["measured_spread_kind"], line["runs"]) == ("sd_seeds", "3")
    assert (line["protocol"], line["protocol_version"], line["model"]) == ("i2i", "1", "cyclegan")
    (shown,) = cells(text(records=records), "CycleGAN")
    assert shown[3:6] == ["4.00 ± 2.65", "i2i@1", "3"]


def test_single_run_has_the_error_of_its_protocol():
    (line,) = of("CycleGAN", [make()])
    assert float(line["measured_spread"]) == pytest.approx(0.4)
    assert (line["measured_spread_kind"], line["runs"]) == ("se_jackknife", "1")
    shown = text(records=[make()])
    assert cells(shown, "CycleGAN")[0][3] == "2.50 ± 0.40"
    assert "of one run, the jackknife standard error." in shown


def test_protocol_without_a_spread_promises_none():
    bare = {"protocol": "clean", "spread_kind": "none"}
    shown = text(records=[make(values={"kid": 0.025}, score=bare)])
    assert cells(shown, "CycleGAN")[0][3] == "2.50"
    assert "- ± of a measured value is the standard deviation over runs.\n" in shown


def test_unlike_protocols_are_seen_to_be_unlike():
    mean = {"protocol": "ugatit-mean", "spread_kind": "se_blocks"}
    records = [make(), make(seed=1, score=mean)]
    found = {line["protocol"]: line for line in of("CycleGAN", records)}
    assert {name: line["same_protocol"] for name, line in found.items()} == {
        "i2i": "no",
        "ugatit-mean": "yes",
    }
    shown = text(records=records)
    assert sorted(row[4:7] for row in cells(shown, "CycleGAN")) == [
        ["i2i@1", "1", "no"],
        ["ugatit-mean@1", "1", "yes"],
    ]
    assert "ugatit-mean is (target + source)/2" in shown
    assert "only where their protocols are the same" in shown


def test_nothing_is_the_same_as_an_unknown_protocol():
    found = of("AttentionGAN", [make("attentiongan", task="horse2zebra")])
    assert [(line["dataset"], line["same_protocol"]) for line in found] == [
        ("selfie2anime", ""),
        ("horse2zebra", "unknown"),
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"preset": "small", "variant": "preset=small"},
        {"variant": "num_blocks=6"},
        {"score": {"weights_sha256": "d" * 64}},
        {"score": {"task_version": 2}},
        {"score": {"pixels_sha256": {"real": "b" * 64}}},
        {"score": {"protocol_version": 2}},
        {"score": {"estimator": {"kid_unit": "raw", "block": 9}}},
        {"score": {"partial": True}},
        {"score": {"checkpoint": "best", "selected_on": "test fid"}},
    ],
    ids=lambda other: next(iter(other.get("score", other))),
)
def test_runs_that_differ_in_more_than_the_seed_are_never_averaged(other):
    records = [make(), make(seed=1, values={"kid": 0.5}, **other)]
    found = of("CycleGAN", records)
    assert sorted((float(line["measured"]), line["runs"]) for line in found) == [
        (2.5, "1"),
        (50.0, "1"),
    ]
    shown = {row[-1] for row in cells(text(records=records), "CycleGAN")}
    assert len(shown) == 2  # each row names what it is


def test_other_direction_belongs_to_the_other_data_set():
    back = make(score={"direction": "b2a"})
    measured = {line["dataset"] for line in lines(records=[back]) if line["measured"]}
    assert measured == {"anime2selfie"}


def test_other_tasks_and_models_have_no_place():
    records = [make(task="stripes"), make("unheard-of")]
    assert not any(line["measured"] for line in lines(records=records, further=True))


def test_baselines_stand_below_what_was_measured():
    found = of("identity", [make(seed=0), make(seed=1)])
    assert [(float(line["measured"]), line["runs"], line["paper_value"]) for line in found] == [
        (20.0, "", "")
    ]
    assert not of("identity", [])


def test_run_without_the_metric_is_said_and_stays_empty():
    records = [make(values={"kid": None, "kid_se": None, "psnr": 12.0})]
    assert [line["measured"] for line in of("CycleGAN", records)] == [""]
    shown = text(records=records)
    assert "- Run, but without a value of KID: cyclegan; the leaderboard of the task says" in shown


def test_measured_values_have_the_papers_decimals():
    record = make(values={"psnr": 14.80127}, task="ar-face", headline="psnr")
    shown = text("ii", [record])
    assert cells(shown, "CycleGAN")[1][:4] == ["CycleGAN", "14.8142", "unknown", "14.8013"]


def measured(name, record):
    """Give the titles of the parts of a table that have a row of the model."""
    sections = comparison_table(name, [record]).sections
    return [each.title for each in sections if any("cyclegan (1)" in row for row in each.rows)]


@pytest.mark.parametrize(
    ("name", "task", "direction", "dataset"),
    [
        ("ii", "celeba.Smiling", "a2b", "CelebA"),
        ("ii", "celeba.Smiling", "b2a", "CelebA"),
        ("ii", "celeba.Male,Smiling", "-Smiling", "CelebA"),
        ("iii", "celeba.Blond_Hair", "a2b", "CelebA/Hair Color"),
        ("iii", "celeba.Male", "b2a", "CelebA/Gender"),
        ("iii", "celeba.Bald,Young", "-Young", "CelebA/Aged"),
    ],
)
def test_selection_stands_for_its_data_set(name, task, direction, dataset):
    score = {"direction": direction, "values": {"target_share": 0.5}}
    record = make(task=task, headline="kid", score=score)
    (title,) = measured(name, record)
    assert title.startswith(f"Beside Table {name.upper()}, {dataset}: ")
    assert f"(1) {task}@1, {direction}, " in text(name, [record])


@pytest.mark.parametrize("direction", ["a2b", "b2a"])
def test_psnr_of_neutral_and_smiling_faces_is_measured(direction):
    record = make(
        values={"psnr": 14.80127},
        task="ar-face.neutral2smile",
        headline="psnr",
        score={"direction": direction},
    )
    (line,) = (line for line in lines("ii", [record]) if line["model"] == "cyclegan")
    assert (line["dataset"], line["direction"]) == ("AR Face", direction)
    assert float(line["measured"]) == pytest.approx(14.80127)


@pytest.mark.parametrize(
    ("name", "task", "direction"),
    [
        ("ii", "celeba.Male", "a2b"),
        ("iii", "celeba.Young", "a2b"),  # the paper makes faces older
        ("iii", "celeba.Smiling", "a2b"),
        ("ii", "ar-face.neutral2anger", "a2b"),
        ("ii", "rafd.neutral2happy", "a2b"),
    ],
)
def test_other_selections_have_no_place(name, task, direction):
    values = {"target_share": 0.5, "psnr": 14.8}
    record = make(task=task, headline="kid", score={"direction": direction, "values": values})
    assert measured(name, record) == []


# --- text


def test_markdown_is_aligned_and_fits_a_terminal():
    records = [make("attentiongan", i, values={"kid": 0.02 + i / 100}) for i in (0, 1)]
    for name in ("ii", "iii", "iv"):
        shown = tables.paper_markdown(comparison_table(name, records, further=True))
        for section in shown.split("\n## "):
            rows = [line for line in section.splitlines() if line.startswith("|")]
            assert len({len(row) for row in rows}) == 1
            assert len(rows[0]) <= 120


def test_latex_is_balanced_and_escaped():
    found = tables.paper_latex(comparison_table("iv", [make(variant="a_b=1")], further=True))
    assert found.count("\\begin{table}") == found.count("\\end{table}") == 12
    assert found.count("\\toprule") == found.count("\\bottomrule") == 12
    assert r"cyclegan+a\_b=1 (1) \\" in found
    assert r"11.61 $\pm$ 0.57" in found
    assert r"$\downarrow$" in found
    for block in found.split("\\begin{tabular}{")[1:]:
        alignment, _, body = block.partition("}")
        rows = [line for line in body.splitlines() if line.endswith(r" \\")]
        assert {line.count(" & ") for line in rows} == {len(alignment) - 1}


@pytest.mark.parametrize("layout", ["md", "csv", "latex"])
@pytest.mark.parametrize("name", ["ii", "iii", "IV"])
def test_command_reads_records(cli, places, name, layout):
    write_record(make(), places / "results")
    shown = cli("table", name, "--format", layout)
    assert shown.endswith("\n")
    assert ("2.50" in shown or "2.5," in shown) == (name == "IV")


def test_command_refuses_a_damaged_record(cli, places):
    path = write_record(make(), places / "results")
    path.write_text("{")
    assert cli("table", "iv", code=1).startswith(f"{path} is not a valid record: ")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["vi"], "'vi' is not one of 'ii', 'iii', 'iv', 'v', 'diversity'"),
        (["iv", "--m", 5], "--m sets the domains of table v"),
        (["diversity", "--m", 5], "--m sets the domains of table v"),
        (["iv", "--format", "html"], "'html' is not one of"),
    ],
)
def test_command_refuses_what_is_not_possible(cli, places, arguments, part):
    assert part in cli("table", *arguments, code=2)


def test_data_files_lie_in_the_package():
    folder = Path(published.__file__).parent
    names = {path.name for path in folder.iterdir() if path.suffix in (".csv", ".toml")}
    tables = {"capacity.csv", "diversity.csv", "values.csv"}
    assert names == tables | {"layout.toml", "networks.toml"}


# --- models of one way


def test_model_of_one_way_is_measured_in_its_own_data_set_and_said_in_the_other():
    found = comparison_table("iv", [make("unit", directions=["a2b"])], further=True)
    there, back = (
        next(s for s in found.sections if f", {name}: KID" in s.title)
        for name in ("selfie2anime", "anime2selfie")
    )
    measured = [line for line in there.rows if line[0] == "UNIT" and line[3]]
    assert [line[3] for line in measured] == ["2.50 ± 0.40"]
    assert [line[3] for line in back.rows if line[0] == "UNIT"] == [""]
    said = "unit translates a2b only."
    assert said in back.notes and said not in there.notes

"""What the cells of the AttentionGAN paper's tables take, planned and carried out."""

import io
import shlex

import pytest
import torch
from click.testing import CliRunner
from face_sets import NAMES, make_rafd
from PIL import Image, ImageDraw

from i2i_bench.cli.main import main
from i2i_bench.records.folders import Places
from i2i_bench.records.record import read_records
from i2i_bench.runs.capacity_plan import plan_capacity
from i2i_bench.runs.table_cells import Training, planned_cells
from i2i_bench.runs.table_plan import PlanRequest, plan_table
from i2i_bench.runs.table_plan_text import capacity_plan_text, plan_text, run_commands
from i2i_bench.tasks import catalogue

pytestmark = pytest.mark.slow  # whole runs and commands


def make_ar_faces(data):
    """Draw the four expressions of twenty persons, named as the AR faces are."""
    folder = data / "ar-face" / "images"
    folder.mkdir(parents=True)
    for person in range(1, 21):
        for photo in range(1, 5):
            image = Image.new("RGB", (48, 40), (9 * person, 100, 250 - 9 * person))
            ImageDraw.Draw(image).ellipse((12, 4, 36, 20 + 4 * photo), fill=(200, 160, 140))
            image.save(folder / f"m-{person:03}-{photo:02}.png")


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path / "results", tmp_path / "runs", tmp_path / "data")


def cells_of(table, places, method):
    cells = planned_cells(table, "tiny", places.data)
    return {c.column: c for c in cells if c.method.name == method}


def test_a_model_of_two_domains_is_trained_for_each_attribute_of_a_column(places):
    cells = cells_of("iii", places, "CycleGAN")
    hair = cells["CelebA/Hair Color: AMT"].trainings
    names = ("Black_Hair", "Blond_Hair", "Brown_Hair")  # Table III's columns
    assert hair == tuple(Training("cyclegan", f"celeba:{name}") for name in names)
    assert cells["CelebA/Gender: AMT"].trainings == (Training("cyclegan", "celeba:Male"),)


def test_a_model_of_labels_is_trained_once_for_all_columns(places):
    cells = cells_of("iii", places, "StarGAN").values()
    assert {cell.trainings for cell in cells} == {(Training("stargan", "celeba"),)}


def test_labels_that_a_column_needs_are_added_to_those_of_the_set(places):
    (training,) = cells_of("ii", places, "StarGAN")["CelebA: AMT"].trainings
    typed = training.task.removeprefix("celeba:").split(",")
    assert "Smiling" in typed and "Male" in typed
    assert typed == sorted(typed, key=NAMES.index)


def test_a_model_of_one_way_is_trained_for_each_direction_of_pairs_alone(places):
    cells = cells_of("ii", places, "Pix2pix")
    ways = [dict(t.changes)["direction"] for t in cells["AR Face: PSNR"].trainings]
    assert ways == ["a2b", "b2a"]
    assert cells["CelebA: AMT"].reason == "pix2pix needs pairs, and celeba:Smiling has none"


def test_the_human_study_and_the_protocols_belong_to_the_metric(places):
    cells = cells_of("ii", places, "CycleGAN")
    assert (cells["CelebA: AMT"].measure, cells["AR Face: PSNR"].measure) == ("fooled", "")
    kid = cells_of("iv", places, "UNIT")["selfie2anime: KID_x100"]
    assert kid.protocols == ("ugatit-mean", "i2i")


def test_a_plan_without_data_says_what_goes_where_and_the_commands(places):
    request = PlanRequest("iv", "tiny", (0, 1), models=("unit",))
    plan = plan_table(request, places, torch.device("cpu"), [])
    (training,) = plan.trainings
    assert not training.jobs and "selfie2anime" in training.missing
    assert training.need.endswith(" MiB")  # 6,800 images are published
    assert run_commands(plan) == [
        "i2i-bench run --model unit --task selfie2anime --seed 0 --seed 1 "
        "--protocol ugatit-mean --protocol i2i --preset tiny"
    ]
    text = plan_text(plan)
    assert "take 1 trainings, 2 runs; 0 are recorded" in text
    assert "Data that are missing:" in text and "(1 training)" in text


def test_precision_and_typed_places_are_those_of_the_runs(places):
    make_ar_faces(places.data)
    request = PlanRequest("ii", "tiny", (0,), models=("cyclegan",), precision="bf16")
    plan = plan_table(request, places, torch.device("cpu"), [])
    jobs = [job for training in plan.trainings for job in training.jobs]
    assert {job.precision for job in jobs} == {"bf16"}
    words = ["table", "iv", "--plan", "--preset", "tiny", "--model", "unit", "--fast", "none"]
    where = ["--data", str(places.data), "--runs", str(places.runs), "--precision", "bf16"]
    done = CliRunner().invoke(main, [*words, *where])
    (command,) = [x for x in done.output.splitlines() if x.startswith("  i2i-bench run")]
    typed = shlex.split(command)
    assert [typed[i : i + 2] for i in range(len(typed)) if typed[i] in where[::2]] == [
        ["--precision", "bf16"],
        ["--runs", str(places.runs)],
        ["--data", str(places.data)],
    ]
    assert "--results" not in typed and typed[typed.index("--fast") + 1] == "none"


def test_models_that_no_cell_is_of_are_refused_by_name(places):
    request = PlanRequest("iv", "tiny", (0,), models=("stargan",))
    with pytest.raises(ValueError, match=r"no cell of table iv is of model 'stargan'.*cyclegan"):
        plan_table(request, places, torch.device("cpu"), [])


def test_two_expressions_of_the_same_persons_are_pairs(places):
    make_ar_faces(places.data)
    task = catalogue.find_task("ar-face:neutral2smile", places.data)
    assert task.paired
    ends = [[image.name for image in task.images("test", domain)] for domain in ("a", "b")]
    assert ends == [["m-010-01.png", "m-020-01.png"], ["m-010-02.png", "m-020-02.png"]]
    (places.data / "ar-face" / "images" / "m-010-02.png").unlink()
    assert not catalogue.find_task("ar-face:neutral2smile", places.data).paired


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["diversity", "--plan"], "table diversity is of any runs"),
        (["iv", "--plan", "--preset", "smal"], "unknown preset 'smal'; possible: published, small"),
        (["v", "--run", "--model", "unit"], "table v takes no run"),
        (["v", "--plan", "--m", "5"], "leave --m out"),
        (["v", "--plan", "--model", "unit"], "table v counts no model 'unit'"),
        (["ii", "--plan", "--run"], "leave one out"),
        (["ii", "--seed", "1"], "--seed is for --plan and --run"),
        (["ii", "--plan", "--format", "csv"], "leave --format out"),
        (["iv", "--run", "--model", "unit"], "no run of table iv can be carried out"),
    ],
)
def test_what_a_plan_cannot_be_is_said(words, told, places):
    where = ["--results", places.results, "--data", places.data, "--runs", places.runs]
    done = CliRunner().invoke(main, ["table", *words, *map(str, where[2:])])
    assert done.exit_code and told in done.output


def test_table_v_means_as_many_trainings_as_it_has_models(places):
    wanted = ("pix2pix", "cyclegan", "stargan")
    request = PlanRequest("v", "tiny", (0, 1), models=wanted)
    plans = plan_capacity(request, places, torch.device("cpu"))
    counts: dict[str, int] = {}
    for plan in plans:
        counts[plan.method] = counts.get(plan.method, 0) + len(plan.tasks)
    assert counts == {"Pix2pix": 56, "CycleGAN": 28, "StarGAN": 1}  # as printed, for 8 expressions
    text = capacity_plan_text(request, plans)
    assert "takes 85 trainings, 170 runs; 0 are recorded" in text
    assert text.count("\n  i2i-bench run") == 4
    assert "m(m-1) = 56" in text and "(85 trainings)" in text


def test_what_is_recorded_of_table_v_is_counted(places):
    image = io.BytesIO()
    Image.new("RGB", (40, 40), (9, 100, 250)).save(image, "JPEG")
    make_rafd(places.data / "rafd", 12, image.getvalue())
    where = [*("--results", places.results), *("--data", places.data), *("--runs", places.runs)]
    words = ["table", "v", "--plan", "--preset", "tiny", "--model", "distancegan"]
    before = CliRunner().invoke(main, [*words, *map(str, where)])
    assert "28 runs; 0 are recorded" in before.output, before.output
    (command,) = [x for x in before.output.splitlines() if x.startswith("  i2i-bench run")]
    one = shlex.split(command)[1:]
    tasks = [i for i, word in enumerate(one) if word == "--task"]
    del one[tasks[1] : tasks[-1] + 2]  # all but the first
    done = CliRunner().invoke(main, [*one, *map(str, where)])
    assert done.exit_code == 0, done.output
    after = CliRunner().invoke(main, [*words, *map(str, where)])
    assert "28 runs; 1 are recorded" in after.output


def test_table_v_is_counted_where_runs_are_asked_for(places):
    done = CliRunner().invoke(main, ["table", "v", "--run", "--results", str(places.results)])
    assert done.exit_code == 0 and "takes no run" in done.output
    assert "| StarGAN         |      1 |" in done.output


def test_a_table_is_filled_by_one_command_and_resumes(places):
    make_ar_faces(places.data)
    where = ["--results", places.results, "--data", places.data, "--runs", places.runs]
    words = ["table", "ii", "--preset", "tiny", "--model", "dualgan", "--model", "pix2pix"]
    done = CliRunner().invoke(main, [*words, "--run", *map(str, where)])
    assert done.exit_code == 0, done.output
    by_run = {(r.model, *r.directions): r.scores for r in read_records(places.results)}
    assert by_run.keys() == {("dualgan",), ("pix2pix", "a2b"), ("pix2pix", "b2a")}
    shown = [line for line in done.output.splitlines() if line.startswith("| DualGAN")]
    for direction in ("a2b", "b2a"):
        psnr = by_run["dualgan",][f"i2i@1/{direction}"].values["psnr"]
        assert any(f" {psnr:.4f} " in line for line in shown)
    again = CliRunner().invoke(main, [*words, "--plan", *map(str, where)])
    assert "3 are recorded" in again.output
    assert "train " not in CliRunner().invoke(main, [*words, "--run", *map(str, where)]).output

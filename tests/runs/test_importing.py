"""Files of models' authors: imported, translated with and scored, or refused."""

from pathlib import Path

import pytest
import torch
from official_files import TINY, same
from PIL import Image

from i2i_bench.plugins import registry
from i2i_bench.records import record
from i2i_bench.report.columns import COST_KEYS
from i2i_bench.report.leaderboard import tabulate
from i2i_bench.runs import importing
from i2i_bench.training import checkpoint
from i2i_bench.training.start import present

pytestmark = pytest.mark.slow  # whole runs and commands

FAMILIES = {  # fixture → model
    "attentiongan_v2": "attentiongan",
    "attentiongan_v2_geo": "attentiongan",
    "attentiongan_v1": "attentiongan-v1",
    "cyclegan": "cyclegan",
    "unit": "unit",
    "munit": "munit",
    "combogan": "combogan",
    "discogan": "discogan",
    "distancegan": "distancegan",
    "drit": "drit",
    "instagan": "instagan",
    "ganimorph": "ganimorph",
    "ugatit_light": "ugatit-light",
    "ugatit_full": "ugatit",
}
SHARED = {  # model → all that read the same files
    "distancegan": "distancegan and distancegan-cycle and distancegan-self",
}


def pictures(folder: str) -> dict[str, bytes]:
    return {path.name: Image.open(path).tobytes() for path in Path(folder).iterdir()}


# --- import


@pytest.mark.parametrize(("fixture", "name"), FAMILIES.items())
def test_import_keeps_every_tensor_of_every_family(cli, save, places, fixture, name):
    text = cli("import", name, save(fixture), "out")
    model = registry.load_model(name).from_official(places / "official")
    content = checkpoint.latest_checkpoint(Path("out"))
    assert content is not None
    ours = model.networks.state_dict()
    assert content["networks"].keys() == ours.keys()
    there = present(ours, model.absent)
    assert same(present(content["networks"], model.absent), there)
    assert content["absent"] == sorted(model.absent)
    assert len(there) == len(ours) if fixture != "attentiongan_v2_geo" else len(there) < len(ours)
    assert f"  config.generator_width: {model.config.generator_width}\n" in text
    assert all(f"  {network}: absent\n" in text for network in model.absent)
    parameters = [line for line in text.splitlines() if line.endswith(" parameters")]
    counted = sum(int(line.split()[1].replace(",", "")) for line in parameters)
    trained = {n for n, _ in model.networks.named_parameters()}
    assert counted == sum(t.numel() for n, t in there.items() if n in trained)


@pytest.mark.parametrize("form", ["run", "absolute", "folder", "checkpoint"])
def test_imported_networks_translate_as_the_authors_files(cli, imported, pair, tiny, form):
    size = ("--size", 48)
    cli("translate", "--model", "cyclegan", "--weights", pair, tiny / "testA", "from-files", *size)
    chosen = {
        "run": ("--run", imported),
        "absolute": ("--run", imported.resolve()),
        "folder": ("--model", "cyclegan", "--weights", imported),
        "checkpoint": ("--model", "cyclegan", "--weights", *imported.glob("checkpoint-*.pt")),
    }
    cli("translate", *chosen[form], tiny / "testA", "from-import", *size)
    assert pictures("from-import") == pictures("from-files")
    assert len(pictures("from-import")) == 2


def test_imported_networks_translate_by_default_as_their_model_is_published(save, places):
    _, settings = importing.load_official("unit", save("unit"))
    assert (settings.crop_size, settings.resampling, settings.resize) == (
        256,
        "bilinear",
        "short_side",
    )


def test_import_is_the_same_each_time_and_knows_its_weights(cli, pair, imported):
    cli("import", "cyclegan", pair, "again")
    first, second = (checkpoint.latest_checkpoint(folder) for folder in (imported, Path("again")))
    assert first is not None
    assert second is not None
    assert first["identity"] == second["identity"]
    assert same(first["networks"], second["networks"])
    tensors = torch.load(pair / "latest_net_G_B.pth")
    tensors["model.26.bias"][0] += 1e-6
    torch.save(tensors, pair / "latest_net_G_B.pth")
    cli("import", "cyclegan", pair, "other")
    other = checkpoint.latest_checkpoint(Path("other"))
    assert other is not None
    assert other["identity"]["variant"] != first["identity"]["variant"]


def test_what_the_files_lack_is_the_same_at_each_import(cli, single):
    cli("import", "cyclegan", "single", "again")
    first, second = (checkpoint.latest_checkpoint(folder) for folder in (single, Path("again")))
    assert first is not None
    assert second is not None
    assert same(first["networks"], second["networks"])


def test_import_replaces_an_import_only_when_forced(cli, imported, pair):
    before = {path: path.stat().st_mtime_ns for path in imported.iterdir()}
    assert "--force replaces it" in cli("import", "cyclegan", pair, imported, code=1)
    assert {path: path.stat().st_mtime_ns for path in imported.iterdir()} == before
    cli("import", "cyclegan", pair, imported, "--force")
    assert {path.name for path in imported.iterdir()} == {path.name for path in before}
    assert {path: path.stat().st_mtime_ns for path in imported.iterdir()} != before


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_import_never_writes_where_something_else_lies(cli, pair, force):
    before = {path.name: path.read_bytes() for path in pair.iterdir()}
    sentence = cli("import", "cyclegan", pair, pair, *force, code=1)
    assert "holds something other than an import" in sentence
    assert {path.name: path.read_bytes() for path in pair.iterdir()} == before


@pytest.mark.parametrize(("fixture", "fitting"), FAMILIES.items())
def test_files_of_another_model_are_refused_naming_the_one_they_fit(
    cli, save, places, fixture, fitting
):
    name = "ugatit" if fitting == "ugatit-light" else "attentiongan-v1"
    if fitting == name:
        name = "unit"
    sentence = cli("import", name, save(fixture), "out", code=1)
    assert sentence.endswith(f"; these files fit {SHARED.get(fitting, fitting)}"), sentence
    assert [path.name for path in places.iterdir()] == ["official"]


def odd_munit(golden, folder: Path) -> None:
    both = {domain: golden("munit").network(f"gen_{domain}") for domain in ("a", "b")}
    del both["b"]["mlp.model.2.fc.bias"]
    torch.save(both, folder / "gen_00000007.pt")


def stargan(golden, folder: Path) -> None:
    golden("stargan").save(folder, {f"200000-{name}.ckpt": name for name in ("D", "G")})


def multi(golden, folder: Path) -> None:
    golden("attentiongan_multi").save(folder, {"200000-G.ckpt": "G"})


def odd_drit(golden, folder: Path) -> None:
    parts = {part: {"convA.0.model.1.weight": torch.ones(4, 3, 7, 7)} for part in ("enc_c", "gen")}
    torch.save(parts | {"ep": 1, "total_it": 5}, folder / "00001.pth")


def unet(golden, folder: Path) -> None:
    torch.save({"model.model.0.weight": torch.ones(4, 3, 4, 4)}, folder / "latest_net_G.pth")


def nothing_known(golden, folder: Path) -> None:
    torch.save({"weights": torch.ones(4, 3)}, folder / "file.pth")


def odd_labels(golden, folder: Path) -> None:
    whole = golden("stargan").network("G")
    del whole["main.3.weight"]
    torch.save(whole, folder / "200000-G.ckpt")


@pytest.mark.parametrize(
    ("write", "fitting"), [(stargan, "stargan"), (multi, "attentiongan-multi")]
)
def test_files_for_labels_are_told_apart(cli, golden, places, write, fitting):
    Path("official").mkdir()
    write(golden, Path("official"))
    sentence = cli("import", "cyclegan", "official", "out", code=1)
    assert sentence.endswith(f"; these files fit {fitting}")


@pytest.mark.parametrize(
    ("write", "family"),
    [
        (odd_munit, "MUNIT"),
        (odd_labels, "StarGAN or the multi-domain AttentionGAN"),
        (odd_drit, "DRIT"),
        (unet, "pix2pix or CycleGAN with a U-Net"),
        (nothing_known, None),
    ],
)
@pytest.mark.parametrize("name", ["cyclegan", "unit"])
def test_files_that_no_installed_model_reads_are_refused_naming_their_family(
    cli, golden, places, name, write, family
):
    Path("official").mkdir()
    write(golden, Path("official"))
    (Path("official") / "notes.pth").write_text("damaged")
    sentence = cli("import", name, "official", "out", code=1)
    _, _, hint = sentence.partition("; this looks like ")
    assert hint == (f"{family}, and fits no installed model" if family else "")
    assert not Path("out").exists()


def test_folders_that_hold_nothing_to_read_are_refused(cli, places):
    Path("empty").mkdir()
    for name in dict.fromkeys(FAMILIES.values()):
        sentence = cli("import", name, "empty", "out", code=1)
        parts = ("no file", "no generator", "no encoder", "empty holds 0 files")
        assert any(part in sentence for part in parts), sentence
        assert "there is no folder or file nothing" in cli("import", name, "nothing", "out", code=1)
    assert [path.name for path in places.iterdir()] == ["empty"]


# --- translate and evaluate


def test_direction_without_its_networks_is_refused_and_nothing_is_written(cli, single, tiny):
    arguments = (tiny / "testB", "out", "--size", 48, "--direction", "b2a")
    sentence = cli("translate", "--run", single, *arguments, code=1)
    assert "CycleGAN has no generators.b2a here: the authors' files it was read from" in sentence
    weights = ("--model", "cyclegan", "--weights", "single")
    assert cli("translate", *weights, *arguments, code=1) == sentence
    assert not Path("out").exists()


def evaluated(cli, run: Path, task: object, *options: object) -> record.Record:
    text = cli("evaluate", run, "--task", task, *options)
    (line,) = [line for line in text.splitlines() if line.startswith("scored ")]
    return record.read_record(Path(line.removeprefix("scored ")))


def test_imported_networks_are_scored_apart_from_trained_ones(cli, imported, tiny):
    found = evaluated(cli, imported, tiny)
    assert (found.preset, found.seed, found.absent) == ("official", 0, [])
    assert found.variant.startswith("official-")
    assert set(found.scores) == {"i2i@1/a2b", "i2i@1/b2a"}
    costs = ("images_seen", "steps", "seconds", "images_per_second", "peak_memory_bytes")
    assert [getattr(found, cost) for cost in costs] == [None] * 5
    assert set(found.settings) == {"config", "crop_size", "precision", "resampling", "resize"}
    assert found.settings["config"]["generator_width"] == 8
    assert found.macs > 0
    cli("run", "--model", "cyclegan", "--task", tiny, *TINY)
    tables = tabulate(record.read_records(Path("results")))
    rows = {
        table.group.preset: [row for row in table.rows if row.kind == "model"] for table in tables
    }
    assert rows.keys() == {"official", "tiny"}
    assert [[row.model for row in group] for group in rows.values()] == [["cyclegan"]] * 2
    assert rows["official"][0].stats.keys() & COST_KEYS == {"parameters"}
    assert "Training costs are unknown" in cli("leaderboard")


def test_scores_are_added_and_replaced_only_when_forced(cli, imported, tiny):
    first = evaluated(cli, imported, tiny)
    assert "--force replaces that" in cli("evaluate", imported, "--task", tiny, code=1)
    assert evaluated(cli, imported, tiny, "--force") == first


def test_scores_are_those_of_the_translations(cli, imported, tiny):
    found = evaluated(cli, imported, tiny)
    cli(
        "translate", "--run", imported, tiny / "testA", "out", "--size", found.settings["crop_size"]
    )
    saved = Path("runs") / found.run.folder / "translations-a2b"
    assert pictures("out") == pictures(str(saved))


def test_single_direction_is_scored_alone_and_the_record_says_so(cli, single, tiny, caplog):
    found = evaluated(cli, single, tiny)
    assert set(found.scores) == {"i2i@1/a2b"}
    assert found.absent == ["discriminators.a", "discriminators.b", "generators.b2a"]
    assert set(found.parameters) == {"generators.a2b"}
    assert "no scores of b2a: CycleGAN has no generators.b2a here" in caplog.text
    assert "official-" in cli("leaderboard")


def test_imports_are_scored_on_embedded_tasks_against_the_truth(cli, imported):
    scores = evaluated(cli, imported, "stripes").scores
    assert all(score.values["psnr_foreground"] for score in scores.values())


def test_task_and_import_belong_together(cli, imported, trained):
    assert "name one with --task" in cli("evaluate", imported, code=1)
    sentence = cli("evaluate", trained, "--task", "stripes", code=1)
    assert "is a run of " in sentence
    assert "did you mean 'stripes'" in cli("evaluate", imported, "--task", "strips", code=1)


@pytest.mark.parametrize(
    ("fixture", "part"),
    [("attentiongan_v1", "at least 96 px"), ("ugatit_full", "at least 96 px")],
)
def test_task_too_small_for_the_model_is_one_sentence(cli, save, places, tiny, fixture, part):
    cli("import", FAMILIES[fixture], save(fixture), "out")
    assert part in cli("evaluate", "out", "--task", tiny, code=1)
    assert not list(places.glob("results/**/*.json"))


def test_full_model_of_another_size_is_one_sentence(cli, save, places):
    for name in ("trainA", "trainB", "testA", "testB"):
        Path("task", name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (128, 128), (9 * i, 8, 7)).save(f"task/{name}/{i}.png")
    cli("import", "ugatit", save("ugatit_full"), "out")
    sentence = cli("evaluate", "out", "--task", "task", code=1)
    assert "for images of 96 px, not 128x128" in sentence
    assert not list(places.glob("results/**/*.json"))


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "results").glob("*/*/*.json")))
def test_older_records_stay_as_they_were_written(tmp_path, path):
    again = record.write_record(record.read_record(path), tmp_path)
    assert again.read_text(encoding="utf-8") == path.read_text(encoding="utf-8")

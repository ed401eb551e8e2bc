"""Runs on a labelled task, from training to tables, as a user types them."""

import contextlib
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from bare_model import BareModel
from PIL import Image

from i2i_bench.data import test_set
from i2i_bench.data.decode import to_float
from i2i_bench.data.training_images import TrainingImages
from i2i_bench.model import Batch, Direction
from i2i_bench.plugins import registry
from i2i_bench.randomness import Randomness
from i2i_bench.records import record
from i2i_bench.runs import plan
from i2i_bench.runs.job import Choices, build_model
from i2i_bench.scoring import classifier, translations
from i2i_bench.scoring.metrics.recognition import KEPT_SHARE, NOTHING_ELSE, TARGET_SHARE
from i2i_bench.scoring.sample import Meter, Sample
from i2i_bench.system.progress import quiet
from i2i_bench.tasks import catalogue
from i2i_bench.training import checkpoint, loop
from i2i_bench.training.loop import Schedule
from i2i_bench.training.watch import Watch

pytestmark = pytest.mark.slow  # whole runs and commands

MODELS = ("stargan", "attentiongan-multi")
COLOURS = {"blue": (20, 60, 210), "green": (30, 190, 60), "red": (200, 40, 30)}
TARGETS = ["+blue", "+green", "+red"]
CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def colours(tmp_path_factory) -> Path:
    """Give a labelled folder task of 16x16 images, each of nearly one colour; leave it as it is."""
    folder = tmp_path_factory.mktemp("labelled") / "colours"
    for split, count in (("train", 4), ("test", 2)):
        for name, colour in COLOURS.items():
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                near = np.random.RandomState(i).randint(-9, 10, (16, 16, 3))
                image = (np.array(colour) + near).astype(np.uint8)
                Image.fromarray(image).save(folder / split / name / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def _done(tmp_path_factory, colours, cli) -> Path:
    folder = tmp_path_factory.mktemp("done")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("results", "runs", "data", "weights", "cache"):
            patch.setenv(f"I2I_BENCH_{name.upper()}", str(folder / name))
        models = [part for name in MODELS for part in ("--model", name)]
        cli("run", *models, "--task", colours, "--preset", "tiny")
    return folder


@pytest.fixture
def done(_done, places) -> Path:
    """Give a copy of the places after a run of each model."""
    return Path(shutil.copytree(_done, places, dirs_exist_ok=True))


def run_of(model):
    (path,) = Path("runs").glob(f"folder-colours-*/{model}+preset=tiny/seed0")
    return path


def record_of(model):
    (path,) = Path("results").glob(f"folder-colours-*/{model}+preset=tiny/seed0.json")
    return record.read_record(path)


# --- run, evaluate, score, compare, leaderboard


@pytest.mark.parametrize("model", MODELS)
def test_run_scores_every_target_with_its_share(done, model):
    found = record_of(model)
    assert [key.split("/")[1] for key in sorted(found.scores)] == TARGETS
    for score in found.scores.values():
        assert score.n_fake == 4 and score.n_real == 2
        share = score.values["target_share"]
        assert share is not None and 0 <= share <= 1
        assert score.reasons["kept_share"] == NOTHING_ELSE
        assert score.baselines["real"].values["target_share"] == 1
        assert score.baselines["identity"].values["target_share"] == 0
        assert score.classifier_sha256
    hashes = {score.classifier_sha256 for score in found.scores.values()}
    assert hashes == {s.classifier_sha256 for s in record_of(MODELS[0]).scores.values()}
    assert found.settings["config"]["attributes"] == list(COLOURS)


def test_run_leaves_translations_masks_and_losses(done):
    names = {path.name for path in run_of("attentiongan-multi").iterdir()}
    assert {f"samples-{target}.png" for target in TARGETS} <= names
    assert {"losses.png", "translations-+red"} <= names
    files = sorted(p.name for p in (run_of("stargan") / "translations-+red").iterdir())
    assert files == ["blue-0.png", "blue-1.png", "green-0.png", "green-1.png"]


def test_log_has_what_each_step_computed(done):
    lines = (run_of("stargan") / loop.LOG).read_text().splitlines()
    names = [set(json.loads(line)["losses"]) for line in lines]
    critic = {"discriminator", "classification_real", "gradient_penalty"}
    assert names == [critic, critic | {"adversarial", "classification", "cycle"}] * 2


def test_a_second_run_finds_its_record(done, colours, cli):
    text = cli("run", "--model", "stargan", "--task", colours, "--preset", "tiny")
    assert "recorded already" in text
    text = cli("run", "--model", "stargan", "--task", colours, "--preset", "tiny", "--dry-run")
    assert "config.attributes: ['blue', 'green', 'red']" in text
    assert "multiply-adds of a translation: " in text


def test_evaluate_adds_a_protocol_for_every_target(done, cli):
    cli("evaluate", run_of("stargan"), "--protocol", "clean")
    assert len(record_of("stargan").scores) == 6


def test_images_of_other_programs_are_scored_by_target_and_compared(done, colours, cli):
    fakes = run_of("stargan") / "translations-+red"
    cli("score", fakes, "--task", colours, "--direction", "+red", "--name", "mine")
    (path,) = Path("results").glob("folder-colours-*/external/mine.json")
    mine, theirs = record.read_external_record(path), record_of("stargan")
    key = "i2i@1/+red"
    assert mine.scores[key].values["target_share"] == theirs.scores[key].values["target_share"]
    sides = (path, run_of("stargan"), "--images-a", fakes, "--task", colours)
    text = cli("compare", *sides)
    assert ", +red, i2i@1, n = 4" in text


def test_pairs_of_domains_are_scored_too(done, colours, cli, tmp_path):
    for i in range(2):
        source = run_of("stargan") / "translations-+red" / f"blue-{i}.png"
        (tmp_path / "pair").mkdir(exist_ok=True)
        shutil.copy(source, tmp_path / "pair")
    command = ("score", tmp_path / "pair", "--task", colours, "--name", "pair")
    text = cli(*command, "--direction", "blue2red")
    assert "i2i@1, blue2red, n = 2" in text
    assert "no direction red2pink; possible: +blue" in cli(
        *command, "--direction", "red2pink", code=1
    )


def test_leaderboard_begins_with_the_mean_over_targets(done, cli):
    headings = [line for line in cli("leaderboard").splitlines() if line.startswith("## ")]
    directions = [line.split(", ")[1] for line in headings]
    assert directions == ["mean over 3 targets", *TARGETS]


@pytest.mark.parametrize("name", ["ii", "iii", "v"])
def test_tables_go_on_with_labelled_records(done, cli, name):
    assert "StarGAN" in cli("table", name)


# --- translate


def same(first: Path, second: Path) -> bool:
    return bool((np.asarray(Image.open(first)) == np.asarray(Image.open(second))).all())


@pytest.mark.parametrize(
    "where",
    [
        ("--direction", "+red"),
        ("--direction", "red"),
        ("--direction", "blue2red"),
        ("--to", "red"),
    ],
)
def test_translate_goes_by_change_domain_pair_or_label(done, colours, cli, where):
    run = run_of("attentiongan-multi")
    cli("translate", "--run", run, colours / "test" / "blue", "out", *where, "--masks")
    for i in range(2):
        assert same(Path(f"out/{i}.png"), run / "translations-+red" / f"blue-{i}.png")
        assert Path(f"out/{i}_attention2.png").is_file()


@pytest.mark.parametrize(
    ("where", "part"),
    [
        ((), "either --to, all that translations are to have, or --direction is needed"),
        (("--direction", "+red", "--to", "red"), "possible directions: +blue, +green, +red"),
        (("--direction", "a2b"), "no direction a2b; possible: +blue"),
        (("--direction", "-red"), "no direction -red; possible: +blue"),
        (("--to", "rod"), "no attribute rod; did you mean 'red'? possible: blue, green, red"),
        (("--to", "red,blue"), "blue and red exclude each other"),
    ],
)
def test_translate_refuses_what_says_no_target(done, colours, cli, where, part):
    command = ("translate", "--run", run_of("stargan"), colours / "test" / "blue", "out")
    assert part in cli(*command, *where, code=1)
    assert not Path("out").exists()


def test_a_change_of_one_attribute_needs_the_others(places, colours, cli, golden):
    golden("stargan").save(places, {"200000-G.ckpt": "G", "200000-D.ckpt": "D"})
    cli("import", "stargan", places, "imported")
    command = ("translate", "--run", "imported", colours / "test" / "blue")
    sentence = cli(*command, "out", "--direction", "+Blond_Hair", code=1)
    assert "+Blond_Hair keeps all other attributes, which must be known" in sentence
    labels = ("--labels", "Black_Hair,Young")
    cli(*command, "one", "--direction", "+Blond_Hair", *labels, "--size", "64")
    cli(*command, "other", "--to", "Blond_Hair,Young")
    assert same(Path("one/0.png"), Path("other/0.png"))


def test_two_domains_take_no_labels(finished, tiny, cli):
    (run,) = Path("runs").glob("folder-tiny-*/cyclegan+preset=tiny/seed0")
    command = ("translate", "--run", run, tiny / "testA", "out")
    assert "CycleGAN has no labels; leave --labels" in cli(*command, "--to", "red", code=1)


# --- what does not go together


def test_models_and_tasks_of_different_kinds_are_refused_in_a_sentence(places, colours, tiny, cli):
    options = ("--preset", "tiny", "--dry-run")
    sentence = cli("run", "--model", "cyclegan", "--task", colours, *options, code=1)
    assert sentence.startswith("model 'cyclegan' needs two domains, and task folder-colours-")
    assert "has labels: blue, green, red; " in sentence
    assert "; tasks that can: hue, " in sentence
    sentence = cli("run", "--model", "stargan", "--task", tiny, *options, code=1)
    assert sentence.startswith("model 'stargan' needs labels, and task folder-tiny-")


def test_imports_are_scored_on_their_own_labels_only(places, colours, cli, golden):
    golden("stargan").save(places, {"200000-G.ckpt": "G", "200000-D.ckpt": "D"})
    cli("import", "stargan", places, "imported")
    sentence = cli("evaluate", "imported", "--task", colours, code=1)
    assert "networks are for the labels Black_Hair, Blond_Hair, Brown_Hair, Male, Young" in sentence
    sentence = cli("evaluate", "imported", "--task", "stripes", code=1)
    assert "model 'stargan' needs labels, and task stripes has two domains" in sentence


def test_sizes_that_disagree_are_refused_before_training(places, colours, cli):
    command = ("run", "--model", "stargan", "--task", colours, "--preset", "tiny", "--dry-run")
    sentence = cli(*command, "--set", "crop_size=8", code=1)
    assert "only takes images of 16 px, and crop_size is 8; set image_size" in sentence
    sizes = [part for key in ("image", "load", "crop") for part in ("--set", f"{key}_size=32")]
    assert "config.image_size: 32" in cli(*command, *sizes)


# --- parts


@pytest.fixture(scope="module")
def job(colours):
    task = catalogue.find_task(str(colours), Path())
    choices = Choices("tiny", {}, 12)
    return plan.make_job(
        "stargan", registry.load_model("stargan"), (str(colours), task), 0, choices
    )


def test_resumed_training_ends_in_the_same_networks(job, tmp_path):
    images = TrainingImages(job.task, job.settings, 0)

    def train(folder, report=quiet):
        model = build_model(job)
        schedule = Schedule(0, 2, 12, checkpoint_seconds=0.0)
        loop.train(model, images, schedule, folder=folder, identity=job.identity(), report=report)
        return model.networks.state_dict()

    for images_seen in (4, 8):
        with pytest.raises(InterruptedError):
            train(tmp_path / "parts", _stopping(images_seen))
    resumed, whole = train(tmp_path / "parts"), train(tmp_path / "whole")
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)


def _stopping(images_seen):
    def report(stage, done, of, values):
        if done > images_seen:
            raise InterruptedError

    return report


class Inverted(BareModel):
    """A model of labels that inverts colours on the way to one, and shifts them to the others."""

    networks = torch.nn.ModuleDict()

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> torch.Tensor:
        assert batch.labels is not None
        (source,) = batch.images.values()
        assert len(batch.labels[direction.target]) == len(source)
        return -source if direction.target == "+red" else source * 0.5


def test_training_is_watched_in_every_change_of_a_label(job, caplog):
    model = Inverted()
    images = TrainingImages(job.task, job.settings, 0)
    watch = Watch(model, images, quiet)  # pyright: ignore[reportArgumentType]
    with caplog.at_level(logging.WARNING):
        watch("train", 10, 10, {})
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("+red after 10 images: colours are inverted")


def test_translations_back_get_the_labels_that_the_sources_had(job):
    class Painter(Inverted):
        """Fill an image with the number of its label."""

        card = registry.load_model("stargan").card

        def translate(self, batch: Batch, direction: Direction, random: Randomness) -> torch.Tensor:
            assert batch.labels is not None
            value = batch.labels[direction.target].argmax(dim=1) / 2 - 0.5
            return value.view(-1, 1, 1, 1).expand(-1, 3, 16, 16)

    task, direction = job.task, Direction("-red", "+red")
    found = translations.translate_test_set(
        Painter(),  # pyright: ignore[reportArgumentType]
        test_set.TestSet(task, job.settings.resize_rule),
        direction,
        device=CPU,
    )
    assert found.labels is not None
    before, after = found.labels
    assert (after == [0, 0, 1]).all()
    assert (before.argmax(axis=1) == [0, 0, 1, 1]).all()
    assert not isinstance(found.reconstructions, str)
    filled = to_float(torch.from_numpy(found.reconstructions[:, 0, 0, 0]))
    assert filled.tolist() == pytest.approx([-0.5, -0.5, 0.0, 0.0], abs=0.01)


def test_classifier_is_trained_once_and_a_damaged_one_anew(job, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("I2I_BENCH_CACHE", str(tmp_path))
    first = classifier.trained_classifier(job.task, CPU, quiet)
    (path,) = tmp_path.glob("classifiers/*.pt")
    written = path.stat().st_mtime_ns
    assert classifier.trained_classifier(job.task, CPU, quiet).sha256 == first.sha256
    assert path.stat().st_mtime_ns == written
    path.write_bytes(b"damaged")
    assert classifier.trained_classifier(job.task, CPU, quiet).sha256 == first.sha256
    assert "is trained again" in caplog.text
    assert not checkpoint.latest_checkpoint(tmp_path)


def test_classifier_that_another_process_made_meanwhile_is_taken(job, tmp_path, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_CACHE", str(tmp_path))

    @contextlib.contextmanager
    def alone(path):  # the other one is done first
        monkeypatch.setattr(classifier, "alone", contextlib.nullcontext)
        made.append(classifier.trained_classifier(job.task, CPU, quiet).sha256)
        monkeypatch.setattr(classifier, "_train", None)
        yield

    made = []
    monkeypatch.setattr(classifier, "alone", alone)
    assert [classifier.trained_classifier(job.task, CPU, quiet).sha256] == made


def shares(judge, images, labels):
    asked = Sample(judge.asked(images, labels, "+cold"))
    return Meter().values([TARGET_SHARE, KEPT_SHARE], asked)


def test_classifier_tells_targets_and_what_is_kept():
    class Reads(classifier.ClassifierNetwork):
        """Read the labels off the first pixel: red is cold, green striped, blue cross."""

        def forward(self, images):
            return images[:, :, 0, 0]

    task = catalogue.EMBEDDED["shapes-attributes"]
    judge = classifier.Classifier(Reads(8, 3), 8, task.labelling, "0", CPU)
    labels = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1]], np.int8)
    shown = np.array([[1, 0, 0], [1, 1, 1], [0, 0, 0], [1, 0, 1]], np.uint8) * 255
    images = np.broadcast_to(shown[:, None, None], (4, 8, 8, 3)).copy()
    found = shares(judge, images, labels)
    assert found == {"target_share": 3 / 4, "kept_share": 5 / 8}
    larger = np.broadcast_to(shown[:, None, None], (4, 16, 16, 3)).copy()
    assert shares(judge, larger, labels) == found

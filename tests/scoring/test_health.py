"""Alarms of collapsed masks and inverted colours, in values and during training."""

from typing import Any

import numpy as np
import pytest
import torch
from bare_model import BareModel

from i2i_bench.data import test_set
from i2i_bench.data.directions import directions_of
from i2i_bench.data.requests import Request
from i2i_bench.data.training_images import TrainingImages
from i2i_bench.model import A2B, Masks, Model, ResizeRule, Settings
from i2i_bench.plugins import registry
from i2i_bench.records import record
from i2i_bench.scoring import alarms, health, translations
from i2i_bench.scoring.alarms import alarms_of_values
from i2i_bench.scoring.health import MASK_METRICS, image_values, join, mask_values, measure
from i2i_bench.scoring.metrics import change
from i2i_bench.system.progress import quiet
from i2i_bench.tasks import catalogue
from i2i_bench.training.watch import LOOKS, Watch, _look_at

STRIPES = catalogue.EMBEDDED["stripes"]
SETTINGS = Settings(None, 4, 8, 32, 32)


def masks(*usage, images=3, background=None):
    """Make masks that have the same attention at every pixel."""
    attention = torch.tensor(usage).view(1, -1, 1, 1).expand(images, -1, 4, 4)
    return Masks(attention, None, background)


# Values


def test_masks_of_batches_are_measured_as_one_set():
    first, second = measure(masks(1.0, 0.0)), measure(masks(0.0, 1.0))
    found = mask_values(join([first, second]))
    assert found == {
        "attention_entropy": 0,
        "attention_saturated": 1,
        "effective_masks": pytest.approx(2),  # each batch uses one, all images two
    }
    assert mask_values(first)["effective_masks"] == 1


def test_single_mask_is_never_called_collapsed():
    found = mask_values(measure(masks(1.0)))
    assert found["attention_saturated"] == 1
    assert found["effective_masks"] == found["attention_entropy"] == "a single mask shares nothing"
    assert not alarms_of_values(found)


@pytest.mark.parametrize(
    ("found", "reason"), [(None, "no attention masks"), (masks(0.5, 0.1), "must sum to 1")]
)
def test_what_cannot_be_measured_has_one_reason(found, reason):
    measured = join([measure(masks(0.5, 0.5)), measure(found)])
    values = mask_values(measured)
    assert values.keys() == {metric.key for metric in MASK_METRICS}
    assert all(isinstance(value, str) and reason in value for value in values.values())


def images(seed=0, count=3):
    return np.random.RandomState(seed).randint(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def test_images_of_one_luminance_do_not_count():
    one, flat = images(), np.full((2, 8, 8, 3), 9, np.uint8)
    some = np.concatenate([one, flat])
    assert image_values(some, some)["colour_correlation"] == pytest.approx(1)
    reason = image_values(flat, flat)["colour_correlation"]
    assert reason == "every image has a single luminance"


# Alarms


@pytest.mark.parametrize(
    ("values", "alarm"),
    [
        ({"background_share": 0.995, "effective_masks": 1.03}, "background_share"),
        ({"background_share": 0.98, "effective_masks": 1.06}, None),
        ({"background_share": 0.0, "effective_masks": 1.04}, "effective_masks"),
        ({"effective_masks": 1.0}, "effective_masks"),
        ({"colour_correlation": -0.51}, "colour_correlation"),
        ({"colour_correlation": -0.49}, None),
        ({"colour_correlation": -0.9, "colour_correlation_truth": 0.1}, "colour_correlation"),
        ({"colour_correlation": -0.9, "colour_correlation_truth": -0.8}, None),  # as it should be
        ({"background_share": None, "effective_masks": "no attention masks"}, None),
        ({"unchanged_share": 0.9, "change": 1.0}, "unchanged_share"),
        ({"unchanged_share": 0.89, "change": alarms.LEAST_CHANGE}, None),
        ({"unchanged_share": 0.0, "change": alarms.LEAST_CHANGE - 0.1}, "change"),
        ({"unchanged_share": 1.0, "change": 0.0, "change_truth": 2.0}, None),  # as it should be
        ({}, None),
    ],
)
def test_alarm_is_raised_where_the_thresholds_say(values, alarm):
    assert list(alarms_of_values(values)) == ([alarm] if alarm else [])


@pytest.mark.parametrize(
    ("share", "colour", "more", "is_alarm"),
    [
        (0.86, 0.998, {}, True),
        (0.91, 0.998, {"change": 18.0}, True),
        (0.79, 0.998, {}, False),
        (0.91, 0.99, {}, False),
        (0.91, 0.998, {"change": 25.0}, False),  # such as a smile on a face
        (0.91, 0.998, {"colour_correlation_truth": 0.996}, False),
    ],
)
def test_what_masks_add_unseen_is_an_alarm(share, colour, more, is_alarm):
    values = {"background_share": share, "colour_correlation": colour, **more}
    found = alarms_of_values(values)
    assert list(found) == ["background_share"] * is_alarm
    assert not is_alarm or "correlates by 0.998" in found["background_share"]


@pytest.mark.parametrize(
    ("variety", "sources", "real", "is_alarm"),
    [
        (4.9, 50.0, 60.0, True),
        (5.1, 50.0, 60.0, False),
        (4.9, 60.0, 20.0, False),  # real images are as alike
        (0.0, 3.9, 60.0, False),  # sources are alike
        (0.0, 0.0, 0.0, False),  # of one image
    ],
)
def test_one_picture_for_all_is_told_from_sets_that_are_alike(variety, sources, real, is_alarm):
    assert (list(alarms_of_values({"variety": variety}, sources, real)) == ["variety"]) == is_alarm


QUICK = ("stripes", "morph")  # of the others, those of many directions take seconds


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in catalogue.EMBEDDED],
)
def test_right_answers_of_an_embedded_task_are_far_from_every_alarm(name):
    task = catalogue.EMBEDDED[name]
    tests = test_set.TestSet(task, ResizeRule(task.image_size))
    for direction in directions_of(task):
        against = translations.reference(tests, direction)
        sources = tests.images(direction.source)
        answers = against.truth if against.truth is not None else against.answers[:, 0]  # pyright: ignore[reportOptionalSubscript] - one of both is there
        values: Any = image_values(sources, answers)
        assert values["unchanged_share"] == 0
        assert values["change"] > 4 * alarms.LEAST_CHANGE
        least = min(map(change.image_variety, (sources, against.real)))
        assert values["variety"] > 9 * alarms.SAME * least


def test_thresholds_of_masks_agree_for_two_masks():
    usage = np.array([alarms.COPIES, 1 - alarms.COPIES])
    assert health.mask_metrics.effective_masks(usage) == pytest.approx(alarms.COLLAPSED, abs=0.01)


# In training


class Inverting(BareModel):
    """Turn images into their negatives by two masks, of which one has everything."""

    def __init__(self, sign=-1.0, usage=(0.0, 1.0)):
        self.networks = torch.nn.ModuleDict({"only": torch.nn.BatchNorm2d(3)})
        self.networks.train()
        self.sign, self.usage, self.modes = sign, usage, []

    def translate(self, batch, direction, random):
        self.modes.append((self.networks["only"].training, torch.is_grad_enabled()))
        return self.sign * batch.images[direction.source]

    def masks(self, batch, direction, random):
        return masks(*self.usage, images=len(batch.images[direction.source]))


@pytest.fixture(scope="module")
def training_images():
    return TrainingImages(STRIPES, SETTINGS, 0)


def watch(model, training_images, *, steps=40, stage="train"):
    seen = []
    watched = Watch(model, training_images, lambda *report: seen.append(report))
    for done in range(1, steps + 1):
        watched(stage, done, steps, {"cycle_a": 1.0})
    assert [report[1] for report in seen] == list(range(1, steps + 1))  # all are handed on


def test_warning_comes_once_for_each_alarm_and_direction(training_images, caplog):
    watch(Inverting(), training_images)
    messages = [entry.getMessage() for entry in caplog.records]
    assert len(messages) == 4
    assert sum(message.startswith("a2b after 2 images: ") for message in messages) == 2
    assert sum("colours are inverted" in message for message in messages) == 2
    assert sum("masks have collapsed" in message for message in messages) == 2


def test_sound_model_is_looked_at_in_silence_and_rarely(training_images, caplog):
    model = Inverting(sign=0.4, usage=(0.5, 0.5))
    watch(model, training_images, steps=400)
    assert not caplog.records
    assert len(model.modes) == 2 * LOOKS


@pytest.mark.parametrize(
    ("sign", "said"), [(1.0, "unchanged"), (0.9, "hardly differ"), (0.0, "same")]
)
def test_copies_and_one_picture_are_warned_of_once_the_beginning_is_over(
    training_images, caplog, sign, said
):
    watch(Inverting(sign=sign, usage=(0.5, 0.5)), training_images)
    messages = [entry.getMessage() for entry in caplog.records]
    assert [text.partition(": ")[0] for text in messages] == [
        "a2b after 10 images",
        "b2a after 10 images",
    ]
    assert all(said in text for text in messages)


def test_look_translates_in_evaluation_and_leaves_the_mode_as_it_was(training_images):
    model = Inverting()
    frozen = torch.nn.Dropout()
    model.networks["frozen"] = frozen.eval()
    watch(model, training_images, steps=1)
    assert set(model.modes) == {(False, False)}
    assert model.networks["only"].training
    assert not frozen.training


def test_other_stages_are_not_looked_at(training_images):
    model = Inverting()
    watch(model, training_images, stage="decode")
    assert not model.modes


@pytest.mark.parametrize("name", ["attentiongan", "cyclegan"])
def test_look_changes_nothing_of_a_model_in_training(name, training_images):
    model_class: type[Model] = registry.load_model(name)
    settings = model_class.settings("tiny", STRIPES)
    torch.manual_seed(0)
    model = model_class(settings.config)
    model.networks.train()
    before = {key: tensor.clone() for key, tensor in model.networks.state_dict().items()}
    state = torch.get_rng_state()
    Watch(model, training_images, quiet)("train", 1, 1, {})
    assert torch.equal(torch.get_rng_state(), state)
    after = model.networks.state_dict()
    assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())
    assert all(p.grad is None for p in model.networks.parameters())


def test_background_is_seen_in_training(training_images):
    model: Any = Inverting(sign=1.0)
    model.masks = lambda batch, direction, random: masks(0.005, 0.995, images=4, background=1)
    found = _look_at(model, Request(A2B, training_images.batch(0, 4).images["a"]))
    assert list(found) == ["background_share", "unchanged_share"]


def test_alarm_of_a_run_is_warned_of_recorded_and_shown(cli, places, tiny, monkeypatch, caplog):
    monkeypatch.setattr(alarms, "COPIES", 0.1)
    cli("run", "--model", "attentiongan", "--task", tiny, "--preset", "tiny", "--budget", 2)
    warned = [entry.getMessage() for entry in caplog.records if "translated" in entry.getMessage()]
    assert [text.split(":")[0] for text in warned] == ["a2b after 2 images", "b2a after 2 images"]
    (path,) = places.glob("results/*/*/seed0.json")
    found = record.read_record(path).alarms
    assert [text.split(":")[0] for text in found] == ["a2b", "b2a"]
    assert all("nothing is translated" in text for text in found)
    assert cli("leaderboard").count("- Alarm of attentiongan") == 2

"""Channels of a task in the settings of a run."""

import dataclasses
from typing import Any

import pytest
from bare_model import BareModel

from i2i_bench.blocks.limits import task_channels
from i2i_bench.model import Settings
from i2i_bench.runs.job import Choices
from i2i_bench.runs.plan import make_job
from i2i_bench.tasks.catalogue import find_task
from i2i_bench.tasks.pixel_format import PixelFormat
from i2i_bench.training.settings import plain_settings, require_possible, restore_settings

GREY = PixelFormat(1, (0, 4095))


@dataclasses.dataclass(frozen=True)
class AnyConfig:
    channels: tuple[int, ...] = (3, 3)


class _AnyChannels(BareModel):
    Config = AnyConfig

    @classmethod
    def settings(cls, preset, task):
        return Settings(AnyConfig(task_channels(task)), 2, 8, 32, 32)


AnyChannels: Any = _AnyChannels


@dataclasses.dataclass(frozen=True)
class NoConfig:
    pass


class RGBAlone(BareModel):
    Config = NoConfig

    @classmethod
    def settings(cls, preset, task):
        return Settings(NoConfig(), 2, 8, 32, 32)


@pytest.fixture(scope="module")
def stripes(tmp_path_factory):
    return find_task("stripes", tmp_path_factory.mktemp("data"))


def with_pixels(task, **pixels):
    return dataclasses.replace(task, pixels=pixels)


def job_of(model_class, task):
    return make_job("any", model_class, ("stripes", task), 0, Choices("tiny"))


def test_a_task_is_of_three_channels_and_eight_bits_unless_it_says_otherwise(stripes):
    assert stripes.channels == {"a": 3, "b": 3}
    assert stripes.value_range == {"a": None, "b": None}
    mixed = with_pixels(stripes, b=GREY)
    assert mixed.channels == {"a": 3, "b": 1}
    assert mixed.value_range == {"a": None, "b": (0, 4095)}


def test_channels_are_in_the_settings_of_a_run_only_where_some_are_not_of_rgb(stripes):
    plain = job_of(AnyChannels, stripes)
    assert "channels" not in plain.plain_settings()["config"]
    assert restore_settings(AnyChannels, plain.plain_settings()) == plain.settings
    other = job_of(AnyChannels, with_pixels(stripes, b=GREY))
    assert other.plain_settings()["config"]["channels"] == [3, 1]
    assert restore_settings(AnyChannels, other.plain_settings()) == other.settings
    assert other.run == plain.run  # the task tells them apart, no variant


def test_a_model_that_states_no_channels_is_refused_with_those_that_do(stripes):
    job_of(RGBAlone, stripes)
    with pytest.raises(ValueError, match="'any' takes images of 3 channels alone, and task stri"):
        job_of(RGBAlone, with_pixels(stripes, a=GREY, b=GREY))
    with pytest.raises(ValueError, match="has images of 3 channels in domain a, 1 channel in dom"):
        job_of(RGBAlone, with_pixels(stripes, b=GREY))


def test_networks_of_other_channels_than_the_task_are_refused(stripes):
    made = AnyChannels.settings("tiny", with_pixels(stripes, b=GREY))
    with pytest.raises(ValueError, match="for images of 3, 1 channels, and task stripes has image"):
        require_possible(stripes, made)
    three = dataclasses.replace(made, config=AnyConfig())
    require_possible(stripes, three)
    with pytest.raises(ValueError, match="for images of 3, 3 channels"):
        require_possible(with_pixels(stripes, a=GREY, b=GREY), three)


def test_a_setting_of_a_plugin_that_is_called_channels_as_a_number_is_its_own():
    settings = Settings(dataclasses.make_dataclass("C", [("channels", int, 64)])(), 1, 1, 32, 32)
    assert plain_settings(settings)["config"] == {"channels": 64}

"""The settings of a run: changed by what is typed, restored from what is written, and possible."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError

from i2i_bench.model import Model, Settings
from i2i_bench.system.messages import near
from i2i_bench.tasks.pixel_format import RGB
from i2i_bench.tasks.task import Task
from i2i_bench.training import memory

LATER = ("instances", "rescale", "rotation")  # settings that older records and checkpoints lack
SETTINGS_KEYS = (
    *("batch_size", "crop_size", "flip", "load_size", "resampling", "resize"),
    *LATER,
)
LARGEST_OF_LATER = {"instances": 256, "rescale": 0.5, "rotation": 180.0}  # the least is 0
LARGEST_SIDE = 2**24  # pixels; whether there is memory for so many is another question
LARGEST_SETTINGS = {
    "batch_size": 4096,
    "budget": 2**53,
    "load_size": LARGEST_SIDE,
    "crop_size": LARGEST_SIDE,
}
LARGEST_INTEGER = 2**31 - 1  # of a setting that is typed
MOST_LAYERS = 1000  # blocks, masks and the like


def with_config(settings: Settings, config: Any) -> Settings:
    """Replace the configuration; one for labels also fixes the size of images."""
    size = _fixed_size(settings, config)
    sizes = {} if size == settings.crop_size else {"load_size": size, "crop_size": size}
    return dataclasses.replace(settings, config=config, **sizes)


def plain_settings(settings: Settings) -> dict[str, Any]:
    """Return settings as plain values; those that came later only where they are set.

    Channels came later, too: a configuration for RGB alone does not state them.
    """
    plain = dataclasses.asdict(settings)
    channels = stated_channels(settings.config)
    if channels and is_rgb(channels):
        del plain["config"]["channels"]
    return {key: value for key, value in plain.items() if value or key not in LATER}


def stated_channels(config: Any) -> tuple[int, ...]:
    """Give the channels that a configuration states by domain; none if it is for RGB alone."""
    found = getattr(config, "channels", ())
    return found if isinstance(found, tuple) else ()  # a number is another setting of that name


def is_rgb(channels: Sequence[int]) -> bool:
    """Tell whether channels are those of RGB, in every domain."""
    return all(each == RGB.channels for each in channels)


def _fixed_size(settings: Settings, config: Any) -> int:
    """Return the image size of a configuration for labels, else that of the settings."""
    return config.image_size if getattr(config, "attributes", ()) else settings.crop_size


def without_memory(
    model_class: type[Model], settings: Settings, like: Mapping[str, Any] | None = None
) -> Model:
    """Build a model on the meta device, where tensors have a shape and no content.

    Args:
        model_class: The model.
        settings: Of which the configuration is used.
        like: Tensors that it is to fit; settings that ask for far more tensors are refused.

    Raises:
        ValueError: If the model cannot be built so.
    """
    most = None if like is None else 1000 + 100 * len(like)  # operations, a few a tensor
    try:
        with torch.device("meta"), memory.bounded(most):
            return model_class(settings.config)
    except Exception as error:  # a model may fail in any way
        why = next(iter(str(error).splitlines()), type(error).__name__)
        title = model_class.card.title
        raise ValueError(f"{title} cannot be built with these settings: {why}") from error


def change_settings(model: str, settings: Settings, changes: Mapping[str, str]) -> Settings:
    """Change settings by key and typed value; keys of the configuration come first.

    Raises:
        ValueError: For an unknown key, with the nearest, or a value of the wrong type.
    """
    hints = typing.get_type_hints(type(settings.config))
    own = [field.name for field in dataclasses.fields(settings.config)]
    general = typing.get_type_hints(Settings)
    config, others = {}, {}
    for key, text in changes.items():
        if key in own:
            config[key] = _parse(key, text, hints[key])
        elif key in SETTINGS_KEYS:
            others[key] = _parse(key, text, general[key])
        else:
            known = sorted([*own, *SETTINGS_KEYS])
            possible = f"{near(key, known)}possible: {', '.join(known)}"
            raise ValueError(f"model {model!r} has no setting {key!r}; {possible}")
    changed = dataclasses.replace(settings.config, **config)
    return dataclasses.replace(settings, config=changed, **others)


def _parse(key: str, text: str, hint: Any) -> Any:
    adapter = TypeAdapter(hint)
    try:
        value = adapter.validate_strings(text)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] in ("tuple_type", "list_type", "dict_type"):
            raise ValueError(f"{key}={text}: a list cannot be typed; the preset sets it") from None
        raise ValueError(f"{key}={text}: {first['msg']}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{key}={text}: a finite number is needed")
    most = MOST_LAYERS if key.startswith("num_") else LARGEST_INTEGER
    if isinstance(value, int) and abs(value) > most:
        raise ValueError(f"{key}={text}: at most {most} is possible")
    return value


def _require_numbers(settings: Settings) -> None:
    for key, most in LARGEST_SETTINGS.items():
        value = getattr(settings, key)
        if not isinstance(value, int) or not 1 <= value <= most:
            raise ValueError(f"{key} is {value!r}; an integer from 1 to {most} is needed")
    for key, most in LARGEST_OF_LATER.items():
        value = getattr(settings, key)
        if not isinstance(value, (int, type(most))) or not 0 <= value <= most:
            raise ValueError(f"{key} is {value!r}; a number from 0 to {most} is needed")


def require_possible(task: Task, settings: Settings) -> None:
    """Raise ValueError if no run of a task can have these settings."""
    _require_numbers(settings)
    if settings.crop_size > settings.load_size:
        raise ValueError(
            f"crop_size {settings.crop_size} does not fit into load_size {settings.load_size}"
        )
    exact = task.image_size
    if task.kind == "embedded" and (settings.load_size, settings.crop_size) != (exact, exact):
        raise ValueError(
            f"task {task.name} is exact in pixels: load_size and crop_size must both be {exact}"
        )
    if task.kind == "embedded" and settings.resize == "whole":
        raise ValueError(f"the images of task {task.name} are square; leave resize=whole out")
    size = _fixed_size(settings, settings.config)
    if size != settings.crop_size:
        raise ValueError(
            f"the model only takes images of {size} px, and crop_size is "
            f"{settings.crop_size}; set image_size, load_size and crop_size together"
        )
    require_labels(task, settings.config)
    require_channels(task, settings.config)


def require_labels(task: Task, config: Any) -> None:
    """Raise ValueError for networks that were made for other labels or domains than the task's."""
    if domains := tuple(getattr(config, "domains", ())):
        if domains != (task.attributes or task.domains):
            raise ValueError(
                f"the networks are for the domains {', '.join(domains)}, and task {task.name} has "
                f"{', '.join(task.attributes or task.domains)}, in this order"
            )
        return
    ours = task.attributes, task.exclusive
    theirs = tuple(getattr(config, key, ()) for key in ("attributes", "exclusive"))
    if theirs[0] == ours[0] and theirs[1] != ours[1]:
        raise ValueError(
            f"the networks are for labels of which {_groups(theirs[1])} exclude each other, and "
            f"of those of task {task.name} {_groups(ours[1])} do"
        )
    if theirs != ours:
        raise ValueError(
            f"the networks are for the labels {', '.join(theirs[0])}, and task {task.name} has "
            f"{', '.join(task.attributes)}, in this order"
        )


def require_channels(task: Task, config: Any) -> None:
    """Raise ValueError for networks that were made for images of other channels than the task's."""
    theirs = stated_channels(config)
    ours = tuple(task.channels.values())
    if theirs != ours and not (is_rgb(theirs) and is_rgb(ours)):
        made = ", ".join(map(str, theirs)) or RGB.channels
        raise ValueError(
            f"the networks are for images of {made} channels, and task {task.name} has images of "
            f"{shown_channels(task)}"
        )


def shown_channels(task: Task) -> str:
    """Say the channels of each domain of a task."""
    counts = {d: f"{n} channel{'s' if n > 1 else ''}" for d, n in task.channels.items()}
    if len(set(counts.values())) == 1:
        return next(iter(counts.values()))
    return ", ".join(f"{count} in domain {domain}" for domain, count in counts.items())


def _groups(exclusive: Sequence[Sequence[str]]) -> str:
    return " and ".join("/".join(group) for group in exclusive) or "none"


def differences(before: Settings, after: Settings) -> dict[str, Any]:
    """Return the changed settings; fields of the configuration by their own names."""
    pairs = [(before.config, after.config), (before, after)]
    return {
        field.name: getattr(new, field.name)
        for old, new in pairs
        for field in dataclasses.fields(new)
        if field.name != "config" and getattr(old, field.name) != getattr(new, field.name)
    }


def restore_settings(model_class: type[Model], plain: Mapping[str, Any]) -> Settings:
    """Turn the plain settings of a checkpoint back into settings of this model.

    Raises:
        ValueError: If they are not this model's.
    """
    general = {key: value for key, value in plain.items() if key not in ("config", "precision")}
    try:
        config = TypeAdapter(model_class.Config).validate_python(plain["config"])
        settings = Settings(config=config, **general)
        _require_numbers(settings)
        return settings
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = f"{place}: {first['msg']}"
    except TypeError as error:
        reason = str(error)
    raise ValueError(f"the checkpoint's settings do not fit {model_class.card.title}: {reason}")

"""What every model must satisfy: used by ``i2i-bench check`` and by the tests."""

from __future__ import annotations

import copy
import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from i2i_bench.data.directions import directions_for
from i2i_bench.data.needs import domains_for
from i2i_bench.data.requests import translate_images
from i2i_bench.model import Model, Necessity
from i2i_bench.plugins.subject import Check, given_settings
from i2i_bench.plugins.subject import Subject as Subject  # for the tests of plugins
from i2i_bench.plugins.toy import generous_toy, toy
from i2i_bench.plugins.training_checks import TRAINING_CHECKS
from i2i_bench.plugins.translation_checks import TRANSLATION_CHECKS
from i2i_bench.pretrained import FILES, without_weights
from i2i_bench.randomness import Randomness
from i2i_bench.training.settings import change_settings

GENEROUS = ", with all that it can use"  # beside what it must have


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: The property.
        reason: Why it does not hold; None where it does.
    """

    name: str
    reason: str | None


def check_model(
    model_class: type[Model], name: str, changes: Mapping[str, str] | None = None
) -> list[CheckResult]:
    """Run every check on a model's ``tiny`` preset, on the CPU.

    Args:
        model_class: The model.
        name: Its name, for messages.
        changes: Settings to change, as typed.

    Raises:
        ValueError: If these are not possible, which is no fault of the model's.
    """
    try:
        least, generous = toy(model_class), generous_toy(model_class)
        settings = given_settings(model_class, least)
        subjects = {"": Subject(model_class, settings, given=least, name=name)}
        if generous:
            richer = given_settings(model_class, generous)
            subjects[GENEROUS] = Subject(model_class, richer, given=generous, name=name)
        change_settings(name, settings, {})
    except Exception as error:  # whatever a model does wrong is its check's result
        return [CheckResult("settings are given", f"{type(error).__name__}: {error}")]
    if changes:
        subjects = {
            where: dataclasses.replace(s, settings=change_settings(name, s.settings, changes))
            for where, s in subjects.items()
        }
    found = [
        CheckResult(f"{title}{where}", run_check(test, subject))
        for where, subject in subjects.items()
        for title, test in CHECKS.items()
    ]
    return [CheckResult("settings are given", None), *found]


def run_check(test: Check, subject: Subject) -> str | None:
    """Run one check; a model that raises fails it. Frozen networks have no weights in it."""
    try:
        with torch.random.fork_rng(devices=[]), without_weights():
            return test(subject)
    except Exception as error:  # whatever a model does wrong is its check's result
        return f"{type(error).__name__}: {error}"


def config_is_frozen_and_documented(subject: Subject) -> str | None:
    """Check that the configuration cannot change and that every field is explained."""
    config = subject.settings.config
    if not isinstance(config, subject.model_class.Config):
        return f"settings give a {type(config).__name__}, not the model's Config"
    if not type(config).__dataclass_params__.frozen:
        return "Config is not frozen"
    text = "\n".join(each.__doc__ or "" for each in type(config).__mro__)
    silent = [f.name for f in dataclasses.fields(config) if f"{f.name}:" not in text]
    return f"Config's docstring says nothing of {', '.join(silent)}" if silent else None


def needs_are_stated(subject: Subject) -> str | None:
    """Check that needs are possible, and that the model keeps what it was made with."""
    needs = subject.needs
    for each in dataclasses.fields(needs):
        value, possible = getattr(needs, each.name), typing.get_args(Necessity)
        if each.name not in ("weights", "multiple") and value not in possible:
            return f"needs.{each.name} is {value!r}; possible: {', '.join(possible)}"
    if type(needs.multiple) is not int or needs.multiple < 1:
        return f"needs.multiple is {needs.multiple!r}; an integer of at least 1 is needed"
    if needs.drawn_domains == "optional" and needs.labels != "no":  # labels would tell domains
        return "needs.drawn_domains is optional beside labels; let the configuration say which"
    if unknown := [name for name in needs.weights if name not in FILES]:
        return f"needs the weights {unknown[0]}; known: {', '.join(FILES)}"
    with without_weights() as loaded:
        model = subject.build()
    if unstated := [name for name in loaded if name not in needs.weights]:
        return f"it loads the weights {unstated[0]}, which needs does not name"
    if getattr(model, "config", None) != subject.settings.config:
        return "the model does not keep its configuration as config"
    own = getattr(model.config, "domains", subject.task.attributes)
    if needs.drawn_domains != "no" and tuple(own) != domains_for(needs, subject.task):
        return f"config.domains is {own}, and the domains of the task are {subject.task.attributes}"
    ways = directions_for(model, subject.task)  # raises where one is unknown
    return None if ways else "the model translates in no direction"


def frozen_networks_are_apart(subject: Subject) -> str | None:
    """Check that frozen networks are not trained, counted or saved, and for losses alone."""
    model = subject.build()
    if len(Model.frozen):
        return "a frozen network is put into Model.frozen, which all models share; set self.frozen"
    frozen = {id(p): f"frozen.{n}" for n, p in model.frozen.named_parameters()}
    groups = [group for each in model.optimizers.values() for group in each.param_groups]
    trained = [p for group in groups for p in group["params"]]
    for parameter in (*model.networks.parameters(), *trained):
        if id(parameter) in frozen:
            return f"{frozen[id(parameter)]} is in networks or in an optimizer, too"
    before = copy.deepcopy(model.frozen.state_dict())
    subject.step(model, 0)
    changed = [n for n, t in model.frozen.state_dict().items() if not torch.equal(t, before[n])]
    if changed:
        return f"a training step changes frozen.{changed[0]}"
    return _translations_without_frozen(subject, model) if before else None


def _translations_without_frozen(subject: Subject, model: Model) -> str | None:
    """Check that translations do not change with frozen networks, which may lack their weights."""
    model.networks.eval()
    with torch.no_grad():
        requests = subject.requests(model)
        fakes = [translate_images(model, each, Randomness(0)) for each in requests]
        for tensor in (*model.frozen.parameters(), *model.frozen.buffers()):
            tensor.copy_(1 - tensor)
        for request, fake in zip(requests, fakes, strict=True):
            if not torch.equal(fake, translate_images(model, request, Randomness(0))):
                return (
                    f"{request.direction}: a translation depends on a frozen network, which is "
                    "for losses; put it into networks"
                )
    return None


def ablations_are_possible(subject: Subject) -> str | None:
    """Check that each ablation has points of different labels, whose changes the model knows.

    A point that names the model itself is one of a parent's: there it was another model.
    """
    for name, each in subject.model_class.ablations.items():
        labels = [point.label for point in each.points]
        if len(set(labels)) != len(labels) or len(labels) < 2:
            return f"{name}: two points of different labels at least, not {', '.join(labels)}"
        for point in each.points:
            if point.model and point.model == subject.name:
                return (
                    f"{name}: the point {point.label!r} names {point.model}, this model itself, as "
                    "ablations that are inherited do; give the class ablations of its own, or {}"
                )
            if not point.model:
                change_settings("under test", subject.settings, point.changes)
    return None


CHECKS: dict[str, Check] = {
    "the configuration is frozen and documented": config_is_frozen_and_documented,
    "needs are stated": needs_are_stated,
    "frozen networks are apart": frozen_networks_are_apart,
    **TRANSLATION_CHECKS,
    **TRAINING_CHECKS,
    "ablations are possible": ablations_are_possible,
}

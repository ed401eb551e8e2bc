"""Plans of many runs at once: every model with every task that it can do."""

import pytest

from i2i_bench.plugins import registry
from i2i_bench.runs.job import Choices
from i2i_bench.runs.plan import plan_runs
from i2i_bench.tasks import catalogue

TINY = Choices(preset="tiny")


def planned(models, tasks, data, seeds=(0,)):
    return {
        (j.run.model, j.run.task, j.run.seed) for j in plan_runs(models, tasks, seeds, TINY, data)
    }


def test_all_models_are_planned_with_the_tasks_that_they_can_do(tmp_path, caplog):
    found = {model for model, *_ in planned(["all"], ["stripes"], tmp_path)}
    assert {"cyclegan", "attentiongan", "cut"} <= found
    assert not {"pix2pix", "stargan", "icgan"} & found  # which need pairs, or labels
    assert found < set(registry.available_models())
    (said,) = caplog.messages
    assert said.startswith("cannot do task stripes, and left out: ") and "pix2pix" in said


def test_embedded_are_the_tasks_of_the_package(tmp_path):
    found = planned(["all"], ["embedded"], tmp_path, seeds=(0, 1))
    assert {task for _, task, _ in found} == set(catalogue.EMBEDDED)
    assert {seed for *_, seed in found} == {0, 1}
    assert {model for model, *_ in found} == set(registry.available_models())
    assert ("pix2pix", "stripes-paired", 0) in found


def test_unknown_presets_are_named_before_models_are_left_out(tmp_path):
    with pytest.raises(ValueError, match="unknown preset 'smal'; possible: published, small"):
        plan_runs(["all"], ["embedded"], [0], Choices(preset="smal"), tmp_path)  # pyright: ignore[reportArgumentType]


def test_a_model_that_is_named_is_refused_where_it_cannot(tmp_path):
    with pytest.raises(ValueError, match="'pix2pix' needs pairs"):
        planned(["pix2pix"], ["stripes"], tmp_path)
    with pytest.raises(ValueError, match="'pix2pix' needs pairs"):
        planned(["pix2pix"], ["embedded", "stripes"], tmp_path)


def test_a_model_that_is_named_has_those_of_the_embedded_tasks_that_it_can_do(
    tmp_path, monkeypatch
):
    found = planned(["pix2pix"], ["embedded"], tmp_path)
    assert found == {("pix2pix", task, 0) for task in ("stripes-paired", "palette-paired")}
    monkeypatch.setattr(catalogue, "EMBEDDED", {"stripes": catalogue.EMBEDDED["stripes"]})
    with pytest.raises(ValueError, match="'pix2pix' can do none of the tasks: stripes"):
        planned(["pix2pix"], ["embedded"], tmp_path)

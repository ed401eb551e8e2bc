"""The watch over a training gives a model what its needs say, as training does."""

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from bare_model import BareModel

from i2i_bench.data.training_images import TrainingImages
from i2i_bench.model import ModelCard, Needs, Settings
from i2i_bench.system.progress import quiet
from i2i_bench.tasks import catalogue
from i2i_bench.training.watch import Watch


@pytest.mark.parametrize(
    "needs",
    [
        pytest.param(
            Needs(labels="required", masks="required"), id="labels", marks=pytest.mark.slow
        ),
        pytest.param(
            Needs(labels="optional", masks="required", drawn_domains="required"), id="drawn domains"
        ),
    ],
)
def test_the_watch_gives_a_model_all_that_it_needs(needs):
    class Seeing(BareModel):
        card, config = ModelCard("Seeing"), SimpleNamespace()
        networks = torch.nn.ModuleDict()
        asked: ClassVar = []

        def translate(self, batch, direction, random):
            images = batch.images[direction.source]
            assert batch.masks[direction.source].shape == (len(images), 2, 32, 32)
            assert batch.labels[direction.target].shape == (len(images), 4)
            self.asked.append(direction)
            return images

    Seeing.needs = staticmethod(lambda config: needs)
    task, settings = catalogue.EMBEDDED["shapes-domains"], Settings(None, 2, 8, 32, 32, instances=2)
    Seeing.config.domains = task.attributes
    model: Any = Seeing()
    Watch(model, TrainingImages(task, settings, 0, needs=needs), quiet)("train", 8, 8, {})
    ends = {direction.source.lstrip("+-") for direction in Seeing.asked}
    assert len(Seeing.asked) == (2 if needs.drawn_domains == "required" else len(ends))
    assert ends <= set(task.attributes)

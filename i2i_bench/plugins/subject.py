"""A model under test: its settings, and the batches and requests that it is tried on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from i2i_bench.data.directions import directions_for
from i2i_bench.data.needs import NUM_DRAWN, domains_for, draws_domains, make_batch
from i2i_bench.data.requests import Request
from i2i_bench.labels import Labels, is_one_hot
from i2i_bench.model import Batch, Clock, Direction, Model, Needs, Settings
from i2i_bench.plugins.toy import Toy, toy
from i2i_bench.randomness import Randomness
from i2i_bench.training.fast.modes import lay_out

STEPS = 2  # that show what one step cannot
NUM_INSTANCES = 2  # of an image, where the settings of a model that needs masks state none


class _Pass:
    """Batches as training gives them to ``prepare``: to be iterated over, not indexed."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)


@dataclass(frozen=True)
class Subject:
    """A model under test: class and settings, and the type and memory format of its inputs.

    ``given`` is the task that it is tried on, by default the least that fits it, and ``name`` its
    own in the registry.
    """

    model_class: type[Model]
    settings: Settings
    dtype: torch.dtype = torch.float32
    layout: torch.memory_format = torch.contiguous_format
    given: Toy | None = None
    name: str = ""

    def build(self) -> Model:
        """Build the model from a fixed seed, in training mode."""
        torch.manual_seed(0)
        model = self.model_class(self.settings.config)
        model.networks.to(self.dtype).train()
        model.frozen.to(self.dtype).eval()
        lay_out(model.networks, self.layout)
        return model

    @property
    def task(self) -> Toy:
        """The task of the kind that the model is for."""
        return self.given or toy(self.model_class)

    @property
    def needs(self) -> Needs:
        """What the model needs of a task."""
        return self.model_class.needs(self.settings.config)

    @property
    def total_steps(self) -> int:
        """Steps of the whole schedule."""
        return max(STEPS, -(-self.settings.budget // self.settings.batch_size))

    def requests(self, model: Model) -> list[Request]:
        """Make a request of the images of the first step for each direction of the model."""
        return [self.request(direction) for direction in directions_for(model, self.task)]

    def batch(self, step: int) -> Batch:
        """Make the batch of a step, the same for the same step."""
        draws = Randomness(1, step * self.settings.batch_size, dtype=self.dtype)

        def fill(what: str, domain: str, shape: tuple[int, ...]) -> Tensor:
            if what == "images":
                pixels = 2 * draws.uniform(domain, shape) - 1
                return pixels.contiguous(memory_format=self.layout)
            if what == "labels":
                return self._labels(draws, domain, shape)
            return draws.integers(f"{domain} {what}", 2, shape).to(self.dtype)

        every = domains_for(self.needs, self.task)
        turn = step if draws_domains(self.needs, self.task) else 0
        domains = tuple(dict.fromkeys(every[(turn + i) % len(every)] for i in range(NUM_DRAWN)))
        return make_batch(self.needs, self.task, self.settings, fill, domains=domains)

    def _labels(self, draws: Randomness, domain: str, shape: tuple[int, ...]) -> Tensor:
        """Draw labels that the task can have."""
        if is_one_hot(self.task.attributes, self.task.exclusive):
            chosen = draws.integers(f"{domain} labels", shape[1], shape[:1])
            return torch.eye(shape[1], dtype=self.dtype)[chosen]
        return draws.integers(f"{domain} labels", 2, shape).to(self.dtype)

    def request(self, direction: Direction) -> Request:
        """Make a request of the images of the first step."""
        batch, task = self.batch(0), self.task
        name = direction.source if direction.source in batch.images else next(iter(batch.images))
        images, masks = batch.images[name], (batch.masks or {}).get(name)
        if not task.attributes:
            return Request(direction, images, masks=masks)
        labelling = Labels(task.attributes, task.exclusive)
        if batch.labels is None:  # of drawn domains, all from one other than the target
            source = next(i for i, n in enumerate(task.attributes) if n != direction.target[1:])
            old = [tuple(int(i == source) for i in range(len(task.attributes)))] * len(images)
        else:
            old = [tuple(int(value) for value in row) for row in batch.labels[name].tolist()]
        new = [labelling.changed(row, direction.target) for row in old]
        labels = np.array(old, np.int8), np.array(new, np.int8)
        return Request(direction, images, labels, masks)

    def clock(self, number: int) -> Clock:
        """Return the clock of the step of this 0-based number."""
        count, total = self.settings.batch_size, self.total_steps
        return Clock(number + 1, total, number * count, total * count)

    def step(self, model: Model, number: int) -> dict[str, Tensor]:
        """Take the step of this 0-based number; before the first one, the model prepares itself."""
        first = number * self.settings.batch_size
        random = Randomness(2, first, dtype=self.dtype)
        if number == 0:
            with torch.no_grad():
                model.prepare(_Pass([self.batch(i) for i in range(STEPS)]), random)
        model.advance(self.clock(number))
        return model.training_step(self.batch(number), random)


def given_settings(model_class: type[Model], task: Toy) -> Settings:
    """Return the ``tiny`` settings of a model on a task, with masks if it is given them.

    Raises:
        ValueError: If the task does not fit the model.
    """
    settings = model_class.settings("tiny", task)
    needs = model_class.needs(settings.config)
    if task.has_masks and needs.masks != "no" and not settings.instances:
        return dataclasses.replace(settings, instances=NUM_INSTANCES)
    return settings


Check = Callable[[Subject], str | None]

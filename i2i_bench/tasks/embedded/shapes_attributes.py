"""The embedded task ``shapes-attributes``: three binary attributes of the objects, exact truth.

All objects of a scene share their attributes: ``cold`` exchanges red and blue, ``striped`` makes
pale and dark rows, ``cross`` makes crosses of discs. Distractors wear the colours that the objects
have, cold or warm, whatever the label says; no translation changes them. Where an object uncovers
background, that is a regular pattern without noise, as in ``morph``. Every combination of
attributes is equally frequent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from i2i_bench.labels import EVERY, Label, Labels
from i2i_bench.tasks.embedded.drawing import Look, cross, disc
from i2i_bench.tasks.embedded.scenes import (
    Scene,
    SceneRules,
    draw_warm_colour,
    keep_colour,
    make_scene,
    swap_red_and_blue,
)
from i2i_bench.tasks.embedded.views import NUM_TEST, NUM_TRAIN, View, ViewReader, embedded_task

NAME = "shapes-attributes"
VERSION = 1
ATTRIBUTES = ("cold", "striped", "cross")
COUNTS = {"train": 2 * NUM_TRAIN, "test": 2 * NUM_TEST}  # half with each attribute, half without
RULES = SceneRules(
    draw_warm_colour, worn=(keep_colour, swap_red_and_blue), margin=1, noisy=False
)  # a cross is larger by the margin than its disc


@dataclass(frozen=True)
class _AttributesReader(ViewReader):
    """Draw the images of the task."""

    labelling: Labels

    def labels(self, split: str, domain: str) -> list[Label]:
        return [label_of(i) for i in self._chosen(split, domain)]

    def views(self, split: str, domain: str) -> list[View]:
        return [
            View(f"{i:04d}.png", attributes_scene, (split, i), attributes_look(label_of(i)))
            for i in self._chosen(split, domain)
        ]

    def right_views(self, source: str, target: str, split: str) -> list[list[View]]:
        after = [self.labelling.changed(label, target) for label in self.labels(split, source)]
        return [
            [view.with_look(attributes_look(label))]
            for view, label in zip(self.views(split, source), after, strict=True)
        ]

    def _chosen(self, split: str, domain: str) -> list[int]:
        everyone = range(COUNTS[split])
        if domain == EVERY:
            return list(everyone)
        return [i for i in everyone if self.labelling.chooses(domain, label_of(i))]


def label_of(index: int) -> Label:
    """Give the label of an image: all eight in turn."""
    return tuple(index >> position & 1 for position in range(len(ATTRIBUTES)))


def attributes_look(label: Label) -> Look:
    """Give the look of the objects of an image with this label."""
    is_cold, is_striped, is_cross = map(bool, label)
    return Look(
        cross if is_cross else disc,
        swap_red_and_blue if is_cold else keep_colour,
        striped=is_striped,
    )


def attributes_scene(split: str, index: int) -> Scene:
    """Make up the scene of one image, whatever its label.

    Raises:
        ValueError: If the task has no such image.
    """
    if not 0 <= index < COUNTS.get(split, 0):
        raise ValueError(f"no image {index} in {split!r} of task {NAME!r}")
    return make_scene(f"i2i-bench/{NAME}/{VERSION}/{split}/{index}", RULES)


TASK = replace(
    embedded_task(
        NAME,
        VERSION,
        "Discs and crosses, warm and cold, plain and striped (attributes)",
        _AttributesReader(Labels(ATTRIBUTES)),
    ),
    domains=(EVERY,),
    num_train={EVERY: COUNTS["train"]},
    num_test={EVERY: COUNTS["test"]},
    attributes=ATTRIBUTES,
)

"""The embedded task ``shapes-domains``: four domains that exclude each other, with exact truth.

Objects are ``plain`` discs in warm colours, ``cold`` ones with red and blue exchanged, ``striped``
ones with pale and dark rows, or a ``cross`` each in place of a disc; so the twelve ordered pairs
change texture, colour and geometry, and many of them two at once. The domains are the classes of a
labelled task of which an image has exactly one. Distractors wear the colours of the objects, warm
or cold, in every domain, and backgrounds are regular patterns without noise, as in
``shapes-attributes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from i2i_bench.labels import EVERY, Label, Labels
from i2i_bench.tasks.embedded import shapes_attributes
from i2i_bench.tasks.embedded.drawing import Look, cross
from i2i_bench.tasks.embedded.scenes import Scene, make_scene, swap_red_and_blue
from i2i_bench.tasks.embedded.views import NUM_TEST, NUM_TRAIN, View, ViewReader, embedded_task

NAME = "shapes-domains"
VERSION = 1
LOOKS: Mapping[str, Look] = {
    "plain": Look(),
    "cold": Look(recolour=swap_red_and_blue),
    "striped": Look(striped=True),
    "cross": Look(cross),
}
CLASSES = tuple(LOOKS)
COUNTS = {"train": len(CLASSES) * NUM_TRAIN, "test": len(CLASSES) * NUM_TEST}
RULES = shapes_attributes.RULES


@dataclass(frozen=True)
class _DomainsReader(ViewReader):
    """Draw the images of the task."""

    labelling: Labels

    def labels(self, split: str, domain: str) -> list[Label]:
        return [_label_of(i) for i in self._chosen(split, domain)]

    def views(self, split: str, domain: str) -> list[View]:
        return [
            View(f"{i:04d}.png", domains_scene, (split, i), LOOKS[CLASSES[i % len(CLASSES)]])
            for i in self._chosen(split, domain)
        ]

    def right_views(self, source: str, target: str, split: str) -> list[list[View]] | None:
        if target.startswith("-"):  # leaves open which of the other domains is meant
            return None
        look = LOOKS[target.removeprefix("+")]
        return [[view.with_look(look)] for view in self.views(split, source)]

    def _chosen(self, split: str, domain: str) -> list[int]:
        everyone = range(COUNTS[split])
        if domain == EVERY:
            return list(everyone)
        return [i for i in everyone if self.labelling.chooses(domain, _label_of(i))]


def _label_of(index: int) -> Label:
    """Give the label of an image: the four domains in turn."""
    return tuple(int(index % len(CLASSES) == position) for position in range(len(CLASSES)))


def domains_scene(split: str, index: int) -> Scene:
    """Make up the scene of one image, whatever its domain.

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
        "Discs plain, cold or striped, and crosses (four domains)",
        _DomainsReader(Labels(CLASSES, (CLASSES,))),
    ),
    domains=(EVERY,),
    num_train={EVERY: COUNTS["train"]},
    num_test={EVERY: COUNTS["test"]},
    attributes=CLASSES,
    exclusive=(CLASSES,),
)

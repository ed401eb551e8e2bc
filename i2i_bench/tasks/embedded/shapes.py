"""The embedded tasks ``stripes``, ``hue`` and ``morph``: small synthetic scenes with exact truth.

Objects are discs, and a translation changes them alone: it makes them pale and dark stripes
(``stripes``), exchanges their red and blue (``hue``), or makes crosses of them (``morph``).
Distractors wear the colour of one of the objects (for ``hue``: as it is in either domain); since
they keep it, they fix which colour belongs to which across domains. Stripes are rows anchored to
the image grid, so a mirrored image is still of its domain. In ``morph``, where an object uncovers
background, the background is a regular pattern without noise, so what appears is determined by what
can be seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from i2i_bench.tasks.embedded.drawing import Look, cross
from i2i_bench.tasks.embedded.scenes import (
    Scene,
    SceneRules,
    draw_vivid_colour,
    draw_warm_colour,
    keep_colour,
    make_scene,
    swap_red_and_blue,
)
from i2i_bench.tasks.embedded.views import NUM_TEST, NUM_TRAIN, View, ViewReader, embedded_task
from i2i_bench.tasks.task import DOMAINS

VERSION = 1
COUNTS = {"train": NUM_TRAIN, "test": NUM_TEST}
PLAIN = Look()
LOOKS: Mapping[str, Mapping[str, Look]] = {  # of objects, by task and domain
    "stripes": {"a": PLAIN, "b": Look(striped=True)},
    "hue": {"a": PLAIN, "b": Look(recolour=swap_red_and_blue)},
    "morph": {"a": PLAIN, "b": Look(cross)},
}
RULES: Mapping[str, SceneRules] = {
    "stripes": SceneRules(draw_vivid_colour),
    "hue": SceneRules(draw_warm_colour, worn=(keep_colour, swap_red_and_blue)),
    "morph": SceneRules(draw_vivid_colour, margin=1, noisy=False),
}


@dataclass(frozen=True)
class _ShapesReader(ViewReader):
    """Draw the images of one of the tasks."""

    task: str

    def views(self, split: str, domain: str) -> list[View]:
        look = LOOKS[self.task][domain]
        return [
            View(f"{i:04d}.png", shapes_scene, (self.task, split, domain, i), look)
            for i in range(COUNTS[split])
        ]

    def right_views(self, source: str, target: str, split: str) -> list[list[View]]:
        look = LOOKS[self.task][target]
        return [[view.with_look(look)] for view in self.views(split, source)]


def shapes_scene(task: str, split: str, domain: str, index: int) -> Scene:
    """Make up the scene of one image; scenes of the two domains are independent.

    Raises:
        ValueError: If the task has no such image.
    """
    known = task in RULES and domain in DOMAINS and 0 <= index < COUNTS.get(split, 0)
    if not known:
        raise ValueError(f"no image {index} in {split!r}, domain {domain!r} of task {task!r}")
    return make_scene(f"i2i-bench/{task}/{VERSION}/{split}/{domain}/{index}", RULES[task])


STRIPES, HUE, MORPH = (
    embedded_task(name, VERSION, title, _ShapesReader(name))
    for name, title in {
        "stripes": "Discs with and without stripes (texture)",
        "hue": "Discs in warm and in cold colours (colour)",
        "morph": "Discs and crosses (geometry)",
    }.items()
)

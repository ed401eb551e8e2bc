"""The embedded task ``stripes-paired``: as ``stripes``, and images of the same index are pairs.

A pair is one scene in both domains, in training and in test, so the partner of a test image is its
true translation. Scenes are made by the rules of ``stripes`` and are others than there.
"""

from __future__ import annotations

from i2i_bench.tasks.embedded import shapes
from i2i_bench.tasks.embedded.scenes import Scene, make_scene
from i2i_bench.tasks.embedded.views import NUM_TEST, NUM_TRAIN, View, ViewReader, embedded_task

NAME = "stripes-paired"
VERSION = 1
COUNTS = {"train": NUM_TRAIN, "test": NUM_TEST}
LOOKS, RULES = shapes.LOOKS["stripes"], shapes.RULES["stripes"]


class _PairsReader(ViewReader):
    """Draw the images of the task."""

    def views(self, split: str, domain: str) -> list[View]:
        return [
            View(f"{i:04d}.png", stripes_paired_scene, (split, i), LOOKS[domain])
            for i in range(COUNTS[split])
        ]

    def right_views(self, source: str, target: str, split: str) -> list[list[View]]:
        return [[view.with_look(LOOKS[target])] for view in self.views(split, source)]


def stripes_paired_scene(split: str, index: int) -> Scene:
    """Make up the scene of a pair.

    Raises:
        ValueError: If the task has no such pair.
    """
    if not 0 <= index < COUNTS.get(split, 0):
        raise ValueError(f"no pair {index} in {split!r} of task {NAME!r}")
    return make_scene(f"i2i-bench/{NAME}/{VERSION}/{split}/{index}", RULES)


TASK = embedded_task(
    NAME,
    VERSION,
    "Discs with and without stripes, in pairs (texture)",
    _PairsReader(),
    paired=True,
)

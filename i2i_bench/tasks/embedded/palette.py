"""The embedded tasks ``palette`` and ``palette-paired``: one to many, with all right answers known.

Objects are light grey discs in domain a. In domain b they wear one of four palettes, all objects of
an image the same: a palette takes ``TAKEN`` from two channels of a grey, or from one. So the colour
of an object follows from its grey and the palette, four images are right for each of domain a, and
the grey is the largest channel of a colour. Each palette is worn by a quarter of the images.

Distractors wear the grey or any palette's colour of an object, in both domains alike and by chance,
so neither what is to change nor the palette of an image can be told from them.

Systems rank by how many different right answers are among their outputs. The PSNR to the nearest
answer stands beside it and cannot rank: mixtures of answers, which are none, are near to several.

In ``palette-paired``, images of the same index are one scene, in test too; what a model sees of the
four right answers for an image is that of the palette of its index.
"""

from __future__ import annotations

from dataclasses import dataclass

from i2i_bench.tasks.embedded.drawing import Look
from i2i_bench.tasks.embedded.scenes import (
    Bits,
    Colour,
    Scene,
    SceneRules,
    keep_colour,
    make_scene,
)
from i2i_bench.tasks.embedded.views import NUM_TEST, NUM_TRAIN, View, ViewReader, embedded_task
from i2i_bench.tasks.task import DOMAINS

UNPAIRED, PAIRED = "palette", "palette-paired"
VERSION = 1
COUNTS = {"train": NUM_TRAIN, "test": NUM_TEST}
TAKEN = 192


@dataclass(frozen=True)
class Palette:
    """A colour for each grey.

    Attributes:
        name: Of its colours.
        taken: From red, green and blue.
    """

    name: str
    taken: Colour

    def __call__(self, grey: Colour) -> Colour:
        """Return the colour of a grey, which is ``TAKEN`` or more."""
        red, green, blue = (
            channel - taken for channel, taken in zip(grey, self.taken, strict=True)
        )
        return red, green, blue


PALETTES = (
    Palette("red", (0, TAKEN, TAKEN)),
    Palette("green", (TAKEN, 0, TAKEN)),
    Palette("blue", (TAKEN, TAKEN, 0)),
    Palette("yellow", (0, 0, TAKEN)),
)
GREY = Look()
LOOKS = tuple(Look(recolour=palette) for palette in PALETTES)


def _draw_grey(bits: Bits) -> Colour:
    """Draw a light grey in multiples of 8."""
    level = TAKEN + 8 * bits.below(8)
    return level, level, level


RULES = SceneRules(_draw_grey, worn=(keep_colour, *PALETTES))


@dataclass(frozen=True)
class _PaletteReader(ViewReader):
    """Draw the images of one of the tasks."""

    task: str
    is_one_to_many = True

    def views(self, split: str, domain: str) -> list[View]:
        return [
            View(
                f"{i:04d}.png",
                palette_scene,
                (self.task, split, domain, i),
                GREY if domain == "a" else LOOKS[i % len(LOOKS)],
            )
            for i in range(COUNTS[split])
        ]

    def right_views(self, source: str, target: str, split: str) -> list[list[View]]:
        looks = (GREY,) if target == "a" else LOOKS
        return [[view.with_look(look) for look in looks] for view in self.views(split, source)]


def palette_scene(task: str, split: str, domain: str, index: int) -> Scene:
    """Make up the scene of one image; those of the two domains are the same in pairs only.

    Raises:
        ValueError: If the task has no such image.
    """
    known = task in (UNPAIRED, PAIRED) and domain in DOMAINS and 0 <= index < COUNTS.get(split, 0)
    if not known:
        raise ValueError(f"no image {index} in {split!r}, domain {domain!r} of task {task!r}")
    place = f"{split}/{domain}/{index}" if task == UNPAIRED else f"{split}/{index}"
    return make_scene(f"i2i-bench/{task}/{VERSION}/{place}", RULES)


PALETTE = embedded_task(
    UNPAIRED,
    VERSION,
    "Grey discs and discs of one of four palettes (one to many)",
    _PaletteReader(UNPAIRED),
    headline="modes_found",
)
PALETTE_PAIRED = embedded_task(
    PAIRED,
    VERSION,
    "Grey discs and discs of one of four palettes, in pairs (one to many)",
    _PaletteReader(PAIRED),
    paired=True,
    headline="modes_found",
)

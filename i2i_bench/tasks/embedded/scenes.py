"""Scenes of the embedded tasks: objects and distractors before a textured background.

Objects are what a translation changes. Distractors are triangles that it must leave alone; they
wear the colours of the objects, so neither colour nor position tells what to change. A scene is the
same in every domain; ``drawing`` shows it as one of them does.

Everything is integer arithmetic on raw 64-bit words of PCG64, one stream an image: the bytes are
the same on every machine and with every numpy. Any change of them asks for a new version of the
tasks.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import int64, uint8, uint64
    from numpy.typing import NDArray

RESOLUTION = 32
KEPT = 4096  # scenes, of 6 kB each: source, truth, foreground and masks of an image are of one

Colour = tuple[int, int, int]
Recolour = Callable[[Colour], Colour]
Box = tuple[int, int, int]  # left, top, side


@dataclass(frozen=True)
class Figure:
    """An object or a distractor.

    Attributes:
        shape: ``object`` (drawn as its domain says), ``triangle_up`` or ``triangle_down``.
        left: First column of its bounding box before translation.
        top: First row of its bounding box before translation.
        size: Side of that box in pixels.
        colour: Red, green, blue; of an object, as in the domain that recolours nothing.
    """

    shape: str
    left: int
    top: int
    size: int
    colour: Colour


@dataclass(frozen=True, eq=False)
class Scene:
    """What an image shows, whatever the domain.

    Attributes:
        background: (height, width, 3), uint8.
        objects: What a translation changes.
        distractors: What it must leave alone.
    """

    background: NDArray[uint8]
    objects: tuple[Figure, ...]
    distractors: tuple[Figure, ...]


def keep_colour(colour: Colour) -> Colour:
    """Return a colour as it is."""
    return colour


def swap_red_and_blue(colour: Colour) -> Colour:
    """Exchange red and blue."""
    red, green, blue = colour
    return blue, green, red


class Bits:
    """The stream of random words of one image."""

    def __init__(self, key: str) -> None:
        from numpy.random import PCG64

        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
        self._stream = PCG64(seed)

    def below(self, high: int) -> int:
        """Draw from 0, ..., high - 1."""
        return (int(self._stream.random_raw()) >> 32) * high >> 32

    def array_below(self, high: int, shape: tuple[int, ...]) -> NDArray[int64]:
        """Draw an array from 0, ..., high - 1."""
        import numpy as np

        words: NDArray[uint64] = self._stream.random_raw(math.prod(shape))
        return ((words >> np.uint64(32)).astype(np.int64) * high >> 32).reshape(shape)


def draw_vivid_colour(bits: Bits) -> Colour:
    """Draw a colour in multiples of 8 with one high and one low channel."""
    channels = [176 + 8 * bits.below(10), 8 * bits.below(9), 8 * bits.below(32)]
    first = channels.pop(bits.below(3))
    second = channels.pop(bits.below(2))
    return first, second, channels[0]


def draw_warm_colour(bits: Bits) -> Colour:
    """Draw a colour in multiples of 8 whose red is high and whose blue is low."""
    high, low = 176 + 8 * bits.below(10), 8 * bits.below(9)
    return high, 8 * bits.below(20), low


@dataclass(frozen=True)
class SceneRules:
    """What the scenes of a task have to keep to.

    Attributes:
        draw_colour: Draws the colour of an object.
        worn: What domains make of that colour; a distractor wears one of them, by chance.
        margin: Pixels by which an object may grow on each side in translation.
        noisy: Whether backgrounds have noise and clouds. Where objects uncover background, a
            regular pattern without them lets what appears follow from what can be seen.
    """

    draw_colour: Callable[[Bits], Colour]
    worn: tuple[Recolour, ...] = (keep_colour,)
    margin: int = 0
    noisy: bool = True


@functools.lru_cache(KEPT)
def make_scene(key: str, rules: SceneRules) -> Scene:
    """Make up the scene of one image; nobody may write to its background, which others share.

    Args:
        key: Names the image among those of all tasks; another key is another scene.
        rules: Of its task.
    """
    bits = Bits(key)
    num_objects, num_distractors = 1 + bits.below(3), 1 + bits.below(2)
    boxes = _place_figures(bits, num_objects, num_distractors, rules.margin)
    objects = tuple(Figure("object", *box, rules.draw_colour(bits)) for box in boxes[:num_objects])
    distractors = tuple(
        _draw_distractor(bits, box, objects, rules.worn) for box in boxes[num_objects:]
    )
    colours = [recolour(figure.colour) for figure in objects for recolour in rules.worn]
    background = _draw_background(bits, colours, noisy=rules.noisy)
    background.flags.writeable = False
    return Scene(background, objects, distractors)


_SIZES = {1: (9, 16), 2: (8, 11), 3: (7, 9)}  # objects in the scene → least and greatest side;
# with these, objects cover 5-25 % of the image in every task and domain
_DISTRACTOR_SIZES = (7, 9)
_TRIES = 30


def _place_figures(bits: Bits, num_objects: int, num_distractors: int, margin: int) -> list[Box]:
    """Draw boxes, objects first, one pixel apart or more even once translated."""
    low, high = _SIZES[num_objects]
    while True:
        sizes = [low + bits.below(high - low + 1) for _ in range(num_objects)]
        low_d, high_d = _DISTRACTOR_SIZES
        sizes += [low_d + bits.below(high_d - low_d + 1) for _ in range(num_distractors)]
        margins = [margin] * num_objects + [0] * num_distractors
        boxes = _place_all(bits, [s + 2 * m for s, m in zip(sizes, margins, strict=True)])
        if boxes:
            grown = zip(boxes, margins, strict=True)
            return [(left + m, top + m, side - 2 * m) for (left, top, side), m in grown]


def _place_all(bits: Bits, sides: list[int]) -> list[Box] | None:
    """Draw a place for each side in turn; None where one does not fit among those before it."""
    boxes: list[Box] = []
    for side in sides:
        for _ in range(_TRIES):
            span = RESOLUTION - side + 1
            box = (bits.below(span), bits.below(span), side)
            if not any(_touch(box, other) for other in boxes):
                boxes.append(box)
                break
        else:
            return None
    return boxes


def _touch(one: Box, other: Box) -> bool:
    """Tell whether two boxes overlap or have no pixel between them."""
    return all(
        one[axis] <= other[axis] + other[2] and other[axis] <= one[axis] + one[2] for axis in (0, 1)
    )


def _draw_distractor(
    bits: Bits, box: Box, objects: tuple[Figure, ...], worn: tuple[Recolour, ...]
) -> Figure:
    """Make a triangle in the colour that one of the objects has in some domain."""
    colour = objects[bits.below(len(objects))].colour
    chosen = bits.below(len(worn)) if len(worn) > 1 else 0  # a single one costs no random word
    shape = ("triangle_up", "triangle_down")[bits.below(2)]
    return Figure(shape, *box, worn[chosen](colour))


def _draw_background(bits: Bits, colours: list[Colour], *, noisy: bool) -> NDArray[uint8]:
    """Draw a texture in a colour unlike the given ones, (height, width, 3)."""
    import numpy as np

    rows, columns = np.ogrid[:RESOLUTION, :RESOLUTION]
    amplitudes = 8 + bits.array_below(13, (3,))
    slopes = bits.array_below(17, (3, 2)) - 8
    image = np.zeros((RESOLUTION, RESOLUTION, 3), dtype=np.int64) + _background_colour(
        bits, colours
    )
    image += _texture(bits, noisy=noisy)[:, :, None] * amplitudes // 64
    centred = (2 * rows[:, :, None] - RESOLUTION + 1, 2 * columns[:, :, None] - RESOLUTION + 1)
    image += (centred[0] * slopes[:, 0] + centred[1] * slopes[:, 1]) // RESOLUTION
    if noisy:
        image += bits.array_below(13, (RESOLUTION, RESOLUTION, 1)) - 6
    return image.astype(np.uint8)  # 72 - 42 <= image <= 183 + 42


_CONTRAST = 88


def _background_colour(bits: Bits, colours: list[Colour]) -> Colour:
    """Draw a colour that differs from each given one by ``_CONTRAST`` in some channel.

    There is one where each of them has a channel of 72 or less, as (160, 160, 160) and all above it
    then fit, or where each has one of 192 or more, as (104, 104, 104) and all below it then fit.
    """
    while True:
        colour = (72 + bits.below(112), 72 + bits.below(112), 72 + bits.below(112))
        differences = (
            max(abs(x - y) for x, y in zip(colour, other, strict=True)) for other in colours
        )
        if min(differences) >= _CONTRAST:
            return colour


def _texture(bits: Bits, *, noisy: bool) -> NDArray[int64]:
    """Draw a pattern in -64, ..., 64, (height, width); irregular clouds only where ``noisy``."""
    import numpy as np

    rows, columns = np.ogrid[:RESOLUTION, :RESOLUTION]
    kind, period, phase = bits.below(5 if noisy else 4), 2 + bits.below(4), bits.below(8)
    slant = 1 - 2 * bits.below(2)
    if kind == 4:
        return _clouds(bits)
    if kind == 0:  # checks
        bright = ((columns + phase) // period + rows // period) % 2
    elif kind == 1:  # diagonal bars
        bright = (columns + slant * rows + phase + RESOLUTION) // period % 2
    elif kind == 2:  # upright bars
        bright = ((columns + phase) // period + 0 * rows) % 2
    else:  # dots
        step = period + 2
        bright = ((columns + phase) % step < 2) & ((rows + phase) % step < 2)
    return slant * (128 * bright.astype(np.int64) - 64)


def _clouds(bits: Bits) -> NDArray[int64]:
    """Draw value noise with a cell of 8 pixels in -64, ..., 64, (height, width)."""
    import numpy as np

    cell = 8
    nodes = bits.array_below(129, (RESOLUTION // cell + 1, RESOLUTION // cell + 1)) - 64
    position = np.arange(RESOLUTION)
    index, weight = position // cell, position % cell
    upright = nodes[index] * (cell - weight)[:, None] + nodes[index + 1] * weight[:, None]
    across = upright[:, index] * (cell - weight) + upright[:, index + 1] * weight
    return across // cell**2

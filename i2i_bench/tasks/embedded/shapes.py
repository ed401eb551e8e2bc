"""The embedded tasks ``stripes``, ``hue`` and ``morph``: small synthetic scenes with exact truth.

Each image is a scene of objects and distractors before a textured background. Objects are discs,
and a translation changes them alone: it makes them pale and dark stripes (``stripes``), exchanges
their red and blue (``hue``), or makes crosses of them (``morph``). Distractors are triangles in the
colour of one of the objects (for ``hue``: as it is in either domain), so neither colour nor
position tells what to change; and since they keep their colour, they fix which colour belongs to
which across domains. Stripes are rows anchored to the image grid, so a mirrored image is still of
its domain. In ``morph``, where an object uncovers background, the background is a regular pattern
without noise, so what appears is determined by what can be seen.

Everything is integer arithmetic on raw 64-bit words of PCG64, one stream an image: the bytes are
the same on every machine and with every numpy. Any change of them asks for a new ``VERSION``.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from i2i_bench.tasks.task import DOMAINS, Reader, Task, TaskImage

if TYPE_CHECKING:
    from numpy import bool_, int64, uint8, uint64
    from numpy.typing import NDArray
    from PIL import Image

VERSION = 1
RESOLUTION = 32
COUNTS = {"train": 1000, "test": 100}
TITLES = {
    "stripes": "Discs with and without stripes (texture)",
    "hue": "Discs in warm and in cold colours (colour)",
    "morph": "Discs and crosses (geometry)",
}

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Figure:
    """An object or a distractor.

    Attributes:
        shape: ``object`` (drawn as its task and domain say), ``triangle_up`` or ``triangle_down``.
        left: First column of its bounding box before translation.
        top: First row of its bounding box before translation.
        size: Side of that box in pixels.
        colour: Red, green, blue; of an object, as in domain a.
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


def shapes_tasks() -> dict[str, Task]:
    """Give the embedded tasks by name."""
    return {
        name: Task(
            name=name,
            version=VERSION,
            title=title,
            kind="embedded",
            domains=DOMAINS,
            image_size=RESOLUTION,
            num_train=dict.fromkeys(DOMAINS, COUNTS["train"]),
            num_test=dict.fromkeys(DOMAINS, COUNTS["test"]),
            paired=False,
            headline="psnr_foreground",
            licence="MIT, as i2i-bench",
            origin="made by i2i-bench",
            reader=_ShapesReader(name),
        )
        for name, title in TITLES.items()
    }


@dataclass(frozen=True)
class _ShapesReader(Reader):
    """Draw the images of one embedded task."""

    task: str

    def images(self, split: str, domain: str) -> list[TaskImage]:
        return self._list(split, domain, domain)

    def truth(self, source: str, target: str) -> list[TaskImage]:
        return self._list("test", source, target)

    def foreground(self, source: str, target: str) -> list[NDArray[bool_]]:
        del target  # what changes on the way there changes on the way back
        scenes = (scene(self.task, "test", source, i) for i in range(COUNTS["test"]))
        return [foreground(self.task, one) for one in scenes]

    def _list(self, split: str, domain: str, shown: str) -> list[TaskImage]:
        """List the scenes of ``domain`` as ``shown`` in one domain."""
        return [
            TaskImage(f"{i:04d}.png", partial(_read, self.task, (split, domain, i), shown))
            for i in range(COUNTS[split])
        ]


def _read(task: str, key: tuple[str, str, int], shown: str) -> Image.Image:
    from PIL import Image

    return Image.fromarray(render(task, scene(task, *key), shown))


def scene(task: str, split: str, domain: str, index: int) -> Scene:
    """Make up the scene of one image; scenes of the two domains are independent.

    Raises:
        ValueError: If the task has no such image.
    """
    known = task in TITLES and domain in DOMAINS and 0 <= index < COUNTS.get(split, 0)
    if not known:
        raise ValueError(f"no image {index} in {split!r}, domain {domain!r} of task {task!r}")
    bits = Bits(f"i2i-bench/{task}/{VERSION}/{split}/{domain}/{index}")
    num_objects, num_distractors = 1 + bits.below(3), 1 + bits.below(2)
    boxes = place_figure(bits, num_objects, num_distractors, _margin(task))
    objects = tuple(
        Figure("object", *box, object_colour(bits, task)) for box in boxes[:num_objects]
    )
    distractors = tuple(distractor(bits, task, box, objects) for box in boxes[num_objects:])
    colours = [figure.colour for figure in objects]
    if task == "hue":
        colours += [swap(colour) for colour in colours]
    return Scene(background(bits, colours, noisy=task != "morph"), objects, distractors)


def render(task: str, scene: Scene, domain: str) -> NDArray[uint8]:
    """Draw a scene as it is in a domain, (height, width, 3)."""
    image = scene.background.copy()
    for figure in scene.distractors:
        image[triangle(figure)] = figure.colour
    for figure in scene.objects:
        _draw_object(image, task, figure, domain)
    return image


def foreground(task: str, scene: Scene) -> NDArray[bool_]:
    """Give the pixels that belong to an object in either domain, (height, width)."""
    import numpy as np

    mask = np.zeros((RESOLUTION, RESOLUTION), dtype=bool)
    for figure in scene.objects:
        for domain in DOMAINS:
            mask |= object_mask(task, figure, domain)
    return mask


def object_mask(task: str, figure: Figure, domain: str) -> NDArray[bool_]:
    """Give the pixels that an object covers in a domain, (height, width)."""
    return cross(figure) if task == "morph" and domain == "b" else disc(figure)


def _draw_object(image: NDArray[uint8], task: str, figure: Figure, domain: str) -> None:
    mask = object_mask(task, figure, domain)
    image[mask] = swap(figure.colour) if task == "hue" and domain == "b" else figure.colour
    if task == "stripes" and domain == "b":
        draw_stripes(image, mask, figure.colour)


def draw_stripes(image: NDArray[uint8], mask: NDArray[bool_], colour: Colour) -> None:
    """Make pale and dark rows of a colour; every pixel changes, and no colour is lost."""
    for row, base in enumerate((160, 160, 0, 0)):  # counted from the edge of the image
        stripe = mask[row::4]
        image[row::4][stripe] = tuple(base + 3 * channel // 8 for channel in colour)


def swap(colour: Colour) -> Colour:
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


def _margin(task: str) -> int:
    """Give by how many pixels an object may grow on each side in translation."""
    return 1 if task == "morph" else 0


_SIZES = {1: (9, 16), 2: (8, 11), 3: (7, 9)}  # objects in the scene → least and greatest side;
# with these, objects cover 5-25 % of the image in every task and domain
_DISTRACTOR_SIZES = (7, 9)
_TRIES = 30


def place_figure(
    bits: Bits, num_objects: int, num_distractors: int, margin: int
) -> list[tuple[int, int, int]]:
    """Draw boxes (left, top, side), objects first, one pixel apart or more even once translated."""
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


def _place_all(bits: Bits, sides: list[int]) -> list[tuple[int, int, int]] | None:
    """Draw a place for each side in turn; None where one does not fit among those before it."""
    boxes: list[tuple[int, int, int]] = []
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


def _touch(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    """Tell whether two boxes overlap or have no pixel between them."""
    return all(
        one[axis] <= other[axis] + other[2] and other[axis] <= one[axis] + one[2] for axis in (0, 1)
    )


def object_colour(bits: Bits, task: str) -> Colour:
    """Draw a vivid colour in multiples of 8; for ``hue`` a warm one, to exchange red and blue."""
    high, low = 176 + 8 * bits.below(10), 8 * bits.below(9)
    if task == "hue":
        return high, 8 * bits.below(20), low
    channels = [high, low, 8 * bits.below(32)]
    first = channels.pop(bits.below(3))
    second = channels.pop(bits.below(2))
    return first, second, channels[0]


def distractor(
    bits: Bits, task: str, box: tuple[int, int, int], objects: tuple[Figure, ...]
) -> Figure:
    """Make a triangle in the colour that one of the objects has, in either domain."""
    colour = objects[bits.below(len(objects))].colour
    if task == "hue" and bits.below(2):
        colour = swap(colour)
    return Figure(("triangle_up", "triangle_down")[bits.below(2)], *box, colour)


def background(bits: Bits, colours: list[Colour], *, noisy: bool) -> NDArray[uint8]:
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
    """Draw a colour that differs from each given one by ``_CONTRAST`` in some channel."""
    while True:  # (160, 160, 160) and all above it fit any set of object colours
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


def disc(figure: Figure) -> NDArray[bool_]:
    """Give the disc that fills the figure's box; lengths are doubled, so that centres are whole."""
    down, right = _from_centre(figure)
    return down**2 + right**2 < figure.size**2


def cross(figure: Figure) -> NDArray[bool_]:
    """Give the upright cross, one pixel longer on each side than the disc, bars of a third."""
    down, right = (abs(distance) for distance in _from_centre(figure))
    length, width = figure.size + 2, figure.size // 3
    width += (figure.size - width) % 2  # so that the bars have the disc's centre
    return (down < length) & (right < width) | (down < width) & (right < length)


def triangle(figure: Figure) -> NDArray[bool_]:
    """Give the triangle that fills the figure's box, on its base or on its tip."""
    down, right = _from_centre(figure)
    along = down if figure.shape == "triangle_up" else -down
    row = (along + figure.size - 1) // 2  # 0 at the tip
    return (row >= 0) & (row < figure.size) & (abs(right) <= row + 1)


def _from_centre(figure: Figure) -> tuple[NDArray[int64], NDArray[int64]]:
    """Give twice the distance of each row and column from the centre of a figure."""
    import numpy as np

    rows, columns = np.ogrid[:RESOLUTION, :RESOLUTION]
    down = 2 * (rows - figure.top) - figure.size + 1
    return down, 2 * (columns - figure.left) - figure.size + 1

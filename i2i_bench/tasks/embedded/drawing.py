"""A scene of an embedded task as one domain shows it: its image, and the masks of its objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from i2i_bench.tasks.embedded.scenes import (
    RESOLUTION,
    Colour,
    Figure,
    Recolour,
    Scene,
    keep_colour,
)

if TYPE_CHECKING:
    from numpy import bool_, int64, uint8
    from numpy.typing import NDArray


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


@dataclass(frozen=True)
class Look:
    """How a domain shows objects; by default as discs in their own colour.

    Attributes:
        outline: Gives the pixels that an object covers, bool (height, width).
        recolour: Makes the colour in which it is shown.
        striped: Whether it has pale and dark rows of that colour.
    """

    outline: Callable[[Figure], NDArray[bool_]] = disc
    recolour: Recolour = keep_colour
    striped: bool = False


def draw_scene(scene: Scene, look: Look) -> NDArray[uint8]:
    """Draw a scene, (height, width, 3)."""
    image = scene.background.copy()
    for figure in scene.distractors:
        image[triangle(figure)] = figure.colour
    for figure in scene.objects:
        mask, colour = look.outline(figure), look.recolour(figure.colour)
        image[mask] = colour
        if look.striped:
            _draw_stripes(image, mask, colour)
    return image


def _draw_stripes(image: NDArray[uint8], mask: NDArray[bool_], colour: Colour) -> None:
    """Make pale and dark rows of a colour; every pixel changes, and no colour is lost."""
    for row, base in enumerate((160, 160, 0, 0)):  # counted from the edge of the image
        stripe = mask[row::4]
        image[row::4][stripe] = tuple(base + 3 * channel // 8 for channel in colour)


def draw_masks(scene: Scene, look: Look) -> NDArray[bool_]:
    """Give the pixels that each object covers, (objects, height, width), in their order."""
    import numpy as np

    return np.stack([look.outline(figure) for figure in scene.objects])

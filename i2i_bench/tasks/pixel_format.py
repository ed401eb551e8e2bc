"""How the pixels of a domain are kept: channels, and the range of values of more than 8 bits."""

from __future__ import annotations

from dataclasses import dataclass

ValueRange = tuple[int, int]  # lowest and highest value of a pixel


@dataclass(frozen=True)
class PixelFormat:
    """What the images of a domain consist of.

    Attributes:
        channels: 3 for RGB, 1 for grey.
        value_range: Lowest and highest value of a pixel, which a model sees as -1 and 1; None for
            8 bits, whose values are 0 to 255.
        units: Of the values, such as ``HU``; "" where not stated.
    """

    channels: int = 3
    value_range: ValueRange | None = None
    units: str = ""


RGB = PixelFormat()

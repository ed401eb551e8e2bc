"""How the pixels of a domain are kept: channels, and the range of values of more than 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ValueRange = tuple[int, int]  # lowest and highest value of a pixel
LARGEST_VALUE = 2**16 - 1


@dataclass(frozen=True)
class PixelFormat:
    """What the images of a domain consist of.

    Attributes:
        channels: 3 for RGB, 1 for grey.
        value_range: Lowest and highest value of a pixel, which a model sees as -1 and 1; None for
            8 bits, whose values are 0 to 255. Only grey has a range.
        units: Of the values, such as ``HU``; "" where not stated.
    """

    channels: int = 3
    value_range: ValueRange | None = None
    units: str = ""

    @property
    def low(self) -> int:
        """The value that a model sees as -1."""
        return self.value_range[0] if self.value_range else 0

    @property
    def span(self) -> int:
        """By how much the highest value is above the lowest."""
        return self.value_range[1] - self.value_range[0] if self.value_range else 255

    @property
    def dtype(self) -> Literal["uint8", "uint16"]:
        """Type of the pixels, as numpy and torch name it."""
        return "uint16" if self.value_range else "uint8"

    @property
    def num_bytes(self) -> int:
        """Bytes of a pixel."""
        return self.channels * (2 if self.value_range else 1)

    def __str__(self) -> str:
        colours = {1: "grey", 3: "RGB"}[self.channels]
        if self.value_range is None:
            return f"8-bit {colours}"
        low, high = self.value_range
        return f"{colours} of {low} to {high}{f' {self.units}' if self.units else ''}"


RGB = PixelFormat()

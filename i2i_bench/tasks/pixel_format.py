"""How the pixels of a domain are kept: channels, and the range of values of more than 8 bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

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


def plain_pixels(pixels: Mapping[str, PixelFormat]) -> dict[str, dict[str, Any]]:
    """Return, as plain values by domain, what is not 8-bit RGB."""
    return {
        domain: {"channels": each.channels, "range": list(each.value_range or ())}
        for domain, each in sorted(pixels.items())
        if (each.channels, each.value_range) != (RGB.channels, None)
    }


def read_pixels(plain: Any) -> dict[str, PixelFormat]:
    """Turn what ``plain_pixels`` gives back, without units.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(plain, Mapping):
        raise ValueError(f"the checkpoint is damaged: pixels: {plain!r}")
    found = {}
    for domain, each in plain.items():
        try:
            channels, bounds = each["channels"], each["range"]
            low, high = bounds or (0, LARGEST_VALUE)
        except (KeyError, TypeError, ValueError):
            channels, bounds, low, high = 0, (), 0, 0
        numbers = all(type(value) is int for value in (channels, low, high))
        if not numbers or channels not in (1, 3) or not 0 <= low < high <= LARGEST_VALUE:
            raise ValueError(f"the checkpoint is damaged: pixels of domain {domain!r}: {each!r}")
        found[domain] = PixelFormat(channels, (low, high) if bounds else None)
    return found

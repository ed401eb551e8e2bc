"""The figure of styles: the same inputs translated by several seeds, or like examples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from i2i_bench.report.figures.mosaic import Block, Strip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PER_LINE = 10  # styles; more of them go on in further blocks
LONGEST_HEAD = 4  # letters of a name that fit above a cell


@dataclass(frozen=True, eq=False)
class StyleColumn:
    """One style of all inputs.

    Attributes:
        name: Of the example; of a seed, its number.
        fakes: Translation of each input, in their order: (height, width, 3) of type uint8.
        example: The image whose style they take, likewise; None where a seed gives the style.
    """

    name: str
    fakes: Sequence[NDArray[np.uint8]]
    example: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class StyleGrid:
    """Inputs by styles, in one direction.

    Attributes:
        title: The direction in words.
        sources: Inputs by name, from top to bottom: (height, width, 3) of type uint8.
        columns: Styles from left to right, all of seeds or all of examples.

    Raises:
        ValueError: If there is no input or style, one lacks translations, or both kinds are mixed.
    """

    title: str
    sources: Mapping[str, NDArray[np.uint8]]
    columns: Sequence[StyleColumn]

    def __post_init__(self) -> None:
        if not self.sources or not self.columns:
            raise ValueError(
                f"{self.title}: a figure of styles needs an input and a style at least"
            )
        for column in self.columns:
            if len(column.fakes) != len(self.sources):
                raise ValueError(
                    f"{self.title}: style {column.name} has {len(column.fakes)} translations of "
                    f"{len(self.sources)} inputs; it needs one of each"
                )
        if len({column.example is None for column in self.columns}) > 1:
            raise ValueError(
                f"{self.title}: some styles have an example and others none; divide them"
            )

    @property
    def has_examples(self) -> bool:
        """Whether example images give the styles."""
        return self.columns[0].example is not None


def style_blocks(grid: StyleGrid) -> list[Block]:
    """Arrange inputs by styles as blocks of a mosaic, of like width where styles are many.

    A line is an input, whose image is in the first column; above the others stands the seed, or the
    example itself.
    """
    width = math.ceil(len(grid.columns) / math.ceil(len(grid.columns) / PER_LINE))
    what = "in the style of each example" if grid.has_examples else "by seed"
    return [
        Block(
            f"{grid.title}, {what}{' (continued)' if start else ''}",
            ["input", *map(_head, columns)],
            list(_strips(grid, columns)),
        )
        for start in range(0, len(grid.columns), width)
        for columns in [grid.columns[start : start + width]]
    ]


def _head(column: StyleColumn) -> str:
    """Give what fits above a column; an example that is named at length shows what it is."""
    return column.name if len(column.name) <= LONGEST_HEAD else ""


def _strips(grid: StyleGrid, columns: Sequence[StyleColumn]) -> Iterator[Strip]:
    if grid.has_examples:
        yield Strip("example", [None, *(column.example for column in columns)])
    for line, (name, source) in enumerate(grid.sources.items()):
        is_first = grid.has_examples and line == 0
        yield Strip(name, [source, *(column.fakes[line] for column in columns)], is_new=is_first)

"""The style and width of all figures, and how they are saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2i_bench.system.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN = 3.5  # inches, of a page with two columns
WIDTH = 7.16  # inches, of both columns and what lies between them
DPI = 300  # of a PNG
STYLE = Path(__file__).with_name("i2i.mplstyle")
_UNDATED: dict[str, dict[str, Any]] = {  # so that equal figures are equal files
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
FORMATS = tuple(_UNDATED)


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw in the one style, whatever the user's own settings are."""
    from matplotlib import style as styles

    with styles.context(["default", STYLE]):
        yield


def new_figure(width: float, height: float, dpi: float = DPI) -> Figure:
    """Give an empty figure of a size in inches, outside the global state of pyplot."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi)


def save_figure(figure: Figure, output: Path) -> None:
    """Write a figure in the format of the file's suffix, whole or not at all."""
    kind = output.suffix[1:]
    with replacing(output) as partial:
        figure.savefig(partial, format=kind, dpi=figure.dpi, metadata=_UNDATED[kind])

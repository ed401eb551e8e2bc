"""Write images as PNG, of 8 bits or 16-bit grey, each whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from i2i_bench.data.mixed import Images, shortest_side
from i2i_bench.system.files import make_folders, put, sync
from i2i_bench.system.prefetch import WRITERS, images_per_part, prefetch

PNG_LEVEL = 1  # of the usual 6, less than a third of the time, and files 4 % larger


def save_images(folder: Path, names: Sequence[str], images: Images) -> None:
    """Write images as PNG under their sources' names, each whole or not at all."""
    make_folders(folder)

    def write(named: tuple[str, NDArray[Any]]) -> None:
        write_png(folder / f"{Path(named[0]).stem}.png", named[1])

    named: Iterable[tuple[str, NDArray[Any]]] = zip(names, images, strict=True)
    part = images_per_part(shortest_side(images), len(names), WRITERS)
    for _ in prefetch(write, named, depth=WRITERS, workers=WRITERS, part_size=part):
        pass  # it is on disk
    sync(folder)


def write_png(path: Path, image: NDArray[Any]) -> None:
    """Write an image, whole or not at all; the caller has ``sync`` the folder.

    Args:
        path: Of the file.
        image: (height, width), (height, width, 1) or (height, width, 3): uint8, or uint16 if grey,
            which is written in 16 bits.

    Raises:
        OSError: Naming the file.
    """
    try:
        encoded = io.BytesIO()
        plane = image[..., 0] if image.shape[2:] == (1,) else image
        Image.fromarray(plane).save(encoded, "PNG", compress_level=PNG_LEVEL)
        with encoded.getbuffer() as content:
            put(path, content)
    except OSError as error:
        if error.errno is None or error.filename:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error

"""What is done to an image file's pixels before anything else, where ``task.toml`` states it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

Colour = tuple[int, int, int]
COLOURS = {"white": (255, 255, 255), "grey": (128, 128, 128), "black": (0, 0, 0)}
_ORIENTATION = 0x0112  # tag of EXIF: how to turn the pixels, 1 if not at all
_TURNS = {  # value of the tag → PIL's operation that makes the image upright
    **{2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"},
    **{6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"},
}
_LYING = (5, 6, 7, 8)  # values under which width and height are exchanged
_TURNED_BY_PIL = ("TIFF",)  # formats whose orientation PIL applies whenever it decodes


@dataclass(frozen=True)
class Reading:
    """What is done to the pixels of a file; by default nothing.

    Attributes:
        is_upright: Whether the EXIF orientation is applied.
        background: Colour on which transparent pixels are laid; None drops transparency, so that
            the colours which it hid are seen.
        half: ``left``, ``right``, ``top`` or ``bottom`` of an image of a pair; "" for all of it.
    """

    is_upright: bool = False
    background: Colour | None = None
    half: str = ""

    def apply(self, image: Image.Image) -> Image.Image:
        """Turn a loaded image upright, lay it on the background, and cut out its half.

        Raises:
            ValueError: If it has no two halves.
        """
        if self.is_upright:
            image = _turned(image)
        if self.background and image.has_transparency_data:
            image = _laid_on(self.background, image)
        if self.half:
            left, top, width, height = self._box(image.size)
            image = image.crop((left, top, left + width, top + height))
        return image

    def size(self, image: Image.Image) -> tuple[int, int]:
        """Give width and height that an image has after ``apply``, by its header.

        Raises:
            ValueError: If it has no two halves.
        """
        width, height = image.size
        if self.is_upright and orientation_of(image) in _LYING:
            width, height = height, width
        return self._box((width, height))[2:] if self.half else (width, height)

    def _box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Give left, top, width and height of the half."""
        width, height = size
        is_across = self.half in ("left", "right")
        if (width if is_across else height) % 2:
            side = "width" if is_across else "height"
            raise ValueError(f"{width}x{height} pixels have no two halves; make the {side} even")
        if is_across:
            return (width // 2 if self.half == "right" else 0), 0, width // 2, height
        return 0, (height // 2 if self.half == "bottom" else 0), width, height // 2


AS_STORED = Reading()


def orientation_of(image: Image.Image) -> int:
    """Read the EXIF orientation that decoding an image leaves to others, 1 to 8; 1 without one.

    The image need not be loaded, and is not.
    """
    from PIL import Image as PILImage

    if image.format in _TURNED_BY_PIL:
        return 1
    try:
        value = PILImage.Image.getexif(image).get(_ORIENTATION, 1)  # that of PNG would decode
    except Exception:  # of damaged metadata PIL raises almost anything; the pixels are sound
        return 1
    return value if value in _TURNS else 1


def plain_reading(reading: Reading) -> dict[str, Any]:
    """Return, as plain values, what files to translate are read with, too; nothing by default."""
    upright = {"upright": True} if reading.is_upright else {}
    return upright | ({"background": list(reading.background)} if reading.background else {})


def read_reading(plain: Any) -> Reading:
    """Turn what ``plain_reading`` gives back.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(plain, dict) or plain.keys() - {"upright", "background"}:
        raise ValueError(f"the checkpoint is damaged: reading: {plain!r}")
    background = plain.get("background")
    if background is not None and not is_colour(background):
        raise ValueError(f"the checkpoint is damaged: background: {background!r}")
    return Reading(plain.get("upright") is True, tuple(background) if background else None)


def is_colour(value: Any) -> bool:
    """Tell whether a value is a list of red, green and blue, 0 to 255."""
    is_three = isinstance(value, list) and len(value) == 3
    return is_three and all(type(part) is int and 0 <= part <= 255 for part in value)


def _turned(image: Image.Image) -> Image.Image:
    from PIL.Image import Transpose

    turn = _TURNS.get(orientation_of(image))
    return image.transpose(Transpose[turn]) if turn else image


def _laid_on(colour: Colour, image: Image.Image) -> Image.Image:
    from PIL import Image as PILImage

    ground = PILImage.new("RGBA", image.size, (*colour, 255))
    ground.alpha_composite(image.convert("RGBA"))
    return ground.convert("RGB")

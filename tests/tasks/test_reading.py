"""Photos on their side, transparent pixels, large metadata, and a limit that can be raised."""

import io
import json
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from i2i_bench.tasks.image_file import read_image, read_image_size
from i2i_bench.tasks.image_traits import ImageTraits, read_image_traits
from i2i_bench.tasks.pixel_format import PixelFormat
from i2i_bench.tasks.reading import Reading, plain_reading, read_reading

UPRIGHT = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)
STORED = {  # orientation → how a camera that was held so stores the upright image
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.swapaxes(0, 1),
    6: np.rot90(UPRIGHT, 1),
    7: UPRIGHT[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(UPRIGHT, -1),
}


def save(path, pixels, orientation=None, **options):
    if orientation is not None:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, **options)
    return path


# --- orientation


@pytest.mark.parametrize("suffix", ["png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_where_it_is_stated_and_else_not(
    orientation, suffix, tmp_path
):
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"x.{suffix}", STORED[orientation], orientation, **options)
    np.testing.assert_array_equal(np.asarray(read_image(path)), STORED[orientation])
    turned = read_image(path, reading=Reading(is_upright=True))
    np.testing.assert_array_equal(np.asarray(turned), UPRIGHT)
    assert read_image_size(path, reading=Reading(is_upright=True)) == (10, 6)
    assert read_image_size(path) == STORED[orientation].shape[1::-1]
    assert read_image_traits(path) == ImageTraits(orientation)


def test_tiff_is_turned_once_by_whoever_decodes_it(tmp_path):
    path = save(tmp_path / "x.tif", STORED[6], 6)
    for reading in (Reading(), Reading(is_upright=True)):
        np.testing.assert_array_equal(np.asarray(read_image(path, reading=reading)), UPRIGHT)
        assert read_image_size(path, reading=reading) == (10, 6)
    assert read_image_traits(path).orientation == 1


def test_values_of_16_bits_are_turned_as_well(tmp_path):
    deep = UPRIGHT[..., 0].astype(np.uint16) * 7
    path = save(tmp_path / "x.png", np.rot90(deep), 6)
    pixels = PixelFormat(1, (0, 4095))
    found = read_image(path, pixels=pixels, reading=Reading(is_upright=True))
    np.testing.assert_array_equal(np.asarray(found), deep)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_there_is_not_is_none(orientation, tmp_path):
    path = save(tmp_path / "x.png", UPRIGHT, orientation)
    turned = read_image(path, reading=Reading(is_upright=True))
    np.testing.assert_array_equal(np.asarray(turned), UPRIGHT)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\xff\xff", b"\xff" * 99])
def test_damaged_metadata_leave_the_image_as_it_is(exif, tmp_path):
    Image.fromarray(UPRIGHT).save(tmp_path / "x.jpg", exif=exif)
    stored = np.asarray(Image.open(tmp_path / "x.jpg"))
    turned = read_image(tmp_path / "x.jpg", reading=Reading(is_upright=True))
    np.testing.assert_array_equal(np.asarray(turned), stored)
    assert read_image_traits(tmp_path / "x.jpg") == ImageTraits()


# --- transparency


def clear(mode):
    """Give an image that is half transparent, of black that is hidden by half, in a mode."""
    alpha = np.full((8, 8), 255, np.uint8)
    alpha[:, :4] = 0 if mode == "P" else 51
    grey = np.full((8, 8), 100, np.uint8)
    if mode == "LA":
        return Image.fromarray(np.dstack([grey, alpha])), {}
    if mode == "RGBA":
        return Image.fromarray(np.dstack([grey, grey, grey, alpha])), {}
    palette = Image.fromarray((alpha == 0).astype(np.uint8), "L").convert("P")
    palette.putdata([int(a == 0) for a in alpha.ravel()])
    palette.putpalette([100, 100, 100, 100, 100, 100])
    return palette, {"transparency": 1}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_laid_on_the_background(mode, tmp_path):
    image, options = clear(mode)
    image.save(tmp_path / "x.png", "PNG", **options)
    plain = np.asarray(read_image(tmp_path / "x.png"))
    assert (plain == 100).all()  # dropped
    white = np.asarray(read_image(tmp_path / "x.png", reading=Reading(background=(255, 0, 255))))
    share = 0 if mode == "P" else 0.2
    expected = [share * 100 + (1 - share) * 255, share * 100, share * 100 + (1 - share) * 255]
    np.testing.assert_allclose(white[:, :4], np.broadcast_to(expected, (8, 4, 3)), atol=1)
    assert (white[:, 4:] == 100).all()
    assert read_image_traits(tmp_path / "x.png").is_transparent


def test_an_alpha_channel_that_hides_nothing_is_no_trait(tmp_path):
    save(tmp_path / "x.png", np.full((8, 8, 4), 255, np.uint8))
    assert read_image_traits(tmp_path / "x.png") == ImageTraits()


# --- frames and pages


@pytest.mark.parametrize(
    ("name", "count"), [("x.tif", 3), ("x.png", 2), ("x.webp", 2), ("x.jpg", 1)]
)
def test_frames_and_pages_are_counted(name, count, tmp_path):
    more = [Image.fromarray(np.roll(UPRIGHT, k, 0)) for k in range(1, count)]
    options = {"save_all": True, "append_images": more} if more else {}
    Image.fromarray(UPRIGHT).save(tmp_path / name, **options)
    assert read_image_traits(tmp_path / name).num_frames == count


# --- metadata of any size


def chunk(kind, data):
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


LARGE = os.urandom(2**17).hex().encode() * 9  # 2.25 MiB
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
CHUNKS = {
    "tEXt": b"workflow\0" + LARGE,
    "zTXt": b"workflow\0\0" + zlib.compress(LARGE),
    "iTXt": b"workflow\0\1\0en\0\0" + zlib.compress(LARGE),
    "iTXt plain": b"workflow\0\0\0\0\0" + LARGE,
    "iTXt of XMP": b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(LARGE),
    "iCCP": b"icc\0\0" + zlib.compress(LARGE),
    "zTXt damaged": b"workflow\0\0" + b"no zlib",
    "many": b"workflow\0" + LARGE[:1000],
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", CHUNKS)
def test_png_is_read_whatever_its_text_and_profiles(name, place, tmp_path, monkeypatch):
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 2**13)
    file = io.BytesIO()
    Image.fromarray(UPRIGHT).save(file, "PNG")
    content, kind = file.getvalue(), name[:4].encode() if name != "many" else b"tEXt"
    added = chunk(kind, CHUNKS[name]) * (30 if name == "many" else 1)
    at = content.index(b"IDAT" if place == "before" else b"IEND") - 4
    (tmp_path / "x.png").write_bytes(content[:at] + added + content[at:])
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "x.png")), UPRIGHT)
    assert read_image_size(tmp_path / "x.png") == (10, 6)
    assert read_image_traits(tmp_path / "x.png") == ImageTraits()


def test_png_of_a_generator_is_read(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "{}" * 900_000, zip=True)
    Image.fromarray(UPRIGHT).save(tmp_path / "x.png", pnginfo=text)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "x.png")), UPRIGHT)


def test_short_texts_still_tell_the_orientation(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    Image.fromarray(np.ascontiguousarray(STORED[6])).save(tmp_path / "x.png", pnginfo=text)
    turned = read_image(tmp_path / "x.png", reading=Reading(is_upright=True))
    np.testing.assert_array_equal(np.asarray(turned), UPRIGHT)


# --- the limit, and what checkpoints keep


def test_the_limit_of_pixels_is_named_and_can_be_raised(tmp_path, monkeypatch):
    path = save(tmp_path / "x.png", UPRIGHT)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    for read in (read_image, read_image_size):
        with pytest.raises(ValueError, match=r"set the environment variable I2I_BENCH_MAX_PIXELS"):
            read(path)
    monkeypatch.setenv("I2I_BENCH_MAX_PIXELS", "60")
    assert read_image(path).size == (10, 6)
    monkeypatch.setenv("I2I_BENCH_MAX_PIXELS", "many")
    with pytest.raises(ValueError, match="I2I_BENCH_MAX_PIXELS is 'many'; needed is a number"):
        read_image(path)


@pytest.mark.parametrize("reading", [Reading(), Reading(True), Reading(True, (1, 2, 3))])
def test_readings_are_kept_as_plain_values(reading):
    assert read_reading(json.loads(json.dumps(plain_reading(reading)))) == reading
    assert plain_reading(Reading(half="left")) == {}


@pytest.mark.parametrize("damaged", [[], {"upright": True, "x": 1}, {"background": [1, 2]}, "x"])
def test_damaged_readings_are_refused(damaged):
    with pytest.raises(ValueError, match="the checkpoint is damaged"):
        read_reading(damaged)

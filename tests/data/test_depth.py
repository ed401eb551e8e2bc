"""Images of more than 8 bits and of other channels, from file to tensor and back."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_bench.data.clipped import warn_of_clipped
from i2i_bench.data.decode import decode_images, to_float, to_pixels
from i2i_bench.data.png import save_images
from i2i_bench.data.store import Store
from i2i_bench.data.window import levels, windowed
from i2i_bench.model import ResizeRule
from i2i_bench.tasks.image_file import DeepGreyError, read_image
from i2i_bench.tasks.pixel_format import RGB, PixelFormat
from i2i_bench.tasks.task import TaskImage

CT = PixelFormat(1, (0, 4095), "HU")
GREY = PixelFormat(1)
VALUES = np.random.default_rng(0).integers(0, 4096, (20, 24)).astype(np.uint16)


def file_of(folder, name, values, **how):
    path = folder / name
    Image.fromarray(values).save(path, **how)
    return path


def image_of(path, pixels):
    return TaskImage(path.name, lambda: read_image(path, pixels=pixels), pixels)


@pytest.mark.parametrize(
    ("name", "dtype", "how"),
    [
        ("x.png", "<u2", {}),
        ("x.tif", "<u2", {}),
        ("x.tif", ">u2", {}),
        ("x.tif", "<u2", {"compression": "tiff_lzw"}),
    ],
)
def test_16_bit_grey_is_read_and_written_without_loss(tmp_path, name, dtype, how):
    path = file_of(tmp_path, name, VALUES.astype(dtype), **how)
    (found,) = decode_images([image_of(path, CT)], ResizeRule(20, resize="short_side"))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found[..., 0], VALUES[:, 2:22])
    save_images(tmp_path / "out", ["y.tif"], found[None])
    with Image.open(tmp_path / "out/y.png") as saved:
        assert saved.mode.startswith("I;16")
        np.testing.assert_array_equal(np.asarray(saved), found[..., 0])


@pytest.mark.parametrize("pixels", [CT, GREY, PixelFormat(1, (0, 65535)), PixelFormat(1, (7, 9))])
def test_every_value_survives_the_way_to_a_network_and_back(pixels):
    low, high = pixels.value_range or (0, 255)
    values = torch.arange(low, high + 1).to(getattr(torch, pixels.dtype))
    scaled = to_float(values, pixels)
    assert (scaled[0], scaled[-1], scaled.dtype) == (-1, 1, torch.float32)
    assert torch.equal(to_pixels(scaled, pixels), values)


def test_resizing_keeps_the_depth_and_the_range(tmp_path):
    path = file_of(tmp_path, "x.png", VALUES)
    (found,) = decode_images([image_of(path, CT)], ResizeRule(10))
    exact = Image.fromarray(VALUES.astype(np.float32)).resize((10, 10), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(found[..., 0], np.asarray(exact).clip(0, 4095).round())
    assert len(np.unique(found % 16)) > 4  # more than 8 bits would show


def test_values_beyond_the_range_are_clipped_and_said_once(tmp_path, caplog):
    narrow = PixelFormat(1, (100, 1000), "HU")
    images = [image_of(file_of(tmp_path, f"{k}.png", VALUES), narrow) for k in range(2)]
    inside = np.full_like(VALUES, 500)
    images.append(image_of(file_of(tmp_path, "2.png", inside), narrow))
    with caplog.at_level(logging.WARNING):
        found = decode_images(images, ResizeRule(20, resize="short_side"))
        decode_images(images[1:], ResizeRule(20, resize="short_side"))
        warn_of_clipped(images)
    assert (found[0].min(), found[0].max()) == (100, 1000)
    (message,) = caplog.messages
    assert message.startswith("2 of 3 images have values beyond their range (grey of 100 to 1000 H")


@pytest.mark.parametrize(
    ("values", "pixels", "reason"),
    [
        (VALUES, RGB, "16-bit, 32-bit or floating pixels"),
        (VALUES, GREY, "16-bit, 32-bit or floating pixels"),
        (VALUES.astype(np.float32), CT, "signed, 32-bit, floating"),
        (VALUES.astype(np.int32), CT, "signed, 32-bit, floating"),
        ((VALUES >> 4).astype(np.uint8), CT, "has 8 bits a pixel, and the values of its domain go"),
        (np.dstack([VALUES >> 4] * 2 + [VALUES >> 5]).astype(np.uint8), GREY, "has colours"),
    ],
)
def test_what_a_domain_does_not_consist_of_is_refused(tmp_path, values, pixels, reason):
    path = file_of(tmp_path, "x.tif", values)
    with pytest.raises(ValueError, match=reason) as error:
        read_image(path, pixels=pixels)
    assert isinstance(error.value, DeepGreyError) == (values is VALUES)


def test_stacks_and_inverted_values_are_refused(tmp_path):
    page = Image.fromarray(VALUES)
    page.save(tmp_path / "stack.tif", save_all=True, append_images=[page])
    page.save(tmp_path / "inverted.tif", tiffinfo={262: 0})
    for name, reason in (("stack.tif", "a stack of 2 pages"), ("inverted.tif", "0 is white")):
        with pytest.raises(ValueError, match=reason):
            read_image(tmp_path / name, pixels=CT)


def test_grey_in_three_equal_channels_is_grey(tmp_path):
    grey = (VALUES >> 4).astype(np.uint8)
    path = file_of(tmp_path, "x.png", np.dstack([grey] * 3))
    found = read_image(path, pixels=GREY)
    assert found.mode == "L"
    np.testing.assert_array_equal(np.asarray(found), grey)
    plain = read_image(file_of(tmp_path, "y.png", grey))
    np.testing.assert_array_equal(np.asarray(plain), np.dstack([grey] * 3))


def test_a_store_keeps_images_of_several_types():
    store = Store()
    odd = torch.arange(15, dtype=torch.uint8).view(3, 1, 5)
    deep = torch.from_numpy(VALUES)[None]
    kept = [store.keep(each) for each in (odd, deep, odd, deep)]
    for each, wanted in zip(kept, (odd, deep, odd, deep), strict=True):
        assert torch.equal(each, wanted)


def test_people_and_formulas_see_the_range():
    images = np.array([0, 2048, 4095], np.uint16).reshape(1, 1, 3, 1)
    assert windowed(images, CT).tolist() == [[[[0] * 3, [128] * 3, [255] * 3]]]
    assert levels(images, CT)[0].ravel() == pytest.approx([0, 2048 * 255 / 4095, 255])
    plain = np.zeros((1, 4, 4, 3), np.uint8)
    assert windowed(plain, RGB) is plain and levels(plain, RGB) is plain

"""What pixels consist of, as checkpoints keep it."""

import json

import pytest

from i2i_bench.tasks.pixel_format import RGB, PixelFormat, plain_pixels, read_pixels


def test_formats_are_read_back_and_rgb_is_left_out():
    pixels = {"b": PixelFormat(1, (16, 4095)), "a": PixelFormat(1), "c": RGB}
    plain = json.loads(json.dumps(plain_pixels(pixels)))
    assert plain == {"a": {"channels": 1, "range": []}, "b": {"channels": 1, "range": [16, 4095]}}
    assert read_pixels(plain) == {"a": pixels["a"], "b": pixels["b"]}
    assert plain_pixels({"c": RGB}) == {}


@pytest.mark.parametrize(
    "damaged",
    [
        3,
        ["a"],
        {"a": 1},
        {"a": {"channels": 1}},
        {"a": {"channels": 2, "range": []}},
        {"a": {"channels": True, "range": []}},
        {"a": {"channels": 1, "range": [5, 5]}},
        {"a": {"channels": 1, "range": [0, 2**16]}},
        {"a": {"channels": 1, "range": [0, 1, 2]}},
    ],
)
def test_damaged_formats_are_refused(damaged):
    with pytest.raises(ValueError, match="the checkpoint is damaged: pixels"):
        read_pixels(damaged)

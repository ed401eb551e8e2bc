"""Samples of the page: translations are known again by the hash of their pixels."""

import hashlib

import numpy as np
import pytest

from i2i_bench.data.png import save_images
from i2i_bench.report.site import samples


@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (1, np.uint8), (1, np.uint16)])
def test_saved_translations_have_the_hash_of_those_that_were_scored(tmp_path, channels, dtype):
    levels = np.iinfo(dtype).max
    images = np.random.default_rng(0).integers(0, levels, (2, 6, 5, channels), dtype)
    save_images(tmp_path, ["0.png", "1.png"], images)
    recorded = hashlib.sha256(images.tobytes()).hexdigest()
    assert samples._pixels(tmp_path, ["0", "1"]) == recorded

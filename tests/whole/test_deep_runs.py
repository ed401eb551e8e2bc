"""Runs on pairs of 16-bit grey sets, and from RGB to grey, as a user types them."""

import numpy as np
import pytest
from PIL import Image

from i2i_bench.records.record import read_external_record, read_record

HIGH = {"a": 4095, "b": 1023}
SIZE = 32  # of the tiny presets, so that nothing is resampled
RANGES = "".join(f"range.{domain} = [0, {high}]\n" for domain, high in HIGH.items())

pytestmark = pytest.mark.slow


def scenes(count, seed):
    """Give images of soft discs in [0, 1]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    for _ in range(count):
        discs = random.uniform([4, 4, 3, 0.2], [28, 28, 9, 1], (4, 4))
        parts = [
            h * np.exp(-((y - top) ** 2 + (x - left) ** 2) / r**2) for top, left, r, h in discs
        ]
        yield np.maximum.reduce(parts)


def fill(folder, *, a_is_rgb):
    for split, count in (("train", 24), ("test", 4)):
        for domain in "ab":
            (folder / f"{split}{domain.upper()}").mkdir(parents=True)
        for k, scene in enumerate(scenes(count, count)):
            first = np.round(scene * HIGH["a"]).astype(np.uint16)
            if a_is_rgb:
                first = (np.dstack([scene, 1 - scene, scene**2]) * 255).astype(np.uint8)
            second = np.round((1 - scene) * HIGH["b"]).astype(np.uint16)
            Image.fromarray(first).save(folder / f"{split}A" / f"{k}.png")
            Image.fromarray(second).save(folder / f"{split}B" / f"{k}.tif")
    (folder / "task.toml").write_text(RANGES.splitlines()[1] if a_is_rgb else RANGES)
    return folder


def pixels(path):
    with Image.open(path) as image:
        assert image.mode.startswith("I;16")
        return np.asarray(image).astype(np.float64)


def only(paths):
    (found,) = paths
    return found


@pytest.mark.parametrize("model", ["attentiongan", "cyclegan", "unit"])
def test_16_bit_values_are_translated_written_and_scored_in_their_range(places, cli, model):
    folder = fill(places / "scans", a_is_rgb=False)
    cli("run", "--model", model, "--task", folder, "--preset", "tiny")
    cli("validate-results")
    found = read_record(only(places.glob(f"results/*/{model}*/seed0.json")))
    for direction, target, suffix in (("a2b", "b", "tif"), ("b2a", "a", "png")):
        made = only(places.glob(f"runs/*/{model}*/seed0/translations-{direction}"))
        fakes = [pixels(made / f"{k}.png") for k in range(4)]
        truths = [pixels(folder / f"test{target.upper()}" / f"{k}.{suffix}") for k in range(4)]
        errors = [((f - t) ** 2).mean() for f, t in zip(fakes, truths, strict=True)]
        score = found.scores[f"i2i@1/{direction}"]
        exact = np.mean(10 * np.log10(HIGH[target] ** 2 / np.array(errors)))
        assert score.values["psnr"] == pytest.approx(exact, abs=1e-9)
        assert len(np.unique(fakes)) > 256  # more than 8 bits can tell apart
        assert score.window and f"target: grey of 0 to {HIGH[target]}" in score.window
        of = (folder / f"test{direction[0].upper()}", direction, "--direction", direction)
        cli("translate", "--run", found.run.file.with_suffix(""), *of)
        again = [pixels(places / direction / f"{k}.png") for k in range(4)]
        assert np.abs(np.array(again) - fakes).max() <= 1  # a last bit can turn a rounding
        cli("score", made, "--task", folder, "--direction", direction, "--name", "again")
        again = read_external_record(only(places.glob("results/*/external/again.json")))
        other = again.scores[f"i2i@1/{direction}"]
        assert other.values["psnr"] == score.values["psnr"]
        assert other.pixels_sha256 == score.pixels_sha256


def test_a_background_is_generated_between_images_of_different_channels(places, cli):
    folder = fill(places / "photos", a_is_rgb=True)
    run = ("run", "--model", "attentiongan", "--task", folder, "--preset", "tiny")
    assert "add --set background=generated" in cli(*run, code=1)
    cli(*run, "--set", "background=generated")
    found = read_record(only(places.glob("results/*/attentiongan*/seed0.json")))
    assert found.settings["config"]["channels"] == [3, 1]
    score = found.scores["i2i@1/a2b"]
    assert isinstance(score.values["psnr"], float)
    assert score.values["psnr_source"] is None
    assert "channels" in score.reasons["psnr_source"]
    assert score.baselines["identity"].values["psnr"] is None

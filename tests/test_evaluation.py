"""Scores of translations whose right values are known."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_bench import data, evaluation, features, protocols
from i2i_bench.metrics import distances
from i2i_bench.model import A2B, B2A, Settings
from i2i_bench.tasks import catalog

CPU = torch.device("cpu")
I2I = protocols.find("i2i")
STRIPES = catalog.EMBEDDED["stripes"]
SETTINGS = Settings(None, 4, 8, 32, 32)


def quiet(stage, done, of, values):
    pass


@pytest.fixture(scope="module")
def against():
    return evaluation.reference(STRIPES, A2B, SETTINGS)


@pytest.fixture(scope="module")
def sources():
    return data.test_images(STRIPES, "a", SETTINGS)[0].permute(0, 2, 3, 1).numpy()


def translations(sources, fakes, background=None):
    names = [image.name for image in STRIPES.images("test", "a")]
    return evaluation.Translations(A2B, names, sources, fakes, background)


def score(found, against):
    return evaluation.score(I2I, STRIPES, found, against, device=CPU, report=quiet)


def value(values, key) -> float:
    number = values.values[key]
    assert number is not None
    return number


def test_perfect_translations_have_perfect_scores(sources, against):
    background = np.stack([1.0 - mask for mask in against.foreground]).astype(np.float32)
    found = score(translations(sources, against.truth, background), against)
    perfect = {"psnr": 100, "psnr_foreground": 100, "psnr_background": 100, "ssim": 1}
    assert {k: found.values[k] for k in perfect} == pytest.approx(perfect)
    assert found.values["mask_iou"] == 1
    assert found.values["background_share"] == pytest.approx(background.mean())


def test_unchanged_sources_score_as_the_identity_baseline(sources, against):
    found = score(translations(sources, sources), against)
    assert found.values == found.baselines["identity"].values
    assert found.values["psnr_background"] == 100
    assert value(found, "psnr_foreground") < 12
    assert found.values["mask_iou"] is None
    assert found.reasons["mask_iou"] == "no mask copies the input"


def test_foreground_and_background_errors_are_told_apart(sources, against):
    inside = np.stack(against.foreground)[..., None]
    wrong = np.where(inside, against.truth, against.truth // 2).astype(np.uint8)
    found = score(translations(sources, wrong), against)
    assert found.values["psnr_foreground"] == 100
    assert value(found, "psnr_background") < 20


def test_distances_are_those_of_the_features(sources, against, stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(stand_in))
    monkeypatch.setenv("I2I_BENCH_CACHE", str(tmp_path))
    fakes = (255 - sources).astype(np.uint8)
    found = score(translations(sources, fakes), against)
    real, fake = (features.extract_features(images) for images in (against.real, fakes))
    kid, error = distances.kid_unbiased(real, fake)
    expected = {"fid": distances.fid(real, fake), "kid": kid, "kid_se": error}
    assert {key: found.values[key] for key in expected} == expected
    halves = [features.extract_features(images) for images in against.halves]
    assert found.baselines["real"].values["fid"] == distances.fid(*halves)
    assert 0 < value(found.baselines["real"], "fid") < value(found, "fid")
    assert found.baselines["identity"].values["lpips_source"] == pytest.approx(0, abs=1e-6)
    assert value(found, "lpips_source") > 0
    assert found.weights_sha256 == features.weights_hash(features.inception_file())
    assert found.weights_status == "unverified"
    assert (found.n_real, found.n_fake, found.image_size) == (100, 100, 32)


def test_halves_are_disjoint_and_do_not_follow_the_names():
    task = dataclasses.replace(STRIPES)
    first, second = evaluation.reference(task, B2A, SETTINGS).halves
    both = {image.tobytes() for image in (*first, *second)}
    assert len(both) == 200
    by_name = data.decode(task.images("train", "a")[:100], size=32, resampling="bicubic")
    named = {image.permute(1, 2, 0).numpy().tobytes() for image in by_name}
    assert 0 < len(named & both) < 100


class Strange:
    card = dataclasses.make_dataclass("Card", [("title", str, "Strange")])()
    networks = torch.nn.ModuleDict()

    def __init__(self, fake):
        self.fake = fake

    def translate(self, batch, direction):
        return self.fake(batch.images[direction.source])

    def masks(self, batch, direction):
        return None


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (lambda x: x[..., :16], "keeps the shape"),
        (lambda x: x * float("nan"), "not finite"),
    ],
)
def test_translations_that_are_none_are_refused(fake, message):
    model: Any = Strange(fake)
    with pytest.raises(ValueError, match=message):
        evaluation.translate_test_set(model, STRIPES, A2B, SETTINGS, device=CPU)


def test_translations_are_rounded_and_saved_as_they_are_scored(tmp_path):
    model: Any = Strange(lambda x: x * 0.5)
    found = evaluation.translate_test_set(model, STRIPES, A2B, SETTINGS, device=CPU)
    evaluation.save_images(tmp_path, found.names, found.fakes)
    for name, fake in zip(found.names, found.fakes, strict=True):
        assert (np.asarray(Image.open(tmp_path / name)) == fake).all()
    expected = np.round((found.sources / 127.5 - 1) * 0.5 * 127.5 + 127.5)
    assert abs(found.fakes - expected).max() <= 1


def test_no_reason_names_a_folder_of_this_machine(sources, against, tmp_path, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(tmp_path))
    found = score(translations(sources, sources), against)
    assert found.values["fid"] is None
    assert "inception-2015-12-05.pt" in found.reasons["fid"]
    assert str(tmp_path) not in str(found)

"""Translations of a test set, and what they are compared with."""

import dataclasses
import errno
import os
from typing import Any

import numpy as np
import pytest
import torch
from bare_model import BareModel
from PIL import Image
from torchvision.transforms import v2

from i2i_bench import official
from i2i_bench.data import test_set
from i2i_bench.data.decode import decode_images, to_float, to_uint8
from i2i_bench.data.png import save_images
from i2i_bench.model import A2B, B2A, Masks, ResizeRule
from i2i_bench.scoring import translations
from i2i_bench.tasks import catalogue, two_domains

CPU = torch.device("cpu")
STRIPES = catalogue.EMBEDDED["stripes"]
TESTS = test_set.TestSet(STRIPES, ResizeRule(32))


def test_halves_are_disjoint_and_do_not_follow_the_names():
    task = dataclasses.replace(STRIPES)
    first, second = translations.reference(test_set.TestSet(task, ResizeRule(32)), B2A).halves
    both = {image.tobytes() for image in (*first, *second)}
    assert len(both) == 200
    by_name = decode_images(task.images("train", "a")[:100], ResizeRule(32))
    named = {image.tobytes() for image in by_name}
    assert 0 < len(named & both) < 100


@pytest.fixture
def oblong(tmp_path):
    """Give a paired folder task of 64x40 noise, so that size, filter and aspect ratio all tell."""
    random = np.random.RandomState(0)
    for name in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / name).mkdir()
        for i in range(4):
            noise = random.randint(0, 256, (40, 64, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / name / f"{name[:-1]}{i}.png")
    return two_domains.two_domain_task(tmp_path)


KEEPING = ResizeRule(32, "bilinear", "short_side")


def as_torchvision(images):
    """Give the bytes of images at the size of KEEPING."""
    resize = v2.Compose([v2.Resize(32, v2.InterpolationMode.BILINEAR), v2.CenterCrop(32)])
    return [np.asarray(resize(image.read())).tobytes() for image in images]


def test_halves_are_at_the_size_of_the_crop_as_the_settings_resize(oblong):
    halves = translations.reference(test_set.TestSet(oblong, KEEPING), A2B).halves
    found = [image.tobytes() for half in halves for image in half]
    assert sorted(found) == sorted(as_torchvision(oblong.images("train", "b")))


def test_truth_is_at_the_size_of_the_crop_as_the_settings_resize(oblong):
    truth = translations.reference(test_set.TestSet(oblong, KEEPING), A2B).truth
    assert truth is not None
    assert [image.tobytes() for image in truth] == as_torchvision(oblong.images("test", "b"))


class Strange(BareModel):
    card = dataclasses.make_dataclass("Card", [("title", str, "Strange")])()
    networks = torch.nn.ModuleDict()

    def __init__(self, fake, attention=None):
        self.fake, self.attention = fake, attention

    def translate(self, batch, direction, random):
        return self.fake(batch.images[direction.source])

    def masks(self, batch, direction, random):
        if self.attention is None:
            return None
        shape = (len(batch.images[direction.source]), 2, 32, 32)
        attention = torch.tensor(self.attention).view(1, 2, 1, 1).expand(shape)
        return Masks(attention, None, 1)


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
        translations.translate_test_set(model, TESTS, A2B, device=CPU)


def test_translations_are_rounded_and_saved_as_they_are_scored(tmp_path):
    model: Any = Strange(lambda x: x * 0.5)
    found = translations.translate_test_set(model, TESTS, A2B, device=CPU)
    save_images(tmp_path, found.names, found.fakes)
    for name, fake in zip(found.names, found.fakes, strict=True):
        assert (np.asarray(Image.open(tmp_path / name)) == fake).all()
    expected = np.round((np.asarray(found.sources) / 127.5 - 1) * 0.5 * 127.5 + 127.5)
    assert abs(found.fakes - expected).max() <= 1


def test_what_is_translated_back_are_the_images_as_saved():
    seen = []
    model: Any = Strange(lambda x: seen.append(x) or x * 0.3)
    found = translations.translate_test_set(model, TESTS, A2B, device=CPU)
    there, back = (torch.cat(part) for part in (seen[: len(seen) // 2], seen[len(seen) // 2 :]))
    assert torch.equal(back, to_float(to_uint8(there * 0.3)))
    expected = to_uint8(back * 0.3).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(found.reconstructions, expected)


def test_networks_are_given_one_layout_of_memory_as_bits_depend_on_it():
    seen = []
    model: Any = Strange(lambda x: seen.append(x.is_contiguous()) or x)
    translations.translate_test_set(model, TESTS, A2B, device=CPU)
    assert len(seen) == 2 * -(-100 // translations.BATCH_SIZE)
    assert all(seen)


def test_progress_counts_images_there_and_then_back():
    told = []
    model: Any = Strange(lambda x: x)
    translations.translate_test_set(
        model, TESTS, A2B, device=CPU, progress=lambda *each: told.append(each)
    )
    assert [each for each in told if each[1] == each[2]] == [
        ("translate a2b", 100, 100),
        ("translate a2b back", 100, 100),
    ]


def test_translations_and_masks_are_those_of_evaluation_mode():
    class Noting(Strange):
        networks = torch.nn.ModuleDict()

        def masks(self, batch, direction, random):
            modes.append(self.networks.training)

    modes = []
    model: Any = Noting(lambda x: modes.append(model.networks.training) or x)
    model.networks.train()
    translations.translate_test_set(model, TESTS, A2B, device=CPU)
    assert set(modes) == {False}


def test_missing_way_back_is_a_reason_and_no_failure():
    class OneWay(Strange):
        def translate(self, batch, direction, random):
            if direction == B2A:
                raise official.AbsentNetwork("no generator of b2a")
            return super().translate(batch, direction, random)

    model: Any = OneWay(lambda x: x)
    found = translations.translate_test_set(model, TESTS, A2B, device=CPU)
    assert found.reconstructions == "no generator of b2a"
    against = translations.reference(TESTS, A2B)
    (row,) = translations.sample_rows(model, found, against, device=CPU, count=1)
    assert "reconstruction" not in row


def test_masks_are_measured_over_all_images():
    model: Any = Strange(lambda x: x, [0.25, 0.75])
    found = translations.translate_test_set(model, TESTS, A2B, device=CPU)
    assert found.background is not None
    assert np.asarray(found.background).shape == (100, 32, 32)
    assert not isinstance(found.health, str)
    assert found.health.usage.shape == (100, 2)
    assert found.health.usage.mean(0) == pytest.approx([0.25, 0.75])


def test_masks_that_are_none_are_a_reason_and_no_failure():
    model: Any = Strange(lambda x: x, [0.25, 0.25])
    found = translations.translate_test_set(model, TESTS, A2B, device=CPU)
    assert isinstance(found.health, str)
    assert "sum to 1" in found.health


def test_failed_save_leaves_the_image_that_was_there(tmp_path, monkeypatch):
    def fail(handle):
        raise OSError(errno.ENOSPC, "disk full")

    old, new = (np.full((1, 8, 8, 3), value, np.uint8) for value in (1, 2))
    save_images(tmp_path, ["x.jpg"], old)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"disk full: '.*x\.png'"):
        save_images(tmp_path, ["x.jpg"], new)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
    assert (np.asarray(Image.open(tmp_path / "x.png")) == 1).all()


def test_names_of_saved_images_are_synced_after_them(tmp_path, synced):
    folder = tmp_path / "images"
    save_images(folder, ["x.jpg", "y.jpg"], np.zeros((2, 8, 8, 3), np.uint8))
    images = {path.stat().st_ino for path in folder.iterdir()}
    assert images <= set(synced)
    assert synced[-1] == folder.stat().st_ino

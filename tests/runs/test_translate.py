"""Files translated in batches while others are read and written: the same, and each whole."""

import copy
import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bare_model import BareModel
from click.testing import CliRunner
from PIL import Image

from i2i_bench.cli.main import main
from i2i_bench.data.decode import channels_first, decode_images, to_float, to_uint8
from i2i_bench.data.png import write_png
from i2i_bench.model import A2B, Batch, ModelCard, ResizeRule
from i2i_bench.plugins import registry
from i2i_bench.plugins.toy import toy
from i2i_bench.randomness import Randomness
from i2i_bench.records.folders import Places
from i2i_bench.runs import plan
from i2i_bench.runs import translate as runs_translate
from i2i_bench.runs.job import Choices
from i2i_bench.runs.source_files import Wanted
from i2i_bench.runs.translate import translate_files
from i2i_bench.runs.translator import Translator, load_translator
from i2i_bench.scoring.translations import BATCH_SIZE
from i2i_bench.tasks import two_domains
from i2i_bench.tasks.image_file import read_image
from i2i_bench.tasks.task import TaskImage
from i2i_bench.training import checkpoint
from i2i_bench.training.checkpoint_file import Position

CPU = torch.device("cpu")
COUNT = 2 * BATCH_SIZE + 3
SIZE = 32


@pytest.fixture(scope="module")
def translator():
    model_class = registry.load_model("attentiongan")
    torch.manual_seed(0)
    model = model_class(model_class.settings("tiny", toy(model_class)).config)
    return Translator(model, ResizeRule(SIZE))


@pytest.fixture
def photos(tmp_path):
    random = np.random.RandomState(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(COUNT):
        pixels = random.randint(0, 256, (30 + index, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02}.png")
    return folder


def translate(translator, source, target, *, report=lambda *_: None, with_masks=False):
    return translate_files(
        translator, source, target, device=CPU, report=report, wanted=Wanted(masks=with_masks)
    )


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def names(folder):
    """Name every file, hidden ones too."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("with_masks", [False, True])
def test_files_are_what_the_network_makes_of_them_batch_by_batch(
    translator, photos, tmp_path, with_masks
):
    target = tmp_path / "out"
    assert translate(translator, photos, target, with_masks=with_masks) == COUNT
    files = sorted(photos.iterdir())
    images = [TaskImage(path.name, lambda path=path: read_image(path)) for path in files]
    whole = to_float(channels_first(decode_images(images, ResizeRule(SIZE))))
    with torch.no_grad():
        for start in range(0, COUNT, BATCH_SIZE):
            batch = Batch({"a": whole[start : start + BATCH_SIZE]})
            fakes = to_uint8(translator.model.translate(batch, A2B, Randomness(0))).permute(
                0, 2, 3, 1
            )
            masks = translator.model.masks(batch, A2B, Randomness(0)).attention
            for path, fake, attention in zip(files[start:], fakes, masks, strict=False):
                assert (pixels(target / path.name) == fake.numpy()).all()
                for k, mask in enumerate(attention, start=1) if with_masks else ():
                    found = pixels(target / f"{path.stem}_attention{k}.png")
                    assert (found == (mask * 255).round().numpy()).all()
    num_masks = translator.model.config.num_masks if with_masks else 0
    assert len(names(target)) == COUNT * (1 + num_masks)


class Noting(BareModel):
    """Give images back, and note the mode of the networks."""

    card = ModelCard("Noting")

    def __init__(self):
        self.networks, self.modes = torch.nn.ModuleDict(), []

    def translate(self, batch, direction, random):
        self.modes.append(self.networks.training)
        return batch.images[direction.source]


def test_files_are_translated_in_evaluation_mode(photos, tmp_path):
    model: Any = Noting()
    model.networks.train()
    translate(Translator(model, ResizeRule(SIZE)), photos / "00.png", tmp_path / "out")
    assert model.modes == [False]


def test_checkpoint_translates_at_the_crop_and_with_the_resize_of_its_training(tiny, tmp_path):
    changes = {"load_size": "40", "crop_size": "32"}
    changes |= {"resampling": "lanczos", "resize": "short_side"}
    task, model_class = two_domains.two_domain_task(tiny), registry.load_model("cyclegan")
    choices = Choices("tiny", changes, 8)
    job = plan.make_job("cyclegan", model_class, (str(tiny), task), 0, choices)
    model = model_class(job.settings.config)
    path = checkpoint.save_checkpoint(tmp_path, model, job.identity(), Position())
    nowhere = Places(tmp_path, tmp_path, tmp_path)
    found = load_translator(nowhere, None, "cyclegan", path)
    assert found.rule == ResizeRule(32, "lanczos", "short_side")


def test_names_of_translations_are_synced_after_them(photos, tmp_path, synced):
    model: Any = Noting()
    translate(Translator(model, ResizeRule(SIZE)), photos, tmp_path / "out")
    written = {path.stat().st_ino for path in (tmp_path / "out").iterdir()}
    assert written <= set(synced)
    assert synced[-1] == (tmp_path / "out").stat().st_ino


def test_what_is_not_finite_is_named_and_not_written(translator, photos, tmp_path):
    broken = copy.deepcopy(translator.model)
    weights = next(broken.generators["a2b"].parameters())
    weights.data.fill_(torch.finfo(torch.float32).max)
    with pytest.raises(ValueError, match=r"the translation of 00\.png is not finite"):
        translate(dataclasses.replace(translator, model=broken), photos, tmp_path / "out")
    assert names(tmp_path / "out") == []


def test_progress_counts_written_files(translator, photos, tmp_path):
    seen = []

    def report(stage, done, of, values):
        assert (tmp_path / "out" / f"{done - 1:02}.png").exists()
        seen.append((stage, done, of))

    translate(translator, photos, tmp_path / "out", report=report)
    assert seen == [("translate", done, COUNT) for done in range(1, COUNT + 1)]


def test_damaged_file_is_named_and_batches_before_it_are_whole(translator, photos, tmp_path):
    (photos / f"{BATCH_SIZE + 1:02}.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=f"{BATCH_SIZE + 1:02}.png cannot be read as an image"):
        translate(translator, photos, tmp_path / "out")
    assert names(tmp_path / "out") == [f"{index:02}.png" for index in range(BATCH_SIZE)]
    assert all(pixels(path).shape == (SIZE, SIZE, 3) for path in (tmp_path / "out").iterdir())


def test_file_that_cannot_be_written_is_named_and_no_draft_stays(translator, photos, tmp_path):
    blocked = tmp_path / "out" / "03.png"
    blocked.mkdir(parents=True)
    with pytest.raises(OSError) as failed:
        translate(translator, photos, tmp_path / "out")
    assert "03.png" in str(failed.value)
    assert all(name[0] != "." for name in names(tmp_path / "out"))


def test_interruption_leaves_whole_files_only(translator, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(runs_translate, "WRITERS", 2)
    monkeypatch.setattr(runs_translate, "images_per_part", lambda *_: 2)

    def report(stage, done, of, values):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        translate(translator, photos, tmp_path / "out", report=report)
    written = names(tmp_path / "out")
    assert {"00.png", "01.png"} <= set(written)
    assert len(written) < COUNT
    assert all(pixels(tmp_path / "out" / name).shape == (SIZE, SIZE, 3) for name in written)


def test_sigterm_leaves_no_drafts(finished, photos, monkeypatch, default_signals):
    (run,) = Path("runs").glob("*/cyclegan*/seed0")
    write, written = write_png, []

    def write_and_end(path, image):
        write(path, image)
        written.append(path)
        if len(written) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(runs_translate, "write_png", write_and_end)
    before = signal.getsignal(signal.SIGTERM)
    command = ["translate", "--run", str(run), str(photos), "out"]
    assert CliRunner().invoke(main, command).exit_code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    assert sorted(path.name for path in written) == names(Path("out"))


def test_photos_that_lie_in_the_target_are_not_lost(translator, photos, tmp_path):
    album = tmp_path / "album"
    album.mkdir()
    (album / "00.png").symlink_to(photos / "00.png")
    before = (photos / "00.png").read_bytes()
    for source in (album, album / "00.png"):
        for target in (photos, album):
            with pytest.raises(ValueError, match="holds the images to translate"):
                translate(translator, source, target)
    assert (album / "00.png").is_symlink()
    assert (photos / "00.png").read_bytes() == before


@pytest.mark.parametrize("to", ["nowhere", "link"])
def test_target_that_is_a_link_to_nothing_is_refused(translator, photos, tmp_path, to):
    (tmp_path / "link").symlink_to(tmp_path / to)
    with pytest.raises(ValueError, match="link that leads nowhere"):
        translate(translator, photos, tmp_path / "link")


def test_image_that_a_resize_would_blow_up_is_refused(translator, tmp_path):
    Image.new("L", (5_000_000, 4)).save(tmp_path / "wide.png")
    rule = dataclasses.replace(translator.rule, resize="short_side")
    keeping = dataclasses.replace(translator, rule=rule)
    with pytest.raises(ValueError, match=r"wide\.png: its 5000000x4 pixels become 40000000x32"):
        translate(keeping, tmp_path / "wide.png", tmp_path / "out")

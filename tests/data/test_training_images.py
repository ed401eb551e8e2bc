"""Order, crops and flips of images: pure functions of (seed, first sample), equal to plain PIL."""

import hashlib
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_bench.data import store as data_store
from i2i_bench.data import training_images
from i2i_bench.data.decode import decode_images, to_float, to_uint8
from i2i_bench.data.store import Store
from i2i_bench.model import Needs, ResizeRule, Settings
from i2i_bench.randomness import Randomness
from i2i_bench.tasks import catalogue, two_domains
from i2i_bench.tasks.task import TaskImage


def settings(**changes):
    values = {"config": None, "batch_size": 2, "budget": 8, "load_size": 14, "crop_size": 10}
    return Settings(**(values | changes))


def fixtures_folder(name):
    """Give the folder of a set of real images, or skip."""
    root = Path(__file__).parents[2]
    folder = root / os.environ.get("I2I_BENCH_FIXTURES", "../shared") / "data" / name
    if not folder.is_dir():
        pytest.skip(f"I2I_BENCH_FIXTURES has no real images at {folder}")
    return folder


def make_task(root, *, counts=(5, 3, 2, 2), sizes=((20, 16), (12, 18)), name="{folder}{index}"):
    random = np.random.RandomState(0)
    for folder, count in zip(("trainA", "trainB", "testA", "testB"), counts, strict=True):
        (root / folder).mkdir(parents=True)
        for index in range(count):
            width, height = sizes[index % len(sizes)]
            pixels = random.randint(0, 256, (height, width, 3)).astype(np.uint8)
            stem = name.format(folder=folder, index=index)
            Image.fromarray(pixels).save(root / folder / f"{stem}.png")
    return two_domains.two_domain_task(root)


@pytest.fixture
def task(tmp_path):
    return make_task(tmp_path / "set")


@pytest.fixture
def pairs(tmp_path):
    return make_task(tmp_path / "pairs", counts=(5, 5, 2, 2), name="{index}")


# Decoding


@pytest.mark.parametrize("resampling", ["bicubic", "bilinear", "lanczos"])
def test_decode_is_pils_resize(task, resampling):
    images = task.images("train", "a")
    decoded = np.asarray(decode_images(images, ResizeRule(14, resampling)))
    assert decoded.dtype == np.uint8 and decoded.shape == (5, 14, 14, 3)
    for image, found in zip(images, decoded, strict=True):
        filter_ = Image.Resampling[resampling.upper()]
        wanted = np.asarray(image.read().resize((14, 14), filter_))
        assert (found == wanted).all()


def test_images_of_the_size_are_not_resampled():
    images = catalogue.EMBEDDED["hue"].images("test", "a")[:5]
    decoded = decode_images(images, ResizeRule(32))
    assert (decoded[3] == np.asarray(images[3].read())).all()


def test_short_side_agrees_with_torchvision(task):
    from torchvision.transforms import v2

    reference = v2.Compose([v2.Resize(7, v2.InterpolationMode.BICUBIC), v2.CenterCrop(7)])
    images = task.images("train", "a")
    decoded = decode_images(images, ResizeRule(7, resize="short_side"))
    for image, found in zip(images, decoded, strict=True):
        assert (found == np.asarray(reference(image.read()))).all()


def _raise(error):
    raise error


@pytest.mark.parametrize("error", [ValueError("no"), OSError("no"), KeyError("no")])
def test_an_image_that_fails_is_named(task, error):
    images = [*task.images("train", "a"), TaskImage("bad.png", lambda: _raise(error))]
    with pytest.raises(ValueError, match=r"bad\.png"):
        decode_images(images, ResizeRule(14))


def test_damaged_files_are_named_once(tmp_path):
    task = make_task(tmp_path)
    (tmp_path / "trainB" / "trainB1.png").write_bytes(b"no image")
    with pytest.raises(ValueError) as error:
        training_images.TrainingImages(task, settings(), seed=0)
    assert str(error.value).count("trainB1.png") == 1


def test_progress_counts_every_image_of_every_domain(task):
    seen = []
    training_images.TrainingImages(
        task, settings(), 0, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(done, 8) for done in range(1, 9)]


def test_progress_is_told_in_the_calling_thread(task):
    threads = set()
    record = lambda *_: threads.add(threading.current_thread())  # noqa: E731 - a plain callback
    training_images.TrainingImages(task, settings(), 0, progress=record)
    assert threads == {threading.current_thread()}


# Order


@pytest.mark.parametrize("size", [1, 3, 4, 7, 23])
def test_order_does_not_depend_on_how_it_is_cut(size):
    whole = training_images.sample_order(3, "a", 7, 0, 42)
    parts = [training_images.sample_order(3, "a", 7, start, size) for start in range(0, 42, size)]
    assert (np.concatenate(parts)[:42] == whole).all()


def test_order_is_that_of_words_from_seed_stream_and_block_on_any_machine():
    expected = []
    for block in (0, 1):
        text = f"i2i-bench/order/0/a/{block}"
        seed = int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)
        words = np.random.PCG64(seed).random_raw(8).tolist()
        expected += sorted(range(8), key=words.__getitem__)
    assert training_images.sample_order(0, "a", 8, 0, 16).tolist() == expected
    assert expected == [2, 0, 6, 4, 3, 5, 1, 7, 5, 6, 4, 7, 1, 3, 2, 0]  # of every numpy


def test_each_image_is_seen_once_a_block():
    blocks = training_images.sample_order(0, "a", 10, 0, 50).reshape(5, 10)
    assert (np.sort(blocks, axis=1) == np.arange(10)).all()
    assert len({tuple(block) for block in blocks}) == 5


def test_seeds_and_domains_have_their_own_order():
    orders = {tuple(training_images.sample_order(s, d, 20, 0, 20)) for s in (0, 1) for d in "ab"}
    assert len(orders) == 4


def test_every_first_place_is_as_likely():
    first = [training_images.sample_order(seed, "a", 4, 0, 1)[0] for seed in range(400)]
    assert np.bincount(first, minlength=4).min() > 70


# Batches


def reference(task, domain, stream, chosen, sample, seed):
    """Make one sample with plain PIL and numpy."""
    names = [image.name for image in task.images("train", domain)]
    index = int(training_images.sample_order(seed, stream, len(names), sample, 1)[0])
    image = task.images("train", domain)[index].read()
    width, height = load = (chosen.load_size,) * 2
    if chosen.resize == "short_side":
        short = min(image.size)
        width, height = load = tuple(int(chosen.load_size * s / short) for s in image.size)
    image = image.resize(load, Image.Resampling.BICUBIC)
    crop, random = chosen.crop_size, Randomness(seed, sample)
    top, left = random.integers(f"crop_{stream}", 2**31, (1, 2))[0].tolist()
    top, left = top * (height - crop + 1) >> 31, left * (width - crop + 1) >> 31
    pixels = np.asarray(image)[top : top + crop, left : left + crop]
    if chosen.flip and int(random.integers(f"flip_{stream}", 2, (1, 1))):
        pixels = pixels[:, ::-1]
    scaled = (pixels.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    return names[index], torch.from_numpy(scaled.transpose(2, 0, 1).copy())


@pytest.mark.parametrize("resize", ["square", "short_side"])
@pytest.mark.parametrize("flip", [True, False])
def test_batches_equal_plain_pil_and_numpy_bit_for_bit(task, resize, flip):
    chosen = settings(resize=resize, flip=flip)
    batch = training_images.TrainingImages(task, chosen, seed=5).batch(4, 9)
    assert batch.names
    for domain in "ab":
        assert batch.images[domain].dtype == torch.float32
        for row in range(9):
            name, wanted = reference(task, domain, domain, chosen, 4 + row, 5)
            assert batch.names[domain][row] == name
            assert torch.equal(batch.images[domain][row], wanted)


def test_batches_do_not_depend_on_what_was_asked_before(task):
    first, second = (training_images.TrainingImages(task, settings(), seed=1) for _ in range(2))
    for start in range(0, 12, 4):
        first.batch(start, 4)
    again, fresh = first.batch(6, 4), second.batch(6, 4)
    assert all(torch.equal(again.images[d], fresh.images[d]) for d in "ab")


def test_batches_do_not_depend_on_how_many_draws_are_made_at_once(task, monkeypatch):
    whole = training_images.TrainingImages(task, settings(), seed=4).batch(0, 40)
    monkeypatch.setattr(training_images, "BLOCK", 7)
    images = training_images.TrainingImages(task, settings(), seed=4)
    for first, size in ((0, 40), (5, 2), (6, 1), (7, 20), (35, 5)):
        batch = images.batch(first, size)
        for domain in "ab":
            assert torch.equal(batch.images[domain], whole.images[domain][first : first + size])


@pytest.mark.parametrize("resize", ["square", "short_side"])
@pytest.mark.parametrize("slab", [1, 2**12, 2**26])
def test_batches_from_a_file_are_those_from_memory(task, tmp_path, monkeypatch, resize, slab):
    monkeypatch.setattr(data_store, "SLAB", slab)
    chosen = settings(resize=resize)
    store = Store(
        "file", training_images.expected_bytes(task, chosen), folder=tmp_path / "new" / "runs"
    )
    found = training_images.TrainingImages(task, chosen, 5, store=store).batch(4, 9)
    wanted = training_images.TrainingImages(task, chosen, 5).batch(4, 9)
    for domain in "ab":
        assert torch.equal(found.images[domain], wanted.images[domain])


def test_a_batch_is_made_of_its_shards(task):
    images = training_images.TrainingImages(task, settings(), seed=1)
    whole, shards = images.batch(3, 6), [images.batch(3, 2), images.batch(5, 4)]
    for domain in "ab":
        parts = torch.cat([shard.images[domain] for shard in shards])
        assert torch.equal(whole.images[domain], parts)


def test_crops_and_flips_reach_every_place(tmp_path):
    folder = tmp_path / "one"
    make_task(folder, counts=(1, 1, 1, 1), sizes=((6, 6),))
    images = training_images.TrainingImages(
        two_domains.two_domain_task(folder), settings(load_size=6, crop_size=4), seed=0
    ).batch(0, 400)
    assert len({image.numpy().tobytes() for image in images.images["a"]}) == 3 * 3 * 2


def test_domains_are_cropped_apart_in_unpaired_tasks(tmp_path):
    images = training_images.TrainingImages(make_task(tmp_path), settings(), seed=0).batch(0, 20)
    assert images.names and images.names["a"][:3] != images.names["b"][:3]
    for kind, high in (("crop", 5), ("flip", 2)):
        random = Randomness(0)
        draws = [random.integers(f"{kind}_{d}", high, (20, 1)) for d in "ab"]
        assert not torch.equal(*draws)


@pytest.mark.parametrize("resize", ["square", "short_side"])
def test_pairs_stay_pairs(pairs, resize, tmp_path):
    assert pairs.paired
    for path in (tmp_path / "pairs" / "trainA").iterdir():  # equal partners must stay equal
        (tmp_path / "pairs" / "trainB" / path.name).write_bytes(path.read_bytes())
    changed = two_domains.two_domain_task(tmp_path / "pairs")
    images = training_images.TrainingImages(
        changed, settings(resize=resize), seed=2, needs=Needs(pairs="required")
    )
    batch = images.batch(0, 12)
    assert batch.names and batch.names["a"] == batch.names["b"]
    assert torch.equal(batch.images["a"], batch.images["b"])


def test_models_that_take_no_pairs_get_none(pairs):
    batch = training_images.TrainingImages(pairs, settings(), seed=2).batch(0, 10)
    assert batch.names and batch.names["a"] != batch.names["b"]
    assert sorted(batch.names["a"]) == sorted(batch.names["b"])  # each is seen as often


# Settings and test images


def test_crop_larger_than_image_is_refused(task):
    with pytest.raises(ValueError, match="crop_size 20 is larger than load_size 14"):
        training_images.TrainingImages(task, settings(crop_size=20), seed=0)


def test_more_images_than_memory_are_refused_before_decoding(task):
    with pytest.raises(ValueError, match=r"GiB of memory are available; use a smaller"):
        training_images.TrainingImages(task, settings(load_size=10**7), seed=0)


@pytest.mark.parametrize("resize", ["square", "short_side"])
def test_size_of_the_decoded_images_is_known_before(task, resize):
    chosen = settings(resize=resize)
    images = training_images.TrainingImages(task, chosen, seed=0)
    held = sum(image.numel() for d in images._domains.values() for image in d.pixels)
    assert held == pytest.approx(training_images.expected_bytes(task, chosen), rel=0.05)


def test_to_float_is_totensor_and_normalize_bit_for_bit():
    from torchvision import transforms

    image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("RGB")
    plain = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    wanted = torch.as_tensor(plain(image))
    assert torch.equal(to_float(pixels), wanted)


def test_to_uint8_inverts_to_float_and_rounds_and_clips():
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(values)), values)
    found = to_uint8(torch.tensor([-1.5, -1 + 0.6 / 127.5, -1 + 0.4 / 127.5, 2.0]))
    assert found.tolist() == [0, 1, 0, 255]


@pytest.mark.parametrize("most", [1, 3, 16, 700])
@pytest.mark.parametrize("flip", [False, True])
def test_batches_cut_at_once_are_those_cut_one_by_one(task, monkeypatch, flip, most):
    monkeypatch.setattr(training_images, "MOST_CROPS", most)
    chosen = settings(load_size=37, crop_size=32, flip=flip)
    store = Store(
        "device", training_images.expected_bytes(task, chosen), device=torch.device("cpu")
    )
    at_once = training_images.TrainingImages(task, chosen, 3, store=store)
    one_by_one = training_images.TrainingImages(task, chosen, 3)
    assert all(domain.slab is not None for domain in at_once._domains.values())
    steps = [(first, 5) for first in range(0, 60, 5)]
    across = [
        (training_images.BLOCK - 3, 8),
        (training_images.BLOCK - 1, training_images.BLOCK + 2),
    ]
    for first, size in ((0, 1), (5, 16), *steps, (1, 1), *across):
        found, wanted = at_once.batch(first, size), one_by_one.batch(first, size)
        assert found.names == wanted.names
        for domain in "ab":
            assert torch.equal(found.images[domain], wanted.images[domain])


def test_images_of_many_shapes_or_slabs_are_cut_one_by_one(task):
    chosen = settings(load_size=37, crop_size=32)
    store = Store("device", 3 * 37 * 37 * 2, device=torch.device("cpu"))  # too few bytes expected
    apart = training_images.TrainingImages(task, chosen, 3, store=store)
    assert any(domain.slab is None for domain in apart._domains.values())
    wanted = training_images.TrainingImages(task, chosen, 3).batch(2, 6)
    found = apart.batch(2, 6)
    assert all(torch.equal(found.images[domain], wanted.images[domain]) for domain in "ab")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("home", ["device", "memory", "file"])
def test_batches_are_the_same_on_a_gpu(task, tmp_path, home):
    store = Store(home, device=torch.device("cuda"), folder=tmp_path)
    found = training_images.TrainingImages(task, settings(), 0, "cuda", store=store).batch(2, 6)
    wanted = training_images.TrainingImages(task, settings(), 0).batch(2, 6)
    for domain in "ab":
        assert torch.equal(found.images[domain].cpu(), wanted.images[domain])


# Real images


def test_facades_are_pairs_by_stem():
    task = two_domains.two_domain_task(fixtures_folder("facades"))
    assert task.paired and task.headline == "psnr" and task.image_size == 256
    assert task.num_train == {"a": 400, "b": 400} and task.num_test == {"a": 206, "b": 206}
    truth = task.truth("a", "b")
    assert truth
    stems = [[Path(i.name).stem for i in images] for images in (task.images("test", "a"), truth)]
    assert stems[0] == stems[1]


def test_facades_of_the_catalogue_have_another_split():
    folder = fixtures_folder("facades")
    with pytest.raises(ValueError, match=r"testA has 206 images \(106 expected\)"):
        catalogue.find_task("facades", folder.parent)


def test_cat2dog_is_decoded_as_pil_does():
    task = two_domains.two_domain_task(fixtures_folder("cat2dog"))
    assert not task.paired and task.num_train == {"a": 400, "b": 400}
    decoded = decode_images(task.images("test", "a"), ResizeRule(64))
    assert len(decoded) == 100
    image = task.images("test", "a")[17].read().resize((64, 64), Image.Resampling.BICUBIC)
    assert (decoded[17] == np.asarray(image)).all()

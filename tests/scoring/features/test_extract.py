import hashlib
import itertools
import shutil
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from i2i_bench import pretrained
from i2i_bench.pretrained import (
    ALEXNET_NAME,
    INCEPTION_NAME,
    PYTORCH_FID_INCEPTION_NAME,
    TORCH_FIDELITY_INCEPTION_NAME,
    MissingWeights,
)
from i2i_bench.scoring.features import inception
from i2i_bench.scoring.features.extract import content_hash, extract_features
from i2i_bench.scoring.features.lpips import LPIPS_MINIMUM_SIZE, lpips_distance
from i2i_bench.scoring.metrics.distances import kid_unbiased


@pytest.fixture
def places(tmp_path, monkeypatch, stand_in):
    """Weights as given, cache and home in a folder of the test."""
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(stand_in))
    monkeypatch.setenv("I2I_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def make_images(num, seed=0, size=(40, 56)):
    random = np.random.RandomState(seed)
    return [random.randint(0, 256, (*size, 3), dtype=np.uint8) for _ in range(num)]


def cached_files(places):
    return sorted((places / "cache" / "features").iterdir())


def save_images(images, folder):
    folder.mkdir()
    paths = [folder / f"{index:03d}.png" for index in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        Image.fromarray(image).save(path)
    return [str(path) for path in paths]


def clean_fid_features(paths, weights):
    from cleanfid.fid import get_files_features
    from cleanfid.inception_torchscript import InceptionV3W

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load`")
        network = InceptionV3W(str(weights), download=False)
    return get_files_features(
        paths, network, num_workers=0, device=torch.device("cpu"), mode="clean", verbose=False
    )


# Which weights


def test_weights_may_be_a_file_of_any_name(places, stand_in, monkeypatch):
    own = places / "mine.pt"
    shutil.copy(stand_in / INCEPTION_NAME, own)
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(own))
    assert pretrained.required_weights(INCEPTION_NAME) == own
    assert extract_features(make_images(1)).shape == (1, 2048)


def test_missing_weights_say_what_is_missing_where_and_what_to_do(places, monkeypatch):
    empty = places / "empty"
    empty.mkdir()
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(empty))
    for name, attempt in (
        (INCEPTION_NAME, lambda: pretrained.required_weights(INCEPTION_NAME)),
        (INCEPTION_NAME, lambda: extract_features(make_images(2))),
        (ALEXNET_NAME, lambda: lpips_distance(make_images(1), make_images(1))),
    ):
        with pytest.raises(MissingWeights) as caught:
            attempt()
        assert str(caught.value).startswith(f"weights file {name} not found in {empty}; put it")


@pytest.mark.parametrize("content", [b"", b"not a network" * 100])
def test_corrupt_weights_are_named(places, monkeypatch, content):
    for name in (INCEPTION_NAME, ALEXNET_NAME):
        (places / name).write_bytes(content)
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(places))
    with pytest.raises(ValueError, match=f"{INCEPTION_NAME} is corrupt"):
        extract_features(make_images(2))
    with pytest.raises(ValueError, match=f"{ALEXNET_NAME} is corrupt"):
        lpips_distance(make_images(1), make_images(1))


def test_weights_of_another_network_are_refused(places, monkeypatch, save_traced):
    save_traced(nn.Flatten(), places / INCEPTION_NAME)
    torch.save({"features.0.weight": torch.zeros(1)}, places / ALEXNET_NAME)
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(places))
    with pytest.raises(ValueError, match="not the Inception"):
        extract_features(make_images(2))
    with pytest.raises(ValueError, match="not the state of torchvision's AlexNet"):
        lpips_distance(make_images(1), make_images(1))


# Features


def test_features_equal_clean_fid_from_files(places, stand_in):
    images = make_images(5) + make_images(3, seed=1, size=(310, 305))
    expected = clean_fid_features(save_images(images, places / "images"), stand_in)
    found = extract_features(images)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_kid_from_files_equals_clean_fid(places, stand_in):
    from cleanfid.fid import kernel_distance

    sets = [make_images(6), [image // 2 for image in make_images(6, seed=1)]]
    folders = [save_images(images, places / f"set{i}") for i, images in enumerate(sets)]
    real, fake = (clean_fid_features(paths, stand_in).astype(np.float64) for paths in folders)
    found = kid_unbiased(*(extract_features(images) for images in sets))[0]
    assert found == pytest.approx(kernel_distance(real, fake, num_subsets=1), rel=1e-5)


def test_order_changes_no_digit(places, monkeypatch):
    images = make_images(7)
    found = extract_features(images, batch_size=3)
    monkeypatch.setenv("I2I_BENCH_CACHE", str(places / "other"))
    assert np.array_equal(extract_features(images[::-1], batch_size=3), found[::-1])


def test_batch_size_does_not_matter(places, monkeypatch):
    found = extract_features(make_images(5), batch_size=5)
    monkeypatch.setenv("I2I_BENCH_CACHE", str(places / "other"))
    np.testing.assert_allclose(extract_features(make_images(5), batch_size=2), found, rtol=1e-5)


def test_progress_counts_images(places):
    calls = []
    extract_features(make_images(5), batch_size=2, progress=lambda *call: calls.append(call))
    assert calls == [(2, 5), (4, 5), (5, 5)]


def test_an_array_of_images_is_a_sequence_of_them(places):
    images = make_images(3)
    assert np.array_equal(extract_features(np.stack(images)), extract_features(images))


def test_seen_images_come_from_the_cache_in_the_order_asked(places, monkeypatch):
    images = make_images(4)
    found = extract_features([*images, images[0]])  # one of them twice
    monkeypatch.setattr(inception.InceptionNetwork, "features", None)  # would fail if called
    assert np.array_equal(extract_features([images[0], *images[::-1]]), found[[4, 3, 2, 1, 0]])
    assert len(cached_files(places)) == 1


def test_cache_knows_shape_from_pixels(places):
    image = make_images(1)[0]
    extract_features([image])
    extract_features([image.reshape(56, 40, 3)])
    assert len(cached_files(places)) == 2


def test_cache_knows_the_weights(places, monkeypatch, save_traced, cheap_layers):
    first = extract_features(make_images(2))
    save_traced(cheap_layers(), places / INCEPTION_NAME)
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(places))
    assert not np.allclose(extract_features(make_images(2)), first)
    assert len(cached_files(places)) == 2


def test_weights_that_are_replaced_are_read_anew(places, monkeypatch, save_traced, cheap_layers):
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(places))
    found = []
    for _ in range(2):
        save_traced(cheap_layers(), places / INCEPTION_NAME)
        found.append(extract_features(make_images(1)))
    assert not np.allclose(*found)


@pytest.mark.parametrize("harm", ["empty", "cut", "text", "shape", "dtype", "infinite"])
def test_harmed_cache_is_made_anew(places, harm):
    images = make_images(2)
    found = extract_features(images)
    (path,) = cached_files(places)
    content = path.read_bytes()
    harmed = {
        "shape": np.zeros((1, 2048), np.float32),
        "dtype": np.zeros((2, 2048), np.float64),
        "infinite": np.full((2, 2048), np.inf, np.float32),
    }
    if harm in harmed:
        np.save(path, harmed[harm])
    else:
        path.write_bytes({"empty": b"", "cut": content[:-9], "text": b"hello"}[harm])
    assert np.array_equal(extract_features(images), found)
    assert cached_files(places) == [path]
    assert path.read_bytes() == content


def test_cache_is_in_the_users_cache_by_default(places, monkeypatch):
    monkeypatch.delenv("I2I_BENCH_CACHE")
    extract_features(make_images(1))
    assert len(list((places / "user" / "i2i-bench" / "features").iterdir())) == 1


def test_failed_write_leaves_nothing_and_costs_no_number(places, monkeypatch, caplog):
    expected = extract_features(make_images(1))
    (only,) = cached_files(places)
    only.unlink()

    def fail(path, array):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "save", fail)
    assert (extract_features(make_images(1)) == expected).all()
    assert "disk full" in caplog.text
    assert cached_files(places) == []


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([], "0 images"),
        ([np.zeros((8, 8, 3), np.float32)], "uint8"),
        ([np.zeros((8, 8), np.uint8)], "shape"),
        ([np.zeros((8, 8, 4), np.uint8)], "shape"),
    ],
)
def test_unfit_images_are_refused(places, images, words):
    with pytest.raises(ValueError, match=words):
        extract_features(images)


def test_unknown_recipe_is_refused(places):
    with pytest.raises(ValueError, match="unknown feature recipe 'tf'; known: clean, tf-compat"):
        extract_features(make_images(1), "tf")


def test_recipe_takes_no_other_conversion_of_its_network(places):
    """The stand-in has the TorchScript alone."""
    for recipe, name in (
        ("tf-compat", TORCH_FIDELITY_INCEPTION_NAME),
        ("tf-scipy", TORCH_FIDELITY_INCEPTION_NAME),
        ("pt-legacy", PYTORCH_FID_INCEPTION_NAME),
    ):
        with pytest.raises(MissingWeights) as caught:
            extract_features(make_images(1), recipe)
        assert caught.value.reason == f"weights file {name} is missing"


@pytest.mark.parametrize("name", [TORCH_FIDELITY_INCEPTION_NAME, PYTORCH_FID_INCEPTION_NAME])
@pytest.mark.parametrize("content", [b"", b"not a network" * 100])
def test_corrupt_state_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is corrupt"):
        inception.InceptionNetwork(tmp_path / name, "cpu", is_script=False)


# LPIPS


def test_lpips_of_equal_images_is_zero_and_of_others_positive(places):
    first, second = make_images(2), make_images(2, seed=1)
    assert lpips_distance(first, first) == [0, 0]
    assert min(lpips_distance(first, second)) > 1e-3


def test_lpips_equals_the_package_on_the_same_trunk(places, stand_in):
    import lpips
    from torchvision.models import alexnet

    trunk = alexnet(weights=None)
    trunk.load_state_dict(torch.load(stand_in / ALEXNET_NAME, weights_only=True), strict=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    for name, parameter in network.net.named_parameters():
        origin = trunk.features.get_parameter(name.split(".", 1)[1])
        parameter.data.copy_(origin)
    images = make_images(2)
    one, other = (lpips.im2tensor(image) for image in images)  # the package's own scaling
    expected = network(one, other).item()
    assert lpips_distance(images[:1], images[1:]) == pytest.approx([expected], rel=1e-5)


def test_lpips_leaves_the_random_state_alone(places):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    lpips_distance(make_images(1), make_images(1))
    assert torch.equal(torch.rand(3), expected)


def test_lpips_takes_images_down_to_the_size_it_names(places):
    side = LPIPS_MINIMUM_SIZE
    one, other = make_images(1, 0, (side, side)), make_images(1, 1, (side, side))
    assert lpips_distance(one, other)[0] > 0
    with pytest.raises(ValueError, match="at least 31 x 31 pixels, not 30 x 64"):
        lpips_distance(make_images(1, 0, (30, 64)), make_images(1, 1, (30, 64)))


def test_lpips_refuses_what_does_not_pair_up(places):
    with pytest.raises(ValueError, match="2 images cannot be paired with 3"):
        lpips_distance(make_images(2), make_images(3))
    with pytest.raises(ValueError, match="differ in shape"):
        lpips_distance(make_images(1), make_images(1, size=(56, 40)))


# Identity of a set


def test_content_hash_is_that_of_sorted_names_and_their_pixels():
    images = make_images(2)
    files, pixels, digests = content_hash(["b.png", "a.png"], images)
    assert len(set(digests)) == 2
    assert files == hashlib.sha256(b"a.png\nb.png\n").hexdigest()
    assert pixels == hashlib.sha256(images[1].tobytes() + images[0].tobytes()).hexdigest()


def test_content_hash_does_not_depend_on_the_listing():
    images = make_images(3)
    names = ["c.png", "a.png", "b.png"]
    found = content_hash(names, images)
    again = content_hash(names[::-1], images[::-1])
    assert (again.files, again.pixels, again.digests[::-1]) == found
    assert content_hash(names, images[::-1]).pixels != found.pixels


@pytest.mark.parametrize("names", [["a.png"], ["a.png", "a.png"]])
def test_content_hash_needs_one_name_an_image(names):
    with pytest.raises(ValueError, match="as many different names"):
        content_hash(names, make_images(2))


AT_ONCE = """
import numpy as np
from i2i_bench.scoring.features.extract import extract_features

random = np.random.RandomState(0)
images = [random.randint(0, 256, (40, 56, 3), dtype=np.uint8) for _ in range(64)]
print(extract_features(images, batch_size=4).tobytes().hex())
"""


@pytest.mark.slow
def test_two_evaluations_at_once_find_the_same_and_share_the_cache(places):
    command = [sys.executable, "-c", AT_ONCE]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    texts = [process.communicate(timeout=100)[0].strip() for process in both]
    assert texts[0] == texts[1]
    assert bytes.fromhex(texts[0]) == extract_features(make_images(64)).tobytes()  # from the cache
    assert len(cached_files(places)) == 1


# A set that does not fit into memory


class Folder(Sequence[Any]):
    """Images made when asked for, which counts them and how many there are at once."""

    def __init__(self, num):
        self.num, self.made, self.alive, self.most = num, 0, 0, 0
        self.lock = threading.Lock()

    def __len__(self):
        return self.num

    def __getitem__(self, index) -> Any:
        image = make_images(1, seed=index, size=(16, 16))[0]
        weakref.finalize(image, self.note, -1)
        self.made += 1
        self.note(1)
        return image

    def note(self, change):
        with self.lock:
            self.alive += change
            self.most = max(self.most, self.alive)


def test_few_images_lie_in_memory_at_once(places):
    images = Folder(400)
    found = content_hash([f"{index:03d}.png" for index in range(400)], images)
    assert images.most < 100
    extract_features(images, digests=found.digests, batch_size=8)
    assert images.most < 100
    assert images.made == 800  # once for the hashes, once for the network


def test_features_of_a_hashed_set_in_the_cache_decode_nothing(places):
    images = Folder(5)
    found = content_hash(list("abcde"), images)
    first = extract_features(images, digests=found.digests)
    assert images.made == 10
    assert np.array_equal(extract_features(images, digests=found.digests), first)
    assert images.made == 10


def test_digests_must_be_as_many_as_the_images(places):
    with pytest.raises(ValueError, match="2 images cannot have 1 digests"):
        extract_features(make_images(2), digests=[b"one"])


# Resizes


SIZES = [(299, 299), (256, 256), (40, 56), (310, 305), (600, 450), (1, 1)]


@pytest.mark.parametrize("size", SIZES)
def test_resizes_equal_the_originals_to_the_last_bit(size):
    from cleanfid.resize import build_resizer, make_resizer
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x,
    )

    image = make_images(1, size=size)[0]
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    compat = interpolate_bilinear_2d_like_tensorflow1x(pixels, (299, 299), align_corners=False)
    with warnings.catch_warnings():
        legacy = build_resizer("legacy_pytorch")  # switches warnings off for good
    expected = {
        "clean": build_resizer("clean")(image),
        "tf-compat": compat[0].permute(1, 2, 0).numpy(),
        "pt-legacy": legacy(image),
        "tf-scipy": make_resizer("PIL", True, "bilinear", (299, 299))(image),
    }
    for name, resized in expected.items():
        found = inception.find_recipe(name).resize(image)
        assert found.dtype == np.float32
        assert np.array_equal(found, resized), name


def test_resizes_are_different_ones():
    image = make_images(1, size=(80, 70))[0]
    resized = [recipe.resize(image) for recipe in inception.RECIPES.values()]
    for one, other in itertools.combinations(resized, 2):
        assert abs(one - other).max() > 1


def test_resizes_leave_an_image_of_the_right_size_alone():
    image = make_images(1, size=(299, 299))[0]
    for recipe in inception.RECIPES.values():
        assert np.array_equal(recipe.resize(image), image)


def test_resizes_take_images_that_may_not_be_written():
    image = make_images(1)[0]
    image.flags.writeable = False
    for recipe in inception.RECIPES.values():
        recipe.resize(image)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("clean", -1, 127 / 128),
        ("tf-compat", -1, 127 / 128),
        ("pt-legacy", -1, 1),
        ("tf-scipy", -1, 1),
    ],
)
def test_scales_are_those_of_section_1(name, low, high):
    found = inception.find_recipe(name).scale(torch.tensor([0.0, 255.0]))
    assert found.tolist() == pytest.approx([low, high], abs=1e-7)

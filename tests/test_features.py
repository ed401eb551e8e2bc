import hashlib
import shutil
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import LinAlgWarning
from torch import nn

from i2i_bench import features
from i2i_bench.features import (
    ALEXNET_NAME,
    INCEPTION_NAME,
    LPIPS_MINIMUM_SIZE,
    MissingWeights,
    content_hash,
    extract_features,
    inception_file,
    lpips_distance,
    weights_folder,
    weights_hash,
)
from i2i_bench.metrics.distances import fid, kid_unbiased


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
        warnings.filterwarnings("ignore", "`torch.jit.load`", DeprecationWarning)
        network = InceptionV3W(str(weights), download=False)
    return get_files_features(
        paths, network, num_workers=0, device=torch.device("cpu"), mode="clean", verbose=False
    )


# Where the weights are


def test_weights_are_in_the_users_cache_by_default(places, monkeypatch):
    monkeypatch.delenv("I2I_BENCH_WEIGHTS")
    assert weights_folder() == places / "user" / "i2i-bench" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights_folder() == places / "home" / ".cache" / "i2i-bench" / "weights"


def test_weights_folder_may_be_chosen(places, stand_in):
    assert weights_folder() == stand_in
    assert inception_file() == stand_in / INCEPTION_NAME


def test_weights_may_be_a_file_of_any_name(places, stand_in, monkeypatch):
    own = places / "mine.pt"
    shutil.copy(stand_in / INCEPTION_NAME, own)
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(own))
    assert inception_file() == own
    assert weights_folder() == places
    assert extract_features(make_images(1)).shape == (1, 2048)


def test_missing_weights_say_what_is_missing_where_and_what_to_do(places, monkeypatch):
    empty = places / "empty"
    empty.mkdir()
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(empty))
    for name, attempt in (
        (INCEPTION_NAME, inception_file),
        (INCEPTION_NAME, lambda: extract_features(make_images(2))),
        (ALEXNET_NAME, lambda: lpips_distance(make_images(1), make_images(1))),
    ):
        with pytest.raises(MissingWeights) as caught:
            attempt()
        assert str(caught.value) == (
            f"weights file {name} not found in {empty}; "
            "put it there or set I2I_BENCH_WEIGHTS to the folder that holds it"
        )


def test_weights_hash_follows_the_file(tmp_path):
    path = tmp_path / "weights"
    for content in (b"one", b"another"):
        path.write_bytes(content)
        assert weights_hash(path) == hashlib.sha256(content).hexdigest()


def test_weights_are_read_once_for_their_hash(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    weights_hash(path)
    before = features._file_hash.cache_info().hits
    weights_hash(path)
    assert features._file_hash.cache_info().hits == before + 1


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


def test_network_sees_what_clean_fid_resizes(places, monkeypatch):
    from cleanfid.resize import make_resizer

    seen = []
    apply = features._apply_inception

    def spy(layers, pixels, weights):
        seen.append(pixels)
        return apply(layers, pixels, weights)

    monkeypatch.setattr(features, "_apply_inception", spy)
    image = make_images(1)[0]
    extract_features([image])
    expected = make_resizer("PIL", False, "bicubic", (299, 299))(image)
    assert np.array_equal(seen[0][0].permute(1, 2, 0).numpy(), expected)


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
    monkeypatch.setattr(features, "_run_inception", None)  # would fail if called
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

    def fail(file, array):
        file.write(b"half")
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
    with pytest.raises(ValueError, match="unknown feature recipe 'tf-scipy'; known: clean"):
        extract_features(make_images(1), "tf-scipy")


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
    files, pixels = content_hash(["b.png", "a.png"], images)
    assert files == hashlib.sha256(b"a.png\nb.png\n").hexdigest()
    assert pixels == hashlib.sha256(images[1].tobytes() + images[0].tobytes()).hexdigest()


def test_content_hash_does_not_depend_on_the_listing():
    images = make_images(3)
    names = ["c.png", "a.png", "b.png"]
    assert content_hash(names[::-1], images[::-1]) == content_hash(names, images)
    assert content_hash(names, images[::-1])[1] != content_hash(names, images)[1]


@pytest.mark.parametrize("names", [["a.png"], ["a.png", "a.png"]])
def test_content_hash_needs_one_name_an_image(names):
    with pytest.raises(ValueError, match="as many different names"):
        content_hash(names, make_images(2))


# The true architecture


@pytest.mark.slow
def test_fid_at_true_scale_equals_clean_fid(places, monkeypatch, save_traced):
    from cleanfid.fid import frechet_distance
    from torchvision.models import inception_v3

    torch.manual_seed(0)
    network = inception_v3(weights=None, aux_logits=False, init_weights=False)
    network.fc = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue] - pool3 is what we want
    with torch.no_grad():  # statistics of a batch, or the features of random weights would vanish
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        network(torch.rand(4, 3, 299, 299) * 2 - 1)
    save_traced(network.eval(), places / INCEPTION_NAME)
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(places))
    sets = [make_images(12), [image // 2 for image in make_images(12, seed=1)]]
    folders = [save_images(images, places / f"set{i}") for i, images in enumerate(sets)]
    real, fake = (clean_fid_features(paths, places) for paths in folders)
    ours = [extract_features(images) for images in sets]
    np.testing.assert_allclose(ours[0], real, rtol=1e-5, atol=1e-5)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*disp.*", DeprecationWarning)  # of scipy's sqrtm
        warnings.filterwarnings("ignore", "Matrix is singular", LinAlgWarning)  # 12 images
        expected = frechet_distance(
            real.mean(0), np.cov(real, rowvar=False), fake.mean(0), np.cov(fake, rowvar=False)
        )
    assert fid(*ours) == pytest.approx(expected, rel=1e-5)

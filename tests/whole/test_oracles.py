"""From image files to numbers: the same as clean-fid and torch-fidelity on the same networks.

The networks have the true architecture, built by torch-fidelity, and random weights.
"""

import functools
import shutil
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import LinAlgWarning
from torch import nn
from torch.nn import functional

from i2i_bench.pretrained import (
    INCEPTION_NAME,
    PYTORCH_FID_INCEPTION_NAME,
    TORCH_FIDELITY_INCEPTION_NAME,
)
from i2i_bench.scoring import protocols
from i2i_bench.scoring.features import inception
from i2i_bench.scoring.features.extract import extract_features
from i2i_bench.scoring.metrics.distances import fid, kid_unbiased

MODES = {"clean": "clean", "legacy_tensorflow": "tf-compat", "legacy_pytorch": "pt-legacy"}
STAGES = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1", "Conv2d_3b_1x1"),
    *("Conv2d_4a_3x3", "MaxPool_2", "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b"),
    *("Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool"),
)

pytestmark = pytest.mark.slow  # to build the networks takes seconds


class Published(nn.Module):
    """The outside of the TorchScript file: its layers, and TensorFlow's resize by a sampling grid.

    Pixel i of the output lies at i * in / out, as in NVlabs/stylegan2-ada-pytorch; written so that
    it shares nothing with how the harness resizes.
    """

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert return_features
        height, width = x.shape[2], x.shape[3]
        down = torch.arange(299).float() * torch.tensor(height / 299)  # rounded to float32
        across = torch.arange(299).float() * torch.tensor(width / 299)
        rows, columns = torch.meshgrid(
            [(down.double() + 0.5) * 2 / height - 1, (across.double() + 0.5) * 2 / width - 1],
            indexing="ij",
        )
        grid = torch.stack([columns, rows], 2)[None].expand(len(x), 299, 299, 2)
        x = functional.grid_sample(
            x.double(), grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        return self.layers((x.float() - 128) / 128)


def random_state():
    """Give random weights whose features are as large as the true ones', and as smooth."""
    from torchvision.models.inception import Inception3

    network = Inception3(1008, aux_logits=False, init_weights=False)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias, 0, 0.3)
    return network.state_dict()


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Give a folder with all three files, of one random network."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    folder = tmp_path_factory.mktemp("networks")
    path = folder / TORCH_FIDELITY_INCEPTION_NAME
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit")
        torch.manual_seed(0)
        torch.save(random_state(), path)
        extractor = FeatureExtractorInceptionV3(
            "random", ["2048"], feature_extractor_weights_path=str(path)
        )
        stages = [extractor.get_submodule(name) for name in STAGES]
        layers = nn.Sequential(*stages, nn.Flatten()).eval()
        traced: Any = torch.jit.trace(layers, torch.rand(1, 3, 299, 299))
        torch.jit.save(torch.jit.script(Published(traced)), folder / INCEPTION_NAME)
    shutil.copy(path, folder / PYTORCH_FID_INCEPTION_NAME)
    return folder


@pytest.fixture(autouse=True)
def places(networks, tmp_path, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(networks))
    monkeypatch.setenv("I2I_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folders(real_images, tmp_path):
    """Give a function that puts the first images of both domains, as PNG, into a folder each."""

    def save(name, count):
        found = []
        for domain in "AB":
            folder = tmp_path / f"{name}{domain}"
            folder.mkdir()
            for path in sorted((real_images / name / f"test{domain}").iterdir())[:count]:
                Image.open(path).convert("RGB").save(folder / f"{path.stem}.png")
            found.append(folder)
        return found

    return save


def decode(folder):
    return [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]


def clean_fid_features(folder, mode, networks, monkeypatch):
    from cleanfid import fid as clean_fid
    from cleanfid import inception_pytorch
    from cleanfid.inception_torchscript import InceptionV3W

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its resizers switch warnings off for good
        if mode == "legacy_pytorch":
            load = functools.partial(torch.load, networks / PYTORCH_FID_INCEPTION_NAME)
            monkeypatch.setattr(
                inception_pytorch, "load_state_dict_from_url", lambda url, progress: load()
            )
            network = inception_pytorch.InceptionV3(resize_input=False).eval()
            model = lambda x: network(x / 255)[0].flatten(1)  # noqa: E731 - as its own wrapper
        else:
            inside = mode == "legacy_tensorflow"
            model = InceptionV3W(str(networks), download=False, resize_inside=inside)
        return clean_fid.get_files_features(
            sorted(map(str, folder.iterdir())),
            model,
            num_workers=0,
            device=torch.device("cpu"),
            mode=mode,
            verbose=False,
        )


def torch_fidelity_metrics(folders, networks, monkeypatch, **chosen):
    from torch_fidelity import calculate_metrics, metric_kid

    # Its kernels are in float32, which alone moves a KID of so few images by more than 1e-6.
    kid = metric_kid.kid_features_to_metric
    in_float64 = lambda one, other, **how: kid(one.double(), other.double(), **how)  # noqa: E731
    monkeypatch.setattr(metric_kid, "kid_features_to_metric", in_float64)
    return calculate_metrics(
        input1=str(folders[0]),
        input2=str(folders[1]),
        feature_extractor_weights_path=str(networks / TORCH_FIDELITY_INCEPTION_NAME),
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
        **chosen,
    )


def total_variance(*sets):
    return sum(np.var(features, axis=0, ddof=1).sum() for features in sets)


def turned_to_their_span(*sets):
    """Give features in an orthonormal basis of what they span: no Fréchet distance changes by that.

    The square root of a (10, 10) matrix takes no time, one of (2048, 2048) 13 s.
    """
    rows = np.concatenate(sets).astype(np.float64)
    basis = np.linalg.svd(rows, full_matrices=False)[2]
    np.testing.assert_allclose(rows @ basis.T @ basis, rows, rtol=1e-9, atol=1e-9)
    return [features.astype(np.float64) @ basis.T for features in sets]


@pytest.mark.parametrize("name", ["facades", "cat2dog"])
@pytest.mark.parametrize("mode", MODES)
def test_features_and_scores_of_files_equal_clean_fid(name, mode, folders, networks, monkeypatch):
    from cleanfid.fid import fid_from_feats, kernel_distance

    pair = folders(name, 5)
    theirs = [clean_fid_features(folder, mode, networks, monkeypatch) for folder in pair]
    real, fake = (extract_features(decode(folder), MODES[mode]) for folder in pair)
    np.testing.assert_allclose([real, fake], theirs, rtol=1e-4, atol=1e-4)
    expected = kernel_distance(*(features.astype(np.float64) for features in theirs))
    assert kid_unbiased(real, fake)[0] == pytest.approx(expected, abs=1e-6)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*disp.*", DeprecationWarning)  # of scipy's sqrtm
        warnings.filterwarnings("ignore", "Matrix is singular", LinAlgWarning)  # few images
        expected = fid_from_feats(*turned_to_their_span(*theirs))
    assert abs(fid(real, fake) - expected) < 1e-4 * total_variance(real, fake)


@pytest.mark.parametrize("name", ["facades", "cat2dog"])
def test_scores_of_files_equal_torch_fidelity(name, folders, networks, monkeypatch):
    pair = folders(name, 5)
    chosen = {"fid": True, "kid": True, "kid_subset_size": 3}
    theirs = torch_fidelity_metrics(pair, networks, monkeypatch, **chosen)
    real, fake = (extract_features(decode(folder), "tf-compat") for folder in pair)
    ttur = protocols.score_features(protocols.find_protocol("ttur"), real, fake)
    ours = protocols.score_features(
        protocols.find_protocol("uvcgan2"), real, fake, kid_subset_size=3
    )
    assert ours["fid"] == ttur["fid"]
    error = abs(ours["fid"] - theirs["frechet_inception_distance"])
    assert error < 1e-4 * total_variance(real, fake)
    assert ours["kid"] == pytest.approx(theirs["kernel_inception_distance_mean"], abs=1e-6)
    assert ours["kid_sd"] == pytest.approx(theirs["kernel_inception_distance_std"], abs=1e-6)


def test_cache_tells_recipes_of_one_network_apart(networks):
    image = np.random.RandomState(0).randint(0, 256, (1, 40, 56, 3), np.uint8)
    first, second = (extract_features(image, recipe) for recipe in ("tf-compat", "tf-scipy"))
    assert not np.allclose(first, second)


def test_one_network_reads_both_files_and_equals_its_script(networks):
    resized = np.random.RandomState(0).uniform(0, 255, (2, 299, 299, 3)).astype(np.float32)
    resized[1] /= 3
    script, torch_fidelity, pytorch_fid = (
        inception.InceptionNetwork(
            networks / name, "cpu", is_script=name == INCEPTION_NAME
        ).features(resized, inception.find_recipe("clean"))
        for name in (INCEPTION_NAME, TORCH_FIDELITY_INCEPTION_NAME, PYTORCH_FID_INCEPTION_NAME)
    )
    assert np.array_equal(torch_fidelity, pytorch_fid)
    np.testing.assert_allclose(script, torch_fidelity, rtol=1e-4, atol=1e-5)
    assert script.std(axis=0).mean() > 0.01  # not degenerate


def test_state_without_the_count_of_batches_will_do(networks, tmp_path):
    """Such as files older than PyTorch 0.4.1, which began to count."""
    state = torch.load(networks / PYTORCH_FID_INCEPTION_NAME, weights_only=True)
    old = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    torch.save(old, tmp_path / PYTORCH_FID_INCEPTION_NAME)
    assert len(old) < len(state)
    inception.InceptionNetwork(tmp_path / PYTORCH_FID_INCEPTION_NAME, "cpu", is_script=False)


def test_half_a_state_is_refused(networks, tmp_path):
    state = torch.load(networks / PYTORCH_FID_INCEPTION_NAME, weights_only=True)
    del state["Mixed_7c.branch1x1.conv.weight"]
    torch.save(state, tmp_path / PYTORCH_FID_INCEPTION_NAME)
    with pytest.raises(ValueError, match=r"is corrupt or not the state of the Inception"):
        inception.InceptionNetwork(tmp_path / PYTORCH_FID_INCEPTION_NAME, "cpu", is_script=False)

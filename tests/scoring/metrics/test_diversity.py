"""Diversity: which outputs are paired, what is averaged, and that LPIPS is that of a plain loop."""

import itertools
import json
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from PIL import Image

from i2i_bench.pretrained import ALEXNET_NAME
from i2i_bench.scoring import outputs as several
from i2i_bench.scoring.features.lpips import lpips_distance, lpips_of_pairs
from i2i_bench.scoring.metric_set import chosen_metrics, known_metrics
from i2i_bench.scoring.metrics import diversity
from i2i_bench.scoring.outputs import RandomImages, empty_outputs, first_outputs
from i2i_bench.scoring.sample import Meter, Sample

CPU = "cpu"


@pytest.fixture(autouse=True)
def weights(stand_in, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(stand_in))


@pytest.fixture(scope="module")
def outputs():
    """Give outputs of three inputs: noise of a strength of its own around an image."""
    random = np.random.RandomState(0)
    strength = np.array([4, 30, 90]).reshape(3, 1, 1, 1, 1)
    images = random.randint(0, 256, (3, 1, 32, 32, 3))
    noise = random.randint(-100, 101, (3, 100, 32, 32, 3)) * strength // 100
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def loop(images, pairs):
    """Return the mean LPIPS of pairs, each computed by itself."""
    return np.mean([lpips_distance([images[i]], [images[j]])[0] for i, j in pairs])


def test_features_seen_once_give_the_distances_of_each_pair_by_itself(outputs):
    images = outputs[1, :6]
    pairs = [*itertools.combinations(range(6), 2), (3, 1), (2, 2)]
    plain = [lpips_distance([images[i]], [images[j]])[0] for i, j in pairs]
    assert lpips_of_pairs(images, pairs) == pytest.approx(plain, rel=1e-5)
    assert plain[-1] == 0 and min(plain[:-1]) > 0


@pytest.mark.filterwarnings("ignore::UserWarning")  # of torchvision, which the package provokes
def test_version_0_0_is_that_of_the_package(outputs, stand_in):
    network = lpips.LPIPS(net="alex", version="0.0", pnet_rand=True, verbose=False)
    weights = torch.load(stand_in / ALEXNET_NAME, weights_only=True)
    places = {key: f"features.{key.split('.', 1)[1]}" for key in network.net.state_dict()}
    network.net.load_state_dict({key: weights[place] for key, place in places.items()})
    pair = torch.from_numpy(outputs[1, :2]).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        plain = float(network(pair[:1], pair[1:]))
    (found,) = lpips_of_pairs(outputs[1, :2], [(0, 1)], version="0.0")
    assert found == pytest.approx(plain, rel=1e-5)
    assert found != pytest.approx(lpips_of_pairs(outputs[1, :2], [(0, 1)])[0], rel=1e-3)


def test_default_is_the_mean_of_all_190_pairs_with_a_jackknife_over_inputs(outputs):
    given = outputs[1:, :20]
    value, error = diversity.diversity(given, CPU)
    pairs = list(itertools.combinations(range(20), 2))
    means = [loop(images, pairs) for images in given]
    assert len(pairs) == 190
    assert value == pytest.approx(np.mean(means), rel=1e-5)
    left_out = np.array([np.mean(np.delete(means, i)) for i in range(2)])
    jackknife = np.sqrt(1 / 2 * np.sum((left_out - left_out.mean()) ** 2))
    assert error == pytest.approx(jackknife, rel=1e-4)


def test_bicyclegan_pairs_consecutive_outputs(outputs):
    given = outputs[:2, :20]
    values = [
        np.mean(lpips_of_pairs(images, [(i, i + 1) for i in range(19)], version="0.0"))
        for images in given
    ]
    found = diversity.diversity_bicyclegan(given, CPU, num_inputs=2)
    assert found == pytest.approx(np.mean(values), rel=1e-5)


def test_munit_takes_two_fresh_outputs_for_each_pair(outputs):
    given = outputs[:2, :38]
    plain = [loop(images, [(2 * k, 2 * k + 1) for k in range(19)]) for images in given]
    found = diversity.diversity_munit(given, CPU, num_inputs=2)
    assert found == pytest.approx(np.mean(plain), rel=1e-5)


def test_drit_pairs_translations_of_different_inputs(outputs):
    fakes = outputs[:, 0]
    pairs = diversity.random_pairs(0, 3, 1000)
    distances = {pair: loop(fakes, [pair]) for pair in set(pairs)}
    plain = np.mean([distances[pair] for pair in pairs])
    assert diversity.diversity_drit(fakes, CPU, num_inputs=3) == pytest.approx(plain, rel=1e-5)
    assert len(pairs) == 1000 and len(distances) == 6  # each of two orders


@pytest.mark.parametrize(
    ("function", "num_outputs", "num_pairs"),
    [
        pytest.param(diversity.diversity_msgan, 50, 50, marks=pytest.mark.slow),
        (diversity.diversity_dsmap, 100, 15),
    ],
)
def test_random_pairs_are_of_the_same_input(outputs, function, num_outputs, num_pairs):
    given = outputs[:2, :num_outputs]
    plain = [
        loop(images, diversity.random_pairs(i, num_outputs, num_pairs))
        for i, images in enumerate(given)
    ]
    assert function(given, CPU) == pytest.approx(np.mean(plain), rel=1e-5)


@pytest.mark.slow
def test_starganv2_pairs_the_ten_outputs_of_a_seed(outputs):
    by_seed = [
        np.mean([loop(images[s : s + 10], diversity.all_pairs(10)) for images in outputs[1:2]])
        for s in range(0, 100, 10)
    ]
    found = diversity.diversity_starganv2(outputs[1:2], CPU)
    assert found == pytest.approx(np.mean(by_seed), rel=1e-5)


def test_random_pairs_are_of_two_outputs_and_reach_all():
    pairs = diversity.random_pairs(7, 5, 2000)
    assert {(i, j) for i in range(5) for j in range(5) if i != j} == set(pairs)
    assert diversity.random_pairs(8, 5, 2000) != pairs == diversity.random_pairs(7, 5, 2000)


@pytest.mark.parametrize(
    ("name", "num_outputs"),
    [
        *(("diversity", 20), ("diversity-bicyclegan", 20), ("diversity-munit", 38)),
        *(("diversity-drit", 1), ("diversity-msgan", 50), ("diversity-dsmap", 100)),
        ("diversity-starganv2", 100),
    ],
)
def test_recipes_are_asked_for_by_name_and_state_their_outputs(name, num_outputs):
    (row,) = set(chosen_metrics([name])) - set(chosen_metrics())
    assert row.num_outputs == num_outputs and row.better == "higher"
    has_several = "outputs" in row.needs
    assert chosen_metrics([name]).num_outputs(has_answers=False) == num_outputs * has_several


def test_recipe_of_100_inputs_is_refused_with_fewer(outputs):
    rows = [m for m in known_metrics() if m.name in ("diversity-munit", "diversity-drit")]
    sample = Sample({"outputs": outputs, "fake": outputs[:, 0], "device": CPU})
    found = Meter().values(rows, sample)
    assert set(found.values()) == {"the recipe is of 100 images, and there are 3"}


# Outputs


def test_real_images_in_the_place_of_outputs_are_different_and_can_be_repeated():
    images = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
    given = first_outputs(RandomImages(images, 50), 4)
    draws = [draw.ravel().tolist() for draw in given]
    assert len(draws) == 50 and {len(set(draw)) for draw in draws} == {4}
    assert {each for draw in draws for each in draw} == set(range(6))
    assert draws == [draw.ravel().tolist() for draw in first_outputs(RandomImages(images, 50), 4)]
    with pytest.raises(ValueError, match="7 different real images are needed, not 6"):
        first_outputs(RandomImages(images, 50), 7)


def test_large_outputs_lie_on_disk_and_are_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(several, "IN_MEMORY", 100)
    monkeypatch.setattr(several.tempfile, "tempdir", str(tmp_path))
    made = empty_outputs((3, 4, 5, 5, 3))
    assert isinstance(made, np.memmap) and made.dtype == np.uint8
    made[2, 1] = 7
    assert made.sum() == 7 * 75
    assert not list(tmp_path.iterdir())  # it goes with the process


def test_outputs_without_space_are_refused_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(several.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ValueError, match=r"GiB of outputs do not fit into .*; TMPDIR names"):
        empty_outputs((2**22, 2**20, 32, 32, 3))


# In a run


@pytest.mark.slow
def test_run_is_scored_with_diversity_beside_real_images(cli, places, toys, stand_in, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(stand_in))  # after the places
    random = np.random.RandomState(0)
    for name in ("trainA", "trainB", "testA", "testB"):
        (places / "noise" / name).mkdir(parents=True)
        for i in range(24):
            noise = random.randint(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(noise).save(places / "noise" / name / f"{name[:-1]}{i}.png")
    asked = ("--metric", "diversity", "--metric", "diversity-munit")
    models = ("--model", "toy-styled", "--model", "cyclegan")
    cli("run", *models, "--task", "noise", "--preset", "tiny", *asked)
    records = Path("results").glob("*/*+preset=tiny/seed0.json")
    found = {path.parent.name: json.loads(path.read_text())["scores"] for path in records}
    styled = found["toy-styled+preset=tiny"]["i2i@1/a2b"]
    plain = found["cyclegan+preset=tiny"]["i2i@1/a2b"]
    real = styled["baselines"]["real"]["values"]
    assert real["diversity"] > styled["values"]["diversity"] > 0
    assert styled["values"]["diversity_se"] > 0
    assert plain["values"]["diversity"] == 0  # of a model without chance
    assert plain["baselines"]["real"]["values"]["diversity"] == real["diversity"]
    assert styled["baselines"]["identity"]["values"]["diversity"] == 0
    reason = "the recipe is of 100 images, and there are 24"
    assert styled["reasons"]["diversity_munit"] == reason
    assert styled["metrics"]["diversity"]["distribution"] == "i2i-bench"
    assert styled["lpips_sha256"]
    assert "records are valid" in cli("validate-results")
    assert "diversity ↑" in cli("leaderboard")


def test_images_of_another_program_have_no_diversity(cli, places, tiny):
    (places / "images").mkdir()
    arguments = ("--task", tiny, "--direction", "a2b", "--name", "x", "--metric", "diversity")
    said = cli("score", "images", *arguments, code=1)
    assert said.startswith("metric diversity is of 20 outputs of each image, and score is given")

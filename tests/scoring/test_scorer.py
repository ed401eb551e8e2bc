"""Scores of translations whose right values are known."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_bench import pretrained
from i2i_bench.data import test_set
from i2i_bench.model import A2B, ResizeRule
from i2i_bench.scoring import protocols
from i2i_bench.scoring import translations as scoring_translations
from i2i_bench.scoring.alarms import alarms_of_scores
from i2i_bench.scoring.features import extract
from i2i_bench.scoring.features.lpips import lpips_distance
from i2i_bench.scoring.metrics import distances, masks
from i2i_bench.scoring.metrics.pixels import psnr, ssim
from i2i_bench.scoring.scorer import Scorer, order_replicates
from i2i_bench.scoring.translations import Reference, Translations
from i2i_bench.system.progress import quiet
from i2i_bench.tasks import catalogue

CPU = torch.device("cpu")
STRIPES = catalogue.EMBEDDED["stripes"]
TESTS = test_set.TestSet(STRIPES, ResizeRule(32))
I2I, CLEAN = protocols.find_protocol("i2i"), protocols.find_protocol("clean")
BLOCKS = dataclasses.replace(protocols.find_protocol("ugatit"), recipe="clean")
MEAN = dataclasses.replace(protocols.find_protocol("ugatit-mean-head"), recipe="clean")


@pytest.fixture(scope="module")
def against():
    return scoring_translations.reference(TESTS, A2B)


@pytest.fixture(scope="module")
def sources():
    return TESTS.images("a")


@pytest.fixture
def with_inception(stand_in, tmp_path, monkeypatch):
    """Have a stand-in for the Inception alone, and a cache of the test's own."""
    (tmp_path / pretrained.INCEPTION_NAME).symlink_to(stand_in / pretrained.INCEPTION_NAME)
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("I2I_BENCH_CACHE", str(tmp_path))


@pytest.fixture
def with_both(with_inception, stand_in, tmp_path):
    """Have a stand-in for AlexNet too, which is slow."""
    (tmp_path / pretrained.ALEXNET_NAME).symlink_to(stand_in / pretrained.ALEXNET_NAME)


def translations(sources, fakes, **more):
    names = [image.name for image in STRIPES.images("test", "a")]
    return Translations(A2B, names, sources, fakes, **more)


def few(found, against, count=24):
    """Give the first images only."""
    back = found.reconstructions
    part = dataclasses.replace(
        found,
        names=found.names[:count],
        sources=found.sources[:count],
        fakes=found.fakes[:count],
        reconstructions=back if isinstance(back, str) else back[:count],
    )
    return part, Reference(
        against.names[:count],
        against.real[:count],
        (against.halves[0][:count], against.halves[1][:count]),
        against.truth[:count],
        against.foreground[:count],
    )


def score_all(found, against, *chosen, report=quiet, **choices):
    scorer = Scorer(chosen, CPU, report, **choices)
    return scorer.score(STRIPES, found, against)


def score(found, against, **choices):
    return score_all(found, against, I2I, **choices)["i2i@1/a2b"]


def value(values, key) -> float:
    number = values.values[key]
    assert number is not None
    return number


# Images


def test_perfect_translations_have_perfect_scores(sources, against):
    background = np.stack([1.0 - mask for mask in against.foreground]).astype(np.float32)
    found = score(translations(sources, against.truth, background=background), against)
    perfect = {"psnr": 100, "psnr_foreground": 100, "psnr_background": 100, "ssim": 1}
    assert {k: found.values[k] for k in perfect} == pytest.approx(perfect)
    assert found.values["mask_iou"] == 1
    assert found.values["background_share"] == pytest.approx(background.mean())
    assert found.values["colour_correlation"] == found.values["colour_correlation_truth"]


def test_unchanged_sources_score_as_the_identity_baseline(sources, against):
    found = score(translations(sources, sources, reconstructions=sources), against)
    assert found.values == found.baselines["identity"].values
    assert found.values["psnr_background"] == 100
    assert found.values["psnr_cycle"] == 100
    assert found.values["psnr_source"] == 100
    assert found.values["ssim_source"] == pytest.approx(1)
    (alarm,) = alarms_of_scores({"": found})
    assert alarm.startswith("a2b: sources are returned unchanged: 100% of ")
    assert found.values["colour_correlation"] == pytest.approx(1)
    assert value(found, "psnr_foreground") < 12
    assert found.values["mask_iou"] is None
    assert found.reasons["mask_iou"] == "no mask copies the input"
    assert found.reasons["effective_masks"] == "no attention masks"


def test_foreground_and_background_errors_are_told_apart(sources, against):
    inside = np.stack(against.foreground)[..., None]
    wrong = np.where(inside, against.truth, against.truth // 2).astype(np.uint8)
    found = score(translations(sources, wrong), against)
    assert found.values["psnr_foreground"] == 100
    assert value(found, "psnr_background") < 20


def test_cycle_is_compared_with_the_source(sources, against, with_both):
    back = (sources // 2).astype(np.uint8)
    part, reference = few(translations(sources, against.truth, reconstructions=back), against, 6)
    found = score(part, reference)
    ratios = [psnr(one, other) for one, other in zip(back[:6], sources[:6], strict=True)]
    assert found.values["psnr_cycle"] == pytest.approx(np.mean(ratios))
    expected = np.mean(lpips_distance(back[:6], sources[:6]))
    assert found.values["lpips_cycle"] == pytest.approx(expected)


def test_missing_reconstructions_are_null_with_their_reason(sources, against):
    part, reference = few(translations(sources, sources, reconstructions="no way back"), against)
    found = score(part, reference)
    for key in ("psnr_cycle", "lpips_cycle"):
        assert found.values[key] is None
        assert found.reasons[key] == "no way back"


# Features


def test_distances_are_those_of_the_features(sources, against, with_both):
    part, reference = few(translations(sources, 255 - sources), against)
    found = score(part, reference)
    real, fake, source = map(extract.extract_features, (reference.real, part.fakes, part.sources))
    kid, error = distances.kid_unbiased(real, fake)
    expected = {"fid": distances.fid(real, fake), "kid": kid, "kid_se": error}
    kid, error = distances.kid_unbiased(source, fake)
    expected |= {"fid_source": distances.fid(source, fake)}
    expected |= {"kid_source": kid, "kid_source_se": error}
    assert {key: found.values[key] for key in expected} == expected
    halves = [extract.extract_features(images) for images in reference.halves]
    assert found.baselines["real"].values["fid"] == distances.fid(*halves)
    assert expected.keys() <= found.baselines["identity"].values.keys()
    assert 0 < value(found.baselines["real"], "fid") < value(found, "fid")
    assert found.baselines["identity"].values["lpips_source"] == pytest.approx(0, abs=1e-6)
    assert value(found, "lpips_source") > 0
    assert found.weights_sha256 == pretrained.weights_hash(
        pretrained.required_weights(pretrained.INCEPTION_NAME)
    )
    assert found.weights_status == "unverified"
    assert found.lpips_sha256 == pretrained.weights_hash(
        pretrained.required_weights(pretrained.ALEXNET_NAME)
    )
    assert (found.n_real, found.n_fake, found.image_size) == (24, 24, 32)


def test_no_reason_names_a_folder_of_this_machine(sources, against, tmp_path, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_WEIGHTS", str(tmp_path))
    found = score(translations(sources, sources), against)
    assert found.values["fid"] is None
    assert "inception-2015-12-05.pt" in found.reasons["fid"]
    assert (found.weights_sha256, found.lpips_sha256) == (None, None)
    assert str(tmp_path) not in str(found)


def test_every_set_is_extracted_once_for_all_protocols_of_a_recipe(
    sources, against, with_inception, monkeypatch
):
    monkeypatch.setenv("I2I_BENCH_CACHE_BYTES", "0")  # nothing is kept on disk
    ended = []

    def report(stage, done, of, values):
        if stage == "features" and done == of:
            ended.append(of)

    part, reference = few(translations(sources, against.truth), against)
    score_all(part, reference, I2I, CLEAN, BLOCKS, MEAN, report=report)
    assert ended == [24] * 5  # real, fake, source, two halves


def test_several_protocols_give_what_each_gives_alone(sources, against, with_inception):
    part, reference = few(translations(sources, against.truth), against)
    together = score_all(part, reference, I2I, MEAN)
    assert list(together) == ["i2i@1/a2b", "ugatit-mean-head@1/a2b"]
    for protocol, key in zip((I2I, MEAN), together, strict=True):
        assert score_all(part, reference, protocol)[key] == together[key]


def test_mean_of_target_and_source_is_weighed_as_recorded(sources, against, with_inception):
    part, reference = few(translations(sources, against.truth), against)
    found = score_all(part, reference, MEAN)["ugatit-mean-head@1/a2b"]
    assert found.estimator["target_weight"] == 0.01
    assert found.estimator["source_weight"] == 0.49
    expected = 0.01 * value(found, "kid_target") + 0.49 * value(found, "kid_source")
    assert found.values["kid"] == pytest.approx(expected)
    assert value(found.baselines["identity"], "kid_source") < 0  # of a set with itself
    assert found.spread_kind == "se_blocks"


def test_order_of_the_files_changes_no_digit(sources, against, with_inception):
    part, reference = few(translations(sources, 255 - sources), against)
    order = np.random.RandomState(0).permutation(24)
    shuffled = dataclasses.replace(
        part,
        names=[part.names[i] for i in order],
        sources=part.sources[order],
        fakes=part.fakes[order],
    )
    back = np.random.RandomState(1).permutation(24)
    assert reference.truth is not None
    assert reference.foreground is not None
    others = Reference(
        [reference.names[i] for i in back],
        reference.real[back],
        reference.halves,
        reference.truth[order],
        [reference.foreground[i] for i in order],
    )
    first = score_all(part, reference, I2I, BLOCKS)
    second = score_all(shuffled, others, I2I, BLOCKS)
    for key, expected in first.items():
        assert second[key].pixels_sha256 == expected.pixels_sha256
        numbers = {k: v for k, v in expected.values.items() if v is not None}
        assert {k: second[key].values[k] for k in numbers} == pytest.approx(numbers, rel=1e-12)


@pytest.mark.slow
def test_order_replicates_stand_beside_the_value_of_blocks_alone(sources, against, with_inception):
    part, reference = few(translations(sources, 255 - sources), against)
    before = score_all(part, reference, I2I, BLOCKS, MEAN)
    found = score_all(part, reference, I2I, BLOCKS, MEAN, order_replicates=20)
    orders = {"kid_order_mean", "kid_order_sd", "kid_orders"}
    assert not orders & found["i2i@1/a2b"].values.keys()
    sides = [extract.extract_features(s) for s in (reference.real, part.fakes)]
    target = found["ugatit@1/a2b"]
    draws, values = np.random.RandomState(0), []
    for _ in range(20):
        real, fake = (side[draws.permutation(len(side))] for side in sides)
        values.append(distances.kid_blocks(real, fake, 10)[0])
    assert value(target, "kid_order_mean") == pytest.approx(np.mean(values))
    assert value(target, "kid_order_sd") == pytest.approx(np.std(values, ddof=1))
    assert value(found["ugatit-mean-head@1/a2b"], "kid_order_sd") > 0
    for key, score in before.items():
        rest = {k: v for k, v in found[key].values.items() if k not in orders}
        assert rest == score.values
        assert found[key].estimator == score.estimator  # rows stay comparable


def test_orders_of_a_mean_are_those_of_all_three_sets():
    random = np.random.RandomState(5)
    sides = [np.abs(random.standard_normal((n, 16))) for n in (22, 20, 20)]
    found = order_replicates(MEAN, *sides, count=3)
    draws, values = np.random.RandomState(0), []
    for _ in range(3):
        real, fake, source = (side[draws.permutation(len(side))] for side in sides)
        near, far = (distances.kid_blocks(other, fake, 10)[0] for other in (real, source))
        values.append(0.01 * near + 0.49 * far)
    assert found == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    with pytest.raises(ValueError, match="at least 2 orders"):
        order_replicates(MEAN, *sides, count=1)


def positive(n, seed, shift):
    return np.maximum(np.random.RandomState(seed).standard_normal((n, 64)) + shift, 0)


def test_orders_scatter_around_the_unbiased_kid_and_hide_it():
    x, y = positive(100, 0, 0.0), positive(100, 1, 0.05)
    found, deviation = order_replicates(BLOCKS, x, y, x, count=100)
    assert abs(found - distances.kid_unbiased(x, y)[0]) < deviation
    assert deviation > 0.003  # spec section 3: 0.34 / 100


def test_orders_do_not_matter_to_a_single_block():
    x, y = positive(30, 0, 0.0), positive(25, 1, 0.25)
    whole = dataclasses.replace(BLOCKS, block=30)
    found, deviation = order_replicates(whole, x, y, x, count=3)
    assert found == pytest.approx(distances.kid_unbiased(x, y)[0], rel=1e-10)
    assert deviation < 1e-12


def test_one_training_image_leaves_no_halves_to_compare(tmp_path):
    for name, count in (("trainA", 3), ("trainB", 1), ("testA", 2), ("testB", 2)):
        (tmp_path / name).mkdir()
        for i in range(count):
            picture = np.random.RandomState(i).randint(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(picture).save(tmp_path / name / f"{i}.png")
    task = catalogue.find_task(str(tmp_path), tmp_path)
    found = scoring_translations.reference(test_set.TestSet(task, ResizeRule(32)), A2B)
    assert [np.asarray(half).shape for half in found.halves] == [(0, 32, 32, 3)] * 2


@pytest.mark.parametrize("count", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_halves_of_hardly_an_image_have_reasons(sources, against, with_inception, count):
    part, reference = few(translations(sources, 255 - sources), against)
    first, second = reference.halves
    short = dataclasses.replace(reference, halves=(first[:count], second[:count]))
    found = score_all(part, short, I2I, BLOCKS)
    for key, expected in score_all(part, reference, I2I, BLOCKS).items():
        assert found[key].values == expected.values
        real = found[key].baselines["real"]
        assert real.values["kid"] is None
        assert "image" in str(real.reasons["kid"])


def test_subset_size_is_recorded_as_chosen(sources, against, with_inception):
    subsets = dataclasses.replace(protocols.find_protocol("uvcgan2"), recipe="clean")
    part, reference = few(translations(sources, 255 - sources), against)
    found = score_all(part, reference, subsets, kid_subset_size=8)["uvcgan2@1/a2b"]
    assert found.estimator["kid_subset_size"] == 8
    assert value(found, "kid_sd") > 0
    real, fake = (extract.extract_features(s) for s in (reference.real, part.fakes))
    expected = distances.kid_subsets(real, fake, subsets=100, size=8, seed=2020)
    assert (found.values["kid"], found.values["kid_sd"]) == pytest.approx(expected)


@pytest.mark.parametrize("num_halves", [12, 24])
def test_real_baseline_of_fewer_images_has_no_fid(num_halves, sources, against, with_inception):
    part, reference = few(translations(sources, 255 - sources), against)
    halves = tuple(half[:num_halves] for half in reference.halves)
    found = score(part, dataclasses.replace(reference, halves=halves)).baselines["real"]
    assert isinstance(found.values["kid"], float)
    if num_halves == 24:
        assert isinstance(found.values["fid"], float)
    else:
        assert found.values["fid"] is found.values["fid_source"] is None
        assert found.reasons["fid"].startswith(
            "halves of 12 images are smaller than the 24 compared"
        )


def test_every_set_is_scored_with_the_subset_size_of_the_record(
    sources, against, with_inception, monkeypatch
):
    """Also where the sets of a baseline, or the sources, would have another by their number."""
    monkeypatch.setattr(protocols, "subset_size", lambda num_images: num_images // 2)
    subsets = dataclasses.replace(protocols.find_protocol("uvcgan2"), recipe="clean")
    part, reference = few(translations(sources, 255 - sources), against)
    halves = tuple(half[:18] for half in reference.halves)
    found = score_all(part, dataclasses.replace(reference, halves=halves), subsets)
    (score_,) = found.values()
    assert score_.estimator["kid_subset_size"] == 12
    sides = [extract.extract_features(half) for half in halves]
    expected, _ = distances.kid_subsets(*sides, subsets=100, size=12, seed=2020)
    assert score_.baselines["real"].values["kid"] == pytest.approx(expected)


# Alarms


def test_inverted_translations_raise_an_alarm_for_their_direction(sources, against):
    part, reference = few(translations(sources, 255 - sources), against)
    scores = score_all(part, reference, I2I)
    assert value(scores["i2i@1/a2b"], "colour_correlation") == pytest.approx(-1, abs=1e-3)
    (alarm,) = alarms_of_scores(scores)
    assert alarm.startswith("a2b: colours are inverted")


def test_translations_are_compared_with_their_sources(sources, against):
    part, reference = few(translations(sources, against.truth), against)
    found = score(part, reference)
    pairs = list(zip(against.truth[:24], sources[:24], strict=True))
    assert found.values["psnr_source"] == pytest.approx(np.mean([psnr(*pair) for pair in pairs]))
    assert found.values["ssim_source"] == pytest.approx(np.mean([ssim(*pair) for pair in pairs]))
    assert "psnr_source" not in found.baselines["real"].values


def test_sound_translations_raise_no_alarm(sources, against):
    sound = masks.MaskHealth(np.full(24, 0.5), np.full(24, 0.5), np.full((24, 2), 0.5))
    part, reference = few(translations(sources, against.truth, health=sound), against)
    scores = score_all(part, reference, I2I, CLEAN)
    assert alarms_of_scores(scores) == []
    assert scores["i2i@1/a2b"].values["effective_masks"] == pytest.approx(2)

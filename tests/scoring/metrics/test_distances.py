import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i_bench.scoring.metrics import distances
from i2i_bench.scoring.metrics.distances import (
    fid,
    kid_blocks,
    kid_difference,
    kid_subsets,
    kid_unbiased,
)

PRINTED = 6e-11  # the golden values have ten decimals

GOLDEN = [  # spec/protocols.md section 2: (100, 100), (140, 120)
    ("block_target", 0.1801404555, 0.1594115837),
    ("block_target_error", 0.0445304110, 0.0259986236),
    ("block_source", 0.4076231845, 0.4362788804),
    ("block_source_error", 0.0597493974, 0.0538951119),
    ("block_mean", 0.2938818200, 0.2978452320),
    ("block_mean_head", 0.2015367650, 0.2153707673),
    ("unbiased", 0.1523584529, 0.1468506513),
    ("jackknife", 0.0236019282, 0.0190441324),
    ("subset_mean", 0.1496846521, 0.1501277097),
    ("subset_deviation", 0.0250454046, 0.0256385537),
    ("fid", 10.6266509954, 8.7021958007),
]


def make(n, seed, shift, width=64):
    return np.maximum(np.random.RandomState(seed).standard_normal((n, width)) + shift, 0)


def measure(n_real, n_fake):
    real, fake, source = make(n_real, 0, 0.0), make(n_fake, 1, 0.25), make(n_fake, 2, 0.6)
    target, target_error = kid_blocks(real, fake)
    other, other_error = kid_blocks(source, fake)
    unbiased, jackknife = kid_unbiased(real, fake)
    subset_mean, subset_deviation = kid_subsets(real, fake, subsets=100, size=50, seed=2020)
    return {
        "block_target": target,
        "block_target_error": target_error,
        "block_source": other,
        "block_source_error": other_error,
        "block_mean": 0.5 * target + 0.5 * other,
        "block_mean_head": 0.01 * target + 0.49 * other,
        "unbiased": unbiased,
        "jackknife": jackknife,
        "subset_mean": subset_mean,
        "subset_deviation": subset_deviation,
        "fid": fid(real, fake),
    }


@pytest.fixture(scope="module")
def measured():
    return measure(100, 100), measure(140, 120)


@pytest.mark.parametrize(("name", "equal", "unequal"), GOLDEN)
def test_golden_values_are_met_to_the_last_printed_digit(measured, name, equal, unequal):
    assert measured[0][name] == pytest.approx(equal, rel=0, abs=PRINTED)
    assert measured[1][name] == pytest.approx(unequal, rel=0, abs=PRINTED)


def direct_mmd(x, y):
    m, n = len(x), len(y)
    a, b, c = (((p @ q.T) / x.shape[1] + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
    within = (a.sum() - np.trace(a)) / (m * (m - 1)) + (b.sum() - np.trace(b)) / (n * (n - 1))
    return within - 2 * c.mean()


features = st.builds(
    make,
    n=st.integers(3, 12),
    seed=st.integers(0, 2**31),
    shift=st.floats(-0.5, 1.5),
    width=st.just(5),
)
quick = settings(deadline=None, max_examples=40, database=None)


@quick
@given(features, features, st.randoms(use_true_random=False))
def test_order_of_images_changes_neither_fid_nor_unbiased_kid(x, y, random):
    shuffled = x[random.sample(range(len(x)), len(x))]
    assert fid(shuffled, y) == pytest.approx(fid(x, y), rel=1e-9, abs=1e-9)
    assert kid_unbiased(shuffled, y) == pytest.approx(kid_unbiased(x, y), rel=1e-9, abs=1e-10)


@quick
@given(features, features)
def test_distances_are_symmetric(x, y):
    assert fid(x, y) == pytest.approx(fid(y, x), rel=1e-9, abs=1e-9)
    assert kid_unbiased(x, y) == pytest.approx(kid_unbiased(y, x), rel=1e-9, abs=1e-10)


@quick
@given(features, st.floats(-3, 3))
def test_fid_of_a_shifted_set_is_the_squared_length_of_the_shift(x, shift):
    assert fid(x, x + shift) == pytest.approx(5 * shift**2, rel=1e-9, abs=1e-9)


@quick
@given(features, features, st.floats(0.1, 10))
def test_fid_scales_with_the_square_of_the_features(x, y, scale):
    assert fid(scale * x, scale * y) == pytest.approx(scale**2 * fid(x, y), rel=1e-8, abs=1e-8)


@quick
@given(features, features)
def test_jackknife_equals_brute_force_leave_one_out(x, y):
    m, n = len(x), len(y)
    without_x = np.array([direct_mmd(np.delete(x, i, 0), y) for i in range(m)])
    without_y = np.array([direct_mmd(x, np.delete(y, i, 0)) for i in range(n)])
    variance = (m - 1) * without_x.var() + (n - 1) * without_y.var()
    value, error = kid_unbiased(x, y)
    assert value == pytest.approx(direct_mmd(x, y), rel=1e-9, abs=1e-10)
    assert error == pytest.approx(math.sqrt(variance), rel=1e-6, abs=1e-9)


@quick
@given(features, features, st.integers(2, 4))
def test_repeated_columns_keep_the_kid_and_multiply_the_fid(x, y, times):
    wide_x, wide_y = np.tile(x, times), np.tile(y, times)
    assert kid_unbiased(wide_x, wide_y) == pytest.approx(kid_unbiased(x, y), rel=1e-8, abs=1e-9)
    assert fid(wide_x, wide_y) == pytest.approx(times * fid(x, y), rel=1e-8, abs=1e-8)


@quick
@given(features, features, st.floats(-3, 3))
def test_fid_does_not_see_a_shift_of_both_sets(x, y, shift):
    assert fid(x + shift, y + shift) == pytest.approx(fid(x, y), rel=1e-8, abs=1e-8)


@quick
@given(features, features, st.integers(0, 2**31))
def test_difference_equals_brute_force_leave_one_out(x, one, seed):
    other = make(len(one), seed, 0.3, 5) + 0.5 * one

    def difference(x, one, other):
        return direct_mmd(x, one) - direct_mmd(x, other)

    m, n = len(x), len(one)
    without_real = [difference(np.delete(x, i, 0), one, other) for i in range(m)]
    without_source = [difference(x, np.delete(one, i, 0), np.delete(other, i, 0)) for i in range(n)]
    variance = (m - 1) * np.var(without_real) + (n - 1) * np.var(without_source)
    value, error = kid_difference(x, one, other)
    assert value == pytest.approx(difference(x, one, other), rel=1e-8, abs=1e-9)
    assert error == pytest.approx(math.sqrt(variance), rel=1e-6, abs=1e-8)


@quick
@given(features, features)
def test_difference_of_a_model_from_itself_is_certainly_zero(x, y):
    assert kid_difference(x, y, y) == (0, 0)


@quick
@given(features, features, st.integers(0, 2**31))
def test_difference_changes_its_sign_with_the_order_of_the_models(x, one, seed):
    other = make(len(one), seed, 0.3, 5)
    value, error = kid_difference(x, one, other)
    assert kid_difference(x, other, one) == pytest.approx((-value, error), rel=1e-9, abs=1e-10)


def test_difference_of_like_models_is_surer_than_two_separate_intervals():
    x, one = make(60, 0, 0.0), make(60, 1, 0.25)
    other = one + 0.1 * make(60, 2, 0.0)
    separate = math.hypot(kid_unbiased(x, one)[1], kid_unbiased(x, other)[1])
    assert kid_difference(x, one, other)[1] < separate / 3


def test_models_of_different_sources_are_not_compared():
    with pytest.raises(ValueError, match="9 translations cannot be paired with 8"):
        kid_difference(make(9, 0, 0.0), make(9, 1, 0.0), make(8, 2, 0.0))


def test_difference_needs_three_images_a_set():
    value, error = kid_difference(make(2, 0, 0.0), make(9, 1, 0.0), make(9, 2, 0.0))
    assert math.isfinite(value)
    assert math.isnan(error)


def test_fid_of_a_shift_by_two_in_eight_dimensions_is_32():
    x = np.random.RandomState(3).standard_normal((50, 8))
    assert fid(x, x + 2) == pytest.approx(32, rel=1e-12)


@pytest.mark.parametrize("n", [10, 300])
def test_fid_of_a_set_with_itself_is_zero(n):
    x = make(n, 0, 0.0)
    assert 0 <= fid(x, x) < 1e-6 * (x**2).sum() / n


@pytest.mark.parametrize(("m", "n"), [(7, 9), (7, 100), (100, 7), (90, 100), (40, 40)])
def test_fid_equals_the_form_by_eigenvalues_at_any_rank(m, n, monkeypatch):
    monkeypatch.setattr(distances, "_QR_ROWS", 25)  # several slabs
    x, y = make(m, 0, 0.0, 40), make(n, 1, 0.3, 40)
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0))
    mean = x.mean(0) - y.mean(0)
    expected = mean @ mean + np.trace(first) + np.trace(second) - 2 * roots.sum()
    assert fid(x, y) == pytest.approx(expected, rel=1e-6)


def test_fid_equals_clean_fid():
    from cleanfid.fid import frechet_distance

    x, y = make(200, 0, 0.0, 16), make(150, 1, 0.3, 16)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*disp.*", DeprecationWarning)  # of scipy's sqrtm
        expected = frechet_distance(
            x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False)
        )
    assert fid(x, y) == pytest.approx(expected, rel=1e-10)


def test_unbiased_kid_equals_clean_fid_where_a_subset_is_the_whole_set():
    from cleanfid.fid import kernel_distance

    x, y = make(80, 0, 0.0), make(80, 1, 0.25)
    assert kid_unbiased(x, y)[0] == pytest.approx(kernel_distance(x, y, num_subsets=2), rel=1e-10)


def test_slabs_of_the_kernel_matrix_change_nothing(monkeypatch):
    x, y = make(30, 0, 0.0), make(23, 1, 0.25)
    whole = kid_unbiased(x, y)
    monkeypatch.setattr(distances, "_BLOCK_ELEMENTS", 23 * 4)
    assert kid_unbiased(x, y) == pytest.approx(whole, rel=1e-10)


def test_unbiased_kid_of_halves_of_one_distribution_is_centred_on_zero():
    draws = [
        kid_unbiased(make(20, 2 * i, 0.0, 16), make(20, 2 * i + 1, 0.0, 16))[0] for i in range(500)
    ]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / math.sqrt(500)
    assert 0.35 < np.mean(np.array(draws) < 0) < 0.75


def test_single_precision_features_are_summed_in_double():
    x, y = make(50, 0, 0.0).astype(np.float32), make(50, 1, 0.25).astype(np.float32)
    assert kid_unbiased(x, y) == kid_unbiased(x.astype(np.float64), y.astype(np.float64))
    assert fid(x, y) == fid(x.astype(np.float64), y.astype(np.float64))


def test_zero_columns_change_the_kid_because_the_kernel_divides_by_the_width():
    x, y = make(30, 0, 0.0), make(30, 1, 0.25)
    wider = kid_unbiased(np.pad(x, ((0, 0), (0, 8))), np.pad(y, ((0, 0), (0, 8))))
    assert wider[0] != pytest.approx(kid_unbiased(x, y)[0], rel=1e-3)


def test_jackknife_needs_three_images_a_set():
    value, error = kid_unbiased(make(2, 0, 0.0), make(9, 1, 0.0))
    assert math.isfinite(value)
    assert math.isnan(error)


@pytest.mark.parametrize(
    ("m", "n", "real_sizes", "fake_sizes"),
    [
        (100, 100, [10] * 10, [10] * 10),
        (140, 120, [10] * 14, [8] * 6 + [9] * 8),
        (120, 140, [8] * 6 + [9] * 8, [10] * 14),
    ],
)
def test_blocks_are_cut_as_in_the_original(m, n, real_sizes, fake_sizes):
    x, y = make(m, 0, 0.0, 8), make(n, 1, 0.3, 8)
    rows, columns = np.cumsum([0, *real_sizes]), np.cumsum([0, *fake_sizes])
    pairs = zip(itertools.pairwise(rows), itertools.pairwise(columns), strict=True)
    values = np.array([direct_mmd(x[a:b], y[c:d]) for (a, b), (c, d) in pairs])
    value, error = kid_blocks(x, y)
    assert value == pytest.approx(values.mean(), rel=1e-10)
    assert error == pytest.approx(values.std(ddof=1) / math.sqrt(len(values)), rel=1e-10)


def test_blocks_depend_on_the_order():
    x, y = make(100, 0, 0.0), make(100, 1, 0.25)
    shuffled = x[np.random.RandomState(0).permutation(100)]
    assert kid_blocks(shuffled, y)[0] != pytest.approx(kid_blocks(x, y)[0], rel=1e-3)


def test_one_block_is_the_unbiased_kid_without_an_error():
    x, y = make(30, 0, 0.0), make(25, 1, 0.25)
    value, error = kid_blocks(x, y, block=30)
    assert value == pytest.approx(kid_unbiased(x, y)[0], rel=1e-10)
    assert math.isnan(error)


@pytest.mark.parametrize(("m", "n"), [(21, 5), (5, 21), (100, 19)])
def test_blocks_of_fewer_than_two_images_are_refused(m, n):
    with pytest.raises(ValueError, match="fewer than two images"):
        kid_blocks(make(m, 0, 0.0), make(n, 1, 0.0))


def test_one_image_a_set_is_refused_by_blocks():
    with pytest.raises(ValueError, match="at least 2"):
        kid_blocks(make(1, 0, 0.0), make(1, 1, 0.0))


def test_subset_of_the_whole_set_is_the_unbiased_kid_without_spread():
    x, y = make(40, 0, 0.0), make(40, 1, 0.25)
    mean, deviation = kid_subsets(x, y, subsets=20, size=40, seed=0)
    assert deviation < 1e-5
    assert mean == pytest.approx(kid_unbiased(x, y)[0], rel=1e-9)


@pytest.mark.parametrize(
    ("subsets", "size"),
    [(4, 5), (20, 30)],  # few pairs, each subset by itself; many, all from one kernel matrix
)
def test_subsets_equal_those_taken_one_by_one(subsets, size, monkeypatch):
    monkeypatch.setattr(distances, "_BLOCK_ELEMENTS", 40 * 7)  # several slabs
    x, y = make(35, 0, 0.0), make(40, 1, 0.25)
    random = np.random.RandomState(3)
    expected = []
    for _ in range(subsets):
        a, b = random.choice(35, size, replace=False), random.choice(40, size, replace=False)
        expected.append(direct_mmd(x[a], y[b]))
    found = kid_subsets(x, y, subsets=subsets, size=size, seed=3)
    assert found == pytest.approx((np.mean(expected), np.std(expected)), rel=1e-9)


@pytest.mark.parametrize("size", [10, 50])
def test_subsets_equal_torch_fidelity(size):
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, y = make(70, 0, 0.0), make(60, 1, 0.25)
    theirs = kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subset_size=size, verbose=False
    )
    expected = [theirs[f"kernel_inception_distance_{name}"] for name in ("mean", "std")]
    found = kid_subsets(x, y, subsets=100, size=size, seed=2020)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("subsets", "size"), [(5, 41), (5, 1), (0, 10)])
def test_impossible_subsets_are_refused(subsets, size):
    with pytest.raises(ValueError, match="subset"):
        kid_subsets(make(40, 0, 0.0), make(50, 1, 0.0), subsets=subsets, size=size, seed=0)


@pytest.mark.parametrize("distance", [fid, kid_unbiased, kid_blocks])
@pytest.mark.parametrize(
    ("fake", "words"),
    [
        (make(9, 1, 0.0, 7), "wide"),
        (make(1, 1, 0.0, 8), "at least 2"),
        (np.zeros((9, 2, 4)), "shape"),
        (np.full((9, 8), np.nan), "finite"),
        (np.full((9, 8), np.inf), "finite"),
    ],
)
def test_unfit_features_are_refused(distance, fake, words):
    with pytest.raises(ValueError, match=words):
        distance(make(9, 0, 0.0, 8), fake)

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from i2i_bench.scoring.features import inception
from i2i_bench.scoring.metrics.distances import fid, kid_blocks, kid_subsets, kid_unbiased
from i2i_bench.scoring.protocols import (
    PROTOCOLS,
    find_protocol,
    parameters,
    remarks,
    score_features,
    subset_size,
    unavailable,
)

PRINTED = 6e-11  # the golden values have ten decimals
MEANS = ("ugatit-mean", "ugatit-mean-head")


def make(n, seed, shift):
    return np.maximum(np.random.RandomState(seed).standard_normal((n, 64)) + shift, 0)


def sets(n_real, n_fake):
    return make(n_real, 0, 0.0), make(n_fake, 1, 0.25), make(n_fake, 2, 0.6)


# The table


def test_table_is_keyed_by_the_names_of_its_protocols():
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())
    assert [str(protocol) for protocol in PROTOCOLS.values()] == [
        *("i2i@1", "clean@1", "ugatit@1", "ugatit-mean@1", "ugatit-mean-head@1"),
        *("ttur@1", "ttur-mean@1", "uvcgan2@1", "cut@1"),
    ]


def test_default_protocol_is_that_of_section_8():
    protocol = find_protocol("i2i")
    assert protocol is PROTOCOLS["i2i"]
    assert protocol.recipe == "clean"
    assert protocol.distances == ("fid_lowrank", "kid_ustat")
    assert protocol.spread_kind == "se_jackknife"


@pytest.mark.parametrize(
    ("name", "recipe", "weights", "spread"),
    [
        ("i2i", "clean", (1, 0), "se_jackknife"),
        ("clean", "clean", (1, 0), "none"),
        ("ugatit", "tf-scipy", (1, 0), "se_blocks"),
        ("ugatit-mean", "tf-scipy", (0.5, 0.5), "se_blocks"),
        ("ugatit-mean-head", "tf-scipy", (0.01, 0.49), "se_blocks"),
        ("ttur", "tf-compat", (1, 0), "none"),
        ("ttur-mean", "tf-compat", (0.5, 0.5), "none"),
        ("uvcgan2", "tf-compat", (1, 0), "sd_subsets"),
        ("cut", "pt-legacy", (1, 0), "none"),
    ],
)
def test_protocols_are_those_of_the_specification(name, recipe, weights, spread):
    protocol = find_protocol(name)
    assert protocol.recipe == recipe
    assert (protocol.target_weight, protocol.source_weight) == weights
    assert protocol.spread_kind == spread


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
def test_every_protocol_is_complete(protocol):
    assert protocol.recipe in inception.RECIPES
    assert protocol.headline in score_features(protocol, *sets(60, 60))
    assert protocol.source_weight == 0 or "source" in protocol.reference
    assert ("kid_blocks" in protocol.distances) == (protocol.block is not None)
    assert ("kid_subsets" in protocol.distances) == (protocol.subsets is not None)
    assert (protocol.subsets is None) == (protocol.seed is None)
    assert protocol.source


def test_protocols_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        find_protocol("i2i").version = 2  # pyright: ignore[reportAttributeAccessIssue] - the point of it


def test_misspelt_protocol_gets_the_known_and_the_nearest():
    with pytest.raises(
        ValueError,
        match=r"^unknown protocol 'i2l'; did you mean 'i2i'\? known: clean, cut, i2i, ttur, ",
    ):
        find_protocol("i2l")


def test_name_near_to_nothing_gets_the_known_only():
    with pytest.raises(ValueError, match=r"^unknown protocol 'psnr'; known: .*uvcgan2$"):
        find_protocol("psnr")


# Scores


def test_default_score_is_raw_and_fits_a_record():
    real, fake, source = sets(140, 120)
    kid, error = kid_unbiased(real, fake)
    kid_source, error_source = kid_unbiased(source, fake)
    result = score_features(find_protocol("i2i"), real, fake, source)
    assert result == {
        "fid": fid(real, fake),
        "kid": kid,
        "kid_se": error,
        "fid_source": fid(source, fake),
        "kid_source": kid_source,
        "kid_source_se": error_source,
    }
    assert kid == pytest.approx(0.1468506513, abs=PRINTED)  # spec section 2, not times 100
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.parametrize(
    ("protocol", "key", "equal", "unequal"),
    [  # spec section 2: (100, 100), (140, 120)
        ("ugatit", "kid", 0.1801404555, 0.1594115837),
        ("ugatit", "kid_se", 0.0445304110, 0.0259986236),
        ("ugatit", "kid_source", 0.4076231845, 0.4362788804),
        ("ugatit", "kid_source_se", 0.0597493974, 0.0538951119),
        ("ugatit-mean", "kid", 0.2938818200, 0.2978452320),
        ("ugatit-mean-head", "kid", 0.2015367650, 0.2153707673),
        ("i2i", "kid", 0.1523584529, 0.1468506513),
        ("i2i", "kid_se", 0.0236019282, 0.0190441324),
        ("i2i", "fid", 10.6266509954, 8.7021958007),
        ("clean", "kid", 0.1523584529, 0.1468506513),
        ("uvcgan2", "kid", 0.1496846521, 0.1501277097),
        ("uvcgan2", "kid_sd", 0.0250454046, 0.0256385537),
        ("ttur", "fid", 10.6266509954, 8.7021958007),
        ("cut", "fid", 10.6266509954, 8.7021958007),
    ],
)
def test_golden_values_are_met_to_the_last_printed_digit(protocol, key, equal, unequal):
    for counts, golden in (((100, 100), equal), ((140, 120), unequal)):
        found = score_features(find_protocol(protocol), *sets(*counts))
        assert found[key] == pytest.approx(golden, rel=0, abs=PRINTED)


@pytest.mark.parametrize("name", MEANS)
def test_mean_protocols_weigh_value_and_spread_alike(name):
    protocol = find_protocol(name)
    real, fake, source = sets(100, 100)
    target, other = kid_blocks(real, fake), kid_blocks(source, fake)
    shares = (protocol.target_weight, protocol.source_weight)
    mean = [shares[0] * target[i] + shares[1] * other[i] for i in range(2)]
    assert score_features(protocol, real, fake, source) == {
        "kid": mean[0],
        "kid_se": mean[1],
        "kid_target": target[0],
        "kid_target_se": target[1],
        "kid_source": other[0],
        "kid_source_se": other[1],
    }


def test_mean_of_fid_is_half_of_both():
    real, fake, source = sets(30, 30)
    found = score_features(find_protocol("ttur-mean"), real, fake, source)
    assert found["fid"] == (fid(real, fake) + fid(source, fake)) / 2
    assert (found["fid_target"], found["fid_source"]) == (fid(real, fake), fid(source, fake))


@pytest.mark.parametrize("name", [*MEANS, "ttur-mean"])
def test_mean_protocols_need_the_sources(name):
    with pytest.raises(ValueError, match=f"protocol {name} needs the features of the source"):
        score_features(find_protocol(name), make(30, 0, 0.0), make(30, 1, 0.0))


@pytest.mark.parametrize("name", MEANS)
def test_identity_wins_the_distance_to_the_source(name):
    real, _, source = sets(100, 100)
    found = score_features(
        find_protocol(name), real, source, source
    )  # a set with itself: negative by its bias
    assert float(found["kid_source"]) < 0 < float(found["kid_target"])


@pytest.mark.parametrize("name", ["ttur", "ttur-mean", "cut"])
def test_protocols_without_a_kid_give_none(name):
    found = score_features(find_protocol(name), *sets(30, 30))
    assert not [key for key in found if key.startswith("kid")]
    assert "kid_unit" not in parameters(find_protocol(name), 30, 30)


def test_clean_has_a_kid_without_spread():
    assert score_features(find_protocol("clean"), *sets(30, 30)[:2]).keys() == {"fid", "kid"}


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
@pytest.mark.parametrize("with_source", [True, False])
def test_what_is_unavailable_has_the_names_of_what_is_available(protocol, with_source):
    real, fake, source = sets(60, 60)
    missing = unavailable(protocol, "no weights", with_source=with_source)
    assert set(missing.values()) == {"no weights"}
    if with_source or not protocol.source_weight:
        found = score_features(protocol, real, fake, source if with_source else None)
        assert list(missing) == list(found)


def test_undefined_spread_has_a_reason():
    found = score_features(find_protocol("i2i"), make(2, 0, 0.0), make(9, 1, 0.0))
    assert isinstance(found["kid"], float)
    assert found["kid_se"] == "undefined for so few images"


def test_impossible_estimator_does_not_take_the_others_along():
    found = score_features(find_protocol("uvcgan2"), *sets(30, 30))
    assert isinstance(found["fid"], float)
    for key in ("kid", "kid_sd", "kid_source", "kid_source_sd"):
        assert "a subset of 50 images cannot be drawn from 30" in str(found[key])


def test_reason_of_one_side_is_that_of_the_mean():
    real, fake, _ = sets(30, 30)
    found = score_features(find_protocol("ugatit-mean"), real, fake, make(2, 3, 0.0))
    assert isinstance(found["kid_target"], float)
    assert found["kid"] == found["kid_source"]
    assert "fewer than two images" in str(found["kid"])


def test_one_image_gives_a_reason():
    found = score_features(find_protocol("i2i"), make(1, 0, 0.0), make(9, 1, 0.0))
    assert "at least 2" in str(found["kid"])


def test_unknown_estimator_is_refused():
    broken = dataclasses.replace(find_protocol("ugatit"), block=None)
    with pytest.raises(LookupError, match="lacks what 'kid_blocks' needs"):
        score_features(broken, make(9, 0, 0.0), make(9, 1, 0.0))


# What a record states


def test_parameters_of_the_default_protocol_are_those_of_its_first_records():
    """Records under ``results/`` hold them; others would not be ranked with these."""
    expected = {"distances": ["fid_lowrank", "kid_ustat"], "kid_unit": "raw"}
    assert parameters(find_protocol("i2i"), 100, 100) == expected


def test_parameters_name_what_section_10_asks_for():
    blocks = parameters(find_protocol("ugatit-mean-head"), 140, 120)
    assert (blocks["block"], blocks["target_weight"], blocks["source_weight"]) == (10, 0.01, 0.49)
    subsets = parameters(find_protocol("uvcgan2"), 140, 120)
    assert (subsets["subsets"], subsets["seed"], subsets["kid_subset_size"]) == (100, 2020, 50)
    chosen = parameters(find_protocol("uvcgan2"), 140, 120, kid_subset_size=64)
    assert chosen["kid_subset_size"] == 64


@pytest.mark.parametrize(
    ("num_images", "size"), [(2, 50), (140, 50), (141, 100), (999, 100), (1000, 1000)]
)
def test_size_of_subsets_follows_the_number_of_images(num_images, size):
    assert subset_size(num_images) == size


def test_chosen_size_of_subsets_is_used():
    real, fake, _ = sets(30, 30)
    found = score_features(find_protocol("uvcgan2"), real, fake, kid_subset_size=20)
    assert found["kid"] == kid_subsets(real, fake, subsets=100, size=20, seed=2020)[0]


def test_remarks_say_what_misleads():
    assert remarks(find_protocol("i2i"), 100, 120) == []
    assert any(
        "98% of the value" in line for line in remarks(find_protocol("ugatit-mean-head"), 100, 100)
    )
    assert any("order" in line for line in remarks(find_protocol("ugatit"), 100, 100))
    assert not any("whole set" in line for line in remarks(find_protocol("uvcgan2"), 100, 100))
    assert any("whole set" in line for line in remarks(find_protocol("uvcgan2"), 100, 100, 100))


def test_import_is_cheap():
    heavy = "{'numpy', 'scipy', 'torch'} & set(sys.modules)"
    code = (
        f"import sys; import i2i_bench.scoring.protocols; sys.exit(str({heavy}) if {heavy} else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

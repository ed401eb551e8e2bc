import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from i2i_bench.metrics.distances import fid, kid_unbiased
from i2i_bench.protocols import PROTOCOLS, find, score


def make(n, seed, shift):
    return np.maximum(np.random.RandomState(seed).standard_normal((n, 64)) + shift, 0)


def test_table_is_keyed_by_the_names_of_its_protocols():
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())
    assert [str(protocol) for protocol in PROTOCOLS.values()] == ["i2i@1"]


def test_default_protocol_is_that_of_section_8():
    protocol = find("i2i")
    assert protocol is PROTOCOLS["i2i"]
    assert protocol.recipe == "clean"
    assert protocol.distances == ("fid_lowrank", "kid_ustat")
    assert protocol.spread_kind == "se_jackknife"


def test_protocols_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        find("i2i").version = 2  # pyright: ignore[reportAttributeAccessIssue] - the point of it


def test_misspelt_protocol_gets_the_known_and_the_nearest():
    with pytest.raises(
        ValueError, match=r"^unknown protocol 'i2l'; known: i2i; did you mean 'i2i'\?$"
    ):
        find("i2l")


def test_name_near_to_nothing_gets_the_known_only():
    with pytest.raises(ValueError, match=r"^unknown protocol 'ttur'; known: i2i$"):
        find("ttur")


def test_score_is_raw_and_fits_a_record():
    real, fake = make(140, 0, 0.0), make(120, 1, 0.25)
    kid, error = kid_unbiased(real, fake)
    result = score(find("i2i"), real, fake)
    assert result == {
        "fid": fid(real, fake),
        "kid": kid,
        "kid_se": error,
        "kid_unit": "raw",
        "spread_kind": "se_jackknife",
        "n_real": 140,
        "n_fake": 120,
    }
    assert result["kid"] == pytest.approx(0.1468506513, abs=6e-11)  # spec section 2, not times 100
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_undefined_spread_is_null():
    assert score(find("i2i"), make(2, 0, 0.0), make(9, 1, 0.0))["kid_se"] is None


def test_one_image_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        score(find("i2i"), make(1, 0, 0.0), make(9, 1, 0.0))


def test_unknown_estimator_is_refused():
    broken = dataclasses.replace(find("i2i"), distances=("kid_guess",))
    with pytest.raises(ValueError, match="unknown estimator 'kid_guess'"):
        score(broken, make(9, 0, 0.0), make(9, 1, 0.0))


def test_import_is_cheap():
    heavy = "{'numpy', 'scipy', 'torch'} & set(sys.modules)"
    code = f"import sys; import i2i_bench.protocols; sys.exit(str({heavy}) if {heavy} else 0)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

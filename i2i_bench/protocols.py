"""The named, versioned ways to score a set of translations; importing this module is cheap."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Score = dict[str, float | str | int | None]
SpreadKind = Literal["se_jackknife"]


@dataclass(frozen=True)
class Protocol:
    """A way to score; ``str()`` gives ``name@version``, the key of its scores in a record.

    Attributes:
        name: As typed after ``--protocol``.
        version: Rises when the definition changes; versions are never ranked together.
        title: One line for a list.
        recipe: How an image becomes features, by the name ``features.extract_features`` knows.
        distances: The estimators whose values a score holds, by the names ``_estimate`` knows.
        spread_kind: What the spread of the KID is.
        reference: The images that translations are compared with.
        source: Where the definition comes from.
    """

    name: str
    version: int
    title: str
    recipe: str
    distances: tuple[str, ...]
    spread_kind: SpreadKind
    reference: str
    source: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="i2i",
            version=1,
            title="FID and unbiased KID with a jackknife error, on clean-fid features",
            recipe="clean",
            distances=("fid_lowrank", "kid_ustat"),
            spread_kind="se_jackknife",
            reference="test split of the target domain",
            source="i2i-bench; features as Parmar et al., arXiv 2104.11222; "
            "KID as Bińkowski et al., arXiv 1801.01401",
        ),
    )
}


def find(name: str) -> Protocol:
    """Give the protocol of this name.

    Raises:
        ValueError: If there is none, naming those there are and the nearest.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    message = f"unknown protocol {name!r}; known: {', '.join(sorted(PROTOCOLS))}"
    nearest = difflib.get_close_matches(name, PROTOCOLS, n=1)
    raise ValueError(message + (f"; did you mean {nearest[0]!r}?" if nearest else ""))


def score(protocol: Protocol, real_features: ArrayLike, fake_features: ArrayLike) -> Score:
    """Score the features of translations against those of the reference.

    Args:
        protocol: Whose estimators are used.
        real_features: (n_real, width), of the reference, made by the protocol's recipe.
        fake_features: (n_fake, width), of the translations, made by the same recipe.

    Returns:
        ``fid``, ``kid`` and its spread ``kid_se`` (None where undefined) with ``spread_kind``, and
        ``n_real``, ``n_fake``. The KID is raw, as ``kid_unit`` says; tables show it times 100.

    Raises:
        ValueError: If the features are unfit, as ``metrics.distances`` says.
    """
    import numpy as np

    real, fake = np.asarray(real_features), np.asarray(fake_features)
    values: Score = {}
    for estimator in protocol.distances:
        values |= _estimate(estimator, real, fake)
    counts: Score = {"n_real": len(real), "n_fake": len(fake)}
    return values | counts | {"spread_kind": protocol.spread_kind, "kid_unit": "raw"}


def _estimate(estimator: str, real: ArrayLike, fake: ArrayLike) -> Score:
    """Give the values of one estimator under the names a record has for them."""
    from i2i_bench.metrics import distances

    match estimator:
        case "fid_lowrank":
            return {"fid": distances.fid(real, fake)}
        case "kid_ustat":
            kid, error = distances.kid_unbiased(real, fake)
            return {"kid": kid, "kid_se": None if math.isnan(error) else error}
    raise ValueError(f"unknown estimator {estimator!r}; known: fid_lowrank, kid_ustat")

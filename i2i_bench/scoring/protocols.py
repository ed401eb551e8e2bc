"""The named, versioned ways to score a set of translations; importing this module is cheap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from i2i_bench.scoring.metrics.distances import FID, KID, Distance, key_beside
from i2i_bench.system.messages import near

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ValuesOrReasons = dict[str, float | str]  # a value, or the reason why there is none
Parameters = dict[str, float | str | list[str]]
SpreadKind = Literal["se_jackknife", "se_blocks", "sd_subsets", "none"]
Estimator = Literal["fid_lowrank", "kid_ustat", "kid_blocks", "kid_subsets"]
DISTANCES = (FID, KID)  # of which a protocol names estimators
DISTANCE_KEYS = tuple(distance.key for distance in DISTANCES)

TEST_SPLIT = "test split of the target domain"
BOTH_SPLITS = "test splits of the target and the source domain"


@dataclass(frozen=True)
class Protocol:
    """A way to score; ``str()`` gives ``name@version``, the key of its scores in a record.

    Attributes:
        name: As typed after ``--protocol``.
        version: Rises when the definition changes; versions are never ranked together.
        title: One line for a list.
        recipe: How an image becomes features, a name in ``inception.RECIPES``.
        distances: The estimators whose values a score holds, by the names ``DISTANCES`` have.
        headline: The value that ranks models, ``kid`` or ``fid``.
        spread_kind: What the spread of the KID is.
        reference: The images that translations are compared with.
        source: Where the definition comes from.
        target_weight: Share of the distance to the reference in the value.
        source_weight: Share of the distance to the source domain's test split in the value.
        block: Largest number of images in a block of ``kid_blocks``.
        subsets: Number of subsets of ``kid_subsets``.
        seed: Of the draw of these.
    """

    name: str
    version: int
    title: str
    recipe: str
    distances: tuple[Estimator, ...]
    headline: Literal["kid", "fid"]
    spread_kind: SpreadKind
    reference: str
    source: str
    target_weight: float = 1.0
    source_weight: float = 0.0
    block: int | None = None
    subsets: int | None = None
    seed: int | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def has_kid(self) -> bool:
        """Whether one of the distances is a KID."""
        return any(estimator in KID.estimators for estimator in self.distances)

    @property
    def spread_key(self) -> str | None:
        """Name of the KID's spread among the values of a score; None where it has none."""
        return None if self.spread_kind == "none" else f"{KID.key}_{self.spread_kind[:2]}"


# KID of U-GAT-IT, AttentionGAN and ACL-GAN (spec section 3). The original read a frozen TensorFlow
# graph; the recipe's weights are believed, not proven, to be the same network.
_UGATIT_SOURCE = "taki0112/GAN_Metrics-Tensorflow, as the AttentionGAN README names it"
_ALAMI_MEJJATI = "Alami-Mejjati et al., attention-guided translation, NeurIPS 2018, issue 3"

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="i2i",
            version=1,
            title="FID and unbiased KID with a jackknife error, on clean-fid features",
            recipe="clean",
            distances=("fid_lowrank", "kid_ustat"),
            headline="kid",
            spread_kind="se_jackknife",
            reference=TEST_SPLIT,
            source="i2i-bench; features as Parmar et al., arXiv 2104.11222; "
            "KID as Bińkowski et al., arXiv 1801.01401",
        ),
        Protocol(
            name="clean",
            version=1,
            title="FID and KID as clean-fid; the KID over all images, which its subsets estimate",
            recipe="clean",
            distances=("fid_lowrank", "kid_ustat"),
            headline="fid",
            spread_kind="none",  # its subsets are drawn without a seed and their spread not printed
            reference=TEST_SPLIT,
            source="GaParmar/clean-fid, mode clean; Parmar et al., arXiv 2104.11222",
        ),
        Protocol(
            name="ugatit",
            version=1,
            title="KID over blocks of 10 images, and FID (printed there divided by 100)",
            recipe="tf-scipy",
            distances=("fid_lowrank", "kid_blocks"),
            headline="kid",
            spread_kind="se_blocks",
            reference=TEST_SPLIT,
            source=f"{_UGATIT_SOURCE}; what its script calls by default",
            block=10,
        ),
        Protocol(
            name="ugatit-mean",
            version=1,
            title="(target + source)/2 of the KID of ugatit, as in the tables of U-GAT-IT",
            recipe="tf-scipy",
            distances=("kid_blocks",),
            headline="kid",
            spread_kind="se_blocks",
            reference=BOTH_SPLITS,
            source=f"{_UGATIT_SOURCE}; its mean before the commit of 2019-08-15",
            target_weight=0.5,
            source_weight=0.5,
            block=10,
        ),
        Protocol(
            name="ugatit-mean-head",
            version=1,
            title="(0.02 target + 0.98 source)/2 of the KID of ugatit, as its code has it last",
            recipe="tf-scipy",
            distances=("kid_blocks",),
            headline="kid",
            spread_kind="se_blocks",
            reference=BOTH_SPLITS,
            source=f"{_UGATIT_SOURCE}; its mean since the commit of 2019-08-15",
            target_weight=0.01,  # alpha 0.02 and 0.98, halved all the same
            source_weight=0.49,
            block=10,
        ),
        Protocol(
            name="ttur",
            version=1,
            title="FID on TensorFlow's resize, as in the AttentionGAN README",
            recipe="tf-compat",
            distances=("fid_lowrank",),
            headline="fid",
            spread_kind="none",
            reference=TEST_SPLIT,
            source="bioinf-jku/TTUR; Heusel et al., arXiv 1706.08500",
        ),
        Protocol(
            name="ttur-mean",
            version=1,
            title="(target + source)/2 of the FID of ttur",
            recipe="tf-compat",
            distances=("fid_lowrank",),
            headline="fid",
            spread_kind="none",
            reference=BOTH_SPLITS,
            source=_ALAMI_MEJJATI,
            target_weight=0.5,
            source_weight=0.5,
        ),
        Protocol(
            name="uvcgan2",
            version=1,
            title="FID, and KID over 100 seeded subsets, as torch-fidelity",
            recipe="tf-compat",
            distances=("fid_lowrank", "kid_subsets"),
            headline="kid",
            spread_kind="sd_subsets",
            reference=TEST_SPLIT,
            source="LS4GAN/uvcgan2, README section 5; toshas/torch-fidelity",
            subsets=100,
            seed=2020,
        ),
        Protocol(
            name="cut",
            version=1,
            title="FID as pytorch-fid, for CUT, FastCUT and DCLGAN",
            recipe="pt-legacy",
            distances=("fid_lowrank",),
            headline="fid",
            spread_kind="none",
            reference=TEST_SPLIT,
            source="taesungp/contrastive-unpaired-translation README; mseitzer/pytorch-fid",
        ),
    )
}


def find_protocol(name: str) -> Protocol:
    """Return the protocol of this name.

    Raises:
        ValueError: If there is none, naming those there are and the nearest.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    known = f"{near(name, PROTOCOLS)}known: {', '.join(sorted(PROTOCOLS))}"
    raise ValueError(f"unknown protocol {name!r}; {known}")


def subset_size(num_images: int) -> int:
    """Return the size of the subsets of ``uvcgan2`` where none is chosen.

    50 up to 140 images, as for selfie2anime; 1000 from 1000 images on, as for CelebA; else 100, the
    script's default. The papers' sizes are from memory, not verified (spec section 5), which is why
    a record states the size.

    Args:
        num_images: Of the smaller set.
    """
    if num_images <= 140:
        return 50
    return 1000 if num_images >= 1000 else 100


def parameters(
    protocol: Protocol, n_real: int, n_fake: int, *, kid_subset_size: int | None = None
) -> Parameters:
    """Return what a record states of the estimators, whether or not they could be computed.

    Args:
        protocol: Whose estimators.
        n_real: Images of the reference.
        n_fake: Translations.
        kid_subset_size: Where another than ``subset_size`` gives was chosen.
    """
    found: Parameters = {"distances": list(protocol.distances)}
    if protocol.has_kid:
        found["kid_unit"] = "raw"
    if protocol.source_weight:
        found |= {"target_weight": protocol.target_weight, "source_weight": protocol.source_weight}
    if protocol.block is not None:
        found["block"] = protocol.block
    if protocol.subsets is not None and protocol.seed is not None:
        size = chosen_size(kid_subset_size, min(n_real, n_fake))
        found |= {"subsets": protocol.subsets, "seed": protocol.seed, "kid_subset_size": size}
    return found


def score_features(
    protocol: Protocol,
    real_features: ArrayLike,
    fake_features: ArrayLike,
    source_features: ArrayLike | None = None,
    *,
    kid_subset_size: int | None = None,
) -> ValuesOrReasons:
    """Score the features of translations, all made by the protocol's recipe.

    Args:
        protocol: Whose estimators are used.
        real_features: (n_real, width), of the target domain's test images, in the order of their
            names, which estimators over blocks depend on; so everywhere.
        fake_features: (n_fake, width), of the translations.
        source_features: (n_source, width), of the source domain's test images; may be left out
            where the protocol gives them no weight.
        kid_subset_size: Where another than ``subset_size`` gives is wanted.

    Returns:
        ``fid``, ``kid`` and its spread under ``Protocol.spread_key``, as far as the protocol has
        them; each again with ``_source`` after ``fid`` or ``kid`` for the distance to the source;
        where the value is a mean of both distances, each with ``_target`` as well. A KID is raw;
        tables show it times 100. What cannot be computed is replaced by the reason.

    Raises:
        ValueError: If the protocol needs source features and there are none.
    """
    if source_features is None and protocol.source_weight:
        raise ValueError(f"protocol {protocol.name} needs the features of the source images too")
    target = _distances(protocol, real_features, fake_features, kid_subset_size)
    if source_features is None:
        return target
    source = _distances(protocol, source_features, fake_features, kid_subset_size)
    return _combined(protocol, target, source)


def unavailable(protocol: Protocol, reason: str, *, with_source: bool = True) -> ValuesOrReasons:
    """Return, where nothing can be computed, the reason under each name of ``score_features``.

    Args:
        protocol: Whose values.
        reason: Why there are none.
        with_source: Whether distances to the source are among them.
    """
    missing: ValuesOrReasons = {}
    for estimator in protocol.distances:
        missing |= dict.fromkeys(_keys(protocol, estimator), reason)
    return _combined(protocol, missing, missing) if with_source else missing


def remarks(protocol: Protocol, n_real: int, n_fake: int, size: int | None = None) -> list[str]:
    """Say what a reader must know who compares values of this protocol, but for the FID's bias.

    Args:
        protocol: Whose values.
        n_real: Images of the reference.
        n_fake: Translations.
        size: ``kid_subset_size`` of the record.
    """
    smaller, found = min(n_real, n_fake), []
    if protocol.source_weight:
        share = protocol.source_weight / (protocol.target_weight + protocol.source_weight)
        found.append(f"{share:.0%} of the value is the distance to the source: see the identity")
    if protocol.block is not None:
        found.append("blocks depend on the order of the files, here sorted")
    if protocol.subsets is not None and chosen_size(size, smaller) >= smaller:
        found.append("each subset is the whole set: the spread says nothing")
    return found


def chosen_size(chosen: int | None, num_images: int) -> int:
    """Return the size of subsets that was chosen, or the one for a number of images."""
    return subset_size(num_images) if chosen is None else chosen


def _distance(estimator: Estimator) -> Distance:
    """Find the distance that an estimator is of."""
    return next(distance for distance in DISTANCES if estimator in distance.estimators)


def _keys(protocol: Protocol, estimator: Estimator) -> tuple[str, ...]:
    """Name the values of an estimator."""
    distance = _distance(estimator)
    spread = protocol.spread_key if distance.spreads else None
    return (distance.key, spread) if spread else (distance.key,)


def _distances(
    protocol: Protocol, real: ArrayLike, fake: ArrayLike, kid_subset_size: int | None
) -> ValuesOrReasons:
    """Give the values of all estimators of a protocol for one pair of sets."""
    found: ValuesOrReasons = {}
    for estimator in protocol.distances:
        keys = _keys(protocol, estimator)
        try:
            numbers = _estimate(protocol, estimator, real, fake, kid_subset_size)
        except ValueError as error:
            found |= dict.fromkeys(keys, str(error))
            continue
        for key, number in zip(keys, numbers, strict=False):  # a protocol may leave out the spread
            found[key] = "undefined for so few images" if math.isnan(number) else number
    return found


def _estimate(
    protocol: Protocol,
    estimator: Estimator,
    real: ArrayLike,
    fake: ArrayLike,
    kid_subset_size: int | None,
) -> tuple[float, ...]:
    """Give the value of one estimator and its spread, where it has one."""
    choices: dict[str, int | None] = {}
    if estimator == "kid_blocks":
        choices = {"block": protocol.block}
    elif estimator == "kid_subsets":
        size = chosen_size(kid_subset_size, min(_length(real), _length(fake)))
        choices = {"subsets": protocol.subsets, "size": size, "seed": protocol.seed}
    if None in choices.values():
        raise LookupError(f"protocol {protocol.name} lacks what {estimator!r} needs")
    found = _distance(estimator).estimators[estimator](real, fake, **choices)
    return found if isinstance(found, tuple) else (found,)


def _length(features: ArrayLike) -> int:
    import numpy as np

    return len(np.asarray(features))


def _combined(
    protocol: Protocol, target: ValuesOrReasons, source: ValuesOrReasons
) -> ValuesOrReasons:
    """Put the distances to target and source together as the protocol weighs them."""
    apart = _renamed(source, "source")
    if not protocol.source_weight:
        return target | apart
    mean: ValuesOrReasons = {}
    for key, one in target.items():
        other = source[key]
        if isinstance(one, str) or isinstance(other, str):
            mean[key] = one if isinstance(one, str) else other
        else:
            mean[key] = protocol.target_weight * one + protocol.source_weight * other
    return mean | _renamed(target, "target") | apart


def _renamed(found: ValuesOrReasons, side: str) -> ValuesOrReasons:
    """Put the side into each name, as the metrics of the sides have it."""
    return {key_beside(key, side): value for key, value in found.items()}

"""Configuration of IcGAN, its presets and studies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from i2i_baselines.icgan.networks import LEAST_SIDE, num_stages
from i2i_bench.blocks.limits import at_least, check_limits, require_choices
from i2i_bench.model import Ablation, Preset, Variation

ENCODERS = ("independent", "conditioned", "shared")
OTHER_LABELS = ("recognised", "given")
SHARES = ("gan_share", "latent_share", "label_share")
CELEBA_18 = (  # the attributes of the authors, in the order of CelebA's list
    *("Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Eyeglasses"),
    *("Gray_Hair", "Heavy_Makeup", "Male", "Mouth_Slightly_Open", "Mustache", "Pale_Skin"),
    *("Receding_Hairline", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Hat"),
)
CELEBA_PARTNERS = (  # of which an edit leaves one: hair styles, colours and forms
    ("Bald", "Bangs", "Receding_Hairline"),
    ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"),
    ("Straight_Hair", "Wavy_Hair"),
)


@dataclass(frozen=True)
class IcGANConfig:
    """Configuration of IcGAN.

    Attributes:
        attributes: What the labels say, in their order.
        exclusive: Groups of attributes of which an image has one at most.
        partners: Groups of attributes of which an edit that adds one takes the others away.
        image_size: Side in pixels of the images, a power of 2.
        generator_width: Channels of the generator's last layer but one; they double before it.
        discriminator_width: Channels of the discriminator's first layer; they double with each.
        encoder_width: Channels of the encoders' first layer; they double with each.
        encoder_layers: Halvings of the encoders.
        latent_width: Numbers of a latent code.
        latent_hidden: Channels between the linear layers of the encoder of codes; 0 for as many as
            come in.
        label_hidden: The same of the encoder of labels.
        generator_labels_at: Layer of the generator that sees the labels; 0 for the first.
        discriminator_labels_at: The same of the discriminator.
        mismatched: Whether the discriminator learns to refuse images with the labels of others.
        encoders: Of codes and of labels: ``independent``; ``conditioned``, the former sees labels
            too; ``shared``, one network with two outputs, which learns from fakes alone.
        other_labels: Of an edit, those that it leaves alone: ``recognised`` in the image, or as
            they are ``given``.
        gan_share: Part of the budget in which the GAN learns, in proportion to the two below.
        latent_share: Part in which the encoder of codes learns.
        label_share: Part in which the encoder of labels learns; a shared encoder learns in both.
        refresh_passes: Steps at the start of the second stage in which the generator renews its
            running statistics; for a shared encoder, they may go on in the third.
        learning_rate: Adam's, of generator and discriminator.
        beta1: Adam's decay of their first moment; the second's is 0.999.
        encoder_learning_rate: Adam's, of the encoders.
        encoder_beta1: Adam's decay of their first moment.
        channels: Of the images.
    """

    attributes: tuple[str, ...] = CELEBA_18
    exclusive: tuple[tuple[str, ...], ...] = ()
    partners: tuple[tuple[str, ...], ...] = ()
    image_size: int = 64
    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    encoder_width: int = at_least(1, 32)
    encoder_layers: int = at_least(1, 4)
    latent_width: int = at_least(1, 100)
    latent_hidden: int = at_least(0, 0)
    label_hidden: int = at_least(0, 512)
    generator_labels_at: int = at_least(0, 0)
    discriminator_labels_at: int = at_least(0, 1)
    mismatched: bool = True
    encoders: Literal["independent", "conditioned", "shared"] = "independent"
    other_labels: Literal["recognised", "given"] = "recognised"
    gan_share: float = at_least(0, 25.0)
    latent_share: float = at_least(0, 9.9)
    label_share: float = at_least(0, 9.9)
    refresh_passes: int = at_least(0, 100)
    learning_rate: float = 2e-4
    beta1: float = 0.5
    encoder_learning_rate: float = 1e-4
    encoder_beta1: float = 0.1
    channels: tuple[int, ...] = (3,)

    def __post_init__(self) -> None:
        check_limits(self)
        require_choices(self, encoders=ENCODERS, other_labels=OTHER_LABELS)
        if not self.attributes:
            raise ValueError("a model of labels needs attributes, as a labelled task has them")
        self._require_names()
        self._require_sizes()
        if not sum(getattr(self, name) for name in SHARES):
            raise ValueError(f"{', '.join(SHARES)} are 0; one of them must be more")

    def _require_names(self) -> None:
        """Require that partners are attributes."""
        for name in (name for group in self.partners for name in group):
            if name not in self.attributes:
                known = ", ".join(self.attributes)
                raise ValueError(f"partners name {name}; possible: {known}")

    def _require_sizes(self) -> None:
        """Require that images can be doubled and halved as often as there are layers."""
        side = self.image_size
        if side < 2 * LEAST_SIDE or side & (side - 1):
            raise ValueError(f"image_size is {side}; a power of 2, of at least 8, is needed")
        if side >> self.encoder_layers < 2:  # one pixel of one image cannot be normalised
            raise ValueError(
                f"encoder_layers is {self.encoder_layers}; images of {side} px are halved at most "
                f"{side.bit_length() - 2} times"
            )
        for name in ("generator_labels_at", "discriminator_labels_at"):
            if (given := getattr(self, name)) >= num_stages(side):
                last = num_stages(side) - 1
                raise ValueError(f"{name} is {given}; at {side} px layers are 0 to {last}")


def celeba_partners(attributes: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Give the authors' groups, as far as two of their attributes are there."""
    known = set(attributes)
    groups = (tuple(name for name in group if name in known) for group in CELEBA_PARTNERS)
    return tuple(group for group in groups if len(group) > 1)


ABLATIONS = {
    "encoders": Ablation(
        "Independent encoders, one that sees labels, and one network for both",
        "encoders",
        tuple(Variation(each, {"encoders": each}) for each in ENCODERS),
    ),
    "labels": Ablation(
        "Where labels join the layers of generator and discriminator",
        "layers",
        (
            Variation("first and second", {}),
            Variation("first and first", {"discriminator_labels_at": "0"}),
            Variation("first and third", {"discriminator_labels_at": "2"}),
            Variation("second and second", {"generator_labels_at": "1"}),
        ),
    ),
    "mismatched": Ablation(
        "With and without images that have the labels of others",
        "mismatched",
        (Variation("with", {}), Variation("without", {"mismatched": "false"})),
    ),
    "edits": Ablation(
        "Labels that an edit leaves alone: recognised in the image, or as they are given",
        "other labels",
        tuple(Variation(each, {"other_labels": each}) for each in OTHER_LABELS),
    ),
}

PRESETS: Mapping[Preset, dict[str, Any]] = {
    "published": {},
    "small": {
        **{"generator_width": 32, "discriminator_width": 32, "encoder_width": 16},
        **{"latent_width": 64, "latent_hidden": 256, "label_hidden": 128},
        **{"gan_share": 40.0, "latent_share": 24.0, "label_share": 8.0},
        **{"learning_rate": 4e-4, "encoder_learning_rate": 1e-3},
    },
    "tiny": {
        **{"generator_width": 4, "discriminator_width": 4, "encoder_width": 4},
        **{"latent_width": 8, "label_hidden": 16, "refresh_passes": 1},
    },
}

"""IcGAN (Perarnau et al.: Invertible Conditional GANs for image editing, NIPS Workshops 2016)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.icgan.card import CARD
from i2i_baselines.icgan.config import ABLATIONS, PRESETS, IcGANConfig, celeba_partners
from i2i_baselines.icgan.networks import (
    LEAST_SIDE,
    ConditionalDiscriminator,
    ConditionalGenerator,
    ImageEncoder,
    SharedEncoder,
)
from i2i_bench.blocks.initialise import init_normal, init_torch_2017
from i2i_bench.blocks.limits import require_task_size, task_channels
from i2i_bench.blocks.losses import adversarial_cross_entropy
from i2i_bench.blocks.optimise import adam, descend, frozen
from i2i_bench.labels import EVERY
from i2i_bench.model import (
    Batch,
    Clock,
    Direction,
    Model,
    Needs,
    Preset,
    Settings,
    TaskFacts,
)
from i2i_bench.randomness import Randomness

SIDE = 64  # px, of the authors' images
Stage = Literal["gan", "latent", "label"]


class IcGAN(Model):
    """A conditional GAN, then encoders that find code and labels of an image; edits change labels.

    ``training_step`` trains one part at a time, as the clock says: the GAN, then the encoder of
    codes on what the generator makes, then the encoder of labels on images.
    """

    card = CARD
    Config = IcGANConfig
    ablations = ABLATIONS

    def __init__(self, config: IcGANConfig) -> None:
        self.config = config
        shared: dict[str, int] = {"image_size": config.image_size}
        labels, (channels,) = len(config.attributes), config.channels
        self.generator = ConditionalGenerator(
            config.generator_width,
            config.latent_width,
            labels,
            labels_at=config.generator_labels_at,
            outputs=channels,
            **shared,
        )
        self.discriminator = ConditionalDiscriminator(
            config.discriminator_width,
            labels,
            labels_at=config.discriminator_labels_at,
            inputs=channels,
            **shared,
        )
        gan = nn.ModuleDict({"generator": self.generator, "discriminator": self.discriminator})
        init_normal(gan)
        self.encoders = make_encoders(config)
        init_torch_2017(self.encoders)
        self.networks = nn.ModuleDict({**gan, **self.encoders})
        self.optimizers = adam(gan, config.learning_rate, config.beta1)
        self.optimizers |= adam(self.encoders, config.encoder_learning_rate, config.encoder_beta1)
        self.state = {}
        self.stage: Stage = "gan"
        self.refreshes = False

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' settings (25, 9.9 and 9.9 epochs at batch 64), or smaller ones."""
        require_task_size(task, cls.card.minimum_size, cls.card.title)
        side = min(task.image_size, 32 if preset == "tiny" else SIDE)
        size = 1 << (side.bit_length() - 1)
        facts: dict[str, Any] = {"attributes": task.attributes, "exclusive": task.exclusive}
        facts |= {"partners": partner_groups(task), "channels": task_channels(task)[:1]}
        halvings = (size // LEAST_SIDE).bit_length() - 1
        config = IcGANConfig(image_size=size, encoder_layers=halvings, **facts, **PRESETS[preset])
        epochs = config.gan_share + config.latent_share + config.label_share
        batch_size, budget = {
            "published": (64, round(epochs * max(task.num_train.values()))),
            "small": (16, 72_000),
            "tiny": (4, 24),
        }[preset]
        return Settings(config, batch_size, budget, size, size, resampling="bilinear")

    @classmethod
    def needs(cls, config: IcGANConfig) -> Needs:
        """Ask for labels."""
        del config
        return Needs(labels="required")

    def prepare(self, batches: Iterable[Batch], random: Randomness) -> None:
        """Look at one batch: the encoders' vectors are normalised over it.

        Raises:
            ValueError: If it has a single image.
        """
        del random
        if len(next(iter(batches)).images[EVERY]) < 2:
            raise ValueError(
                "batches of one image cannot be normalised; set batch_size to 2 or more"
            )

    def advance(self, clock: Clock) -> None:
        """Find the stage of a step by its share of all, and whether statistics are renewed."""
        config, done = self.config, clock.step - 1
        parts = config.gan_share, config.latent_share, config.label_share
        latent, label = (
            round(clock.total_steps * sum(parts[:count]) / sum(parts)) for count in (1, 2)
        )
        self.stage = "gan" if done < latent else "latent" if done < label else "label"
        shows_fakes = self.stage == "latent" or (done >= label and config.encoders == "shared")
        self.refreshes = shows_fakes and done < latent + config.refresh_passes

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Train what the stage is of."""
        assert batch.labels is not None
        real, labels = batch.images[EVERY], signed(batch.labels[EVERY])
        if self.refreshes:
            self.refresh(self._draw("refresh", real, random), labels)
        if self.stage == "gan":
            losses = self.train_gan(real, labels, random)
        elif self.config.encoders == "shared":
            losses = self.train_shared(self._draw("code", real, random), labels)
        elif self.stage == "latent":
            losses = self.train_latent(self._draw("code", real, random), labels)
        else:
            found = self.encoders["label_encoder"](real)
            losses = {"classification_real": F.mse_loss(found, labels)}
            descend(self.optimizers["label_encoder"], losses["classification_real"])
        return {name: value.detach() for name, value in losses.items()}

    def _draw(self, name: str, images: Tensor, random: Randomness) -> Tensor:
        """Draw a normal code for each image."""
        return random.normal(name, (len(images), self.config.latent_width)).to(images.dtype)

    def train_gan(self, real: Tensor, labels: Tensor, random: Randomness) -> dict[str, Tensor]:
        """Update the discriminator, then the generator on the same fakes."""
        codes, asked = self._draw("code", real, random), exchanged_labels(labels, random)
        wrong = mismatched_labels(labels, random) if self.config.mismatched else None
        fake = self.generator(codes, asked)
        right = self.judge_all(real, (labels, wrong), fake.detach(), asked)
        descend(self.optimizers["discriminator"], right)
        with frozen(self.discriminator):
            lacking = adversarial_cross_entropy(self.discriminator(fake, asked), 1.0)
            descend(self.optimizers["generator"], lacking)
        return {"discriminator": right, "adversarial": lacking}

    def judge_all(
        self, real: Tensor, labels: tuple[Tensor, Tensor | None], fake: Tensor, asked: Tensor
    ) -> Tensor:
        """Give what the discriminator minimises; each pass has batch statistics of its own.

        Args:
            real: Images.
            labels: Theirs, and those of others; None where it does not learn from these.
            fake: Images that were asked for.
            asked: With these labels.
        """
        own, wrong = labels
        terms = [adversarial_cross_entropy(self.discriminator(real, own), 1.0)]
        share = 1.0 if wrong is None else 0.5
        if wrong is not None:
            terms.append(share * adversarial_cross_entropy(self.discriminator(real, wrong), 0.0))
        terms.append(share * adversarial_cross_entropy(self.discriminator(fake, asked), 0.0))
        return torch.stack(terms).sum()

    def refresh(self, codes: Tensor, labels: Tensor) -> None:
        """Have the generator's running statistics move once, towards those of its last weights."""
        with torch.no_grad():
            self.generator(codes, labels)

    def make_fakes(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Make images as in translation, by running statistics, for encoders to learn from."""
        with torch.no_grad(), evaluated(self.generator):
            return self.generator(codes, labels)

    def train_latent(self, codes: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Update the encoder of codes on fakes."""
        found = self.encode_latent(self.make_fakes(codes, labels), labels)
        loss = F.mse_loss(found, codes)
        descend(self.optimizers["latent_encoder"], loss)
        return {"latent": loss}

    def train_shared(self, codes: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Update the encoder of both on fakes."""
        found, seen = self.encoders["shared_encoder"](self.make_fakes(codes, labels))
        losses = {"latent": F.mse_loss(found, codes), "classification": F.mse_loss(seen, labels)}
        descend(self.optimizers["shared_encoder"], losses["latent"] + losses["classification"])
        return losses

    def encode_latent(self, images: Tensor, labels: Tensor) -> Tensor:
        """Find the codes of images; labels are -1 or 1, and a conditioned encoder sees them."""
        if self.config.encoders == "shared":
            return self.encoders["shared_encoder"](images)[0]
        is_seen = self.config.encoders == "conditioned"
        return self.encoders["latent_encoder"](images, labels if is_seen else None)

    def encode_labels(self, images: Tensor) -> Tensor:
        """Find the labels of images, (batch, attributes), about -1 or 1."""
        if self.config.encoders == "shared":
            return self.encoders["shared_encoder"](images)[1]
        return self.encoders["label_encoder"](images)

    def edited(self, seen: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Change labels as a translation asks for; all are (batch, attributes), -1 or 1.

        An attribute that is added takes its partners away. Where no label is to change, all are
        taken as they are asked for.

        Args:
            seen: Labels of the images, as they are recognised.
            before: As they are given.
            after: What they are to become.
        """
        changes = before != after
        added = (changes & (after > 0)).to(seen.dtype)
        leaves = (added @ self._partners(seen)) > 0
        kept = seen if self.config.other_labels == "recognised" else after
        kept = torch.where(leaves, -torch.ones_like(kept), kept)
        return torch.where(changes | ~changes.any(dim=1, keepdim=True), after, kept)

    def _partners(self, like: Tensor) -> Tensor:
        """Give by attribute which others it takes away, (attributes, attributes) of 0 and 1."""
        names = self.config.attributes
        rows = [
            [
                float(one != other and any({one, other} <= set(g) for g in self.config.partners))
                for other in names
            ]
            for one in names
        ]
        return torch.tensor(rows, dtype=like.dtype, device=like.device)

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Generate an image of the code that is found, with edited labels."""
        assert batch.labels is not None
        images = batch.images[direction.source]
        after = signed(batch.labels[direction.target])
        before = signed(batch.labels.get(direction.source, batch.labels[direction.target]))
        seen = signed(self.encode_labels(images) > 0).to(images.dtype)
        codes = self.encode_latent(images, seen)
        return self.generator(codes, self.edited(seen, before, after))

    @classmethod
    def from_official(cls, path: Path) -> IcGAN:
        """Refuse: the authors released Torch7 files, which hold no state dict.

        Raises:
            ValueError: Always.
        """
        from i2i_baselines.official.icgan import refuse_torch7

        raise refuse_torch7(path)


def make_encoders(config: IcGANConfig) -> nn.ModuleDict:
    """Make the encoders that a configuration asks for."""
    (channels,), labels = config.channels, len(config.attributes)
    plan: dict[str, int] = {"image_size": config.image_size}
    layers = config.encoder_width, config.encoder_layers
    if config.encoders == "shared":
        outputs = config.latent_width, labels
        return nn.ModuleDict(
            {"shared_encoder": SharedEncoder(*layers, outputs, inputs=channels, **plan)}
        )
    beside = labels if config.encoders == "conditioned" else 0
    hidden = {"hidden": config.latent_hidden, "inputs": channels + beside}
    latent = ImageEncoder(*layers, config.latent_width, **hidden, **plan)
    hidden = {"hidden": config.label_hidden, "inputs": channels}
    label = ImageEncoder(*layers, labels, **hidden, **plan)
    return nn.ModuleDict({"latent_encoder": latent, "label_encoder": label})


def partner_groups(task: TaskFacts) -> tuple[tuple[str, ...], ...]:
    """Give the groups of which an edit leaves one: those of the task, and the authors' of faces."""
    known = (group for group in celeba_partners(task.attributes))
    return tuple(dict.fromkeys([*task.exclusive, *known]))


def signed(labels: Tensor) -> Tensor:
    """Turn 0 and 1 into -1 and 1."""
    return 2 * labels - 1


def exchanged_labels(labels: Tensor, random: Randomness) -> Tensor:
    """Exchange the labels (batch, attributes) of a batch."""
    return labels[random.uniform("exchange", (len(labels),)).argsort(stable=True)]


def mismatched_labels(labels: Tensor, random: Randomness) -> Tensor:
    """Give each image other labels than its own: of an image drawn from those that have others.

    Args:
        labels: (batch, attributes), -1 or 1; negated where all of the batch are alike.
        random: Source of chance.
    """
    differ = (labels[:, None] != labels).any(dim=2)
    chance = random.uniform("mismatched", (len(labels), len(labels)))
    others = labels[torch.where(differ, chance, -1.0).argmax(dim=1)]
    return torch.where(differ.any(dim=1, keepdim=True), others, -labels)


@contextmanager
def evaluated(network: nn.Module) -> Iterator[None]:
    """Have a network in evaluation mode for a while."""
    before = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(before)

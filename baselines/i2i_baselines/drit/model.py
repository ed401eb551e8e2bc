"""DRIT (Lee et al.: Diverse I2I Translation via Disentangled Representations, 1808.00948)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.drit.card import CARD, LOSSES
from i2i_baselines.drit.config import (
    ABLATIONS,
    DOMAINS,
    PRESETS,
    SHAPE_VARIES,
    DRITConfig,
    published_epochs,
)
from i2i_baselines.drit.losses import (
    attribute_divergence,
    judge_loss,
    take_step,
)
from i2i_baselines.drit.networks import (
    SLOPE,
    ConcatDecoder,
    ContentDiscriminator,
    ContentLayers,
    TransformDecoder,
)
from i2i_bench import official
from i2i_bench.blocks.discriminators import MultiScaleDiscriminator
from i2i_bench.blocks.encoders import StyleEncoder, VectorEncoder
from i2i_bench.blocks.initialise import start_alike
from i2i_bench.blocks.layers import ResidualBlock
from i2i_bench.blocks.limits import load_size, require_task_size, task_channels
from i2i_bench.blocks.losses import adversarial_cross_entropy, fooling_loss, weighted_sum
from i2i_bench.blocks.normalise import InstanceNorm
from i2i_bench.blocks.optimise import adam, descend, set_learning_rate
from i2i_bench.model import (
    A2B,
    B2A,
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

Losses = dict[str, Tensor]
ByDomain = Mapping[str, Tensor]


@dataclass(frozen=True)
class Forward:
    """What a step computes before its losses, each by domain.

    Attributes:
        real: Images whose attributes are encoded.
        content: Of them, with noise.
        divergence: Of their attributes from the prior.
        fake: Translations into the domain, with the attribute of its image.
        same: Images of the domain, of their own attribute.
        cycled: Translations back, to the images of the domain.
        drawn: Translations into the domain with each of one or two drawn attributes.
        codes: These attributes, the same for both domains.
        found: What is encoded from the first of them.
    """

    real: ByDomain
    content: ByDomain
    divergence: ByDomain
    fake: ByDomain
    same: ByDomain
    cycled: ByDomain
    drawn: Mapping[str, tuple[Tensor, ...]]
    codes: tuple[Tensor, ...]
    found: ByDomain


class DRIT(Model):
    """Contents of both domains in one space, and an attribute for what a domain has beyond them."""

    card = CARD
    Config = DRITConfig
    ablations = ABLATIONS
    losses = LOSSES

    def __init__(self, config: DRITConfig) -> None:
        self.config, self.is_full = config, True
        channels = dict(zip(DOMAINS, config.channels, strict=True))
        width, halvings = config.generator_width, config.num_halvings
        content_width = width * 2**halvings
        norm = InstanceNorm if config.content_norm == "instance" else None
        self.contents = ContentLayers(width, config.num_blocks, channels, halvings, norm)
        is_concat = config.combine == "concat"
        self.joint = ResidualBlock(content_width) if is_concat else nn.Identity()
        decoder = ConcatDecoder if is_concat else TransformDecoder
        self.decoders = nn.ModuleDict(
            {
                d: decoder(width, config.decoder_blocks, config.attribute_width, n, halvings)
                for d, n in channels.items()
            }
        )
        self.attributes = nn.ModuleDict({d: self._attributes(n) for d, n in channels.items()})
        self.discriminators = self._discriminators(channels)
        self.random_discriminators = self._discriminators(channels)
        self.content_discriminator = ContentDiscriminator(
            content_width, config.content_layers, config.content_kernel
        )
        translators = {"contents": self.contents, "decoders": self.decoders}
        if is_concat:
            translators["joint"] = self.joint
        judges = {"encoded": self.discriminators, "random": self.random_discriminators}
        self.networks = nn.ModuleDict(
            {
                "translators": nn.ModuleDict(translators),
                "attributes": self.attributes,
                "discriminators": nn.ModuleDict(judges),
                "content_discriminator": self.content_discriminator,
            }
        )
        for layer in self.networks.modules():  # biases keep PyTorch's own
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)
        if config.same_start:
            start_alike((self.contents.own, self.attributes, self.decoders))
        self.optimizers = adam(
            self.networks, config.learning_rate, config.beta1, config.weight_decay
        )
        self.state = {}

    def _attributes(self, channels: int) -> nn.Module:
        config = self.config
        width, code = config.generator_width, config.attribute_width
        if config.combine == "transform":
            return StyleEncoder(width, code, channels)
        more = {"inputs": channels, "norm": None, "padding": "reflect"}
        return VectorEncoder(width, config.attribute_blocks, code, **more)

    def _discriminators(self, channels: Mapping[str, int]) -> nn.ModuleDict:
        config = self.config
        shape = config.discriminator_width, config.discriminator_layers, config.discriminator_scales
        return nn.ModuleDict(
            {
                domain: MultiScaleDiscriminator(*shape, channels=n, slope=SLOPE)
                for domain, n in channels.items()
            }
        )

    @classmethod
    def needs(cls, config: DRITConfig) -> Needs:
        """Ask for sides that can be halved."""
        return Needs(multiple=2**config.num_halvings)

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule (1200 epochs of 216 px at batch 2), or a smaller one."""
        config = replace(PRESETS[preset], channels=task_channels(task))
        if preset == "published":
            num_images = max(task.num_train.values())
            epochs = published_epochs(num_images)
            combine = "transform" if task.name in SHAPE_VARIES else "concat"
            config = replace(config, combine=combine, num_epochs=epochs)
            if combine == "transform":
                config = replace(config, decoder_blocks=4)
            size = round(task.image_size * 216 / 256)
            size -= size % 4
            require_task_size(task, 251, cls.card.title)  # of which the crop is the 212 it needs
            return Settings(config, 2, epochs * num_images, task.image_size, size)
        batch_size, budget, largest = {"small": (4, 10_000, 64), "tiny": (2, 8, 32)}[preset]
        size = min(task.image_size, largest)
        require_task_size(task, config.minimum_size, f"{cls.card.title}, {preset},")
        return Settings(config, batch_size, budget, load_size(task, size), size)

    def advance(self, clock: Clock) -> None:
        """Decay the learning rate by epochs, and say whether the step trains all networks."""
        rate = self.config.rate(clock)
        set_learning_rate(self.optimizers, rate)
        content = {"content_discriminator": self.optimizers["content_discriminator"]}
        set_learning_rate(content, rate * self.config.content_rate)
        self.is_full = self.config.trains_all(clock)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update the content discriminator alone, or all networks on one forward pass."""
        half = -(-len(batch.images["a"]) // 2)
        encoded = {d: batch.images[d][:half] for d in DOMAINS}
        if not self.is_full:
            with torch.no_grad():
                content = self._noisy_contents(encoded, random)
            return self._train_content_discriminator(content)
        shown = {d: batch.images[d][-half:] for d in DOMAINS}
        forward = self._forward(encoded, random)
        losses = self._train_discriminators(forward, shown)
        losses |= self._train_content_discriminator(forward.content)
        return losses | self._train_translators(forward)

    def _noisy_contents(self, images: ByDomain, random: Randomness, name: str = "") -> Losses:
        """Encode images of each domain, with noise from N(0, 1)."""
        found = {}
        for domain in DOMAINS:
            content = self.contents(images[domain], domain)
            found[domain] = content + random.normal(f"content{name}_{domain}", tuple(content.shape))
        return found

    def _attribute(self, images: Tensor, domain: str) -> tuple[Tensor, Tensor | None]:
        """Encode images to the mean of their attributes and the logarithm of the variance."""
        found = self.attributes[domain](images)
        return found if isinstance(found, tuple) else (found, None)

    def _sample(
        self, mean: Tensor, log_variance: Tensor | None, random: Randomness, name: str
    ) -> Tensor:
        if log_variance is None:
            return mean
        return mean + (0.5 * log_variance).exp() * random.normal(name, tuple(mean.shape))

    def _decode(self, content: Tensor, attribute: Tensor, domain: str) -> Tensor:
        return self.decoders[domain](self.joint(content), attribute)

    def _forward(self, real: ByDomain, random: Randomness) -> Forward:
        """Translate with encoded and drawn attributes, and back; outputs share a forward."""
        content = self._noisy_contents(real, random)
        encoded = {d: self._attribute(real[d], d) for d in DOMAINS}
        attribute = {d: self._sample(*encoded[d], random, f"attribute_{d}") for d in DOMAINS}
        names = ("drawn", "drawn2") if self.config.lambda_mode_seeking > 0 else ("drawn",)
        codes = tuple(random.normal(name, tuple(attribute["a"].shape)) for name in names)
        fake, same, drawn = {}, {}, {}
        for source, target in (("b", "a"), ("a", "b")):
            contents = [content[source], content[target], *(len(codes) * [content[source]])]
            attributes = [attribute[target], attribute[target], *codes]
            outputs = self._decode(torch.cat(contents), torch.cat(attributes), target)
            fake[target], same[target], *rest = outputs.chunk(len(contents))
            drawn[target] = tuple(rest)
        again = self._noisy_contents(fake, random, "_fake")  # of "a" that of the image of b
        cycled, found = {}, {}
        for domain, other in (("a", "b"), ("b", "a")):
            recoded = self._attribute(fake[domain], domain)
            code = self._sample(*recoded, random, f"attribute_fake_{domain}")
            cycled[domain] = self._decode(again[other], code, domain)
            found[domain], _ = self._attribute(drawn[domain][0], domain)
        divergence = {d: attribute_divergence(*encoded[d]) for d in DOMAINS}
        return Forward(real, content, divergence, fake, same, cycled, drawn, codes, found)

    def _train_discriminators(self, forward: Forward, shown: ByDomain) -> Losses:
        """Update the discriminators of encoded and of drawn attributes."""
        losses = {}
        for domain in DOMAINS:
            judge, fakes = self.discriminators[domain], (forward.fake[domain],)
            losses[f"discriminator_{domain}"] = judge_loss(judge, forward.real[domain], fakes)
            judge, fakes = self.random_discriminators[domain], forward.drawn[domain]
            losses[f"discriminator_random_{domain}"] = judge_loss(judge, shown[domain], fakes)
        descend(self.optimizers["discriminators"], torch.stack(list(losses.values())).sum())
        return {name: value.detach() for name, value in losses.items()}

    def _train_content_discriminator(self, content: ByDomain) -> Losses:
        """Update the discriminator of contents: a is 0 and b is 1."""
        optimizer = self.optimizers["content_discriminator"]
        optimizer.zero_grad(set_to_none=True)
        both = torch.cat([content[d].detach() for d in DOMAINS])
        of_a, of_b = self.content_discriminator(both).chunk(2)
        loss = adversarial_cross_entropy(of_a, 0.0) + adversarial_cross_entropy(of_b, 1.0)
        loss.backward()
        nn.utils.clip_grad_norm_(self.content_discriminator.parameters(), self.config.most_norm)
        optimizer.step()
        return {"discriminator_content": loss.detach()}

    def _train_translators(self, forward: Forward) -> Losses:
        """Update encoders and decoders by the terms of encoded, then by those of drawn attributes.

        Both gradients are of the weights before; the second leaves the attribute encoders alone.
        """
        first, second = self._encoded_losses(forward), self._drawn_losses(forward)
        translators = list(self.networks["translators"].parameters())
        attributes = list(self.networks["attributes"].parameters())
        weights = self._weights()
        gradients = torch.autograd.grad(
            weighted_sum(first, weights), [*translators, *attributes], retain_graph=True
        )
        later = torch.autograd.grad(weighted_sum(second, weights), translators)
        take_step(self.optimizers["attributes"], attributes, gradients[len(translators) :])
        take_step(self.optimizers["translators"], translators, gradients[: len(translators)])
        take_step(self.optimizers["translators"], translators, later)
        return {name: value.detach() for name, value in (first | second).items()}

    def _weights(self) -> dict[str, float]:
        terms = ("reconstruction", "cycle", "latent", "kl", "kl_content", "adversarial_content")
        weights = {term: getattr(self.config, f"lambda_{term}") for term in terms}
        weights["mode_seeking"] = self.config.lambda_mode_seeking
        return weights | {"adversarial": 1.0, "adversarial_random": 1.0}

    def _encoded_losses(self, forward: Forward) -> Losses:
        losses: Losses = {}
        for way in (A2B, B2A):
            judged = self.discriminators[way.target](forward.fake[way.target])
            losses[f"adversarial_{way}"] = fooling_loss(judged, adversarial_cross_entropy)
        for domain in DOMAINS:
            real, content = forward.real[domain], forward.content[domain]
            told = self.content_discriminator(content)
            losses[f"adversarial_content_{domain}"] = adversarial_cross_entropy(told, 0.5)
            losses[f"kl_{domain}"] = forward.divergence[domain]
            losses[f"kl_content_{domain}"] = content.square().mean()
            losses[f"cycle_{domain}"] = F.l1_loss(forward.cycled[domain], real)
            losses[f"reconstruction_{domain}"] = F.l1_loss(forward.same[domain], real)
        return losses

    def _drawn_losses(self, forward: Forward) -> Losses:
        losses: Losses = {}
        codes = forward.codes
        for way in (A2B, B2A):
            drawn, judge = forward.drawn[way.target], self.random_discriminators[way.target]
            judged = [fooling_loss(judge(each), adversarial_cross_entropy) for each in drawn]
            losses[f"adversarial_random_{way}"] = torch.stack(judged).sum()
            losses[f"latent_{way.target}"] = F.l1_loss(forward.found[way.target], codes[0])
            if len(drawn) == 2:
                ratio = F.l1_loss(drawn[0], drawn[1]) / F.l1_loss(codes[0], codes[1])
                losses[f"mode_seeking_{way}"] = 1 / (ratio + 1e-5)
        return losses

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Decode the content of images with the attributes of examples, or with drawn ones."""
        images, target = batch.images[direction.source], direction.target
        if batch.examples is not None:
            found = self._attribute(batch.examples[target], target)
            attribute = self._sample(*found, random, "attribute")
        else:
            attribute = random.normal("attribute", (len(images), self.config.attribute_width))
        return self._decode(self.contents(images, direction.source), attribute, target)

    @classmethod
    def from_official(cls, path: Path) -> DRIT:
        """Read the last ``%05d.pth``, or any one file, of either version.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        from i2i_baselines.official.drit import read_drit

        facts, parts = read_drit(path)
        return official.build(cls, DRITConfig(**facts), parts)

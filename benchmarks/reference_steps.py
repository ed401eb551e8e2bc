"""Reference steps: the training steps as published, each pass on its own and everything kept.

They are what ``step.py`` compares with, and nothing else uses them. A reference step has the
networks of its model, so that both start from the same weights, but the authors' order of work:
nothing is shared between passes, graphs are kept that nobody follows, every intermediate is held
until the next step, and blends and normalisations are computed term by term.
``tests/whole/test_reference_steps.py`` holds each to the losses of the authors' code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from i2i_attentiongan.networks import AttentionGenerator
from i2i_attentiongan.scheme2 import AttentionGAN
from i2i_baselines import unit
from i2i_baselines.cyclegan import CycleGAN
from i2i_baselines.drit.model import DRIT
from i2i_baselines.munit.model import MUNIT
from i2i_baselines.ugatit import networks as ugatit
from i2i_baselines.ugatit.model import UGATITLight
from reference_styles import ReferenceDRIT, ReferenceMUNIT
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.blocks.layers import ConvLayer
from i2i_bench.blocks.losses import least_squares
from i2i_bench.blocks.normalise import SampleNorm
from i2i_bench.blocks.optimise import frozen
from i2i_bench.model import A2B, B2A, Batch, Model
from i2i_bench.randomness import Randomness

DIRECTIONS = (A2B, B2A)
Losses = dict[str, Tensor]


class ReferenceCycleGAN(CycleGAN):
    """CycleGAN's step: six passes of generators, then two backwards of discriminators."""

    kept: dict[str, Any]

    def training_step(self, batch: Batch, random: Randomness) -> Losses:
        """Update both generators, then both discriminators on the fakes made before that."""
        return cycle_step(self, batch.images, random)

    def generate(self, direction: str, images: Tensor) -> Tensor:
        """Apply a generator."""
        return self.generators[direction](images)


def cycle_step(
    model: ReferenceCycleGAN | ReferenceAttentionGAN, real: Mapping[str, Tensor], random: Randomness
) -> Losses:
    """Take CycleGAN's step with the generators that a model has."""
    model.kept = {}
    fake, cycled = {}, {}
    for d in DIRECTIONS:
        fake[d.target] = model.generate(str(d), real[d.source])
        cycled[d.source] = model.generate(str(d.reverse), fake[d.target])
    losses: Losses = {}
    with frozen(model.discriminators):
        model.optimizers["generators"].zero_grad()
        for d in DIRECTIONS:
            same = model.kept[f"same_{d.target}"] = model.generate(str(d), real[d.target])
            losses[f"identity_{d.target}"] = F.l1_loss(same, real[d.target])
            judged = model.discriminators[d.target](fake[d.target])
            losses[f"adversarial_{d}"] = least_squares(judged, 1.0)
            losses[f"cycle_{d.source}"] = F.l1_loss(cycled[d.source], real[d.source])
        weights = {"cycle": model.config.lambda_cycle, "identity": model.config.lambda_identity}
        _weighted(losses, weights).backward()
        model.optimizers["generators"].step()
    model.optimizers["discriminators"].zero_grad()
    for domain, judge in model.discriminators.items():
        shown = model.pools[domain].query(fake[domain].detach(), random, f"pool_{domain}")
        of_real = least_squares(judge(real[domain]), 1.0)
        of_fake = least_squares(judge(shown), 0.0)
        loss = losses[f"discriminator_{domain}"] = 0.5 * (of_real + of_fake)
        loss.backward()
    model.optimizers["discriminators"].step()
    model.kept |= {"fake": fake, "cycled": cycled}
    return {name: value.detach() for name, value in losses.items()}


class ReferenceAttentionGAN(AttentionGAN):
    """CycleGAN's step with generators that give thirty tensors a pass, all kept."""

    kept: dict[str, Any]

    def training_step(self, batch: Batch, random: Randomness) -> Losses:
        """Update both generators, then both discriminators on the fakes made before that."""
        return cycle_step(self, batch.images, random)

    def generate(self, direction: str, images: Tensor) -> Tensor:
        """Apply a generator; keep its contents, its masks in three channels and their products."""
        generator = self.generators[direction]
        assert isinstance(generator, AttentionGenerator)
        features = generator.encoder(images)
        planes = generator.content(features)
        attention = generator.attention(features).softmax(dim=1)
        contents = [planes[:, 3 * i : 3 * i + 3] for i in range(generator.num_contents)]
        masks = [attention[:, i : i + 1].repeat(1, 3, 1, 1) for i in range(attention.shape[1])]
        layers = [*contents, images] if generator.copies_input else contents
        products = [layer * mask for layer, mask in zip(layers, masks, strict=True)]
        result = products[0]
        for product in products[1:]:
            result = result + product
        self.kept[f"{direction}_{len(self.kept)}"] = (products, masks, contents)
        return result


def _weighted(losses: Losses, weights: Mapping[str, float]) -> Tensor:
    """Add up losses, each times the weight of its term, 1 unless given."""
    total = torch.zeros_like(next(iter(losses.values())))
    for name, value in losses.items():
        total = total + weights.get(name.rpartition("_")[0], 1.0) * value
    return total


def blend_norms(norm: ugatit.LayerInstanceNorm, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Normalise by instance and by layer, each in full, and blend (equation 1 of 1907.10830)."""
    mean, variance = x.mean(dim=(2, 3), keepdim=True), x.var(dim=(2, 3), keepdim=True)
    of_instance = (x - mean) / torch.sqrt(variance + 1e-5)
    mean, variance = x.mean(dim=(1, 2, 3), keepdim=True), x.var(dim=(1, 2, 3), keepdim=True)
    of_layer = (x - mean) / torch.sqrt(variance + 1e-5)
    return (norm.rho * of_instance + (1 - norm.rho) * of_layer) * gamma + beta


def map_activations(layer: ugatit.ClassActivationMap, x: Tensor) -> tuple[Tensor, Tensor]:
    """Weigh the features by both classifiers, then merge the two copies."""
    average, largest = F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)
    logits = [layer.gap_fc(average.flatten(1)), layer.gmp_fc(largest.flatten(1))]
    weights = [next(fc.parameters()) for fc in (layer.gap_fc, layer.gmp_fc)]
    both = torch.cat([x * weight[:, :, None, None] for weight in weights], dim=1)
    return layer.activation(layer.conv1x1(both)), torch.cat(logits, dim=1)


class ReferenceUGATITLight(UGATITLight):
    """U-GAT-IT light's step: fakes made twice, the first time with a graph nobody follows."""

    kept: dict[str, Any]

    def training_step(self, batch: Batch, random: Randomness) -> Losses:
        """Update the discriminators, then the generators on fakes made anew."""
        del random
        self.kept, losses = {}, {}
        self.optimizers["discriminators"].zero_grad()
        fake = {d.target: self._generate(str(d), batch.images[d.source]) for d in DIRECTIONS}
        for domain in ("a", "b"):
            of_real = self._judge(domain, batch.images[domain], 1.0)
            of_fake = self._judge(domain, fake[domain][0], 0.0)
            losses[f"discriminator_{domain}"] = of_real + of_fake
        (losses["discriminator_a"] + losses["discriminator_b"]).backward()
        self.optimizers["discriminators"].step()
        self.optimizers["generators"].zero_grad()
        self.kept["first"] = fake
        of_generators = self._generator_losses(batch.images)
        config = self.config
        weights = {"cycle": config.lambda_cycle, "cam": config.lambda_cam}
        _weighted(of_generators, weights | {"identity": config.lambda_identity}).backward()
        self.optimizers["generators"].step()
        with torch.no_grad():
            for module in self.generators.modules():
                if isinstance(module, ugatit.LayerInstanceNorm):
                    module.rho.clamp_(0, 1)
        losses |= of_generators
        return {name: value.detach() for name, value in losses.items()}

    def _generator_losses(self, real: Mapping[str, Tensor]) -> Losses:
        fake = {d.target: self._generate(str(d), real[d.source]) for d in DIRECTIONS}
        losses: Losses = {}
        cycled = {
            d.source: self._generate(str(d.reverse), fake[d.target][0])[0] for d in DIRECTIONS
        }
        for d in DIRECTIONS:
            same, of_target = self._generate(str(d), real[d.target])
            of_source = fake[d.target][1]
            losses[f"identity_{d.target}"] = F.l1_loss(same, real[d.target])
            losses[f"cam_{d}"] = F.binary_cross_entropy_with_logits(
                of_source, torch.ones_like(of_source)
            ) + F.binary_cross_entropy_with_logits(of_target, torch.zeros_like(of_target))
            losses[f"cycle_{d.source}"] = F.l1_loss(cycled[d.source], real[d.source])
            self.kept[f"same_{d.target}"] = same
        for d in DIRECTIONS:
            losses[f"adversarial_{d}"] = self._judge(d.target, fake[d.target][0], 1.0)
        self.kept |= {"fake": fake, "cycled": cycled}
        return losses

    def _judge(self, domain: str, images: Tensor, target: float) -> Tensor:
        """Sum the distances of all logits of a domain's discriminators from a constant."""
        judges = self.discriminators[domain]
        assert isinstance(judges, nn.ModuleDict)
        terms = []
        for judge in judges.values():
            assert isinstance(judge, ugatit.Discriminator)
            x, logits = map_activations(judge.activation_map, judge.layers(images))
            terms += [judge.last(F.pad(x, (1, 1, 1, 1), "reflect")), logits]
        return torch.stack([least_squares(each, target) for each in terms]).sum()

    def _generate(self, direction: str, images: Tensor) -> tuple[Tensor, Tensor]:
        """Apply a generator; keep the map of its attention."""
        generator = self.generators[direction]
        assert isinstance(generator, ugatit.Generator)
        x, logits = map_activations(generator.activation_map, generator.encoder(images))
        self.kept[f"map_{len(self.kept)}"] = x.sum(dim=1, keepdim=True)
        style = generator.perceptron(F.adaptive_avg_pool2d(x, 1).flatten(1))
        gamma, beta = (
            layer(style)[:, :, None, None] for layer in (generator.gamma, generator.beta)
        )
        for block in generator.blocks:
            assert isinstance(block, ugatit.ResidualBlock)
            inner = F.relu(blend_norms(_norm(block.norm1), block.conv1(x), gamma, beta))
            x = x + blend_norms(_norm(block.norm2), block.conv2(inner), gamma, beta)
        for layer in generator.decoder:
            if isinstance(layer, ugatit.LayerInstanceNorm):
                x = blend_norms(layer, x, layer.gamma, layer.beta)
            else:
                x = layer(x)
        return x, logits


def _norm(module: nn.Module) -> ugatit.LayerInstanceNorm:
    assert isinstance(module, ugatit.LayerInstanceNorm)
    return module


class ReferenceUNIT(unit.UNIT):
    """UNIT's step: everything encoded twice, fakes for the discriminators with their graph."""

    kept: dict[str, Any]

    def training_step(self, batch: Batch, random: Randomness) -> Losses:
        """Update the discriminators, then encoders and decoders."""
        real, config = batch.images, self.config
        self.optimizers["discriminators"].zero_grad()
        noisy = {
            d: unit.sample(self.encoders[d](real[d]), random, f"discriminator_{d}")
            for d in unit.DOMAINS
        }
        fake = {d.target: self._decode(d.target, noisy[d.source]) for d in DIRECTIONS}
        losses: Losses = {}
        for domain, judge in self.discriminators.items():
            of_fake, of_real = judge(fake[domain].detach()), judge(real[domain])
            terms = [least_squares(logits, 0.0) for logits in of_fake]
            terms += [least_squares(logits, 1.0) for logits in of_real]
            losses[f"discriminator_{domain}"] = torch.stack(terms).sum()
        (losses["discriminator_a"] + losses["discriminator_b"]).backward()
        self.optimizers["discriminators"].step()
        self.kept = {"first": fake}
        self.optimizers["generators"].zero_grad()
        of_generators = self._losses(real, random)
        weights = {"reconstruction": config.lambda_reconstruction, "cycle": config.lambda_cycle}
        weights |= {"kl": config.lambda_kl, "kl_cycle": config.lambda_kl_cycle}
        _weighted(of_generators, weights).backward()
        self.optimizers["generators"].step()
        losses |= of_generators
        return {name: value.detach() for name, value in losses.items()}

    def _losses(self, real: Mapping[str, Tensor], random: Randomness) -> Losses:
        losses: Losses = {}
        latent = {d: self.encoders[d](real[d]) for d in unit.DOMAINS}
        noisy = {d: unit.sample(latent[d], random, f"generator_{d}") for d in unit.DOMAINS}
        rebuilt = {d: self._decode(d, noisy[d]) for d in unit.DOMAINS}
        fake = {d.target: self._decode(d.target, noisy[d.source]) for d in DIRECTIONS}
        recoded = {d: self.encoders[d](fake[d]) for d in unit.DOMAINS}
        cycled = {}
        for d in DIRECTIONS:
            code = unit.sample(recoded[d.target], random, f"cycle_{d.source}")
            cycled[d.source] = self._decode(d.source, code)
        for d in unit.DOMAINS:
            losses[f"reconstruction_{d}"] = F.l1_loss(rebuilt[d], real[d])
            losses[f"kl_{d}"] = latent[d].square().mean()
            losses[f"cycle_{d}"] = F.l1_loss(cycled[d], real[d])
        for d in DIRECTIONS:
            losses[f"kl_cycle_{d.source}"] = recoded[d.target].square().mean()
            judged = self.discriminators[d.target](fake[d.target])
            terms = [least_squares(logits, 1.0) for logits in judged]
            losses[f"adversarial_{d}"] = torch.stack(terms).sum()
        self.kept |= {"rebuilt": rebuilt, "fake": fake, "recoded": recoded, "cycled": cycled}
        return losses

    def _decode(self, domain: str, code: Tensor) -> Tensor:
        """Apply a decoder, its layer normalisations term by term."""
        decoder = self.decoders[domain]
        assert isinstance(decoder, nn.Sequential)
        for layer in decoder:
            if not isinstance(layer, ConvLayer) or not isinstance(layer.norm, SampleNorm):
                code = layer(code)
                continue
            norm = layer.norm
            x = layer.conv(code)
            mean = x.mean(dim=(1, 2, 3), keepdim=True)
            deviation = x.std(dim=(1, 2, 3), keepdim=True)
            x = (x - mean) / (deviation + 1e-5)
            code = layer.activation(x * norm.gamma[:, None, None] + norm.beta[:, None, None])
        return code


REFERENCES: dict[str, tuple[type[Model], type[Model]]] = {  # the model, and its reference
    "attentiongan": (AttentionGAN, ReferenceAttentionGAN),
    "cyclegan": (CycleGAN, ReferenceCycleGAN),
    "unit": (unit.UNIT, ReferenceUNIT),
    "ugatit-light": (UGATITLight, ReferenceUGATITLight),
    "munit": (MUNIT, ReferenceMUNIT),
    "drit": (DRIT, ReferenceDRIT),
}

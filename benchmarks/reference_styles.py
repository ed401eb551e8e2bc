"""Reference steps of MUNIT and DRIT, by the rules of ``reference_steps.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from i2i_baselines.drit import model as drit
from i2i_baselines.drit.losses import take_step
from i2i_baselines.munit.config import DOMAINS
from i2i_baselines.munit.model import MUNIT
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.blocks.losses import (
    adversarial_cross_entropy,
    fooling_loss,
    least_squares,
    weighted_sum,
)
from i2i_bench.model import A2B, B2A, Batch
from i2i_bench.randomness import Randomness

DIRECTIONS = (A2B, B2A)
Losses = dict[str, Tensor]


class ReferenceMUNIT(MUNIT):
    """MUNIT's step: everything encoded twice, styles of real images also where nobody uses them."""

    kept: dict[str, Any]

    def training_step(self, batch: Batch, random: Randomness) -> Losses:
        """Update the discriminators, then encoders and decoders."""
        self.optimizers["discriminators"].zero_grad()
        losses = self._judged(batch.images, random)
        torch.stack(list(losses.values())).sum().backward()
        self.optimizers["discriminators"].step()
        self.optimizers["generators"].zero_grad()
        of_generators = self._losses(batch.images, random)
        weighted_sum(of_generators, self._weights()).backward()
        self.optimizers["generators"].step()
        losses |= of_generators
        return {name: value.detach() for name, value in losses.items()}

    def _encode(self, images: Tensor, domain: str) -> tuple[Tensor, Tensor]:
        return self.contents[domain](images), self.styles[domain](images)

    def _judged(self, real: Mapping[str, Tensor], random: Randomness) -> Losses:
        """Compute the discriminators' losses on fakes that keep their graph."""
        codes = {d: self._encode(real[d], d) for d in DOMAINS}
        losses, self.kept = {}, {"codes": codes}
        for d in DIRECTIONS:
            source, target = d.source, d.target
            style = self._draw_style(len(real[source]), random, f"discriminator_{target}")
            fake = self.kept[f"first_{target}"] = self.decoders[target](codes[source][0], style)
            judge = self.discriminators[target]
            terms = [least_squares(logits, 0.0) for logits in judge(fake.detach())]
            terms += [least_squares(logits, 1.0) for logits in judge(real[target])]
            losses[f"discriminator_{target}"] = torch.stack(terms).sum()
        return losses

    def _losses(self, real: Mapping[str, Tensor], random: Randomness) -> Losses:
        losses: Losses = {}
        codes = {d: self._encode(real[d], d) for d in DOMAINS}
        drawn = {d: self._draw_style(len(real[d]), random, f"generator_{d}") for d in DOMAINS}
        rebuilt = {d: self.decoders[d](*codes[d]) for d in DOMAINS}
        fake = {
            d.target: self.decoders[d.target](codes[d.source][0], drawn[d.target])
            for d in DIRECTIONS
        }
        found = {d: self._encode(fake[d], d) for d in DOMAINS}
        for d in DIRECTIONS:
            source, target = d.source, d.target
            content, style = found[target]
            losses[f"reconstruction_{source}"] = F.l1_loss(rebuilt[source], real[source])
            losses[f"style_{target}"] = F.l1_loss(style, drawn[target])
            losses[f"content_{source}"] = F.l1_loss(content, codes[source][0])
            if self.config.lambda_cycle > 0:
                cycled = self.decoders[source](content, codes[source][1])
                losses[f"cycle_{source}"] = F.l1_loss(cycled, real[source])
            judged = self.discriminators[target](fake[target])
            losses[f"adversarial_{d}"] = fooling_loss(judged)
        self.kept |= {"again": codes, "rebuilt": rebuilt, "fake": fake, "found": found}
        return losses


class ReferenceDRIT(drit.DRIT):
    """DRIT's step: judges are asked image by image, and differentiated where nobody uses it."""

    kept: drit.Forward

    def _train_discriminators(self, forward: drit.Forward, shown: Mapping[str, Tensor]) -> Losses:
        """Update the discriminators of encoded and of drawn attributes, pass by pass."""
        optimizer, losses = self.optimizers["discriminators"], {}
        optimizer.zero_grad()
        for domain in DOMAINS:
            judge, fakes = self.discriminators[domain], (forward.fake[domain],)
            losses[f"discriminator_{domain}"] = _judge(judge, forward.real[domain], fakes)
            judge, fakes = self.random_discriminators[domain], forward.drawn[domain]
            losses[f"discriminator_random_{domain}"] = _judge(judge, shown[domain], fakes)
        for loss in losses.values():
            loss.backward()
        optimizer.step()
        return {name: value.detach() for name, value in losses.items()}

    def _train_translators(self, forward: drit.Forward) -> Losses:
        """Update encoders and decoders by two backward passes through everything."""
        self.kept = forward
        first, second = self._encoded_losses(forward), self._drawn_losses(forward)
        weights, found = self._weights(), []
        for losses, is_first in ((first, True), (second, False)):
            self.networks.zero_grad()
            weighted_sum(losses, weights).backward(retain_graph=is_first)
            found.append({p: p.grad for p in self.networks.parameters()})
        attributes = list(self.networks["attributes"].parameters())
        translators = list(self.networks["translators"].parameters())
        # both gradients are of the weights before, as those of the authors' PyTorch were
        of = found[0]
        take_step(self.optimizers["attributes"], attributes, _of(attributes, of))
        for of in found:
            take_step(self.optimizers["translators"], translators, _of(translators, of))
        return {name: value.detach() for name, value in (first | second).items()}


def _of(
    parameters: list[nn.Parameter], found: Mapping[nn.Parameter, Tensor | None]
) -> tuple[Tensor, ...]:
    gradients = [found[parameter] for parameter in parameters]
    return tuple(g for g in gradients if g is not None)


def _judge(judge: nn.Module, real: Tensor, fakes: tuple[Tensor, ...]) -> Tensor:
    """Sum cross entropies over scales and fakes; real images are judged for each of the fakes."""
    terms = []
    for fake in fakes:
        for of_fake, of_real in zip(judge(fake.detach()), judge(real), strict=True):
            terms += [adversarial_cross_entropy(of_fake, 0.0)]
            terms += [adversarial_cross_entropy(of_real, 1.0)]
    return torch.stack(terms).sum()

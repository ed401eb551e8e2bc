"""Measure one training step of two models with and without each saving of work.

The first row takes the authors' step: the order of work that their code is described with, each
pass on its own. Each later row adds one saving, and the last is the model's own step. All rows
must give the same losses, or the program stops.

Run it from a checkout, on a quiet machine: ``.venv/bin/python benchmarks/savings.py``; it prints
Markdown tables. Each row is measured in a process of its own, for the peak of its memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext

import torch
from i2i_baselines import ugatit, unit
from torch.nn import functional as F

from i2i_bench import blocks
from i2i_bench.model import A2B, B2A, Batch, Clock, Randomness

TOLERANCE = 2e-3  # of losses in float32 after the warm-up steps, relative
UGATIT_SAVINGS = (
    "fakes for the discriminators without a graph",
    "discriminators without weight gradients in the generators' step",
    "fakes made once for both steps",
    "translation and identity in one pass",
)
UNIT_SAVINGS = (
    "fakes for the discriminators without a graph",
    "discriminators without weight gradients in the generators' step",
    "real images encoded once for both steps",
    "passes of one network on one batch",
)


class AuthorsUGATIT(ugatit.UGATITLight):
    """U-GAT-IT light that saves only what ``savings`` names, of the first three."""

    savings: tuple[str, ...] = ()

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, torch.Tensor]:
        """Update the discriminators, then the generators."""
        if self.savings == UGATIT_SAVINGS:
            return super().training_step(batch, random)
        real, once = batch.images, UGATIT_SAVINGS[2] in self.savings
        # a fake that serves both steps keeps its graph for the second
        with torch.set_grad_enabled(once or UGATIT_SAVINGS[0] not in self.savings):
            fake = self._translate(real)
        shown = {d: f.detach() if self.savings else f for d, (f, *_) in fake.items()}
        judged = {}
        for domain, judges in self.discriminators.items():
            of_real = ugatit.adversarial_loss(judges, real[domain], 1.0)
            judged[f"discriminator_{domain}"] = of_real + ugatit.adversarial_loss(
                judges, shown[domain], 0.0
            )
        blocks.descend(self.optimizers["discriminators"], torch.stack(list(judged.values())).sum())
        if not once:
            del fake, shown
            fake = self._translate(real)
        losses = self._generators(real, fake)
        return {name: value.detach() for name, value in (losses | judged).items()}

    def _translate(self, real):
        return {d.target: self.generators[str(d)](real[d.source]) for d in (A2B, B2A)}

    def _generators(self, real, fake):
        config = self.config
        weights = {
            "adversarial": 1.0,
            "cycle": config.lambda_cycle,
            "identity": config.lambda_identity,
            "cam": config.lambda_cam,
        }
        spared = UGATIT_SAVINGS[1] in self.savings
        with blocks.frozen(self.discriminators) if spared else nullcontext():
            losses = self._separate_losses(real, fake)
            blocks.descend(self.optimizers["generators"], blocks.weighted_sum(losses, weights))
        with torch.no_grad():
            for module in self.generators.modules():
                if isinstance(module, ugatit.LayerInstanceNorm):
                    module.rho.clamp_(0, 1)
        return losses

    def _separate_losses(self, real, fake):
        losses = self._judged_losses(real, {domain: images for domain, (images, _) in fake.items()})
        for direction in (A2B, B2A):
            target = direction.target
            same, of_target = self.generators[str(direction)](real[target])
            of_source = fake[target][1]
            losses[f"identity_{target}"] = F.l1_loss(same, real[target])
            losses[f"cam_{direction}"] = F.binary_cross_entropy_with_logits(
                of_source, torch.ones_like(of_source)
            ) + F.binary_cross_entropy_with_logits(of_target, torch.zeros_like(of_target))
        return losses


class AuthorsUNIT(unit.UNIT):
    """UNIT that saves only what ``savings`` names, of the first three."""

    savings: tuple[str, ...] = ()

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, torch.Tensor]:
        """Update the discriminators, then encoders and decoders."""
        if self.savings == UNIT_SAVINGS:
            return super().training_step(batch, random)
        real, once = batch.images, UNIT_SAVINGS[2] in self.savings
        with torch.set_grad_enabled(once or UNIT_SAVINGS[0] not in self.savings):
            latent = self._encode(real)
        with torch.set_grad_enabled(UNIT_SAVINGS[0] not in self.savings):
            fake = self._decode(latent, random)
        judged = {}
        for domain in unit.DOMAINS:
            of_fake = self.discriminators[domain](fake[domain].detach())
            of_real = self.discriminators[domain](real[domain])
            terms = [blocks.least_squares(logits, 0.0) for logits in of_fake]
            terms += [blocks.least_squares(logits, 1.0) for logits in of_real]
            judged[f"discriminator_{domain}"] = torch.stack(terms).sum()
        blocks.descend(self.optimizers["discriminators"], torch.stack(list(judged.values())).sum())
        del fake
        losses = self._generators(real, latent if once else None, random)
        return {name: value.detach() for name, value in (losses | judged).items()}

    def _encode(self, real):
        return {domain: self.encoders[domain](real[domain]) for domain in unit.DOMAINS}

    def _decode(self, latent, random):
        noisy = {d: unit.sample(latent[d], random, f"discriminator_{d}") for d in unit.DOMAINS}
        return {d.target: self.decoders[d.target](noisy[d.source]) for d in (A2B, B2A)}

    def _generators(self, real, latent, random):
        config = self.config
        weights = {
            "adversarial": 1.0,
            "reconstruction": config.lambda_reconstruction,
            "cycle": config.lambda_cycle,
            "kl": config.lambda_kl,
            "kl_cycle": config.lambda_kl_cycle,
        }
        latent = latent or self._encode(real)
        spared = UNIT_SAVINGS[1] in self.savings
        with blocks.frozen(self.discriminators) if spared else nullcontext():
            losses = self._separate_losses(real, latent, random)
            blocks.descend(self.optimizers["generators"], blocks.weighted_sum(losses, weights))
        return losses

    def _separate_losses(self, real, latent, random):
        losses, fake = {}, {}
        noisy = {d: unit.sample(latent[d], random, f"generator_{d}") for d in unit.DOMAINS}
        for direction in (A2B, B2A):
            source, target = direction.source, direction.target
            reconstructed = self.decoders[target](noisy[target])
            fake[target] = self.decoders[target](noisy[source])
            losses[f"reconstruction_{target}"] = F.l1_loss(reconstructed, real[target])
            losses[f"kl_{target}"] = latent[target].square().mean()
        for direction in (A2B, B2A):
            source, target = direction.source, direction.target
            recoded = self.encoders[target](fake[target])
            cycled = self.decoders[source](unit.sample(recoded, random, f"cycle_{source}"))
            losses[f"cycle_{source}"] = F.l1_loss(cycled, real[source])
            losses[f"kl_cycle_{source}"] = recoded.square().mean()
            scales = self.discriminators[target](fake[target])
            judged = [blocks.least_squares(logits, 1.0) for logits in scales]
            losses[f"adversarial_{direction}"] = torch.stack(judged).sum()
        return losses


MODELS = {
    "ugatit-light": (AuthorsUGATIT, ugatit.UGATITConfig(light=True), UGATIT_SAVINGS),
    "unit": (AuthorsUNIT, unit.UNITConfig(), UNIT_SAVINGS),
}


def measure(name: str, num_savings: int, size: int, steps: int) -> dict[str, object]:
    """Take steps of a model with its first savings; give seconds, memory in bytes and losses."""
    model_class, config, savings = MODELS[name]
    torch.manual_seed(0)
    model: AuthorsUGATIT | AuthorsUNIT = model_class(config)
    model.savings = savings[:num_savings]
    model.networks.train()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seconds, losses = [], {}
    for step in range(1, steps + 3):  # two more to warm up
        model.advance(Clock(step, 1000, step - 1, 1000))
        images = {d: torch.rand(1, 3, size, size, generator=seeded(step, d)) * 2 - 1 for d in "ab"}
        start = time.perf_counter()
        found = model.training_step(Batch(images), Randomness(0, step))
        seconds.append(time.perf_counter() - start)
        if step == 2:
            losses = {key: float(value) for key, value in found.items()}
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": statistics.median(seconds[2:]), "memory": after - before, "losses": losses}


def seeded(step: int, domain: str) -> torch.Generator:
    """Give a generator for the images of one step and domain."""
    return torch.Generator().manual_seed(2 * step + (domain == "b"))


def in_its_own_process(name: str, num_savings: int, size: int, steps: int) -> dict:
    """Measure one row where nothing else has touched the memory."""
    arguments = ["--row", name, str(num_savings), "--size", str(size), "--steps", str(steps)]
    done = subprocess.run(
        [sys.executable, __file__, *arguments], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def table(name: str, size: int, steps: int) -> None:
    """Print the rows of one model."""
    savings = MODELS[name][2]
    print(f"| {name}, {size} px, batch 1, fp32 | s/step | of the first | peak of a step, GiB |")
    print("|:--|--:|--:|--:|")
    first = {}
    for count in range(len(savings) + 1):
        row = in_its_own_process(name, count, size, steps)
        first = first or row
        for key, value in first["losses"].items():
            if abs(row["losses"][key] - value) > TOLERANCE * max(abs(value), 1e-2):
                sys.exit(
                    f"{name}: {key} is {row['losses'][key]}, not {value}, with {count} savings"
                )
        title = f"+ {savings[count - 1]}" if count else "authors' order of work"
        ratio = row["seconds"] / first["seconds"]
        print(f"| {title} | {row['seconds']:.2f} | {ratio:.2f} | {row['memory'] / 2**30:.2f} |")
    print(flush=True)


def main() -> None:
    """Print a table for each model, or measure one row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--row", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        name, count = options.row
        print(json.dumps(measure(name, int(count), options.size, options.steps)))
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    for name in MODELS:
        table(name, options.size, options.steps)


if __name__ == "__main__":
    main()

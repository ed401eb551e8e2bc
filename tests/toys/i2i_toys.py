"""Small models, one for each need of the contract; installed where this folder is on the path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench import pretrained
from i2i_bench.blocks.optimise import adam, descend
from i2i_bench.model import (
    A2B,
    B2A,
    Batch,
    Direction,
    Model,
    ModelCard,
    Needs,
    Settings,
)


def painter(inputs: int = 3, outputs: int = 3, width: int = 8) -> nn.Sequential:
    """Give a network of three convolutions that keeps the size of an image."""
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, outputs, 3, padding=1),
    )


def minutes_or_seconds(config, preset, task, **more) -> Settings:
    """Give settings of a task's size: minutes of training for small, a few steps for tiny."""
    size = min(task.image_size, 32)
    batch_size, budget = {"published": (8, 20_000), "small": (8, 4_000), "tiny": (2, 8)}[preset]
    return Settings(config, batch_size, budget, size, size, **more)


@dataclass(frozen=True)
class ToyConfig:
    """Configuration of a toy.

    Attributes:
        width: Channels of its layers.
        learning_rate: Of Adam.
    """

    width: int = 8
    learning_rate: float = 2e-3


class Toy(Model):
    """Two networks that learn to copy the colours of the other domain, image by image."""

    card = ModelCard("Toy")
    Config = ToyConfig

    def __init__(self, config) -> None:
        self.config = config
        self.networks = self.make_networks(config)
        self.optimizers, self.state = adam(self.networks, config.learning_rate, 0.9), {}

    def make_networks(self, config) -> nn.ModuleDict:
        return nn.ModuleDict({str(way): painter(width=config.width) for way in (A2B, B2A)})

    @classmethod
    def settings(cls, preset, task):
        return minutes_or_seconds(cls.Config(), preset, task)

    def losses_of(self, batch, random) -> dict[str, Tensor]:
        """Give the terms of a step."""
        return {f"cycle_{d.source}": self.cycle(batch.images[d.source], d) for d in (A2B, B2A)}

    def cycle(self, images: Tensor, way: Direction) -> Tensor:
        there = self.networks[str(way)](images).tanh()
        return F.l1_loss(self.networks[str(way.reverse)](there).tanh(), images)

    def training_step(self, batch, random):
        losses = self.losses_of(batch, random)
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
        return {name: value.detach() for name, value in losses.items()}

    def translate(self, batch, direction, random):
        return self.networks[str(direction)](batch.images[direction.source]).tanh()


@dataclass(frozen=True)
class PairedConfig(ToyConfig):
    """Configuration of the paired toy.

    Attributes:
        width: Channels of its layers.
        learning_rate: Of Adam.
        direction: In which it translates.
    """

    direction: Literal["a2b", "b2a"] = "a2b"


class Paired(Toy):
    """Learn one way from pairs, as Pix2pix does."""

    card = ModelCard("Paired toy")
    Config = PairedConfig

    def __init__(self, config) -> None:
        super().__init__(config)
        self.way = {"a2b": A2B, "b2a": B2A}[config.direction]
        self.directions = (self.way,)

    def make_networks(self, config):
        return nn.ModuleDict({"generator": painter(width=config.width)})

    @classmethod
    def needs(cls, config):
        return Needs(pairs="required")

    def losses_of(self, batch, random):
        fake = self.networks["generator"](batch.images[self.way.source]).tanh()
        return {f"pixel_{self.way}": F.l1_loss(fake, batch.images[self.way.target])}

    def translate(self, batch, direction, random):
        return self.networks["generator"](batch.images[direction.source]).tanh()


class Styled(Paired):
    """Learn several answers from pairs: the style is the mean colour of the change."""

    card = ModelCard("Styled toy", is_random=True, takes_examples=True)
    Config = PairedConfig

    def make_networks(self, config):
        return nn.ModuleDict({"generator": painter(6, width=config.width)})

    def paint(self, images: Tensor, style: Tensor) -> Tensor:
        plane = style[:, :, None, None].expand(-1, -1, *images.shape[2:])
        return self.networks["generator"](torch.cat([images, plane], dim=1)).tanh()

    def losses_of(self, batch, random):
        real, wanted = batch.images[self.way.source], batch.images[self.way.target]
        style = 8 * (wanted.mean((2, 3)) - real.mean((2, 3)))
        noisy = style + 0.1 * random.normal("style", tuple(style.shape))
        return {f"reconstruction_{self.way.target}": F.l1_loss(self.paint(real, noisy), wanted)}

    def translate(self, batch, direction, random):
        images = batch.images[direction.source]
        if batch.examples is not None:
            return self.paint(images, 8 * batch.examples[direction.target].mean((2, 3)))
        return self.paint(images, random.normal("style", (len(images), 3)))


class Dropout(Paired):
    """Drop features at test as in training, as Pix2pix does."""

    card = ModelCard("Dropout toy")

    def drop(self, images: Tensor, random) -> Tensor:
        network = self.networks["generator"]
        assert isinstance(network, nn.Sequential)
        features = network[:4](images)
        kept = random.uniform("dropout", (len(images), features.shape[1])) >= 0.5
        return network[4](2 * features * kept[:, :, None, None]).tanh()

    def losses_of(self, batch, random):
        fake = self.drop(batch.images[self.way.source], random)
        return {f"pixel_{self.way}": F.l1_loss(fake, batch.images[self.way.target])}

    def translate(self, batch, direction, random):
        return self.drop(batch.images[direction.source], random)


class Instances(Toy):
    """Translate images together with the masks of their objects, as InstaGAN does."""

    card = ModelCard("Instances toy")

    def make_networks(self, config):
        ways = {str(way): painter(4, 4, config.width) for way in (A2B, B2A)}
        return nn.ModuleDict(ways)

    @classmethod
    def needs(cls, config):
        return Needs(masks="required")

    @classmethod
    def settings(cls, preset, task):
        return minutes_or_seconds(cls.Config(), preset, task, instances=3)

    def both(self, images: Tensor, masks: Tensor, way: Direction) -> tuple[Tensor, Tensor]:
        """Translate an image by the union of its masks, and each mask beside the image."""
        network = self.networks[str(way)]
        union = masks.amax(dim=1, keepdim=True)
        fake = network(torch.cat([images, union], dim=1))[:, :3].tanh()
        every = [
            network(torch.cat([images, masks[:, k : k + 1]], dim=1))[:, 3:].sigmoid()
            for k in range(masks.shape[1])
        ]
        return fake, torch.cat(every, dim=1)

    def losses_of(self, batch, random):
        losses = {}
        for way in (A2B, B2A):
            images, masks = batch.images[way.source], batch.masks[way.source]
            fake, moved = self.both(images, masks, way)
            back, returned = self.both(fake, moved, way.reverse)
            losses[f"cycle_{way.source}"] = F.l1_loss(back, images) + F.l1_loss(returned, masks)
            outside = 1 - torch.maximum(masks, moved).amax(dim=1, keepdim=True)
            losses[f"context_{way}"] = (outside * (fake - images).abs()).mean()
        return losses

    def asked(self, batch: Batch, direction: Direction) -> tuple[Tensor, Tensor]:
        assert batch.masks is not None
        name = direction.source
        return self.both(batch.images[name], batch.masks[name], direction)

    def translate(self, batch, direction, random):
        return self.asked(batch, direction)[0]

    def translate_masks(self, batch, direction, random):
        return self.asked(batch, direction)[1]


@dataclass(frozen=True)
class DrawnConfig(ToyConfig):
    """Configuration of the toy of many domains.

    Attributes:
        width: Channels of its layers.
        learning_rate: Of Adam.
        domains: Of the task.
    """

    domains: tuple[str, ...] = ("a", "b")


class Drawn(Toy):
    """An encoder and a decoder a domain, two of which each step trains, as ComboGAN does."""

    card = ModelCard("Drawn toy")
    Config = DrawnConfig

    def make_networks(self, config):
        parts = {}
        for kind, inputs, outputs in (("encoders", 3, 8), ("decoders", 8, 3)):
            each = {d: painter(inputs, outputs, config.width) for d in config.domains}
            parts[kind] = nn.ModuleDict(each)
        return nn.ModuleDict(parts)

    @classmethod
    def needs(cls, config):
        return Needs(drawn_domains="optional")

    @classmethod
    def settings(cls, preset, task):
        config = DrawnConfig(domains=task.attributes or task.domains)
        return minutes_or_seconds(config, preset, task)

    def paint(self, images: Tensor, source: str, target: str) -> Tensor:
        encoders, decoders = (self.networks[kind] for kind in ("encoders", "decoders"))
        assert isinstance(encoders, nn.ModuleDict)
        assert isinstance(decoders, nn.ModuleDict)
        return decoders[target](encoders[source](images)).tanh()

    def losses_of(self, batch, random):
        first, second = batch.images
        losses = {}
        for source, target in ((first, second), (second, first)):
            images = batch.images[source]
            losses[f"reconstruction_{source}"] = F.l1_loss(
                self.paint(images, source, source), images
            )
            back = self.paint(self.paint(images, source, target), target, source)
            losses[f"cycle_{source}"] = F.l1_loss(back, images)
        return losses

    def training_step(self, batch, random):
        """Step the networks of the two domains alone: the others have no gradients."""
        return super().training_step(batch, random)

    def translate(self, batch, direction, random):
        return self.paint(batch.images[direction.source], direction.source, direction.target)


class Staged(Toy):
    """Train one network after the other, each in its share of the budget, as IcGAN does."""

    card = ModelCard("Staged toy")

    def advance(self, clock):
        self.stage = min(1, clock.images_seen * 2 // clock.budget)

    def __init__(self, config) -> None:
        super().__init__(config)
        self.stage = 0
        rate = config.learning_rate
        ways = {way: nn.ModuleDict({way: self.networks[way]}) for way in ("a2b", "b2a")}
        self.optimizers = {w: adam(part, rate, 0.9)[w] for w, part in ways.items()}

    def training_step(self, batch, random):
        way = (A2B, B2A)[self.stage]
        images = batch.images[way.source]
        loss = F.l1_loss(self.networks[str(way)](images).tanh(), images)
        descend(self.optimizers[str(way)], loss)
        return {f"pixel_{way}": loss.detach()}


class Statistics:
    """Mean and deviation of the distance between images of a batch, as tensors."""

    def __init__(self) -> None:
        self.values = torch.zeros(2)

    def state_dict(self) -> dict[str, Tensor]:
        return {"values": self.values}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        self.values = state_dict["values"].clone()


class Prepared(Toy):
    """Know how far images of the training set are apart, as DistanceGAN does; a term of its own."""

    card = ModelCard("Prepared toy")
    losses = {"spread": "distance of the spread of a batch from that of the training set"}  # noqa: RUF012

    def __init__(self, config) -> None:
        super().__init__(config)
        self.statistics = Statistics()
        self.state = {"statistics": self.statistics}

    def prepare(self, batches, random):
        found = torch.stack([self.spread(batch.images["a"]) for batch in batches])
        self.statistics.values = torch.stack([found.mean(), found.std(correction=0)]).float()

    @staticmethod
    def spread(images: Tensor) -> Tensor:
        return (images - images.flip(0)).abs().mean()

    def losses_of(self, batch, random):
        losses = super().losses_of(batch, random)
        fake = self.networks["a2b"](batch.images["a"]).tanh()
        mean, deviation = self.statistics.values.to(fake.device, fake.dtype)
        losses["spread_a2b"] = ((self.spread(fake) - mean) / (deviation + 1e-3)).abs()
        return losses


class Perceptual(Toy):
    """Compare features of a pretrained network, which is neither trained nor saved."""

    card = ModelCard("Perceptual toy")

    def __init__(self, config) -> None:
        super().__init__(config)
        from torchvision.models import squeezenet1_1

        network = squeezenet1_1(weights=None)
        pretrained.load_frozen(pretrained.SQUEEZENET_NAME, network)
        self.frozen = nn.ModuleDict({"squeezenet": network.features})

    @classmethod
    def needs(cls, config):
        return Needs(weights=(pretrained.SQUEEZENET_NAME,))

    def losses_of(self, batch, random):
        losses = super().losses_of(batch, random)
        for way in (A2B, B2A):
            images = batch.images[way.source]
            fake = self.networks[str(way)](images).tanh()
            squeezenet = self.frozen["squeezenet"]
            assert isinstance(squeezenet, nn.Sequential)
            first = squeezenet[:3]
            losses[f"perceptual_{way}"] = F.l1_loss(first(fake), first(images))
        return losses


class Heads(Toy):
    """A head for the features of each layer, whose widths a pass on zeros tells."""

    card = ModelCard("Heads toy")
    losses = {"nce": "distance of features of the same place, in the eyes of a head"}  # noqa: RUF012

    def make_networks(self, config):
        networks = super().make_networks(config)
        with torch.no_grad():
            widths = [each.shape[1] for each in self.features(networks, torch.zeros(1, 3, 8, 8))]
        heads = nn.ModuleList(nn.Linear(width, 4) for width in widths)
        networks["heads"] = heads
        return networks

    @staticmethod
    def features(networks: nn.ModuleDict, images: Tensor) -> list[Tensor]:
        found = []
        for layer in networks["a2b"].children():
            images = layer(images)
            found.append(images)
        return found[1::2]

    def losses_of(self, batch, random):
        losses = super().losses_of(batch, random)
        images = batch.images["a"]
        fake = self.networks["a2b"](images).tanh()
        pairs = (self.features(self.networks, each) for each in (images, fake))
        for number, (one, other) in enumerate(zip(*pairs, strict=True)):
            head = list(self.networks["heads"].children())[number]
            seen = [head(each.permute(0, 2, 3, 1)) for each in (one, other)]
            losses["nce"] = losses.get("nce", 0) + F.l1_loss(*seen)
        return losses


class Turned(Toy):
    """See images rotated and rescaled, as GANimorph does."""

    card = ModelCard("Turned toy")

    @classmethod
    def settings(cls, preset, task):
        return minutes_or_seconds(cls.Config(), preset, task, rotation=30.0, rescale=0.1)

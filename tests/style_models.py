"""Models whose translations a test can foretell: with styles, of objects, of many domains.

``install_models`` writes their entry points, as pip would.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from i2i_bench.model import A2B, Batch, Direction, Masks, Model, ModelCard, Needs, Settings


@dataclass(frozen=True)
class PlainConfig:
    """Configuration without fields."""


class Plain(Model):
    """Translate by a layer for each direction, and train it to give the other domain's images."""

    card = ModelCard("Plain")
    Config = PlainConfig
    channels = 3  # of what the layer sees

    def __init__(self, config: PlainConfig) -> None:
        self.config = config
        layers = {name: nn.Conv2d(self.channels, 3, 1) for name in ("a2b", "b2a")}
        self.networks = nn.ModuleDict(layers)
        self.optimizers = {"all": torch.optim.Adam(self.networks.parameters(), 1e-3)}
        self.state = {}

    @classmethod
    def settings(cls, preset, task):
        """Give two steps."""
        return Settings(cls.Config(), 2, 4, task.image_size, task.image_size)

    def training_step(self, batch, random):
        """Bring translations to images of the other domain."""
        losses = {}
        for direction in (A2B, A2B.reverse):
            fake = self.generate(batch, direction, random)
            distance = (fake - batch.images[direction.target]).abs().mean()
            losses[f"pixel_{direction}"] = distance
        self.optimizers["all"].zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        self.optimizers["all"].step()
        return {name: value.detach() for name, value in losses.items()}

    def generate(self, batch: Batch, direction: Direction, random):
        """Translate with gradients."""
        return torch.tanh(self.networks[str(direction)](batch.images[direction.source]))

    def translate(self, batch, direction, random):
        """Translate as in training."""
        return self.generate(batch, direction, random)


class Styled(Plain):
    """Give an image a style: three numbers that are drawn, or the mean colour of an example."""

    card = ModelCard("Styled", is_random=True, takes_examples=True)
    channels = 6

    def generate(self, batch, direction, random):
        """Let the layer see the image and, in each pixel, the style."""
        images = batch.images[direction.source]
        if batch.examples is None:
            style = random.normal("style", (len(images), 3)).to(images)
        else:
            style = batch.examples[direction.target].mean((2, 3))
        spread = style[:, :, None, None].expand_as(images)
        return torch.tanh(self.networks[str(direction)](torch.cat([images, spread], dim=1)))

    def masks(self, batch, direction, random):
        """Attend to two halves of a share that is drawn."""
        images = batch.images[direction.source]
        share = random.uniform("share", (len(images), 1, 1, 1)).to(images)
        share = share.expand(-1, -1, *images.shape[2:])
        return Masks(torch.cat([share, 1 - share], dim=1), None, None)


class Dropping(Plain):
    """Drop half of the values before the layer, in training and in translation."""

    card = ModelCard("Dropping", is_random=True)

    def generate(self, batch, direction, random):
        """Translate what is left."""
        images = batch.images[direction.source]
        kept = random.uniform("dropout", tuple(images.shape)) >= 0.5
        return torch.tanh(self.networks[str(direction)](images * kept * 2))


class Exemplary(Styled):
    """Take the style of an example, and a fixed one without."""

    card = ModelCard("Exemplary", takes_examples=True)

    def generate(self, batch, direction, random):
        """Take the image itself where there is no example."""
        if batch.examples is None:
            examples = {direction.target: batch.images[direction.source]}
            batch = Batch(batch.images, examples=examples)
        return super().generate(batch, direction, random)


@dataclass(frozen=True)
class ObjectsConfig:
    """Configuration of models of objects.

    Attributes:
        masks: Whether instance masks are ``required`` or ``optional``.
    """

    masks: str = "required"


class Objects(Plain):
    """Invert what is inside of instances, and mirror their masks."""

    card = ModelCard("Objects")
    Config = ObjectsConfig

    @classmethod
    def needs(cls, config):
        """Need instance masks."""
        return Needs(masks=config.masks)

    @classmethod
    def settings(cls, preset, task):
        """Give two instances an image."""
        return replace(super().settings(preset, task), instances=2)

    def translate(self, batch, direction, random):
        """Invert the colours of all pixels in a mask."""
        images = batch.images[direction.source]
        if batch.masks is None:
            return images
        inside = batch.masks[direction.source].sum(1, keepdim=True) > 0
        return torch.where(inside, -images, images)

    def translate_masks(self, batch, direction, random):
        """Mirror each mask."""
        assert batch.masks is not None
        return batch.masks[direction.source].flip(3)


@dataclass(frozen=True)
class SeasonsConfig:
    """Configuration of a model of many domains.

    Attributes:
        domains: Their names.
    """

    domains: tuple[str, ...] = ("spring", "summer", "winter")


class Seasons(Plain):
    """Move the colours of an image by as much as two domains are apart."""

    card = ModelCard("Seasons")
    Config = SeasonsConfig

    @classmethod
    def needs(cls, config):
        """Draw two domains a step."""
        return Needs(drawn_domains="required")

    def translate(self, batch, direction, random):
        """Move all colours."""
        order = self.config.domains
        step = order.index(direction.target) - order.index(direction.source)
        return (batch.images[direction.source] + step / 8).clamp(-1, 1)


def install_models(folder: Path, **models: str) -> None:
    """Write the entry points of models into a folder of the path, as ``pip`` would.

    Args:
        folder: On the path.
        models: Name of a class here, by name of the model.
    """
    information = folder / "style_models-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: style-models\nVersion: 1.0\n"
    )
    lines = [f"{name} = style_models:{value}" for name, value in models.items()]
    (information / "entry_points.txt").write_text("\n".join(["[i2i_bench.models]", *lines, ""]))

"""U-GAT-IT, full and light (Kim, Kim, Kang, Lee, ICLR 2020, 1907.10830)."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench import blocks, official
from i2i_bench.model import (
    A2B,
    B2A,
    Batch,
    Clock,
    Direction,
    Model,
    ModelCard,
    Preset,
    Randomness,
    Settings,
    TaskFacts,
)


@dataclass(frozen=True)
class UGATITConfig:
    """Configuration of U-GAT-IT.

    Attributes:
        light: Whether scale and shift come from channel averages, not from the whole feature map.
        image_size: Side in pixels of the images; only the full model depends on it.
        generator_width: Channels of the generator's first layer.
        discriminator_width: Channels of the discriminators' first layer; they double every layer.
        num_blocks: Residual blocks of the encoder, and as many adaptive ones after it.
        global_layers: Layers of the global discriminator, at least 3; all but two have stride 2.
        local_layers: The same for the local one.
        lambda_cycle: Weight of the cycle loss.
        lambda_identity: Weight of the identity loss.
        lambda_cam: Weight of the generators' classification of domains.
        learning_rate: Adam's learning rate in the first half of the run.
        beta1: Adam's decay of the first moment; the second's is 0.999.
        weight_decay: Adam's L2 penalty, on every parameter.
    """

    light: bool = False
    image_size: int = 256
    generator_width: int = 64
    discriminator_width: int = 64
    num_blocks: int = 4
    global_layers: int = 7
    local_layers: int = 5
    lambda_cycle: float = 10.0
    lambda_identity: float = 10.0
    lambda_cam: float = 1000.0
    learning_rate: float = 1e-4
    beta1: float = 0.5
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        blocks.require_at_least(
            self,
            image_size=8,
            generator_width=1,
            discriminator_width=1,
            num_blocks=0,
            global_layers=3,
            local_layers=3,
            lambda_cycle=0,
            lambda_identity=0,
            lambda_cam=0,
        )

    @property
    def minimum_size(self) -> int:
        """Smallest image side in pixels that both discriminators take."""
        return minimum_size(max(self.global_layers, self.local_layers))


class SpectralNorm(nn.Module):
    """A layer's weight over its largest singular value (Miyato et al., ICLR 2018).

    As under PyTorch's older hook, each forward in training mode takes one step of the power
    iteration; in eval mode the vectors stay as they are.
    """

    bias: Tensor | None
    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.stride = layer.stride if isinstance(layer, nn.Conv2d) else None
        self.bias = layer.bias
        self.weight_orig = layer.weight
        rows, columns = layer.weight.flatten(1).shape
        self.register_buffer("weight_u", F.normalize(torch.randn(rows), dim=0, eps=1e-12))
        self.register_buffer("weight_v", F.normalize(torch.randn(columns), dim=0, eps=1e-12))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer with its normalised weight."""
        with _without_autocast(x):  # a singular value needs its digits
            u, v = self._step() if self.training else (self.weight_u, self.weight_v)
            weight = self.weight_orig / torch.dot(u, torch.mv(self.weight_orig.flatten(1), v))
        if self.stride is None:
            return F.linear(x, weight, self.bias)
        return F.conv2d(x, weight, self.bias, self.stride)

    @torch.no_grad()
    def _step(self) -> tuple[Tensor, Tensor]:
        """Improve the singular vectors; give copies, as the next step may precede the backward."""
        matrix = self.weight_orig.flatten(1)
        v = F.normalize(torch.mv(matrix.t(), self.weight_u), dim=0, eps=1e-12)
        u = F.normalize(torch.mv(matrix, v), dim=0, eps=1e-12)
        self.weight_u.copy_(u)
        self.weight_v.copy_(v)
        return u, v


def _without_autocast(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    """Have operations keep the type of their inputs; the meta device has no autocast."""
    return contextlib.nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


class LayerInstanceNorm(nn.Module):
    """Instance and layer normalisation, blended by a learned rho in [0, 1].

    Variances are unbiased, as in the authors' code.

    Args:
        channels: Of the features; each has its rho.
        adaptive: Whether scale and shift are inputs (the paper's AdaLIN), not parameters.
    """

    def __init__(self, channels: int, *, adaptive: bool) -> None:
        super().__init__()
        shape = (1, channels, 1, 1)
        self.rho = nn.Parameter(torch.full(shape, 0.9 if adaptive else 0.0))
        if not adaptive:
            self.gamma = nn.Parameter(torch.ones(shape))
            self.beta = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None) -> Tensor:
        """Keep the shape of x (batch, channels, height, width)."""
        gamma, beta = self.gamma if gamma is None else gamma, self.beta if beta is None else beta
        channels, pixels = x.shape[1], x.shape[2] * x.shape[3]
        variance, mean = torch.var_mean(x, dim=(2, 3), keepdim=True)
        layer_mean = mean.mean(dim=1, keepdim=True)  # a layer's moments follow from its channels'
        squares = (pixels - 1) * variance + pixels * (mean - layer_mean).square()
        layer_variance = squares.sum(dim=1, keepdim=True) / (channels * pixels - 1)
        of_instance = self.rho * (variance + 1e-5).rsqrt()
        of_layer = (1 - self.rho) * (layer_variance + 1e-5).rsqrt()
        shift = beta - gamma * (of_instance * mean + of_layer * layer_mean)
        return torch.addcmul(shift, x, gamma * (of_instance + of_layer))


class ClassActivationMap(nn.Module):
    """Attention to the channels by which two linear classifiers tell the domains apart.

    Args:
        channels: Of the features.
        spectral: Whether the classifiers are spectrally normalised; their weights on the features
            are not, as in the authors' code.
        activation: After the attention.
    """

    def __init__(self, channels: int, *, spectral: bool, activation: nn.Module) -> None:
        super().__init__()
        gap, gmp = (nn.Linear(channels, 1, bias=False) for _ in range(2))
        self.gap_fc = SpectralNorm(gap) if spectral else gap
        self.gmp_fc = SpectralNorm(gmp) if spectral else gmp
        self.conv1x1 = nn.Conv2d(2 * channels, channels, 1)
        self.activation = activation

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give features of the same shape, and both classifiers' logits (batch, 2)."""
        logits = [self.gap_fc(x.mean(dim=(2, 3))), self.gmp_fc(x.amax(dim=(2, 3)))]
        # a classifier's first parameter is its raw weight, (1, channels)
        raw = torch.stack([next(fc.parameters()) for fc in (self.gap_fc, self.gmp_fc)])
        # conv1x1 of both weighted copies of x, side by side, is one convolution of x itself
        weight = (self.conv1x1.weight.unflatten(1, (2, -1)) * raw.view(2, -1, 1, 1)).sum(dim=1)
        return self.activation(F.conv2d(x, weight, self.conv1x1.bias)), torch.cat(logits, dim=1)


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Build a reflection-padded convolution without bias."""
    padding = kernel // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, padding_mode="reflect", bias=False)


class ResidualBlock(nn.Module):
    """Two convolutions, each with a normalisation that may take inputs of its own, and a skip."""

    def __init__(self, width: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1, self.norm1 = convolution(width, width, 3), norm(width)
        self.conv2, self.norm2 = convolution(width, width, 3), norm(width)

    def forward(self, x: Tensor, *style: Tensor) -> Tensor:
        """Keep the shape of x (batch, width, height, width)."""
        inner = F.relu(self.norm1(self.conv1(x), *style))
        return x + self.norm2(self.conv2(inner), *style)


class Generator(nn.Module):
    """Encoder, class activation map, adaptive residual blocks, decoder."""

    def __init__(self, config: UGATITConfig) -> None:
        super().__init__()
        self.image_size = None if config.light else config.image_size
        width, channels = config.generator_width, 4 * config.generator_width
        encoder: list[nn.Module] = []
        for shape in ((3, width, 7, 1), (width, 2 * width, 3, 2), (2 * width, channels, 3, 2)):
            encoder += [convolution(*shape), nn.InstanceNorm2d(shape[1]), nn.ReLU()]
        encoder += [ResidualBlock(channels, nn.InstanceNorm2d) for _ in range(config.num_blocks)]
        self.encoder = nn.Sequential(*encoder)
        self.activation_map = ClassActivationMap(channels, spectral=False, activation=nn.ReLU())
        inputs = channels if config.light else channels * (config.image_size // 4) ** 2
        first, second, self.gamma, self.beta = (
            nn.Linear(n, channels, bias=False) for n in (inputs, channels, channels, channels)
        )
        self.perceptron = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        adaptive = partial(LayerInstanceNorm, adaptive=True)
        self.blocks = nn.ModuleList(
            ResidualBlock(channels, adaptive) for _ in range(config.num_blocks)
        )
        decoder: list[nn.Module] = []
        for wide in (channels, 2 * width):
            decoder += [nn.Upsample(scale_factor=2), convolution(wide, wide // 2, 3)]
            decoder += [LayerInstanceNorm(wide // 2, adaptive=False), nn.ReLU()]
        self.decoder = nn.Sequential(*decoder, convolution(width, 3, 7), nn.Tanh())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Translate (batch, 3, height, width) in [-1, 1]; give the domain logits (batch, 2) too.

        Raises:
            ValueError: If a side is not divisible by 4, below 8 px, or not the full model's.
        """
        self._check(images)
        x, logits = self.activation_map(self.encoder(images))
        style = self.perceptron(x.mean(dim=(2, 3)) if self.image_size is None else x.flatten(1))
        gamma, beta = (layer(style)[:, :, None, None] for layer in (self.gamma, self.beta))
        for block in self.blocks:
            x = block(x, gamma, beta)
        return self.decoder(x), logits

    def _check(self, images: Tensor) -> None:
        blocks.require_size(images, 8, "U-GAT-IT")
        height, width = images.shape[-2:]
        if self.image_size and (height, width) != (self.image_size, self.image_size):
            raise ValueError(
                f"this U-GAT-IT is for images of {self.image_size} px, not {width}x{height}; "
                "the light model takes any size"
            )
        blocks.require_divisible(images, 4)


class Discriminator(nn.Module):
    """Spectrally normalised patch discriminator with a class activation map."""

    def __init__(self, width: int, num_layers: int) -> None:
        super().__init__()
        self.minimum_size = minimum_size(num_layers)
        widths = [3, *(width * 2**i for i in range(num_layers - 1))]
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            stride = 2 if i < num_layers - 2 else 1
            layer = SpectralNorm(nn.Conv2d(inputs, outputs, 4, stride))
            layers += [nn.ReflectionPad2d(1), layer, nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.activation_map = ClassActivationMap(
            widths[-1], spectral=True, activation=nn.LeakyReLU(0.2)
        )
        self.last = SpectralNorm(nn.Conv2d(widths[-1], 1, 4, bias=False))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, 3, height, width) to patch logits (batch, 1, rows, columns) and (batch, 2).

        Raises:
            ValueError: If a side is below ``minimum_size``.
        """
        blocks.require_size(images, self.minimum_size, "this discriminator of U-GAT-IT")
        x, logits = self.activation_map(self.layers(images))
        return self.last(F.pad(x, (1, 1, 1, 1), "reflect")), logits


def minimum_size(num_layers: int) -> int:
    """Give the smallest side a discriminator takes: 96 px for the authors' 7 layers."""
    return 3 * 2 ** (num_layers - 2)


class UGATIT(Model):
    """Attention by class activation maps, and normalisation that adapts to the image."""

    card = ModelCard(
        title="U-GAT-IT",
        authors="Junho Kim, Minjae Kim, Hyeonwoo Kang, Kwang Hee Lee",
        venue="ICLR",
        year=2020,
        arxiv="1907.10830",
        licence="authors' code: MIT; this implementation is independent",
        deviations=(
            "As the authors' PyTorch code; the paper's numbers come from their TensorFlow code, "
            "which differs in biases, normalisation, initialisation, class activation maps and "
            "order of the data, so they need not be reached.",
            "As the authors' PyTorch code, weights start from PyTorch's default; the paper has "
            "N(0, 0.02^2).",
            "As the authors' PyTorch code, a discriminator weighs features by its classifiers' raw "
            "weights, not by the spectrally normalised ones.",
            "As the authors' PyTorch code, variances are unbiased, and weight decay is on every "
            "parameter, biases and rho included.",
            "The discriminators' step and the generators' share fakes; the authors make the same "
            "ones twice.",
            "The presets small and tiny have shallower discriminators: the authors' need 96 px; "
            "small weighs cycle, identity and classification alike, at 100.",
        ),
        minimum_size=96,
    )
    Config = UGATITConfig
    light: ClassVar[bool] = False

    def __init__(self, config: UGATITConfig) -> None:
        self.config = config
        self.generators = nn.ModuleDict({str(d): Generator(config) for d in (A2B, B2A)})
        depths = {"global": config.global_layers, "local": config.local_layers}
        self.discriminators = nn.ModuleDict(
            {
                domain: nn.ModuleDict(
                    {n: Discriminator(config.discriminator_width, d) for n, d in depths.items()}
                )
                for domain in ("a", "b")
            }
        )
        self.networks = nn.ModuleDict(
            {"generators": self.generators, "discriminators": self.discriminators}
        )
        self.optimizers = blocks.adam(
            self.networks, config.learning_rate, config.beta1, config.weight_decay
        )
        self.state = {}

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule (1,000,000 images at batch 1), or a smaller one."""
        if preset == "published":
            batch_size, budget, size = 1, 1_000_000, task.image_size
            config = UGATITConfig(light=cls.light, image_size=size)
        elif preset == "small":
            batch_size, budget, size = 8, 8_000, min(task.image_size, 64)
            config = UGATITConfig(
                light=cls.light,
                image_size=size,
                generator_width=16,
                discriminator_width=16,
                num_blocks=2,
                global_layers=5,
                local_layers=3,
                lambda_cycle=100.0,  # at the published weights, four adversarial terms drown the
                lambda_identity=100.0,  # others in so few steps
                lambda_cam=100.0,
                learning_rate=6e-4,
            )
        else:
            batch_size, budget, size = 2, 8, min(task.image_size, 32)
            config = UGATITConfig(
                light=cls.light,
                image_size=size,
                generator_width=4,
                discriminator_width=4,
                num_blocks=1,
                global_layers=4,
                local_layers=3,
            )
        blocks.require_task_size(task, config.minimum_size, f"{cls.card.title}, {preset},")
        loaded = blocks.load_size(task, size)
        return Settings(config, batch_size, budget, loaded, size, "bilinear")

    def advance(self, clock: Clock) -> None:
        """Decay the learning rate to 0 over the second half of the steps."""
        half = max(1, clock.total_steps // 2)
        factor = max(0.0, 1 - max(0, clock.step - half) / half)
        blocks.set_learning_rate(self.optimizers, self.config.learning_rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update the discriminators, then the generators on the fakes that those were shown.

        Gradients of the generators add up: those of the identity passes come first, as they need no
        discriminator, and those of each direction after the discriminators' step. So what is kept
        at the peak are both translations and one reconstruction, half of all passes.
        """
        del random
        config, real = self.config, batch.images
        weights = {
            "adversarial": 1.0,
            "cycle": config.lambda_cycle,
            "identity": config.lambda_identity,
            "cam": config.lambda_cam,
        }
        with blocks.restarted(self.optimizers["generators"]):
            losses = self._identity_losses(real, weights)
            made = {d: self.generators[str(d)](real[d.source]) for d in (A2B, B2A)}
            judged = self._discriminator_losses(real, {d.target: f for d, (f, _) in made.items()})
            total = torch.stack(list(judged.values())).sum()
            blocks.descend(self.optimizers["discriminators"], total)
            with blocks.frozen(self.discriminators):
                for direction, (fake, logits) in made.items():
                    some = self._direction_losses(real, fake, logits, direction)
                    for name, value in blocks.differentiate(some, weights).items():
                        losses[name] = losses[name] + value if name in losses else value
        with torch.no_grad():
            for module in self.generators.modules():
                if isinstance(module, LayerInstanceNorm):
                    module.rho.clamp_(0, 1)
        return losses | {name: value.detach() for name, value in judged.items()}

    def _identity_losses(
        self, real: Mapping[str, Tensor], weights: Mapping[str, float]
    ) -> dict[str, Tensor]:
        """Differentiate the identity losses, and the classifications of their images."""
        losses = {}
        for direction in (A2B, B2A):
            target = direction.target
            same, logits = self.generators[str(direction)](real[target])
            some = {
                f"identity_{target}": F.l1_loss(same, real[target]),
                f"cam_{direction}": classification_loss(logits, 0.0),
            }
            losses |= blocks.differentiate(some, weights)
        return losses

    def _discriminator_losses(
        self, real: Mapping[str, Tensor], fake: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Sum LSGAN's terms over discriminators and outputs, by domain."""
        losses = {}
        for domain, judges in self.discriminators.items():
            # two calls, as each takes a step of the power iteration
            of_real = adversarial_loss(judges, real[domain], 1.0)
            of_fake = adversarial_loss(judges, fake[domain].detach(), 0.0)
            losses[f"discriminator_{domain}"] = of_real + of_fake
        return losses

    def _direction_losses(
        self, real: Mapping[str, Tensor], fake: Tensor, logits: Tensor, direction: Direction
    ) -> dict[str, Tensor]:
        """Compute the losses of one direction's translation, given with its domain logits."""
        reconstructed, _ = self.generators[str(direction.reverse)](fake)
        judges = self.discriminators[direction.target]
        return {
            f"cam_{direction}": classification_loss(logits, 1.0),
            f"adversarial_{direction}": adversarial_loss(judges, fake, 1.0),
            f"cycle_{direction.source}": F.l1_loss(reconstructed, real[direction.source]),
        }

    def translate(self, batch: Batch, direction: Direction) -> Tensor:
        """Apply the generator of this direction."""
        return self.generators[str(direction)](batch.images[direction.source])[0]

    @classmethod
    def from_official(cls, path: Path) -> UGATIT:
        """Read ``<dataset>_params_latest.pt``, or else the last ``<dataset>_params_%07d.pt``.

        Raises:
            ValueError: For a TensorFlow checkpoint, or naming the first tensors that disagree.
        """
        networks = read_networks(find_official(path))
        config = infer_config(networks)
        if config.light != cls.light:
            found = "light" if config.light else "full"
            raise ValueError(f"{path} holds the {found} model, which is not {cls.card.title}")
        parts = [
            (networks[name], official.below(ours, official_stems(name, config)))
            for name, ours in OFFICIAL.items()
        ]
        return official.build(cls, config, parts)


class UGATITLight(UGATIT):
    """U-GAT-IT whose scale and shift come from channel averages."""

    card = dataclasses.replace(UGATIT.card, title="U-GAT-IT light")
    light = True


def classification_loss(logits: Tensor, target: float) -> Tensor:
    """Give the cross entropy of domain logits to 1, to be translated, or 0, to be kept."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def adversarial_loss(discriminators: nn.Module, images: Tensor, target: float) -> Tensor:
    """Sum the distances of all logits from a constant; each discriminator is called once."""
    outputs = [logits for network in discriminators.children() for logits in network(images)]
    return torch.stack([blocks.least_squares(logits, target) for logits in outputs]).sum()


OFFICIAL = {
    "genA2B": "generators.a2b",
    "genB2A": "generators.b2a",
    "disGA": "discriminators.a.global",
    "disGB": "discriminators.b.global",
    "disLA": "discriminators.a.local",
    "disLB": "discriminators.b.local",
}


def find_official(path: Path) -> Path:
    """Give the authors' last file in a folder, or the one that is given.

    Raises:
        ValueError: If there is none, one of TensorFlow, or those of several datasets.
    """
    depths = ("", "*/", "*/*/")  # the authors' archive has checkpoint/<settings>/
    tensorflow = [path] if path.is_file() else [f for d in depths for f in path.glob(d + "*.index")]
    if any(re.search(r"\.(index|meta|data-\d+-of-\d+)$", file.name) for file in tensorflow):
        raise ValueError(
            f"{path} holds a TensorFlow checkpoint: its architecture differs from the PyTorch "
            "code's (biases, affine normalisation, one classifier for both poolings)"
        )
    if path.is_file():
        return path
    numbered = "*_params_" + 7 * "[0-9]" + ".pt"
    found = sorted(path.glob("*_params_latest.pt")) or sorted(path.glob(numbered))
    if not found:
        raise ValueError(f"no file *_params_latest.pt or *_params_0000000.pt in {path}")
    datasets = sorted({file.name.rpartition("_params_")[0] for file in found})
    if len(datasets) > 1:
        raise ValueError(f"{path} holds files of several datasets: {', '.join(datasets)}")
    return found[-1]


def read_networks(path: Path) -> dict[str, official.StateDict]:
    """Read the six state dicts.

    Raises:
        ValueError: If the file is damaged or holds anything else.
    """
    return {name: complete(state) for name, state in official.read_parts(path, OFFICIAL).items()}


def complete(state: official.StateDict) -> official.StateDict:
    """Give spectral norms the ``weight_v`` that old files lack: it follows from ``weight_u``."""
    tensors = dict(state.tensors)
    for name, u in state.tensors.items():
        stem = name.removesuffix("_u")
        matrix = tensors.get(f"{stem}_orig")
        if name.endswith(".weight_u") and f"{stem}_v" not in tensors and matrix is not None:
            if matrix.ndim < 2 or u.shape != matrix.shape[:1]:
                continue  # misshapen, and to be refused as that
            v = torch.mv(matrix.flatten(1).t(), u)
            tensors[f"{stem}_v"] = F.normalize(v, dim=0, eps=1e-12)
    return dataclasses.replace(state, tensors=tensors)


def infer_config(networks: Mapping[str, official.StateDict]) -> UGATITConfig:
    """Read the configuration off the shapes of the official networks.

    Raises:
        ValueError: If the tensors are not those of U-GAT-IT.
    """
    generator = networks["genA2B"]
    width = generator.shape("DownBlock.1.weight", 4)[0]
    inputs = generator.shape("FC.0.weight", 2)[1]
    light = inputs == 4 * width
    layers = r"model\.(\d+)\.weight_orig"
    return UGATITConfig(
        light=light,
        image_size=256 if light else 4 * math.isqrt(inputs // (4 * width)),
        generator_width=width,
        discriminator_width=networks["disGA"].shape("model.1.weight_orig", 4)[0],
        num_blocks=generator.count(r"DownBlock\.(\d+)\.conv_block\."),
        global_layers=1 + networks["disGA"].count(layers),
        local_layers=1 + networks["disLA"].count(layers),
    )


def official_stems(network: str, config: UGATITConfig) -> official.Stems:
    """Pair our modules of one official network with the authors' names."""
    attention = [(f"activation_map.{n}", n) for n in ("gap_fc", "gmp_fc", "conv1x1")]
    if network.startswith("gen"):
        return attention + generator_stems(config.num_blocks)
    depth = config.global_layers if network.startswith("disG") else config.local_layers
    layers = [f".{3 * i + 1}" for i in range(depth - 1)]
    return [*attention, ("last", "conv"), *((f"layers{n}", f"model{n}") for n in layers)]


def generator_stems(num_blocks: int) -> list[tuple[str, str]]:
    """Pair our generator's modules with the authors' names, the class activation map's apart."""
    stems = [(f"encoder.{3 * i}", f"DownBlock.{4 * i + 1}") for i in range(3)]
    for i in range(num_blocks):
        theirs = f"DownBlock.{12 + i}.conv_block"
        stems += [(f"encoder.{9 + i}.conv{j}", f"{theirs}.{4 * j - 3}") for j in (1, 2)]
        parts = ("conv1", "conv2", "norm1", "norm2")
        stems += [(f"blocks.{i}.{part}", f"UpBlock1_{i + 1}.{part}") for part in parts]
    stems += [(f"perceptron.{i}", f"FC.{i}") for i in (0, 2)] + [(n, n) for n in ("gamma", "beta")]
    positions = {1: 2, 2: 3, 5: 7, 6: 8, 8: 11}
    return stems + [(f"decoder.{i}", f"UpBlock2.{j}") for i, j in positions.items()]

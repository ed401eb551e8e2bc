"""Layers, losses and the image pool that several models share; torch only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, fields
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from i2i_bench.model import ModelCard, Preset, Randomness, Settings, TaskFacts

LEAST = "at_least"  # in the metadata of a field

Number = TypeVar("Number", int, float)
Norm = Callable[[int], nn.Module] | None


def contiguous_gradient(x: Tensor) -> Tensor:
    """Give a normalisation's output as it is, and the normalisation a contiguous gradient.

    PyTorch (2.12 and 2.14 were tried) differentiates ``instance_norm`` wrongly on a processor for a
    batch of one image whose gradient is channels-last: it is read as if it were contiguous. The
    backward of ``flatten`` copies such a gradient and leaves a contiguous one as it is. Elsewhere
    gradients are right, and nothing is done.

    Args:
        x: Of any shape; contiguous, as ``instance_norm`` gives it, or it is copied.
    """
    return x.flatten().view(x.shape) if x.is_cpu else x


class InstanceNorm(nn.InstanceNorm2d):
    """PyTorch's instance normalisation, with a gradient that is right in every memory format.

    Options, parameters and their names are those of ``nn.InstanceNorm2d``.
    """

    stands_for: ClassVar[type[nn.Module]] = nn.InstanceNorm2d  # for kernels that replace layers

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (batch, channels, height, width)."""
        return contiguous_gradient(super().forward(input))


class ConvLayer(nn.Sequential):
    """Padding that keeps the size at stride 1, convolution with bias, normalisation, activation.

    It maps (batch, inputs, height, width) to (batch, outputs, ...), divided by the stride.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: Literal["reflect", "zeros"] = "reflect",
        norm: Norm = None,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, padding_mode=padding
        )
        self.norm = norm(outputs) if norm else nn.Identity()
        self.activation = activation or nn.Identity()


class UpLayer(nn.Sequential):
    """Transposed 3x3 convolution that doubles the side, instance normalisation, ReLU.

    It maps (batch, inputs, height, width) to (batch, outputs, 2 height, 2 width).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
        self.norm = InstanceNorm(outputs)
        self.activation = nn.ReLU()


class ResidualBlock(nn.Module):
    """Two reflection-padded 3x3 convolutions and a skip; no activation after the sum."""

    def __init__(self, width: int, norm: Norm = InstanceNorm) -> None:
        super().__init__()
        self.first = ConvLayer(width, width, 3, norm=norm, activation=nn.ReLU())
        self.second = ConvLayer(width, width, 3, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (batch, width, height, width)."""
        return x + self.second(self.first(x))


class ResNetEncoder(nn.Module):
    """First half of the ResNet generator: a 7x7 stem, two halvings, residual blocks."""

    def __init__(self, width: int, num_blocks: int, norm: Norm = InstanceNorm) -> None:
        super().__init__()
        self.stem = ConvLayer(3, width, 7, norm=norm, activation=nn.ReLU())
        self.down = nn.Sequential(
            *(
                ConvLayer(
                    width * scale,
                    width * scale * 2,
                    3,
                    stride=2,
                    padding="zeros",
                    norm=norm,
                    activation=nn.ReLU(),
                )
                for scale in (1, 2)
            )
        )
        self.blocks = nn.Sequential(*(ResidualBlock(width * 4, norm) for _ in range(num_blocks)))

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to (batch, 4 width, height / 4, width / 4).

        Raises:
            ValueError: If a side is not divisible by 4, or too small for the reflection padding.
        """
        require_size(images, 8, "this encoder")
        require_divisible(images, 4)
        return self.blocks(self.down(self.stem(images)))


def decoder(width: int, head: nn.Module) -> nn.Sequential:
    """Build the second half of the ResNet generator: two doublings from 4 width, then a head."""
    return nn.Sequential(UpLayer(4 * width, 2 * width), UpLayer(2 * width, width), head)


def resnet_generator(width: int, num_blocks: int) -> nn.Sequential:
    """Build the ResNet generator: (batch, 3, height, width) in [-1, 1] to the same."""
    head = ConvLayer(width, 3, 7, activation=nn.Tanh())
    return nn.Sequential(ResNetEncoder(width, num_blocks), decoder(width, head))


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al., CVPR 2017): a map of logits, one a patch; 3 layers see 70x70 px.

    Args:
        width: Channels after the first layer; they double up to 8 times this.
        num_layers: Layers of stride 2.
    """

    def __init__(self, width: int, num_layers: int = 3) -> None:
        super().__init__()
        self.minimum_size = 3 * 2**num_layers  # instance normalisation needs 2x2 before the last
        widths = [3, *(width * min(2**i, 8) for i in range(num_layers + 1))]
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            stride = 2 if i < num_layers else 1
            layers.append(nn.Conv2d(inputs, outputs, 4, stride, padding=1))
            if i > 0:
                layers.append(InstanceNorm(outputs))
            layers.append(nn.LeakyReLU(0.2))
        layers.append(nn.Conv2d(widths[-1], 1, 4, 1, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to logits (batch, 1, rows, columns).

        Raises:
            ValueError: If a side is below ``minimum_size``.
        """
        require_size(images, self.minimum_size, "this patch discriminator")
        return self.layers(images)


def require_size(images: Tensor, minimum: int, who: str) -> None:
    """Raise ValueError if images (..., height, width) have a side of fewer than ``minimum`` px."""
    if min(images.shape[-2:]) < minimum:
        given = "x".join(str(side) for side in images.shape[:-3:-1])
        raise ValueError(f"{who} needs images of at least {minimum} px, not {given}")


def require_divisible(images: Tensor, divisor: int) -> None:
    """Raise ValueError unless both sides of images (..., height, width) are multiples."""
    height, width = images.shape[-2:]
    if height % divisor or width % divisor:
        raise ValueError(
            f"an image of {width}x{height} px: both sides must be divisible by {divisor}"
        )


def require_task_size(task: TaskFacts, minimum: int, who: str) -> None:
    """Raise ValueError if the task's images are smaller than ``minimum`` px."""
    if task.image_size < minimum:
        raise ValueError(
            f"{who} needs images of at least {minimum} px; task {task.name} has {task.image_size}"
        )


def at_least(least: Number, default: Number) -> Number:
    """Give a field of a configuration its default and the least value that ``check_limits`` takes.

    It is written in the place of the default: ``generator_width: int = at_least(1, 64)``.
    """
    return field(default=default, metadata={LEAST: least})


def check_limits(config: Any) -> None:
    """Raise ValueError naming the first field of a configuration that is below its least value."""
    limits = {each.name: each.metadata[LEAST] for each in fields(config) if LEAST in each.metadata}
    require_at_least(config, **limits)


def require_at_least(config: object, **least: float) -> None:
    """Raise ValueError naming the first field of a configuration that is below its least value."""
    for name, value in least.items():
        if not getattr(config, name) >= value:
            raise ValueError(f"{name} is {getattr(config, name)}; at least {value} is needed")


def require_schedule(constant_epochs: int, decay_epochs: int) -> None:
    """Raise ValueError unless the budget can be divided into these epochs."""
    if min(constant_epochs, decay_epochs) < 0 or constant_epochs + decay_epochs < 1:
        raise ValueError(
            f"constant_epochs is {constant_epochs} and decay_epochs {decay_epochs}; neither may be "
            "below 0, and together they must be at least 1"
        )


def load_size(task: TaskFacts, crop_size: int) -> int:
    """Return the side to resize to before a random crop: 286 for 256, as CycleGAN's authors.

    Images of an embedded task are never resampled: their truth is exact in pixels.
    """
    return crop_size if task.kind == "embedded" else round(crop_size * 286 / 256)


def cycle_gan_settings(
    card: ModelCard, preset: Preset, task: TaskFacts, config: object
) -> Settings:
    """Give a configuration CycleGAN's budget, batch size and image sizes.

    ``published`` is 200 epochs at batch 1, ``small`` 6,000 images of at most 64 px at batch 8,
    ``tiny`` 8 images of at most 32 px at batch 2.

    Raises:
        ValueError: If the task's images are smaller than the card allows.
    """
    require_task_size(task, card.minimum_size, card.title)
    batch_size, budget, largest = {
        "published": (1, 200 * max(task.num_train.values()), task.image_size),
        "small": (8, 6_000, 64),
        "tiny": (2, 8, 32),
    }[preset]
    size = min(task.image_size, largest)
    return Settings(config, batch_size, budget, load_size(task, size), size)


def init_normal(network: nn.Module, std: float = 0.02) -> None:
    """Draw the weights of all convolutions from N(0, std^2) and set their biases to 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def two_way(
    make_generator: Callable[[], nn.Module], make_discriminator: Callable[[], nn.Module]
) -> tuple[nn.ModuleDict, nn.ModuleDict]:
    """Build a generator for each direction, ``a2b`` and ``b2a``, and a discriminator a domain."""
    generators = nn.ModuleDict({direction: make_generator() for direction in ("a2b", "b2a")})
    return generators, nn.ModuleDict({domain: make_discriminator() for domain in ("a", "b")})


def adam(
    networks: nn.ModuleDict, learning_rate: float, beta1: float, weight_decay: float = 0.0
) -> dict[str, Optimizer]:
    """Give each group of networks an Adam of its own, unless it has nothing to learn.

    The decay of the second moment is 0.999, and weight decay is L2 within Adam.
    """
    trainable = {
        name: [p for p in network.parameters() if p.requires_grad]
        for name, network in networks.items()
    }
    return {
        name: torch.optim.Adam(parameters, learning_rate, (beta1, 0.999), weight_decay=weight_decay)
        for name, parameters in trainable.items()
        if parameters
    }


def least_squares(logits: Tensor, target: float) -> Tensor:
    """LSGAN (Mao et al., ICCV 2017): mean squared distance of logits from a constant."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))  # also under autocast
    return (exact - target).square().mean()


def decay_after(epoch: int, constant: int, decay: int) -> float:
    """Return CycleGAN's learning-rate factor: 1 for ``constant`` epochs, then linear towards 0.

    The first decayed epoch already has decay / (decay + 1); the last one 1 / (decay + 1).
    """
    return 1 - max(0, epoch + 1 - constant) / (decay + 1)


def set_learning_rate(optimizers: Mapping[str, Optimizer], value: float) -> None:
    """Set the learning rate of every parameter group."""
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = value


def descend(optimizer: Optimizer, loss: Tensor) -> None:
    """Take one optimiser step down ``loss``."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


@contextmanager
def restarted(optimizer: Optimizer | None) -> Iterator[None]:
    """Take one optimiser step down the sum of what is differentiated inside, in parts."""
    if optimizer:
        optimizer.zero_grad(set_to_none=True)
    yield
    if optimizer:
        optimizer.step()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Spare the weight gradients of a network that only passes gradients on to its input."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


class ImagePool:
    """History of fakes shown to a discriminator (Shrivastava et al., CVPR 2017).

    Until the pool is full every image is stored and shown. Afterwards, with probability 1/2, a
    stored image is shown and the new one takes its place; otherwise the new one is shown and not
    stored. Images of one batch are treated one after the other, on their device.

    ``together``, where processes share a batch, asks for the images of all of them at once.
    """

    together: Callable[[Callable[[Tensor, Randomness], Tensor], Tensor, Randomness], Tensor] | None

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: Tensor | None = None
        self.count: Tensor | None = None
        self.together = None

    def query(self, images: Tensor, random: Randomness, name: str) -> Tensor:
        """Exchange detached images (batch, 3, height, width) for as many to show."""
        if self.size == 0:
            return images
        if self.together is not None:
            return self.together(partial(self._query, name), images, random)
        return self._query(name, images, random)

    def _query(self, name: str, images: Tensor, random: Randomness) -> Tensor:
        if self.images is None or self.count is None:
            self.images = images.new_zeros((self.size, *images.shape[1:]))
            self.count = torch.zeros((), dtype=torch.int64, device=images.device)
        elif self.images.device != images.device:  # just loaded from a checkpoint
            self.images, self.count = self.images.to(images.device), self.count.to(images.device)
        chances = random.uniform(f"{name}_chance", (len(images),))
        slots = random.integers(f"{name}_slot", self.size, (len(images),))
        rows = zip(images.split(1), chances.split(1), slots.split(1), strict=True)
        return torch.cat([self._exchange(*row) for row in rows])

    def _exchange(self, image: Tensor, chance: Tensor, slot: Tensor) -> Tensor:
        assert self.images is not None
        assert self.count is not None
        is_full = self.count >= self.size
        slot = torch.where(is_full, slot, self.count)
        old = self.images.index_select(0, slot)
        swap = is_full & (chance > 0.5)
        self.images.index_copy_(0, slot, torch.where(is_full & ~swap, old, image))
        self.count += ~is_full
        return torch.where(swap, old, image)

    def state_dict(self) -> dict[str, Any]:
        """Return the stored images and their number."""
        return {"images": self.images, "count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        self.images, self.count = state_dict["images"], state_dict["count"]


def cycle_losses(
    generators: nn.ModuleDict,
    discriminators: nn.ModuleDict,
    real: Mapping[str, Tensor],
    *,
    with_identity: bool,
) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Compute the generator losses of CycleGAN (Zhu et al., ICCV 2017), unweighted, by direction.

    The translation and the identity pass of one generator share a forward, so generators must treat
    the samples of a batch independently. Real images are (batch, 3, height, width) by domain.

    Yields:
        Of one direction ``adversarial_*``, ``cycle_*`` and ``identity_*`` by name, and the fakes by
        their domain. Its graph is all that need be kept: it has nothing of the other direction's.
    """
    for source, target in (("a", "b"), ("b", "a")):
        losses: dict[str, Tensor] = {}
        inputs = [real[source], real[target]] if with_identity else [real[source]]
        outputs = generators[f"{source}2{target}"](torch.cat(inputs))
        fake, same = outputs.tensor_split([len(real[source])])
        if with_identity:
            losses[f"identity_{target}"] = F.l1_loss(same, real[target])
        reconstructed = generators[f"{target}2{source}"](fake)
        losses[f"cycle_{source}"] = F.l1_loss(reconstructed, real[source])
        losses[f"adversarial_{source}2{target}"] = least_squares(discriminators[target](fake), 1.0)
        yield losses, {target: fake.detach()}


def discriminator_losses(
    discriminators: nn.ModuleDict, real: Mapping[str, Tensor], fake: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Compute half the sum of LSGAN's two terms by domain; real and fake share a forward."""
    losses = {}
    for domain, judged in fake.items():
        logits = discriminators[domain](torch.cat([real[domain], judged]))
        of_real, of_fake = logits.tensor_split([len(real[domain])])
        loss = 0.5 * (least_squares(of_real, 1.0) + least_squares(of_fake, 0.0))
        losses[f"discriminator_{domain}"] = loss
    return losses


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Add up losses, each times the weight of its term: ``cycle_a`` has the weight of ``cycle``."""
    terms = [weights[name.rpartition("_")[0]] * value for name, value in losses.items()]
    return torch.stack(terms).sum()


def differentiate(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Add the gradients of a weighted sum to those that are there; give the losses detached."""
    weighted_sum(losses, weights).backward()
    return {name: value.detach() for name, value in losses.items()}


def cycle_gan_step(
    networks: nn.ModuleDict,
    optimizers: Mapping[str, Optimizer],
    pools: Mapping[str, ImagePool],
    real: Mapping[str, Tensor],
    random: Randomness,
    weights: Mapping[str, float],
) -> dict[str, Tensor]:
    """Take CycleGAN's step: both generators, then both discriminators on the fakes made before.

    Gradients of the generators add up over directions, so that the graph of one, half of all that
    the published order keeps, is gone before the other's is made.

    Args:
        networks: ``generators`` (by direction) and ``discriminators`` (by the domain they judge).
        optimizers: One for each of the two.
        pools: Past fakes, by domain.
        real: (batch, 3, height, width) in [-1, 1], by domain.
        random: Source of the pools' draws.
        weights: Of ``adversarial``, ``cycle`` and ``identity``; no identity pass for a weight of 0.

    Returns:
        Detached, unweighted losses by name.
    """
    generators, discriminators = networks["generators"], networks["discriminators"]
    assert isinstance(generators, nn.ModuleDict)
    assert isinstance(discriminators, nn.ModuleDict)
    optimizer = optimizers.get("generators")  # absent where a generator has nothing to learn
    losses: dict[str, Tensor] = {}
    fake: dict[str, Tensor] = {}
    with frozen(discriminators), restarted(optimizer):
        with_identity = weights["identity"] > 0
        for some, made in cycle_losses(
            generators, discriminators, real, with_identity=with_identity
        ):
            losses |= differentiate(some, weights) if optimizer else some
            fake |= made
    shown = {d: pools[d].query(fake[d], random, f"pool_{d}") for d in fake}
    judged = discriminator_losses(discriminators, real, shown)
    descend(optimizers["discriminators"], torch.stack(list(judged.values())).sum())
    return {name: value.detach() for name, value in (losses | judged).items()}

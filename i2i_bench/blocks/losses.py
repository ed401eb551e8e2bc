"""Adversarial, cycle, classification and penalty terms, unweighted, and their weighted sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def classification_loss(logits: Tensor, labels: Tensor, *, is_softmax: bool) -> Tensor:
    """Compare logits with labels (batch, attributes); binary terms are summed over attributes."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))  # also under autocast
    if is_softmax:
        return F.cross_entropy(exact, labels.argmax(dim=1))
    summed = F.binary_cross_entropy_with_logits(exact, labels.to(exact.dtype), reduction="sum")
    return summed / len(labels)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], images: Tensor, least: float = 0.0
) -> Tensor:
    """Return the mean squared distance from 1 of the norm of a critic's gradient at each image.

    The gradient is that of the sum of an image's values (WGAN-GP, Gulrajani et al., 2017); the norm
    is the root of ``least`` and the sum of its squares.
    """
    images = images.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    exact = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
    squares = exact.square().sum(dim=(1, 2, 3))
    return ((squares + least if least else squares).sqrt() - 1).square().mean()


def least_squares(logits: Tensor, target: float) -> Tensor:
    """LSGAN (Mao et al., ICCV 2017): mean squared distance of logits from a constant."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))  # also under autocast
    return (exact - target).square().mean()


def adversarial_cross_entropy(logits: Tensor, target: float) -> Tensor:
    """Goodfellow et al. (NIPS 2014): mean cross entropy of logits with a constant probability."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))  # also under autocast
    return F.binary_cross_entropy_with_logits(exact, torch.full_like(exact, target))


def wasserstein(values: Tensor, target: float) -> Tensor:
    """WGAN (Arjovsky et al., ICML 2017): a critic's mean value, negative where it is to be high.

    Args:
        values: Of any shape.
        target: 1 where they are to be high, else 0.
    """
    exact = values.to(torch.promote_types(values.dtype, torch.float32))  # also under autocast
    return (1 - 2 * target) * exact.mean()


def hinge(logits: Tensor, target: float) -> Tensor:
    """Lim and Ye (2017): mean of what logits lack to 1, or to -1.

    Args:
        logits: Of any shape.
        target: 1 where they are to be at least 1; 0 where at most -1.
    """
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))  # also under autocast
    return F.relu(1 + (1 - 2 * target) * exact).mean()


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
        their domain. Its graph is independent of the other direction's.
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


def discriminator_loss(
    discriminator: nn.Module,
    real: Tensor,
    fake: Tensor,
    measure: Callable[[Tensor, float], Tensor] = least_squares,
) -> Tensor:
    """Compute half the sum of a GAN's two terms, LSGAN's or others; both share a forward."""
    of_real, of_fake = discriminator(torch.cat([real, fake])).tensor_split([len(real)])
    return 0.5 * (measure(of_real, 1.0) + measure(of_fake, 0.0))


def discriminator_losses(
    discriminators: nn.ModuleDict,
    real: Mapping[str, Tensor],
    fake: Mapping[str, Tensor],
    measure: Callable[[Tensor, float], Tensor] = least_squares,
) -> dict[str, Tensor]:
    """Compute ``discriminator_loss`` by domain, for each domain that there are fakes of."""
    return {
        f"discriminator_{domain}": discriminator_loss(
            discriminators[domain], real[domain], judged, measure
        )
        for domain, judged in fake.items()
    }


def scales_discriminator_loss(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Sum LSGAN's two terms over the scales of a discriminator; both share a forward."""
    terms = []
    for logits in discriminator(torch.cat([real, fake])):
        of_real, of_fake = logits.tensor_split([len(real)])
        terms += [least_squares(of_real, 1.0), least_squares(of_fake, 0.0)]
    return torch.stack(terms).sum()


def fooling_loss(
    scales: Sequence[Tensor], measure: Callable[[Tensor, float], Tensor] = least_squares
) -> Tensor:
    """Sum over scales how far logits (batch, 1, ...) are from "real"."""
    return torch.stack([measure(logits, 1.0) for logits in scales]).sum()


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Add up losses, each times the weight of its term: ``cycle_a`` has the weight of ``cycle``."""
    terms = [weights[name.rpartition("_")[0]] * value for name, value in losses.items()]
    return torch.stack(terms).sum()


def differentiate(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Accumulate the gradients of a weighted sum; return the losses detached."""
    weighted_sum(losses, weights).backward()
    return {name: value.detach() for name, value in losses.items()}

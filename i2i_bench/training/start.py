"""Pretrained networks that a training starts from in place of new ones (``--start``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from i2i_bench.model import Model, named_networks
from i2i_bench.system.tensors import digest, not_finite

FROZEN = "frozen"  # in the identity of a checkpoint: digests of the pretrained networks of losses


def differing_tensors(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> list[str]:
    """Name the tensors that only one side has, then those of different shapes or numbers."""
    both = [(name, theirs[name], ours[name]) for name in ours if name in theirs]
    return sorted(set(theirs) ^ set(ours)) + [
        name
        for name, one, other in both
        if one.shape != other.shape or one.is_floating_point() != other.is_floating_point()
    ]


def require_finite(origin: str, networks: Mapping[str, Tensor]) -> None:
    """Raise ValueError, naming the first tensor, if a number is not finite."""
    if wrong := not_finite(networks):
        raise ValueError(f"{origin} has numbers that are not finite, first in {wrong[0]}")


@dataclass(frozen=True, eq=False)
class Start:
    """Pretrained networks that a training starts from.

    Attributes:
        origin: Where they come from, for messages.
        identity: Of the run that made them, or of an import.
        networks: Tensors by name.
        absent: Names of networks that are not among them.
        digest: 8 hexadecimal digits of a hash of the tensors.
    """

    origin: str
    identity: Mapping[str, Any]
    networks: Mapping[str, Tensor]
    absent: frozenset[str]
    digest: str

    def require_fit(self, model: Model) -> None:
        """Require that names, shapes and kinds fit the model, which may be on the meta device.

        Raises:
            ValueError: If they do not fit, or a number is not finite, naming the first tensors.
        """
        wrong = differing_tensors(self.networks, present(model.networks.state_dict(), self.absent))
        if wrong:
            first = ", ".join(wrong[:3])
            raise ValueError(f"{self.origin} does not fit these settings, first in {first}")
        require_finite(self.origin, self.networks)


def frozen_digests(model: Model) -> dict[str, str]:
    """Return the digest of each frozen network of a model by its dotted name."""
    return {name: digest(each.state_dict()) for name, each in named_networks(model.frozen)}


def with_frozen(identity: Mapping[str, Any], model: Model) -> Mapping[str, Any]:
    """Add the frozen networks to what a run is: resumed with other weights, it would be another."""
    digests = frozen_digests(model)
    return {**identity, FROZEN: digests} if digests else identity


def place_model(model: Model, device: torch.device) -> None:
    """Move a model to a device; its frozen networks stay in evaluation mode, without gradients."""
    model.networks.to(device)
    model.frozen.to(device).eval().requires_grad_(False)


def start_from(origin: str, content: Mapping[str, Any]) -> Start:
    """Take the networks of a checkpoint to begin with."""
    absent = frozenset(content.get("absent", ()))
    networks = present(content["networks"], absent)
    return Start(origin, content["identity"], networks, absent, digest(networks))


def present(networks: Mapping[str, Tensor], absent: Collection[str]) -> dict[str, Tensor]:
    """Leave out the tensors of absent networks."""
    prefixes = tuple(f"{name}." for name in absent)
    return {name: tensor for name, tensor in networks.items() if not name.startswith(prefixes)}

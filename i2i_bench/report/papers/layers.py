"""Parameters of networks, counted from descriptions of their layers (papers/networks.toml)."""

from __future__ import annotations

import ast
import functools
import operator
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

Formula = int | str  # a number, or an expression of m and of the values of a configuration
_OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


@dataclass(frozen=True)
class Layer:
    """One line of a network's description.

    Attributes:
        kind: ``conv`` or ``deconv`` (inputs, outputs, side of the kernel), ``linear`` (inputs,
            outputs), ``slopes`` (how many, of PReLUs).
        shape: Numbers of that kind.
        bias: Whether a conv, deconv or linear layer has one.
        affine: Whether a norm with weight and bias follows it.
        repeat: How often the layer stands there.
    """

    kind: str
    shape: tuple[Formula, ...]
    bias: bool
    affine: bool
    repeat: Formula = 1


@dataclass(frozen=True)
class Configuration:
    """Networks that are trained together.

    Attributes:
        title: A few words.
        detail: What distinguishes it.
        source: Where the architecture is from.
        networks: Name of a network → how many of it.
        values: What its layers' expressions name; may themselves depend on ``m``.
    """

    title: str
    detail: str
    source: str
    networks: Mapping[str, int]
    values: Mapping[str, Formula] = field(default_factory=dict)


@dataclass(frozen=True)
class CountedPart:
    """A network of a configuration, how many of it, and the parameters of one."""

    network: str
    copies: int
    parameters: int


@dataclass(frozen=True)
class ParameterCount:
    """The parameters of a configuration."""

    parts: tuple[CountedPart, ...]

    @property
    def total(self) -> int:
        """Parameters of all networks."""
        return sum(part.copies * part.parameters for part in self.parts)

    def __str__(self) -> str:
        return " + ".join(
            (f"{part.copies} x " if part.copies > 1 else "") + f"{part.parameters:,}"
            for part in self.parts
        )


@dataclass(frozen=True)
class Descriptions:
    """Networks and the configurations made of them, by name."""

    networks: Mapping[str, tuple[Layer, ...]]
    configurations: Mapping[str, Configuration]

    def count(self, configuration: str, num_domains: int) -> ParameterCount:
        """Count a configuration for a number of domains.

        Raises:
            ValueError: If a description names what nothing defines.
        """
        chosen = self.configurations[configuration]
        names = {"m": num_domains}
        names |= {key: evaluate_formula(value, names) for key, value in chosen.values.items()}
        return ParameterCount(
            tuple(
                CountedPart(
                    name, copies, sum(_count(layer, names) for layer in self.networks[name])
                )
                for name, copies in chosen.networks.items()
            )
        )


@functools.cache
def read_descriptions() -> Descriptions:
    """Read the descriptions that come with the package."""
    path = files("i2i_bench.report") / "papers" / "networks.toml"
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return Descriptions(
        {name: _network(entry) for name, entry in content["networks"].items()},
        {name: Configuration(**entry) for name, entry in content["configurations"].items()},
    )


def _network(entry: dict[str, Any]) -> tuple[Layer, ...]:
    """Give the layers of a network, which share its ``bias`` and ``affine``."""
    shared = {"bias": True, "affine": False}
    shared |= {key: value for key, value in entry.items() if key != "layers"}
    return tuple(_layer(shared | layer) for layer in entry["layers"])


def _layer(entry: dict[str, Any]) -> Layer:
    options = {key: entry[key] for key in ("bias", "affine", "repeat") if key in entry}
    ((kind, shape),) = ((key, value) for key, value in entry.items() if key not in options)
    return Layer(kind, tuple(shape) if isinstance(shape, list) else (shape,), **options)


def _count(layer: Layer, names: Mapping[str, int]) -> int:
    """Count the parameters of a layer and of the norm that follows it, each time it stands."""
    shape = [evaluate_formula(number, names) for number in layer.shape]
    match layer.kind, shape:
        case "conv" | "deconv", [inputs, outputs, side]:
            weights = inputs * outputs * side**2
        case "linear", [inputs, outputs]:
            weights = inputs * outputs
        case "slopes", [number]:
            return evaluate_formula(layer.repeat, names) * number
        case _:
            raise ValueError(f"no layer is described by {layer.kind} = {list(layer.shape)}")
    extra = (outputs if layer.bias else 0) + (2 * outputs if layer.affine else 0)
    return evaluate_formula(layer.repeat, names) * (weights + extra)


def evaluate_formula(number: Formula, names: Mapping[str, int]) -> int:
    """Give the value of a number, or of an expression with ``+ - * //`` and names.

    Raises:
        ValueError: If it is anything else, or a name has no value.
    """
    if isinstance(number, int):
        return number
    return _value(ast.parse(number, mode="eval").body, names)


def _value(node: ast.expr, names: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(left, names), _value(right, names))
    known = ", ".join(names)
    raise ValueError(f"{ast.unparse(node)!r} has no value; there are + - * //, and {known}")

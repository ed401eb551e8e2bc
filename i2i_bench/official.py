"""Read checkpoints of models' authors: files of many ages and of any origin, none of them trusted.

A model's ``from_official`` reads state dicts with ``read_state_dict``, ``read_parts``,
``read_pair`` or ``read_epoch``, infers its configuration from ``StateDict.shape`` and
``StateDict.count``, and has ``build`` do the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from i2i_bench.model import Model, named_networks
from i2i_bench.system.messages import printable
from i2i_bench.system.tensors import not_finite, read_untrusted

COUNTER = "num_batches_tracked"
STATISTICS = {"running_mean", "running_var", COUNTER}
LONGEST_NAME = 80  # characters of a tensor's name in a message
NUM_SHOWN = 3  # tensors of one kind in a message
PAIR = {  # CycleGAN's authors name a discriminator after the generator it judges
    "G_A": "generators.a2b",
    "G_B": "generators.b2a",
    "D_A": "discriminators.b",
    "D_B": "discriminators.a",
}

AnyModel = TypeVar("AnyModel", bound=Model)
ModuleNames = Sequence[
    tuple[str, str]
]  # (our module, official module) for every module with tensors


class AbsentNetwork(ValueError):
    """A network is needed that the authors' files lack."""


@dataclass(frozen=True)
class StateDict:
    """The tensors of one official network.

    Attributes:
        source: The file and the part of it, for messages.
        tensors: By official name, float32 but for counters of batches.
    """

    source: str
    tensors: dict[str, Tensor]

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        """Return the shape of a tensor, by which a configuration is inferred.

        Raises:
            ValueError: If there is none of this name, or it has other dimensions.
        """
        if name not in self.tensors:
            held = _shown(list(self.tensors)) or "nothing"
            raise ValueError(f"{self.source} lacks {name}; it holds {held}")
        shape = tuple(self.tensors[name].shape)
        if len(shape) != dimensions or 0 in shape:
            raise ValueError(
                f"{self.source} has misshapen {name} {shape}: {dimensions} dimensions, none of "
                "them 0, are needed"
            )
        return shape

    def count(self, pattern: str) -> int:
        """Count the different values that the group of a pattern has at the start of names."""
        found = (re.match(pattern, name) for name in self.tensors)
        return len({match[1] for match in found if match})


Part = tuple[StateDict, ModuleNames]  # an official network, and the modules of which it has tensors


def read_state_dict(path: Path) -> StateDict:
    """Read a file that holds one state dict.

    Raises:
        ValueError: If there is no such file, it is damaged, or it holds anything else.
    """
    return _state_dicts(path, {"": read_untrusted(path)})[""]


def read_parts(
    path: Path, parts: Iterable[str], optional: Iterable[str] = ()
) -> dict[str, StateDict]:
    """Read a file that holds several state dicts by name, and maybe more.

    Args:
        path: Of the file.
        parts: Names of those that are needed.
        optional: Names of those that are read where they are there.

    Raises:
        ValueError: If there is no such file, it is damaged, or it lacks one of the parts.
    """
    content, wanted = read_untrusted(path), list(parts)
    held = content if isinstance(content, Mapping) else {}
    missing = [part for part in wanted if part not in held]
    if missing:
        raise ValueError(f"{path.name} lacks the state dicts {', '.join(missing)}")
    wanted += [part for part in optional if part in held]
    return _state_dicts(path, {part: held[part] for part in wanted})


def read_pair(path: Path) -> dict[str, StateDict]:
    """Read ``<epoch>_net_{G,D}_{A,B}.pth`` of CycleGAN's code base, by our names of the networks.

    The epoch is ``latest``, or else the highest that has both generators. Where there are no two,
    one is enough; it translates a to b, unless its name ends in ``_net_G_B.pth``.

    Raises:
        ValueError: If there is no generator, or a file is damaged.
    """
    if path.is_file():
        return {PAIR["G_B" if path.name.endswith("_net_G_B.pth") else "G_A"]: read_state_dict(path)}
    files = _pair_files(path)
    single = {"G": PAIR["G_A"]}
    return {
        ours: read_state_dict(files[name])
        for name, ours in (single | PAIR).items()
        if name in files
    }


def read_epoch(path: Path, networks: Sequence[str]) -> dict[str, StateDict]:
    """Read ``<epoch>_net_<network>.pth`` of a code base that writes a file for each network.

    The epoch is ``latest``, or else the highest that has the first network, or else the one word
    that files are named by. A file is read alone if its name is another, and with those of its
    epoch beside it otherwise.

    Args:
        path: Of the folder, or of the first network's file.
        networks: Names; all but the first may be missing.

    Raises:
        ValueError: If the first network is missing, or a file is damaged.
    """
    first, ending = networks[0], f"_net_{networks[0]}.pth"
    if path.is_file():
        if not path.name.endswith(ending):
            return {first: read_state_dict(path)}
        folder, epoch = path.parent, path.name.removesuffix(ending)
    else:
        found = {file.name.removesuffix(ending) for file in path.glob(f"*{ending}")}
        numbered = _newest_first([name for name in found if name == "latest" or name.isdigit()])
        others = sorted(found - set(numbered))
        if not numbered and len(others) > 1:
            named = ", ".join(printable(name + ending, LONGEST_NAME) for name in others[:NUM_SHOWN])
            raise ValueError(f"{path} holds several generators: give the path of one, as {named}")
        if not found:
            raise ValueError(f"{path} holds no generator: needed is latest{ending}, or an epoch's")
        folder, epoch = path, (numbered + others)[0]
    files = {name: folder / f"{epoch}_net_{name}.pth" for name in networks}
    return {name: read_state_dict(file) for name, file in files.items() if file.exists()}


def is_named(path: Path, words: tuple[str, ...]) -> bool:
    """Tell whether a file, or its folder, has a name that begins with one of some words."""
    return path.name.startswith(words) or path.parent.name.startswith(words)


def _newest_first(epochs: Iterable[str]) -> list[str]:
    return sorted(epochs, key=lambda e: (e == "latest", e != "latest" and int(e)), reverse=True)


def _pair_files(folder: Path) -> dict[str, Path]:
    epochs: dict[str, dict[str, Path]] = {}
    for path in folder.glob("*_net_*.pth"):
        if match := re.fullmatch(r"(latest|[0-9]+)_net_(G|[GD]_[AB])\.pth", path.name):
            epochs.setdefault(match[1], {})[match[2]] = path
    newest = _newest_first(epochs)
    for generators in ({"G_A", "G_B"}, {"G"}, {"G_A"}, {"G_B"}):
        for epoch in newest:
            if generators <= epochs[epoch].keys():
                judges = set() if generators == {"G"} else {"D_A", "D_B"}
                return {n: p for n, p in epochs[epoch].items() if n in generators | judges}
    raise ValueError(
        f"{folder} holds no generator: needed are latest_net_G_A.pth and latest_net_G_B.pth, or "
        "those of an epoch such as 60_net_G_A.pth, or latest_net_G.pth alone"
    )


def patch_discriminator(files: Mapping[str, StateDict]) -> dict[str, int]:
    """Infer the configuration of CycleGAN's discriminators; empty where there are none."""
    judges = [state for network, state in files.items() if network.startswith("discriminators.")]
    if not judges:
        return {}
    width = judges[0].shape("model.0.weight", 4)[0]
    layers = sum(tensor.ndim == 4 for tensor in judges[0].tensors.values())
    return {"discriminator_width": width, "discriminator_layers": layers - 2}


def patch_discriminator_stems(num_layers: int) -> ModuleNames:
    """Pair the convolutions of a ``PatchDiscriminator`` with those of CycleGAN's authors."""
    return [(f"layers.{i}", f"model.{i}") for i in (0, *range(2, 3 * num_layers + 3, 3))]


def _state_dicts(path: Path, parts: Mapping[str, Any]) -> dict[str, StateDict]:
    """Require that the parts of a file are state dicts, no larger than the file itself."""
    found, size = {}, 0
    for part, content in parts.items():
        source = f"{path.name}, {part}," if part else path.name
        if not isinstance(content, Mapping) or not all(map(_is_plain, content.values())):
            raise ValueError(f"{source} holds no state dict (names to tensors)")
        size += sum(tensor.nbytes for tensor in content.values())
        names = {str(name).removeprefix("module."): tensor for name, tensor in content.items()}
        if len(names) != len(content):
            raise ValueError(f"{source} holds tensors twice, with module. before the name and not")
        found[part] = source, names
    if size > path.stat().st_size:
        raise ValueError(f"{path.name} claims tensors of {size} bytes, which is more than it has")
    return {part: StateDict(source, _as_floats(source, n)) for part, (source, n) in found.items()}


def _is_plain(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and not value.is_nested
    )


def _as_floats(source: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn half precision and the like into float32; only counters of batches are integers."""
    counters = {name for name in tensors if name.endswith(COUNTER)}
    wrong = [
        f"{printable(name, LONGEST_NAME)} ({str(tensor.dtype).removeprefix('torch.')})"
        for name, tensor in tensors.items()
        if (tensor.dtype != torch.int64 if name in counters else not tensor.is_floating_point())
    ]
    if wrong:
        raise ValueError(f"{source} has tensors of an impossible type: {_listed(wrong)}")
    return {
        name: tensor.detach() if name in counters else tensor.detach().float()
        for name, tensor in tensors.items()
    }


def below(network: str, stems: ModuleNames) -> ModuleNames:
    """Return the pairs of one network with our side as seen from ``Model.networks``."""
    return [(f"{network}.{ours}", official) for ours, official in stems]


def build(model_class: type[AnyModel], config: Any, files: Iterable[Part]) -> AnyModel:
    """Build a model with the authors' tensors.

    What they are to fit is built without memory first, so that no model is ever made that is larger
    than the files. Networks of which they hold nothing are new, and named in ``absent``.

    Args:
        model_class: The model.
        config: As inferred from the files.
        files: Each with its modules, ours as seen from ``Model.networks``.

    Raises:
        ValueError: Naming the first tensors that disagree.
    """
    try:
        with torch.device("meta"):
            networks = model_class(config).networks
    except (RuntimeError, TypeError, OverflowError) as error:  # of sizes that no file can fill
        raise ValueError(f"no {model_class.card.title} has such sizes: {config}") from error
    ours, found = networks.state_dict(), {}
    for state, stems in files:
        found |= _fit(state, _wanted(ours, stems))
    absent = _absent(networks, found)
    model = model_class(config)
    model.networks.load_state_dict(found, strict=False)
    model.absent = absent
    return model


def _wanted(ours: Mapping[str, Tensor], stems: ModuleNames) -> dict[str, tuple[str, Tensor]]:
    """Give our names and tensors by the official names."""
    modules = {own: official for own, official in stems}
    wanted = {}
    for name, tensor in ours.items():
        module, _, leaf = name.rpartition(".")
        if module in modules:
            wanted[f"{modules[module]}.{leaf}"] = name, tensor
    return wanted


def _fit(state: StateDict, wanted: Mapping[str, tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Give an official network's tensors by our names, if they are all there, sound and known.

    Statistics that old files hold for layers without parameters are dropped, and a counter of
    batches that they lack is left alone.
    """
    found = {name: tensor for name, tensor in state.tensors.items() if name in wanted}
    shapes = {name: tuple(wanted[name][1].shape) for name in found}
    problems = {
        "lacks": [n for n in wanted if n not in found and not n.endswith(COUNTER)],
        "has unknown": _unknown([n for n in state.tensors if n not in wanted], state),
        "has misshapen": [
            f"{name} {tuple(tensor.shape)} instead of {shapes[name]}"
            for name, tensor in found.items()
            if tensor.shape != shapes[name]
        ],
        "has values that are not finite in": not_finite(found),
    }
    told = [f"{problem} {_shown(names)}" for problem, names in problems.items() if names]
    if told:
        raise ValueError(f"{state.source} {'; '.join(told)}")
    return {wanted[name][0]: tensor for name, tensor in found.items()}


def _unknown(names: Sequence[str], state: StateDict) -> list[str]:
    """Leave out the statistics of layers that have nothing else."""
    leaves: dict[str, set[str]] = {}
    for name in state.tensors:
        module, _, leaf = name.rpartition(".")
        leaves.setdefault(module, set()).add(leaf)
    return [name for name in names if not leaves[name.rpartition(".")[0]] <= STATISTICS]


def _absent(networks: nn.ModuleDict, found: Mapping[str, Tensor]) -> frozenset[str]:
    """Name the networks of which nothing was found; of all others everything must have been."""
    absent, forgotten = set(), []
    for network, module in named_networks(networks):
        names = [f"{network}.{name}" for name in module.state_dict()]
        missing = [name for name in names if name not in found]
        if missing and len(missing) == len(names):
            absent.add(network)
        else:
            forgotten += [name for name in missing if not name.endswith(COUNTER)]
    if forgotten:
        raise ValueError(f"official names are not described for {_shown(forgotten)}")
    return frozenset(absent)


def refuse_absent(model: Model) -> None:
    """Have a model raise ``AbsentNetwork`` wherever it would use a network in ``absent``."""
    for name, network in named_networks(model.networks):
        if name in model.absent:
            for module in network.modules():
                module.register_forward_pre_hook(partial(_refuse, model.card.title, name))


def _refuse(title: str, name: str, module: nn.Module, inputs: object) -> None:
    del module, inputs
    raise AbsentNetwork(f"{title} has no {name} here: the authors' files it was read from lack it")


def _shown(names: Sequence[str]) -> str:
    return _listed([printable(name, LONGEST_NAME) for name in names])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NUM_SHOWN} more" if len(names) > NUM_SHOWN else ""
    return ", ".join(names[:NUM_SHOWN]) + more

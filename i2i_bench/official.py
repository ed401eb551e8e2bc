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
from i2i_bench.system.state_dicts import (
    chosen_state_dict,
    find_holding,
    is_plain_tensor,
    networks_by_name,
    unwrapped,
)
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
GENERATORS = {  # other programs of the same networks name generators by their direction
    **{"G_A2B": "G_A", "G_AB": "G_A", "genA2B": "G_A"},
    **{"G_B2A": "G_B", "G_BA": "G_B", "genB2A": "G_B"},
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
            raise Misfit(f"{self.source} lacks {name}; it holds {held}", self)
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


class Misfit(ValueError):
    """The tensors of a file are not those of the network that is asked for.

    Attributes:
        state: What the file holds.
        wanted: Shapes by official name; empty where the first look says that they are others.
    """

    def __init__(
        self, message: str, state: StateDict, wanted: Mapping[str, tuple[int, ...]] | None = None
    ) -> None:
        self.state, self.wanted = state, wanted or {}
        super().__init__(message)


def read_state_dict(path: Path) -> StateDict:
    """Read a file that holds one state dict, be it beside an optimiser and the like.

    Raises:
        ValueError: If there is no such file, it is damaged, or it holds none or several.
    """
    content = read_untrusted(path)
    name, state = chosen_state_dict(path.name, content) or ("", content)
    return _state_dicts(path, {name: state})[name]


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
    held = find_holding(content, wanted)
    if held is None:
        plain = content if isinstance(content, Mapping) else {}
        missing = [part for part in wanted if part not in plain]
        raise ValueError(f"{path.name} lacks the state dicts {', '.join(missing)}")
    wanted += [part for part in optional if part in held]
    return _state_dicts(path, {part: held[part] for part in wanted})


def read_pair(path: Path) -> dict[str, StateDict]:
    """Read ``<epoch>_net_{G,D}_{A,B}.pth`` of CycleGAN's code base, by our names of the networks.

    The epoch is ``latest``, or else the highest that has both generators, or else the highest such
    iteration (``iter_5000``). Where there are no two, one is enough; it translates a to b, unless
    its name ends in ``_net_G_B.pth``. One file may hold all of them by these names.

    Raises:
        ValueError: If there is no generator, or a file is damaged.
    """
    if path.is_file():
        return _pair_in_file(path)
    files = _pair_files(path)
    single = {"G": PAIR["G_A"]}
    return {
        ours: read_state_dict(files[name])
        for name, ours in (single | PAIR).items()
        if name in files
    }


def _pair_in_file(path: Path) -> dict[str, StateDict]:
    """Read the networks that one file has by their names, or else its only one."""
    content = read_untrusted(path)
    found = networks_by_name(content, [*PAIR, *GENERATORS])
    if found.keys() & GENERATORS.keys():  # whose discriminators are named in another way
        found = {GENERATORS[name]: found[name] for name in found if name in GENERATORS}
    if found.keys() & {"G_A", "G_B"}:
        states = _state_dicts(path, found)
        return {PAIR[name]: state for name, state in states.items()}
    is_back = re.search(r"_net_G_B\.[a-z]+$", path.name)
    return {PAIR["G_B" if is_back else "G_A"]: read_state_dict(path)}


def read_epoch(path: Path, networks: Sequence[str]) -> dict[str, StateDict]:
    """Read ``<epoch>_net_<network>.pth`` of a code base that writes a file for each network.

    The epoch is ``latest``, or else the highest that has the first network, or else the highest
    such iteration (``iter_5000``), or else the one word that files are named by. A file is read
    alone if its name is another, and with those of its epoch beside it otherwise.

    Args:
        path: Of the folder, or of the first network's file.
        networks: Names; all but the first may be missing.

    Raises:
        ValueError: If the first network is missing, or a file is damaged.
    """
    first = networks[0]
    if path.is_file():
        match = _EPOCH_FILE.fullmatch(path.name)
        if not match or match["network"] != first:
            return {first: read_state_dict(path)}
        folder, epoch = path.parent, match["epoch"]
    else:
        folder, epoch = path, _only_epoch(path, first)
    files = _epoch_files(folder).get(epoch, {})
    return {name: read_state_dict(files[name]) for name in networks if name in files}


def _only_epoch(folder: Path, network: str) -> str:
    """Name the epoch of which a network is read."""
    found = [epoch for epoch, files in _epoch_files(folder).items() if network in files]
    numbered = _newest_first([epoch for epoch in found if _NUMBERED.fullmatch(epoch)])
    others = sorted(set(found) - set(numbered))
    ending = f"_net_{network}.pth"
    if not numbered and len(others) > 1:
        named = ", ".join(printable(name + ending, LONGEST_NAME) for name in others[:NUM_SHOWN])
        raise ValueError(f"{folder} holds several generators: give the path of one, as {named}")
    if not found:
        raise ValueError(f"{folder} holds no generator: needed is latest{ending}, or an epoch's")
    return (numbered + others)[0]


_EPOCH_FILE = re.compile(r"(?P<epoch>.+)_net_(?P<network>\w+)\.(pth|pt|safetensors)")
_NUMBERED = re.compile(r"latest|(iter_)?[0-9]{1,18}")


def _epoch_files(folder: Path) -> dict[str, dict[str, Path]]:
    """Give files by epoch, or the word in its place, and network; of two, the one of torch."""
    epochs: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if match := _EPOCH_FILE.fullmatch(path.name):
            files = epochs.setdefault(match["epoch"], {})
            if match["network"] not in files or path.suffix == ".pth":
                files[match["network"]] = path
    return epochs


def is_named(path: Path, words: tuple[str, ...]) -> bool:
    """Tell whether a file, or its folder, has a name that begins with one of some words."""
    return path.name.startswith(words) or path.parent.name.startswith(words)


def _newest_first(epochs: Iterable[str]) -> list[str]:
    """Sort epochs: the latest, then by number, then iterations by theirs."""

    def age(epoch: str) -> tuple[bool, bool, int]:
        is_latest, number = epoch == "latest", epoch.removeprefix("iter_")
        return is_latest, epoch == number, 0 if is_latest else int(number)

    return sorted(epochs, key=age, reverse=True)


def _pair_files(folder: Path) -> dict[str, Path]:
    epochs = {e: files for e, files in _epoch_files(folder).items() if _NUMBERED.fullmatch(e)}
    newest = _newest_first(epochs)
    for generators in ({"G_A", "G_B"}, {"G"}, {"G_A"}, {"G_B"}):
        for epoch in newest:
            if generators <= epochs[epoch].keys():
                judges = set() if generators == {"G"} else {"D_A", "D_B"}
                return {n: p for n, p in epochs[epoch].items() if n in generators | judges}
    by_direction = {name: folder / f"net{name}.pth" for name in GENERATORS}
    if found := {GENERATORS[n]: path for n, path in by_direction.items() if path.is_file()}:
        return found
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
        if not isinstance(content, Mapping) or not all(map(is_plain_tensor, content.values())):
            raise ValueError(f"{source} holds no state dict (names to tensors){_held(content)}")
        size += sum(tensor.nbytes for tensor in content.values())
        names = {unwrapped(str(name)): tensor for name, tensor in content.items()}
        if len(names) != len(content):
            raise ValueError(f"{source} holds tensors twice, with module. before the name and not")
        found[part] = source, names
    if size > path.stat().st_size:
        raise ValueError(f"{path.name} claims tensors of {size} bytes, which is more than it has")
    return {part: StateDict(source, _as_floats(source, n)) for part, (source, n) in found.items()}


def _held(content: object) -> str:
    """Say what there is in place of a state dict."""
    if isinstance(content, Mapping) and content:
        return f"; it holds {_shown([str(name) for name in content])}"
    return f"; it holds a {type(content).__name__}"


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
        needed = {name: tuple(tensor.shape) for name, (_, tensor) in wanted.items()}
        raise Misfit(f"{state.source} {'; '.join(told)}", state, needed)
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

"""Read the networks of DiscoGAN's authors (SKTBrain/DiscoGAN), once they are state dictionaries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2i_bench import official

NETWORKS = {  # their gen_B makes images of b
    "gen_B": "generators.a2b",
    "gen_A": "generators.b2a",
    "dis_A": "discriminators.a",
    "dis_B": "discriminators.b",
}
SAVED = re.compile(r"model_((?:gen|dis)_[AB])-(\d+(?:\.\d+)?)(\.pth)?")
MOST_DOUBLINGS = 3  # of the width, from which a bottleneck is told
CONVERSION = (
    "in the authors' folder, discogan/, write state dictionaries and import those: python -c "
    "\"import glob, torch; [torch.save(torch.load(f, map_location='cpu', weights_only=False)"
    ".state_dict(), f + '.pth') for f in glob.glob('PATH/model_*_[AB]-*')]\""
)


def read_discogan(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read ``model_{gen,dis}_{A,B}-<k>.pth``, each the state dictionary of a module.

    Of several ``k`` it is the highest, or that of the file given.

    Returns:
        What the shapes say of the configuration, and each network with its modules.

    Raises:
        ValueError: For the authors' own files, with what to do; if a file is missing or damaged, or
            its tensors are not those of DiscoGAN.
    """
    files = {name: _swap_colours(name, _read(file)) for name, file in _find(path).items()}
    generators = [name for name in ("gen_B", "gen_A") if name in files]
    facts = infer_facts(files, generators)
    parts = []
    for name, state in files.items():
        stems = _generator_stems(state) if name in generators else _discriminator_stems(state)
        parts.append((state, official.below(NETWORKS[name], stems)))
    return facts, parts


def _find(path: Path) -> dict[str, Path]:
    """Give the files of the latest ``k`` that has a generator, state dictionaries first."""
    folder, wanted = (path.parent, SAVED.fullmatch(path.name)) if path.is_file() else (path, None)
    if path.is_file() and not wanted:
        raise ValueError(f"{path.name} has no name such as model_gen_B-5.pth, which tells networks")
    found: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.iterdir() if folder.is_dir() else ()):  # .pth after the same without
        if match := SAVED.fullmatch(file.name):
            found.setdefault(match[2], {})[match[1]] = file
    if wanted:
        found = {wanted[2]: found[wanted[2]]}
    for number in sorted(found, key=float, reverse=True):
        if {"gen_A", "gen_B"} & found[number].keys():
            return found[number]
    raise ValueError(f"{path} holds no generator: needed are files such as model_gen_B-5.pth")


def _read(file: Path) -> official.StateDict:
    try:
        return official.read_state_dict(file)
    except ValueError as error:
        if file.suffix == ".pth":
            raise
        raise ValueError(
            f"{file.name} is not read: the authors' files hold whole modules, and nothing may be "
            f"executed from a file; {CONVERSION}"
        ) from error


def _swap_colours(name: str, state: official.StateDict) -> official.StateDict:
    """Turn the BGR that the authors' networks see and make into RGB."""
    tensors = dict(state.tensors)
    convolutions = _convolutions(state)
    of_images = convolutions[:1]
    if name.startswith("gen"):
        of_images += convolutions[-1:]  # transposed: (inputs, outputs, 4, 4)
    for key in of_images:
        if tensors[key].shape[1] == 3:
            tensors[key] = tensors[key].flip(1)
    return official.StateDict(state.source, tensors)


def _convolutions(state: official.StateDict) -> list[str]:
    """Name the weights of convolutions in their order."""
    weights = [name for name, tensor in state.tensors.items() if tensor.ndim == 4]
    return sorted(weights, key=lambda name: int((re.search(r"\d+", name) or ["0"])[0]))


def infer_facts(files: Mapping[str, official.StateDict], generators: list[str]) -> dict[str, Any]:
    """Read the configuration off the shapes of official networks.

    Raises:
        ValueError: If the tensors are not those of DiscoGAN.
    """
    generator = files[generators[0]]
    width, inputs = generator.shape("main.0.weight", 4)[:2]
    weights = _convolutions(generator)
    if len(weights) % 2 or len(weights) < 2:
        raise ValueError(
            f"{generator.source} has {len(weights)} convolutions; a DiscoGAN has as many that halve"
            " as that double"
        )
    outputs = generator.shape(weights[-1], 4)[1]
    num_layers, bottleneck = len(weights) // 2, 0
    innermost = generator.shape(weights[num_layers - 1], 4)[0]
    if innermost != width * 2 ** min(num_layers - 1, MOST_DOUBLINGS):
        num_layers, bottleneck = num_layers - 1, innermost
    facts: dict[str, Any] = {
        "generator_width": width,
        "num_layers": num_layers,
        "bottleneck": bottleneck,
        "channels": (inputs, outputs) if generators[0] == "gen_B" else (outputs, inputs),
    }
    for name in ("dis_A", "dis_B"):
        if name in files:
            facts["discriminator_width"] = files[name].shape("conv1.weight", 4)[0]
    return facts


def _generator_stems(state: official.StateDict) -> official.ModuleNames:
    """Pair our layers with the authors' of the same number."""
    numbers = {name.split(".")[1] for name in state.tensors if name.startswith("main.")}
    return [(f"layers.{number}", f"main.{number}") for number in sorted(numbers)]


def _discriminator_stems(state: official.StateDict) -> official.ModuleNames:
    """Pair our stages and head with the authors' numbered convolutions and normalisations."""
    last = len(_convolutions(state))
    stems = [(f"stages.{i}.0", f"conv{i + 1}") for i in range(last - 1)]
    stems += [(f"stages.{i}.1", f"bn{i + 1}") for i in range(1, last - 1)]
    return [*stems, ("head", f"conv{last}")]

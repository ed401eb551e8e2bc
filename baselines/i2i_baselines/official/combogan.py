"""Read the files of ComboGAN's authors (AAnoosheh/ComboGAN)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2i_bench import official

SAVED = re.compile(r"(latest|\d+)_net_([GD])(\d+)\.pth")
NAMES = "domains.txt"
BRANCHES = {"grey": "model_gray", "colour": "model_rgb"}


def read_combogan(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read ``<epoch>_net_G<i>.pth``, encoders before decoders, and ``<epoch>_net_D<i>.pth``.

    The epoch is ``latest``, or else the highest, or that of the file given.

    Returns:
        What the shapes and names say of the configuration, and each network with its modules.

    Raises:
        ValueError: If a file is missing or damaged, or its tensors are not those of ComboGAN.
    """
    folder, files = _find(path)
    count = _count_domains(folder, files)
    names = [f"G{i}" for i in range(2 * count)] + [f"D{i}" for i in range(count)]
    states = {name: official.read_state_dict(files[name]) for name in names if name in files}
    facts = infer_facts(states, count)
    facts["domains"] = _domains(folder, count)
    parts = []
    for name, state in states.items():
        number = int(name[1:])
        if name.startswith("D"):
            ours, stems = f"discriminators.{number}", discriminator_stems(state)
        elif number < count:
            ours, stems = f"encoders.{number}", encoder_stems(facts["encoder_blocks"])
        else:
            ours, stems = f"decoders.{number - count}", decoder_stems(facts["decoder_blocks"])
        parts.append((state, official.below(ours, stems)))
    return facts, parts


def _find(path: Path) -> tuple[Path, dict[str, Path]]:
    """Give the folder, and the files of one epoch by the names of their networks."""
    folder, wanted = (path.parent, SAVED.fullmatch(path.name)) if path.is_file() else (path, None)
    if path.is_file() and not wanted:
        raise ValueError(f"{path.name} has no name such as 1150_net_G0.pth, which tells networks")
    epochs: dict[str, dict[str, Path]] = {}
    for file in folder.iterdir() if folder.is_dir() else ():
        if match := SAVED.fullmatch(file.name):
            epochs.setdefault(match[1], {})[f"{match[2]}{int(match[3])}"] = file
    having = [epoch for epoch, files in epochs.items() if "G0" in files]
    if wanted:
        having = [wanted[1]]
    if not having:
        raise ValueError(f"{path} holds no encoder: needed are files such as 1150_net_G0.pth")
    newest = max(having, key=lambda epoch: (epoch == "latest", epoch != "latest" and int(epoch)))
    return folder, epochs[newest]


def _count_domains(folder: Path, files: Mapping[str, Path]) -> int:
    """Tell how many domains there are: half of the encoders and decoders."""
    numbers = sorted(int(name[1:]) for name in files if name.startswith("G"))
    if numbers != list(range(len(numbers))) or len(numbers) % 2 or len(numbers) < 4:
        given = ", ".join(f"G{number}" for number in numbers)
        raise ValueError(
            f"{folder} has the networks {given}; an encoder a domain and then as many decoders are "
            "needed, of two domains at least"
        )
    return len(numbers) // 2


def _domains(folder: Path, count: int) -> tuple[str, ...]:
    """Read the names of the domains, or make them of their numbers; two are a and b."""
    file = folder / NAMES
    if not file.is_file():
        return ("a", "b") if count == 2 else tuple(str(number) for number in range(count))
    try:
        names = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not text in UTF-8") from error
    names = tuple(name for name in names if name)
    if len(names) != count:
        raise ValueError(f"{file} has {len(names)} names, and the files are of {count} domains")
    return names


def infer_facts(states: Mapping[str, official.StateDict], count: int) -> dict[str, Any]:
    """Read the configuration off the shapes of official networks.

    Raises:
        ValueError: If the tensors are not those of ComboGAN.
    """
    encoder, decoder = states["G0"], states[f"G{count}"]
    width = encoder.shape("model.1.weight", 4)[0]
    channels = tuple(states[f"G{i}"].shape("model.1.weight", 4)[1] for i in range(count))
    facts: dict[str, Any] = {
        "networks": "last" if "model.3.weight" in encoder.tensors else "2017",
        "generator_width": width,
        "encoder_blocks": encoder.count(r"model\.(\d+)\.conv_block\."),
        "decoder_blocks": decoder.count(r"model\.(\d+)\.conv_block\."),
        "channels": channels,
    }
    judge = next((state for name, state in states.items() if name.startswith("D")), None)
    if judge is not None:
        is_last = facts["networks"] == "last"
        first = "model_rgb.0.0.weight" if is_last else "model.0.weight"
        prefix = "model_rgb." if is_last else "model."
        convolutions = [
            name
            for name, tensor in judge.tensors.items()
            if tensor.ndim == 4 and name.startswith(prefix)
        ]
        facts["discriminator_width"] = judge.shape(first, 4)[0]
        facts["discriminator_layers"] = len(convolutions) - 2
    return facts


def _block_stems(number: int, ours: str, official_block: str) -> list[tuple[str, str]]:
    block = f"{official_block}.conv_block"
    return [
        (f"{ours}.{number}.first.conv", f"{block}.1"),
        (f"{ours}.{number}.first.activation", f"{block}.3"),
        (f"{ours}.{number}.second.conv", f"{block}.5"),
    ]


def encoder_stems(num_blocks: int) -> official.ModuleNames:
    """Pair our layers with the authors' positions in their ``model`` sequence."""
    stems = []
    for place, ours in ((1, "stem"), (4, "down.0"), (7, "down.1")):
        stems.append((f"{ours}.conv", f"model.{place}"))
        stems.append((f"{ours}.activation", f"model.{place + 2}"))
    for i in range(num_blocks):
        stems += _block_stems(i, "blocks", f"model.{10 + i}")
    return stems


def decoder_stems(num_blocks: int) -> official.ModuleNames:
    """Pair our layers with the authors' positions in their ``model`` sequence."""
    stems = []
    for i in range(num_blocks):
        stems += _block_stems(i, "blocks", f"model.{i}")
    for i in (0, 1):
        place = num_blocks + 3 * i
        stems += [(f"up.{i}.0", f"model.{place}"), (f"up.{i}.2", f"model.{place + 2}")]
    return [*stems, ("head.conv", f"model.{num_blocks + 7}")]


def discriminator_stems(state: official.StateDict) -> official.ModuleNames:
    """Pair our stages with the authors', in both branches; those of 2017 are one sequence."""
    if not any(name.startswith(tuple(BRANCHES.values())) for name in state.tensors):
        convolutions = sum(tensor.ndim == 4 for tensor in state.tensors.values())
        last = convolutions - 2
        stems = [("stages.0.0", "model.0")]
        stems += [(f"stages.{i}.0", f"model.{3 * i - 1}") for i in range(1, last + 1)]
        return [*stems, (f"stages.{last}.3", f"model.{3 * last + 2}")]
    stems = []
    for ours, theirs in BRANCHES.items():
        count = state.count(rf"{theirs}\.(\d+)\.")
        stems += [(f"{ours}.stages.0.{k}", f"{theirs}.0.{k}") for k in (0, 1)]
        for i in range(1, count):
            stems += [(f"{ours}.stages.{i}.{k}", f"{theirs}.{i}.{k}") for k in (0, 2)]
        stems.append((f"{ours}.stages.{count - 1}.3", f"{theirs}.{count - 1}.3"))
    return stems

"""Read the files of BicycleGAN's authors (junyanz/BicycleGAN)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2i_bench import official

DISCRIMINATORS = {"D": "discriminators.encoded", "D2": "discriminators.random"}


def read_bicyclegan(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read ``latest_net_G.pth``, and those of E, D and D2 that are beside it.

    Returns:
        What the shapes say of the configuration, with the channels of source and target, and each
        network with its modules.

    Raises:
        ValueError: If a file is missing or damaged, or its tensors are not those of BicycleGAN.
    """
    files = official.read_epoch(path, ("G", "E", *DISCRIMINATORS))
    facts = infer_facts(files)
    stems = {"G": official.below("generator", generator_stems(facts["levels"]))}
    if "E" in files:
        stems["E"] = official.below("encoder", encoder_stems(facts["encoder_blocks"]))
    for name in DISCRIMINATORS.keys() & files.keys():
        shape = facts["discriminator_layers"], facts["discriminator_scales"]
        stems[name] = official.below(DISCRIMINATORS[name], discriminator_stems(*shape))
    return facts, [(files[name], pairs) for name, pairs in stems.items()]


def infer_facts(files: Mapping[str, official.StateDict]) -> dict[str, Any]:
    """Read the configuration off the shapes of official networks.

    Raises:
        ValueError: If the tensors are not those of BicycleGAN.
    """
    generator = files["G"]
    width, joined = generator.shape("model.down.0.weight", 4)[:2]
    outputs = generator.shape("model.up.1.weight", 4)[1]
    second = generator.shape(f"{_level(2)}.down.1.weight", 4)[1]
    levels = 2
    while f"{_level(levels + 1)}.down.1.weight" in generator.tensors:
        levels += 1
    facts: dict[str, Any] = {"levels": levels, "generator_width": width}
    if "E" in files:
        facts |= _encoder_facts(files["E"])
    if second > width:
        facts["code_width"] = second - width
    elif "E" not in files:
        raise ValueError(
            f"{generator.source} takes its code at the input alone; the file of E beside it is "
            "needed to tell how much of the input is code"
        )
    facts["code_at"] = "all" if second > width else "first"
    inputs = joined - facts["code_width"]
    is_grey = inputs == 1 and outputs == 3  # edges, which the authors read as photos and make grey
    facts |= {"grey_source": is_grey, "channels": (3 if is_grey else inputs, outputs)}
    return facts | _discriminator_facts(files)


def _encoder_facts(encoder: official.StateDict) -> dict[str, Any]:
    return {
        "encoder_width": encoder.shape("conv.0.weight", 4)[0],
        "encoder_blocks": encoder.count(r"conv\.(\d+)\.shortcut\."),
        "code_width": encoder.shape("fc.0.weight", 2)[0],
    }


def _discriminator_facts(files: Mapping[str, official.StateDict]) -> dict[str, Any]:
    judges = [files[name] for name in DISCRIMINATORS if name in files]
    if not judges:
        return {}
    first = [n for n, tensor in judges[0].tensors.items() if n.startswith("model_0.")]
    convolutions = sum(judges[0].tensors[name].ndim == 4 for name in first)
    return {
        "discriminator_width": judges[0].shape("model_0.0.weight", 4)[0],
        "discriminator_layers": convolutions - 2,
        "discriminator_scales": judges[0].count(r"model_(\d+)\."),
    }


def _level(level: int) -> str:
    """Name a level's block: each lies within that of the level above."""
    return "model" + ".submodule" * (level - 1)


def generator_stems(levels: int) -> official.ModuleNames:
    """Pair our convolutions with the authors' positions in their nested blocks."""
    stems = [("down.0.0", "model.down.0")]
    stems += [(f"down.{i - 1}.1", f"{_level(i)}.down.1") for i in range(2, levels + 1)]
    return stems + [(f"up.{levels - i}.1", f"{_level(i)}.up.1") for i in range(1, levels + 1)]


def encoder_stems(num_blocks: int) -> official.ModuleNames:
    """Pair our encoder's layers with the authors'."""
    stems = [("stem", "conv.0"), ("mean", "fc.0"), ("log_variance", "fcVar.0")]
    for i in range(num_blocks):
        pairs = (("layers.2", "conv.2"), ("layers.5", "conv.5.0"), ("shortcut.1", "shortcut.1"))
        stems += [(f"blocks.{i}.{ours}", f"conv.{i + 1}.{theirs}") for ours, theirs in pairs]
    return stems


def discriminator_stems(num_layers: int, num_scales: int) -> official.ModuleNames:
    """Pair our discriminator's convolutions with the authors', at every scale."""
    return [
        (f"scales.{scale}.{ours}", theirs.replace("model", f"model_{scale}"))
        for scale in range(num_scales)
        for ours, theirs in official.patch_discriminator_stems(num_layers)
    ]

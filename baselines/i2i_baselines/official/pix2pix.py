"""Read the files of Pix2pix's authors (junyanz/pytorch-CycleGAN-and-pix2pix)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from i2i_bench import official


def read_pix2pix(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read ``latest_net_G.pth``, and ``latest_net_D.pth`` if it is there.

    Returns:
        What the shapes say of the configuration, with the channels of source and target, and each
        network with its modules.

    Raises:
        ValueError: If a file is missing or damaged, or its tensors are not those of Pix2pix.
    """
    files = official.read_epoch(path, ("G", "D"))
    facts = infer_facts(files)
    parts = [(files["G"], official.below("generator", generator_stems(facts["levels"])))]
    if "D" in files:
        last = 3 * facts["discriminator_layers"] + 2
        stems = [(f"layers.{i}", f"model.{i}") for i in range(last + 1)]
        parts.append((files["D"], official.below("discriminator", stems)))
    return facts, parts


def infer_facts(files: dict[str, official.StateDict]) -> dict[str, Any]:
    """Read the configuration off the shapes of official networks.

    Raises:
        ValueError: If the tensors are not those of Pix2pix.
    """
    generator = files["G"]
    width, inputs = generator.shape("model.model.0.weight", 4)[:2]
    outputs = generator.shape("model.model.3.weight", 4)[1]
    levels = 1
    while f"{_below(levels + 1)}.1.weight" in generator.tensors:
        levels += 1
    facts = {"generator_width": width, "levels": levels, "channels": (inputs, outputs)}
    if "D" in files:
        shape = files["D"].shape("model.0.weight", 4)
        convolutions = sum(tensor.ndim == 4 for tensor in files["D"].tensors.values())
        facts |= {
            "discriminator_width": shape[0],
            "discriminator_layers": convolutions - 2,
            "conditional": shape[1] == inputs + outputs,
        }
    return facts


def _below(level: int) -> str:
    """Name the sequence of a level's layers: each lies within that of the level above."""
    return "model.model" if level == 1 else "model.model.1.model" + ".3.model" * (level - 2)


def generator_stems(levels: int) -> official.ModuleNames:
    """Pair our layers with the authors' positions in their nested sequences."""
    stems = [("down.0.0", "model.model.0"), (f"up.{levels - 1}.1", "model.model.3")]
    for level in range(2, levels + 1):
        theirs, up = _below(level), levels - level
        stems.append((f"down.{level - 1}.1", f"{theirs}.1"))
        after = 3 if level == levels else 5  # of the up convolution
        stems += [(f"up.{up}.{i}", f"{theirs}.{after + i - 1}") for i in (1, 2)]
        if level < levels:
            stems.append((f"down.{level - 1}.2", f"{theirs}.2"))
    return stems

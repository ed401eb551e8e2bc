"""Read the files that the code of DistanceGAN's authors writes (sagiebenaim/DistanceGAN)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2i_bench import official


def read_distancegan(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read ``latest_net_{G,D}_{A,B}.pth``, or a generator alone.

    Returns:
        What the shapes say of the configuration, and each network with its modules.

    Raises:
        ValueError: If a file is missing or damaged, or its tensors are not those of DistanceGAN.
    """
    files = official.read_pair(path)
    facts = infer_facts(files)
    parts = []
    for name, state in files.items():
        if name.startswith("generators."):
            stems = generator_stems(facts["num_blocks"])
        else:
            stems = discriminator_stems(facts["discriminator_layers"])
        parts.append((state, official.below(name, stems)))
    return facts, parts


def infer_facts(files: Mapping[str, official.StateDict]) -> dict[str, Any]:
    """Read the configuration off the shapes of official networks.

    Raises:
        ValueError: If the tensors are not those of DistanceGAN.
    """
    name, generator = next((n, s) for n, s in files.items() if n.startswith("generators."))
    width, inputs = generator.shape("model.0.weight", 4)[:2]
    num_blocks = generator.count(r"model\.(\d+)\.conv_block\.")
    outputs = generator.shape(f"model.{15 + num_blocks}.weight", 4)[0]
    return {
        "generator_width": width,
        "num_blocks": num_blocks,
        "channels": (inputs, outputs) if name == "generators.a2b" else (outputs, inputs),
        **official.patch_discriminator(files),
    }


def generator_stems(num_blocks: int) -> official.ModuleNames:
    """Pair our layers with the authors' positions in their ``model`` sequence."""
    after = 9 + num_blocks
    layers = [("0.stem", "model.0", "model.1")]
    layers += [(f"0.down.{i}", f"model.{3 + 3 * i}", f"model.{4 + 3 * i}") for i in (0, 1)]
    for i in range(num_blocks):
        block = f"model.{9 + i}.conv_block"
        layers.append((f"0.blocks.{i}.first", f"{block}.0", f"{block}.1"))
        layers.append((f"0.blocks.{i}.second", f"{block}.3", f"{block}.4"))
    stems = [(f"{ours}.conv", conv) for ours, conv, _ in layers]
    stems += [(f"{ours}.norm", norm) for ours, _, norm in layers]
    for i in (0, 1):
        place = after + 3 * i
        stems += [(f"1.up.{i}.0", f"model.{place}"), (f"1.up.{i}.1", f"model.{place + 1}")]
    return [*stems, ("1.head.conv", f"model.{after + 6}")]


def discriminator_stems(num_layers: int) -> official.ModuleNames:
    """Pair the layers of a patch discriminator, normalisations included, with the authors'."""
    norms = range(3, 3 * num_layers + 3, 3)
    stems = official.patch_discriminator_stems(num_layers)
    return [*stems, *((f"layers.{i}", f"model.{i}") for i in norms)]

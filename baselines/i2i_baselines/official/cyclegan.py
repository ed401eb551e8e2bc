"""Read the files of CycleGAN's authors (junyanz/pytorch-CycleGAN-and-pix2pix)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2i_bench import official


def read_cyclegan(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read ``latest_net_{G,D}_{A,B}.pth``, or ``latest_net_G.pth`` of a single direction.

    Returns:
        What the shapes say of the configuration, and each network with its modules.

    Raises:
        ValueError: If a file is missing or damaged, or its tensors are not those of CycleGAN.
    """
    files = official.read_pair(path)
    facts = infer_facts(files)
    parts = []
    for name, state in files.items():
        if name.startswith("generators."):
            stems = generator_stems(state)
        else:
            stems = official.patch_discriminator_stems(facts["discriminator_layers"])
        parts.append((state, official.below(name, stems)))
    return facts, parts


def infer_facts(files: Mapping[str, official.StateDict]) -> dict[str, Any]:
    """Read the configuration off the shapes of official networks.

    Raises:
        ValueError: If the tensors are not those of CycleGAN.
    """
    name, generator = next(each for each in files.items() if each[0].startswith("generators."))
    num_blocks = generator.count(r"model\.(\d+)\.conv_block\.")
    width, inputs = generator.shape("model.1.weight", 4)[:2]
    outputs = generator.shape(f"model.{17 + num_blocks}.weight", 4)[0]
    return {
        "generator_width": width,
        "num_blocks": num_blocks,
        "channels": (inputs, outputs) if name == "generators.a2b" else (outputs, inputs),
        **official.patch_discriminator(files),
    }


def generator_stems(generator: official.StateDict) -> official.ModuleNames:
    """Pair our convolutions with the authors' positions in their ``model`` sequence."""
    num_blocks = generator.count(r"model\.(\d+)\.conv_block\.")
    # with dropout, as it may have been trained, the second convolution of a block is one later
    later = generator.tensors.get("model.10.conv_block.6.weight")
    second = 6 if later is not None and later.ndim == 4 else 5
    stems = [("0.stem.conv", "model.1"), ("0.down.0.conv", "model.4"), ("0.down.1.conv", "model.7")]
    for i in range(num_blocks):
        stems.append((f"0.blocks.{i}.first.conv", f"model.{10 + i}.conv_block.1"))
        stems.append((f"0.blocks.{i}.second.conv", f"model.{10 + i}.conv_block.{second}"))
    after = 10 + num_blocks
    return [
        *stems,
        ("1.0.conv", f"model.{after}"),
        ("1.1.conv", f"model.{after + 3}"),
        ("1.2.conv", f"model.{after + 7}"),
    ]

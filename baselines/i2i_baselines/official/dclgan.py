"""Read the files of DCLGAN's authors (JunlinHan/DCLGAN)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from i2i_baselines.official.cut import (
    generator_stems,
    read_discriminator,
    read_generator,
    read_heads,
)
from i2i_bench import official

GENERATORS = {"G_A": "generators.a2b", "G_B": "generators.b2a"}
JUDGES = {"D_A": "discriminators.b", "D_B": "discriminators.a"}
HEADS = {"F1": "heads.a", "F2": "heads.b"}
SUMMARIES = {  # SimDCL's
    "F3": "summaries.real_a",
    "F4": "summaries.fake_b",
    "F5": "summaries.real_b",
    "F6": "summaries.fake_a",
}
SIMDCL = {
    "lambda_similarity": 10.0,
    "lambda_nce": 1.0,
    "head_learning_rate": 2e-4,
    "head_beta1": 0.5,
}


def read_dclgan(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read ``latest_net_G_A.pth``, and those of the other networks that are beside it.

    Returns:
        What the shapes say of the configuration, and each network with its modules.

    Raises:
        ValueError: If a file is missing or damaged, or its tensors are not those of DCLGAN.
    """
    files = official.read_epoch(path, (*GENERATORS, *HEADS, *JUDGES, *SUMMARIES))
    first, parts = files["G_A"], []
    facts: dict[str, Any] = {}
    for name in [name for name in GENERATORS if name in files]:
        found, state = read_generator(files[name])
        facts = facts or found
        parts.append((state, official.below(GENERATORS[name], generator_stems(facts))))
    if not (facts["antialias"] or "F1" in files):
        raise ValueError(
            f"{first.source} holds a generator without blurs, which is CycleGAN's, too; DCLGAN's "
            "is known by its heads: put F1's file beside it"
        )
    last = f"{generator_stems(facts)[-1][1]}.weight"
    facts["channels"] = first.shape("model.1.weight", 4)[1], first.shape(last, 4)[0]
    if len(set(facts["channels"])) > 1:
        facts["lambda_identity"] = 0.0
    for name in [name for name in HEADS if name in files]:
        found, stems = read_heads(files[name])
        facts = {**found, **facts}
        parts.append((files[name], official.below(HEADS[name], stems)))
    for name in [name for name in JUDGES if name in files]:
        found, state, stems = read_discriminator(files[name], blur=facts["antialias"])
        facts = {**found, **facts}
        parts.append((state, official.below(JUDGES[name], stems)))
    for name in [name for name in SUMMARIES if name in files]:
        facts |= SIMDCL | {"map_width": files[name].shape("model.0.weight", 4)[0]}
        stems = [(str(i), f"model.{i}") for i in (0, 4, 6)]
        parts.append((files[name], official.below(SUMMARIES[name], stems)))
    return facts, parts

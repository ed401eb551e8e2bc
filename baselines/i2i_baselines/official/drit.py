"""Read the files of DRIT's authors (HsinYingLee/DRIT)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2i_bench import official

NETWORKS = ("enc_c", "enc_a", "gen")
JUDGES = {  # theirs → ours, below "discriminators"
    "disA": "encoded.a",
    "disB": "encoded.b",
    "disA2": "random.a",
    "disB2": "random.b",
}
CONTENT_JUDGE = "disContent"
DOMAINS = {"A": "a", "B": "b"}
States = Mapping[str, official.StateDict]


def read_drit(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read the last ``%05d.pth``, or any one file, of either version.

    Returns:
        What the shapes say of the configuration, and each network with its modules.

    Raises:
        ValueError: If a file is missing or damaged, or its tensors are not those of DRIT.
    """
    judges = (*JUDGES, CONTENT_JUDGE)
    read = official.read_parts(_find_file(path), NETWORKS, optional=judges)
    states = {name: flat_norms(state) for name, state in read.items()}
    facts = infer_facts(states)
    stems = network_stems(facts)
    return facts, [(state, stems[name]) for name, state in states.items()]


def _find_file(path: Path) -> Path:
    """Give the authors' last file in a folder, or the one that is given.

    Raises:
        ValueError: If there is none.
    """
    found = [path] if path.is_file() else sorted(path.glob(5 * "[0-9]" + ".pth"))
    if not found:
        raise ValueError(f"no file 00000.pth, with any 5 digits, in {path}")
    return found[-1]


def flat_norms(state: official.StateDict) -> official.StateDict:
    """Give the parameters of layer normalisation, (channels, 1, 1), the shape of ours."""
    tensors = {
        name: tensor.flatten() if tensor.ndim == 3 and tensor.shape[1:] == (1, 1) else tensor
        for name, tensor in state.tensors.items()
    }
    return dataclasses.replace(state, tensors=tensors)


def infer_facts(states: States) -> dict[str, Any]:
    """Read the configuration off the shapes of official networks.

    Raises:
        ValueError: If the tensors are not those of DRIT.
    """
    contents, attributes, generator = (states[name] for name in NETWORKS)
    stems = [contents.shape(f"conv{domain}.0.model.1.weight", 4) for domain in DOMAINS]
    facts: dict[str, Any] = {
        "generator_width": stems[0][0],
        "channels": tuple(shape[1] for shape in stems),
        "num_blocks": contents.count(r"convA\.(\d+)\.model\.5\."),
    }
    if generator.count(r"(dec_share)\."):
        facts["combine"] = "concat"
        facts["decoder_blocks"] = generator.count(r"decA1\.(\d+)\.")
        facts["attribute_width"] = attributes.shape("fc_A.0.weight", 2)[0]
        facts["attribute_blocks"] = attributes.count(r"conv_A\.(\d+)\.shortcut\.")
    else:
        facts["combine"] = "transform"
        facts["decoder_blocks"] = generator.count(r"decA(\d+)\.blk1\.")
        facts["attribute_width"] = attributes.shape("model_a.16.weight", 4)[0]
    return facts | _infer_judges(states)


def _infer_judges(states: States) -> dict[str, int]:
    facts = {}
    if CONTENT_JUDGE in states:
        content = states[CONTENT_JUDGE]
        facts["content_layers"] = content.count(r"model\.(\d+)\.model\.") - 1
        facts["content_kernel"] = content.shape("model.0.model.1.weight", 4)[2]
    if judges := [states[name] for name in JUDGES if name in states]:
        facts["discriminator_width"] = judges[0].shape("Diss.0.0.model.1.weight", 4)[0]
        facts["discriminator_layers"] = judges[0].count(r"Diss\.0\.(\d+)\.model\.")
        facts["discriminator_scales"] = judges[0].count(r"Diss\.(\d+)\.")
    return facts


def network_stems(facts: Mapping[str, Any]) -> dict[str, official.ModuleNames]:
    """Pair our modules with the authors' names, by the authors' names of networks."""
    stems = {"enc_c": content_stems(facts["num_blocks"])}
    blocks = facts["decoder_blocks"]
    if facts["combine"] == "concat":
        stems["enc_a"] = vector_stems(facts["attribute_blocks"])
        stems["gen"] = concat_stems(blocks)
    else:
        stems |= {"enc_a": style_stems(), "gen": transform_stems(blocks)}
    if "content_layers" in facts:
        stems[CONTENT_JUDGE] = content_judge_stems(facts["content_layers"])
    if "discriminator_layers" in facts:
        shape = facts["discriminator_layers"], facts["discriminator_scales"]
        stems |= {name: judge_stems(ours, *shape) for name, ours in JUDGES.items()}
    return stems


def _halves(ours: str, theirs: str) -> official.ModuleNames:
    """Pair the two convolutions of a residual block."""
    return [
        (f"{ours}.first.conv", f"{theirs}.model.1"),
        (f"{ours}.second.conv", f"{theirs}.model.5"),
    ]


def content_stems(num_blocks: int) -> official.ModuleNames:
    """Pair the modules of the content encoders."""
    prefix = "translators.contents"
    stems = [*_halves(f"{prefix}.shared", "conv_share.0")]
    for theirs, ours in DOMAINS.items():
        own = f"{prefix}.own.{ours}"
        stems += [(f"{own}.{i}.conv", f"conv{theirs}.{i}.model.1") for i in range(3)]
        for i in range(3, 3 + num_blocks):
            stems += _halves(f"{own}.{i}", f"conv{theirs}.{i}")
    return stems


def vector_stems(num_blocks: int) -> official.ModuleNames:
    """Pair the modules of the attribute encoders of ``concat``."""
    stems = []
    for theirs, ours in DOMAINS.items():
        own = f"attributes.{ours}"
        stems.append((f"{own}.stem", f"conv_{theirs}.1"))
        for i in range(num_blocks):
            block, official_block = f"{own}.blocks.{i}", f"conv_{theirs}.{i + 2}"
            stems.append((f"{block}.layers.1", f"{official_block}.conv.2"))
            stems.append((f"{block}.layers.3", f"{official_block}.conv.4.1"))
            stems.append((f"{block}.shortcut.1", f"{official_block}.shortcut.1"))
        stems.append((f"{own}.mean", f"fc_{theirs}.0"))
        stems.append((f"{own}.log_variance", f"fcVar_{theirs}.0"))
    return stems


def style_stems() -> official.ModuleNames:
    """Pair the modules of the attribute encoders of ``transform``."""
    stems = []
    for domain in DOMAINS.values():
        own = f"attributes.{domain}"
        stems += [(f"{own}.layers.{i}.conv", f"model_{domain}.{3 * i + 1}") for i in range(5)]
        stems.append((f"{own}.head", f"model_{domain}.16"))
    return stems


def concat_stems(num_blocks: int) -> official.ModuleNames:
    """Pair the modules of the generator of ``concat``."""
    stems = [*_halves("translators.joint", "dec_share.0")]
    for theirs, ours in DOMAINS.items():
        own = f"translators.decoders.{ours}"
        for i in range(num_blocks):
            stems += _halves(f"{own}.blocks.{i}", f"dec{theirs}1.{i}")
        for i in range(2):
            stems += [(f"{own}.up.{i}.{j}", f"dec{theirs}{i + 2}.0.model.{j}") for j in range(2)]
        stems.append((f"{own}.head", f"dec{theirs}4.0"))
    return stems


def transform_stems(num_blocks: int) -> official.ModuleNames:
    """Pair the modules of the generator of ``transform``."""
    stems = []
    for theirs, ours in DOMAINS.items():
        own, last = f"translators.decoders.{ours}", f"dec{theirs}{num_blocks + 1}"
        for i in range(num_blocks):
            block, official_block = f"{own}.blocks.{i}", f"dec{theirs}{i + 1}"
            for j in range(2):
                stems.append(
                    (f"{block}.convolutions.{j}.conv", f"{official_block}.conv{j + 1}.0.1")
                )
                stems += [
                    (f"{block}.mixers.{j}.{k}", f"{official_block}.blk{j + 1}.{k}") for k in (0, 2)
                ]
        for i in range(2):
            stems += [(f"{own}.up.{i}.{j}", f"{last}.{i}.model.{j}") for j in range(2)]
        stems.append((f"{own}.head", f"{last}.2"))
        stems += [(f"{own}.mlp.{k}", f"mlp{theirs}.{k}") for k in (0, 2, 4)]
    return stems


def content_judge_stems(num_layers: int) -> official.ModuleNames:
    """Pair the modules of the content discriminator."""
    own = "content_discriminator.layers"
    stems = [(f"{own}.{2 * i}", f"model.{i}.model.1") for i in range(num_layers + 1)]
    return [*stems, (f"{own}.{2 * num_layers + 2}", f"model.{num_layers + 1}")]


def judge_stems(ours: str, num_layers: int, num_scales: int) -> official.ModuleNames:
    """Pair the modules of one of the discriminators of images."""
    stems = []
    for scale in range(num_scales):
        own = f"discriminators.{ours}.scales.{scale}"
        stems += [(f"{own}.{i}.conv", f"Diss.{scale}.{i}.model.1") for i in range(num_layers)]
        stems.append((f"{own}.{num_layers}", f"Diss.{scale}.{num_layers}"))
    return stems

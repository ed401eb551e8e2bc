"""Read the files of UNIT's authors (mingyuliutw/UNIT)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2i_bench import official

PARTS = ("a", "b")  # of each file, a domain each


def read_unit(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read the last ``gen_%08d.pt``, or any one file, and its ``dis_%08d.pt``, if there is one.

    Returns:
        What the shapes say of the configuration, and each network with its modules.

    Raises:
        ValueError: If a file is missing or damaged, or its tensors are not those of UNIT.
    """
    generators, discriminators = read_networks(path)
    facts = {
        "generator_width": generators["a"].shape("enc.model.0.conv.weight", 4)[0],
        "num_blocks": generators["a"].count(r"enc\.model\.3\.model\.(\d+)\."),
        "channels": tuple(generators[d].shape("enc.model.0.conv.weight", 4)[1] for d in PARTS),
    }
    parts = [(state, generator_stems(d, facts["num_blocks"])) for d, state in generators.items()]
    facts, judges = facts | infer_discriminator(discriminators), discriminator_parts(discriminators)
    return facts, [*parts, *judges]


def read_networks(
    path: Path,
) -> tuple[dict[str, official.StateDict], dict[str, official.StateDict]]:
    """Read the last ``gen_%08d.pt``, or any one file, and its ``dis_%08d.pt``, if there is one.

    Returns:
        Generators and discriminators by domain, as UNIT and MUNIT have them; no discriminators
        where there is no file of them.

    Raises:
        ValueError: If a file is missing or damaged.
    """
    file = _find_file(path)
    generators = official.read_parts(file, PARTS)
    judges = file.with_name(file.name.replace("gen_", "dis_"))
    has_judges = judges != file and judges.exists()
    return generators, official.read_parts(judges, PARTS) if has_judges else {}


def _find_file(path: Path) -> Path:
    """Give the authors' last file of generators in a folder, or the one that is given.

    Raises:
        ValueError: If there is none.
    """
    found = [path] if path.is_file() else sorted(path.glob("gen_" + 8 * "[0-9]" + ".pt"))
    if not found:
        raise ValueError(f"no file gen_00000000.pt, with any 8 digits, in {path}")
    return found[-1]


def infer_discriminator(discriminators: Mapping[str, official.StateDict]) -> dict[str, int]:
    """Read the shape of the discriminators off the first one's tensors; empty without any.

    Raises:
        ValueError: If the tensors are not those of UNIT or MUNIT.
    """
    if not discriminators:
        return {}
    first = discriminators["a"]
    return {
        "discriminator_width": first.shape("cnns.0.0.conv.weight", 4)[0],
        "discriminator_layers": first.count(r"cnns\.0\.(\d+)\.conv\.weight"),
        "discriminator_scales": first.count(r"cnns\.(\d+)\."),
    }


def discriminator_parts(discriminators: Mapping[str, official.StateDict]) -> list[official.Part]:
    """Give each discriminator with its modules."""
    facts = infer_discriminator(discriminators)
    return [
        (
            state,
            discriminator_stems(d, facts["discriminator_layers"], facts["discriminator_scales"]),
        )
        for d, state in discriminators.items()
    ]


def generator_stems(domain: str, num_blocks: int) -> official.ModuleNames:
    """Pair our modules with the authors' names, of one domain's encoder and decoder."""
    encoder, decoder = f"generators.encoders.{domain}", f"generators.decoders.{domain}"
    stems = [(f"{encoder}.down.{i}.conv", f"enc.model.{i}.conv") for i in range(3)]
    for ours, theirs in ((f"{encoder}.blocks", "enc.model.3"), (f"{decoder}.0", "dec.model.0")):
        for i in range(num_blocks):
            for j, half in enumerate(("first", "second")):
                stems.append((f"{ours}.{i}.{half}.conv", f"{theirs}.model.{i}.model.{j}.conv"))
    for i in (2, 4):
        stems += [(f"{decoder}.{i}.{part}", f"dec.model.{i}.{part}") for part in ("conv", "norm")]
    return [*stems, (f"{decoder}.5.conv", "dec.model.5.conv")]


def discriminator_stems(domain: str, num_layers: int, num_scales: int) -> official.ModuleNames:
    """Pair our convolutions of one domain's discriminator with the authors' names."""
    stems = []
    for scale in range(num_scales):
        ours, theirs = f"discriminators.{domain}.scales.{scale}", f"cnns.{scale}"
        stems += [(f"{ours}.{i}.conv", f"{theirs}.{i}.conv") for i in range(num_layers)]
        stems.append((f"{ours}.{num_layers}", f"{theirs}.{num_layers}"))
    return stems

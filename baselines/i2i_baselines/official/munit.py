"""Read the files of MUNIT's authors (NVlabs/MUNIT)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from i2i_baselines.official.unit import discriminator_parts, infer_discriminator, read_networks
from i2i_bench import official


def read_munit(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read the last ``gen_%08d.pt``, or any one file, and its ``dis_%08d.pt``, if there is one.

    Returns:
        What the shapes say of the configuration, and each network with its modules.

    Raises:
        ValueError: If a file is missing or damaged, or its tensors are not those of MUNIT.
    """
    generators, discriminators = read_networks(path)
    stem = "enc_content.model.0.conv.weight"
    shapes = [state.shape(stem, 4) for state in generators.values()]
    mlp_width, style_width = generators["a"].shape("mlp.model.0.fc.weight", 2)
    facts: dict[str, Any] = {
        "generator_width": shapes[0][0],
        "num_blocks": generators["a"].count(r"enc_content\.model\.3\.model\.(\d+)\."),
        "style_width": style_width,
        "mlp_width": mlp_width,
        "channels": tuple(shape[1] for shape in shapes),
    }
    parts = [(state, generator_stems(d, facts["num_blocks"])) for d, state in generators.items()]
    judges = discriminator_parts(discriminators)
    return facts | infer_discriminator(discriminators), [*parts, *judges]


def generator_stems(domain: str, num_blocks: int) -> official.ModuleNames:
    """Pair our modules with the authors' names, of one domain's encoders and decoder."""
    content, style, decoder = (
        f"generators.{kind}.{domain}" for kind in ("contents", "styles", "decoders")
    )
    stems = [(f"{content}.down.{i}.conv", f"enc_content.model.{i}.conv") for i in range(3)]
    blocks = ((f"{content}.blocks", "enc_content.model.3"), (f"{decoder}.blocks", "dec.model.0"))
    for ours, theirs in blocks:
        for i in range(num_blocks):
            for j, half in enumerate(("first", "second")):
                stems.append((f"{ours}.{i}.{half}.conv", f"{theirs}.model.{i}.model.{j}.conv"))
    for i in (1, 3):
        for part in ("conv", "norm"):
            stems.append((f"{decoder}.up.{i}.{part}", f"dec.model.{i + 1}.{part}"))
    stems.append((f"{decoder}.up.4.conv", "dec.model.5.conv"))
    stems += [(f"{style}.layers.{i}.conv", f"enc_style.model.{i}.conv") for i in range(5)]
    stems.append((f"{style}.head", "enc_style.model.6"))
    return [*stems, *((f"{decoder}.mlp.{2 * i}", f"mlp.model.{i}.fc") for i in range(3))]

"""Read the variables of GANimorph's authors (brownvc/ganimorph), once they are in a torch file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2i_baselines.official.tensorflow import find_rewritten, split_networks
from i2i_bench import official

NETWORKS = {  # a generator is named after the domain that it makes
    "gen/B": "generators.a2b",
    "gen/A": "generators.b2a",
    "discrim/A": "discriminators.a",
    "discrim/B": "discriminators.b",
}
LEAVES = {"W": "weight", "weights": "weight", "gamma": "weight", "beta": "bias"}
VARIABLE = r"(gen/[AB]|discrim/[AB])/([\w/]+)/(\w+)"  # network, module, parameter
REWRITE = (
    "r = tf.train.load_checkpoint('model-450000'); torch.save({n: torch.from_numpy(r.get_tensor(n))"
    " for n in r.get_variable_to_shape_map() if n.startswith(('gen/', 'discrim/')) and n.endswith("
    "('/W', '/weights', '/gamma', '/beta'))}, 'ganimorph.pt')"
)


def read_ganimorph(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read a file of the variables of all networks by their TensorFlow names.

    Returns:
        What the shapes say of the configuration, and each network with its modules.

    Raises:
        ValueError: For TensorFlow's own file, with what to do; if the file is missing or damaged,
            or its tensors are not those of GANimorph.
    """
    variables = official.read_state_dict(find_rewritten(path, REWRITE))
    networks = split_networks(variables, VARIABLE, LEAVES, list(NETWORKS), "GANimorph")
    facts = infer_facts(networks)
    stems = {
        "gen": generator_stems(facts["num_levels"], facts["num_blocks"]),
        "discrim": discriminator_stems(facts.get("discriminator_layers", 3)),
    }
    return facts, [
        (state, official.below(NETWORKS[name], stems[name.partition("/")[0]]))
        for name, state in networks.items()
    ]


def infer_facts(networks: Mapping[str, official.StateDict]) -> dict[str, Any]:
    """Read the configuration off the shapes; dilations, which have none, are the authors'.

    Raises:
        ValueError: If the tensors are not those of GANimorph.
    """
    generator = networks["gen/B"]
    width, inputs = generator.shape("conv0.weight", 4)[:2]
    facts: dict[str, Any] = {
        "channels": (inputs, networks["gen/A"].shape("conv0.weight", 4)[1]),
        "generator_width": width,
        "num_levels": max(2, generator.count(r"conv(\d+)\.")),
        "num_blocks": max(1, generator.count(r"layer1/res(\d+)/")),
    }
    judge = next((state for name, state in networks.items() if name.startswith("discrim")), None)
    if judge is not None:
        facts["discriminator_width"] = judge.shape("conv0.weight", 4)[0]
        facts["discriminator_layers"] = max(1, judge.count(r"conv(\d+)\."))
    return facts


def generator_stems(num_levels: int, num_blocks: int) -> official.ModuleNames:
    """Pair our modules with the authors' ``conv0`` to ``deconv3``, level by level."""
    stems, last = [("stem.0", "conv0"), ("head", f"deconv{num_levels - 1}")], num_levels - 2
    for place in range(num_levels - 1):
        stems += _normed(f"down.{place}", f"conv{place + 1}")
        stems += _group(f"down_groups.{place}", f"layer{place + 1}", num_blocks)
    for place in range(last):
        stems += _normed(f"up.{place}", f"deconv{place}")
        stems += _group(f"up_groups.{place}", f"blayer{last - place}", num_blocks)
    return stems + _normed("last.0", f"deconv{last}")


def discriminator_stems(num_layers: int, num_dilated: int = 3) -> official.ModuleNames:
    """Pair our modules with the authors' ``conv0`` to ``lsconv``."""
    stems = [("stem.0", "conv0"), ("head", "lsconv")]
    for place in range(num_layers - 1):
        stems += _normed(f"near.{place}", f"conv{place + 1}")
    stems += _normed(f"near.{num_layers - 1}", "convf")
    for place in range(num_dilated):
        stems += _normed(f"far.{place}", f"Conv_{place}" if place else "Conv")
    return stems + _normed("joined", "mConv")


def _normed(ours: str, theirs: str) -> list[tuple[str, str]]:
    return [(f"{ours}.conv", theirs), (f"{ours}.norm", f"{theirs}/inorm")]


def _group(ours: str, theirs: str, num_blocks: int) -> list[tuple[str, str]]:
    parts = ("first", "second", "joined")
    return [
        pair
        for block in range(num_blocks)
        for number, part in enumerate(parts)
        for pair in _normed(f"{ours}.{block}.{part}", f"{theirs}/res{block}/conv{number}")
    ]

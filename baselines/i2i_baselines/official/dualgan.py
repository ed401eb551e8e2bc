"""Read the variables of DualGAN's authors (duxingren14/DualGAN), once they are in a torch file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from i2i_baselines.official.tensorflow import channels_first, find_rewritten, split_networks
from i2i_bench import official

NETWORKS = {  # theirs are named after the generator: A_g translates a to b, and A_d judges b
    "A_g": "generators.a2b",
    "B_g": "generators.b2a",
    "A_d": "discriminators.b",
    "B_d": "discriminators.a",
}
LEAVES = {
    **{"w": "weight", "biases": "bias", "scale": "weight", "center": "bias"},
    **{"Matrix": "weight", "bias": "bias"},
}
LEVELS = r"e(\d+)_conv\."  # names of the layers that halve
VARIABLE = r"([AB]_[gd])_(\w+)/(\w+)"  # network, module, parameter
REWRITE = (
    "r = tf.train.load_checkpoint('DualNet.model-1'); torch.save({n: torch.from_numpy("
    "r.get_tensor(n)) for n in r.get_variable_to_shape_map()}, 'dualgan.pt')"
)
LINEAR = "d_h3_lin"  # head of a discriminator of whole images
DISCRIMINATORS = {  # convolutions, normalisations and head, in their order
    "2017": ("h0_conv", "h1_conv bn1", "h2_conv bn2", "h3_conv bn3", "h4"),
    "latest": ("h0_conv", "h1_conv bn1", "h2_conv bn2", "h3_conv bn3", "h3_1_conv bn3_1", LINEAR),
    "latest-patch": (
        "h0_conv",
        "h1_conv bn1",
        "h2_conv bn2",
        "h3_conv bn3",
        "h3_1_conv bn3_1",
        "h4",
    ),
}


def read_dualgan(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read a file of the variables of all networks by their TensorFlow names.

    Returns:
        What the shapes say of the configuration, and each network with its modules.

    Raises:
        ValueError: For TensorFlow's own file, with what to do; if the file is missing or damaged,
            or its tensors are not those of DualGAN.
    """
    variables = official.read_state_dict(find_rewritten(path, REWRITE))
    networks = split_networks(variables, VARIABLE, LEAVES, list(NETWORKS), "DualGAN", _lay_out)
    facts = infer_facts(networks)
    parts = []
    for name, state in networks.items():
        is_generator = name.endswith("_g")
        if facts["networks"] != "2017":
            state = _swap_channels(state, is_generator=is_generator)
        stems = (
            generator_stems(facts["num_levels"])
            if is_generator
            else discriminator_stems(facts["networks"])
        )
        parts.append((state, official.below(NETWORKS[name], stems)))
    return facts, parts


def _lay_out(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn weights (height, width, inputs, outputs) to ours; transposed ones have those reversed.

    TensorFlow flattens (height, width, channels) before a linear layer, and we channels first.
    """
    found = channels_first(tensors)
    head = f"{LINEAR}.weight"
    last = found.get("h3_1_conv.weight")
    if head in found and found[head].ndim == 2 and last is not None and len(last):
        side = math.isqrt(len(found[head]) // len(last))
        if side * side * len(last) == len(found[head]):
            square = found[head].reshape(side, side, len(last), -1)
            found[head] = square.permute(3, 2, 0, 1).flatten(1)
    return found


def _swap_channels(state: official.StateDict, *, is_generator: bool) -> official.StateDict:
    """Have the last revision's networks, which see blue, green, red, take red, green, blue."""
    tensors = dict(state.tensors)
    first = "e1_conv.weight" if is_generator else "h0_conv.weight"
    last = f"d{state.count(LEVELS)}"
    for name, dimension in ((first, 1), (f"{last}.weight", 1), (f"{last}.bias", 0)):
        if name in tensors and tensors[name].ndim > dimension:
            tensors[name] = tensors[name].flip(dimension)
    return official.StateDict(state.source, tensors)


def infer_facts(networks: Mapping[str, official.StateDict]) -> dict[str, Any]:
    """Read the configuration off the shapes.

    Raises:
        ValueError: If the tensors are not those of DualGAN.
    """
    generator = networks["A_g"]
    width, inputs = generator.shape("e1_conv.weight", 4)[:2]
    facts: dict[str, Any] = {
        "channels": (inputs, networks["B_g"].shape("e1_conv.weight", 4)[1]),
        "generator_width": width,
        "num_levels": generator.count(LEVELS),
        "networks": "2017" if generator.shape("e2_conv.weight", 4)[2] == 5 else "latest",
    }
    judge = next((state for name, state in networks.items() if name.endswith("_d")), None)
    if judge is None:
        return facts
    facts["discriminator_width"] = judge.shape("h0_conv.weight", 4)[0]
    if facts["networks"] == "latest":
        if f"{LINEAR}.weight" not in judge.tensors:
            facts["networks"] = "latest-patch"
        else:
            features = judge.shape(f"{LINEAR}.weight", 2)[1]
            facts["image_size"] = 32 * math.isqrt(features // judge.shape("h3_1_conv.weight", 4)[0])
    return facts


def generator_stems(num_levels: int) -> official.ModuleNames:
    """Pair our modules with the authors' ``e1_conv`` to ``bn_d7``."""
    stems = [("down.0.0", "e1_conv")]
    for level in range(2, num_levels + 1):
        stems += [
            (f"down.{level - 1}.1", f"e{level}_conv"),
            (f"down.{level - 1}.2", f"bn_e{level}"),
        ]
    for number in range(1, num_levels + 1):
        stems.append((f"up.{number - 1}.1", f"d{number}"))
        if number < num_levels:
            stems.append((f"up.{number - 1}.2", f"bn_d{number}"))
    return stems


def discriminator_stems(networks: str) -> official.ModuleNames:
    """Pair our modules with the authors' ``h0_conv`` to ``h4`` or ``d_h3_lin``."""
    stems, place = [], 0
    for layer in DISCRIMINATORS[networks]:
        for name in layer.split():
            place += name == LINEAR  # behind the layer that flattens
            stems.append((f"layers.{place}", name))
            place += 1
        place += 1  # of the activation
    return stems

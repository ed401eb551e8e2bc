"""The reference steps of MUNIT and DRIT are the authors' steps."""

import pytest
import torch

from i2i_bench.blocks.optimise import set_learning_rate
from i2i_bench.model import Batch, Clock
from i2i_bench.randomness import Randomness

STYLES = ("discriminator_a", "discriminator_b", "generator_a", "generator_b")
OF_MUNIT = {  # the end of the authors' name: ours
    "dis": "discriminator",
    "gen_recon_x": "reconstruction",
    "gen_recon_s": "style",
    "gen_recon_c": "content",
    "gen_cycrecon_x": "cycle",
}
CONTENTS = ("content_a", "content_b", "content_fake_a", "content_fake_b")
CODES = ("attribute_a", "attribute_b", "drawn", "drawn2", "attribute_fake_a", "attribute_fake_b")
DRIT_NETWORKS = ("enc_c", "enc_a", "gen", "disA", "disB", "disA2", "disB2", "disContent")
OF_DRIT = {  # the authors' name, of domains a and b: ours, and the weight that theirs includes
    "dis{D}_loss": ("discriminator_{d}", 1),
    "dis{D}2_loss": ("discriminator_random_{d}", 1),
    "gan_loss_{d}": ("adversarial_{other}2{d}", 1),
    "gan_loss_{d}content": ("adversarial_content_{d}", 1),
    "gan2_loss_{d}": ("adversarial_random_{other}2{d}", 1),
    "kl_loss_za_{d}": ("kl_{d}", 0.01),
    "kl_loss_zc_{d}": ("kl_content_{d}", 0.01),
    "l1_recon_{D}_loss": ("cycle_{d}", 10),
    "l1_recon_{D}{D}_loss": ("reconstruction_{d}", 10),
    "l1_recon_z_loss_{d}": ("latent_{d}", 10),
    "lz_{OTHER}{D}": ("mode_seeking_{other}2{d}", 1),
}


class Replay(Randomness):
    """What the authors drew in a step, by our names."""

    def __init__(self, draws):
        super().__init__(0, dtype=torch.float64)
        self.draws = draws

    def normal(self, name, shape):
        return self.draws.pop(name).double().reshape(shape)


@pytest.fixture(scope="module")
def references(load_benchmark):
    return load_benchmark("reference_styles")


@pytest.mark.slow
def test_three_steps_of_munit_in_float64_equal_the_authors(golden, references, tmp_path):
    numbers = golden("munit")
    for kind in ("gen", "dis"):
        both = {d: numbers.network(f"{kind}_{d}") for d in "ab"}
        torch.save(both, tmp_path / f"{kind}_00000020.pt")
    model = references.ReferenceMUNIT.from_official(tmp_path)
    model.networks.double()
    for step, official in enumerate(numbers.steps["losses_float64"]):
        model.advance(Clock(step + 1, 1_000_000, step, 1_000_000))
        draws = {name: numbers.io[f"noise/{4 * step + i:02}"] for i, name in enumerate(STYLES)}
        losses = model.training_step(Batch(numbers.batch(step)), Replay(draws))
        expected = {
            f"{ours}_{d}": official[f"loss_{theirs}_{d}"]
            for theirs, ours in OF_MUNIT.items()
            for d in "ab"
        }
        expected["adversarial_b2a"] = official["loss_gen_adv_a"]
        expected["adversarial_a2b"] = official["loss_gen_adv_b"]
        assert {name: value.item() for name, value in losses.items()} == pytest.approx(
            expected, rel=1e-6
        )


@pytest.mark.slow
def test_updates_of_drit_in_float64_equal_the_authors(golden, references, tmp_path):
    numbers = golden("drit")
    path = tmp_path / "00009.pth"
    torch.save({name: numbers.network(name) for name in DRIT_NETWORKS}, path)
    model = references.ReferenceDRIT.from_official(path)
    model.networks.double()
    set_learning_rate({"content": model.optimizers["content_discriminator"]}, 4e-5)
    for update, official in enumerate(numbers.steps["losses_float64"][:3]):
        is_full = model.is_full = official["update"] == "full"
        losses = model.training_step(_images(numbers, update), _draws(numbers, update, is_full))
        expected = {"discriminator_content": official["disContent_loss"]}
        for theirs, (ours, weight) in OF_DRIT.items() if is_full else ():
            for d, other in (("a", "b"), ("b", "a")):
                names = {"d": d, "D": d.upper(), "other": other, "OTHER": other.upper()}
                expected[ours.format(**names)] = official[theirs.format(**names)] / weight
        assert {name: value.item() for name, value in losses.items()} == pytest.approx(
            expected, rel=1e-6
        )


def _images(numbers, update):
    rows = {side: numbers.io[f"train/idx_{side}"][update] for side in "AB"}
    pools = {side: numbers.io[f"train/pool_{side}"][rows[side]].double() for side in "AB"}
    return Batch({side.lower(): (pool - 128) / 128 for side, pool in pools.items()})


def _draws(numbers, update, is_full):
    io, count = numbers.io, 4 if is_full else 2
    noise = {CONTENTS[k]: io[f"noise/it{update}_n{k}"].double() / 32 for k in range(count)}
    if is_full:
        noise |= {name: io[f"noise/it{update}_z{k}"] for k, name in enumerate(CODES)}
    return Replay(noise)

"""The reference steps of the benchmark are the authors' steps."""

import pytest
import torch

from i2i_bench.model import Batch, Clock
from i2i_bench.randomness import Randomness

PAIR = {f"latest_net_{name}.pth": name for name in ("G_A", "G_B", "D_A", "D_B")}
UGATIT = ("genA2B", "genB2A", "disGA", "disGB", "disLA", "disLB")
DRAWS = ("discriminator_a", "discriminator_b", "generator_a", "generator_b", "cycle_b", "cycle_a")
FOLDERS = {
    "attentiongan": "attentiongan_v2",
    "cyclegan": "cyclegan",
    "unit": "unit",
    "ugatit-light": "ugatit_light",
}


@pytest.fixture(scope="module")
def reference_steps(load_benchmark):
    return load_benchmark("reference_steps")


class Replay(Randomness):
    """The authors' noise of one step, where there is some."""

    def __init__(self, numbers, step):
        super().__init__(0, dtype=torch.float64)
        self.noise = {
            name: numbers.io.get(f"noise/{6 * step + i:02}") for i, name in enumerate(DRAWS)
        }

    def normal(self, name, shape):
        noise = self.noise.pop(name)
        assert noise is not None
        assert noise.shape == shape
        return noise.double()


def save(name, numbers, folder):
    """Write the authors' networks as their files."""
    if name in ("attentiongan", "cyclegan"):
        numbers.save(folder, PAIR)
    elif name == "unit":
        for kind in ("gen", "dis"):
            both = {d: numbers.network(f"{kind}_{d}") for d in "ab"}
            torch.save(both, folder / f"{kind}_00000020.pt")
    else:
        networks = {part: numbers.network(part) for part in UGATIT}
        torch.save(networks, folder / "toy_params_latest.pt")


def of_cycle_gan(expected):
    """Give the authors' losses, which are weighted, by our names."""
    return {
        "discriminator_b": expected["D_A"],
        "discriminator_a": expected["D_B"],
        "adversarial_a2b": expected["G_A"],
        "adversarial_b2a": expected["G_B"],
        "cycle_a": expected["cycle_A"] / 10,
        "cycle_b": expected["cycle_B"] / 10,
        "identity_b": expected["idt_A"] / 5,
        "identity_a": expected["idt_B"] / 5,
    }


def of_unit(expected):
    found = {"adversarial_b2a": expected["loss_gen_adv_a"]}
    found["adversarial_a2b"] = expected["loss_gen_adv_b"]
    found["kl_cycle_a"] = expected["loss_gen_recon_kl_cyc_aba"]
    found["kl_cycle_b"] = expected["loss_gen_recon_kl_cyc_bab"]
    for d in "ab":
        found[f"discriminator_{d}"] = expected[f"loss_dis_{d}"]
        found[f"reconstruction_{d}"] = expected[f"loss_gen_recon_x_{d}"]
        found[f"kl_{d}"] = expected[f"loss_gen_recon_kl_{d}"]
        found[f"cycle_{d}"] = expected[f"loss_gen_cyc_x_{d}"]
    return found


def of_ugatit(expected):
    found = {}
    for d, into in (("A", "b2a"), ("B", "a2b")):
        kinds = [f"{kind}_{scale}{d}" for kind in ("loss", "cam_loss") for scale in "GL"]
        found[f"adversarial_{into}"] = sum(expected[f"G_ad_{kind}"] for kind in kinds)
        found[f"discriminator_{d.lower()}"] = sum(expected[f"D_ad_{kind}"] for kind in kinds)
        found[f"cycle_{d.lower()}"] = expected[f"G_recon_loss_{d}"]
        found[f"identity_{d.lower()}"] = expected[f"G_identity_loss_{d}"]
        found[f"cam_{into}"] = expected[f"G_cam_loss_{d}"]
    return found


OURS = {"unit": of_unit, "ugatit-light": of_ugatit}


@pytest.mark.parametrize("name", FOLDERS)
def test_three_steps_in_float64_equal_the_authors(golden, reference_steps, tmp_path, name):
    numbers = golden(FOLDERS[name])
    save(name, numbers, tmp_path)
    model = reference_steps.REFERENCES[name][1].from_official(tmp_path)
    model.networks.double()
    for step, official in enumerate(numbers.steps["losses_float64"]):
        model.advance(Clock(step + 1, 1_000_000, step, 1_000_000))
        losses = model.training_step(Batch(numbers.batch(step)), Replay(numbers, step))
        expected = OURS.get(name, of_cycle_gan)(official)
        assert losses.keys() == expected.keys()
        for key, value in expected.items():
            assert losses[key].item() == pytest.approx(value, rel=1e-6)

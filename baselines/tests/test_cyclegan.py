"""CycleGAN against the authors' numbers."""

import pytest
import torch
from i2i_baselines.cyclegan import CycleGAN, CycleGANConfig

from i2i_bench.model import A2B, B2A, Batch, Clock, Randomness

FILES = {f"latest_net_{name}.pth": name for name in ("G_A", "G_B", "D_A", "D_B")}


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("cyclegan")


@pytest.fixture
def model(numbers, tmp_path):
    return CycleGAN.from_official(numbers.save(tmp_path, FILES))


def test_configuration_is_read_off_the_shapes(model):
    expected = CycleGANConfig(generator_width=8, discriminator_width=8)
    assert model.config == expected


def test_forward_equals_the_authors(model, numbers):
    probe = {d: numbers.io[f"probe/real_{d.upper()}"] for d in ("a", "b")}
    with torch.no_grad():
        fake_b = model.translate(Batch(probe), A2B)
        outputs = {
            "A2B/fake": fake_b,
            "B2A/fake": model.translate(Batch(probe), B2A),
            "A2B/cycle": model.translate(Batch({"b": fake_b}), B2A),
            "A2B/identity": model.translate(Batch({"b": probe["a"]}), B2A),
            "D_A/real_B": model.discriminators["b"](probe["b"]),
            "D_B/real_A": model.discriminators["a"](probe["a"]),
            "D_A/fake_B": model.discriminators["b"](fake_b),
        }
    for name, output in outputs.items():
        torch.testing.assert_close(output, numbers.io[f"init/{name}"], atol=2e-5, rtol=0)


def test_three_steps_in_float64_equal_the_authors(model, numbers):
    model.networks.double()
    random = Randomness(0, dtype=torch.float64)
    for step, expected in enumerate(numbers.steps["losses_float64"]):
        model.advance(Clock(step + 1, 1000, 2 * step, 2000))
        losses = model.training_step(Batch(numbers.batch(step)), random.at(2 * step))
        official = {
            "D_A": losses["discriminator_b"],
            "D_B": losses["discriminator_a"],
            "G_A": losses["adversarial_a2b"],
            "G_B": losses["adversarial_b2a"],
            "cycle_A": 10 * losses["cycle_a"],
            "cycle_B": 10 * losses["cycle_b"],
            "idt_A": 5 * losses["identity_b"],
            "idt_B": 5 * losses["identity_a"],
        }
        for name, value in official.items():
            assert value.item() == pytest.approx(expected[name], rel=1e-6)
    probe = {d: numbers.io[f"probe/real_{d.upper()}"].double() for d in ("a", "b")}
    with torch.no_grad():
        for direction, name in ((A2B, "A2B"), (B2A, "B2A")):
            fake = model.translate(Batch(probe), direction).float()
            truth = numbers.io[f"after3_f64/{name}/fake"]
            torch.testing.assert_close(fake, truth, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("num_blocks", "count"), [(9, 11_378_179), (6, 7_837_699)])
def test_parameters_are_the_authors_to_the_integer(num_blocks, count):
    with torch.device("meta"):
        model = CycleGAN(CycleGANConfig(num_blocks=num_blocks))
    counts = [sum(p.numel() for p in net.parameters()) for net in model.generators.values()]
    assert counts == [count, count]
    judges = [sum(p.numel() for p in net.parameters()) for net in model.discriminators.values()]
    assert judges == [2_764_737, 2_764_737]


def test_files_of_another_width_are_refused_by_name(numbers, tmp_path):
    folder = numbers.save(tmp_path, FILES)
    tensors = numbers.network("G_B")
    tensors["model.26.weight"] = torch.zeros(4, 8, 7, 7)
    torch.save(tensors, folder / "latest_net_G_B.pth")
    with pytest.raises(ValueError, match=r"1\.2\.conv\.weight \(4, 8, 7, 7\)"):
        CycleGAN.from_official(folder)

"""CycleGAN against the authors' numbers."""

import dataclasses

import pytest
import torch
from i2i_baselines.cyclegan import CycleGAN, CycleGANConfig

from i2i_bench.model import A2B, B2A, Batch, Clock, Settings
from i2i_bench.plugins.toy import NOMINAL
from i2i_bench.randomness import Randomness

FILES = {f"latest_net_{name}.pth": name for name in ("G_A", "G_B", "D_A", "D_B")}
NORMS = {  # positions of normalisations, which have no parameters
    "G": [f"model.{i}" for i in (2, 5, 8, 20, 23)]
    + [f"model.{i}.conv_block.{j}" for i in range(10, 19) for j in (2, 6)],
    "D": [f"model.{i}" for i in (3, 6, 9)],
}


def with_statistics(kind, tensors):
    leaves = ("running_mean", "running_var")
    return tensors | {f"{norm}.{leaf}": torch.ones(8) for norm in NORMS[kind] for leaf in leaves}


def with_dropout(kind, tensors):
    return {name.replace("conv_block.5", "conv_block.6"): t for name, t in tensors.items()}


LAYOUTS = {
    "as saved": lambda kind, tensors: tensors,
    "several GPUs": lambda kind, tensors: {f"module.{name}": t for name, t in tensors.items()},
    "old torch": with_statistics,
    "dropout": with_dropout,
    "dropout, old torch": lambda kind, tensors: (
        {
            "model.10.conv_block.7.running_mean": torch.ones(32),
            "model.10.conv_block.7.num_batches_tracked": torch.tensor(3),
        }
        | with_dropout(kind, tensors)
    ),
}


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("cyclegan")


@pytest.fixture
def model(numbers, tmp_path):
    return CycleGAN.from_official(numbers.save(tmp_path, FILES))


def save_as(layout, numbers, folder):
    for file, name in FILES.items():
        torch.save(LAYOUTS[layout](name[0], numbers.network(name)), folder / file)
    return folder


def test_configuration_is_read_off_the_shapes(model):
    expected = CycleGANConfig(generator_width=8, discriminator_width=8)
    assert model.config == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_forward_equals_the_authors(numbers, tmp_path, layout):
    model = CycleGAN.from_official(save_as(layout, numbers, tmp_path))
    assert model.absent == set()
    probe = {d: numbers.io[f"probe/real_{d.upper()}"] for d in ("a", "b")}
    with torch.no_grad():
        fake_b = model.translate(Batch(probe), A2B, Randomness(0))
        outputs = {
            "A2B/fake": fake_b,
            "B2A/fake": model.translate(Batch(probe), B2A, Randomness(0)),
            "A2B/cycle": model.translate(Batch({"b": fake_b}), B2A, Randomness(0)),
            "A2B/identity": model.translate(Batch({"b": probe["a"]}), B2A, Randomness(0)),
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
            fake = model.translate(Batch(probe), direction, Randomness(0)).float()
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
    with pytest.raises(
        ValueError, match=r"latest_net_G_B\.pth has misshapen model\.26\.weight \(4, 8, 7, 7\)"
    ):
        CycleGAN.from_official(folder)


@pytest.mark.parametrize(
    ("file", "direction", "probe"),
    [("latest_net_G.pth", A2B, "a"), ("latest_net_G_B.pth", B2A, "b"), ("any.pth", A2B, "a")],
)
def test_one_generator_alone_is_read_and_the_rest_is_absent(
    numbers, tmp_path, file, direction, probe
):
    name = "G_B" if direction is B2A else "G_A"
    numbers.save(tmp_path, {file: name})
    model = CycleGAN.from_official(tmp_path / file if file == "any.pth" else tmp_path)
    absent = {f"generators.{direction.reverse}", "discriminators.a", "discriminators.b"}
    assert model.absent == absent
    images = {probe: numbers.io[f"probe/real_{probe.upper()}"]}
    with torch.no_grad():
        fake = model.translate(Batch(images), direction, Randomness(0))
    truth = numbers.io[f"init/{str(direction).upper()}/fake"]
    torch.testing.assert_close(fake, truth, atol=2e-5, rtol=0)


def test_discriminator_without_a_file_is_absent(numbers, tmp_path):
    numbers.save(tmp_path, {file: name for file, name in FILES.items() if name != "D_A"})
    assert CycleGAN.from_official(tmp_path).absent == {"discriminators.b"}  # D_A judges b


def test_last_epoch_of_both_generators_is_read_where_there_is_no_latest(numbers, tmp_path):
    numbers.save(tmp_path, {f"{epoch}_net_{n}.pth": n for epoch in (9, 60) for n in ("G_A", "G_B")})
    numbers.save(tmp_path, {"200_net_G_A.pth": "G_A", "60_net_D_A.pth": "D_A"})
    (tmp_path / "9_net_G_A.pth").write_bytes(b"")
    (tmp_path / "200_net_G_A.pth").write_bytes(b"")
    assert CycleGAN.from_official(tmp_path).absent == {"discriminators.a"}
    numbers.save(tmp_path, {f"latest_net_{n}.pth": n for n in ("G_A", "G_B")})
    assert CycleGAN.from_official(tmp_path).absent == {"discriminators.a", "discriminators.b"}


def test_generator_of_six_blocks_is_read(tmp_path):
    width, tensors = 2, {}
    shapes = {1: (2, 3, 7), 4: (4, 2, 3), 7: (8, 4, 3), 16: (8, 4, 3), 19: (4, 2, 3), 23: (3, 2, 7)}
    named = {f"model.{i}": shape for i, shape in shapes.items()}
    named |= {f"model.{i}.conv_block.{j}": (8, 8, 3) for i in range(10, 16) for j in (1, 5)}
    for name, (first, second, side) in named.items():
        tensors[f"{name}.weight"] = torch.randn(first, second, side, side)
        is_transposed = name in ("model.16", "model.19")
        tensors[f"{name}.bias"] = torch.randn(second if is_transposed else first)
    torch.save(tensors, tmp_path / "latest_net_G.pth")
    model = CycleGAN.from_official(tmp_path)
    assert (model.config.num_blocks, model.config.generator_width) == (6, width)
    held = {tuple(tensor.shape): tensor for tensor in model.generators["a2b"].state_dict().values()}
    assert torch.equal(held[3, 2, 7, 7], tensors["model.23.weight"])


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("model.1.weight", None, r"G_A\.pth lacks model\.1\.weight; it holds model\.1\.bias"),
        ("model.19.bias", None, r"G_A\.pth lacks model\.19\.bias$"),
        ("model.2.weight", torch.ones(8), r"G_A\.pth has unknown model\.2\.weight$"),  # batch norm
        ("model.4.running_mean", torch.ones(8), r"has unknown model\.4\.running_mean$"),
        ("model.1.weight", torch.tensor(1.0), r"has misshapen model\.1\.weight \(\)"),
        ("model.1.weight", torch.ones(0, 3, 7, 7), r"has misshapen model\.1\.weight \(0, 3, 7"),
        ("model.1.weight", torch.ones(8, 3, 7, 7).int(), r"type: model\.1\.weight \(int32\)"),
        ("model.19.bias", torch.full((16,), torch.nan), r"not finite in model\.19\.bias$"),
    ],
)
def test_damaged_generators_are_refused_by_name(numbers, tmp_path, name, tensor, message):
    folder = numbers.save(tmp_path, FILES)
    tensors = numbers.network("G_A")
    tensors[name] = tensor
    torch.save({n: t for n, t in tensors.items() if t is not None}, folder / "latest_net_G_A.pth")
    with pytest.raises(ValueError, match=message):
        CycleGAN.from_official(folder)


def test_published_settings_are_the_authors():
    counts = {"a": 1000, "b": 1300}
    task = dataclasses.replace(NOMINAL, kind="catalogued", num_train=counts)
    assert CycleGAN.settings("published", task) == Settings(
        CycleGANConfig(
            lambda_cycle=10.0,
            lambda_identity=5.0,
            learning_rate=2e-4,
            beta1=0.5,
            constant_epochs=100,
            decay_epochs=100,
            pool_size=50,
        ),
        batch_size=1,
        budget=200 * 1300,
        load_size=286,
        crop_size=256,
        resampling="bicubic",
        resize="square",
        flip=True,
    )


def test_learning_rate_falls_linearly_after_half_of_the_epochs():
    model = CycleGAN(CycleGANConfig(generator_width=2, discriminator_width=2))
    rates = []
    for epoch in (0, 99, 100, 199):
        model.advance(Clock(1, 1, epoch, 200))
        rates.append([o.param_groups[0]["lr"] for o in model.optimizers.values()])
    expected = [2e-4, 2e-4, 2e-4 * 100 / 101, 2e-4 / 101]
    assert rates == [pytest.approx([rate, rate]) for rate in expected]


def test_weights_start_as_the_authors():
    torch.manual_seed(0)
    config = CycleGANConfig(generator_width=16, discriminator_width=16, num_blocks=2)
    parameters = dict(CycleGAN(config).networks.named_parameters())
    weights = [p.flatten() for name, p in parameters.items() if name.endswith("weight")]
    assert torch.cat(weights).std().item() == pytest.approx(0.02, rel=0.02)
    assert not any(p.any() for name, p in parameters.items() if name.endswith("bias"))


def test_pools_of_both_domains_draw_apart():
    class Noting(Randomness):
        def uniform(self, name, shape):
            names.append(name)
            return super().uniform(name, shape)

    names = []
    model = CycleGAN(CycleGANConfig(generator_width=2, discriminator_width=2, num_blocks=0))
    model.training_step(Batch({d: torch.zeros(1, 3, 24, 24) for d in "ab"}), Noting(0))
    assert len(set(names)) == len(names) == 2

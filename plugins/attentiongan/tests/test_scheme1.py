"""AttentionGAN, Scheme I, against the authors' numbers."""

import dataclasses

import pytest
import torch
from i2i_attentiongan.networks import SingleMaskGenerator
from i2i_attentiongan.scheme1 import AttentionGANv1, AttentionGANv1Config
from torch import nn

from i2i_bench.model import A2B, B2A, Batch, Clock, Settings
from i2i_bench.plugins.toy import NOMINAL
from i2i_bench.randomness import Randomness

FILES = {f"net{name}.pth": f"net{name}" for name in ("G_A2B", "G_B2A", "D_A", "D_B")}
LAYOUTS = {
    "as saved": lambda tensors: tensors,
    "several GPUs": lambda tensors: {f"module.{name}": t for name, t in tensors.items()},
    "torch 0.3": lambda tensors: {
        name: t for name, t in tensors.items() if not name.endswith("num_batches_tracked")
    },
}


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("attentiongan_v1")


@pytest.fixture
def model(numbers, tmp_path):
    return AttentionGANv1.from_official(numbers.save(tmp_path, FILES))


def test_configuration_is_read_off_the_shapes(model):
    assert model.config == AttentionGANv1Config(generator_width=8, discriminator_width=4)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_forward_equals_the_authors(numbers, tmp_path, mode, layout):
    for file, name in FILES.items():
        torch.save(LAYOUTS[layout](numbers.network(name)), tmp_path / file)
    model = AttentionGANv1.from_official(tmp_path)
    assert model.absent == set()
    model.networks.train(mode == "train")
    probe = {d: numbers.io[f"probe/real_{d.upper()}"] for d in ("a", "b")}
    with torch.no_grad():
        outputs = {
            "A2B/fake": model.generators["a2b"](probe["a"]),
            "B2A/fake": model.generators["b2a"](probe["b"]),
            "D_A/real_A": model.discriminators["a"](probe["a"]),
            "D_B/real_B": model.discriminators["b"](probe["b"]),
        }
        if mode == "eval":
            generator = model.generators["a2b"]
            assert isinstance(generator, SingleMaskGenerator)
            content, mask = generator.layers(probe["a"])
            outputs |= {"A2B/attention": mask, "A2B/content": content}
    for name, output in outputs.items():
        torch.testing.assert_close(output, numbers.io[f"init/{mode}/{name}"], atol=2e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [0, 10])
def test_three_steps_in_float64_equal_the_authors_in_both_regimes(model, numbers, epoch):
    model.networks.double()
    random = Randomness(0, dtype=torch.float64)
    for step, expected in enumerate(numbers.steps[f"losses_float64_epoch{epoch}"]):
        model.advance(Clock(step + 1, 20_000, 100 * epoch + step, 20_000))
        losses = model.training_step(Batch(numbers.batch(step)), random.at(step))
        official = {
            "loss_GAN_A2B": losses["adversarial_a2b"],
            "loss_GAN_B2A": losses["adversarial_b2a"],
            "loss_cycle_ABA": losses["cycle_a"],
            "loss_cycle_BAB": losses["cycle_b"],
            "loss_pix_A": losses["pixel_a2b"],
            "loss_pix_B": losses["pixel_b2a"],
            "loss_reg_A": 1e-6 * losses["total_variation_b2a"],
            "loss_reg_B": 1e-6 * losses["total_variation_a2b"],
            "loss_D": losses["discriminator_a"] + losses["discriminator_b"],
            "rate": torch.tensor(model.rate),
            "lr": torch.tensor(model.optimizers["generators"].param_groups[0]["lr"]),
        }
        for name, value in official.items():
            assert value.item() == pytest.approx(expected[name], rel=1e-6), name
    model.networks.eval()
    probe = {d: numbers.io[f"probe/real_{d.upper()}"].double() for d in ("a", "b")}
    with torch.no_grad():
        outputs = {
            "A2B/fake": model.generators["a2b"](probe["a"]),
            "D_A/real_A": model.discriminators["a"](probe["a"]),
            "D_B/real_B": model.discriminators["b"](probe["b"]),
        }
    for name, output in outputs.items():
        truth = numbers.io[f"after3_f64_epoch{epoch}/eval/{name}"]
        torch.testing.assert_close(output.float(), truth, atol=1e-6, rtol=1e-6)


def test_learning_rate_falls_linearly_to_a_hundredth():
    model = AttentionGANv1(AttentionGANv1Config(generator_width=2, discriminator_width=2))
    rates = []
    for epoch in (0, 100, 150, 199):
        model.advance(Clock(1, 1, epoch, 200))
        rates.append(model.optimizers["generators"].param_groups[0]["lr"])
    assert rates == pytest.approx([1e-4, 1e-4, 0.5e-4, 1e-6])


def test_parameters_are_the_authors_to_the_integer():
    with torch.device("meta"):
        model = AttentionGANv1(AttentionGANv1Config())
    counts = [sum(p.numel() for p in n.parameters()) for n in model.generators.values()]
    judges = [sum(p.numel() for p in n.parameters()) for n in model.discriminators.values()]
    assert (counts, judges) == ([7_931_332] * 2, [6_953_793] * 2)


def test_masks_compose_the_unclipped_translation(model, numbers):
    model.networks.eval()
    batch = Batch({"b": numbers.io["probe/real_B"]})
    with torch.no_grad():
        masks = model.masks(batch, B2A, Randomness(0))
        fused = masks.content[:, 0] * masks.attention[:, :1]
        fused = fused + batch.images["b"] * masks.attention[:, 1:]
        torch.testing.assert_close(model.translate(batch, B2A, Randomness(0)), fused.clamp(-1, 1))


def test_images_below_the_discriminators_size_are_refused():
    model = AttentionGANv1(AttentionGANv1Config(generator_width=2, discriminator_width=2))
    images = {d: torch.zeros(1, 3, 92, 92) for d in ("a", "b")}
    with pytest.raises(ValueError, match="at least 94 px, not 92x92"):
        model.training_step(Batch(images), Randomness(0))


def test_direction_of_a_mask_is_that_of_its_generator(model, numbers):
    model.networks.eval()
    with torch.no_grad():
        masks = model.masks(Batch({"a": numbers.io["probe/real_A"]}), A2B, Randomness(0))
    expected = numbers.io["init/eval/A2B/attention"]
    torch.testing.assert_close(masks.attention[:, :1], expected, atol=2e-5, rtol=0)


def test_discriminator_without_a_file_is_absent(numbers, tmp_path):
    files = {file: name for file, name in FILES.items() if name != "netD_B"}
    assert AttentionGANv1.from_official(numbers.save(tmp_path, files)).absent == {
        "discriminators.b"
    }


@pytest.mark.parametrize("direction", [A2B, B2A], ids=str)
@pytest.mark.parametrize("as_file", [False, True])
def test_one_generator_translates_its_direction(numbers, tmp_path, direction, as_file):
    file = f"netG_{str(direction).upper()}.pth"
    numbers.save(tmp_path, {file: FILES[file]})
    model = AttentionGANv1.from_official(tmp_path / file if as_file else tmp_path)
    assert model.absent == {
        f"generators.{direction.reverse}",
        "discriminators.a",
        "discriminators.b",
    }
    model.networks.eval()
    probe = numbers.io[f"probe/real_{direction.source.upper()}"]
    with torch.no_grad():
        output = model.generators[str(direction)](probe)
    truth = numbers.io[f"init/eval/{str(direction).upper()}/fake"]
    torch.testing.assert_close(output, truth, atol=2e-5, rtol=0)


def test_folder_without_a_generator_is_refused(numbers, tmp_path):
    with pytest.raises(ValueError, match=r"no generator: netG_A2B\.pth or netG_B2A\.pth is need"):
        AttentionGANv1.from_official(numbers.save(tmp_path, {"netD_A.pth": "netD_A"}))


@pytest.mark.parametrize(
    ("file", "name", "message"),
    [
        ("netG_A2B.pth", "model.2.running_mean", r"netG_A2B\.pth lacks model\.2\.running_mean; it"),
        ("netG_B2A.pth", "model.2.running_var", r"netG_B2A\.pth lacks model\.2\.running_var$"),
        ("netG_B2A.pth", "model.20.weight", r"netG_B2A\.pth lacks model\.20\.weight$"),
        ("netD_A.pth", "conv_tower.10.bias", r"netD_A\.pth lacks conv_tower\.10\.bias$"),
    ],
)
def test_damaged_files_are_refused_by_name(numbers, tmp_path, file, name, message):
    folder = numbers.save(tmp_path, FILES)
    tensors = numbers.network(FILES[file])
    torch.save({n: t for n, t in tensors.items() if n != name}, folder / file)
    with pytest.raises(ValueError, match=message):
        AttentionGANv1.from_official(folder)


def test_published_settings_are_the_authors():
    counts = {"a": 1000, "b": 1300}
    task = dataclasses.replace(NOMINAL, kind="catalogued", num_train=counts)
    assert AttentionGANv1.settings("published", task) == Settings(
        AttentionGANv1Config(
            lambda_cycle=10.0,
            lambda_pixel=1.0,
            lambda_total_variation=1e-6,
            lambda_identity=0.0,
            curriculum_epochs=10,
            curriculum_rate=0.01,
            rate=0.5,
            learning_rate=1e-4,
            beta1=0.5,
            constant_epochs=100,
            decay_epochs=100,
            pool_size=50,
        ),
        batch_size=1,
        budget=200 * 1300,
        load_size=256,  # flips only
        crop_size=256,
        resampling="bicubic",
        resize="square",
        flip=True,
    )


@pytest.fixture(scope="module")
def fresh():
    torch.manual_seed(0)
    return AttentionGANv1(
        AttentionGANv1Config(generator_width=16, discriminator_width=16, num_blocks=2)
    )


@pytest.mark.parametrize(
    ("kind", "mean"), [(nn.Conv2d, 0), (nn.BatchNorm2d, 1)], ids=["convolution", "norm"]
)
def test_weights_start_as_the_authors(fresh, kind, mean):
    layers = [layer for layer in fresh.networks.modules() if isinstance(layer, kind)]
    weights = torch.cat([layer.weight.flatten() for layer in layers])
    assert weights.mean().item() == pytest.approx(mean, abs=0.002)
    assert weights.std().item() == pytest.approx(0.02, rel=0.1)


def test_biases_of_norms_alone_start_at_zero(fresh):
    for layer in fresh.networks.modules():
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
            assert layer.bias is not None
            assert bool(layer.bias.any()) == isinstance(layer, nn.Conv2d)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 1.5}, "rate is 1.5; a share is 1 at most"),
        ({"curriculum_rate": -0.1}, "curriculum_rate is -0.1; at least 0 is needed"),
        ({"curriculum_epochs": -3}, "curriculum_epochs is -3; at least 0 is needed"),
    ],
)
def test_curriculum_of_impossible_shares_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        AttentionGANv1.Config(**change)

"""AttentionGAN, Scheme II, against the authors' numbers and the paper's algebra."""

import dataclasses

import pytest
import torch
from i2i_attentiongan.networks import AttentionGenerator
from i2i_attentiongan.scheme2 import AttentionGAN, AttentionGANConfig

from i2i_bench.model import A2B, B2A, Batch, Clock, Settings
from i2i_bench.plugins.toy import NOMINAL
from i2i_bench.randomness import Randomness

FILES = {f"latest_net_{name}.pth": name for name in ("G_A", "G_B", "D_A", "D_B")}


def with_older_names(tensors):
    """Count blocks from one, before the dot: ``resnet_blocks1.`` for ``resnet_blocks.0.``."""
    parts = {name: name.split(".") for name in tensors}
    return {
        f"{stem[0]}{int(stem[1]) + 1}.{'.'.join(stem[2:])}" if len(stem) == 4 else name: tensors[
            name
        ]
        for name, stem in parts.items()
    }


def with_statistics(tensors):
    """Add what old torch saved of the discriminators' instance normalisation."""
    if "model.11.weight" not in tensors:
        return tensors
    leaves = ("running_mean", "running_var")
    return tensors | {f"model.{i}.{leaf}": torch.ones(8) for i in (3, 6, 9) for leaf in leaves}


LAYOUTS = {
    "as saved": lambda tensors: tensors,
    "several GPUs": lambda tensors: {f"module.{name}": t for name, t in tensors.items()},
    "older names": with_older_names,
    "older names, several GPUs": lambda tensors: {
        f"module.{name}": t for name, t in with_older_names(tensors).items()
    },
    "old torch": with_statistics,
}


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("attentiongan_v2")


@pytest.fixture
def model(numbers, tmp_path):
    return AttentionGAN.from_official(numbers.save(tmp_path, FILES))


def test_configuration_is_read_off_the_shapes(model):
    assert model.config == AttentionGANConfig(generator_width=8, discriminator_width=8)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_forward_equals_the_authors(numbers, tmp_path, layout):
    for file, name in FILES.items():
        torch.save(LAYOUTS[layout](numbers.network(name)), tmp_path / file)
    model = AttentionGAN.from_official(tmp_path)
    assert model.absent == set()
    probe = {d: numbers.io[f"probe/real_{d.upper()}"] for d in ("a", "b")}
    with torch.no_grad():
        fake_b = model.translate(Batch(probe), A2B, Randomness(0))
        masks = model.masks(Batch({"a": probe["a"][:1]}), A2B, Randomness(0))
        assert masks.content is not None
        outputs = {
            "A2B/fake": fake_b,
            "B2A/fake": model.translate(Batch(probe), B2A, Randomness(0)),
            "A2B/cycle": model.translate(Batch({"b": fake_b}), B2A, Randomness(0)),
            "A2B/identity": model.translate(Batch({"b": probe["a"]}), B2A, Randomness(0)),
            "A2B/attention": masks.attention,
            "A2B/content": masks.content.flatten(1, 2),
            "D_A/real_B": model.discriminators["b"](probe["b"]),
            "D_B/real_A": model.discriminators["a"](probe["a"]),
        }
    assert masks.background == 9
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


def test_gradients_of_the_first_step_equal_the_authors(model, numbers):
    from i2i_attentiongan.scheme2 import official_stems

    model.networks.double()
    model.advance(Clock(1, 1000, 0, 2000))
    model.training_step(Batch(numbers.batch(0)), Randomness(0, dtype=torch.float64))
    expected = numbers.steps["grad_l2_step1_float64"]["G"]
    stems = dict(official_stems(model.config))
    moments = model.optimizers["generators"].state
    for name, parameter in model.generators["a2b"].named_parameters():
        stem, _, leaf = name.rpartition(".")
        if leaf == "weight" or stems[stem].startswith("deconv3"):
            norm = (moments[parameter]["exp_avg"] / 0.5).norm().item()
            assert norm == pytest.approx(expected[f"G_A/{stems[stem]}.{leaf}"], rel=1e-6)


def test_geometric_variant_equals_the_authors(golden, tmp_path):
    numbers = golden("attentiongan_v2_geo")
    files = {f"latest_net_{name}.pth": "G_A" for name in ("G_A", "G_B")}
    model = AttentionGAN.from_official(numbers.save(tmp_path, files))
    assert model.config.background == "generated"
    batch = Batch({"a": numbers.io["probe/real_A"]})
    with torch.no_grad():
        masks = model.masks(batch, A2B, Randomness(0))
        fake = model.translate(batch, A2B, Randomness(0))
    assert masks.background is None
    torch.testing.assert_close(fake, numbers.io["init/A2B/fake"], atol=2e-5, rtol=0)
    torch.testing.assert_close(masks.attention, numbers.io["init/A2B/attention"], atol=2e-5, rtol=0)
    assert masks.content is not None
    content = masks.content.flatten(1, 2)
    torch.testing.assert_close(content, numbers.io["init/A2B/content"], atol=2e-5, rtol=0)


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameters_are_the_authors_to_the_integer():
    with torch.device("meta"):
        plain = AttentionGAN(AttentionGANConfig())
        geometric = AttentionGAN(AttentionGANConfig(background="generated"))
    assert [count(g) for g in plain.generators.values()] == [11_822_949] * 2
    assert [count(d) for d in plain.discriminators.values()] == [2_764_737] * 2
    assert count(plain.networks) == 29_175_372
    assert count(geometric.generators["a2b"]) == 11_832_360
    assert count(geometric.networks) == 29_194_194


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_parameters_grow_with_masks_as_the_formula(n):
    with torch.device("meta"):
        generator = AttentionGenerator(64, 9, num_masks=n, copies_input=True)
    assert count(generator) == 10_999_936 + (368_832 + 3 * (n - 1) * 3137) + (368_832 + 65 * n)


def small(**changes) -> AttentionGAN:
    torch.manual_seed(0)
    return AttentionGAN(
        AttentionGANConfig(generator_width=4, discriminator_width=4, num_blocks=1, **changes)
    )


def test_one_mask_is_the_identity_without_a_content_decoder():
    model = small(num_masks=1)
    images = {d: torch.rand(2, 3, 32, 32) * 2 - 1 for d in ("a", "b")}
    losses = model.training_step(Batch(images), Randomness(0))
    assert torch.equal(model.translate(Batch(images), A2B, Randomness(0)), images["a"])
    assert losses["cycle_a"] == losses["identity_b"] == 0
    assert not any("content" in name for name, _ in model.networks.named_parameters())


def test_one_mask_without_copy_trains_its_content():
    model = small(num_masks=1, background="generated")
    images = {d: torch.rand(2, 3, 32, 32) * 2 - 1 for d in ("a", "b")}
    before = {n: p.clone() for n, p in model.networks.named_parameters()}
    model.training_step(Batch(images), Randomness(0))
    moved = {n for n, p in model.networks.named_parameters() if not torch.equal(p, before[n])}
    assert any(name.startswith("generators.a2b.content") for name in moved)
    assert any(name.startswith("generators.a2b.encoder") for name in moved)
    assert not any(".attention." in name for name in moved)


def test_two_masks_are_the_fusion_of_scheme_one():
    generator = AttentionGenerator(4, 1, num_masks=2, copies_input=True)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    logits = generator.attention(generator.encoder(images))
    foreground = (logits[:, :1] - logits[:, 1:]).sigmoid()
    content, _ = generator.layers(images)
    assert content is not None
    fused = content[:, 0] * foreground + images * (1 - foreground)
    torch.testing.assert_close(generator(images), fused)


def test_one_generator_alone_is_read_and_the_rest_is_absent(numbers, tmp_path):
    model = AttentionGAN.from_official(numbers.save(tmp_path, {"latest_net_G.pth": "G_A"}))
    assert model.absent == {"generators.b2a", "discriminators.a", "discriminators.b"}
    with torch.no_grad():
        fake = model.translate(Batch({"a": numbers.io["probe/real_A"]}), A2B, Randomness(0))
    torch.testing.assert_close(fake, numbers.io["init/A2B/fake"], atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("deconv3_attention.weight", torch.ones(8, 8, 1, 1), "27 channels; with 8 masks 21"),
        ("deconv3_attention.weight", None, r"G_A\.pth lacks deconv3_attention\.weight; it holds"),
        ("resnet_blocks.8.conv2.bias", None, r"lacks resnet_blocks\.8\.conv2\.bias$"),
        ("resnet_blocks.9.conv1.bias", torch.ones(32), r"lacks resnet_blocks\.9\.conv1\.weight, "),
        ("deconv1_content.weight", torch.ones(16, 32, 3, 3), r"misshapen deconv1_content\.weight"),
    ],
)
def test_damaged_generators_are_refused_by_name(numbers, tmp_path, name, tensor, message):
    folder = numbers.save(tmp_path, FILES)
    tensors = numbers.network("G_A") | {name: tensor}
    torch.save({n: t for n, t in tensors.items() if t is not None}, folder / "latest_net_G_A.pth")
    with pytest.raises(ValueError, match=message):
        AttentionGAN.from_official(folder)


@pytest.mark.parametrize(("interpolates", "is_even"), [(True, True), (False, False)])
def test_only_transposed_convolutions_tell_pixels_of_an_even_image_apart(interpolates, is_even):
    torch.manual_seed(0)
    generator = AttentionGenerator(
        4, 1, num_masks=3, copies_input=True, interpolates=interpolates
    ).double()
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter)
    content, attention = generator.layers(torch.full((1, 3, 64, 64), 0.3, dtype=torch.float64))
    assert content is not None
    inner = torch.cat([content.flatten(1, 2), attention], dim=1)[..., 24:40, 24:40]
    off = (inner - inner.mean(dim=(2, 3), keepdim=True)).abs().max().item()
    assert (off < 1e-9) == is_even


@pytest.mark.parametrize(
    ("kind", "chosen"),
    [
        ("embedded", ("input", "transposed")),
        ("folder", ("generated", "bilinear")),
        ("catalogued", ("generated", "bilinear")),
    ],
)
def test_small_generates_and_interpolates_where_images_are_not_synthetic(kind, chosen):
    config = AttentionGAN.settings("small", dataclasses.replace(NOMINAL, kind=kind)).config
    assert (config.background, config.upsampling) == chosen


@pytest.mark.parametrize(
    "changes", [{"num_masks": 0}, {"background": "blue"}, {"upsampling": "nearest"}]
)
def test_impossible_configurations_are_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        AttentionGANConfig(**changes)


def test_sides_not_divisible_by_four_are_refused():
    with pytest.raises(ValueError, match="divisible by 4"):
        small().translate(Batch({"a": torch.zeros(1, 3, 34, 32)}), A2B, Randomness(0))


@pytest.mark.parametrize(
    ("name", "constant", "decay", "background"),
    [
        ("horse2zebra", 60, 0, "input"),  # scripts/train_attentiongan.sh
        ("selfie2anime", 100, 100, "generated"),  # README, the geometric files
        ("maps", 100, 100, "input"),
    ],
)
def test_published_settings_are_the_authors(name, constant, decay, background):
    counts = {"a": 1000, "b": 1300}
    task = dataclasses.replace(NOMINAL, name=name, kind="catalogued", num_train=counts)
    assert AttentionGAN.settings("published", task) == Settings(
        AttentionGANConfig(
            background=background,
            lambda_cycle=10.0,
            lambda_identity=5.0,
            learning_rate=2e-4,
            beta1=0.5,
            constant_epochs=constant,
            decay_epochs=decay,
            pool_size=50,
        ),
        batch_size=4,
        budget=(constant + decay) * 1300,
        load_size=286,
        crop_size=256,
        resampling="bicubic",
        resize="square",
        flip=True,
    )


def test_learning_rate_falls_linearly_after_half_of_the_epochs():
    model, rates = small(), []
    for epoch in (0, 99, 100, 199):
        model.advance(Clock(1, 1, epoch, 200))
        rates.append([o.param_groups[0]["lr"] for o in model.optimizers.values()])
    expected = [2e-4, 2e-4, 2e-4 * 100 / 101, 2e-4 / 101]
    assert rates == [pytest.approx([rate, rate]) for rate in expected]


def test_weights_start_as_the_authors():
    torch.manual_seed(0)
    config = AttentionGANConfig(generator_width=16, discriminator_width=16, num_blocks=2)
    parameters = dict(AttentionGAN(config).networks.named_parameters())
    weights = [p.flatten() for name, p in parameters.items() if name.endswith("weight")]
    assert torch.cat(weights).std().item() == pytest.approx(0.02, rel=0.02)
    assert not any(p.any() for name, p in parameters.items() if name.endswith("bias"))

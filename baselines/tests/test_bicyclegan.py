"""BicycleGAN against the authors' numbers."""

import dataclasses

import pytest
import torch
from i2i_baselines.bicyclegan import model as module
from i2i_baselines.bicyclegan.config import BicycleGANConfig
from i2i_baselines.bicyclegan.model import BicycleGAN
from i2i_baselines.official.bicyclegan import (
    discriminator_stems,
    encoder_stems,
    generator_stems,
)

from i2i_bench.blocks import unet
from i2i_bench.blocks.encoders import standard_normal_divergence
from i2i_bench.blocks.unet import UNet
from i2i_bench.model import A2B, B2A, Batch, Clock, Settings
from i2i_bench.plugins.toy import NOMINAL
from i2i_bench.randomness import Randomness

FILES = {f"latest_net_{name}.pth": name for name in ("G", "E", "D", "D2")}
NETWORKS = {
    "G": "generator",
    "E": "encoder",
    "D": "discriminators.encoded",
    "D2": "discriminators.random",
}
STEMS = {
    "G": generator_stems(6),
    "E": encoder_stems(2),
    "D": discriminator_stems(3, 2),
    "D2": discriminator_stems(3, 2),
}
SCALE = {"G": 8, "E": 16, "D": 16, "D2": 16}  # of the fixture's set "scaled"
PAIRED = dataclasses.replace(NOMINAL, paired=True)


class Given(Randomness):
    """Draws of a fixture, by name."""

    def __init__(self, draws):
        super().__init__(0)
        self.draws = draws

    def uniform(self, name, shape):
        return torch.where(self._draw(name, shape).bool(), 0.75, 0.25)

    def normal(self, name, shape):
        return self._draw(name, shape).double()

    def _draw(self, name, shape):
        assert shape == tuple(self.draws[name].shape)
        return self.draws[name]


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("bicyclegan")


@pytest.fixture
def model(numbers, tmp_path):
    return BicycleGAN.from_official(numbers.save(tmp_path, FILES))


def scale(model):
    """Multiply every tensor as the fixture does, so that mistakes in E and D are felt."""
    with torch.no_grad():
        for name, network in NETWORKS.items():
            for parameter in model.networks.get_submodule(network).parameters():
                parameter *= SCALE[name]
    return model


def test_configuration_is_read_off_the_shapes(model):
    expected = BicycleGANConfig(
        levels=6, generator_width=4, encoder_width=4, encoder_blocks=2, discriminator_width=4
    )
    assert model.config == expected
    assert model.absent == set()


def outputs_of(model, numbers):
    """Give what a fixture holds of the probe."""
    a, b = (numbers.io[f"probe/real_{d}"] for d in "AB")
    a, b = (each.to(next(model.networks.parameters()).dtype) for each in (a, b))
    kept = (numbers.io["probe/dropout_mask_0"].bool(),)
    mean, log_variance = model.encoder(b)
    code = numbers.io["probe/z"].to(a.dtype)
    fake = model.generate(a, code, kept)
    found = {
        "fake": fake,
        "mu": mean,
        "logvar": log_variance,
        "fake_no_dropout": model.generate(a, code),
        "fake_encoded_no_dropout": model.translate(Batch({"a": a}, examples={"b": b}), A2B, None),
    }
    for name in ("D", "D2"):
        judge = model.networks.get_submodule(NETWORKS[name])
        for kind, images in (("real", b), ("fake", fake)):
            found |= {f"{name}/{kind}_scale{i}": each for i, each in enumerate(judge(images))}
    return found


TOLERANCE = {"fake": 5e-6, "mu": 1e-7, "logvar": 1e-7, "D": 2e-5}


@pytest.mark.parametrize("case", ["init", "scaled/init"])
def test_forward_equals_the_authors(model, numbers, case):
    model = scale(model) if "scaled" in case else model
    with torch.no_grad():
        found = outputs_of(model, numbers)
    held = {key.removeprefix(f"{case}/") for key in numbers.io if key.startswith(f"{case}/")}
    assert len(held) >= 11
    for name in held:
        (kind,) = (kind for kind in TOLERANCE if name.startswith(kind))
        truth = numbers.io[f"{case}/{name}"]
        torch.testing.assert_close(found[name], truth, atol=TOLERANCE[kind], rtol=1e-6)


def test_eight_levels_and_four_blocks_equal_the_authors(numbers, tmp_path):
    numbers.save(tmp_path, {"edges2shoes_net_G.pth": "full/G", "edges2shoes_net_E.pth": "full/E"})
    model = BicycleGAN.from_official(tmp_path)
    assert (model.config.levels, model.config.encoder_blocks) == (8, 4)
    assert model.absent == {"discriminators.encoded", "discriminators.random"}
    a, b = (
        numbers.io[f"probe/real_{d}"][:1].repeat_interleave(4, 2).repeat_interleave(4, 3)
        for d in "AB"
    )
    kept = tuple(numbers.io[f"full/dropout_mask_{i}"].bool() for i in range(3))
    with torch.no_grad():
        mean, log_variance = model.encoder(b)
        code = numbers.io["probe/z"][:1]
        found = {
            "mu": mean,
            "logvar": log_variance,
            "fake_sub4": model.generate(a, code, kept)[..., ::4, ::4],
            "fake_no_dropout_sub4": model.generate(a, code)[..., ::4, ::4],
        }
    for name, output in found.items():
        torch.testing.assert_close(output, numbers.io[f"full/init/{name}"], atol=3e-6, rtol=0)


def train(model, numbers, num_steps=3):
    """Take the fixture's steps in float64; give losses, and the first gradients."""
    model.networks.double()
    gradients = {}

    def note(*_):
        for key, parameter in model.networks.named_parameters():
            if parameter.grad is not None:
                gradients.setdefault(key, parameter.grad.norm().item())

    losses = []
    for step in range(num_steps):
        draws = {
            "posterior": numbers.io[f"train/eps_{step}"],
            "prior": numbers.io[f"train/z_random_{step}"],
            "encoded_dropout_2": numbers.io[f"train/dropout_mask_{step}_0"],
            "random_dropout_2": numbers.io[f"train/dropout_mask_{step}_1"],
        }
        handles = [o.register_step_pre_hook(note) for o in model.optimizers.values()]
        model.advance(Clock(step + 1, 1000, 4 * step, 4000))
        losses.append(model.training_step(Batch(numbers.batch(step)), Given(draws)))
        for handle in handles:
            handle.remove()
        for optimizer in model.optimizers.values():
            optimizer.zero_grad()
    return losses, gradients


def is_as_published(losses, expected):
    """Tell whether the losses of all steps are the authors'."""
    return all(
        value.item() == pytest.approx(truth[name], rel=1e-6, abs=1e-9)
        for found, truth in zip(losses, expected, strict=False)
        for name, value in (
            ("G_GAN", found["adversarial_encoded_a2b"]),
            ("G_GAN2", found["adversarial_a2b"]),
            ("G_L1", 10 * found["reconstruction_b"]),
            ("kl", 0.01 * found["kl_b"]),
            ("z_L1", 0.5 * found["latent_b"]),
            ("D", found["discriminator_encoded_b"]),
            ("D2", found["discriminator_b"]),
        )
    )


@pytest.mark.parametrize("is_scaled", [False, True])
def test_three_steps_in_float64_equal_the_authors(model, numbers, is_scaled):
    facts = numbers.steps["scaled"] if is_scaled else numbers.steps
    losses, gradients = train(scale(model) if is_scaled else model, numbers)
    assert is_as_published(losses, facts["losses_float64"])
    for letter, network in NETWORKS.items():
        ours = {theirs: own for own, theirs in STEMS[letter]}
        for name, expected in facts["grad_l2_step1_float64"][letter].items():
            layer, _, leaf = name.removeprefix(f"{letter}/").rpartition(".")
            found = gradients[f"{network}.{ours[layer]}.{leaf}"]
            if leaf == "weight" or expected > 1e-6:  # of cancelled biases it is rounding
                assert found == pytest.approx(expected, rel=1e-6, abs=1e-12), name


def test_tensors_and_translations_after_three_steps_equal_the_authors(model, numbers):
    _, gradients = train(model, numbers)
    for letter, network in NETWORKS.items():
        ours = {theirs: own for own, theirs in STEMS[letter]}
        state = model.networks.get_submodule(network).state_dict()
        for name, expected in numbers.steps["param_stats_after3_float64"][letter].items():
            layer, _, leaf = name.rpartition(".")
            is_cancelled = leaf == "bias" and gradients[f"{network}.{ours[layer]}.bias"] < 1e-6
            if not is_cancelled:
                norm = state[f"{ours[layer]}.{leaf}"].norm().item()
                assert norm == pytest.approx(expected["l2"], rel=1e-6), name
    with torch.no_grad():
        found = outputs_of(model, numbers)
    held = {key.partition("/")[2] for key in numbers.io if key.startswith("after3_f64/")}
    for name in held:
        truth = numbers.io[f"after3_f64/{name}"]
        atol = 5e-8 if name.startswith(("D", "mu", "logvar")) else 1e-6
        torch.testing.assert_close(found[name].float(), truth, atol=atol, rtol=1e-6)


def join_as_pix2pix(model, monkeypatch):
    plan = dataclasses.replace(model.generator.plan, join="skip_up")
    monkeypatch.setattr(model.generator, "plan", plan)


def train_encoder_by_drawn_codes(model, monkeypatch):
    def latent_loss(fake, code):
        return (model.encoder(fake)[0] - code).abs().mean()

    monkeypatch.setattr(model, "_latent_loss", latent_loss)


def mean_divergence(model, monkeypatch):
    def divergence(mean, log_variance):
        return standard_normal_divergence(mean, log_variance) / mean.numel()

    monkeypatch.setattr(module, "standard_normal_divergence", divergence)


def same_half_twice(model, monkeypatch):
    step = model._discriminator_losses
    monkeypatch.setattr(
        model,
        "_discriminator_losses",
        lambda real, fake: step(real | {"random": real["encoded"]}, fake),
    )


def no_dropout(model, monkeypatch):
    monkeypatch.setattr(UNet, "draw_kept", lambda *_: ())


def spare_codes_the_activation(model, monkeypatch):
    """Join codes behind the leaky ReLU: all levels but the image's have one."""
    join = unet.join_planes

    def spared(x, code):
        return join(x, code if x.shape[1] == 3 else torch.where(code < 0, code / 0.2, code))

    monkeypatch.setattr(unet, "join_planes", spared)


MISTAKES = [
    join_as_pix2pix,
    train_encoder_by_drawn_codes,
    mean_divergence,
    same_half_twice,
    no_dropout,
    spare_codes_the_activation,
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_seen_in_the_losses(model, numbers, monkeypatch, mistake):
    mistake(model, monkeypatch)
    losses, _ = train(scale(model), numbers, num_steps=2)
    assert not is_as_published(losses, numbers.steps["scaled"]["losses_float64"])


def test_drawn_codes_train_the_generator_alone(model, numbers):
    model.networks.double()
    given = {"lambda_encoded": 0.0, "lambda_reconstruction": 1e-300, "lambda_kl": 0.0}
    model.config = dataclasses.replace(model.config, **given)
    _, gradients = train(model, numbers, num_steps=1)
    assert gradients["generator.down.0.0.weight"] > 1e-6
    assert gradients["encoder.stem.weight"] < 1e-290


def test_parameters_are_the_authors_to_the_integer():
    with torch.device("meta"):
        networks = BicycleGAN(BicycleGANConfig()).networks
    counts = [
        sum(p.numel() for p in networks.get_submodule(each).parameters())
        for each in NETWORKS.values()
    ]
    assert counts == [54_794_627, 2_590_032, 3_458_978, 3_458_978]


def test_published_settings_are_the_authors():
    counts = {"a": 400, "b": 400}
    facades = dataclasses.replace(PAIRED, name="facades", num_train=counts)
    config = BicycleGANConfig(direction="b2a", constant_epochs=200, decay_epochs=200)
    expected = Settings(config, 2, 400 * 400, load_size=256, crop_size=256)
    assert BicycleGAN.settings("published", facades) == expected
    shoes = dataclasses.replace(PAIRED, name="edges2shoes", num_train=counts)
    settings = BicycleGAN.settings("published", shoes)
    assert settings.config.grey_source
    assert (settings.config.direction, settings.budget) == ("a2b", 60 * 400)


@pytest.mark.parametrize(
    ("size", "levels", "blocks"), [(256, 8, 4), (128, 7, 3), (64, 6, 2), (48, 4, 1)]
)
def test_networks_fit_the_size(size, levels, blocks):
    task = dataclasses.replace(PAIRED, image_size=size)
    config = BicycleGAN.settings("published", task).config
    assert (config.levels, config.encoder_blocks) == (levels, blocks)
    assert BicycleGAN.needs(config).multiple == 2**levels


TINY = BicycleGANConfig(
    levels=5,
    generator_width=2,
    encoder_width=2,
    encoder_blocks=1,
    discriminator_width=2,
    discriminator_layers=2,
)


def images_of(config, size=32, count=2):
    torch.manual_seed(0)
    return {d: torch.rand(count, n, size, size) for d, n in zip("ab", config.channels, strict=True)}


@pytest.mark.parametrize("direction", ["a2b", "b2a"])
def test_domains_may_have_other_channels(direction):
    config = dataclasses.replace(TINY, direction=direction, channels=(1, 4))
    model, images = BicycleGAN(config), images_of(config)
    model.training_step(Batch(images), Randomness(0))
    source, target = direction[0], direction[-1]
    examples = {target: images[target]}
    for batch in (Batch(images), Batch({source: images[source]}, examples=examples)):
        made = model.translate(batch, model.direction, Randomness(0))
        assert made.shape == images[target].shape


def test_sources_may_be_turned_to_grey():
    model = BicycleGAN(dataclasses.replace(TINY, grey_source=True))
    images = images_of(TINY)["a"]
    grey = (images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    made = [
        model.translate(Batch({"a": each}), A2B, Randomness(0))
        for each in (images, grey.expand(-1, 3, -1, -1), grey)
    ]
    assert torch.allclose(made[0], made[1], atol=1e-6)
    assert torch.allclose(made[0], made[2], atol=1e-6)


def test_a_code_is_drawn_for_each_image_and_seed_or_taken_from_an_example():
    model, images = BicycleGAN(TINY), images_of(TINY, count=3)["a"]
    with torch.no_grad():
        for parameter in model.networks.parameters():
            parameter *= 10  # from their start, translations hardly depend on codes
        made = [model.translate(Batch({"a": images}), A2B, Randomness(seed)) for seed in (0, 0, 1)]
        last = model.translate(Batch({"a": images[2:]}), A2B, Randomness(0, 2))
    assert torch.equal(made[0], made[1])
    assert not torch.allclose(made[0], made[2], atol=1e-4)
    assert torch.allclose(made[0][2:], last, atol=1e-5)


@pytest.mark.parametrize(
    ("point", "names"),
    [
        ("cAE-GAN", {"adversarial_encoded_a2b", "reconstruction_b", "discriminator_encoded_b"}),
        (
            "cVAE-GAN",
            {"adversarial_encoded_a2b", "reconstruction_b", "discriminator_encoded_b", "kl_b"},
        ),
        ("cLR-GAN", {"adversarial_a2b", "latent_b", "discriminator_b"}),
    ],
)
def test_parts_of_the_method_train_what_they_use(point, names):
    (found,) = (p for p in BicycleGAN.ablations["cycles"].points if p.label == point)
    config = dataclasses.replace(TINY, **{key: float(v) for key, v in found.changes.items()})
    model = BicycleGAN(config)
    before = {name: p.clone() for name, p in model.networks.named_parameters()}
    losses = model.training_step(Batch(images_of(TINY)), Randomness(0))
    assert losses.keys() == names
    assert len(model.discriminators) == 1
    for name, parameter in model.networks.named_parameters():
        if name.endswith("weight") and "log_variance" not in name:
            assert not torch.equal(parameter, before[name]), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"direction": "both"}, "direction is 'both'; possible: a2b, b2a"),
        ({"code_at": "last"}, "code_at is 'last'; possible: first, all"),
        (
            dict.fromkeys(
                ("lambda_encoded", "lambda_reconstruction", "lambda_random", "lambda_latent"), 0.0
            ),
            "are 0; one of them must not be",
        ),
    ],
)
def test_impossible_configurations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **changes)


@pytest.mark.parametrize("count", [1, 3])
def test_batches_need_not_be_even(count):
    losses = BicycleGAN(TINY).training_step(Batch(images_of(TINY, count=count)), Randomness(0))
    assert all(value.isfinite() for value in losses.values())


def test_generator_alone_is_read_and_the_rest_is_absent(numbers, tmp_path):
    numbers.save(tmp_path, {"any.pth": "G"})
    model = BicycleGAN.from_official(tmp_path / "any.pth")
    assert model.absent == {"encoder", "discriminators.encoded", "discriminators.random"}
    assert model.config.code_width == 8


def test_direction_is_that_of_the_authors_names(numbers, tmp_path):
    for name, direction in (("maps", B2A), ("night2day", A2B)):
        numbers.save(tmp_path, {f"{name}_net_G.pth": "G", f"{name}_net_E.pth": "E"})
        model = BicycleGAN.from_official(tmp_path / f"{name}_net_G.pth")
        assert model.directions == (direction,)
        assert "encoder" not in model.absent
    with pytest.raises(ValueError, match=r"several generators: give .* as maps_net_G\.pth, night2"):
        BicycleGAN.from_official(tmp_path)


def test_generator_of_grey_edges_is_read(numbers, tmp_path):
    tensors = numbers.network("G")
    tensors["model.down.0.weight"] = tensors["model.down.0.weight"][:, 2:]
    torch.save(tensors, tmp_path / "latest_net_G.pth")
    config = BicycleGAN.from_official(tmp_path).config
    assert config.grey_source
    assert config.channels == (3, 3)


@pytest.mark.parametrize(
    ("file", "name", "tensor", "message"),
    [
        ("G", "model.down.0.weight", None, r"G\.pth lacks model\.down\.0\.weight"),
        ("G", "model.up.1.bias", None, r"G\.pth lacks model\.up\.1\.bias$"),
        ("G", "model.down.1.weight", torch.ones(4), r"has unknown model\.down\.1\.weight$"),
        ("E", "fc.0.weight", torch.ones(7, 12), r"E\.pth has misshapen fc\.0\.weight"),
        ("D2", "model_1.0.bias", torch.full((2,), torch.nan), r"not finite in model_1\.0\.bias$"),
    ],
)
def test_damaged_files_are_refused_by_name(numbers, tmp_path, file, name, tensor, message):
    folder = numbers.save(tmp_path, FILES)
    tensors = numbers.network(file)
    tensors[name] = tensor
    kept = {n: t for n, t in tensors.items() if t is not None}
    torch.save(kept, folder / f"latest_net_{file}.pth")
    with pytest.raises(ValueError, match=message):
        BicycleGAN.from_official(folder)

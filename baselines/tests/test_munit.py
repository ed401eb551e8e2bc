"""MUNIT against the authors' numbers."""

import dataclasses

import pytest
import torch
from i2i_baselines.munit.config import DOMAINS, PRESETS, MUNITConfig
from i2i_baselines.munit.model import MUNIT
from i2i_baselines.munit.networks import VGG_MINIMUM, PerceptualFeatures, StyledDecoder
from i2i_baselines.official.munit import generator_stems
from i2i_baselines.official.unit import discriminator_stems
from torch import nn

from i2i_bench import pretrained
from i2i_bench.model import A2B, B2A, Batch, Clock
from i2i_bench.plugins.toy import Toy
from i2i_bench.randomness import Randomness

DRAWS = ("discriminator_a", "discriminator_b", "generator_a", "generator_b")
LOSSES = {
    "dis_a": "discriminator_a",
    "dis_b": "discriminator_b",
    "gen_adv_a": "adversarial_b2a",
    "gen_adv_b": "adversarial_a2b",
    "gen_recon_x_a": "reconstruction_a",
    "gen_recon_x_b": "reconstruction_b",
    "gen_recon_s_a": "style_a",
    "gen_recon_s_b": "style_b",
    "gen_recon_c_a": "content_a",
    "gen_recon_c_b": "content_b",
    "gen_cycrecon_x_a": "cycle_a",
    "gen_cycrecon_x_b": "cycle_b",
}


class Replay(Randomness):
    """Styles that the authors drew, by name."""

    def __init__(self, draws, dtype=torch.float64):
        super().__init__(0, dtype=dtype)
        self.draws = {name: draw.flatten(1).to(dtype) for name, draw in draws.items()}

    def normal(self, name, shape):
        noise = self.draws.pop(name)
        assert noise.shape == shape
        return noise


def task(size, name="palette", kind="embedded"):
    return Toy(name, kind, size, num_train={"a": 1000, "b": 1000})


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("munit")


@pytest.fixture
def folder(numbers, tmp_path):
    for step in (10, 20):
        for kind in ("gen", "dis"):
            both = {d: numbers.network(f"{kind}_{d}") for d in DOMAINS}
            if step == 10:
                both = {"a": {}, "b": {}}
            torch.save(both, tmp_path / f"{kind}_{step:08}.pt")
    return tmp_path


@pytest.fixture
def model(folder):
    return MUNIT.from_official(folder)


def probe_of(numbers, count, dtype=torch.float32):
    return {d: numbers.io[f"probe/real_{d.upper()}"][:count].to(dtype) for d in DOMAINS}


def outputs(model, numbers, count, dtype=torch.float32):
    """Give what the fixtures hold of a probe batch."""
    probe = probe_of(numbers, count, dtype)
    drawn = Replay({"style": numbers.io["probe/style"][:count]}, dtype)
    with torch.no_grad():
        content, style = model.contents["a"](probe["a"]), model.styles["a"](probe["a"])
        guided = {d: Batch(probe, examples=probe) for d in (A2B, B2A)}
        named = {
            "A/content": content,
            "A/style": style[:, :, None, None],
            "A/recon": model.decoders["a"](content, style),
            "A2B/fake_guided": model.translate(guided[A2B], A2B, Randomness(0)),
            "B2A/fake_guided": model.translate(guided[B2A], B2A, Randomness(0)),
            "A2B/fake_style": model.translate(Batch(probe), A2B, drawn),
        }
        scales = model.discriminators["a"](probe["a"])
    return named | {f"dis_a/scale{i}": logits for i, logits in enumerate(scales)}


def test_configuration_is_read_off_the_shapes(model):
    assert model.config == MUNITConfig(generator_width=4, discriminator_width=4, mlp_width=16)
    assert model.absent == set()


@pytest.mark.parametrize("batch", [1, 2])
def test_forward_equals_the_authors(model, numbers, batch):
    model.networks.double()
    compared = 0
    for name, output in outputs(model, numbers, batch, torch.float64).items():
        if (truth := numbers.io.get(f"init/b{batch}/{name}")) is not None:
            # truths are of float32, which alone moves them by up to 8.2e-6
            torch.testing.assert_close(output.float(), truth, atol=1e-5, rtol=0)
            compared += 1
    assert compared == {1: 9, 2: 5}[batch]


def run(model, numbers, step):
    model.advance(Clock(step + 1, 1_000_000, step, 1_000_000))
    draws = {name: numbers.io[f"noise/{4 * step + i:02}"] for i, name in enumerate(DRAWS)}
    return model.training_step(Batch(numbers.batch(step)), Replay(draws))


def test_three_steps_in_float64_equal_the_authors(model, numbers):
    model.networks.double()
    for step, expected in enumerate(numbers.steps["losses_float64"]):
        losses = run(model, numbers, step)
        assert losses.keys() == set(LOSSES.values())
        for official, name in LOSSES.items():
            assert losses[name].item() == pytest.approx(expected[f"loss_{official}"], rel=1e-6)
    found = outputs(model, numbers, 1, torch.float64)
    after = [name for name in numbers.io if name.startswith("after3_f64/b1/")]
    assert len(after) == 5
    for name in after:
        output = found[name.removeprefix("after3_f64/b1/")].float()
        torch.testing.assert_close(output, numbers.io[name], atol=1e-6, rtol=1e-6)


def official_parameters(model):
    """Give our parameters by their official names."""
    named = {}
    for domain in DOMAINS:
        scales = model.config.discriminator_layers, model.config.discriminator_scales
        networks = {
            f"gen_{domain}": generator_stems(domain, model.config.num_blocks),
            f"dis_{domain}": discriminator_stems(domain, *scales),
        }
        for network, stems in networks.items():
            for ours, official in stems:
                for leaf, parameter in model.networks.get_submodule(ours).named_parameters():
                    named[f"{network}/{official}.{leaf}"] = parameter
    return named


def test_first_gradients_in_float64_equal_the_authors(model, numbers):
    model.networks.double()
    run(model, numbers, 0)
    state = {p: s for optimizer in model.optimizers.values() for p, s in optimizer.state.items()}
    found = {
        name: state[parameter]["exp_avg"].norm().item() / (1 - model.config.beta1)
        for name, parameter in official_parameters(model).items()
    }
    norms = numbers.steps["grad_l2_step1_float64_incl_weight_decay"]
    assert found == pytest.approx(norms["G"] | norms["D"], rel=1e-6, abs=1e-9)


def test_parameters_are_the_authors_to_the_integer():
    with torch.device("meta"):
        model = MUNIT(MUNITConfig())
    counts = {"contents": 5_385_856, "styles": 2_764_936, "decoders": 5_754_627 + 1_120_768}
    for name, count in (counts | {"discriminators": 8_271_171}).items():
        networks = getattr(model, name).values()
        found = [sum(p.numel() for p in network.parameters()) for network in networks]
        assert found == [count, count]
    assert sum(p.numel() for p in model.networks.parameters()) == 46_594_716


def test_released_files_have_no_discriminators(folder):
    released = (folder / "gen_00000020.pt").rename(folder / "edges2shoes.pt")
    model = MUNIT.from_official(released)
    assert model.config == MUNITConfig(generator_width=4, mlp_width=16)
    assert model.absent == {"discriminators.a", "discriminators.b"}


def test_channels_and_the_layout_of_old_files_are_read(folder, numbers):
    path = folder / "gen_00000020.pt"
    both = torch.load(path)
    for tensors in both.values():
        tensors["enc_content.model.0.norm.running_mean"] = torch.ones(4)  # as torch 0.3 saved
    for name in ("enc_content.model.0.conv.weight", "enc_style.model.0.conv.weight"):
        both["a"][name] = both["a"][name][:, :1].clone()
    for name in ("dec.model.5.conv.weight", "dec.model.5.conv.bias"):
        both["a"][name] = both["a"][name][:1].clone()
    torch.save({d: {f"module.{n}": t for n, t in both[d].items()} for d in DOMAINS}, path)
    (folder / "dis_00000020.pt").unlink()
    model = MUNIT.from_official(folder)
    assert model.config.channels == (1, 3)
    grey = {"a": torch.zeros(1, 1, 64, 64), "b": torch.zeros(1, 3, 64, 64)}
    assert model.translate(Batch(grey), A2B, Randomness(0)).shape == (1, 3, 64, 64)
    assert model.translate(Batch(grey), B2A, Randomness(0)).shape == (1, 1, 64, 64)


@pytest.mark.parametrize(
    ("file", "name", "tensor", "message"),
    [
        (
            *("gen", "dec.model.5.conv.weight", torch.zeros(3, 8, 7, 7)),
            r"gen_00000020\.pt, a, has misshapen dec\.model\.5",
        ),
        ("gen", "mlp.model.2.fc.bias", None, r"lacks mlp\.model\.2\.fc\.bias"),
        ("gen", "mlp.model.0.fc.weight", None, r"lacks mlp\.model\.0\.fc\.weight"),
        ("gen", "enc_content.model.0.conv.weight", None, r"a, lacks enc_content\.model\.0"),
        ("gen", "enc.model.0.conv.weight", torch.zeros(1), r"unknown enc\.model"),
        ("dis", "cnns.2.4.bias", None, r"lacks cnns\.2\.4\.bias"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(folder, file, name, tensor, message):
    path = folder / f"{file}_00000020.pt"
    both = torch.load(path)
    if tensor is None:
        del both["a"][name]
    else:
        both["a"][name] = tensor
    torch.save(both, path)
    with pytest.raises(ValueError, match=message):
        MUNIT.from_official(folder)


def test_learning_rate_halves_every_100_000_steps():
    model = MUNIT(PRESETS["tiny"])
    for step, factor in ((1, 1), (99_999, 1), (100_000, 0.5), (1_000_000, 2**-10)):
        model.advance(Clock(step, 1_000_000, step - 1, 1_000_000))
        assert {o.param_groups[0]["lr"] for o in model.optimizers.values()} == {1e-4 * factor}


@pytest.mark.parametrize(("preset", "size"), [("published", 64), ("small", 16), ("tiny", 16)])
def test_smaller_images_are_refused(preset, size):
    config = MUNIT.settings(preset, task(size)).config
    small = dataclasses.replace(config, generator_width=2, discriminator_width=2)
    images = {d: torch.zeros(1, 3, size, size) for d in DOMAINS}
    MUNIT(small).training_step(Batch(images), Randomness(0))  # the least is enough
    with pytest.raises(ValueError, match=f"needs images of at least {size} px"):
        MUNIT.settings(preset, task(size - 1))


def test_published_settings_are_the_authors():
    for name, weight in (("summer2winter_yosemite", 10.0), ("edges2shoes", 0.0), ("cat2dog", 0.0)):
        settings = MUNIT.settings("published", task(256, name, "catalogued"))
        assert settings.config == MUNITConfig(lambda_cycle=weight)
        assert (settings.batch_size, settings.budget) == (1, 1_000_000)
        assert (settings.load_size, settings.crop_size) == (256, 256)
        assert (settings.resampling, settings.resize) == ("bilinear", "short_side")
        assert settings.flip


def test_without_cycle_nothing_is_decoded_twice():
    config = dataclasses.replace(PRESETS["tiny"], lambda_cycle=0.0)
    model = MUNIT(config)
    calls = []
    for decoder in model.decoders.values():
        decoder.register_forward_hook(lambda *_: calls.append(1))
    images = {d: torch.zeros(1, 3, 16, 16) for d in DOMAINS}
    losses = model.training_step(Batch(images), Randomness(0))
    assert not any(name.startswith("cycle") for name in losses)
    assert len(calls) == 4  # a fake for each discriminator, then one pass a direction


def test_networks_start_as_the_authors():
    torch.manual_seed(0)
    model = MUNIT(MUNITConfig(generator_width=16, discriminator_width=32))
    layers = [m for m in model.networks["generators"].modules() if isinstance(m, nn.Linear)]
    layers += [m for m in model.networks["generators"].modules() if isinstance(m, nn.Conv2d)]
    for layer in (each for each in layers if each.weight.numel() >= 4096):
        deviation = (2 / layer.weight[0].numel()) ** 0.5  # 2 / fan-in, Kaiming
        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.06)
        assert layer.bias is not None
        assert not layer.bias.any()


@pytest.mark.parametrize(("norm", "differs"), [("instance", False), ("none", True)])
def test_contents_know_mean_colours_without_normalisation_alone(norm, differs):
    model = MUNIT(dataclasses.replace(PRESETS["tiny"], content_norm=norm)).contents["a"].double()
    images = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    moved = model(images + torch.tensor([0.3, 0.0, -0.3])[:, None, None])
    assert torch.allclose(moved, model(images), atol=1e-6) != differs


@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_contents_are_halved_as_often_as_asked(halvings):
    config = dataclasses.replace(PRESETS["tiny"], num_halvings=halvings)
    model, images = MUNIT(config), torch.zeros(1, 3, 32, 32)
    assert model.contents["a"](images).shape[1:] == (
        4 * 2**halvings,
        32 >> halvings,
        32 >> halvings,
    )
    assert model.translate(Batch({"a": images}), A2B, Randomness(0)).shape == images.shape
    assert MUNIT.needs(config).multiple == 2**halvings


def test_unknown_normalisation_is_refused():
    with pytest.raises(ValueError, match="content_norm is 'batch'; possible: instance, none"):
        MUNITConfig(content_norm="batch")  # pyright: ignore[reportArgumentType]


def test_domains_start_alike_where_asked():
    for same_start in (True, False):
        config = dataclasses.replace(PRESETS["tiny"], same_start=same_start)
        model = MUNIT(config)
        for networks in (model.contents, model.styles, model.decoders):
            pairs = zip(networks["a"].parameters(), networks["b"].parameters(), strict=True)
            alike = [torch.equal(*pair) for pair in pairs]
            assert all(alike) == same_start
    with pytest.raises(ValueError, match="same_start is on"):
        MUNITConfig(same_start=True, channels=(1, 3))


def test_a_style_shifts_then_scales_what_is_normalised():
    decoder = StyledDecoder(2, 1, style_width=1, mlp_width=1, channels=3)
    block = decoder.blocks[0]
    x = torch.randn(2, 8, 4, 4)
    modulation = torch.zeros(2, 2, 2, 8)
    assert torch.equal(block(x, modulation), x)  # neither shift nor scale: nothing is added
    modulation[:, 1, 0] = 3.0
    torch.testing.assert_close(block(x, modulation), x + 3)


def test_perceptual_loss_is_of_a_frozen_network_and_takes_rgb_alone():
    with pytest.raises(ValueError, match="VGG16 takes 3: set lambda_perceptual to 0"):
        MUNITConfig(lambda_perceptual=1.0, channels=(1, 3))
    config = dataclasses.replace(PRESETS["tiny"], lambda_perceptual=1.0)
    assert MUNIT.needs(config).weights == (pretrained.VGG_NAME,)
    assert MUNIT.needs(PRESETS["tiny"]).weights == ()
    assert config.minimum_size == VGG_MINIMUM


@pytest.mark.slow
def test_perceptual_loss_compares_a_translation_with_its_source():
    config = dataclasses.replace(PRESETS["tiny"], lambda_perceptual=1.0)
    with pretrained.without_weights() as unread:
        model = MUNIT(config)
    assert unread == [pretrained.VGG_NAME]
    images = {d: torch.rand(1, 3, 32, 32) for d in DOMAINS}
    with torch.no_grad():
        fake = model.translate(Batch(images), A2B, Replay({"style": torch.ones(1, 8)}, torch.float))
        features = [model.frozen["vgg"](each) for each in (fake, images["a"])]
    draws = Replay(dict.fromkeys(DRAWS, torch.ones(1, 8)), torch.float)
    losses = model.training_step(Batch(images), draws)
    wanted = nn.functional.mse_loss(*features)
    torch.testing.assert_close(losses["perceptual_a2b"], wanted, atol=1e-4, rtol=1e-4)
    assert all(p.grad is None for p in model.frozen.parameters())
    assert isinstance(model.frozen["vgg"], PerceptualFeatures)

"""UNIT against the authors' numbers."""

import dataclasses

import pytest
import torch
from i2i_baselines.official.unit import discriminator_stems, generator_stems
from i2i_baselines.unit import DOMAINS, UNIT, UNITConfig
from torch import nn

from i2i_bench.blocks.discriminators import MultiScaleDiscriminator
from i2i_bench.blocks.normalise import SampleNorm
from i2i_bench.model import A2B, B2A, Batch, Clock
from i2i_bench.plugins.toy import Toy
from i2i_bench.randomness import Randomness

DRAWS = (
    "discriminator_a",
    "discriminator_b",
    "generator_a",
    "generator_b",
    "cycle_b",
    "cycle_a",
)


class Replay(Randomness):
    """The authors' noise of one step."""

    def __init__(self, numbers, step):
        super().__init__(0, dtype=torch.float64)
        self.draws = {
            name: numbers.io[f"noise/{6 * step + i:02}"].double() for i, name in enumerate(DRAWS)
        }

    def normal(self, name, shape):
        noise = self.draws.pop(name)
        assert noise.shape == shape
        return noise


def task(size, name="stripes", kind="embedded"):
    return Toy(name, kind, size, num_train={"a": 1000, "b": 1000})


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("unit")


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
    return UNIT.from_official(folder)


def outputs(model, probe):
    """Give what the fixtures hold of a probe batch."""
    with torch.no_grad():
        hidden = model.encoders["a"](probe["a"])
        named = {
            "A/hidden": hidden,
            "A/recon": model.decoders["a"](hidden),
            "A2B/fake": model.translate(Batch(probe), A2B, Randomness(0)),
            "B2A/fake": model.translate(Batch(probe), B2A, Randomness(0)),
        }
        scales = model.discriminators["a"](probe["a"])
    return named | {f"dis_a/scale{i}": logits for i, logits in enumerate(scales)}


def test_configuration_is_read_off_the_shapes(model):
    assert model.config == UNITConfig(generator_width=4, discriminator_width=4)


def with_statistics(tensors):
    """Add what torch 0.3 saved of the encoder's instance normalisation."""
    norms = [f"enc.model.{i}.norm" for i in range(3)]
    norms += [f"enc.model.3.model.{i}.model.{j}.norm" for i in range(4) for j in (0, 1)]
    leaves = ("running_mean", "running_var")
    return tensors | {f"{norm}.{leaf}": torch.ones(4) for norm in norms for leaf in leaves}


LAYOUTS = {
    "as saved": lambda tensors: tensors,
    "several GPUs": lambda tensors: {f"module.{name}": t for name, t in tensors.items()},
    "torch 0.3": with_statistics,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch", [1, 2])
def test_forward_equals_the_authors(folder, numbers, batch, layout):
    for kind in ("gen", "dis"):
        path = folder / f"{kind}_00000020.pt"
        both = torch.load(path)
        torch.save({domain: LAYOUTS[layout](both[domain]) for domain in DOMAINS}, path)
    model = UNIT.from_official(folder)
    assert model.absent == set()
    probe = {d: numbers.io[f"probe/real_{d.upper()}"][:batch] for d in DOMAINS}
    compared = 0
    for name, output in outputs(model, probe).items():
        if (truth := numbers.io.get(f"init/b{batch}/{name}")) is not None:
            torch.testing.assert_close(output, truth, atol=2e-5, rtol=0)
            compared += 1
    assert compared == {1: 7, 2: 4}[batch]


def run(model, numbers, step):
    model.advance(Clock(step + 1, 1_000_000, step, 1_000_000))
    return model.training_step(Batch(numbers.batch(step)), Replay(numbers, step))


def test_three_steps_in_float64_equal_the_authors(model, numbers):
    model.networks.double()
    names = {
        "dis_a": "discriminator_a",
        "dis_b": "discriminator_b",
        "gen_adv_a": "adversarial_b2a",
        "gen_adv_b": "adversarial_a2b",
        "gen_recon_x_a": "reconstruction_a",
        "gen_recon_x_b": "reconstruction_b",
        "gen_recon_kl_a": "kl_a",
        "gen_recon_kl_b": "kl_b",
        "gen_cyc_x_a": "cycle_a",
        "gen_cyc_x_b": "cycle_b",
        "gen_recon_kl_cyc_aba": "kl_cycle_a",
        "gen_recon_kl_cyc_bab": "kl_cycle_b",
    }
    for step, expected in enumerate(numbers.steps["losses_float64"]):
        losses = run(model, numbers, step)
        assert losses.keys() == set(names.values())
        for official, name in names.items():
            assert losses[name].item() == pytest.approx(expected[f"loss_{official}"], rel=1e-6)
    probe = {d: numbers.io[f"probe/real_{d.upper()}"][:1].double() for d in DOMAINS}
    found = outputs(model, probe)
    after = [name for name in numbers.io if name.startswith("after3_f64/b1/")]
    assert len(after) == 4
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
        model = UNIT(UNITConfig())
    for networks, count in (
        (model.encoders, 5_385_856),
        (model.decoders, 5_754_627),
        (model.discriminators, 8_271_171),
    ):
        found = [sum(p.numel() for p in network.parameters()) for network in networks.values()]
        assert found == [count, count]
    assert sum(p.numel() for p in model.networks.parameters()) == 38_823_308


def test_discriminator_files_may_be_absent(folder):
    released = (folder / "gen_00000020.pt").rename(folder / "gta2city.pt")
    model = UNIT.from_official(released)
    assert model.config == UNITConfig(generator_width=4)
    assert model.absent == {"discriminators.a", "discriminators.b"}


@pytest.mark.parametrize(
    ("file", "name", "tensor", "message"),
    [
        (
            "gen",
            "dec.model.5.conv.weight",
            torch.zeros(3, 8, 7, 7),
            r"gen_00000020\.pt, a, has misshapen dec\.model\.5",
        ),
        ("gen", "enc.model.3.model.3.model.1.conv.bias", None, r"lacks enc\.model\.3\.model\.3"),
        ("gen", "enc.model.0.conv.weight", None, r"a, lacks enc\.model\.0\.conv\.weight"),
        ("gen", "enc_content.model.0.conv.weight", torch.zeros(1), "unknown enc_content"),
        ("dis", "cnns.2.4.bias", None, r"lacks cnns\.2\.4\.bias"),
        ("dis", "cnns.0.0.conv.weight", None, r"lacks cnns\.0\.0\.conv\.weight"),
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
        UNIT.from_official(folder)


def test_unreadable_files_are_refused(folder, tmp_path_factory):
    with pytest.raises(ValueError, match="no file gen_"):
        UNIT.from_official(tmp_path_factory.mktemp("empty"))
    torch.save({"a": {}}, folder / "gen_00000020.pt")
    with pytest.raises(ValueError, match="lacks the state dicts b"):
        UNIT.from_official(folder)


@pytest.mark.parametrize(
    ("step", "factor"), [(1, 1), (99_999, 1), (100_000, 0.5), (299_999, 0.25), (1_000_000, 2**-10)]
)
def test_learning_rate_halves_every_100_000_steps(step, factor):
    model = UNIT(UNIT.settings("tiny", task(32)).config)
    model.advance(Clock(step, 1_000_000, step - 1, 1_000_000))
    for optimizer in model.optimizers.values():
        assert optimizer.param_groups[0]["lr"] == 1e-4 * factor


@pytest.mark.parametrize(("preset", "size"), [("published", 64), ("small", 16), ("tiny", 8)])
def test_smaller_images_are_refused(preset, size):
    UNIT.settings(preset, task(size))
    with pytest.raises(ValueError, match=f"needs images of at least {size} px"):
        UNIT.settings(preset, task(size - 1))


def test_domains_start_alike_where_asked_and_are_apart():
    preset = UNIT.settings("small", task(32)).config
    assert preset.same_start
    assert not UNIT.settings("published", task(256)).config.same_start
    for same_start in (True, False):
        model = UNIT(dataclasses.replace(preset, same_start=same_start))
        for networks in (model.encoders, model.decoders):
            pairs = list(zip(networks["a"].parameters(), networks["b"].parameters(), strict=True))
            assert all(first is not second for first, second in pairs)
            assert all(torch.equal(*pair) for pair in pairs) == same_start


@pytest.mark.parametrize(("layers", "scales"), [(4, 3), (3, 2), (2, 2), (3, 1)])
def test_minimum_size_is_what_the_discriminator_takes(layers, scales):
    judge = MultiScaleDiscriminator(2, layers, scales)
    size = judge.minimum_size
    assert len(judge(torch.zeros(1, 3, size, size))) == scales
    with pytest.raises(ValueError, match=f"needs images of at least {size} px"):
        judge(torch.zeros(1, 3, size, size - 1))
    judge.minimum_size = 0
    with pytest.raises(RuntimeError, match="Padding size"):
        judge(torch.zeros(1, 3, size - 1, size - 1))


def test_published_settings_are_the_authors():
    settings = UNIT.settings("published", task(256, kind="catalogued"))
    assert (settings.batch_size, settings.budget) == (1, 1_000_000)
    assert (settings.load_size, settings.crop_size) == (256, 256)
    assert (settings.resampling, settings.resize, settings.flip) == ("bilinear", "short_side", True)


def test_convolutions_of_the_generators_start_as_the_authors():
    torch.manual_seed(0)
    model = UNIT(UNITConfig(generator_width=16, discriminator_width=2, num_blocks=1))
    for layer in model.networks["generators"].modules():
        if isinstance(layer, nn.Conv2d):
            deviation = (2 / layer.weight[0].numel()) ** 0.5  # 2 / fan-in, Kaiming
            assert layer.weight.std().item() == pytest.approx(deviation, rel=0.06)
            assert layer.bias is not None
            assert not layer.bias.any()


def test_scales_of_the_decoders_norm_start_between_none_and_one():
    torch.manual_seed(0)
    gamma = SampleNorm(1000).gamma.detach()
    assert 0 <= gamma.min() < 0.01
    assert 0.99 < gamma.max() < 1
    assert gamma.mean().item() == pytest.approx(0.5, abs=0.03)

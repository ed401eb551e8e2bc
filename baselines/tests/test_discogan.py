"""DiscoGAN against numbers of its authors' code (tests/golden/README.md)."""

import dataclasses
from pathlib import Path

import i2i_baselines.discogan as module
import pytest
import torch
from i2i_baselines.discogan import DiscoGAN, DiscoGANConfig
from i2i_baselines.official.discogan import NETWORKS
from torch import nn

from i2i_bench.blocks import plain
from i2i_bench.blocks.initialise import init_torch_2017
from i2i_bench.blocks.plain import PlainDiscriminator, PlainGenerator
from i2i_bench.model import A2B, B2A, Batch, Clock, Needs, Settings
from i2i_bench.plugins.gradients import recorded_gradients
from i2i_bench.plugins.toy import NOMINAL, Toy
from i2i_bench.randomness import Randomness

SETS = {"curriculum": 100, "default": 0}  # steps at the starting rate


def seen(images):
    """Turn the authors' images (BGR in [0, 1]) into ours, or ours into theirs."""
    return images.flip(1) * 2 - 1


def as_published(images):
    return (images.flip(1) + 1) / 2


@pytest.fixture
def numbers(golden):
    return golden("discogan")


@pytest.fixture
def model(numbers, tmp_path):
    numbers.save(tmp_path, {f"model_{name}-3.pth": name for name in NETWORKS})
    model = DiscoGAN.from_official(tmp_path)
    assert not model.absent
    return model


def official_names(model, network):
    """Give our name of each tensor of an authors' network by theirs."""
    ours = NETWORKS[network]
    names = {}
    for name in model.networks.get_submodule(ours).state_dict():
        place, _, leaf = name.rpartition(".")
        if network.startswith("gen"):
            theirs = place.replace("layers", "main")
        elif place == "head":
            theirs = f"conv{len(model.networks.get_submodule(ours).stages) + 1}"
        else:
            _, stage, kind = place.split(".")
            theirs = f"{'bn' if kind == '1' else 'conv'}{int(stage) + 1}"
        names[f"{theirs}.{leaf}"] = f"{ours}.{name}"
    return names


def outputs(model, numbers, *, evaluates=False):
    """Give what copies of the networks make of the probe, by the authors' names."""
    dtype = next(model.networks.parameters()).dtype
    a, b = (seen(numbers.io[f"probe/real_{d}"].to(dtype)) for d in "AB")
    states = {name: t.clone() for name, t in model.networks.state_dict().items()}
    model.networks.train(not evaluates)
    with torch.no_grad():
        a2b = model.translate(Batch({"a": a}), A2B, Randomness(0))
        b2a = model.translate(Batch({"b": b}), B2A, Randomness(0))
        found = {"A2B/fake": as_published(a2b), "B2A/fake": as_published(b2a)}
        found["A2B/cycle"] = as_published(model.generators["b2a"](a2b))
        for name, real, fake in (("A", a, b2a), ("B", b, a2b)):
            logits, taps = model.discriminators[name.lower()](real)
            found[f"dis_{name}/real"] = logits.sigmoid()
            found[f"dis_{name}/fake"] = model.discriminators[name.lower()](fake)[0].sigmoid()
            if name == "A":
                taps = {f"dis_A/real_tap{i}_batchmean": tap.mean(0) for i, tap in enumerate(taps)}
                found |= taps
    model.networks.load_state_dict(states)
    model.networks.train()
    return found


def in_official_terms(losses, rate):
    """Name the losses of a step as the authors do, and weigh them as they do."""
    found = {}
    for side, way in (("A", "b2a"), ("B", "a2b")):
        found[f"gen_loss_{side}"] = losses[f"adversarial_{way}"]
        found[f"fm_loss_{side}"] = losses[f"feature_matching_{way}"]
        found[f"dis_loss_{side}"] = losses[f"discriminator_{side.lower()}"]
        found[f"recon_loss_{side}"] = losses[f"cycle_{side.lower()}"]
    for side, other in ("AB", "BA"):  # b's discriminator goes with a's reconstruction
        lacking = 0.1 * found[f"gen_loss_{other}"] + 0.9 * found[f"fm_loss_{other}"]
        found[f"gen_loss_{side}_total"] = (1 - rate) * lacking + rate * found[f"recon_loss_{side}"]
    found["gen_loss"] = found["gen_loss_A_total"] + found["gen_loss_B_total"]
    found["dis_loss"] = found["dis_loss_A"] + found["dis_loss_B"]
    return {name: value.item() for name, value in found.items()}


def train(model, numbers, name, num_steps=4):
    """Take steps in float64; give the losses of each in the authors' terms, and all gradients."""
    model.networks.double()
    model.config = dataclasses.replace(model.config, curriculum_steps=SETS[name])
    losses = []
    with recorded_gradients(model) as gradients:
        for step in range(num_steps):
            images = {d: seen(image) for d, image in numbers.batch(step).items()}
            model.advance(Clock(step + 1, 4, 2 * step, 8))
            found = model.training_step(Batch(images), Randomness(0, dtype=torch.float64))
            losses.append(in_official_terms(found, model.rate))
    return losses, gradients


def is_as_published(losses, expected):
    return all(
        value == pytest.approx(published[name], rel=1e-6)
        for ours, published in zip(losses, expected, strict=False)
        for name, value in ours.items()
    )


@pytest.mark.parametrize("evaluates", [False, True])
def test_forward_equals_the_authors(model, numbers, evaluates):
    found = outputs(model, numbers, evaluates=evaluates)
    if evaluates:
        found = {"A2B/fake_eval": found["A2B/fake"]}
    for name, value in found.items():
        torch.testing.assert_close(value, numbers.io[f"init/{name}"], atol=1e-5, rtol=0)


def test_generator_with_a_bottleneck_equals_the_authors(numbers, tmp_path):
    torch.save(numbers.network("extra/gen"), tmp_path / "model_gen_B-0.pth")
    model = DiscoGAN.from_official(tmp_path)
    assert (model.config.num_layers, model.config.bottleneck) == (4, 12)
    assert model.absent == {"generators.b2a", "discriminators.a", "discriminators.b"}
    with torch.no_grad():
        fake = model.generators["a2b"](seen(numbers.io["probe/real_A"]))
    torch.testing.assert_close(as_published(fake), numbers.io["extra/init/fake"], atol=1e-5, rtol=0)


def assert_first_gradients(gradients, truth, names):
    ours = {f"{net}/{theirs}": own for net in NETWORKS for theirs, own in names[net].items()}
    counts = {"D": 0, "G": 0}
    for kind in counts:
        for theirs, norm in truth[f"grad_l2_first_{kind}_update_float64"].items():
            recorded = gradients[ours[theirs]]
            assert len(recorded) == 2
            assert recorded[0].norm().item() == pytest.approx(norm, rel=1e-6, abs=1e-12), theirs
            counts[kind] += 1
    assert counts == {"D": 22, "G": 40}


def assert_statistics(model, expected, names):
    """Compare every tensor, and how often each running statistic has moved."""
    held = model.networks.state_dict()
    for net, tensors in expected.items():
        assert tensors.keys() == names[net].keys()
        for theirs, wanted in tensors.items():
            tensor = held[names[net][theirs]].double()
            found = {"mean": tensor.mean(), "absmax": tensor.abs().max(), "l2": tensor.norm()}
            for statistic in wanted.keys() & found.keys():
                close = pytest.approx(wanted[statistic], rel=1e-6, abs=1e-9)
                assert found[statistic].item() == close, (net, theirs, statistic)
            assert "value" not in wanted or tensor.item() == wanted["value"] == 8


@pytest.mark.parametrize("name", SETS)
def test_steps_in_float64_equal_the_authors(model, numbers, name):
    truth = numbers.steps[name]
    losses, gradients = train(model, numbers, name)
    assert len(truth["losses_float64"]) == len(losses) == 4
    for step, (found, expected) in enumerate(zip(losses, truth["losses_float64"], strict=True)):
        assert found.keys() == expected.keys() - {"rate", "updated"}
        for term, value in found.items():
            assert value == pytest.approx(expected[term], rel=1e-6), (step, term)
    names = {net: official_names(model, net) for net in NETWORKS}
    assert_first_gradients(gradients, truth, names)
    assert_statistics(model, truth["param_stats_after4_float64"], names)
    for key, value in outputs(model, numbers).items():
        if (stored := f"{name}/after4_f64/{key}") in numbers.io:
            torch.testing.assert_close(value.float(), numbers.io[stored], atol=1e-6, rtol=1e-6)
    stored = numbers.io.get(f"{name}/after4_f64/A2B/fake_eval")
    assert (stored is None) == (name == "default")
    if stored is not None:
        translated = outputs(model, numbers, evaluates=True)["A2B/fake"].float()
        torch.testing.assert_close(translated, stored, atol=1e-6, rtol=1e-6)


def turn_first_to_the_generators(model, monkeypatch):
    advance = model.advance
    monkeypatch.setattr(
        model, "advance", lambda clock: advance(dataclasses.replace(clock, step=clock.step + 1))
    )


def match_features_of_each_image(model, monkeypatch):
    def matching(real, fake):
        return sum(((r - f) ** 2).mean() for r, f in zip(real, fake, strict=True))

    monkeypatch.setattr(plain, "feature_matching", matching)


def see_minus_one_to_one(model, monkeypatch):
    for network in model.discriminators.values():
        network.stages[0].register_forward_pre_hook(lambda _, inputs: (inputs[0] * 2 - 1,))


def swap_shares(model, monkeypatch):
    weights = model.weights
    monkeypatch.setattr(model, "weights", lambda: weights() | {"cycle": 1 - model.rate})


def no_weight_decay(model, monkeypatch):
    for group in model.optimizers["generators"].param_groups:
        group["weight_decay"] = 0.0


def whole_sum_for_discriminators(model, monkeypatch):
    terms = plain.plain_terms

    def doubled(*args):
        lacking, judged = terms(*args)
        return lacking, {name: 2 * value for name, value in judged.items()}

    monkeypatch.setattr(module, "plain_terms", doubled)


MISTAKES = [
    turn_first_to_the_generators,
    match_features_of_each_image,
    see_minus_one_to_one,
    swap_shares,
    no_weight_decay,
    whole_sum_for_discriminators,
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_seen_in_the_losses(model, numbers, monkeypatch, mistake):
    mistake(model, monkeypatch)
    losses, _ = train(model, numbers, "curriculum")
    assert not is_as_published(losses, numbers.steps["curriculum"]["losses_float64"])


def test_statistics_move_twice_in_every_step(model, numbers):
    before = {n: int(t) for n, t in model.networks.state_dict().items() if n.endswith("tracked")}
    train(model, numbers, "default", num_steps=2)
    after = {n: int(t) for n, t in model.networks.state_dict().items() if n.endswith("tracked")}
    assert {after[name] - before[name] for name in before} == {4}


@pytest.mark.parametrize(("bottleneck", "total"), [(0, 16_558_848), (100, 19_838_096)])
def test_parameters_are_the_authors_to_the_integer(bottleneck, total):
    with torch.device("meta"):
        model = DiscoGAN(DiscoGANConfig(bottleneck=bottleneck))
    assert sum(p.numel() for p in model.networks.parameters()) == total
    assert sum(p.numel() for p in model.discriminators["a"].parameters()) == 2_765_568


def test_published_settings_are_the_authors():
    counts = {"a": 400, "b": 500}
    task = dataclasses.replace(NOMINAL, name="edges2shoes", kind="catalogued", num_train=counts)
    expected = Settings(
        DiscoGANConfig(starting_rate=0.01, default_rate=0.5, curriculum_steps=10_000),
        batch_size=64,
        budget=5000 * 400,
        load_size=64,
        crop_size=64,
        resampling="bilinear",
        resize="square",
        flip=False,
    )
    assert DiscoGAN.settings("published", task) == expected
    bags = dataclasses.replace(task, name="handbags2shoes")
    assert DiscoGAN.settings("published", bags).config == DiscoGANConfig(starting_rate=0.5)


@pytest.mark.parametrize("preset", ["published", "small", "tiny"])
@pytest.mark.parametrize(("size", "layers"), [(256, 4), (32, 3), (40, 3), (50, 1), (8, 1)])
def test_every_preset_has_layers_that_fit(size, layers, preset):
    settings = DiscoGAN.settings(preset, Toy(kind="folder", image_size=size))
    assert settings.crop_size == min(size, 32 if preset == "tiny" else 64)
    layers = 3 if preset == "tiny" and size > 32 else layers
    assert settings.config.num_layers == layers
    assert DiscoGAN.needs(settings.config) == Needs(multiple=2**layers)


def test_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match=r"images of 51 px cannot be halved to 4 px or more"):
        DiscoGAN.settings("published", Toy(kind="folder", image_size=51))


def test_rate_and_turns_are_functions_of_the_clock():
    model = DiscoGAN(tiny(curriculum_steps=4))
    seen = []
    for step in range(1, 8):
        model.advance(Clock(step, 7, step - 1, 7))
        seen.append((model.rate, model.trains_generators))
    assert [rate for rate, _ in seen] == 4 * [0.01] + 3 * [0.5]
    assert [turn for _, turn in seen] == [False, True, True, False, True, True, False]


def tiny(**changes):
    config = DiscoGANConfig(generator_width=2, discriminator_width=2, num_layers=2)
    return dataclasses.replace(config, **changes)


@pytest.mark.parametrize(
    ("method", "generators", "terms"),
    [
        ("gan", {"a2b"}, {"adversarial_a2b", "feature_matching_a2b", "discriminator_b"}),
        (
            "recongan",
            {"a2b", "b2a"},
            {"adversarial_a2b", "feature_matching_a2b", "discriminator_b", "cycle_a"},
        ),
    ],
)
def test_what_the_paper_compares_with_goes_one_way(method, generators, terms):
    model = DiscoGAN(tiny(method=method))
    assert model.directions == (A2B,)
    assert set(model.generators) == generators
    assert set(model.discriminators) == {"b"}
    images = {d: torch.rand(3, 3, 16, 16) * 2 - 1 for d in "ab"}
    with recorded_gradients(model) as gradients:
        for step in (1, 2):
            model.advance(Clock(step, 2, step, 4))
            losses = model.training_step(Batch(images), Randomness(0))
    assert set(losses) == terms
    assert {name.split(".")[1] for name in gradients} == generators | {"b"}
    whole = (1 - model.rate, model.rate) if method == "recongan" else (1, 0)
    assert model.weights()["adversarial"] == pytest.approx(0.1 * whole[0])
    assert model.weights()["cycle"] == whole[1]


def test_weights_start_as_pytorch_of_2017():
    torch.manual_seed(0)
    generator = PlainGenerator(16, 3)
    init_torch_2017(generator)
    norms = [layer for layer in generator.layers if isinstance(layer, nn.BatchNorm2d)]
    scales = torch.cat([layer.weight.detach() for layer in norms])
    assert 0 <= scales.min() < 0.05 < 0.95 < scales.max() <= 1
    assert not torch.cat([layer.bias.detach() for layer in norms]).any()
    for layer in generator.layers:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            bound = layer.in_channels**-0.5 / 4  # of inputs, in transposed convolutions too
            assert 0.99 * bound < layer.weight.abs().max() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_domains_may_have_other_channels_and_images_other_shapes():
    model = DiscoGAN(tiny(channels=(1, 4)))
    images = {"a": torch.rand(2, 1, 16, 24), "b": torch.rand(2, 4, 16, 24)}
    model.advance(Clock(2, 2, 2, 4))
    model.training_step(Batch(images), Randomness(0))
    shapes = [model.translate(Batch(images), d, Randomness(0)).shape[1:] for d in (A2B, B2A)]
    assert shapes == [(4, 16, 24), (1, 16, 24)]


def test_networks_refuse_images_that_are_too_small():
    with pytest.raises(ValueError, match="this discriminator needs images of at least 16 px"):
        PlainDiscriminator(1, 2)(torch.zeros(1, 3, 16, 12))
    with pytest.raises(ValueError, match="this generator needs images of at least 16 px"):
        PlainGenerator(1, 2, bottleneck=3)(torch.zeros(2, 3, 16, 12))
    with pytest.raises(ValueError, match="both sides must be divisible by 4"):
        PlainGenerator(1, 2)(torch.zeros(2, 3, 16, 18))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("method", "lsgan", "method is 'lsgan'; possible: discogan, recongan, gan"),
        ("default_rate", 1.5, r"default_rate is 1\.5; it is a share, at most 1"),
        ("bottleneck", -1, "bottleneck is -1; at least 0 is needed"),
    ],
)
def test_impossible_settings_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        DiscoGANConfig(**{field: value})


def test_modules_of_the_authors_are_refused_with_what_to_do(tmp_path):
    touched = tmp_path / "executed"
    file = tmp_path / "model_gen_B-5.0"
    torch.save(Executed(str(touched)), file)
    with pytest.raises(ValueError, match=r"model_gen_B-5\.0 is not read.*state_dict\(\)") as told:
        DiscoGAN.from_official(tmp_path)
    assert not touched.exists()
    command = str(told.value).partition('python -c "')[2].removesuffix('"')
    compile(command, "line", "exec")


class Executed:
    """Write a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_line_for_the_authors_modules_writes_what_is_read(numbers, model, tmp_path, monkeypatch):
    network = nn.Module()
    network.main = model.generators["a2b"].layers
    folder = tmp_path / "theirs"
    folder.mkdir()
    torch.save(network, folder / "model_gen_B-5.0")
    with pytest.raises(ValueError, match="is not read") as told:
        DiscoGAN.from_official(folder)
    command = str(told.value).partition('python -c "')[2].removesuffix('"')
    exec(command.replace("PATH", str(folder)))
    assert DiscoGAN.from_official(folder).config.generator_width == 4


def test_latest_networks_are_read_and_the_file_given_else(numbers, tmp_path):
    for number, width in (("9", 4), ("10", 2)):
        tensors = {"main.0.weight": torch.ones(width, 3, 4, 4)}
        tensors["main.2.weight"] = torch.ones(width, 3, 4, 4)
        torch.save(tensors, tmp_path / f"model_gen_A-{number}.pth")
    assert DiscoGAN.from_official(tmp_path).config.generator_width == 2
    one = DiscoGAN.from_official(tmp_path / "model_gen_A-9.pth")
    assert one.config.generator_width == 4
    assert one.absent == {"generators.a2b", "discriminators.a", "discriminators.b"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"main.9.bias": None}, r"model_gen_B-3\.pth lacks main\.9\.bias"),
        ({"main.9.bias": torch.zeros(3)}, r"has misshapen main\.9\.bias \(3,\) instead of"),
        ({"main.20.weight": None}, "has 7 convolutions"),
        ({"main.0.weight": torch.zeros(4)}, r"has misshapen main\.0\.weight"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(numbers, tmp_path, change, message):
    tensors = numbers.network("gen_B") | change
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    torch.save(tensors, tmp_path / "model_gen_B-3.pth")
    with pytest.raises(ValueError, match=message):
        DiscoGAN.from_official(tmp_path)


def test_folders_and_files_without_networks_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no generator: needed are files such as"):
        DiscoGAN.from_official(tmp_path)
    (tmp_path / "any.pth").write_bytes(b"0")
    with pytest.raises(ValueError, match=r"any\.pth has no name such as model_gen_B-5\.pth"):
        DiscoGAN.from_official(tmp_path / "any.pth")

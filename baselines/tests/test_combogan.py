"""ComboGAN against numbers of its authors' code (tests/golden/README.md)."""

import dataclasses

import pytest
import torch
from i2i_baselines.combogan import model as module
from i2i_baselines.combogan import networks
from i2i_baselines.combogan.config import ComboGANConfig
from i2i_baselines.combogan.model import ComboGAN
from i2i_baselines.combogan.networks import (
    BranchedDiscriminator,
    LayeredDiscriminator,
    blur_kernel,
    layered_least_squares,
)
from i2i_baselines.official.combogan import decoder_stems, discriminator_stems, encoder_stems
from torch.nn import functional as F

from i2i_bench import official
from i2i_bench.labels import EVERY
from i2i_bench.model import Batch, Clock, Direction, Needs, Settings
from i2i_bench.plugins.gradients import recorded_gradients
from i2i_bench.plugins.toy import NOMINAL, Toy
from i2i_bench.randomness import Randomness

RANDOM = Randomness(0, dtype=torch.float64)
NETWORKS = [f"G{i}" for i in range(6)] + [f"D{i}" for i in range(3)]
FILES = {f"1150_net_{name}.pth": name for name in NETWORKS}
DOMAINS = ("0", "1", "2")
OPTIONAL = {"lambda_identity": 0.5, "lambda_forward": 0.2, "lambda_latent": 1.0}


@pytest.fixture
def numbers(golden):
    return golden("combogan")


@pytest.fixture
def model(numbers, tmp_path):
    model = ComboGAN.from_official(numbers.save(tmp_path, FILES))
    assert not model.absent
    return model


def outputs(model, numbers):
    """Give what the networks make of the probe, by the authors' names."""
    dtype = next(model.networks.parameters()).dtype
    real = {d: numbers.io[f"probe/real_{d}"].to(dtype) for d in DOMAINS}
    found = {}
    with torch.no_grad():
        for source, target in ("01", "12", "20"):
            way = Direction(source, target)
            fake = found[f"{source}to{target}/fake"] = model.translate(Batch(real), way, RANDOM)
            cycle = model.translate(Batch({target: fake}), way.reverse, RANDOM)
            found[f"{source}to{target}/cycle"] = cycle
        code = found["0/encoded"] = model.encode(real["0"], "0")
        found["0/autoencode"] = model.decode(code, "0")
        for kind, images in (("real", real["1"]), ("fake", found["0to1/fake"])):
            logits = model.discriminators["1"](images)
            found |= {f"D1/{kind}_1_layer{i}": each for i, each in enumerate(logits)}
    return found


def official_names(model, numbers):
    """Give the authors' name of each of our parameters."""
    names = {}
    for name in NETWORKS:
        number = int(name[1:])
        if name.startswith("D"):
            state = official.StateDict(name, numbers.network(name))
            ours, stems = f"discriminators.{number}", discriminator_stems(state)
        else:
            part, make = ("encoders", encoder_stems) if number < 3 else ("decoders", decoder_stems)
            ours, stems = f"{part}.{number % 3}", make(4 if number < 3 else 5)
        for own, theirs in stems:
            for leaf in ("weight", "bias"):
                names[f"{ours}.{own}.{leaf}"] = f"{name}/{theirs}.{leaf}"
    return {own: names[own] for own, _ in model.networks.named_parameters()}


def in_official_terms(losses, config, latent_weight, ways):
    """Name the losses of a step as the authors do, but by the discriminator that was used."""
    found, weights = {"G_total": 0.0}, {"adversarial": 1.0, "cycle": config.lambda_cycle}
    weights |= {"identity": config.lambda_identity, "forward": config.lambda_forward}
    weights["latent"] = latent_weight
    for way in ways:
        found[f"G_adv_D{way.target}"] = losses[f"adversarial_{way}"].item()
        found[f"cycle_{way.source}"] = losses[f"cycle_{way.source}"].item()
        found[f"D{way.target}"] = losses[f"discriminator_{way.target}"].item()
    for name, value in losses.items():
        found["G_total"] += weights.get(name.partition("_")[0], 0.0) * value.item()
    return found


def train(model, numbers, num_steps=3, epoch=0):
    """Take steps in float64; give the losses of each in the authors' terms, and all gradients."""
    model.networks.double()
    losses = []
    with recorded_gradients(model) as gradients:
        for step in range(num_steps):
            pair = [str(each) for each in numbers.steps["settings"]["domain_pairs"][step]]
            images = dict(zip(pair, numbers.batch(step).values(), strict=True))
            model.advance(Clock(1 + epoch * 3 + step, 600, epoch * 3 + step, 600))
            found = model.training_step(Batch(images), RANDOM)
            ways = (Direction(*pair), Direction(*pair[::-1]))
            losses.append(in_official_terms(found, model.config, model.latent_weight, ways))
    return losses, gradients


def assert_as_published(losses, expected):
    assert len(losses) == len(expected)
    for step, (ours, published) in enumerate(zip(losses, expected, strict=True)):
        assert ours.keys() == published.keys() - {"domain_A", "domain_B"}
        for name, value in ours.items():
            assert value == pytest.approx(published[name], rel=1e-6), (step, name)


def assert_gradients(gradients, names, norms):
    ours = {theirs: own for own, theirs in names.items()}
    assert {names[own] for own in gradients} >= norms.keys()
    for theirs, norm in norms.items():
        found = gradients[ours[theirs]][0].norm().item()
        assert found == pytest.approx(norm, rel=1e-6, abs=1e-6), theirs


def test_forward_equals_the_authors(model, numbers):
    found = outputs(model, numbers)
    assert len(found) == 16
    for name, value in found.items():
        torch.testing.assert_close(value, numbers.io[f"init/{name}"], atol=2e-5, rtol=0)


def test_steps_in_float64_equal_the_authors(model, numbers):
    losses, gradients = train(model, numbers)
    assert_as_published(losses, numbers.steps["losses_float64"])
    names = official_names(model, numbers)
    assert_gradients(gradients, names, numbers.steps["grad_l2_step1_float64"])
    stated = numbers.steps["param_stats_after3_float64"]
    assert sum(map(len, stated.values())) == len(names)
    for own, parameter in model.networks.named_parameters():
        network, _, tensor = names[own].partition("/")
        norm = pytest.approx(stated[network][tensor]["l2"], rel=1e-6, abs=1e-9)
        assert parameter.norm().item() == norm, own
    stored = 0
    for key, value in outputs(model, numbers).items():
        if (expected := numbers.io.get(f"after3_f64/{key}")) is not None:
            torch.testing.assert_close(value.float(), expected, atol=1e-6, rtol=1e-6)
            stored += 1
    assert stored == 11


def test_optional_terms_in_float64_equal_the_authors(model, numbers):
    model.config = dataclasses.replace(model.config, **OPTIONAL)
    truth = numbers.steps["optional_terms"]
    losses, gradients = train(model, numbers, num_steps=1, epoch=100)
    assert model.latent_weight == truth["settings"]["latent_weight"] == 0.5
    assert_as_published(losses, truth["losses_float64"])
    assert_gradients(gradients, official_names(model, numbers), truth["grad_l2_float64"])


def true_gaussian(model, monkeypatch):
    line = torch.exp(-(torch.arange(-2.0, 3.0) ** 2) / 18)
    kernel = torch.outer(line, line) / line.sum() ** 2
    for judge in model.discriminators.values():
        judge.blur.copy_(kernel.expand_as(judge.blur))


def blurred_grey(model, monkeypatch):
    for judge in model.discriminators.values():
        kernel = judge.blur[:1]
        judge.grey.register_forward_pre_hook(
            lambda _, inputs, k=kernel: (F.conv2d(inputs[0], k.to(inputs[0].dtype), padding=2),)
        )


def equal_layers(model, monkeypatch):
    def equal(logits, target):
        return torch.stack([(each - target).square().mean() for each in logits]).mean() / 4

    monkeypatch.setattr(module, "layered_least_squares", equal)


def raw_logits(model, monkeypatch):
    def forward(self, images):
        first, *between, last = self.stages
        features, logits = first(images), []
        for stage in between:
            logits.append(stage[0](features)[:, -1])
            features = stage(features)[:, :-1]
        return [*logits, last(features)[:, 0]]

    monkeypatch.setattr(LayeredDiscriminator, "forward", forward)


def absolute_cycles(model, monkeypatch):
    monkeypatch.setattr(F, "smooth_l1_loss", F.l1_loss)


def own_decoder(model, monkeypatch):
    decode = model.decode
    swapped = {"0": "1", "1": "0", "2": "2"}
    monkeypatch.setattr(model, "decode", lambda codes, domain: decode(codes, swapped[domain]))


def no_luminance(model, monkeypatch):
    for judge in model.discriminators.values():
        judge.luminance.fill_(1 / 3)


MISTAKES = [
    true_gaussian,
    blurred_grey,
    equal_layers,
    raw_logits,
    absolute_cycles,
    own_decoder,
    no_luminance,
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_seen_in_the_losses(model, numbers, monkeypatch, mistake):
    mistake(model, monkeypatch)
    losses, _ = train(model, numbers, num_steps=1)
    with pytest.raises(AssertionError):
        assert_as_published(losses, numbers.steps["losses_float64"][:1])


def full_size(model, monkeypatch):
    monkeypatch.setattr(module, "halved_distance", F.smooth_l1_loss)


def full_latent_weight_at_once(model, monkeypatch):
    weights = model.weights
    monkeypatch.setattr(model, "weights", lambda: weights() | {"latent": 1.0})


@pytest.mark.parametrize("mistake", [full_size, full_latent_weight_at_once])
def test_mistakes_in_optional_terms_are_seen(model, numbers, monkeypatch, mistake):
    model.config = dataclasses.replace(model.config, **OPTIONAL)
    mistake(model, monkeypatch)
    losses, gradients = train(model, numbers, num_steps=1, epoch=100)
    truth = numbers.steps["optional_terms"]
    with pytest.raises(AssertionError):
        assert_as_published(losses, truth["losses_float64"])
        assert_gradients(gradients, official_names(model, numbers), truth["grad_l2_float64"])


def test_blur_is_the_authors_to_the_bit(numbers):
    stored = numbers.io["const/blur_kernel"]
    assert torch.equal(blur_kernel().expand(3, 1, -1, -1), stored)


def test_domains_that_are_not_drawn_keep_their_networks(model, numbers):
    held = {name: p.detach().clone() for name, p in model.networks.named_parameters()}
    train(model, numbers, num_steps=1)
    for name, parameter in model.networks.named_parameters():
        is_drawn = name.split(".")[1] in ("0", "1")
        assert torch.equal(parameter.float(), held[name]) != is_drawn, name


def test_rate_falls_as_published(numbers):
    published = numbers.steps["lr_used_in_the_epoch_after"]
    model = ComboGAN(tiny(lambda_latent=2.0))
    for after, rate in published["lr"].items():
        if int(after) == 200:  # there is no epoch after the last
            continue
        model.advance(Clock(int(after) + 1, 200, int(after), 200))
        rates = [group["lr"] for each in model.optimizers.values() for group in each.param_groups]
        assert rates == pytest.approx(3 * [rate], rel=1e-6)
        assert model.latent_weight == pytest.approx(2.0 * int(after) / 200)


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"networks": "last"}, (5_099_143, 6_565_770, 13_931_410)),
        ({"networks": "2017"}, (5_099_136, 6_565_763, 2_764_737)),
    ],
)
def test_parameters_are_the_authors_to_the_integer(changes, counts):
    names = tuple(f"style{number}" for number in range(8))
    with torch.device("meta"):
        model = ComboGAN(ComboGANConfig(domains=names, **changes))
    for part, count in zip(("encoders", "decoders", "discriminators"), counts, strict=True):
        found = [sum(p.numel() for p in n.parameters()) for n in model.networks[part].children()]
        assert found == 8 * [count]
    assert sum(counts) == {"last": 25_596_323, "2017": 14_429_636}[changes["networks"]]


@pytest.mark.parametrize("side", [48, 64])
def test_patches_of_2017_see_as_described(side):
    """Compare with a sequence written from the description: padding 2, leaky ReLU, no affine."""
    judge = LayeredDiscriminator(4, 3, 3, is_layered=False).double()
    x = images = torch.randn(1, 3, side, side, dtype=torch.float64)
    (logits,) = judge(images)
    convolutions = [each for each in judge.modules() if isinstance(each, torch.nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [
        (3, 4), (4, 8), (8, 16), (16, 32), (32, 1)
    ]  # fmt: skip
    for number, conv in enumerate(convolutions):
        x = F.conv2d(x, conv.weight, conv.bias, stride=2 if number < 3 else 1, padding=2)
        x = F.instance_norm(x) if 0 < number < 4 else x
        x = F.leaky_relu(x, 0.2) if number < 4 else x
    torch.testing.assert_close(logits, x[:, 0])
    expected = (x - 1).square().mean()
    torch.testing.assert_close(layered_least_squares([logits], 1.0), expected)


@pytest.mark.parametrize("kind", ["2017", "last"])
def test_networks_of_both_years_train(kind):
    model = ComboGAN(tiny(networks=kind, discriminator_layers=4))
    prelus = [each for each in model.networks.modules() if isinstance(each, torch.nn.PReLU)]
    assert bool(prelus) == (kind == "last")
    judge = model.discriminators["0"]
    branch = judge.grey if isinstance(judge, BranchedDiscriminator) else judge
    assert isinstance(branch, LayeredDiscriminator)
    assert len(branch.stages) == (5 if kind == "last" else 4)
    batch = Batch({d: torch.rand(2, 3, 16, 24) for d in ("left", "my_third")})
    losses = model.training_step(batch, Randomness(0))
    assert set(losses) == {
        *("adversarial_left2my_third", "adversarial_my_third2left"),
        *("cycle_left", "cycle_my_third", "discriminator_left", "discriminator_my_third"),
    }


def test_discriminators_see_earlier_fakes(monkeypatch):
    model, judged = ComboGAN(tiny(pool_size=1)), []
    judge = model.judge

    def recorded(images, domain, target):
        judged.append((domain, target, images.sum().item()))
        return judge(images, domain, target)

    monkeypatch.setattr(model, "judge", recorded)
    for step in range(10):
        batch = Batch({d: torch.rand(1, 3, 16, 16) for d in ("left", "right")})
        model.training_step(batch, Randomness(0, first_sample=step))
    for domain in ("left", "right"):
        shown = [value for name, target, value in judged if (name, target) == (domain, 0.0)]
        assert len(set(shown)) < len(shown) == 10


def tiny(**changes):
    config = ComboGANConfig(
        domains=("left", "right", "my_third"),
        generator_width=2,
        discriminator_width=2,
        encoder_blocks=1,
        decoder_blocks=1,
        discriminator_layers=2,
    )
    return dataclasses.replace(config, **changes)


def test_published_settings_are_the_authors():
    counts = {"a": 400, "b": 500}
    two = dataclasses.replace(NOMINAL, kind="catalogued", num_train=counts)
    expected = Settings(
        ComboGANConfig(domains=("a", "b"), lambda_cycle=10.0),
        batch_size=1,
        budget=200 * 500,
        load_size=286,
        crop_size=256,
    )
    assert ComboGAN.settings("published", two) == expected
    names = ("dawn", "dusk", "noon", "night")
    many = Toy("many", "folder", 256, (EVERY,), {EVERY: 4000}, names, (names,))
    settings = ComboGAN.settings("published", many)
    assert settings.config == ComboGANConfig(
        domains=names, channels=(3,), constant_epochs=200, decay_epochs=200
    )
    assert settings.budget == 400 * 1000
    assert ComboGAN.needs(settings.config) == Needs(drawn_domains="optional", multiple=4)


def test_domains_may_have_other_channels_each():
    model = ComboGAN(tiny(channels=(1, 4, 3)))
    images = {"left": torch.rand(1, 1, 16, 16), "right": torch.rand(1, 4, 16, 16)}
    model.training_step(Batch(images), Randomness(0))
    way = Direction("left", "right")
    for each, count in ((way, 4), (way.reverse, 1)):
        assert model.translate(Batch(images), each, Randomness(0)).shape == (1, count, 16, 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"networks": "2018"}, "networks is '2018'; possible: last, 2017"),
        ({"domains": ("a",)}, "domains are a; two or more are needed"),
        ({"domains": ("a", "a")}, "domains are a, a; two or more are needed, each of its own"),
        ({"channels": (1, 3, 3)}, "channels has 3 numbers that differ and there are 2 domains"),
        ({"lambda_latent": -1.0}, r"lambda_latent is -1\.0; at least 0 is needed"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ComboGANConfig(**changes)


def test_official_files_tell_domains_by_number_or_name(numbers, tmp_path):
    numbers.save(tmp_path, FILES)
    for network in ("G0", "G1", "G3"):
        numbers.save(tmp_path, {f"70_net_{network}.pth": network})
    assert ComboGAN.from_official(tmp_path).config.domains == DOMAINS  # of the latest epoch
    (tmp_path / "domains.txt").write_text("dawn\ndusk\nnight\n")
    named = ComboGAN.from_official(tmp_path / "1150_net_G0.pth")
    assert named.config.domains == ("dawn", "dusk", "night")
    with pytest.raises(ValueError, match="has the networks G0, G1, G3; an encoder a domain and"):
        ComboGAN.from_official(tmp_path / "70_net_G0.pth")
    (tmp_path / "domains.txt").write_text("dawn\n")
    with pytest.raises(ValueError, match="has 1 names, and the files are of 3 domains"):
        ComboGAN.from_official(tmp_path)


def test_official_networks_of_2017_are_read_without_discriminators_too(tmp_path):
    torch.manual_seed(0)
    made = ComboGAN(tiny(domains=("a", "b"), networks="2017", discriminator_layers=3))
    held = made.networks.state_dict()
    for name, ours, stems in (
        ("G0", "encoders.0", encoder_stems(1)),
        ("G1", "encoders.1", encoder_stems(1)),
        ("G2", "decoders.0", decoder_stems(1)),
        ("G3", "decoders.1", decoder_stems(1)),
        ("D1", "discriminators.1", [(f"stages.{i}.0", f"model.{k}") for i, k in OF_2017]),
    ):
        pairs = [(f"{ours}.{a}.{leaf}", f"{b}.{leaf}") for a, b in stems for leaf in LEAVES]
        tensors = {theirs: held[own] for own, theirs in pairs if own in held}
        if name == "D1":
            tensors |= {f"model.11.{leaf}": held[f"{ours}.stages.3.3.{leaf}"] for leaf in LEAVES}
        torch.save(tensors, tmp_path / f"latest_net_{name}.pth")
    model = ComboGAN.from_official(tmp_path)
    assert model.absent == {"discriminators.0"}
    assert model.config == dataclasses.replace(made.config, channels=(3, 3))
    for name, tensor in model.networks.state_dict().items():
        if not name.startswith("discriminators.0"):
            assert torch.equal(tensor, held[name]), name


LEAVES = ("weight", "bias")
OF_2017 = ((0, 0), (1, 2), (2, 5), (3, 8))


@pytest.mark.parametrize(
    ("network", "change", "message"),
    [
        ("G0", {"model.10.conv_block.1.bias": None}, r"G0\.pth lacks model\.10\.conv_block\.1\.b"),
        ("G4", {"model.12.bias": torch.zeros(2)}, r"G4\.pth has misshapen model\.12\.bias \(2,\)"),
        ("D1", {"model_gray.9.0.weight": torch.zeros(2)}, "D1"),
        ("G1", {"model.1.weight": torch.zeros(4)}, r"G1\.pth has misshapen model\.1\.weight"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(numbers, tmp_path, network, change, message):
    numbers.save(tmp_path, FILES)
    tensors = {n: t for n, t in (numbers.network(network) | change).items() if t is not None}
    torch.save(tensors, tmp_path / f"1150_net_{network}.pth")
    with pytest.raises(ValueError, match=message):
        ComboGAN.from_official(tmp_path)


def test_folders_and_files_without_networks_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no encoder: needed are files such as 1150_net_G0"):
        ComboGAN.from_official(tmp_path)
    (tmp_path / "any.pth").write_bytes(b"0")
    with pytest.raises(ValueError, match=r"any\.pth has no name such as 1150_net_G0\.pth"):
        ComboGAN.from_official(tmp_path / "any.pth")


def test_blur_and_luminance_are_no_part_of_a_checkpoint(model):
    names = set(model.networks.state_dict())
    assert not [name for name in names if "blur" in name or "luminance" in name]
    assert networks.LUMINANCE == (0.299, 0.587, 0.114)

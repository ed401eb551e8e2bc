"""DistanceGAN's three forms against numbers of its authors' code (tests/golden/README.md)."""

import dataclasses

import pytest
import torch
from i2i_baselines.distancegan import model as module
from i2i_baselines.distancegan.config import (
    DistanceGANConfig,
    DistanceGANCycleConfig,
    DistanceGANSelfConfig,
)
from i2i_baselines.distancegan.model import DistanceGAN, DistanceGANCycle, DistanceGANSelf
from i2i_baselines.official.distancegan import discriminator_stems, generator_stems

from i2i_bench.blocks.distances import DistanceStatistics, half_distances, pair_distances
from i2i_bench.blocks.initialise import init_normal_weights
from i2i_bench.blocks.schedules import decay_behind
from i2i_bench.model import A2B, B2A, Batch, Clock, Needs, Settings
from i2i_bench.official import PAIR
from i2i_bench.plugins.gradients import recorded_gradients
from i2i_bench.plugins.toy import NOMINAL
from i2i_bench.randomness import Randomness

FILES = {f"latest_net_{name}.pth": name for name in PAIR}
FORMS = {  # set → model, settings, weight of cycles in official terms
    "distance": (DistanceGAN, {}),
    "distance_cycle": (DistanceGANCycle, {}),
    "self_distance": (DistanceGANSelf, {}),
    "distance_A_to_B": (DistanceGAN, {"direction": "a2b"}),
    "distance_scaled": (DistanceGAN, {}),
    "self_distance_scaled": (DistanceGANSelf, {}),
}
QUICK = {"distance_scaled"}
RANDOM = Randomness(0, dtype=torch.float64)


@pytest.fixture
def numbers(golden):
    return golden("distancegan")


def read(numbers, path, name="distance"):
    """Build a model with the authors' weights, as a set has them."""
    model_class, changes = FORMS[name]
    numbers.save(path, FILES)
    whole = model_class.from_official(path)
    assert not whole.absent
    model = model_class(dataclasses.replace(whole.config, **changes))
    held = whole.networks.state_dict()
    model.networks.load_state_dict({key: held[key] for key in model.networks.state_dict()})
    if name.endswith("scaled"):
        with torch.no_grad():
            for generator in model.generators.values():
                generator[1].head.conv.weight.mul_(4)
    return model


@pytest.fixture
def model(numbers, tmp_path):
    return read(numbers, tmp_path)


def outputs(model, numbers):
    """Give what the networks make of the probe, by the authors' names."""
    dtype = next(model.networks.parameters()).dtype
    real = {d: numbers.io[f"probe/real_{d.upper()}"].to(dtype) for d in "ab"}
    found = {}
    with torch.no_grad():
        for way, judge in zip(model.ways, "AB", strict=False):
            source, target = way.source.upper(), way.target.upper()
            fake = model.translate(Batch(real), way, RANDOM)
            found[f"{source}2{target}/fake"] = fake
            found[f"D_{judge}/fake_{target}"] = model.discriminators[way.target](fake)
            found[f"D_{judge}/real_{target}"] = model.discriminators[way.target](real[way.target])
        if len(model.ways) == 2:
            found["A2B/cycle"] = model.generators["b2a"](found["A2B/fake"])
    return found


def official_names(model):
    """Give the authors' name of each of our parameters."""
    names = {}
    for theirs, ours in PAIR.items():
        is_generator = theirs.startswith("G")
        stems = generator_stems(9) if is_generator else discriminator_stems(3)
        for own, official in stems:
            for leaf in ("weight", "bias"):
                names[f"{ours}.{own}.{leaf}"] = f"{theirs}/{official}.{leaf}"
    return {own: names[own] for own, _ in model.networks.named_parameters()}


def in_official_terms(losses, config):
    """Name the losses of a step as the authors do, and weigh them as they do."""
    found = {}
    for side, way in (("A", A2B), ("B", B2A)):
        if f"adversarial_{way}" in losses:
            found[f"G_{side}"] = losses[f"adversarial_{way}"]
            found[f"D_{side}"] = losses[f"discriminator_{way.target}"]
            found[f"distance_{side}"] = losses[f"distance_{way}"]
        if f"cycle_{way.source}" in losses:
            found[f"cycle_{side}"] = config.lambda_cycle * losses[f"cycle_{way.source}"]
    found["G"] = sum(value for name, value in found.items() if not name.startswith("D_"))
    return {name: value.item() for name, value in found.items()}


def train(model, numbers, num_steps=3):
    """Prepare in float64, take steps; give the losses of each in the authors' terms, gradients."""
    model.networks.double()
    with torch.no_grad():
        model.prepare([Batch(numbers.batch(step)) for step in range(3)], RANDOM)
    losses = []
    with recorded_gradients(model) as gradients:
        for step in range(num_steps):
            model.advance(Clock(step + 1, 600, 3 * step, 1800))
            found = model.training_step(Batch(numbers.batch(step)), RANDOM)
            losses.append(in_official_terms(found, model.config))
    return losses, gradients


def is_as_published(losses, expected):
    return all(
        value == pytest.approx(published[name], rel=1e-6)
        for ours, published in zip(losses, expected, strict=False)
        for name, value in ours.items()
    )


def test_forward_equals_the_authors(model, numbers):
    found = outputs(model, numbers)
    assert len(found) == 7
    for name, value in found.items():
        torch.testing.assert_close(value, numbers.io[f"init/{name}"], atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in FORMS]
)
def test_steps_in_float64_equal_the_authors(numbers, tmp_path, name):
    model, truth = read(numbers, tmp_path, name), numbers.steps[name]
    losses, gradients = train(model, numbers)
    for domain in "ab":
        values = model.statistics.values[domain].tolist()
        stated = [truth["distance_stats_float64"][f"{each}_{domain.upper()}"] for each in NAMES]
        assert values == pytest.approx(stated, rel=1e-6)
    assert len(losses) == len(truth["losses_float64"]) == 3
    for step, (found, expected) in enumerate(zip(losses, truth["losses_float64"], strict=True)):
        of_other_side = {"D_B", "G_B", "distance_B"} if name == "distance_A_to_B" else set()
        assert found.keys() == expected.keys() - of_other_side
        for term, value in found.items():
            assert value == pytest.approx(expected[term], rel=1e-6), (step, term)
    norms = {k: v for part in truth["grad_l2_step1_float64"].values() for k, v in part.items()}
    parameters = dict(model.networks.named_parameters())
    for ours, theirs in official_names(model).items():
        norm = gradients[ours][0].norm().item()
        assert norm == pytest.approx(norms[theirs], rel=1e-6, abs=1e-6), theirs
        network, _, tensor = theirs.partition("/")
        held = truth["param_stats_after3_float64"][network][tensor]
        found = parameters[ours].norm().item()
        assert found == pytest.approx(held["l2"], rel=1e-6, abs=1e-6), theirs
    stored = 0
    for key, value in outputs(model, numbers).items():
        if (expected := numbers.io.get(f"{name}/after3_f64/{key}")) is not None:
            torch.testing.assert_close(value.float(), expected, atol=1e-6, rtol=1e-6)
            stored += 1
    assert stored >= 3


NAMES = ("expectation", "std")


def signed(model, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "abs", lambda x: x if x.ndim == 1 else torch.abs(x))


def statistics_of_the_source_for_both(model, monkeypatch):
    standardise = DistanceStatistics.standardise
    monkeypatch.setattr(
        DistanceStatistics, "standardise", lambda self, _, found: standardise(self, "a", found)
    )


def unbiased_deviation(model, monkeypatch):
    std_mean = torch.std_mean
    monkeypatch.setattr(torch, "std_mean", lambda x, correction: std_mean(x, correction=1))


def statistics_of_images(model, monkeypatch):
    prepare = model.prepare
    split = "images"

    def by_image(batches, random):
        rows = [{d: t.split(1) for d, t in getattr(b, split).items()} for b in batches]
        each = [{d: row[d][i] for d in "ab"} for row in rows for i in range(3)]
        prepare([Batch(images) for images in each], random)

    monkeypatch.setattr(model, "prepare", by_image)
    monkeypatch.setattr(model, "_has_distances", lambda images: True)  # or single ones are refused


def neighbours_alone(model, monkeypatch):
    monkeypatch.setattr(
        module, "pair_distances", lambda x: (x[1:] - x[:-1]).abs().flatten(1).mean(dim=1)
    )


def reflect(model, monkeypatch):
    for generator in model.generators.values():
        generator[0].stem.conv.padding_mode = "reflect"
        generator[0].stem.conv._reversed_padding_repeated_twice = [3, 3, 3, 3]


MISTAKES = [
    signed,
    statistics_of_the_source_for_both,
    unbiased_deviation,
    statistics_of_images,
    neighbours_alone,
    reflect,
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_seen_in_the_losses(numbers, tmp_path, monkeypatch, mistake):
    model = read(numbers, tmp_path, "distance_scaled")
    mistake(model, monkeypatch)
    losses, _ = train(model, numbers, num_steps=1)
    assert not is_as_published(losses, numbers.steps["distance_scaled"]["losses_float64"])


def left_and_right(model, monkeypatch):
    monkeypatch.setattr(module, "half_distances", lambda x, dimension=-1: half_distances(x, -1))


def each_image_by_itself(model, monkeypatch):
    monkeypatch.setattr(model, "distances", half_distances)


@pytest.mark.parametrize("mistake", [left_and_right, each_image_by_itself])
def test_mistakes_about_halves_are_seen_in_the_losses(numbers, tmp_path, monkeypatch, mistake):
    model = read(numbers, tmp_path, "self_distance_scaled")
    mistake(model, monkeypatch)
    losses, _ = train(model, numbers, num_steps=1)
    assert not is_as_published(losses, numbers.steps["self_distance_scaled"]["losses_float64"])


def tiny(form=DistanceGAN, **changes):
    config = form.Config(
        generator_width=2,
        discriminator_width=2,
        num_blocks=1,
        discriminator_layers=1,
        num_layers=2,
        curriculum_steps=2,
    )
    return form(dataclasses.replace(config, **changes))


def images(count=3, side=16):
    draws = Randomness(5, dtype=torch.float64)
    return Batch({d: 2 * draws.uniform(d, (count, 3, side, side)) - 1 for d in "ab"})


def test_statistics_are_those_of_the_training_set_in_a_checkpoint():
    first, second = tiny(), tiny()
    batches = [Batch({d: (k + 1) * t / 9 for d, t in images().images.items()}) for k in range(4)]
    with torch.no_grad():
        first.prepare(batches, RANDOM)
    second.statistics.load_state_dict(first.state["distances"].state_dict())
    for domain in "ab":
        items = torch.stack([batch.images[domain] for batch in batches])
        found = pair_distances(items)
        assert first.statistics.values[domain].tolist() == pytest.approx(
            [found.mean().item(), found.std(correction=0).item()]
        )
        assert torch.equal(first.statistics.values[domain], second.statistics.values[domain])


def test_no_more_items_are_measured_than_asked_for():
    model = tiny(statistics_items=3)
    batches = [Batch({d: k**2 * t for d, t in images().images.items()}) for k in range(5)]
    model.prepare(batches, RANDOM)
    items = torch.stack([batch.images["a"] for batch in batches[:3]])
    assert model.statistics.values["a"][0] == pair_distances(items).mean()


@pytest.mark.parametrize("compared", ["pairs", "halves"])
def test_items_of_disco_type_are_images_and_halves_are_left_and_right(compared):
    model = tiny(networks="disco", compared=compared)
    batches = [images(2), images(2, 16)]
    batches[1].images["a"].mul_(0.5)
    batches[1].images["b"].mul_(0.5)
    model.prepare(batches, RANDOM)
    every = torch.cat([batch.images["b"] for batch in batches])
    found = pair_distances(every) if compared == "pairs" else half_distances(every, -1)
    deviation, mean = torch.std_mean(found, correction=0)
    assert torch.equal(model.statistics.values["b"], torch.stack([mean, deviation]))


@pytest.mark.parametrize("form", [DistanceGAN, DistanceGANCycle, DistanceGANSelf])
@pytest.mark.parametrize("side", ["b2a", "both"])
def test_disco_type_weighs_distances_in_place_of_reconstruction(form, side):
    cycle = form is DistanceGANCycle
    if cycle and side != "both":
        return
    torch.manual_seed(0)
    model = tiny(form, networks="disco", direction=side)
    model.networks.double()
    batch = images()
    model.prepare(
        [Batch({d: (k + 1) * t for d, t in batch.images.items()}) for k in (0, 1)], RANDOM
    )
    judged, learnt = set(), set()
    for step in (1, 2, 3, 4):
        model.advance(Clock(step, 4, step, 16))
        assert model.rate == (0.01 if step <= 2 else 0.5)
        with recorded_gradients(model) as gradients:
            losses = model.training_step(batch, RANDOM)
        (learnt if step % 3 != 1 else judged).update(name.split(".")[0] for name in gradients)
    assert (judged, learnt) == ({"discriminators"}, {"generators"})
    ways = ("b2a",) if side == "b2a" else ("a2b", "b2a")
    terms = {f"{t}_{w}" for t in ("adversarial", "feature_matching", "distance") for w in ways}
    terms |= {f"discriminator_{way[-1]}" for way in ways}
    assert losses.keys() == terms | ({"cycle_a", "cycle_b"} if cycle else set())


def test_disco_type_sums_its_terms_by_their_shares():
    torch.manual_seed(0)
    model = tiny(DistanceGANCycle, networks="disco", lambda_distance=3.0)
    model.networks.double()
    batch = images()
    model.prepare(
        [Batch({d: (k + 1) * t for d, t in batch.images.items()}) for k in (0, 1)], RANDOM
    )
    model.advance(Clock(3, 4, 8, 16))
    held = {name: t.clone() for name, t in model.networks.state_dict().items()}
    with recorded_gradients(model) as gradients:
        model.training_step(batch, RANDOM)
    model.networks.load_state_dict(held)
    model.networks.zero_grad(set_to_none=True)
    total = torch.zeros((), dtype=torch.float64)
    real = batch.images
    for way in (A2B, B2A):
        fake = model.generators[str(way)](real[way.source])
        judge = model.discriminators[way.target]
        (_, seen), (of_fake, made) = judge(real[way.target]), judge(fake)
        matching = sum(
            ((s.mean(0) - m.mean(0)) ** 2).mean() for s, m in zip(seen, made, strict=True)
        )
        total = total + 0.5 * (0.1 * (1 + (-of_fake).exp()).log().mean() + 0.9 * matching)
        before, after = pair_distances(real[way.source]), pair_distances(fake)
        scales = [model.statistics.values[d] for d in (way.source, way.target)]
        change = (before - scales[0][0]) / scales[0][1] - (after - scales[1][0]) / scales[1][1]
        back = model.generators[str(way.reverse)](fake)
        cycle = ((back / 2 - real[way.source] / 2) ** 2).mean()  # images in [0, 1]
        total = total + 0.5 * (3.0 * change.abs().mean() + cycle)
    total.backward()
    for name, parameter in model.generators.named_parameters():
        torch.testing.assert_close(gradients[f"generators.{name}"][0], parameter.grad)


@pytest.mark.parametrize(("networks", "total"), [("cyclegan", 28_310_408), ("disco", 16_558_848)])
def test_parameters_are_the_authors_to_the_integer(networks, total):
    with torch.device("meta"):
        model = DistanceGAN(DistanceGANConfig(networks=networks))
        one = DistanceGAN(DistanceGANConfig(networks=networks, direction="a2b"))
    assert sum(p.numel() for p in model.networks.parameters()) == total
    assert sum(p.numel() for p in one.networks.parameters()) == total // 2


@pytest.mark.parametrize(
    ("form", "config"),
    [
        (DistanceGAN, DistanceGANConfig(lambda_cycle=0.0, compared="pairs")),
        (DistanceGANCycle, DistanceGANCycleConfig(lambda_cycle=10.0, compared="pairs")),
        (DistanceGANSelf, DistanceGANSelfConfig(lambda_cycle=0.0, compared="halves")),
    ],
)
def test_published_settings_are_the_authors(form, config):
    counts = {"a": 400, "b": 500}
    task = dataclasses.replace(NOMINAL, kind="catalogued", num_train=counts)
    expected = Settings(config, 2, 200 * 500, load_size=286, crop_size=256)
    assert form.settings("published", task) == expected
    assert form.needs(config) == Needs(multiple=4)
    disco = dataclasses.replace(config, networks="disco", num_layers=5)
    assert form.needs(disco) == Needs(multiple=32)


def test_rate_falls_as_published():
    factors = [decay_behind(epoch, 100, 100) for epoch in (0, 100, 101, 199)]
    assert factors == pytest.approx([1, 1, 0.99, 0.01])
    model = tiny()
    for seen, factor in ((0, 1.0), (1009, 1.0), (1010, 0.99), (1999, 0.01)):
        model.advance(Clock(seen + 1, 2000, seen, 2000))
        rates = [g["lr"] for o in model.optimizers.values() for g in o.param_groups]
        assert rates == pytest.approx(2 * [2e-4 * factor])


def test_weights_start_as_the_authors():
    torch.manual_seed(0)
    model = DistanceGAN(DistanceGANConfig(generator_width=16, discriminator_width=16, num_blocks=2))
    held = {name: p.detach() for name, p in model.networks.named_parameters()}
    scales = torch.cat([p for n, p in held.items() if "norm.weight" in n])
    assert (scales.mean().item(), scales.std().item()) == pytest.approx((1.0, 0.02), abs=3e-3)
    assert not any(p.any() for n, p in held.items() if "norm.bias" in n)
    assert held["generators.a2b.1.head.conv.weight"].std().item() == pytest.approx(0.02, rel=0.1)
    bias = held["generators.a2b.0.blocks.0.first.conv.bias"]
    assert 0.5 * 576**-0.5 < bias.abs().max() <= 576**-0.5  # PyTorch's own, of 64 3x3 inputs
    init_normal_weights(model.networks)
    assert torch.equal(held["generators.a2b.0.blocks.0.first.conv.bias"], bias)


def test_one_direction_has_no_other_networks_and_translates_alone():
    model = tiny(direction="b2a")
    assert model.directions == (B2A,)
    assert (list(model.generators), list(model.discriminators)) == (["b2a"], ["a"])
    assert tiny().directions is None


def test_nothing_is_measured_for_a_distance_that_does_not_count():
    model = tiny(lambda_distance=0.0)
    model.prepare([images(1)], RANDOM)
    model.networks.double()
    losses = model.training_step(images(1), RANDOM)
    assert {name.split("_")[0] for name in losses} == {"adversarial", "discriminator"}


def test_pairs_need_two_images_and_halves_one():
    batches = [Batch({d: (k + 1) * t for d, t in images(1).images.items()}) for k in range(3)]
    for compared in ("pairs", "halves"):
        model = tiny(compared=compared)
        model.networks.double()
        if compared == "halves":
            model.prepare(batches, RANDOM)
        else:
            with pytest.raises(ValueError, match="distances are of two images; set batch_size"):
                model.prepare(batches, RANDOM)
        losses = model.training_step(batches[0], RANDOM)  # the last of a budget may be alone
        assert ("distance_a2b" in losses) == (compared == "halves")
        assert "adversarial_a2b" in losses


@pytest.mark.parametrize("networks", ["cyclegan", "disco"])
def test_domains_may_have_other_channels_each(networks):
    model = tiny(channels=(1, 4), networks=networks)
    batch = Batch({"a": torch.rand(2, 1, 16, 16), "b": torch.rand(2, 4, 16, 16)})
    model.prepare([Batch({d: k * t for d, t in batch.images.items()}) for k in (1, 2, 4)], RANDOM)
    model.advance(Clock(2, 2, 2, 4))
    model.training_step(batch, Randomness(0))
    shapes = [model.translate(batch, d, Randomness(0)).shape[1] for d in (A2B, B2A)]
    assert shapes == [4, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"networks": "unet"}, "networks is 'unet'; possible: cyclegan, disco"),
        ({"compared": "thirds"}, "compared is 'thirds'; possible: pairs, halves"),
        ({"direction": "a2c"}, "direction is 'a2c'; possible: both, a2b, b2a"),
        ({"direction": "a2b", "lambda_cycle": 10.0}, "a cycle needs a way back: set direction"),
        ({"statistics_items": 1}, "statistics_items is 1; at least 2 is needed"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        DistanceGANConfig(**changes)


def test_generator_alone_is_enough(numbers, tmp_path):
    numbers.save(tmp_path, {"60_net_G_B.pth": "G_B"})
    model = DistanceGANSelf.from_official(tmp_path)
    assert model.config.compared == "halves"
    assert model.absent == {"generators.a2b", "discriminators.a", "discriminators.b"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.1.weight": None}, r"latest_net_G_A\.pth lacks model\.1\.weight"),
        ({"model.1.bias": torch.zeros(3)}, r"has misshapen model\.1\.bias \(3,\) instead of"),
        ({"model.0.weight": torch.zeros(4)}, r"has misshapen model\.0\.weight"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(numbers, tmp_path, change, message):
    tensors = {n: t for n, t in (numbers.network("G_A") | change).items() if t is not None}
    torch.save(tensors, tmp_path / "latest_net_G_A.pth")
    with pytest.raises(ValueError, match=message):
        DistanceGAN.from_official(tmp_path)

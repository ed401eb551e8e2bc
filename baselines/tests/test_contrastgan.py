"""ContrastGAN against an independent derivation from its description (tests/golden/README.md)."""

import pytest
import torch
from i2i_baselines.contrastgan import model as module
from i2i_baselines.contrastgan.config import ContrastGANConfig
from i2i_baselines.contrastgan.model import (
    ContrastGAN,
    Objects,
    contrasting_distance,
    paste,
)
from i2i_baselines.contrastgan.networks import cut_out, cut_out_masks, find_boxes, put_back

from i2i_bench.blocks.optimise import descend
from i2i_bench.plugins.gradients import recorded_gradients

NAMES = {  # of the derivation → ours
    **{f"G/conv{i + 1}": f"generator.encoder.{each}" for i, each in enumerate(
        ("stem.conv", "down.0.conv", "down.1.conv")
    )},
    **{f"G/res{i + 1}{which}": f"generator.encoder.blocks.{i}.{ours}.conv"
       for i in range(6) for which, ours in (("a", "first"), ("b", "second"))},
    **{"G/up1": "generator.decoder.up.0.0", "G/up2": "generator.decoder.up.1.0"},
    **{"G/out": "generator.decoder.head.conv", "D/conv5": "discriminator.head"},
    **{f"D/conv{i + 1}": f"discriminator.trunk.{place}" for i, place in enumerate((0, 2, 5, 8))},
}  # fmt: skip
PARAMETERS = {f"{ours}.{leaf}": f"{theirs}.{leaf}" for theirs, ours in NAMES.items()
              for leaf in ("weight", "bias")}  # fmt: skip
SETS = {
    "zero_category": {},
    "reflect_category": {"padding": "reflect"},
    "zero_batch": {"reference": "batch"},
}


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("contrastgan")


def build(numbers, **changes):
    """Build the model with the weights of the derivation, in float64."""
    widths = {"generator_width": 4, "discriminator_width": 4, "object_size": 64}
    model = ContrastGAN(ContrastGANConfig(domains=("0", "1", "2"), **widths, **changes))
    model.networks.load_state_dict({o: numbers.init[t] for o, t in PARAMETERS.items()})
    model.networks.double()
    return model


def pixels(numbers, name):
    return (numbers.io[name].double() - 128) / 128


def objects(numbers, step, dtype=torch.float64):
    """Give what a step of the derivation learns from."""
    before, after = (
        torch.eye(3, dtype=dtype)[numbers.io[f"train/{name}_{step}"].long()]
        for name in ("c_org", "c_trg")
    )
    images, real = (pixels(numbers, f"train/{name}_{step}").to(dtype) for name in "xy")
    return Objects(images, numbers.io[f"train/mask_{step}"].to(dtype), real, before, after)


def in_their_terms(model, losses, judged):
    """Name the losses of a step as the derivation does."""
    config = model.config
    found = {f"D_{name}": value.mean().item() for name, value in judged.items()}
    found["D_contrast"] = found.pop("D_resisted")
    found["D_total"] = losses["discriminator"].item()
    adversarial, contrast, cycle = (
        losses[name].mean().item() for name in ("adversarial", "contrast", "cycle")
    )
    total = adversarial + config.lambda_contrast * contrast + config.lambda_cycle * cycle
    of_generator = {"G_gan": adversarial, "G_contrast": contrast, "G_cycle": cycle}
    return {**of_generator, "G_total": total, **found}


def train(model, numbers, monkeypatch, num_steps=3):
    """Take steps; give the losses of each in the derivation's terms, and all gradients."""
    judged, found = {}, []
    compute = model.discriminator_losses

    def recorded(*given):
        judged.update(terms := compute(*given))
        return terms

    monkeypatch.setattr(model, "discriminator_losses", recorded)
    with recorded_gradients(model) as gradients:
        for step in range(num_steps):
            losses = model.learn(objects(numbers, step))
            found.append(in_their_terms(model, losses, judged))
    return found, gradients


def assert_as_derived(losses, expected):
    for step, (ours, derived) in enumerate(zip(losses, expected, strict=True)):
        assert ours.keys() == derived.keys()
        for name, value in ours.items():
            assert value == pytest.approx(derived[name], rel=1e-6), (step, name)


def assert_gradients(gradients, norms):
    assert len(gradients) == len(norms) == len(PARAMETERS)
    for ours, theirs in PARAMETERS.items():
        found = gradients[ours][0].norm().item()
        assert found == pytest.approx(norms[theirs], rel=1e-6, abs=1e-6), theirs


def outputs(model, numbers, dtype=torch.float64):
    """Give what the networks make of the first batch."""
    given = objects(numbers, 0, dtype)
    with torch.no_grad():
        raw = model.generator(given.images, given.masks, given.after)
        fake = paste(raw, given.images, given.masks)
        back = model.generator(fake, given.masks, given.before)
        found = {"raw": raw, "fake": fake, "cycle": paste(back, fake, given.masks)}
        for name, images in (("x", given.images), ("fake", fake)):
            logits, features = model.discriminator(images)
            found |= {f"D/logits_{name}": logits, f"D/feature_{name}": features}
    return found


def stored(value):
    """Take what is kept of an output: every fourth pixel of images."""
    return value[..., ::4, ::4] if value.shape[-1] == 64 else value


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_forward_equals_the_derivation(numbers, dtype):
    model = build(numbers)
    model.networks.to(dtype)
    found = outputs(model, numbers, dtype)
    assert len(found) == 7
    atol = 5e-5 if dtype == torch.float32 else 1e-6
    for name, value in found.items():
        expected = numbers.io[f"init/{name}"].to(dtype)
        torch.testing.assert_close(stored(value), expected, atol=atol, rtol=0)
    raw = outputs(build(numbers, padding="reflect"), numbers)["raw"].float()
    torch.testing.assert_close(stored(raw), numbers.io["init/raw_reflect"], atol=1e-6, rtol=0)


def test_layers_within_equal_the_derivation(numbers):
    model, found = build(numbers), {}
    encoder = model.generator.encoder
    for name, layer in (("down", encoder.down), ("res", encoder.blocks)):
        layer.register_forward_hook(lambda _, given, made, n=name: found.setdefault(n, made))
    found |= {name: value for name, value in outputs(model, numbers).items() if name != "cycle"}
    for name in ("down", "res", "raw", "fake"):
        norms = numbers.steps["full_size_norms"][f"init/{name}"]
        assert found[name].norm().item() == pytest.approx(norms["l2"], rel=1e-6)
        assert found[name].mean().item() == pytest.approx(norms["mean"], rel=1e-6)


def test_objects_are_cut_out_and_put_back_as_derived(numbers):
    images, masks = pixels(numbers, "full/image"), numbers.io["full/mask"].double()
    boxes = find_boxes(masks)
    assert torch.equal(boxes, numbers.io["full/box"].long())
    square, mask = cut_out(images, boxes, 64), cut_out_masks(masks, boxes, 64)
    assert torch.equal(mask, numbers.io["full/crop_mask"].double())
    back = paste(put_back(pixels(numbers, "full/generated"), boxes, images), images, masks)
    for name, value in (("crop", square), ("pasted", back)):
        torch.testing.assert_close(
            value[..., ::2, ::2].float(), numbers.io[f"full/{name}_sub2"], atol=1e-6, rtol=0
        )
        norms = numbers.steps["full_size_norms"][f"full/{name}"]
        assert value.norm().item() == pytest.approx(norms["l2"], rel=1e-6)


def test_contrasting_distance_equals_the_derivation(numbers):
    features = numbers.io["q/f_fake"].double().requires_grad_()
    value = contrasting_distance(
        features, numbers.io["q/f_y"].double(), numbers.io["q/f_x"].double()
    )
    torch.testing.assert_close(value.float(), numbers.io["q/value"], atol=1e-6, rtol=1e-6)
    (gradient,) = torch.autograd.grad(value.mean(), features)
    expected = numbers.io["q/grad_f_fake_of_mean"]
    torch.testing.assert_close(gradient.float(), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", SETS)
def test_steps_in_float64_equal_the_derivation(numbers, monkeypatch, name):
    truth, model = numbers.steps["sets"][name], build(numbers, **SETS[name])
    losses, gradients = train(model, numbers, monkeypatch)
    assert_as_derived(losses, truth["losses_float64"])
    norms = truth["grad_l2_step1_float64"]["G"] | truth["grad_l2_step1_float64"]["D"]
    assert_gradients(gradients, norms)
    learnt = 0
    for ours, parameter in model.networks.named_parameters():
        theirs = PARAMETERS[ours]
        if norms[theirs] > 1e-6:  # others are biases that a normalisation cancels
            expected = truth["param_stats_after3_float64"][theirs]["l2"]
            assert parameter.norm().item() == pytest.approx(expected, rel=1e-6), theirs
            learnt += 1
    assert learnt == len(NAMES) + 3
    found = outputs(model, numbers)
    for key in ("raw", "D/logits_x", "D/feature_x"):
        expected = numbers.io[f"after3_f64/{name}/{key}"]
        torch.testing.assert_close(stored(found[key]).float(), expected, atol=1e-6, rtol=1e-6)


def test_reflection_would_void_the_categories(numbers):
    for padding, known in (("zeros", "zero"), ("reflect", "reflect")):
        model, given = build(numbers, padding=padding), objects(numbers, 0)
        stated = numbers.steps["label_sensitivity_max_abs_output_change"][known]
        masks = {"mask": given.masks, "all_ones_mask": torch.ones_like(given.masks)}
        for name, mask in masks.items():
            with torch.no_grad():
                made = [
                    model.generator(given.images, mask, torch.eye(3).double()[[number] * 3])
                    for number in (1, 2)
                ]
            change = (made[0] - made[1]).abs().max().item()
            assert change == pytest.approx(stated[name], rel=1e-6, abs=1e-12), (padding, name)


def mean_features(model, monkeypatch):
    def distance(features, target, source):
        return contrasting_distance(*(each / each.shape[1] for each in (features, target, source)))

    monkeypatch.setattr(module, "contrasting_distance", distance)


def own_reference(model, monkeypatch):
    monkeypatch.setattr(model, "_reference", lambda features, categories: features)


def exchanged_distance(model, monkeypatch):
    def distance(features, target, source):
        return contrasting_distance(features, source, target)

    monkeypatch.setattr(module, "contrasting_distance", distance)


def whole_translations(model, monkeypatch):
    monkeypatch.setattr(module, "paste", lambda made, images, masks: made)


def cycles_to_the_same_category(model, monkeypatch):
    generator = model.generator.forward
    monkeypatch.setattr(
        model.generator, "forward", lambda images, masks, _: generator(images, masks, AFTER_0)
    )


def judged_by_all(model, monkeypatch):
    def distances(logits, categories, target):
        return (logits - target).square().mean(dim=(1, 2, 3))

    monkeypatch.setattr(module, "distances", distances)


def not_resisted(model, monkeypatch):
    compute = model._total
    monkeypatch.setattr(
        model, "_total", lambda losses: compute({n: v for n, v in losses.items() if n[:2] != "re"})
    )


def discriminator_first(model, monkeypatch):
    def learn(given):
        with torch.no_grad():
            _, fake = model.generator_losses(given)
        judged = model.discriminator_losses(given, fake)
        descend(model.optimizers["discriminator"], total := model._total(judged))
        losses, _ = model.generator_losses(given)
        return {name: value.detach() for name, value in losses.items()} | {"discriminator": total}

    monkeypatch.setattr(model, "learn", learn)


AFTER_0 = torch.tensor([[0, 1, 0]] * 3, dtype=torch.float64)
MISTAKES = [
    *(mean_features, own_reference, exchanged_distance, whole_translations),
    *(cycles_to_the_same_category, judged_by_all, not_resisted, discriminator_first),
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_seen_in_the_losses(numbers, monkeypatch, mistake):
    model = build(numbers)
    mistake(model, monkeypatch)
    losses, _ = train(model, numbers, monkeypatch, num_steps=1)
    with pytest.raises(AssertionError):
        assert_as_derived(losses, numbers.steps["sets"]["zero_category"]["losses_float64"][:1])

"""IcGAN against an independent derivation from its authors' files (tests/golden/README.md)."""

from contextlib import contextmanager

import i2i_baselines.icgan.model as module
import pytest
import torch
from i2i_baselines.icgan.config import CELEBA_18
from icgan_numbers import (
    assert_gan_losses,
    assert_gradients,
    assert_tensors,
    build,
    images_of,
    outputs,
    refreshed,
    train,
    use_adam,
)
from torch.nn import functional as F

from i2i_bench.blocks.losses import adversarial_cross_entropy
from i2i_bench.blocks.optimise import frozen
from i2i_bench.model import Batch, Direction
from i2i_bench.randomness import Randomness

ADAMS = ["torch7", pytest.param("pytorch", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("icgan")


@pytest.fixture
def model(numbers):
    return build(numbers)


def test_forward_equals_the_derivation_in_both_modes(model, numbers):
    found = outputs(model, numbers)
    assert len(found) == 9
    for name, value in found.items():
        atol = 2e-6 if name.startswith("fake") else 5e-6
        torch.testing.assert_close(value, numbers.io[f"init/{name}"], atol=atol, rtol=0)


def test_every_layer_of_the_generator_equals_the_derivation(model, numbers):
    model.networks.double().train()
    codes, labels = (numbers.io[f"probe/{key}"].double() for key in ("z", "y"))
    found = []
    for number, stage in enumerate(model.generator.stages, start=1):
        seen = stage[0 if number == 5 else -1]  # of the last layer, what it gives to the tanh
        seen.register_forward_hook(lambda _, __, made: found.append(made))
    found.append(model.generator(codes, labels))
    stated = numbers.steps["full_size_norms"]
    for name, tensor in zip(("G1", "G2", "G3", "G4", "G5", "fake"), found, strict=True):
        assert tensor.norm().item() == pytest.approx(stated[name]["l2"], rel=1e-6), name
        assert tensor.mean().item() == pytest.approx(stated[name]["mean"], rel=1e-6), name


def test_second_layer_of_the_discriminator_equals_the_derivation(model, numbers):
    model.networks.train()
    found = []
    model.discriminator.stages[1].register_forward_hook(lambda _, __, made: found.append(made))
    model.discriminator(images_of(numbers, "probe/x").float(), numbers.io["probe/y"].float())
    truth = numbers.io["init/D/real_tap2"]
    torch.testing.assert_close(found[0][:1], truth, atol=5e-6, rtol=0)


@pytest.mark.parametrize("kind", ADAMS)
def test_steps_of_the_gan_in_float64_equal_the_derivation(model, numbers, monkeypatch, kind):
    use_adam(model, kind)
    losses, gradients = train(model, numbers, "gan", monkeypatch)
    truth = numbers.steps[f"stage1_{kind}_adam"]
    assert_gan_losses(losses, truth["losses_float64"])
    for norms in truth["grad_l2_step1_float64"].values():
        assert_gradients(gradients, norms)
    assert_tensors(model, truth["param_stats_after3_float64"])
    found = outputs(model, numbers)
    for name in ("fake", "fake_eval", "D/real", "D/fake"):
        truth = numbers.io[f"after3_f64/{kind}_adam/{name}"]
        torch.testing.assert_close(found[name].float(), truth, atol=1e-6, rtol=1e-6)


@pytest.fixture(scope="module")
def generated(numbers):
    """Give a model after the steps of the GAN by Torch7's Adam, where the later stages begin."""
    model = build(numbers)
    use_adam(model, "torch7")
    with pytest.MonkeyPatch.context() as patch:
        train(model, numbers, "gan", patch)
    refreshed(model, numbers)
    return model.networks.state_dict()


def test_renewed_statistics_equal_the_derivation(model, numbers, generated):
    model.networks.double().load_state_dict(generated)
    assert_tensors(model, numbers.steps["bn_refresh_4_param_stats"])


@pytest.fixture(scope="module")
def finished(numbers, generated):
    """Give a model after the steps of all stages by Torch7's Adam, as its edits are made with."""
    model = build(numbers)
    model.networks.double().load_state_dict(generated)
    use_adam(model, "torch7")
    with pytest.MonkeyPatch.context() as patch:
        for stage in ("latent", "label"):
            train(model, numbers, stage, patch)
    model.networks.eval()
    return model


@pytest.mark.parametrize("kind", ADAMS)
def test_steps_of_both_encoders_in_float64_equal_the_derivation(
    model, numbers, generated, monkeypatch, kind
):
    model.networks.double().load_state_dict(generated)
    use_adam(model, kind)
    made = []
    make = model.make_fakes
    monkeypatch.setattr(model, "make_fakes", lambda *a: made.append(make(*a)) or made[-1])
    for number, stage, letter in ((2, "latent", "z"), (3, "label", "y")):
        losses, gradients = train(model, numbers, stage, monkeypatch)
        truth = numbers.steps[f"stage{number}_{kind}_adam"]
        found = [next(iter(each.values())).item() for each in losses]
        assert found == pytest.approx(truth["losses_float64"], rel=1e-6)
        assert_gradients(gradients, numbers.steps[f"stage{number}_grad_l2_step1_float64"])
        assert_tensors(model, truth["param_stats_after3_float64"])
        last = outputs(model, numbers)[f"E_{letter}_eval"]
        truth = numbers.io[f"after3_f64/{kind}_adam/E_{letter}"]
        torch.testing.assert_close(last.float(), truth, atol=1e-6, rtol=1e-6)
    stored = numbers.io["ez/x_0_sub"]
    torch.testing.assert_close(made[0][..., ::4, ::4].float(), stored, atol=1e-6, rtol=1e-6)
    for step, images in enumerate(made):
        facts = numbers.steps["full_size_norms"][f"ez/x_{step}"]
        assert images.norm().item() == pytest.approx(facts["l2"], rel=1e-6)
        assert images.mean().item() == pytest.approx(facts["mean"], rel=1e-6)
    held = model.networks.state_dict()
    kept = [n for n in held if n.startswith(("generator", "discriminator"))]
    assert all(torch.equal(held[name], generated[name]) for name in kept)


def translate(model, images, before, after):
    """Translate images from labels of 0 and 1 to others; both may be of a single image."""
    labels = {"-x": before, "+x": after}
    batch = Batch({"-x": images}, {key: each.double() for key, each in labels.items()})
    with torch.no_grad():
        return model.translate(batch, Direction("-x", "+x"), Randomness(0))


def test_codes_and_labels_that_are_found_equal_the_derivation(finished, numbers):
    images = images_of(numbers, "probe/x")
    with torch.no_grad():
        labels = finished.encode_labels(images)
        codes = finished.encode_latent(images, labels)
    for found, name in ((labels, "y_raw"), (codes, "z"), (2.0 * (labels > 0) - 1, "y")):
        truth = numbers.io[f"edit/{name}"].float()
        torch.testing.assert_close(found.float(), truth, atol=1e-6, rtol=1e-6)


def test_edits_of_each_attribute_equal_the_derivation(finished, numbers):
    """An attribute is added, and its partners are left; Male alone may be taken away."""
    image, seen = images_of(numbers, "probe/x")[:1], numbers.io["edit/y"][:1]
    before = torch.zeros(18, 18)
    before[:] = torch.randint(0, 2, (18,), generator=torch.Generator().manual_seed(0))
    before.fill_diagonal_(0)
    after = before + torch.eye(18)
    male = CELEBA_18.index("Male")
    if seen[0, male] > 0:
        before[male, male], after[male, male] = 1, 0
    found = translate(finished, image.expand(18, -1, -1, -1), before, after)
    truth = numbers.io["edit/variations_sub"]
    torch.testing.assert_close(found[..., ::8, ::8].float(), truth, atol=1e-6, rtol=1e-6)
    stated = numbers.steps["full_size_norms"]["edit/variations"]
    assert found.norm().item() == pytest.approx(stated["l2"], rel=1e-6)
    labels = finished.edited(seen.double().expand(18, -1), 2 * before - 1, 2 * after - 1)
    assert torch.equal(labels, numbers.io["edit/variations_y"].double())


def test_reconstructions_and_exchanged_labels_equal_the_derivation(finished, numbers):
    images, seen = images_of(numbers, "probe/x"), (numbers.io["edit/y"] + 1) // 2
    same = translate(finished, images, seen, seen)
    truth = numbers.io["edit/reconstruct"]
    torch.testing.assert_close(same[..., ::4, ::4].float(), truth, atol=1e-6, rtol=1e-6)
    other = seen[[1, 0]]
    found = translate(finished, images[:2], other, other)
    truth = numbers.io["edit/swap_0_1"]
    torch.testing.assert_close(found[..., ::4, ::4].float(), truth, atol=1e-6, rtol=1e-6)


# --- mistakes


def halved(model, patch):
    judge = model.judge_all
    patch.setattr(model, "judge_all", lambda *a: judge(*a) / 2)


def wholly_mismatched(model, patch):
    measure = adversarial_cross_entropy
    patch.setattr(
        module, "adversarial_cross_entropy", lambda x, t: measure(x, t) * (1.0 if t else 2.0)
    )


def judged_together(model, patch):
    def judge(real, labels, fake, asked):
        logits = model.discriminator(torch.cat([real, real, fake]), torch.cat([*labels, asked]))
        of_real, of_wrong, of_fake = logits.split(len(real))
        measure = adversarial_cross_entropy
        return measure(of_real, 1.0) + (measure(of_wrong, 0.0) + measure(of_fake, 0.0)) / 2

    patch.setattr(model, "judge_all", judge)


def mismatched_after_fakes(model, patch):
    """Pass fakes first, which the losses of a step cannot tell, but running statistics."""

    def judge(real, labels, fake, asked):
        measure, judge = adversarial_cross_entropy, model.discriminator
        fakes, wrong = measure(judge(fake, asked), 0.0), measure(judge(real, labels[1]), 0.0)
        return measure(judge(real, labels[0]), 1.0) + (fakes + wrong) / 2

    patch.setattr(model, "judge_all", judge)


def stale_discriminator(model, patch):
    """Have the generator learn from the discriminator before its step."""
    judge, generator = model.optimizers["discriminator"], model.optimizers["generator"]
    steps = generator.step, judge.step
    patch.setattr(judge, "step", lambda: None)
    patch.setattr(generator, "step", lambda: [each() for each in steps])


def judged_by_running_statistics(model, patch):
    @contextmanager
    def with_evaluation(network):
        with frozen(network), module.evaluated(network):
            yield

    patch.setattr(module, "frozen", with_evaluation)


def labels_of_zero_and_one(model, patch):
    patch.setattr(module, "signed", lambda labels: labels)


def steeper_slope(model, patch):
    for each in model.discriminator.modules():
        if isinstance(each, torch.nn.LeakyReLU):
            each.negative_slope = 0.01


def labels_before_features(model, patch):
    weight = model.discriminator.stages[1][0].weight
    with torch.no_grad():
        weight.copy_(torch.cat([weight[:, 4:], weight[:, :4]], dim=1))


MISTAKES = [
    halved,
    wholly_mismatched,
    judged_together,
    mismatched_after_fakes,
    stale_discriminator,
    judged_by_running_statistics,
    labels_of_zero_and_one,
    steeper_slope,
    labels_before_features,
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_seen_in_the_steps_of_the_gan(model, numbers, monkeypatch, mistake):
    use_adam(model, "torch7")
    mistake(model, monkeypatch)
    losses, _ = train(model, numbers, "gan", monkeypatch)
    truth = numbers.steps["stage1_torch7_adam"]
    with pytest.raises(AssertionError):
        assert_gan_losses(losses, truth["losses_float64"])
        assert_tensors(model, truth["param_stats_after3_float64"])


def batch_statistics(model, patch):
    patch.setattr(model, "make_fakes", lambda codes, labels: model.generator(codes, labels))


def stale_statistics(model, patch):
    for each in model.generator.modules():
        if isinstance(each, torch.nn.BatchNorm2d):
            each.reset_running_stats()


def summed_squares(model, patch):
    patch.setattr(F, "mse_loss", lambda found, truth: (found - truth).square().sum(1).mean())


@pytest.mark.parametrize("mistake", [batch_statistics, stale_statistics, summed_squares])
def test_mistakes_are_seen_in_the_steps_of_the_encoder(
    model, numbers, generated, monkeypatch, mistake
):
    model.networks.double().load_state_dict(generated)
    mistake(model, monkeypatch)
    losses, _ = train(model, numbers, "latent", monkeypatch)
    expected = numbers.steps["stage2_pytorch_adam"]["losses_float64"]
    assert [each["latent"].item() for each in losses] != pytest.approx(expected, rel=1e-6)

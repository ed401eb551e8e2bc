"""InstaGAN beyond its authors' numbers: batches, empty masks, passes, settings."""

import dataclasses

import pytest
import torch
from i2i_baselines.instagan.config import InstaGANConfig
from i2i_baselines.instagan.instances import MaskedImages
from i2i_baselines.instagan.losses import context_loss
from i2i_baselines.instagan.model import InstaGAN
from i2i_baselines.instagan.networks import MaskHead, SetDiscriminator
from i2i_baselines.instagan.optimise import RestingAdam

from i2i_bench.blocks.layers import ConvLayer
from i2i_bench.blocks.spectral import SpectralNorm
from i2i_bench.model import A2B, Batch, Clock, Needs, Settings
from i2i_bench.plugins.cost import count_macs
from i2i_bench.plugins.gradients import recorded_gradients
from i2i_bench.plugins.toy import NOMINAL, Toy
from i2i_bench.randomness import Randomness

RANDOM = Randomness(0)


def tiny(**changes):
    torch.manual_seed(0)
    shape = {"generator_width": 2, "discriminator_width": 2, "num_blocks": 1, "pool_size": 2}
    return InstaGAN(InstaGANConfig(**{**shape, **changes}))


def draw(batch=2, instances=4, channels=(3, 3), size=24, seed=0):
    """Give images of noise, whose masks are boxes that become smaller with their number."""
    random = torch.Generator().manual_seed(seed)
    images, masks = {}, {}
    for domain, count in zip("ab", channels, strict=True):
        images[domain] = 2 * torch.rand(batch, count, size, size, generator=random) - 1
        masks[domain] = torch.zeros(batch, instances, size, size)
        for number in range(instances):
            masks[domain][
                :, number, number : 12 - number, 5 * number % 12 : 5 * number % 12 + 6
            ] = 1
    return Batch(images, masks=masks)


def masks_of(batch, domain="a"):
    assert batch.masks is not None
    return batch.masks[domain]


def both(model, batch, way=A2B):
    with torch.no_grad():
        fake = model.translate(batch, way, RANDOM)
        return fake, model.translate_masks(batch, way, RANDOM)


# --- sets


def test_masks_come_back_in_the_order_they_were_given():
    model, batch = tiny(), draw()
    fake, moved = both(model, batch)
    order = [2, 0, 3, 1]
    shuffled = Batch(batch.images, masks={"a": masks_of(batch)[:, order]})
    again, moved_again = both(model, shuffled)
    torch.testing.assert_close(again, fake, atol=1e-6, rtol=0)
    torch.testing.assert_close(moved_again, moved[:, order], atol=1e-6, rtol=0)
    assert len({float(each.mean()) for each in moved[0]}) == 4


def test_empty_masks_change_nothing_wherever_they_stand():
    model, batch = tiny(), draw(instances=3)
    fake, moved = both(model, batch)
    empty = torch.zeros_like(masks_of(batch))
    more = Batch(batch.images, masks={"a": torch.cat([empty, masks_of(batch)], dim=1)})
    again, moved_again = both(model, more)
    torch.testing.assert_close(again, fake, atol=1e-6, rtol=0)
    torch.testing.assert_close(moved_again[:, 3:], moved, atol=1e-6, rtol=0)
    assert torch.equal(moved_again[:, :3], empty)


def test_image_without_instances_stays_as_it_is_beside_others():
    model, batch = tiny(), draw()
    alone = both(model, Batch({"a": batch.images["a"][1:]}, masks={"a": masks_of(batch)[1:]}))
    masks_of(batch)[0] = 0
    fake, moved = both(model, batch)
    assert torch.equal(fake[0], batch.images["a"][0])
    assert not moved[0].any()
    torch.testing.assert_close(fake[1:], alone[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(moved[1:], alone[1], atol=1e-6, rtol=0)


def test_later_passes_begin_with_what_the_earlier_ones_made():
    model, batch = tiny(instances_per_pass=1), draw(instances=2)
    first, second = (masks_of(batch)[:, i : i + 1] for i in (0, 1))
    image, _ = both(model, Batch(batch.images, masks={"a": first}))
    image, _ = both(model, Batch({"a": image}, masks={"a": second}))
    fake, _ = both(model, batch)
    torch.testing.assert_close(fake, image, atol=1e-6, rtol=0)
    at_once, _ = both(tiny(instances_per_pass=2), batch)
    assert not torch.allclose(at_once, fake, atol=1e-4)


@pytest.mark.parametrize(("num_there", "passes"), [(4, 2), (2, 1), (0, 0)])
def test_passes_without_an_instance_cost_nothing(num_there, passes):
    model, batch, calls = tiny(), draw(), []
    masks_of(batch)[:, num_there:] = 0
    model.generators["a2b"].register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        model.translate(batch, A2B, RANDOM)
    assert len(calls) == passes


def test_costs_are_those_of_all_instances_on_every_device():
    task = Toy(has_masks=True)
    settings = InstaGAN.settings("tiny", task)
    with torch.device("meta"):
        unreal = InstaGAN(settings.config)
    counts = [
        count_macs(model, settings, task, device=torch.device(kind))
        for kind, model in (("cpu", InstaGAN(settings.config)), ("meta", unreal))
    ]
    single = dataclasses.replace(settings, instances=1)
    assert counts[0] == counts[1]
    assert counts[0] > 2 * count_macs(unreal, single, task, device=torch.device("meta"))


def test_smallest_masks_are_left_out_of_training_alone():
    model, batch = tiny(training_instances=2), draw()
    largest = Batch(batch.images, masks={d: masks_of(batch, d)[:, :2].byte() for d in "ab"})
    found = [tiny(training_instances=2).training_step(each, RANDOM) for each in (batch, largest)]
    assert found[0] == found[1]
    assert both(model, batch)[1].shape[1] == 4


def test_gradients_of_a_batch_are_the_mean_of_those_of_its_images():
    batch = draw()
    masks_of(batch, "a")[0, 1:] = 0  # one has an instance, the other four
    masks_of(batch, "b")[1] = 0
    found = []
    for rows in (slice(0, 2), slice(0, 1), slice(1, 2)):
        model = tiny(instances_per_pass=4)
        part = Batch(
            {d: t[rows] for d, t in batch.images.items()},
            masks={d: masks_of(batch, d)[rows] for d in "ab"},
        )
        model.networks.double()
        part = dataclasses.replace(
            part,
            images={d: t.double() for d, t in part.images.items()},
            masks={d: masks_of(part, d).double() for d in "ab"},
        )
        with recorded_gradients(model) as gradients:
            model.training_step(part, Randomness(0, dtype=torch.float64))
        found.append(gradients)
    generators = [name for name in found[0] if name.startswith("generators.")]
    for name in generators:
        whole, *parts = (each[name][0] for each in found)
        wanted = torch.stack(parts).mean(dim=0)
        torch.testing.assert_close(whole, wanted, atol=1e-3 * float(wanted.abs().max()), rtol=0)


def test_discriminator_sees_one_empty_mask_of_an_image_without_instances():
    judge, batch = SetDiscriminator(2), draw(instances=3)
    masks = 2 * masks_of(batch) - 1
    masks[1] = -1
    layer = judge.mask_features[0]
    assert isinstance(layer, SpectralNorm)
    before = layer.weight_u.clone()
    judge(batch.images["a"][1:], masks[1:])
    assert not torch.equal(layer.weight_u, before)
    judge.eval()
    found = judge(batch.images["a"], masks)
    features = judge.image_features(batch.images["a"])
    there, absent = (judge.mask_features(masks[i : i + 1].transpose(0, 1)) for i in (0, 1))
    whole = torch.stack([there.sum(dim=0), absent[0]])
    expected = judge.classifier(torch.cat([features, whole], dim=1))
    torch.testing.assert_close(found, expected)


def test_head_of_masks_is_a_convolution():
    torch.manual_seed(0)
    head, plain = MaskHead(5).double(), ConvLayer(5, 1, 7, activation=torch.nn.Tanh()).double()
    plain.load_state_dict(head.state_dict())
    features = torch.randn(2, 5, 9, 14, dtype=torch.float64)
    torch.testing.assert_close(head(features), plain(features), atol=1e-12, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):  # is not rounded once a tap
        assert torch.equal(head.float()(features.float()), plain.float()(features.float()))


# --- losses and optimiser


def test_context_is_what_changes_outside_of_both_masks():
    image, mask = torch.zeros(1, 3, 4, 4), torch.full((1, 1, 4, 4), -1.0)
    before, after = mask.clone(), mask.clone()
    before[..., 0, :], after[..., 1, :] = 1, 1
    changed = image.clone()
    changed[..., :3, :] = 0.5  # a third of which neither mask covers
    loss = context_loss(MaskedImages(image, before), MaskedImages(changed, after))
    assert loss.item() == pytest.approx(0.5 / 4)


def test_identity_is_left_out_where_it_has_no_weight():
    losses = tiny(lambda_identity=0.0).training_step(draw(), RANDOM)
    terms = {"adversarial_a2b", "adversarial_b2a", "context_a2b", "context_b2a"}
    assert set(losses) == terms | {
        f"{term}_{d}" for term in ("cycle", "discriminator") for d in "ab"
    }


def test_resting_adam_is_pytorchs_between_the_steps_of_which_it_rests():
    torch.manual_seed(0)
    start = [torch.randn(3, 2, dtype=torch.float64), torch.randn(4, dtype=torch.float64)]
    ours, theirs = ([t.clone().requires_grad_() for t in start] for _ in range(2))
    resting = RestingAdam(ours, 0.01)
    plain = torch.optim.Adam(theirs, 0.01, (0.5, 0.999))
    resting.load_state_dict(resting.state_dict())
    for step in range(8):
        rests = step in (0, 3, 4)
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.zeros_like(one) if rests else torch.randn_like(one)
            other.grad = one.grad
        held = [each.detach().clone() for each in ours]
        resting.step()
        if rests:
            assert all(map(torch.equal, ours, held))
        else:
            plain.step()
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, atol=1e-14, rtol=0)


def test_step_without_any_instance_changes_nothing():
    model, batch = tiny(), draw()
    model.training_step(batch, RANDOM)
    held = {name: each.clone() for name, each in model.networks.state_dict().items()}
    for domain in "ab":
        masks_of(batch, domain).zero_()
    losses = model.training_step(batch, RANDOM)
    assert not any(losses.values())
    for name, each in model.networks.state_dict().items():
        assert torch.equal(each, held[name]), name
    assert model.pools["a"].count == 2


@pytest.mark.parametrize("masks", [None, {"a": torch.zeros(2, 0, 24, 24)}])
def test_batch_without_masks_is_refused(masks):
    batch = Batch(draw().images, masks=masks)
    with pytest.raises(ValueError, match="was given none; set instances to 1 or more"):
        tiny().translate(batch, A2B, RANDOM)


# --- settings


def test_published_settings_are_the_authors():
    task = dataclasses.replace(NOMINAL, image_size=200, num_train={"a": 1000, "b": 1300})
    assert InstaGAN.settings("published", task) == Settings(
        InstaGANConfig(
            lambda_cycle=10.0,
            lambda_identity=10.0,
            lambda_context=10.0,
            learning_rate=2e-4,
            training_instances=4,
            instances_per_pass=2,
        ),
        batch_size=1,
        budget=200 * 1300,
        load_size=220,
        crop_size=200,
        instances=20,
    )
    assert InstaGAN.needs(InstaGANConfig()) == Needs(masks="required", multiple=4)


def test_rate_falls_linearly_after_half_of_the_epochs():
    model = tiny()
    for epoch, rate in ((0, 2e-4), (99, 2e-4), (100, 2e-4 * 100 / 101), (199, 2e-4 / 101)):
        model.advance(Clock(1, 1, epoch, 200))
        rates = [group["lr"] for each in model.optimizers.values() for group in each.param_groups]
        assert rates == pytest.approx(3 * [rate])


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Toy(image_size=20), "InstaGAN, tiny, needs images of at least 24 px"),
        (
            Toy(num_channels=(1, 3)),
            "images of a and b have 1 and 3 channels; InstaGAN needs as many",
        ),
    ],
)
def test_tasks_that_cannot_be_done_are_refused(task, message):
    with pytest.raises(ValueError, match=message):
        InstaGAN.settings("tiny", task)


def test_parameters_are_the_authors_to_the_integer():
    with torch.device("meta"):
        model = InstaGAN(InstaGANConfig())
    counts = {"generators": 26_815_108, "discriminators": 9_721_729}
    for part, count in counts.items():
        found = [
            sum(p.numel() for p in each.parameters()) for each in model.networks[part].children()
        ]
        assert found == [count, count]
    vectors = sum(each.numel() for each in model.discriminators["a"].buffers())
    assert vectors == 32_705


def test_weights_start_as_the_authors():
    torch.manual_seed(0)
    model = InstaGAN(InstaGANConfig(generator_width=8, discriminator_width=8, num_blocks=2))
    generator = dict(model.generators.named_parameters())
    weights = [p.flatten() for name, p in generator.items() if name.endswith("weight")]
    assert torch.cat(weights).std().item() == pytest.approx(0.02, rel=0.02)
    assert not any(p.any() for name, p in generator.items() if name.endswith("bias"))
    layer = model.discriminators["a"].get_submodule("classifier.0")
    assert isinstance(layer, SpectralNorm)  # PyTorch's own: U(-b, b), b = fan-in ** -0.5
    assert layer.bias is not None
    assert layer.weight_orig.abs().max().item() == pytest.approx(
        (layer.weight_orig[0].numel()) ** -0.5, rel=0.01
    )
    assert layer.bias.any()

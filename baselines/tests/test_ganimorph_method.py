"""GANimorph's settings, turns and scales, and what it refuses."""

import dataclasses
from typing import Any

import pytest
import torch
from i2i_baselines.ganimorph.config import GANimorphConfig
from i2i_baselines.ganimorph.model import GANimorph
from i2i_baselines.ganimorph.running import RunningScales

from i2i_bench.model import A2B, B2A, Batch, Clock, Needs, Settings
from i2i_bench.plugins.gradients import recorded_gradients
from i2i_bench.plugins.toy import NOMINAL, Toy
from i2i_bench.randomness import Randomness


def test_published_settings_are_the_authors():
    config = GANimorphConfig(  # 0.67 (0.7 GAN + 0.3 features) + 0.33 (0.7 structure + 0.3 L1)
        lambda_adversarial=0.469,
        lambda_feature_matching=0.201,
        lambda_structure=0.231,
        lambda_cycle=0.099,
        learning_rate=2e-4,
        running_decay=0.9999,
    )
    task = dataclasses.replace(NOMINAL, kind="catalogued")
    assert GANimorph.settings("published", task) == Settings(
        config,
        batch_size=16,
        budget=300 * 1500 * 16,
        load_size=143,
        crop_size=128,
        resampling="bilinear",
        resize="short_side",
        rotation=30.0,
        rescale=0.1,
    )
    assert GANimorph.needs(config) == Needs(multiple=16)


@pytest.mark.parametrize(("size", "levels", "scales"), [(16, 3, 2), (20, 2, 2), (100, 3, 4)])
def test_shallower_networks_fit_images_of_other_sizes(size, levels, scales):
    settings = GANimorph.settings("small", Toy(kind="folder", image_size=size))
    assert (settings.config.num_levels, settings.config.similarity_levels) == (levels, scales)
    assert settings.crop_size % GANimorph.needs(settings.config).multiple == 0


@pytest.mark.parametrize(
    ("preset", "size", "message"),
    [
        ("published", 64, "GANimorph, published, needs images of at least 128 px; task toy has 64"),
        ("small", 12, "GANimorph, small, needs images of at least 16 px; task toy has 12"),
        ("tiny", 18, "GANimorph halves images at least twice; 18 px cannot be"),
    ],
)
def test_images_that_do_not_fit_are_refused(preset, size, message):
    with pytest.raises(ValueError, match=message):
        GANimorph.settings(preset, Toy(kind="folder", image_size=size))


def tiny(**changes):
    torch.manual_seed(0)
    config: dict[str, Any] = {
        "generator_width": 2,
        "discriminator_width": 2,
        "num_levels": 2,
        "num_blocks": 1,
    }
    config |= {"discriminator_layers": 1, "dilations": "2", "similarity_levels": 2}
    return GANimorph(GANimorphConfig(**config | changes))


def images(channels=(3, 3)):
    return Batch({d: 2 * torch.rand(2, n, 16, 16) - 1 for d, n in zip("ab", channels, strict=True)})


@pytest.mark.parametrize(
    ("generator_steps", "expected"), [(1, "DGDGDG"), (2, "GDGGDG"), (3, "GGDGGG")]
)
def test_discriminators_have_their_turn_as_published(generator_steps, expected):
    config = GANimorphConfig(generator_steps=generator_steps)
    turns = [config.trains_generators(Clock(step, 9, step, 9)) for step in range(1, 7)]
    assert "".join("DG"[each] for each in turns) == expected


@pytest.mark.parametrize(
    ("every", "expected"), [(90, [0, 36, 90, 180]), (0, []), (100, [0, 36, 100])]
)
def test_scales_are_taken_anew_as_published(every, expected):
    config = GANimorphConfig(refresh_every=every)
    assert [r for r in range(181) if config.refreshes(Clock(r + 1, 999, r, 999))] == expected


def test_rate_is_corrected_and_falls_as_published():
    model = tiny()
    for step, epoch, factor in (
        (1, 0, 1.0),
        (500, 150, 1.0),
        (501, 151, 149 / 150),
        (9, 299, 1 / 150),
    ):
        model.advance(Clock(step, 999, 16 * epoch, 16 * 300))
        corrected = 2e-4 * factor * (1 - 0.999**step) ** 0.5 / (1 - 0.5**step)
        rates = [g["lr"] for o in model.optimizers.values() for g in o.param_groups]
        assert rates == pytest.approx([corrected, corrected])


def test_terms_are_divided_by_what_their_means_were_at_the_last_refresh():
    scales = RunningScales(["x", "y"], 0.75)
    terms = {"x": torch.tensor(3.0, requires_grad=True), "y": torch.tensor(5.0)}
    assert [t.item() for t in scales.divide(terms, refreshes=False).values()] == [3.0, 5.0]
    divided = scales.divide(terms, refreshes=True)  # means 1 → 1.5 → 1.875 and 1 → 2 → 2.75
    assert [t.item() for t in divided.values()] == pytest.approx([3 / 1.875, 5 / 2.75])
    divided["x"].backward()
    assert terms["x"].grad is not None
    assert terms["x"].grad.item() == pytest.approx(1 / 1.875)
    again = RunningScales(["x", "y"], 0.75)
    again.load_state_dict(scales.state_dict())
    kept = [each.divide(terms, refreshes=False)["x"].item() for each in (scales, again)]
    assert kept == pytest.approx([3 / 1.875] * 2)
    assert torch.equal(again.values["mean"], scales.values["mean"])


def test_steps_of_either_kind_move_the_means_and_nothing_else_of_the_other():
    for turn, moved in ((True, "generators"), (False, "discriminators")):
        model = tiny()
        model.trains_generators = turn
        before = {name: p.clone() for name, p in model.networks.named_parameters()}
        model.training_step(images(), Randomness(0))
        now = dict(model.networks.named_parameters())
        assert {n.split(".")[0] for n in now if not torch.equal(now[n], before[n])} == {moved}
        assert not torch.equal(model.scales.values["mean"], torch.ones(4))


def test_identity_is_weighed_as_it_is_and_left_out_as_published():
    batch, gradients = images(), {}
    for weight in (0.0, 3.0):
        model = tiny(lambda_identity=weight)
        with recorded_gradients(model) as found:
            losses = model.training_step(batch, Randomness(0))
        gradients[weight] = {name: each[0] for name, each in found.items()}
        assert ("identity_b" in losses) == (weight > 0)
    generators = tiny().generators
    for way, domain in ((A2B, "b"), (B2A, "a")):
        generator = generators.get_submodule(str(way))
        ((generator(batch.images[domain]) - batch.images[domain]).abs() / 2).mean().backward()
    for name, parameter in generators.named_parameters():
        added = gradients[3.0][f"generators.{name}"] - gradients[0.0][f"generators.{name}"]
        torch.testing.assert_close(added / 3, parameter.grad, atol=1e-5, rtol=1e-3)


def test_weights_start_as_the_authors():
    torch.manual_seed(0)
    config = GANimorphConfig(generator_width=16, discriminator_width=16)
    held = {name: p.detach() for name, p in GANimorph(config).networks.named_parameters()}
    for name, bound in (
        ("generators.a2b.down.0.conv.weight", (0.999 / (16 * 16)) ** 0.5),
        ("generators.a2b.up.0.conv.weight", (0.999 / (64 * 16)) ** 0.5),  # its 64 outputs
        ("discriminators.a.far.1.conv.weight", (6 / (2 * 64 * 9)) ** 0.5),
        ("discriminators.a.near.2.conv.weight", (0.999 / (64 * 9)) ** 0.5),
    ):
        assert held[name].abs().max().item() == pytest.approx(bound, rel=5e-3), name
        assert held[name].std().item() == pytest.approx(bound / 3**0.5, rel=2e-2), name
    norms = {name: p for name, p in held.items() if ".norm." in name}
    assert all((p == (1 if n.endswith("weight") else 0)).all() for n, p in norms.items())
    assert not [n for n in held if n.endswith("bias") and ".norm." not in n]


def test_domains_may_have_other_channels_each():
    model, batch = tiny(channels=(1, 4)), images((1, 4))
    model.training_step(batch, Randomness(0))
    shapes = [model.translate(batch, d, Randomness(0)).shape[1] for d in (A2B, B2A)]
    assert shapes == [4, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dilations": "2,x"},
            "dilations is '2,x'; numbers from 1 to 1024 are needed, with a comma",
        ),
        ({"dilations": "2,0"}, "dilations is '2,0'; numbers from 1 to 1024"),
        ({"dilations": ""}, "dilations is ''; numbers from 1 to 1024"),
        ({"similarity_levels": 6}, "similarity_levels is 6; at most 5 are possible"),
        ({"running_decay": 1.5}, r"running_decay is 1\.5; it is a share, at most 1"),
        ({"num_levels": 1}, "num_levels is 1; at least 2 is needed"),
        (
            {"lambda_identity": 1.0, "channels": (1, 3)},
            "lambda_identity is 1.0, and images of the domains differ in channels; set it to 0",
        ),
        ({"lambda_structure": -0.1}, r"lambda_structure is -0\.1; at least 0 is needed"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        GANimorphConfig(**changes)


def test_images_too_small_for_the_scales_are_refused():
    with pytest.raises(
        ValueError, match=r"similarity at 3 scales \(similarity_levels\) needs .* 32 px"
    ):
        tiny(similarity_levels=3).training_step(images(), Randomness(0))

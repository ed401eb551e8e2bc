"""IcGAN's stages, settings and refusals."""

import dataclasses

import pytest
import torch
from i2i_baselines.icgan.config import CELEBA_18, CELEBA_PARTNERS, IcGANConfig
from i2i_baselines.icgan.model import IcGAN, exchanged_labels, mismatched_labels
from torch import nn

from i2i_bench.labels import EVERY
from i2i_bench.model import Batch, Clock, Direction, Needs, Settings
from i2i_bench.plugins.contract import Subject
from i2i_bench.plugins.toy import LABELLED, Toy
from i2i_bench.plugins.training_checks import (
    gradients_do_not_depend_on_the_memory_format,
    resumes_identically_after_save_and_load,
)
from i2i_bench.randomness import Randomness

CELEBA = Toy("celeba", "catalogued", 128, (EVERY,), {EVERY: 182_638}, CELEBA_18)
ATTRIBUTES = LABELLED.attributes


def tiny(**changes):
    settings = IcGAN.settings("tiny", LABELLED)
    return dataclasses.replace(settings, config=dataclasses.replace(settings.config, **changes))


def batch_of(count, size=32, seed=0):
    draws = Randomness(seed)
    images = 2 * draws.uniform("images", (count, 3, size, size)) - 1
    labels = draws.integers("labels", 2, (count, len(ATTRIBUTES)))
    return Batch({EVERY: images}, {EVERY: labels.float()})


def moved(model, step):
    """Name the networks whose parameters a step changes, and those whose statistics move."""
    before = {name: t.clone() for name, t in model.networks.state_dict().items()}
    losses = step()
    learned, passed = set(), set()
    for name, tensor in model.networks.state_dict().items():
        if not torch.equal(tensor, before[name]):
            kind = passed if "running" in name or "num_batches" in name else learned
            kind.add(name.partition(".")[0])
    return learned, passed, set(losses)


# --- stages

BOTH = {"generator", "discriminator"}
LATENT, LABEL, SHARED = {"latent_encoder"}, {"label_encoder"}, {"shared_encoder"}
PARTS = [
    ("independent", [BOTH, LATENT, LABEL]),
    ("conditioned", [BOTH, LATENT, LABEL]),
    ("shared", [BOTH, SHARED, SHARED]),
]


@pytest.mark.parametrize(("encoders", "parts"), PARTS)
def test_each_stage_trains_its_networks_alone(encoders, parts):
    model = IcGAN(tiny(encoders=encoders, refresh_passes=2).config)
    model.networks.train()
    seen = []
    for step in range(1, 11):
        model.advance(Clock(step, 10, 4 * (step - 1), 40))
        batch = batch_of(4, seed=step)
        take = lambda b=batch, s=step: model.training_step(b, Randomness(0, 4 * s))  # noqa: E731
        seen.append(moved(model, take))
    learned = [each[0] for each in seen]
    expected = [parts[0]] * 6 + [parts[1]] * 2 + [parts[2]] * 2
    assert learned == expected
    renewed = [("generator" in each[1]) for each in seen]
    assert renewed == [True] * 8 + [False] * 2  # in two steps of the second stage as well
    names = [each[2] for each in seen[::5]]
    assert names[0] == {"discriminator", "adversarial"}
    of_both = {"latent", "classification"}
    assert seen[6][2] == (of_both if encoders == "shared" else {"latent"})
    assert seen[9][2] == (of_both if encoders == "shared" else {"classification_real"})


@pytest.mark.parametrize(
    ("shares", "total", "firsts"),
    [
        ((25.0, 9.9, 9.9), 44_800, (25_000, 34_900)),
        ((2.0, 1.0, 1.0), 8, (4, 6)),
        ((1.0, 0.0, 0.0), 8, (8, 8)),
        ((0.0, 1.0, 1.0), 8, (0, 4)),
    ],
)
def test_stages_have_their_shares_of_the_steps(shares, total, firsts):
    names = ("gan_share", "latent_share", "label_share")
    model = IcGAN(tiny(refresh_passes=3, **dict(zip(names, shares, strict=True))).config)

    def at(step):
        model.advance(Clock(step + 1, total, step, total))
        return model.stage, model.refreshes

    latent, label = firsts
    for step in (0, latent - 1, latent, latent + 2, latent + 3, label - 1, label, total - 1):
        if 0 <= step < total:
            stage = "gan" if step < latent else "latent" if step < label else "label"
            assert at(step) == (stage, latent <= step < min(latent + 3, label)), step


@pytest.mark.parametrize("latent_share", [0.0, 0.25, 1.0])
def test_statistics_are_renewed_for_shared_encoders_however_stages_are_shared(latent_share):
    shares = {"gan_share": 1.0, "latent_share": latent_share, "label_share": 1 - latent_share}
    model = IcGAN(tiny(encoders="shared", refresh_passes=3, **shares).config)
    renewed = []
    for step in range(16):
        model.advance(Clock(step + 1, 16, step, 16))
        renewed += [step] * model.refreshes
    assert renewed == [8, 9, 10]  # all that follows the GAN learns from its fakes


@pytest.mark.parametrize("shares", [(0.0, 1.0, 1.0), (1.0, 4.0, 1.0), (1.0, 1.0, 4.0)])
def test_every_stage_is_resumed_to_the_bit(shares):
    names = ("gan_share", "latent_share", "label_share")
    settings = tiny(**dict(zip(names, shares, strict=True)))
    assert resumes_identically_after_save_and_load(Subject(IcGAN, settings, given=LABELLED)) is None


@pytest.mark.slow
@pytest.mark.parametrize("encoders", ["independent", "conditioned", "shared"])
def test_encoders_have_the_same_gradients_in_every_memory_format(encoders):
    for shares in ({"gan_share": 0.0, "label_share": 0.0}, {"gan_share": 0.0, "latent_share": 0.0}):
        settings = tiny(encoders=encoders, **shares)
        subject = Subject(IcGAN, settings, given=LABELLED)
        assert gradients_do_not_depend_on_the_memory_format(subject) is None


def test_generator_is_in_training_mode_after_its_fakes_were_made():
    model = IcGAN(tiny().config)
    model.networks.train()
    model.stage = "latent"
    model.training_step(batch_of(4), Randomness(0))
    assert all(each.training for each in model.networks.modules())


@pytest.mark.parametrize("stage", ["gan", "latent", "label"])
def test_last_batch_may_be_of_one_image(stage):
    model = IcGAN(tiny().config)
    model.networks.train()
    model.stage = stage
    losses = model.training_step(batch_of(1), Randomness(0))
    assert all(value.isfinite() for value in losses.values())
    with pytest.raises(ValueError, match="of one image cannot be normalised; set batch_size to 2"):
        model.prepare([batch_of(1)], Randomness(0))


# --- labels


def test_wrong_labels_are_of_others_that_differ():
    labels = 2 * batch_of(16).labels[EVERY] - 1  # pyright: ignore[reportOptionalSubscript]
    drawn = [mismatched_labels(labels, Randomness(0, 16 * step)) for step in range(50)]
    rows = {tuple(row) for row in labels.tolist()}
    for wrong in drawn:
        assert bool((wrong != labels).any(dim=1).all())
        assert {tuple(row) for row in wrong.tolist()} <= rows
    of_first = {tuple(wrong[0].tolist()) for wrong in drawn}
    assert of_first == rows - {tuple(labels[0].tolist())}
    alike = labels[:1].expand(4, -1)
    assert torch.equal(mismatched_labels(alike, Randomness(0)), -alike)


def test_labels_of_fakes_are_those_of_the_batch_in_another_order():
    labels = torch.arange(8.0)[:, None]
    orders = [exchanged_labels(labels, Randomness(0, 8 * step)).flatten() for step in range(4)]
    assert all(torch.equal(each.sort().values, labels.flatten()) for each in orders)
    assert len({tuple(each.tolist()) for each in orders}) == 4


def rows(*values):
    return torch.tensor(values, dtype=torch.float32)


@pytest.mark.parametrize(
    ("changes", "seen", "before", "after", "expected"),
    [
        ({}, [-1, 1, 1], [-1, -1, -1], [1, -1, -1], [1, 1, 1]),
        ({}, [1, 1, -1], [1, -1, -1], [-1, -1, -1], [-1, 1, -1]),
        ({}, [-1, -1, 1], [1, 1, -1], [1, 1, -1], [1, 1, -1]),
        ({"other_labels": "given"}, [-1, 1, 1], [-1, -1, -1], [1, -1, -1], [1, -1, -1]),
        ({"partners": (ATTRIBUTES[:2],)}, [-1, 1, 1], [-1, -1, 1], [1, -1, 1], [1, -1, 1]),
        ({"partners": (ATTRIBUTES[:2],)}, [1, 1, 1], [1, -1, -1], [-1, -1, -1], [-1, 1, 1]),
    ],
    ids=["added", "taken", "all given", "given", "partner leaves", "partner stays"],
)
def test_edits_change_what_is_asked_and_leave_what_is_seen(changes, seen, before, after, expected):
    model = IcGAN(tiny(**changes).config)
    found = model.edited(rows(seen), rows(before), rows(after))
    assert found.tolist() == [expected]


def test_translations_follow_the_labels_alone_where_no_source_is_known():
    model = IcGAN(tiny().config)
    model.networks.eval()
    images, wanted = batch_of(2).images[EVERY], torch.tensor([[1.0, 0.0, 1.0]] * 2)
    way = Direction(EVERY, "target")
    with torch.no_grad():
        found = model.translate(Batch({EVERY: images}, {"target": wanted}), way, Randomness(0))
        codes = model.encode_latent(images, wanted)
        assert torch.equal(found, model.generator(codes, 2 * wanted - 1))


# --- networks


def counts(config):
    with torch.device("meta"):
        model = IcGAN(config)
    return {n: sum(p.numel() for p in m.parameters()) for n, m in model.networks.items()}


def test_parameters_are_the_authors_to_the_integer():
    found = counts(IcGAN.settings("published", CELEBA).config)
    assert found == {
        "generator": 3_725_123,
        "discriminator": 2_803_393,
        "latent_encoder": 18_278_244,
        "label_encoder": 3_186_962,
    }
    assert sum(found.values()) == 27_993_722


def test_labels_are_seen_by_the_layer_that_is_asked_for():
    base = counts(IcGANConfig())
    changes = {"generator_labels_at": 1, "discriminator_labels_at": 0}
    found = counts(dataclasses.replace(IcGANConfig(), **changes))
    at_first, at_second = 18 * 512 * 16, 18 * 256 * 16
    assert found["generator"] - base["generator"] == at_second - at_first
    assert found["discriminator"] - base["discriminator"] == 18 * 64 * 16 - 18 * 128 * 16
    seen = counts(dataclasses.replace(IcGANConfig(), encoders="conditioned"))
    assert seen["latent_encoder"] - base["latent_encoder"] == 18 * 32 * 25


def test_initial_weights_are_torch7s():
    torch.manual_seed(0)
    model = IcGAN(dataclasses.replace(IcGANConfig(), latent_hidden=64))
    weights = dict(model.discriminator.named_parameters())["stages.2.0.weight"]
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    for module in model.encoders.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = module.weight[0].numel() ** -0.5
            assert 0.9 * bound < module.weight.abs().max().item() <= bound
            assert 0 < module.bias.abs().max().item() <= bound  # pyright: ignore[reportOptionalMemberAccess]
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert 0 <= module.weight.min() < 0.2 and 0.8 < module.weight.max() <= 1
            assert not module.bias.any()


# --- settings


def test_published_settings_are_the_authors():
    expected = Settings(
        IcGANConfig(attributes=CELEBA_18, partners=CELEBA_PARTNERS),
        batch_size=64,
        budget=round(44.8 * 182_638),
        load_size=64,
        crop_size=64,
        resampling="bilinear",
    )
    assert IcGAN.settings("published", CELEBA) == expected
    assert IcGAN.needs(expected.config) == Needs(labels="required")


def test_partners_are_the_tasks_groups_and_those_of_faces_once():
    colours = CELEBA_PARTNERS[1]
    task = dataclasses.replace(CELEBA, exclusive=(colours,))
    found = IcGAN.settings("published", task).config
    assert found.exclusive == (colours,)
    assert found.partners == (colours, CELEBA_PARTNERS[0], CELEBA_PARTNERS[2])
    few = dataclasses.replace(CELEBA, attributes=("Bald", "Male", "Blond_Hair", "Gray_Hair"))
    assert IcGAN.settings("small", few).config.partners == (("Blond_Hair", "Gray_Hair"),)


@pytest.mark.parametrize(("side", "size", "layers"), [(8, 8, 1), (40, 32, 3), (64, 64, 4)])
def test_images_have_a_power_of_two_that_all_networks_fit(side, size, layers):
    task = dataclasses.replace(LABELLED, image_size=side)
    settings = IcGAN.settings("published", task)
    assert (settings.crop_size, settings.config.image_size) == (size, size)
    assert settings.config.encoder_layers == layers
    model = IcGAN(dataclasses.replace(tiny().config, image_size=size, encoder_layers=layers))
    images = batch_of(2, size).images[EVERY]
    assert model.encode_latent(images, images).shape == (2, 8)
    for network in (model.encode_labels, lambda x: model.discriminator(x, torch.ones(2, 3))):
        with pytest.raises(ValueError, match=f"is of images of {size} px, not {size + 8}x{size}"):
            network(torch.zeros(2, 3, size, size + 8))


def test_grey_images_are_possible():
    grey = dataclasses.replace(LABELLED, num_channels=(1,))
    config = IcGAN.settings("tiny", grey).config
    assert config.channels == (1,)
    model = IcGAN(config)
    batch = batch_of(4)
    model.training_step(Batch({EVERY: batch.images[EVERY][:, :1]}, batch.labels), Randomness(0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attributes": ()}, "needs attributes"),
        ({"image_size": 48}, "image_size is 48; a power of 2, of at least 8, is needed"),
        ({"image_size": 4}, "image_size is 4; a power of 2"),
        ({"encoder_layers": 6}, "encoder_layers is 6; images of 64 px are halved at most 5 times"),
        ({"encoders": "vae"}, "encoders is 'vae'; possible: independent, conditioned, shared"),
        ({"discriminator_labels_at": 5}, "discriminator_labels_at is 5; at 64 px layers are 0 to"),
        ({"partners": (("Bald", "Bold"),)}, "partners name Bold; possible: Bald, Bangs, "),
        ({"gan_share": -1.0}, r"gan_share is -1\.0; at least 0"),
        ({"gan_share": 0.0, "latent_share": 0.0, "label_share": 0.0}, "label_share are 0; one of"),
    ],
)
def test_impossible_configurations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        IcGANConfig(**changes)


def test_torch7_files_are_refused_in_a_sentence(tmp_path):
    said = "celeba_24_G.t7 cannot be read: IcGAN's authors released Torch7 files"
    with pytest.raises(ValueError, match=said):
        IcGAN.from_official(tmp_path / "celeba_24_G.t7")

"""DIAT's settings and parts, each by what must hold of it."""

import dataclasses

import pytest
import torch
from i2i_baselines.diat.config import DIATConfig
from i2i_baselines.diat.model import DIAT
from i2i_baselines.diat.networks import FACE_WEIGHTS, FaceFeatures, MaskNetwork
from i2i_baselines.diat.steps import half_squares
from torch import nn

from i2i_bench import pretrained
from i2i_bench.blocks import vgg
from i2i_bench.model import Batch, Direction, Needs, Settings
from i2i_bench.plugins.toy import NOMINAL, Toy
from i2i_bench.randomness import Randomness

SIDE = 32


def tiny(**changes):
    config = DIAT.settings("tiny", Toy()).config
    return dataclasses.replace(config, denoiser_steps=0, **changes)


def make(seed=0, **changes):
    torch.manual_seed(seed)
    model = DIAT(tiny(**changes))
    model.networks.double().train()
    return model


def images(count, seed=1):
    drawn = Randomness(seed, dtype=torch.float64)
    return {d: 2 * drawn.uniform(d, (count, 3, SIDE, SIDE)) - 1 for d in "ab"}


def step(model, given):
    return model.training_step(Batch(given), Randomness(0, dtype=torch.float64))


def test_parameters_are_the_authors_to_the_integer():
    with torch.device("meta"):
        model = DIAT(DIATConfig(face_features="none"))
    counts = {"transfer.transform": 7_937_715, "transfer.mask": 183_489, "auxiliary": 7_937_715}
    for name, count in (counts | {"critic": 4_331_969, "denoiser": 114_794}).items():
        parameters = list(model.networks.get_submodule(name).parameters())
        assert sum(p.numel() for p in parameters) == count, name
    fixed = [p.numel() for p in model.critic.parameters() if not p.requires_grad]
    assert sum(fixed) == 525_313


def test_published_settings_are_the_authors():
    assert DIAT.settings("published", NOMINAL) == Settings(
        DIATConfig(
            transform_width=64,
            critic_steps=2 * 12,
            transfer_steps=2 * (1 + 3),
            area_ratio=0.72,
            clip=0.031,
            learning_rate=5e-5,
            decay=0.98,
            weight_decay=5e-4,
        ),
        batch_size=4 * 30,
        budget=2000 * 4 * 30,
        load_size=128,
        crop_size=128,
        resampling="bilinear",
        resize="square",
        flip=False,
    )


@pytest.mark.parametrize("preset", ["small", "tiny"])
@pytest.mark.parametrize("size", [16, 24, 50, 100, 256])
def test_smaller_presets_fit_images_of_other_sizes(preset, size):
    settings = DIAT.settings(preset, Toy(kind="folder", image_size=size))
    assert settings.crop_size % DIAT.needs(settings.config).multiple == 0
    model, batch = DIAT(settings.config), torch.zeros(2, 3, *2 * [settings.crop_size])
    assert model.critic(batch).shape == (2, 1)
    assert model.compose(batch)[0].shape == batch.shape


@pytest.mark.parametrize(
    ("preset", "size", "message"),
    [
        ("published", 127, "DIAT, published, needs images of at least 128 px"),
        ("small", 15, "DIAT, small, needs images of at least 16 px"),
        ("tiny", 25, "DIAT halves images at least once; 25 px cannot be"),
    ],
)
def test_images_that_do_not_fit_are_refused(preset, size, message):
    with pytest.raises(ValueError, match=message):
        DIAT.settings(preset, Toy(kind="folder", image_size=size))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transform_width": 6}, "transform_width is 6; a multiple of 4 is needed"),
        ({"critic_steps": 6}, "critic_steps is 6; a multiple of 4 is needed"),
        ({"edge_blur": 8}, "edge_blur is 8; an odd side is needed"),
        ({"area_ratio": 1.5}, "area_ratio is 1.5; it is a share"),
        ({"critic_halvings": 5}, "critic_halvings is 5, and image_size 32; at least 2x2 px"),
        ({"channels": (1, 3)}, "channels are 1, 3; source and target must have as many"),
        ({"mask_halvings": 3}, "mask_halvings is 3; possible: 0, 1, 2"),
        (
            {"channels": (1, 1), "face_features": "vgg16"},
            "images have 1 channels; it takes 3: set face_features to none",
        ),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny(**changes)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("male2female.caffemodel", r"male2female\.caffemodel is Caffe's, whose files are not read"),
        ("semi_iter_100.solverstate", r"semi_iter_100\.solverstate is Caffe's"),
        ("weights.pth", r"holds no file of DIAT that can be read"),
    ],
)
def test_files_of_caffe_are_refused_in_a_sentence(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"\x0a\x04diat")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(ValueError, match=message) as caught:
            DIAT.from_official(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("way", "source"), [("a2b", "a"), ("b2a", "b")])
def test_it_learns_and_translates_one_direction(way, source):
    model, given = make(direction=way), images(4)
    assert [str(each) for each in model.directions or ()] == [way]
    assert f"adversarial_{way}" in step(model, given)
    target = "b" if source == "a" else "a"
    fake = model.translate(Batch({source: given[source]}), Direction(source, target), Randomness(0))
    assert torch.equal(fake, model.compose(given[source])[0])


def test_too_few_images_are_repeated_to_four_batches():
    given = images(5)
    more = {d: torch.cat([each, each[:3]]) for d, each in given.items()}
    assert step(make(), given) == step(make(), more)


def test_every_translation_lies_between_image_and_transform():
    model, given = make(), images(2)["a"]
    masks = model.masks(Batch({"a": given}), Direction("a", "b"), Randomness(0))
    assert masks is not None and masks.content is not None
    blend = masks.attention[:, :1] * masks.content[:, 0] + masks.attention[:, 1:] * given
    torch.testing.assert_close(model.compose(given)[0], blend)
    bare = make(masked=False)
    assert bare.masks(Batch({"a": given}), Direction("a", "b"), Randomness(0)) is None
    assert torch.equal(bare.compose(given)[0], bare.transform(given))
    assert "mask" not in bare.transfer


@pytest.mark.parametrize(("ratio", "sign"), [(0.0, 1), (1.0, -1)])
def test_a_large_mask_is_made_smaller_and_a_small_one_larger(ratio, sign):
    torch.manual_seed(0)
    shape = {"channels": 3, "blurs": (1, 1), "area_ratio": ratio, "area_strength": 0.25}
    mask = MaskNetwork(2, 1, **shape).double()
    values = []
    mask.layers.register_forward_hook(lambda _, __, y: values.append(y.requires_grad_()))
    found = mask.cut(images(2)["a"])
    assert 0 < found.mean() < 1
    weights = torch.rand_like(found)
    (gradient,) = torch.autograd.grad((weights * found).sum(), values)
    torch.testing.assert_close(gradient, weights + 0.25 * sign)


def test_noise_is_reduced_until_it_is_low_and_no_further():
    given, after = images(8)["a"], {}
    for least, steps in ((0.0, 3), (1e9, 3), (0.0, 1)):
        model = make(least_noise=least, penalty_steps=steps)
        model.update_transfer((given[:2], given[2:4]))
        model.reduce_noise((given[4:6], given[6:]))
        after[least, steps] = {**model.networks.state_dict()}
        after[least, steps] |= {
            f"mean square {number}": state["mean_square"].clone()
            for number, state in enumerate(model.optimizers["transfer"].state.values())
        }
    ended, once, on = after[1e9, 3], after[0.0, 1], after[0.0, 3]
    assert all(torch.equal(ended[name], once[name]) for name in once)
    assert not torch.equal(
        ended["transfer.transform.head.bias"], on["transfer.transform.head.bias"]
    )


def test_noise_is_counted_as_of_128_px():
    model, given = make(), images(2)["a"]
    found = model.denoiser(model.compose(given)[0]).square().sum(dim=(1, 2, 3)).mean()
    torch.testing.assert_close(model.noise_of(given), found * (128 / SIDE) ** 2)


def test_a_round_in_which_the_critic_was_outrun_leaves_the_next_one_plain(monkeypatch):
    given = images(4)
    for rise, is_plain in ((1.5, True), (0.5, False)):
        model, scales = make(transfer_steps=3), []
        model.rise.value.fill_(rise)
        update = model.update_transfer_once

        def noted(source, scale, scales=scales, update=update):
            losses, gradient = update(source, scale)
            scales.append((scale.item(), gradient.abs().sum().item()))
            return losses, gradient

        monkeypatch.setattr(model, "update_transfer_once", noted)
        step(model, given)
        assert [scale for scale, _ in scales[:2]] == [1.0, 1.0]
        wanted = 1.0 if is_plain else model.config.gradient_sum / scales[1][1]
        assert scales[2][0] == pytest.approx(wanted)


@pytest.mark.parametrize(("norm", "is_blind"), [("batch", True), ("none", False)])
def test_a_normalised_critic_does_not_see_what_a_whole_batch_has_in_common(norm, is_blind):
    model, given = make(critic_norm=norm), images(2)["a"]
    seen = model.critic.head[:2](model.critic.features(given))
    (first, *_) = (m for m in model.critic.head if isinstance(m, nn.Conv2d))
    assert first.bias is not None
    first.bias.data += 1.0
    moved = model.critic.head[:2](model.critic.features(given))
    assert torch.allclose(moved, seen, atol=1e-9) == is_blind


@pytest.mark.parametrize(("slope", "least", "weight"), [(0.0, 0.25, 0.25), (1.0, 0.0, None)])
def test_noise_is_weighed_by_how_much_there_is(monkeypatch, slope, least, weight):
    model = make(penalty_slope=slope, penalty_least=least, penalty_offset=0.0, penalty_steps=1)
    images_of_one = images(2)["a"]
    level = model.noise_of(images_of_one).detach()
    expected = (level if weight is None else weight) * model.noise_of(images_of_one) / 2
    wanted = torch.autograd.grad(expected, list(model.transform.parameters()))
    monkeypatch.setattr(model.optimizers["transfer"], "step", lambda: None)
    model.reduce_noise((images_of_one, images_of_one))
    for parameter, gradient in zip(model.transform.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_clipping_holds_all_of_the_critic_but_its_normalisations():
    model = make()
    for parameter in model.critic.parameters():
        parameter.data.fill_(2.0)
    before = [p.clone() for p in model.critic.head.parameters() if not p.requires_grad]
    model.critic.clip(0.1)
    for module in model.critic.modules():
        kept = 2.0 if isinstance(module, nn.BatchNorm2d) else 0.1
        for parameter in module.parameters(recurse=False):
            assert (parameter == kept).all()
    assert len(before) == 4  # of the linear layers, which do not learn


def test_the_denoiser_learns_the_noise_of_real_images():
    model = make()
    model.config = dataclasses.replace(model.config, denoiser_steps=60)
    model.optimizers["denoiser"].param_groups[0]["lr"] = 1e-2
    even, random = torch.zeros(4, 3, SIDE, SIDE).double(), Randomness(0, dtype=torch.float64)
    error = model.train_denoiser(even, random)["denoiser"].item()
    assert error < 0.5 * model.config.noise**2  # that of finding nothing


SMALL_VGG = {"STAGES": tuple((4, count) for _, count in vgg.STAGES), "_FLAT": 196, "_WIDTH": 8}


@pytest.fixture
def narrow(monkeypatch):
    """Make networks of 16 layers narrow, and let them keep initial weights."""
    for name, value in SMALL_VGG.items():
        monkeypatch.setattr(vgg, name, value)
    with pretrained.without_weights() as unread:
        yield unread


@pytest.mark.parametrize("kind", FACE_WEIGHTS)
def test_features_of_faces_are_compared_with_those_of_the_source(narrow, kind):
    model = make(face_features=kind, transfer_steps=1)
    assert narrow == [FACE_WEIGHTS[kind]]
    assert DIAT.needs(model.config) == Needs(weights=(FACE_WEIGHTS[kind],), multiple=4)
    model.frozen.double().eval()
    source, face = images(2)["a"], model.frozen["face"]
    wanted = half_squares(face(model.compose(source)[0]), face(source))
    found = model.update_transfer((source, source))["perceptual_a2b"]
    torch.testing.assert_close(found, wanted)
    assert all(p.grad is None for p in model.frozen.parameters())


@pytest.mark.parametrize(
    ("kind", "white"), [("vgg-face", (125.8, 150.2, 161.4)), ("vgg16", (2.25, 2.43, 2.64))]
)
def test_networks_of_faces_see_colours_as_they_were_trained(narrow, kind, white):
    face, seen = FaceFeatures(kind), []
    face.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    face(torch.ones(1, 3, SIDE, SIDE))
    assert seen[0].shape == (1, 3, 224, 224)
    assert seen[0][0, :, 7, 7].tolist() == pytest.approx(white, abs=0.05)


def test_published_weights_are_asked_for_by_name():
    assert DIAT.needs(DIATConfig()).weights == ("vgg_face_dag.pth",)
    assert DIAT.needs(dataclasses.replace(DIATConfig(), face_features="none")).weights == ()

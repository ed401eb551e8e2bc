"""What ContrastGAN does with masks, categories and settings."""

import dataclasses

import pytest
import torch
from i2i_baselines.contrastgan.config import ContrastGANConfig
from i2i_baselines.contrastgan.model import ContrastGAN
from i2i_baselines.contrastgan.networks import cut_out, cut_out_masks, find_boxes, put_back
from torch.nn import functional as F

from i2i_bench.labels import EVERY
from i2i_bench.model import Batch, Clock, Direction, Needs, Settings
from i2i_bench.plugins.toy import NOMINAL, Toy
from i2i_bench.randomness import Randomness

NAMES = ("dawn", "dusk_or_so", "night")
WAY = Direction("dusk_or_so", "night")


def tiny(**changes):
    config = ContrastGANConfig(
        domains=NAMES,
        object_size=12,
        generator_width=2,
        discriminator_width=2,
        num_blocks=1,
        discriminator_layers=2,
    )
    return ContrastGAN(dataclasses.replace(config, **changes))


def with_boxes(*boxes, height=20, width=28):
    """Make the masks of one image that are 1 inside boxes (top, bottom, left, right)."""
    masks = torch.zeros(1, len(boxes), height, width)
    for number, (top, bottom, left, right) in enumerate(boxes):
        masks[:, number, top:bottom, left:right] = 1
    return masks


@pytest.mark.parametrize("box", [(0, 20, 0, 28), (3, 4, 5, 6), (2, 19, 27, 28), (7, 12, 1, 24)])
@pytest.mark.parametrize("size", [8, 12, 33])
def test_boxes_of_any_size_are_interpolated_as_by_torch(box, size):
    top, bottom, left, right = box
    images = torch.rand(1, 3, 20, 28, dtype=torch.float64)
    masks = with_boxes(box).double()
    boxes = find_boxes(masks)
    assert boxes.tolist() == [list(box)]
    inside = images[:, :, top:bottom, left:right]
    square = cut_out(images, boxes, size)
    expected = F.interpolate(inside, (size, size), mode="bilinear", align_corners=False)
    torch.testing.assert_close(square, expected)
    back = put_back(square, boxes, images)[:, :, top:bottom, left:right]
    expected = F.interpolate(square, inside.shape[2:], mode="bilinear", align_corners=False)
    torch.testing.assert_close(back, expected)
    spots = torch.rand(1, 1, 20, 28).round()
    expected = F.interpolate(spots[:, :, top:bottom, left:right].double(), (size, size))
    assert torch.equal(cut_out_masks(spots, boxes, size).double(), expected)


def test_a_box_of_the_squares_size_is_cut_and_put_back_to_the_bit():
    images = torch.rand(2, 3, 12, 12)
    boxes = find_boxes(torch.ones(2, 1, 12, 12))
    assert torch.equal(cut_out(images, boxes, 12), images)
    assert torch.equal(put_back(images, boxes, images), images)


def test_translations_change_objects_alone_and_each_by_itself():
    model = tiny()
    images = torch.rand(1, 3, 20, 28) * 2 - 1
    masks = with_boxes((1, 7, 2, 9), (10, 18, 12, 25), (0, 0, 0, 0))

    def translate(given):
        with torch.no_grad():
            return model.translate(Batch({WAY.source: images}, masks=given), WAY, Randomness(0))

    def found(given):
        return translate({WAY.source: given})

    both = found(masks)
    inside = masks.amax(dim=1, keepdim=True).bool().expand_as(images)
    assert torch.equal(both[~inside], images[~inside])
    assert (both - images)[inside].abs().min() > 0
    for number in (0, 1):
        only = masks[:, number : number + 1]
        part = only.bool().expand_as(images)
        assert torch.equal(both[part], found(only)[part])
    assert torch.equal(found(masks[:, 2:]), images)  # nothing was there
    whole = translate(None)
    assert (whole - images).abs().min() > 0
    torch.testing.assert_close(whole, model.generator(images, torch.ones(1, 1, 20, 28), NIGHT))


NIGHT = torch.tensor([[0.0, 0.0, 1.0]])


def test_a_step_draws_one_object_of_each_image_that_is_there():
    masks = with_boxes((1, 4, 1, 4), (0, 0, 0, 0), (6, 10, 6, 10), (12, 17, 12, 17))
    numbered = masks * torch.arange(4.0)[:, None, None]  # pixels say whose they are
    images = numbered.sum(dim=1, keepdim=True).expand(64, 3, -1, -1)
    domains, ways = NAMES[:2], (Direction(*NAMES[:2]), Direction(*NAMES[1::-1]))
    masks = masks.expand(64, -1, -1, -1)
    batch = Batch(dict.fromkeys(domains, images), masks=dict.fromkeys(domains, masks))
    found = tiny().make_objects(batch, ways, Randomness(3))
    assert found.masks.min() == 1  # every box is full, and none is the empty one's
    of_each = found.images.mean(dim=(1, 2, 3)).round()
    torch.testing.assert_close(found.images, of_each[:, None, None, None].expand_as(found.images))
    counts = of_each.int().bincount(minlength=4).tolist()
    assert counts[1] == 0 and min(counts[0], *counts[2:]) > 20
    assert not torch.equal(of_each[:64], of_each[64:])  # drawn for each domain
    assert torch.equal(found.before[:64], torch.eye(3)[[0] * 64])
    assert torch.equal(found.after[:64], found.before[64:])
    assert torch.equal(found.real, torch.cat([found.images[64:], found.images[:64]]))


@pytest.mark.parametrize("has_masks", [False, True])
def test_losses_of_a_step_are_named_by_direction_and_domain(has_masks):
    images = {domain: torch.rand(2, 3, 20, 28) for domain in NAMES[1:]}
    masks = {domain: with_boxes((2, 9, 3, 11)).expand(2, -1, -1, -1) for domain in images}
    batch = Batch(images, masks=masks if has_masks else None)
    ways = ("dusk_or_so2night", "night2dusk_or_so")
    named = {f"{term}_{way}" for term in ("adversarial", "contrast") for way in ways}
    losses = tiny().training_step(batch, Randomness(0))
    assert set(losses) == named | {"cycle_dusk_or_so", "cycle_night", "discriminator"}
    without = tiny(lambda_contrast=0.0, lambda_cycle=0.0).training_step(batch, Randomness(0))
    assert set(without) == {f"adversarial_{way}" for way in ways} | {"discriminator"}


def test_published_settings_are_ours_as_the_card_says():
    counts = {"a": 400, "b": 500}
    two = dataclasses.replace(NOMINAL, kind="catalogued", num_train=counts)
    config = ContrastGANConfig(
        object_size=128, num_blocks=6, lambda_cycle=10.0, learning_rate=2e-4, padding="zeros"
    )
    whole = Settings(config, batch_size=8, budget=200 * 500, load_size=286, crop_size=256)
    assert ContrastGAN.settings("published", two) == whole
    masked = dataclasses.replace(two, has_masks=True)
    expected = dataclasses.replace(whole, instances=4)
    assert ContrastGAN.settings("published", masked) == expected
    names = ("dawn", "dusk", "noon", "night")
    many = Toy("many", "folder", 256, (EVERY,), {EVERY: 4001}, names, (names,))
    settings = ContrastGAN.settings("published", many)
    assert settings.config == dataclasses.replace(config, domains=names)
    assert settings.budget == 200 * 2001
    assert ContrastGAN.needs(config) == Needs(
        masks="optional", drawn_domains="optional", multiple=4
    )
    whole_images = dataclasses.replace(config, masked=False)
    assert ContrastGAN.needs(whole_images) == Needs(drawn_domains="optional", multiple=4)


def test_rate_falls_in_the_second_half():
    model = tiny()
    for epoch, rate in ((0, 2e-4), (99, 2e-4), (150, 2e-4 * (1 - 51 / 101)), (199, 2e-4 / 101)):
        model.advance(Clock(epoch + 1, 200, epoch, 200))
        rates = [group["lr"] for each in model.optimizers.values() for group in each.param_groups]
        assert rates == pytest.approx(2 * [rate])


def test_one_model_is_of_all_categories():
    with torch.device("meta"):
        model = ContrastGAN(ContrastGANConfig(domains=tuple("abcdefgh")))
    counts = [sum(p.numel() for p in network.parameters()) for network in model.networks.children()]
    assert counts == [7_865_923, 2_822_088]


def test_there_is_nothing_to_import(tmp_path):
    with pytest.raises(ValueError, match=r"published neither code nor weights, so .* cannot be"):
        ContrastGAN.from_official(tmp_path)
    assert "description, no code was published" in ContrastGAN.card.deviations[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"object_size": 30}, "object_size is 30; a multiple of 4 is needed"),
        ({"object_size": 20}, "object_size is 20; at least 24 is needed"),
        ({"padding": "same"}, "padding is 'same'; possible: zeros, reflect"),
        ({"reference": "image"}, "reference is 'image'; possible: category, batch"),
        ({"lambda_cycle": -1.0}, r"lambda_cycle is -1\.0; at least 0 is needed"),
        ({"lambda_adversarial": 0.0, "lambda_contrast": 0.0}, "both 0; the discriminator needs"),
        ({"domains": ("a", "a")}, "domains are a, a; two or more are needed"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ContrastGANConfig(**changes)


def test_tasks_of_small_images_are_refused():
    small = dataclasses.replace(NOMINAL, image_size=20)
    with pytest.raises(ValueError, match="ContrastGAN, published, needs images of at least 24 px"):
        ContrastGAN.settings("published", small)
    assert ContrastGAN.settings("tiny", small).crop_size == 20

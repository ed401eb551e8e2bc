"""AttentionGAN for many domains: masks and contents.

What it shares with StarGAN is tested in tests/blocks/test_label_conditioned.py.
"""

import pytest
import torch
from i2i_attentiongan.multi import AttentionGANMulti, AttentionGANMultiConfig, LabelledMaskGenerator

from i2i_bench.model import Batch, Direction
from i2i_bench.plugins import contract
from i2i_bench.randomness import Randomness

DIRECTION = Direction("-Male", "+Male")


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("attentiongan_multi")


@pytest.fixture
def model(numbers, tmp_path):
    files = {"200000-G.ckpt": "G", "200000-D.ckpt": "D"}
    return AttentionGANMulti.from_official(numbers.save(tmp_path, files))


def request(numbers):
    """Ask for the authors' probe images with their target labels."""
    target = numbers.io["probe/c_trg"]
    return Batch({"-Male": numbers.io["probe/x_real"]}, {"-Male": 1 - target, "+Male": target})


def test_attention_and_content_equal_the_authors(model, numbers):
    batch = request(numbers)
    assert batch.labels is not None
    with torch.no_grad():
        content, attention = model.generator.masks(batch.images["-Male"], batch.labels["+Male"])
    assert attention.shape[1] == 2
    for found, name in ((content[:, 0], "content"), (attention[:, :1], "attention")):
        torch.testing.assert_close(found, numbers.io[f"init/{name}"], atol=2e-5, rtol=0)


def test_last_mask_is_what_is_copied(model, numbers):
    batch = request(numbers)
    with torch.no_grad():
        masks = model.masks(batch, DIRECTION, Randomness(0))
        fake = model.translate(batch, DIRECTION, Randomness(0))
    assert masks.background == 1
    assert masks.content.shape[1:3] == (1, 3)
    copied = masks.attention[:, 1:] * batch.images["-Male"]
    inside = masks.content[:, 0].abs() < 1  # elsewhere it was clipped
    expected = (copied + masks.attention[:, :1] * masks.content[:, 0]).clamp(-1, 1)
    torch.testing.assert_close(fake[inside], expected[inside], atol=1e-5, rtol=0)
    assert inside.float().mean() > 0.5


@pytest.mark.parametrize("num_masks", [1, 2, 5])
def test_any_number_of_masks_keeps_the_contract(num_masks):
    changes = {"num_masks": str(num_masks)}
    found = contract.check_model(AttentionGANMulti, "attentiongan-multi", changes)
    assert [result for result in found if result.reason] == []


@pytest.mark.parametrize(
    ("num_masks", "masks", "contents"), [(1, 2, 1), (2, 2, 1), (4, 4, 3), (10, 10, 9)]
)
def test_more_masks_share_bounded_contents_and_the_copy(num_masks, masks, contents):
    generator = LabelledMaskGenerator(4, 1, num_labels=2, num_masks=num_masks)
    images = torch.zeros(2, 3, 16, 16)
    with torch.no_grad():
        content, attention = generator.masks(images, torch.ones(2, 2))
        fake = generator(images, torch.ones(2, 2))
    assert content.shape == (2, contents, 3, 16, 16)
    assert attention.shape == (2, masks, 16, 16)
    torch.testing.assert_close(attention.sum(1), torch.ones(2, 16, 16))
    expected = (content * attention[:, :contents, None]).sum(1)
    torch.testing.assert_close(fake, expected)  # of black images, nothing is copied
    if num_masks > 1:
        assert content.abs().max() <= 1


def test_no_mask_at_all_is_refused():
    with pytest.raises(ValueError, match="num_masks is 0; at least 1 is needed"):
        AttentionGANMultiConfig(("x",), num_masks=0)

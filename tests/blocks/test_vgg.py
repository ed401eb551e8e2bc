"""VGG16 under the names of two files: the same layers, which give the same."""

import torch

from i2i_bench.blocks import vgg

COUNTS = (2, 2, 3, 3, 3)


def test_layers_of_vgg16_are_those_of_its_file():
    from torchvision.models import vgg16

    with torch.device("meta"):
        ours, theirs = vgg.VGG16().state_dict(), vgg16(weights=None).state_dict()
    assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in theirs.items()}


def test_layers_of_vgg_face_are_those_of_its_file():
    with torch.device("meta"):
        found, theirs = vgg.VGGFace().state_dict(), vgg.VGG16().state_dict()
    stages = [f"conv{s}_{i}" for s, n in enumerate(COUNTS, 1) for i in range(1, n + 1)]
    names = [f"{n}.{leaf}" for n in (*stages, "fc6", "fc7", "fc8") for leaf in ("weight", "bias")]
    assert list(found) == names
    shapes = [tensor.shape for tensor in theirs.values()]
    assert [tensor.shape for tensor in found.values()][:-2] == shapes[:-2]
    assert found["fc8.weight"].shape == (2622, 4096)


def test_with_the_same_weights_both_give_the_same(monkeypatch):
    narrow = tuple((4, count) for count in COUNTS)
    for name, value in (("STAGES", narrow), ("_FLAT", 4 * 7 * 7), ("_WIDTH", 8)):
        monkeypatch.setattr(vgg, name, value)
    torch.manual_seed(0)
    one, other = vgg.VGG16().eval(), vgg.VGGFace().eval()
    pairs = zip(list(other.state_dict())[:-2], list(one.state_dict().values())[:-2], strict=True)
    other.load_state_dict(dict(pairs), strict=False)
    images = torch.rand(2, 3, 224, 224)
    found = one(images)
    assert found.shape == (2, 8) and found.std() > 0
    torch.testing.assert_close(other(images), found)

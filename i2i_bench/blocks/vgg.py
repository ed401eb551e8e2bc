"""VGG16 by the names of two published files: torchvision's of ImageNet, and VGG-Face."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
VGG_SIDE = 224  # px, of the images for which the linear layers are
STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # width and number of convolutions
_FLAT, _WIDTH = 512 * 7 * 7, 4096


class VGG16(nn.Module):
    """The layers of torchvision's VGG16, by its names, so that its file of weights fits."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, count in STAGES:
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            *(nn.Linear(_FLAT, _WIDTH), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(_WIDTH, _WIDTH), nn.ReLU(), nn.Dropout(), nn.Linear(_WIDTH, 1000)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised (batch, 3, 224, 224) to what the second linear layer gives, before ReLU.

        It is (batch, 4096), layer fc7 of the papers, in evaluation mode without dropout.
        """
        return self.classifier[:4](self.features(images).flatten(1))


class VGGFace(nn.Module):
    """VGG-Face (Parkhi et al., BMVC 2015), by the names of its file converted for PyTorch.

    The layers are those of VGG16, and the last one tells 2,622 people apart.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for name, width in self._convolutions():
            self.add_module(name, nn.Conv2d(channels, width, 3, padding=1))
            channels = width
        self.fc6 = nn.Linear(_FLAT, _WIDTH)
        self.fc7 = nn.Linear(_WIDTH, _WIDTH)
        self.fc8 = nn.Linear(_WIDTH, 2622)

    @staticmethod
    def _convolutions() -> Iterator[tuple[str, int]]:
        """Name the convolutions, each with its width."""
        for stage, (width, count) in enumerate(STAGES, 1):
            yield from ((f"conv{stage}_{number}", width) for number in range(1, count + 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised (batch, 3, 224, 224) to what fc7 gives before ReLU, (batch, 4096)."""
        stage = "1"
        for name, _ in self._convolutions():
            if name[4] != stage:
                images, stage = F.max_pool2d(images, 2), name[4]
            images = F.relu(self.get_submodule(name)(images))
        return self.fc7(F.relu(self.fc6(F.max_pool2d(images, 2).flatten(1))))

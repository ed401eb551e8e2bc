"""A classifier of a task's labels, trained by the suite: an automatic stand-in for a human study.

It is trained once for each task, on the training images alone, and kept below I2I_BENCH_CACHE. Its
weights are not the same on every machine, so a score names their hash, and its accuracy on real
test images stands beside what it says of translations.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.data.decode import to_float
from i2i_bench.data.training_images import TrainingImages, make_store
from i2i_bench.labels import EVERY, Labels
from i2i_bench.metric import Need
from i2i_bench.model import Settings
from i2i_bench.scoring.features.cache import cache_folder
from i2i_bench.system.download import alone
from i2i_bench.system.files import replacing
from i2i_bench.system.progress import Report
from i2i_bench.system.tensors import digest, read_untrusted
from i2i_bench.tasks.task import Task

VERSION = 1  # of the recipe: what is below; it rises when anything that moves a value changes
LARGEST_SIZE = 64  # pixels of a side; larger images are made as small
WIDTHS = (16, 32, 64, 64)  # channels, halving the side from the second on down to 8 pixels
BATCH_SIZE = 50
EPOCHS, LEAST_IMAGES, MOST_IMAGES = 10, 4_000, 200_000  # of training: so many epochs, in bounds
LEARNING_RATE = 2e-3  # of Adam, falling linearly to 0
SEED = 0

logger = logging.getLogger(__name__)


class ClassifierNetwork(nn.Module):
    """A few convolutions, then the mean and the maximum over the image."""

    def __init__(self, size: int, num_labels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for place, width in enumerate(WIDTHS):
            stride = 2 if place and size >= 16 else 1
            size //= stride
            layers.append(nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False))
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(2 * inputs, num_labels)

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, 3, size, size) in [-1, 1] to logits (batch, labels)."""
        found = self.layers(images)
        return self.head(torch.cat([found.mean(dim=(2, 3)), found.amax(dim=(2, 3))], dim=1))


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained classifier.

    Attributes:
        network: In evaluation mode, on the device.
        size: Side in pixels of what it sees.
        labelling: What it tells apart.
        sha256: First 8 hexadecimal digits of a hash of its weights.
        device: Where it is.
    """

    network: ClassifierNetwork
    size: int
    labelling: Labels
    sha256: str
    device: torch.device

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return (images, attributes): which ones each image (images, height, width, 3) has."""
        found = []
        with torch.no_grad():
            for start in range(0, len(images), BATCH_SIZE):
                part = [_resized(image, self.size) for image in images[start : start + BATCH_SIZE]]
                batch = torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).to(self.device)
                found.append(self.network(to_float(batch)).cpu().numpy())
        logits = np.concatenate(found)
        if self.labelling.is_one_hot:
            return logits == logits.max(axis=1, keepdims=True)
        return logits > 0

    def asked(
        self, images: NDArray[np.uint8], labels: NDArray[np.int8], target: str
    ) -> dict[Need, Any]:
        """Give what metrics of recognition need.

        Args:
            images: (images, height, width, 3), of any size.
            labels: What they should have, (images, attributes).
            target: The domain whose attribute was to change.
        """
        return {
            "recognised": self.predict(images),
            "labels": labels,
            "target": self.labelling.attributes.index(target.lstrip("+-")),
            "kept": self.labelling.untouched(target),
        }


def _resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if image.shape[:2] == (size, size):
        return image
    whole = Image.fromarray(image)
    return np.asarray(whole.resize((size, size), Image.Resampling.BILINEAR))


def trained_classifier(task: Task, device: torch.device, report: Report) -> Classifier:
    """Return the classifier of a labelled task, training it where none is kept.

    Raises:
        ValueError: If the training images cannot be read.
    """
    size = min(task.image_size, LARGEST_SIZE)
    path = _path(task, size)
    network = _read(path, size, len(task.attributes))
    if network is None:
        with alone(path):  # so that runs side by side are judged by the same one
            network = _read(path, size, len(task.attributes))
            if network is None:
                network = _make(path, task, size, device, report)
    sha256 = digest(network.state_dict())
    return Classifier(network.to(device).eval(), size, task.labelling, sha256, device)


def _path(task: Task, size: int) -> Path:
    """Give the place of a classifier, of its own for every list of images, labels and recipe."""
    names = [image.name for image in task.images("train", EVERY)]
    known = [task.name, task.version, VERSION, size, names, task.labels("train", EVERY)]
    key = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]
    return cache_folder().parent / "classifiers" / f"{task.name}-{key}.pt"


def _read(path: Path, size: int, num_labels: int) -> ClassifierNetwork | None:
    if not path.exists():
        return None
    network = ClassifierNetwork(size, num_labels)
    try:
        network.load_state_dict(read_untrusted(path))
    except Exception:  # whatever a damaged file may provoke
        return None
    return network


def _make(
    path: Path, task: Task, size: int, device: torch.device, report: Report
) -> ClassifierNetwork:
    """Train a classifier and keep it."""
    if path.exists():
        logger.warning("the classifier %s is damaged and is trained again", path)
    network = _train(task, size, device, report)
    with replacing(path) as partial:
        torch.save(network.state_dict(), partial)
    return network


def _train(task: Task, size: int, device: torch.device, report: Report) -> ClassifierNetwork:
    count = sum(task.num_train.values())
    budget = min(max(EPOCHS * count, LEAST_IMAGES), MOST_IMAGES)
    settings = Settings(None, BATCH_SIZE, budget, size, size, resampling="bilinear")
    store = make_store(task, settings, device, folder=cache_folder())
    images = TrainingImages(task, settings, SEED, device, store=store)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = ClassifierNetwork(size, len(task.attributes)).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    for seen in range(0, budget, BATCH_SIZE):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - seen / budget)
        batch = images.batch(seen, BATCH_SIZE)
        assert batch.labels is not None
        images_seen = batch.images[EVERY].expand(-1, 3, -1, -1)  # grey repeated, as in predict
        logits, labels = network(images_seen), batch.labels[EVERY]
        if task.labelling.is_one_hot:
            loss = F.cross_entropy(logits, labels.argmax(dim=1))
        else:
            loss = F.binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if seen % (20 * BATCH_SIZE) == 0:
            report("classifier", seen, budget, {"loss": loss.item()})
    report("classifier", budget, budget, {})
    return network

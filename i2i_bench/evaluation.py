"""Translate the test set of a task and score what came out."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from i2i_bench import features, protocols
from i2i_bench.data import decode, sample_order, test_images, to_float, to_uint8
from i2i_bench.metrics import masks as mask_metrics
from i2i_bench.metrics import pixels
from i2i_bench.model import Batch, Direction, Model, Settings
from i2i_bench.protocols import Protocol
from i2i_bench.record import Score, Values
from i2i_bench.tasks.task import Task
from i2i_bench.training import Report

logger = logging.getLogger(__name__)

BATCH_SIZE = 8  # of test images; always the same, so that it changes no digit

Images = NDArray[np.uint8]  # (images, height, width, 3)


@dataclass(frozen=True)
class Translations:
    """The test set of one direction, translated.

    Attributes:
        direction: From where to where.
        names: File name of each source.
        sources: (images, height, width, 3), uint8.
        fakes: The same shape, rounded to 8 bits.
        background: (images, height, width), attention of the mask that copies the input; None for a
            model without one.
    """

    direction: Direction
    names: list[str]
    sources: Images
    fakes: Images
    background: NDArray[np.float32] | None


@dataclass(frozen=True)
class Reference:
    """What the translations of one direction are compared with.

    Attributes:
        names: File name of each real test image of the target domain.
        real: (images, height, width, 3), uint8.
        halves: Two disjoint sets of training images of the target domain, of equal size.
        truth: True translation of each source; None where unknown.
        foreground: (height, width) for each source, True where it may change; None where unknown.
    """

    names: list[str]
    real: Images
    halves: tuple[Images, Images]
    truth: Images | None
    foreground: Sequence[NDArray[np.bool_]] | None


def directions(task: Task) -> list[Direction]:
    """Give every ordered pair of a task's domains."""
    return [Direction(s, t) for s in task.domains for t in task.domains if s != t]


def count_macs(model: Model, settings: Settings, device: torch.device) -> int:
    """Count the multiply-adds of translating one image, which proves that the size is possible.

    Raises:
        ValueError: If the model cannot take images of this size.
    """
    size = settings.crop_size
    image = torch.zeros(1, 3, size, size, device=device)
    model.networks.eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.translate(Batch({"a": image}), Direction("a", "b"))
    return counter.get_total_flops() // 2


def translate_test_set(
    model: Model, task: Task, direction: Direction, settings: Settings, *, device: torch.device
) -> Translations:
    """Translate every test image of the source domain.

    Raises:
        ValueError: If a translation has another shape than its source, or is not finite.
    """
    whole, names = test_images(task, direction.source, settings)
    fakes, background = [], []
    model.networks.eval()
    with torch.no_grad():
        for part in whole.split(BATCH_SIZE):
            batch = Batch({direction.source: to_float(part.to(device))})
            fakes.append(_channels_last(to_uint8(_checked(model, batch, direction))))
            masks = model.masks(batch, direction)
            if masks is not None and masks.background is not None:
                background.append(masks.attention[:, masks.background].float().cpu().numpy())
    attention = np.concatenate(background) if background else None
    sources = _channels_last(whole)
    return Translations(direction, names, sources, np.concatenate(fakes), attention)


def _checked(model: Model, batch: Batch, direction: Direction) -> torch.Tensor:
    source = batch.images[direction.source]
    fake = model.translate(batch, direction)
    if fake.shape != source.shape:
        raise ValueError(
            f"{model.card.title} made {tuple(fake.shape)} of images {tuple(source.shape)}; "
            "a translation keeps the shape"
        )
    if not bool(fake.isfinite().all()):
        raise ValueError(f"{model.card.title} made translations that are not finite")
    return fake


def reference(task: Task, direction: Direction, settings: Settings) -> Reference:
    """Decode what the translations of one direction are compared with, at the size of the crop."""
    whole, names = test_images(task, direction.target, settings)
    size = {
        "size": settings.crop_size,
        "resampling": settings.resampling,
        "resize": settings.resize,
    }
    truth = task.truth(direction.source, direction.target)
    training = task.images("train", direction.target)
    half = min(len(names), len(training) // 2)
    order = sample_order(0, f"halves/{direction.target}", len(training), 0, 2 * half)
    first = _channels_last(decode([training[i] for i in order[:half]], **size))
    second = _channels_last(decode([training[i] for i in order[half:]], **size))
    return Reference(
        names,
        _channels_last(whole),
        (first, second),
        _channels_last(decode(truth, **size)) if truth else None,
        task.foreground(direction.source, direction.target),
    )


def score(
    protocol: Protocol,
    task: Task,
    found: Translations,
    against: Reference,
    *,
    device: torch.device,
    report: Report,
) -> Score:
    """Score the translations of one direction, and the two baselines beside them.

    The identity baseline takes each source for its translation; the real one compares two halves of
    the target's training images as the protocol compares real images and translations.
    """
    scorer = _Scorer(protocol, str(device), report)
    sets = {"real": (against.names, against.real), "fake": (found.names, found.fakes)}
    hashes = {kind: features.content_hash(*both) for kind, both in sets.items()}
    ours = scorer.compare(against.real, found.fakes)
    ours |= scorer.faithful(found.fakes, found, against)
    ours |= _attention(found.background, against.foreground)
    identity = scorer.compare(against.real, found.sources)
    identity |= scorer.faithful(found.sources, found, against)
    identity |= _attention(None, against.foreground)
    real = scorer.compare(*against.halves)
    return Score(
        protocol=protocol.name,
        protocol_version=protocol.version,
        direction=str(found.direction),
        image_size=found.fakes.shape[1],
        n_real=len(against.real),
        n_fake=len(found.fakes),
        files_sha256={kind: both[0] for kind, both in hashes.items()},
        pixels_sha256={kind: both[1] for kind, both in hashes.items()},
        recipe=protocol.recipe,
        weights_sha256=scorer.weights_sha256,
        weights_status="unverified" if scorer.weights_sha256 else None,
        estimator={"distances": list(protocol.distances), "kid_unit": "raw"},
        spread_kind=protocol.spread_kind,
        checkpoint="last",
        selected_on=None,
        task_version=task.version,
        libraries={name: version(name) for name in ("clean-fid", "lpips", "numpy", "torch")},
        partial=False,
        baselines={"identity": _values(identity), "real": _values(real)},
        **_values(ours).model_dump(),
    )


Found = dict[str, float | str]  # a value, or the reason why there is none


def _values(found: Found) -> Values:
    return Values(
        values={k: None if isinstance(v, str) else float(v) for k, v in found.items()},
        reasons={k: v for k, v in found.items() if isinstance(v, str)},
    )


class _Scorer:
    """Metrics under one protocol; what cannot be computed is replaced by the reason."""

    def __init__(self, protocol: Protocol, device: str, report: Report) -> None:
        self.protocol, self.device, self.report = protocol, device, report
        self.weights_sha256: str | None = None

    def compare(self, real: Images, fake: Images) -> Found:
        """Give the distances between two sets of images."""
        try:
            self.weights_sha256 = features.weights_hash(features.inception_file())
            sides = [self._features(real), self._features(fake)]
            found = protocols.score(self.protocol, sides[0], sides[1])
        except ValueError as error:
            return {key: _reason(error) for key in ("fid", "kid", "kid_se")}
        values = {key: found[key] for key in ("fid", "kid", "kid_se")}
        few = "undefined for so few images"
        return {k: few if v is None else float(v) for k, v in values.items()}

    def _features(self, images: Images) -> NDArray[np.float64]:
        return features.extract_features(
            images,
            self.protocol.recipe,
            device=self.device,
            progress=lambda done, of: self.report("features", done, of, {}),
        )

    def faithful(self, fakes: Images, found: Translations, against: Reference) -> Found:
        """Compare translations with their sources, and with the truth where there is one."""
        values: Found = {"lpips_source": self._lpips(fakes, found.sources)}
        if against.truth is None:
            missing = "the task has no true translations"
            return values | dict.fromkeys(("lpips", "psnr", "ssim"), missing)
        values["lpips"] = self._lpips(fakes, against.truth)
        pairs = list(zip(fakes, against.truth, strict=True))
        values["psnr"] = pixels.mean_psnr([pixels.psnr(*pair) for pair in pairs])
        values["ssim"] = _mean(lambda: [pixels.ssim(*pair) for pair in pairs])
        if against.foreground is None:
            return values
        masked = list(zip(pairs, against.foreground, strict=True))
        for name, inside in (("foreground", True), ("background", False)):
            ratios = [pixels.psnr(*pair, mask=mask == inside) for pair, mask in masked]
            values[f"psnr_{name}"] = pixels.mean_psnr(ratios)
        return values

    def _lpips(self, images: Images, others: Images) -> float | str:
        return _mean(lambda: features.lpips_distance(images, others, self.device))


def _mean(compute: Callable[[], list[float]]) -> float | str:
    """Give the mean of what is computed, or the reason why it cannot be."""
    try:
        return float(np.mean(compute()))
    except ValueError as error:
        return _reason(error)


def _reason(error: ValueError) -> str:
    """Say why a metric is missing, without folders of this machine."""
    if not isinstance(error, features.MissingWeights):
        return str(error)
    _warn(f"{error}; then score again with i2i-bench evaluate RUN --force")
    return error.reason


@functools.cache  # once is enough
def _warn(message: str) -> None:
    logger.warning(message)


def _attention(
    background: NDArray[np.float32] | None, foreground: Sequence[NDArray[np.bool_]] | None
) -> Found:
    """Compare the attention of the copying mask with the true foreground."""
    if background is None:
        names = ("background_share", "mask_iou") if foreground else ("background_share",)
        return {name: "no mask copies the input" for name in names}
    found: Found = {"background_share": _mean(lambda: [mask_metrics.background_share(background)])}
    if foreground is not None:
        pairs = list(zip(background, foreground, strict=True))
        found["mask_iou"] = _mean(lambda: [mask_metrics.foreground_iou(*pair) for pair in pairs])
    return found


def save_images(folder: Path, names: Sequence[str], images: Images) -> None:
    """Write images as PNG under their sources' names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / f"{Path(name).stem}.png")


def sample_rows(
    model: Model, found: Translations, against: Reference, *, device: torch.device, count: int = 4
) -> Iterator[dict[str, NDArray[np.generic]]]:
    """Give the captioned pictures of the first test images: source, translation, masks and all."""
    direction = found.direction
    sources = to_float(torch.from_numpy(found.sources[:count]).permute(0, 3, 1, 2).to(device))
    model.networks.eval()
    with torch.no_grad():
        batch = Batch({direction.source: sources})
        fakes = model.translate(batch, direction)
        back = model.translate(Batch({direction.target: fakes}), direction.reverse)
        masks = model.masks(batch, direction)
    reconstructed = _channels_last(to_uint8(back))
    for i in range(len(sources)):
        row: dict[str, NDArray[np.generic]] = {
            "source": found.sources[i],
            "translation": found.fakes[i],
            "reconstruction": reconstructed[i],
        }
        if against.truth is not None:
            row["truth"] = against.truth[i]
        if masks is not None:
            for k, attention in enumerate(masks.attention[i].float().cpu().numpy()):
                copied = " (background)" if k == masks.background else ""
                row[f"attention {k + 1}{copied}"] = attention
            if masks.content is not None:
                contents = _channels_last(to_uint8(masks.content[i]))
                row |= {f"content {k + 1}": image for k, image in enumerate(contents)}
        yield row


def _channels_last(images: torch.Tensor) -> Images:
    """Turn (images, 3, height, width) into arrays (images, height, width, 3)."""
    return np.ascontiguousarray(images.cpu().permute(0, 2, 3, 1).numpy())

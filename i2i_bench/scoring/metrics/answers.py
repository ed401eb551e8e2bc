"""Translations where several are right: how many of them are, and which of the right ones."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from i2i_bench.metric import Deferred, Metric, each
from i2i_bench.scoring.metrics.pixels import PSNR_CAP, mean_psnr, psnr

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = Deferred("numpy")

OUTPUTS = 20  # of each input, among which right answers are looked for
ANSWER_LIMIT = 48.0  # levels of 255; how far from a right answer an output may be to be it


def answer_distance(
    images: NDArray[Any], answers: NDArray[Any], foreground: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return how far images are from right answers, in levels of 255.

    The distance of two images is the root mean square difference over the foreground or over the
    pixels around it, whichever is greater, so that a small foreground counts as much as the rest.
    It keeps to the triangle inequality, as each of the two does.

    Args:
        images: uint8 (images, height, width, 3), of one input.
        answers: uint8 (answers, height, width, 3), of the same.
        foreground: Boolean (height, width), where answers may differ from the input.

    Returns:
        (images, answers).

    Raises:
        ValueError: If an array is not of this type and shape, or the foreground is empty.
    """
    _check(images, answers, foreground)
    difference = images[:, None].astype(np.float64) - answers[None]
    squares = (difference**2).mean(axis=-1)
    parts = [squares[..., mask].mean(axis=-1) for mask in (foreground, ~foreground) if mask.any()]
    return np.sqrt(np.max(parts, axis=0))


def valid_share(
    outputs: NDArray[Any], answers: NDArray[Any], foreground: NDArray[np.bool_]
) -> float:
    """Return the share of the outputs of one input that are one of its right answers.

    An output is an answer from which it is at most ``ANSWER_LIMIT`` away.

    Args:
        outputs: uint8 (outputs, height, width, 3).
        answers: uint8 (answers, height, width, 3).
        foreground: Boolean (height, width), where answers may differ from the input.

    Raises:
        ValueError: As ``answer_distance``, or if two answers are so near that an output could be
            both of them.
    """
    return float(_is_answer(outputs, answers, foreground).any(axis=1).mean())


def modes_found(
    outputs: NDArray[Any], answers: NDArray[Any], foreground: NDArray[np.bool_]
) -> float:
    """Return how many different right answers are among the outputs of one input.

    Args:
        outputs: uint8 (``OUTPUTS``, height, width, 3).
        answers: uint8 (answers, height, width, 3).
        foreground: Boolean (height, width), where answers may differ from the input.

    Raises:
        ValueError: As ``valid_share``, or if there are more or fewer outputs.
    """
    if len(outputs) != OUTPUTS:
        raise ValueError(
            f"modes are counted among {OUTPUTS} outputs of each input, not {len(outputs)}"
        )
    return float(_is_answer(outputs, answers, foreground).any(axis=0).sum())


def psnr_nearest(fake: NDArray[Any], answers: NDArray[Any], foreground: NDArray[np.bool_]) -> float:
    """Return the PSNR of one translation over the foreground, to the nearest right answer, in dB.

    Args:
        fake: uint8 (height, width, 3).
        answers: uint8 (answers, height, width, 3).
        foreground: Boolean (height, width).

    Returns:
        The ratio, at most ``PSNR_CAP``.

    Raises:
        ValueError: If an array is not of this type and shape, or the foreground is empty.
    """
    _check(fake[None], answers, foreground)
    return min(max(psnr(fake, answer, foreground) for answer in answers), PSNR_CAP)


def _is_answer(
    outputs: NDArray[Any], answers: NDArray[Any], foreground: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tell which output is which answer, (outputs, answers); an output is one of them at most."""
    found = answer_distance(outputs, answers, foreground) <= ANSWER_LIMIT
    apart = answer_distance(answers, answers, foreground)
    pairs = itertools.combinations(range(len(answers)), 2)
    nearest = min((apart[one, other] for one, other in pairs), default=math.inf)
    if nearest <= 2 * ANSWER_LIMIT:
        raise ValueError(
            f"two right answers are {nearest:.1f} levels apart, and an output within "
            f"{ANSWER_LIMIT:g} of one could be both; valid outputs cannot be told apart"
        )
    return found


def _check(images: NDArray[Any], answers: NDArray[Any], foreground: NDArray[np.bool_]) -> None:
    """Refuse what are not images and answers of one input."""
    for name, array in (("outputs", images), ("answers", answers)):
        if array.ndim != 4 or array.shape[-1] != 3 or len(array) == 0 or array.dtype != np.uint8:
            raise ValueError(
                f"{name} must be uint8 of shape ({name}, height, width, 3), not {array.dtype} of "
                f"shape {array.shape}"
            )
    size = answers.shape[1:3]
    if images.shape[1:3] != size or foreground.shape != size or foreground.dtype != np.bool_:
        raise ValueError(
            f"outputs of {images.shape[1:3]}, answers of {size} and a foreground of "
            f"{foreground.shape}, {foreground.dtype}, are not of one input"
        )
    if not foreground.any():
        raise ValueError("the foreground is empty: there is no pixel to compare")


PSNR_NEAREST = Metric(
    "psnr_nearest",
    "PSNR nearest",
    unit="dB",
    digits=2,
    better="higher",
    meaning="over the true foreground, to the nearest right answer",
    needs=("fake", "answers", "foreground"),
    by_image=each(psnr_nearest),
    mean=mean_psnr,
    bounds=(0.0, PSNR_CAP),
    place=12,
)
VALID_SHARE = Metric(
    "valid_share",
    "valid",
    unit="%",
    digits=1,
    better="higher",
    scale=100,
    meaning=f"share of {OUTPUTS} outputs within {ANSWER_LIMIT:g} levels of a right answer",
    needs=("outputs", "answers", "foreground"),
    by_image=each(valid_share),
    bounds=(0.0, 1.0),
    num_outputs=OUTPUTS,
    place=14,
)
MODES_FOUND = Metric(
    "modes_found",
    "modes",
    digits=2,
    better="higher",
    meaning=f"different right answers among {OUTPUTS} outputs of one input",
    needs=("outputs", "answers", "foreground"),
    by_image=each(modes_found),
    bounds=(0.0, float(OUTPUTS)),
    num_outputs=OUTPUTS,
    place=16,
)

"""Metrics of tasks with several right answers, by closed form and on the palettes themselves."""

import itertools
import math

import numpy as np
import pytest

from i2i_bench.metric import Metric, Need
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.scoring.metrics.answers import (
    ANSWER_LIMIT,
    MODES_FOUND,
    OUTPUTS,
    PSNR_NEAREST,
    VALID_SHARE,
    answer_distance,
    modes_found,
    psnr_nearest,
    valid_share,
)
from i2i_bench.scoring.sample import Meter, Sample
from i2i_bench.tasks import catalogue

ROWS = (PSNR_NEAREST, VALID_SHARE, MODES_FOUND)
KEYS = {row.key for row in ROWS}
FOREGROUND = np.arange(16).reshape(4, 4) < 4  # the first row


def flat(*levels):
    """Make images of 4x4 pixels, each of one level."""
    return np.stack([np.full((4, 4, 3), level, np.uint8) for level in levels])


def around(image, level):
    """Change what is around the foreground."""
    changed = image.copy()
    changed[~FOREGROUND] = level
    return changed


def known(listed):
    """Give what a task knows."""
    assert listed is not None
    return listed


def pixels(images):
    return np.stack([np.asarray(image.read()) for image in images])


def pad(outputs):
    """Repeat the last output until there are ``OUTPUTS``."""
    return np.concatenate([outputs, np.repeat(outputs[-1:], OUTPUTS - len(outputs), axis=0)])


@pytest.fixture(scope="module", params=["palette", "palette-paired"])
def task(request):
    return catalogue.EMBEDDED[request.param]


@pytest.fixture(scope="module", params=["ab", "ba"])
def inputs(task, request):
    """Give source, right answers and foreground of each test image of a direction."""
    source, target = request.param
    answers = [pixels(each) for each in known(task.answers(source, target))]
    foreground = known(task.foreground(source, target))
    return list(zip(pixels(task.images("test", source)), answers, foreground, strict=True))


# Distances


def test_distance_is_that_of_the_part_that_differs_more():
    (image,) = flat(100)
    shifted = np.stack([image, around(image, 110), around(flat(130)[0], 90), flat(97)[0]])
    assert answer_distance(shifted, image[None], FOREGROUND).tolist() == [[0], [10], [30], [3]]


def test_distance_is_a_root_mean_square_over_pixels_and_channels():
    image, other = flat(0, 0)
    other[0, 0] = (30, 0, 0)  # one of 12 numbers of the foreground
    found = answer_distance(other[None], image[None], FOREGROUND)
    assert found == pytest.approx(30 / math.sqrt(12))


def test_distance_keeps_to_the_triangle_inequality():
    images = np.random.RandomState(0).randint(0, 256, (12, 4, 4, 3)).astype(np.uint8)
    apart = answer_distance(images, images, FOREGROUND)
    assert (apart == apart.T).all() and (apart.diagonal() == 0).all()
    for i, j, k in itertools.permutations(range(12), 3):
        assert apart[i, k] <= apart[i, j] + apart[j, k] + 1e-9


def test_foreground_may_be_the_whole_image_and_not_empty():
    assert answer_distance(flat(1), flat(3), np.ones((4, 4), bool)).tolist() == [[2]]
    with pytest.raises(ValueError, match="the foreground is empty"):
        answer_distance(flat(1), flat(3), np.zeros((4, 4), bool))


# Outputs


@pytest.mark.parametrize(
    ("levels", "share", "modes"),
    [
        ([0] * 20, 1, 1),
        ([0] * 19 + [200], 1, 2),
        ([48, 152, 248, 49], 0.15, 2),  # the last is repeated, and out of reach
        ([100], 0, 0),  # between two answers
        ([0, 49] * 10, 0.5, 1),
    ],
)
def test_share_and_modes_of_known_outputs(levels, share, modes):
    outputs, answers = pad(flat(*levels)), flat(0, 200)
    assert valid_share(outputs, answers, FOREGROUND) == pytest.approx(share)
    assert modes_found(outputs, answers, FOREGROUND) == modes


def test_output_that_is_right_in_the_foreground_alone_is_no_answer():
    outputs = pad(around(flat(0)[0], 49)[None])
    assert valid_share(outputs, flat(0, 200), FOREGROUND) == 0
    assert psnr_nearest(outputs[0], flat(0, 200), FOREGROUND) == 100


def test_nearest_answer_counts_for_psnr():
    assert psnr_nearest(flat(190)[0], flat(0, 200), FOREGROUND) == pytest.approx(
        20 * math.log10(25.5)
    )
    assert psnr_nearest(flat(0)[0], flat(0, 200), FOREGROUND) == 100


def test_answers_that_an_output_could_both_be_are_refused():
    outputs = pad(flat(0))
    assert valid_share(outputs, flat(0, 97), FOREGROUND) == 1
    for function in (valid_share, modes_found):
        with pytest.raises(ValueError, match=r"two right answers are 96\.0 levels apart"):
            function(outputs, flat(0, 96), FOREGROUND)


def test_modes_of_another_number_of_outputs_are_refused():
    with pytest.raises(ValueError, match="among 20 outputs of each input, not 19"):
        modes_found(pad(flat(0))[1:], flat(0, 200), FOREGROUND)


@pytest.mark.parametrize(
    ("outputs", "answers", "foreground", "why"),
    [
        (flat(0)[0], flat(0), FOREGROUND, "outputs must be uint8 of shape"),
        (flat(0) / 255, flat(0), FOREGROUND, "outputs must be uint8 .*, not float64"),
        (flat(0), flat(0)[:0], FOREGROUND, "answers must be uint8"),
        (flat(0), flat(0)[:, :3], FOREGROUND, "are not of one input"),
        (flat(0), flat(0), FOREGROUND[:3], "are not of one input"),
        (flat(0), flat(0), FOREGROUND * 1, "are not of one input"),
    ],
)
def test_what_are_not_outputs_and_answers_of_one_input_is_refused(
    outputs, answers, foreground, why
):
    with pytest.raises(ValueError, match=why):
        valid_share(outputs, answers, foreground)


# The palettes


def test_no_output_can_be_two_answers_of_a_test_image(inputs):
    for _, answers, foreground in inputs:
        apart = answer_distance(answers, answers, foreground)
        different = apart[~np.eye(len(answers), dtype=bool)]
        assert (different > 2 * ANSWER_LIMIT).all()


def test_each_answer_is_found_and_the_source_is_none(inputs):
    for source, answers, foreground in inputs:
        assert modes_found(pad(answers), answers, foreground) == len(answers)
        assert valid_share(answers, answers, foreground) == 1
        assert valid_share(source[None], answers, foreground) == 0


def test_an_object_left_as_it_was_makes_an_output_wrong(task):
    answers, sources = known(task.answers("a", "b")), pixels(task.images("test", "a"))
    masks, foreground = known(task.true_masks("a", "b")), known(task.foreground("a", "b"))
    for source, right, instances, mask in zip(sources, answers, masks, foreground, strict=True):
        outputs = pixels(right)
        for instance in instances.read():
            wrong = np.where(instance[..., None], source, outputs)
            assert valid_share(wrong, outputs, mask) == 0


def test_objects_of_two_palettes_make_an_output_wrong(task):
    answers, foreground = known(task.answers("a", "b")), known(task.foreground("a", "b"))
    for right, instances, mask in zip(
        answers, known(task.true_masks("a", "b")), foreground, strict=True
    ):
        outputs, (first, *others) = pixels(right), instances.read()
        if others:
            mixed = np.where(first[..., None], np.roll(outputs, 1, axis=0), outputs)
            assert valid_share(mixed, outputs, mask) == 0


def test_image_of_one_colour_and_mean_of_the_answers_are_wrong(inputs):
    for _, answers, foreground in inputs:
        colours = [np.median(answer[foreground], axis=0) for answer in answers]
        painted = np.stack([np.zeros_like(answers[0]) + colour for colour in colours])
        assert valid_share(painted.astype(np.uint8), answers, foreground) == 0
        if len(answers) > 1:
            mean = answers.mean(axis=0).astype(np.uint8)
            assert valid_share(mean[None], answers, foreground) == 0


# Rows


def measure(given, rows: tuple[Metric, ...] = ROWS):
    return Meter().values(rows, Sample(given))


def test_rows_give_means_over_inputs(inputs):
    few = inputs[:4]
    sources, answers, foreground = (list(each) for each in zip(*few, strict=True))
    given = {"answers": np.stack(answers), "foreground": foreground}
    right = np.stack([pad(each) for each in answers])
    half = np.concatenate([right[:2], np.stack([pad(each[None]) for each in sources[2:]])])
    found = measure(given | {"fake": half[:, 0], "outputs": half})
    assert found["valid_share"] == 0.5
    assert found["modes_found"] == len(answers[0]) / 2
    assert found["psnr_nearest"] == pytest.approx(
        (200 + sum(psnr_nearest(s, a, f) for s, a, f in few[2:])) / 4
    )


def test_identity_baseline_has_values_and_a_model_without_outputs_a_reason(inputs):
    sources, answers, foreground = (list(each) for each in zip(*inputs, strict=True))
    images = np.stack(sources)
    outputs = np.broadcast_to(images[:, None], (len(images), OUTPUTS, *images.shape[1:]))
    given = {"fake": images, "answers": np.stack(answers), "foreground": foreground}
    found = measure(given | {"outputs": outputs})
    assert (found["valid_share"], found["modes_found"]) == (0, 0)
    taken = [1] * 4 if len(answers[0]) == 4 else [2, 2, 2, 1]  # channels; yellow is the nearest
    expected = [10 * math.log10(255**2 / (channels / 3 * 192**2)) for channels in taken]
    assert found["psnr_nearest"] == pytest.approx(np.mean(expected))
    told = measure(given | {"outputs": "images of one output"})
    assert told["valid_share"] == told["modes_found"] == "images of one output"


def test_scores_of_tasks_of_one_to_one_do_not_hold_the_rows():
    images = flat(0, 200)
    given: dict[Need, object] = {"fake": images, "source": images, "truth": images, "device": "cpu"}
    found = Meter().values(known_metrics(), Sample({**given, "foreground": [FOREGROUND] * 2}))
    assert not KEYS & found.keys() and "psnr_foreground" in found

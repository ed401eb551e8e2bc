"""Comparisons over the same test images: differences, their errors, and what is said of them."""

import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from sound_records import make_record

from i2i_bench import pretrained
from i2i_bench.data import test_set
from i2i_bench.data.directions import find_direction
from i2i_bench.data.png import save_images
from i2i_bench.model import A2B, B2A, ResizeRule
from i2i_bench.records import record
from i2i_bench.records.folders import Places, write_run_file
from i2i_bench.records.run import Run
from i2i_bench.report.differences import Comparison, Difference
from i2i_bench.runs.compare import _per_image, compare_sides, find_side
from i2i_bench.scoring import protocols
from i2i_bench.scoring.features import extract
from i2i_bench.scoring.metrics.distances import kid_unbiased
from i2i_bench.scoring.metrics.pixels import psnr
from i2i_bench.scoring.scorer import Scorer
from i2i_bench.scoring.translations import Translations, reference
from i2i_bench.system.progress import quiet
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.pixel_format import RGB
from i2i_bench.tasks.two_domains import two_domain_task

I2I = protocols.find_protocol("i2i")
NAMES = [f"test{i}.png" for i in range(8)]
A, B, PERFECT = "attentiongan+preset=tiny/seed0", "cyclegan+preset=tiny/seed0", "external/perfect"
BY_NAME = ("--images-b", "perfect")


def decoded(images):
    return np.stack([np.asarray(image.read()) for image in images])


def add_run(task, argument, model, noise):
    """Write what a run leaves: its record, its translations, and what finds its task."""
    scores, run = {}, Run(model, "preset=tiny", task.name, 0)
    folder = Path("runs") / run.folder
    for seed, direction in enumerate((A2B, B2A)):
        truth = decoded(task.truth(direction.source, direction.target))
        random = np.random.RandomState(seed + noise)
        fakes = (truth * 0.8 + random.randint(0, noise, truth.shape)).clip(0, 255).astype(np.uint8)
        sources = decoded(task.images("test", direction.source))
        found = Translations(direction, NAMES, sources, fakes)
        tests = test_set.TestSet(task, ResizeRule(32))
        against = reference(tests, direction)
        scores |= Scorer([I2I], torch.device("cpu"), quiet).score(task, found, against)
        save_images(folder / f"translations-{direction}", NAMES, fakes)
    write_run_file(folder, argument, is_finished=True)
    fields = {"task": task.name, "model": model, "scores": scores}
    record.write_record(RECORD.model_copy(update=fields), Path("results"))


RECORD = make_record(
    preset="tiny",
    variant="preset=tiny",
    headline="psnr",
    settings={"resampling": "bicubic", "resize": "square"},
)


@pytest.fixture(scope="module")
def task(pairs):
    return two_domain_task(pairs)


@pytest.fixture(scope="module")
def _compared(tmp_path_factory, cli, stand_in, task, pairs):
    """Score two runs and the true translations, with a stand-in for the Inception."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / "weights").mkdir()
    shutil.copy(stand_in / pretrained.INCEPTION_NAME, folder / "weights")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("results", "runs", "data", "weights", "cache"):
            patch.setenv(f"I2I_BENCH_{name.upper()}", str(folder / name))
        patch.chdir(folder)
        add_run(task, str(pairs), "attentiongan", 40)
        add_run(task, str(pairs), "cyclegan", 60)
        save_images(folder / "perfect", NAMES, decoded(task.truth("a", "b")))
        score = ("score", "perfect", "--task", pairs, "--direction", "a2b", "--name", "perfect")
        cli(*score)
    return folder


@pytest.fixture
def compared(_compared, places):
    """Give a copy of the places after these."""
    return Path(shutil.copytree(_compared, places, dirs_exist_ok=True))


@pytest.fixture
def compare(compared, task):
    """Give a function that compares two runs from a to b."""
    where = Places(Path("results"), Path("runs"), Path("data"))

    def run(*names):
        one, other = (find_side(f"{task.name}/{name}", None, where) for name in names)
        (found,) = compare_sides((one, other), task, I2I, ["a2b"], "cpu")
        return found

    return run


@pytest.fixture
def command(cli, compared, task):
    """Give a function that runs the command on runs and records named without their task."""

    def run(one, other, *more, code=0):
        return cli("compare", *(f"{task.name}/{name}" for name in (one, other)), *more, code=code)

    return run


def by_key(found: Comparison) -> dict[str, Difference]:
    return {difference.key: difference for difference in found.differences}


def translations(task, name):
    folder = Path("runs") / task.name / name / "translations-a2b"
    return np.stack([np.asarray(Image.open(folder / file)) for file in NAMES])


def kid(kernels, keep_real, keep_fake):
    """Give the unbiased KID of what is kept, from whole kernel matrices."""
    within_real, within_fake, across = kernels
    x = within_real[np.ix_(keep_real, keep_real)]
    y = within_fake[np.ix_(keep_fake, keep_fake)]
    m, n = len(x), len(y)
    return (
        (x.sum() - np.trace(x)) / (m * (m - 1))
        + (y.sum() - np.trace(y)) / (n * (n - 1))
        - 2 * across[np.ix_(keep_real, keep_fake)].mean()
    )


# Numbers


def test_difference_of_kids_and_its_error_are_those_of_leaving_each_image_out(compare, task):
    sets = decoded(task.images("test", "b")), translations(task, A), translations(task, B)
    x, *fakes = map(extract.extract_features, sets)

    def kernel(p, q):
        return (p @ q.T / p.shape[1] + 1) ** 3

    both = [(kernel(x, x), kernel(y, y), kernel(x, y)) for y in fakes]
    whole = np.arange(8)

    def difference(keep_real, keep_fake):
        return kid(both[0], keep_real, keep_fake) - kid(both[1], keep_real, keep_fake)

    less_real = [difference(np.delete(whole, i), whole) for i in range(8)]
    less_fake = [difference(whole, np.delete(whole, i)) for i in range(8)]
    error = math.sqrt(7 * (np.var(less_real) + np.var(less_fake)))
    found = by_key(compare(A, B))["kid"]
    assert found.difference == pytest.approx(difference(whole, whole), rel=1e-9)
    assert found.error == pytest.approx(error, rel=1e-9)
    assert found.one == pytest.approx(kid_unbiased(x, fakes[0])[0])


def test_values_are_those_of_the_records(compare, task):
    found = by_key(compare(A, B))
    assert found.keys() == {"psnr", "ssim", "psnr_source", "ssim_source", "kid"}
    for name, side in ((A, "one"), (B, "other")):
        path = Path("results") / task.name / f"{name}.json"
        values = record.read_record(path).scores["i2i@1/a2b"].values
        for key, difference in found.items():
            assert getattr(difference, side) == pytest.approx(values[key], rel=1e-12)


def test_paired_error_is_that_of_the_differences(compare, task):
    truth = decoded(task.truth("a", "b"))
    one, other = (
        np.array([psnr(*pair) for pair in zip(translations(task, name), truth, strict=True)])
        for name in (A, B)
    )
    found = by_key(compare(A, B))["psnr"]
    expected = one - other
    assert found.difference == pytest.approx(expected.mean())
    assert found.error == pytest.approx(expected.std(ddof=1) / math.sqrt(8))


def test_comparison_with_itself_is_exactly_zero(compare):
    found = compare(A, A)
    assert all((d.difference, d.error) == (0, 0) for d in found.differences)
    assert {d.verdict() for d in found.differences} == {"cannot be told apart"}


def test_other_order_changes_the_signs_alone(compare):
    forth, back = by_key(compare(A, B)), by_key(compare(B, A))
    for key, difference in forth.items():
        assert back[key].difference == pytest.approx(-difference.difference)
        assert back[key].error == pytest.approx(difference.error)


def test_headline_comes_first_and_missing_weights_are_a_reason(compare, task):
    found = compare(A, B)
    assert found.heading == f"{task.name}@1, a2b, i2i@1, n = 8"
    assert found.differences[0].key == task.headline == "psnr"
    assert found.reasons.keys() == {"lpips", "lpips_source"}
    assert "No LPIPS, LPIPS src: weights file alexnet" in found.sentences()[-1]


def test_foreground_and_background_are_compared_where_they_are_known():
    stripes = catalogue.EMBEDDED["stripes"]
    truth = decoded(stripes.truth("a", "b") or [])[:9]
    masks = (stripes.foreground("a", "b") or [])[:9]
    data = SimpleNamespace(
        pixels=(RGB, RGB),
        sources=truth,
        truth=truth,
        answers=None,
        foreground=masks,
        indices=list(range(9)),
        has=lambda metric: True,
    )
    wrong = np.where(np.stack(masks)[..., None], truth // 2, truth).astype(np.uint8)
    found = _per_image(wrong, cast(Any, data), "cpu")
    assert found["psnr_background"] == [100.0] * 9
    assert found["psnr_foreground"] == [
        psnr(image, true, mask) for image, true, mask in zip(wrong, truth, masks, strict=True)
    ]


# Words


@pytest.mark.parametrize(
    ("key", "difference", "error", "verdict", "text"),
    [
        ("kid", -0.012, 0.003, "A is better", "-1.20 ± 0.30"),
        ("kid", 0.012, 0.003, "B is better", "+1.20 ± 0.30"),
        ("kid", 0.012, 0.007, "cannot be told apart", "+1.20 ± 0.70"),
        ("kid", -0.0001, 0.00003, "A is better", "-0.010 ± 0.003"),
        ("kid", 0.012, None, "too few images to tell", "+1.20"),
        ("psnr", 1.0, 0.5, "A is better", "+1.00 ± 0.50"),
        ("psnr", -1.0, 0.5, "B is better", "-1.00 ± 0.50"),
        ("lpips_source", 0.1, 0.01, "differ", "+0.100 ± 0.010"),
        ("psnr", 0.0, 0.0, "cannot be told apart", "+0.00 ± 0.00"),
    ],
)
def test_verdict_follows_sign_error_and_metric(key, difference, error, verdict, text):
    found = Difference(key, 1.0, 1.0 - difference, difference, error)
    assert (found.verdict(), found.text()) == (verdict, text)
    assert verdict in found.sentence()


def test_sentence_says_what_the_error_is_not():
    assert Difference("kid", 0.03, 0.042, -0.012, 0.003).sentence() == (
        "KID x100: A is better than B by 1.20 ± 0.30: beyond the noise of the test images; "
        "training seeds are a noise of their own."
    )


# Commands


def test_compare_prints_each_direction_with_a_sentence(command, task):
    text = command(A, B)
    assert text.startswith(
        "A is attentiongan+preset=tiny, seed 0\nB is cyclegan+preset=tiny, seed 0\n"
    )
    assert [line for line in text.splitlines() if line.startswith(task.name)] == [
        f"{task.name}@1, a2b, i2i@1, n = 8",
        f"{task.name}@1, b2a, i2i@1, n = 8",
    ]
    assert text.count("\nKID x100: ") == 2
    assert "b2a" not in command(A, B, "--direction", "a2b")


@pytest.mark.parametrize("form", ["runs/{}/{}", "results/{}/{}.json", "{}/{}"])
def test_compare_finds_a_run_by_folder_record_and_name(cli, compared, task, form):
    names = (form.format(task.name, A), f"{task.name}/{A}")
    assert "cannot be told apart" in cli("compare", *names, "--direction", "a2b")


@pytest.mark.parametrize("form", ["{}/{}", "results/{}/{}.json"])
def test_images_of_another_program_are_compared_with_a_run(cli, compared, task, form):
    names = (f"{task.name}/{A}", form.format(task.name, PERFECT))
    text = cli("compare", *names, *BY_NAME)
    assert "B is perfect (external)" in text
    assert "PSNR dB: B is better than A by " in text
    assert "b2a" not in text  # not scored


def test_two_external_records_need_the_folder_of_their_task(command, pairs):
    both = (PERFECT, PERFECT, "--images-a", "perfect", *BY_NAME)
    assert "name its folder with --task" in command(*both, code=1)
    assert "cannot be told apart" in command(*both, "--task", pairs)


def test_real_runs_are_compared(cli, finished):
    text = cli("compare", *sorted(Path("results").glob("*/*/seed0.json")))
    assert "No KID: weights file" in text
    assert "n = 2" in text


def _blacken(folder):
    Image.new("RGB", (32, 32)).save(folder / NAMES[0])


def _remove(folder):
    (folder / NAMES[0]).unlink()


def _rescore(key, value):
    """Change what a record says of its score."""

    def change(folder):
        (path,) = Path("results").glob(f"*/{A}.json")
        found = record.read_record(path)
        score = found.scores["i2i@1/a2b"].model_copy(update={key: value})
        scores = {**found.scores, "i2i@1/a2b": score}
        record.write_record(found.model_copy(update={"scores": scores}), Path("results"))

    return change


PERFECT_FOLDER = Path("perfect")


@pytest.mark.parametrize(
    ("spoil", "arguments", "part"),
    [
        (None, (A, PERFECT), "say where they are with --images-a or --images-b"),
        (None, (PERFECT, A), "say where they are with --images-a or --images-b"),
        (None, (A, B, "--images-b", "perfect"), "is a run, whose images are in"),
        (None, (A, "cyclegan/seed0"), "no run folder-pairs"),
        (None, (A, "external/other"), "/external/other in "),
        (None, (A, "external/perfct"), "/external/perfect'?"),
        (None, (A, B, "--protocol", "ugatit"), "has no jackknife"),
        (None, (A, B, "--protocol", "ugatit", "--direction", "a2b"), "has no jackknife"),
        (None, (A, B, "--protocol", "i2j"), "did you mean 'i2i'?"),
        (None, (A, B, "--direction", "a2c"), "is not scored under i2i@1/a2c; it is under i2i@1"),
        (None, (A, PERFECT, *BY_NAME, "--direction", "b2a"), "is not scored under i2i@1/b2a"),
        (None, (A, B, "--task", "hue"), "hue is task hue, but A and B are of folder-pairs"),
        (_blacken, (A, B), "are no longer those that were scored"),
        (_remove, (A, B), "--force translates again"),
        (
            lambda _: _blacken(PERFECT_FOLDER),
            (A, PERFECT, *BY_NAME),
            "are no longer those that were scored",
        ),
        (
            lambda _: _remove(PERFECT_FOLDER),
            (A, PERFECT, *BY_NAME),
            "perfect has translations of 7",
        ),
        (_rescore("image_size", 64), (A, B), "image size is 64 for A and 32 for B"),
        (_rescore("pixels_sha256", {"real": "0" * 64}), (A, B), "real images differ, which"),
        (_rescore("task_version", 2), (A, B), "task version is 2 for A and 1 for B"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(command, spoil, arguments, part):
    if spoil:
        (folder,) = Path("runs").glob(f"*/{A}/translations-a2b")
        spoil(folder)
    sentence = command(*arguments, code=1)
    assert part in sentence, sentence


def _state(task, name, direction):
    """Turn a run into that of a model of one way."""
    found = record.read_record(Path(f"results/{task.name}/{name}.json"))
    scores = {key: s for key, s in found.scores.items() if s.direction == direction}
    changes = {"directions": [direction], "scores": scores}
    record.write_record(found.model_copy(update=changes), Path("results"))


def test_models_of_one_way_are_compared_in_it(command, task):
    _state(task, A, "a2b")
    said = command(A, B)
    assert "a2b" in said and "b2a" not in said
    sentence = command(A, B, "--direction", "b2a", code=1)
    assert sentence.startswith("attentiongan+preset=tiny, seed 0 is not scored under i2i@1/b2a")
    assert sentence.endswith("(attentiongan+preset=tiny, seed 0, translates a2b only)")
    _state(task, B, "b2a")
    sentence = command(A, B, code=1)
    assert sentence == (
        "A and B are not both scored under i2i@1 in any direction; attentiongan+preset=tiny, "
        "seed 0, translates a2b only; cyclegan+preset=tiny, seed 0, translates b2a only"
    )


def test_different_tasks_are_not_compared(cli, compared, task):
    hue = record.read_record(Path(f"results/{task.name}/{B}.json")).model_copy(
        update={"task": "hue"}
    )
    record.write_record(hue, Path("results"))
    sentence = cli("compare", f"{task.name}/{A}", f"hue/{B}.json", code=1)
    assert sentence == f"A is of task {task.name} and B of hue; compare on the same task"


def test_scores_of_an_older_task_are_told_from_those_of_now(command, task):
    for name in (A, B):
        found = record.read_record(Path(f"results/{task.name}/{name}.json"))
        scores = {k: s.model_copy(update={"task_version": 7}) for k, s in found.scores.items()}
        record.write_record(found.model_copy(update={"scores": scores}), Path("results"))
    assert "scored on version 7 of task folder-pairs" in command(A, B, code=1)


def test_direction_is_one_of_the_task(task):
    with pytest.raises(ValueError, match="has no direction b2c; possible: a2b, b2a"):
        find_direction(task, "b2c")
    assert find_direction(task, "a2b") == A2B

"""Which training images are held out, and what is known of them."""

import hashlib
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from face_sets import make_rafd
from PIL import Image

from i2i_bench.labels import EVERY
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.catalogue import EMBEDDED, find_task
from i2i_bench.tasks.embedded import shapes
from i2i_bench.tasks.embedded.drawing import draw_scene
from i2i_bench.tasks.task import Reader
from i2i_bench.tasks.validation import held_out, scored_on

# Part of the definition: another value means that other images are held out than for old records.
HELD_OF_STRIPES = "22f18f93e252a631"


def names(task, split, domain):
    return [image.name for image in task.images(split, domain)]


def pixels(images):
    return np.stack([np.asarray(image.read()) for image in images])


def digest(task):
    held = {domain: sorted(found) for domain, found in held_out(task).items()}
    return hashlib.sha256(repr(sorted(held.items())).encode()).hexdigest()[:16]


def write(folder, counts, suffix=""):
    """Write tiny images, so many a folder, each of its own colour."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            end = f"_{name[-1]}" if suffix else ""
            image = Image.new("RGB", (8, 8), (i, len(name), 90))
            image.save(folder / name / f"{i:03}{end}.png")
    return folder


@dataclass(frozen=True)
class Reversed(Reader):
    """List the images of another reader from the last to the first."""

    other: Reader

    def images(self, split, domain):
        return self.other.images(split, domain)[::-1]


def test_what_is_held_out_follows_from_the_task_alone():
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; from test_validation import *; "
        "print(digest(EMBEDDED['stripes']))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, *map(str, Path(__file__).parents[:2])],
        capture_output=True,
        text=True,
        check=True,
    )
    task = EMBEDDED["stripes"]
    assert digest(task) == digest(replace(task, reader=Reversed(task.reader)))
    assert {told.stdout.strip(), digest(task)} == {HELD_OF_STRIPES}


def test_another_task_or_version_holds_others_out():
    task = EMBEDDED["stripes"]
    others = [replace(task, name="other"), replace(task, version=2)]
    assert len({digest(task), *map(digest, others)}) == 3


@pytest.mark.parametrize("name", sorted(EMBEDDED))
def test_a_tenth_of_each_embedded_task_is_held_out_and_the_rest_is_trained_on(name):
    whole, task = EMBEDDED[name], scored_on(EMBEDDED[name], "validation")
    assert (task.split, task.name, task.version) == ("validation", whole.name, whole.version)
    for domain in task.domains:
        held, left = names(task, "test", domain), names(task, "train", domain)
        assert sorted(held + left) == names(whole, "train", domain)
        assert (held, left) == (sorted(held), sorted(left))
        assert len(held) == len(names(whole, "train", domain)) // 10 == task.num_test[domain]
        assert len(left) == task.num_train[domain]
        labels = task.labels("test", domain)
        if labels is not None:
            assert set(Counter(labels).values()) == {len(held) // len(set(labels))}  # balanced


def test_truth_of_held_out_stripes_is_what_the_generator_draws():
    task = scored_on(EMBEDDED["stripes"], "validation")
    sources, truth, changed = (
        task.images("test", "b"),
        task.truth("b", "a") or [],
        np.stack(task.foreground("b", "a") or []),
    )
    before, after = pixels(sources), pixels(truth)
    assert len(before) == len(after) == len(changed) == 100
    assert (before[~changed] == after[~changed]).all()
    for source, found in zip(sources, after, strict=True):
        scene = shapes.shapes_scene("stripes", "train", "b", int(source.name[:4]))
        assert (found == draw_scene(scene, shapes.LOOKS["stripes"]["a"])).all()


def test_truth_of_a_held_out_pair_is_its_partner():
    task = scored_on(EMBEDDED["stripes-paired"], "validation")
    assert names(task, "test", "a") == names(task, "test", "b")
    assert (pixels(task.truth("a", "b") or []) == pixels(task.images("test", "b"))).all()


def test_all_answers_of_held_out_palettes_are_known():
    task = scored_on(EMBEDDED["palette-paired"], "validation")
    answers, shown = task.answers("a", "b") or [], pixels(task.images("test", "b"))
    assert {len(each) for each in answers} == {4}
    for each, image in zip(answers, shown, strict=True):
        assert any((image == np.asarray(answer.read())).all() for answer in each)


def test_truth_of_a_changed_label_keeps_its_images_in_order():
    task = scored_on(EMBEDDED["shapes-attributes"], "validation")
    sources, truth = task.images("test", "-cold"), task.truth("-cold", "+cold") or []
    masks = task.true_masks("-cold", "+cold") or []
    assert [each.name for each in sources] == [each.name for each in truth]
    assert [each.name for each in sources] == [each.name for each in masks]
    assert len(sources) == 100


def test_pairs_of_a_folder_stay_together(tmp_path):
    counts = {"trainA": 40, "trainB": 40, "testA": 2, "testB": 2}
    task = scored_on(find_task(str(write(tmp_path / "x", counts, "pairs")), tmp_path), "validation")
    stems = [[name[:3] for name in names(task, "test", domain)] for domain in "ab"]
    assert task.paired and stems[0] == stems[1] and len(stems[0]) == 4
    assert [image.name for image in task.truth("a", "b") or []] == names(task, "test", "b")


def test_persons_are_not_on_both_sides(tmp_path):
    make_rafd(tmp_path / "rafd", 20)
    task = scored_on(find_task("rafd", tmp_path), "validation")
    persons = [{name[8:10] for name in names(task, split, EVERY)} for split in ("train", "test")]
    assert persons[0] and len(persons[1]) == 2 and not persons[0] & persons[1]
    assert len(task.truth("neutral", "happy") or []) == len(names(task, "test", "neutral")) == 4
    part = scored_on(find_task("rafd:neutral2happy", tmp_path), "validation")
    assert [image.name for image in part.truth("a", "b") or []] == names(part, "test", "b")
    assert not {n[8:10] for n in names(part, "train", "b")} & {
        n[8:10] for n in names(part, "test", "a")
    }


def test_rare_domains_are_on_both_sides(tmp_path):
    counts = {"train/common": 60, "train/rare": 4, "test/common": 1, "test/rare": 1}
    task = scored_on(find_task(str(write(tmp_path / "x", counts)), tmp_path), "validation")
    found = [[len(names(task, s, d)) for d in ("common", "rare")] for s in ("test", "train")]
    assert found[0][1] == 2 and found[1][1] == 2 and 5 <= found[0][0] <= 7
    assert scored_on(task, "validation") is task


@pytest.mark.parametrize("count", [1, 2, 3, 6, 29, 30])
def test_few_images_are_halved_and_one_is_refused(count, tmp_path):
    counts = {"trainA": count, "trainB": 30, "testA": 1, "testB": 1}
    whole = find_task(str(write(tmp_path / "x", counts)), tmp_path)
    if count == 1:
        with pytest.raises(ValueError, match="too few training images of a to hold"):
            scored_on(whole, "validation")
        return
    task = scored_on(whole, "validation")
    assert task.num_test["a"] >= min(3, count // 2)
    assert task.num_train["a"] == count - task.num_test["a"] >= 1


def test_unknown_splits_are_refused():
    with pytest.raises(ValueError, match="unknown split 'train'; runs are scored on: test, valid"):
        scored_on(EMBEDDED["stripes"], "train")
    assert scored_on(EMBEDDED["stripes"], "test") is catalogue.EMBEDDED["stripes"]

"""A test set is decoded once, whatever asks for which of its images."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_bench.data import test_set
from i2i_bench.data.decode import decode_images
from i2i_bench.data.png import save_images
from i2i_bench.model import A2B, B2A, Direction, ResizeRule
from i2i_bench.plugins import cost as plugins_cost
from i2i_bench.plugins import registry
from i2i_bench.records.folders import Places
from i2i_bench.runs import execute
from i2i_bench.runs.bench import Bench
from i2i_bench.runs.evaluate import evaluate_run
from i2i_bench.runs.execute import execute_run
from i2i_bench.runs.job import Choices
from i2i_bench.runs.plan import make_job
from i2i_bench.scoring import external, protocols
from i2i_bench.system.progress import quiet
from i2i_bench.tasks import catalogue, many_domains
from i2i_bench.tasks.task import SPLITS, Reader, TaskImage
from i2i_bench.tasks.two_domains import two_domain_task

pytestmark = pytest.mark.slow  # whole runs and commands

RULE = ResizeRule(16)
DOMAINS = ("happy", "neutral", "sad")


class CountingReader(Reader):
    """Count how often each image of a task is read, by what tells it from all others."""

    def __init__(self, task):
        self.reader, self.reads = task.reader, Counter()
        domains = {*task.domains, *(end for pair in task.labelling.changes() for end in pair)}
        listed = {s: [i for d in domains for i in self.reader.images(s, d)] for s in SPLITS}
        self.known = {split: {self.key(image) for image in listed[split]} for split in SPLITS}
        self.counted = {}

    def labels(self, split, domain):
        return self.reader.labels(split, domain)

    def foreground(self, source, target, split="test"):
        return self.reader.foreground(source, target, split)

    @staticmethod
    def key(image):
        return image.name, image.read.func, image.read.args

    def count(self, image):
        key = self.key(image)

        def read():
            self.reads[key] += 1
            return image.read()

        return self.counted.setdefault(key, TaskImage(image.name, read))

    def images(self, split, domain):
        return [self.count(image) for image in self.reader.images(split, domain)]

    def truth(self, source, target, split="test"):
        found = self.reader.truth(source, target, split)
        return None if found is None else [self.count(image) for image in found]

    def times(self, split):
        """Give how often each image of a split was read."""
        return [self.reads[key] for key in self.known[split]]


def counting(task):
    return dataclasses.replace(task, reader=CountingReader(task))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Give a labelled folder task of 16x16 noise, two test images a domain."""
    folder, random = tmp_path_factory.mktemp("labelled") / "faces", np.random.RandomState(0)
    for split, count in (("train", 4), ("test", 2)):
        for name in DOMAINS:
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                noise = random.randint(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(noise).save(folder / split / name / f"{i}.png")
    return many_domains.many_domain_task(folder)


@pytest.fixture
def task(request, tiny, pairs, faces):
    """Give a task of one kind, which counts what is read."""
    kinds = {"unpaired": lambda: two_domain_task(tiny), "paired": lambda: two_domain_task(pairs)}
    kinds |= {"labelled": lambda: faces}
    kinds |= {name: lambda: catalogue.EMBEDDED[request.param] for name in catalogue.EMBEDDED}
    return counting(kinds[request.param]())


def truth_of(tests, direction, rows=None):
    found = tests.truth(direction, rows)
    assert found is not None
    return found


def decoded(task, domain, rule=RULE):
    return decode_images(task.reader.reader.images("test", domain), rule)


every_kind = pytest.mark.parametrize("task", ["unpaired", "paired", "labelled"], indirect=True)


# A run


@pytest.fixture
def job(task):
    name = "attentiongan-multi" if task.attributes else "attentiongan"
    return make_job(name, registry.load_model(name), ("typed", task), 0, Choices("tiny", {}, 8))


@pytest.fixture
def bench(places):
    where = Places(places / "results", places / "runs", places / "data")
    return Bench(where, [protocols.find_protocol("i2i")], torch.device("cpu"), quiet)


@every_kind
def test_a_run_decodes_each_test_image_and_counts_multiply_adds_once(task, job, bench, monkeypatch):
    counted, count_macs = [], plugins_cost.count_macs
    monkeypatch.setattr(
        execute, "count_macs", lambda *a, **k: counted.append(a) or count_macs(*a, **k)
    )
    execute_run(job, bench)
    assert set(task.reader.times("test")) == {1}
    assert len(counted) == 1
    task.reader.reads.clear()
    evaluate_run(job, bench, force=True)
    assert set(task.reader.times("test")) == {1}


@pytest.mark.parametrize("task", ["unpaired"], indirect=True)
def test_a_run_decodes_a_training_image_at_most_for_training_and_for_a_half(task, job, bench):
    execute_run(job, bench)
    assert set(task.reader.times("train")) <= {1, 2}


@pytest.mark.parametrize("task", ["paired"], indirect=True)
def test_images_of_other_programs_are_scored_with_each_test_image_decoded_once(task, places):
    truth = decoded(task, "b", ResizeRule(32))
    names = [image.name for image in task.images("test", "a")]
    save_images(places / "fakes", names, truth)
    external.load_submission(external.Submission(places / "fakes", task, A2B))
    assert set(task.reader.times("test")) == {1}


# What it gives


@pytest.mark.parametrize(
    "task", ["unpaired", "paired", "labelled", "stripes", "shapes-attributes"], indirect=True
)
def test_images_of_every_domain_are_those_of_the_task_in_its_order(task):
    tests = test_set.TestSet(task, RULE)
    changes = [end for pair in task.labelling.changes() for end in pair]
    for domain in [*changes, *task.domains, *changes]:
        found = tests.images(domain)
        assert found.dtype == np.uint8
        assert np.array_equal(found, decoded(task, domain))
        assert tests.names(domain) == [image.name for image in task.images("test", domain)]
    assert set(task.reader.times("test")) == {1}


@every_kind
def test_rows_of_a_domain_are_decoded_alone_and_not_again_with_the_rest(task):
    tests, domain = test_set.TestSet(task, RULE), task.domains[0]
    whole = decoded(task, domain)
    for rows in ([1], [1, 0], range(2), [1, 1], []):
        assert np.array_equal(tests.images(domain, rows), whole[list(rows)])
    assert sum(task.reader.times("test")) == 2
    assert np.array_equal(tests.images(domain), whole)
    assert set(task.reader.reads.values()) == {1}


@pytest.mark.parametrize("task", ["labelled"], indirect=True)
def test_rows_of_a_domain_of_a_labelled_task_are_counted_within_it(task):
    tests = test_set.TestSet(task, RULE)
    assert np.array_equal(tests.images("+sad", [1]), decoded(task, "+sad")[1:])
    assert sum(task.reader.times("test")) == 1


@pytest.mark.parametrize("task", ["unpaired"], indirect=True)
def test_a_whole_domain_is_handed_out_without_a_copy(task):
    tests = test_set.TestSet(task, RULE)
    tests.decode_all()
    assert np.shares_memory(tests.images("a"), tests.images("a", [1]))
    assert np.asarray(tests.images("a")).flags.c_contiguous


@pytest.mark.parametrize("task", ["paired"], indirect=True)
def test_true_translations_of_pairs_are_the_test_images_of_the_target(task):
    tests = test_set.TestSet(task, RULE)
    for direction in (A2B, B2A):
        truth = truth_of(tests, direction)
        assert np.shares_memory(truth, tests.images(direction.target))
        assert np.array_equal(truth_of(tests, direction, [5, 2]), truth[[5, 2]])
    assert set(task.reader.times("test")) == {1}


@pytest.mark.parametrize("task", ["stripes"], indirect=True)
def test_true_translations_that_are_drawn_are_no_test_images(task):
    tests = test_set.TestSet(task, ResizeRule(32))
    truth = [np.asarray(image.read()) for image in task.reader.reader.truth("a", "b")]
    assert np.array_equal(truth_of(tests, A2B), truth)
    assert np.array_equal(truth_of(tests, A2B, [7, 3]), np.stack(truth)[[7, 3]])
    assert not np.array_equal(tests.images("b"), truth_of(tests, A2B))


@pytest.mark.parametrize("task", ["unpaired"], indirect=True)
def test_without_pairs_there_is_no_truth(task):
    assert test_set.TestSet(task, RULE).truth(A2B) is None


@every_kind
def test_unknown_domains_are_refused_in_the_words_of_the_task(task):
    words = "there is no attribute c" if task.attributes else "has the different domains a, b"
    with pytest.raises(ValueError, match=words):
        test_set.TestSet(task, RULE).images("c")


@pytest.mark.parametrize("task", ["labelled"], indirect=True)
def test_sources_of_a_pair_of_domains_leave_the_others_undecoded(task):
    tests = test_set.TestSet(task, RULE)
    pair = Direction("happy", "sad")
    for domain in (pair.source, pair.target):
        assert np.array_equal(tests.images(domain), decoded(task, domain))
    assert sorted(task.reader.times("test")) == [0, 0, 1, 1, 1, 1]

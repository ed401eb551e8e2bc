"""A task with the first few of its images, where a test needs no more of them."""

import copy
import dataclasses

from i2i_bench.tasks.task import Task


def with_few_images(task: Task, count: int = 16) -> Task:
    """Give a task of the first images of each split and domain; what is known of them stays.

    Of a labelled task, the domains have what the first images of all are in.
    """

    class Few(type(task.reader)):
        """The reader of the task, which lists the first few."""

        def images(self, split, domain):
            return _kept(split, domain, super().images(split, domain))

        def labels(self, split, domain):
            return _kept(split, domain, super().labels(split, domain))

        def instance_masks(self, split, domain):
            return _kept(split, domain, super().instance_masks(split, domain))

        def truth(self, source, target, split="test"):
            return _kept(split, source, super().truth(source, target, split))

        def answers(self, source, target, split="test"):
            return _kept(split, source, super().answers(source, target, split))

        def foreground(self, source, target, split="test"):
            return _kept(split, source, super().foreground(source, target, split))

        def true_masks(self, source, target, split="test"):
            return _kept(split, source, super().true_masks(source, target, split))

    def _kept(split, domain, found):
        if found is None or not task.attributes:
            return found and found[:count]
        (every,) = task.domains
        first = {image.name for image in task.images(split, every)[:count]}
        names = [image.name for image in task.reader.images(split, domain)]
        return [each for name, each in zip(names, found, strict=True) if name in first]

    reader = copy.copy(task.reader)
    object.__setattr__(reader, "__class__", Few)  # of a frozen class
    train, test = (
        {domain: min(number, count) for domain, number in each.items()}
        for each in (task.num_train, task.num_test)
    )
    return dataclasses.replace(task, reader=reader, num_train=train, num_test=test)

"""The test images of a task, each decoded once however many directions and roles it has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from i2i_bench.data.decode import cut_size, decode_images, resized_size
from i2i_bench.data.instances import decode_instances
from i2i_bench.data.mixed import Images, gathered
from i2i_bench.data.window import windowed
from i2i_bench.model import Direction, ResizeRule
from i2i_bench.records.record import WholeImages
from i2i_bench.tasks.task import Task, TaskImage, TaskMasks

Instances = Images  # (images, instances, height, width), 0 or 1


class TestSet:
    """The test images of a task at one size, decoded when they are first asked for, and kept.

    An image is decoded once for all its roles: the source of one direction, the real image of
    another, the true translation of a paired task, a member of several domains of a labelled task.

    Decoded images stay in memory, ``3 * size**2`` bytes an image of 8-bit RGB: 20 MB for 100 images
    of 256 px, 0.1 GB for the 2,000 of CelebA at 128 px, 0.6 GB for 3,000 of 256 px. A domain that
    was decoded as a whole is returned without a copy and must not be changed in place; a domain of
    a labelled task is a copy. True translations that embedded tasks draw are not kept.

    Args:
        task: Whose images.
        rule: How they come to their size.
    """

    def __init__(self, task: Task, rule: ResizeRule) -> None:
        self.task, self.rule = task, rule
        self._domains = {d: _Domain(task.images("test", d), rule) for d in task.domains}

    def decode_all(self) -> None:
        """Decode every test image.

        Raises:
            ValueError: If one cannot be decoded, naming it.
        """
        for domain in self._domains:
            self.images(domain)

    def names(self, domain: str) -> list[str]:
        """Name the files of a domain, in the order of the task."""
        return [image.name for image in self.task.images("test", domain)]

    def images(self, domain: str, rows: Sequence[int] | None = None) -> Images:
        """Return images of a domain, (images, size, size, channels), or whole as ``decode_images``.

        Args:
            domain: One of the task's, or of those that its labels choose.
            rows: Which of the domain; all by default.

        Raises:
            ValueError: If there is no such domain, or an image cannot be decoded.
        """
        whole, places = self._find(domain)
        return whole.take(places if rows is None else [places[row] for row in rows])

    def shown(self, domain: str, rows: Sequence[int] | None = None) -> Images:
        """Return images of a domain as people see them, (images, height, width, 3), uint8.

        Raises:
            ValueError: As of ``images``.
        """
        return windowed(self.images(domain, rows), self.task.pixel_format(domain))

    def shown_truth(self, direction: Direction, rows: Sequence[int] | None = None) -> Images | None:
        """Return true translations as people see them; None where none are known.

        Raises:
            ValueError: As of ``truth``.
        """
        found = self.truth(direction, rows)
        pixels = self.task.pixel_format(direction.target)
        return None if found is None else windowed(found, pixels)

    def truth(self, direction: Direction, rows: Sequence[int] | None = None) -> Images | None:
        """Return true translations, (images, size, size, channels); None where none are known.

        Args:
            direction: From where to where.
            rows: Of which of the sources; of all by default.

        Raises:
            ValueError: If an image cannot be decoded.
        """
        known = self.task.truth(direction.source, direction.target)
        if not known:
            return None
        wanted = known if rows is None else [known[row] for row in rows]
        for domain in self._domains.values():
            places = domain.places_of(wanted)
            if places is not None:
                return domain.take(places)
        return decode_images(wanted, self.rule)

    def whole(self, domain: str) -> WholeImages | None:
        """Tell how the images of a domain that stay whole come to their size; None for squares.

        Raises:
            ValueError: If an image cannot be read.
        """
        if not self.rule.is_whole:
            return None
        cuts = [_largest_cut(each.size(), self.rule) for each in self.task.images("test", domain)]
        short = self.rule.size if self.rule.resize == "whole" else 0
        return WholeImages(
            short_side=short,
            multiple=self.rule.multiple,
            num_trimmed=sum(map(bool, cuts)),
            most_trimmed=max(cuts, default=0),
        )

    def answers(self, direction: Direction) -> NDArray[np.uint8] | None:
        """Return all right translations of each source, (images, answers, size, size, channels).

        Returns:
            None where only one is right, or they are unknown.

        Raises:
            ValueError: If an image cannot be decoded.
        """
        known = self.task.answers(direction.source, direction.target)
        if known is None:
            return None
        every = [image for one in known for image in one]
        decoded = decode_images(every, self.rule)
        assert isinstance(decoded, np.ndarray), "answers are of embedded tasks, of one shape"
        return decoded.reshape(len(known), -1, *decoded.shape[1:])

    def instances(
        self, domain: str, count: int, rows: Sequence[int] | None = None
    ) -> Instances | None:
        """Return instance masks of images, (images, count, size, size), uint8, 0 or 1.

        They are decoded anew at each call.

        Args:
            domain: Of the images.
            count: Most instances of an image, the largest first.
            rows: Which of the domain; all by default.

        Returns:
            None where the task has none.

        Raises:
            ValueError: If a mask cannot be read, naming it.
        """
        known = self.task.instance_masks("test", domain)
        if known is None:
            return None
        wanted = known if rows is None else [known[row] for row in rows]
        return self._decode(wanted, wanted, count)

    def true_instances(self, direction: Direction, count: int) -> Instances | None:
        """Return what ``instances`` of the sources become in a right translation; None if unknown.

        Raises:
            ValueError: If a mask cannot be read, naming it.
        """
        before = self.task.instance_masks("test", direction.source)
        after = self.task.true_masks(direction.source, direction.target)
        return None if before is None or after is None else self._decode(after, before, count)

    def _decode(self, masks: list[TaskMasks], like: list[TaskMasks], count: int) -> Instances:
        pairs = zip(masks, like, strict=True)
        found = (decode_instances(m, self.rule, count, is_cropped=True, like=n) for m, n in pairs)
        return gathered([each.numpy() for each in found])

    def _find(self, domain: str) -> tuple[_Domain, Sequence[int]]:
        """Give where the images of a domain are kept, and the place of each."""
        if domain in self._domains:
            return self._domains[domain], range(len(self._domains[domain].images))
        names = self.names(domain)
        (whole,) = self._domains.values()  # all images of a labelled task
        places = {image.name: place for place, image in enumerate(whole.images)}
        return whole, [places[name] for name in names]


class _Domain:
    """The test images of a domain, and those of them that were asked for, decoded in blocks."""

    def __init__(self, images: Sequence[TaskImage], rule: ResizeRule) -> None:
        self.images, self._rule = images, rule
        self._places = {image: place for place, image in enumerate(images)}
        self._blocks: list[Images] = []
        self._kept: dict[int, tuple[int, int]] = {}  # place → number of its block, row in it

    def places_of(self, images: Sequence[TaskImage]) -> list[int] | None:
        """Give the places of images; None if not all are of this domain."""
        found = [self._places.get(image, -1) for image in images]
        return None if -1 in found else found

    def take(self, places: Sequence[int]) -> Images:
        """Return the images of these places, after those that are missing were decoded."""
        missing = [place for place in dict.fromkeys(places) if place not in self._kept]
        if missing or not self._blocks:
            block = decode_images([self.images[place] for place in missing], self._rule)
            self._kept |= {place: (len(self._blocks), row) for row, place in enumerate(missing)}
            self._blocks.append(block)
        where = [self._kept[place] for place in places]
        number, first = where[0] if where else (0, 0)
        if where == [(number, row) for row in range(first, first + len(where))]:
            return self._blocks[number][first : first + len(where)]
        return gathered([self._blocks[number][row] for number, row in where])


def _largest_cut(size: tuple[int, int], rule: ResizeRule) -> int:
    """Give how many pixels are cut off width or height of an image of this size, the larger."""
    resized, left = resized_size(size, rule), cut_size(size, rule)
    return max(before - after for before, after in zip(resized, left, strict=True))

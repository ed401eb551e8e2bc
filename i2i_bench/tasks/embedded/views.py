"""Reader of embedded tasks: each of their images is a scene, shown as a domain shows objects."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from i2i_bench.tasks.embedded.drawing import Look, draw_masks, draw_scene
from i2i_bench.tasks.embedded.scenes import RESOLUTION, Scene
from i2i_bench.tasks.task import DOMAINS, Reader, Task, TaskImage, TaskMasks

if TYPE_CHECKING:
    from numpy import bool_
    from numpy.typing import NDArray
    from PIL import Image

NUM_TRAIN, NUM_TEST = 1000, 100  # images of each domain


@dataclass(frozen=True)
class View:
    """A scene as an image shows it.

    Attributes:
        name: File name of the image.
        make: Makes up the scene of a key.
        key: Of this scene among those of its task.
        look: Of its objects.
    """

    name: str
    make: Callable[..., Scene]
    key: tuple[str | int, ...]
    look: Look

    def with_look(self, look: Look) -> View:
        """Return the same scene with objects of another look."""
        return replace(self, look=look)

    @property
    def image(self) -> TaskImage:
        """The image, drawn when it is read."""
        return TaskImage(self.name, partial(_draw, self.make, self.key, self.look))

    @property
    def masks(self) -> TaskMasks:
        """The mask of each object, drawn when they are read."""
        return TaskMasks(self.name, partial(_draw_masks, self.make, self.key, self.look))


def _draw(make: Callable[..., Scene], key: tuple[str | int, ...], look: Look) -> Image.Image:
    from PIL import Image

    return Image.fromarray(draw_scene(make(*key), look))


def _draw_masks(
    make: Callable[..., Scene], key: tuple[str | int, ...], look: Look
) -> NDArray[bool_]:
    return draw_masks(make(*key), look)


class ViewReader(Reader):
    """Draw the images of an embedded task, all that is right in translation, and the masks.

    Attributes:
        is_one_to_many: Whether several translations are right in some direction.
    """

    has_masks = True
    is_one_to_many = False

    @abstractmethod
    def views(self, split: str, domain: str) -> list[View]:
        """List the views of one split and domain."""

    @abstractmethod
    def right_views(self, source: str, target: str, split: str) -> list[list[View]] | None:
        """List all right translations of each view of ``source``, or None for no direction."""

    def images(self, split: str, domain: str) -> list[TaskImage]:
        """List the images of one split and domain."""
        return [view.image for view in self.views(split, domain)]

    def instance_masks(self, split: str, domain: str) -> list[TaskMasks]:
        """List the masks of the objects of each image, in the order of the scene."""
        return [view.masks for view in self.views(split, domain)]

    def truth(self, source: str, target: str, split: str = "test") -> list[TaskImage] | None:
        """List the one right translation of each image; None where there are several."""
        right = self.right_views(source, target, split)
        if right is None or any(len(views) > 1 for views in right):
            return None
        return [view.image for (view,) in right]

    def answers(
        self, source: str, target: str, split: str = "test"
    ) -> list[list[TaskImage]] | None:
        """List all right translations of each image; None in a task of one to one."""
        right = self.right_views(source, target, split)
        if right is None or not self.is_one_to_many:
            return None
        return [[view.image for view in views] for views in right]

    def foreground(
        self, source: str, target: str, split: str = "test"
    ) -> list[NDArray[bool_]] | None:
        """List what an object covers before or after translation, for each image."""
        right = self.right_views(source, target, split)
        if right is None:
            return None
        before = self.views(split, source)
        return [_covered([old, *new]) for old, new in zip(before, right, strict=True)]

    def true_masks(self, source: str, target: str, split: str = "test") -> list[TaskMasks] | None:
        """List the masks of the objects after translation, in the order of those before."""
        right = self.right_views(source, target, split)
        if right is None:
            return None
        return [views[0].masks for views in right]  # right translations differ in no outline


def _covered(views: Sequence[View]) -> NDArray[bool_]:
    """Give the pixels that an object covers in one of several views of a scene."""
    import numpy as np

    scene = views[0].make(*views[0].key)
    outlines = dict.fromkeys(view.look.outline for view in views)
    masks = [draw_masks(scene, Look(outline)).any(axis=0) for outline in outlines]
    return np.logical_or.reduce(masks)


def embedded_task(
    name: str,
    version: int,
    title: str,
    reader: ViewReader,
    *,
    paired: bool = False,
    headline: str = "psnr_foreground",
) -> Task:
    """Make an embedded task of two domains, ``NUM_TRAIN`` and ``NUM_TEST`` images each."""
    return Task(
        name=name,
        version=version,
        title=title,
        kind="embedded",
        domains=DOMAINS,
        image_size=RESOLUTION,
        num_train=dict.fromkeys(DOMAINS, NUM_TRAIN),
        num_test=dict.fromkeys(DOMAINS, NUM_TEST),
        paired=paired,
        headline=headline,
        licence="MIT, as i2i-bench",
        origin="made by i2i-bench",
        reader=reader,
    )

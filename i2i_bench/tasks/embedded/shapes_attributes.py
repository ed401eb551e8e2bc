"""The embedded task ``shapes-attributes``: three binary attributes of the objects, exact truth.

Scenes are made as those of ``shapes`` are, and all objects of one share their attributes: ``cold``
exchanges red and blue, ``striped`` makes pale and dark rows, ``cross`` makes crosses of discs.
Distractors are plain triangles in the colours that the objects have, cold or warm, whatever the
label says; no translation changes them. Where an object uncovers background, that is a regular
pattern without noise, as in ``morph``. Every combination of attributes is equally frequent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from i2i_bench.labels import EVERY, Label, Labels
from i2i_bench.tasks.embedded import shapes
from i2i_bench.tasks.embedded.shapes import RESOLUTION, Bits, Figure, Scene
from i2i_bench.tasks.task import Reader, Task, TaskImage

if TYPE_CHECKING:
    from numpy import bool_, uint8
    from numpy.typing import NDArray
    from PIL import Image

NAME = "shapes-attributes"
VERSION = 1
ATTRIBUTES = ("cold", "striped", "cross")
COUNTS = {"train": 2000, "test": 200}  # 1,000 and 100 with each attribute, as many without
_MARGIN = 1  # pixels by which a cross is larger than its disc


def attributes_tasks() -> dict[str, Task]:
    """Give the task by name."""
    task = Task(
        name=NAME,
        version=VERSION,
        title="Discs and crosses, warm and cold, plain and striped (attributes)",
        kind="embedded",
        domains=(EVERY,),
        image_size=RESOLUTION,
        num_train={EVERY: COUNTS["train"]},
        num_test={EVERY: COUNTS["test"]},
        paired=False,
        headline="psnr_foreground",
        licence="MIT, as i2i-bench",
        origin="made by i2i-bench",
        reader=_AttributesReader(Labels(ATTRIBUTES)),
        attributes=ATTRIBUTES,
    )
    return {NAME: task}


@dataclass(frozen=True)
class _AttributesReader(Reader):
    """Draw the images of the task."""

    labelling: Labels

    def images(self, split: str, domain: str) -> list[TaskImage]:
        return [_image(split, i, label_of(i)) for i in self._chosen(split, domain)]

    def labels(self, split: str, domain: str) -> list[Label]:
        return [label_of(i) for i in self._chosen(split, domain)]

    def truth(self, source: str, target: str) -> list[TaskImage]:
        changed = self.labelling.changed
        chosen = self._chosen("test", source)
        return [_image("test", i, changed(label_of(i), target)) for i in chosen]

    def foreground(self, source: str, target: str) -> list[NDArray[bool_]]:
        found = []
        for i in self._chosen("test", source):
            before = label_of(i)
            after = self.labelling.changed(before, target)
            found.append(attributes_foreground(attributes_scene("test", i), before, after))
        return found

    def _chosen(self, split: str, domain: str) -> list[int]:
        everyone = range(COUNTS[split])
        if domain == EVERY:
            return list(everyone)
        return [i for i in everyone if self.labelling.chooses(domain, label_of(i))]


def label_of(index: int) -> Label:
    """Give the label of an image: all eight in turn."""
    return tuple(index >> position & 1 for position in range(len(ATTRIBUTES)))


def _image(split: str, index: int, label: Label) -> TaskImage:
    return TaskImage(f"{index:04d}.png", partial(_read, split, index, label))


def _read(split: str, index: int, label: Label) -> Image.Image:
    from PIL import Image

    return Image.fromarray(render_attributes(attributes_scene(split, index), label))


def attributes_scene(split: str, index: int) -> Scene:
    """Make up the scene of one image, whatever its label.

    Raises:
        ValueError: If the task has no such image.
    """
    if not 0 <= index < COUNTS.get(split, 0):
        raise ValueError(f"no image {index} in {split!r} of task {NAME!r}")
    bits = Bits(f"i2i-bench/{NAME}/{VERSION}/{split}/{index}")
    num_objects, num_distractors = 1 + bits.below(3), 1 + bits.below(2)
    boxes = shapes.place_figure(bits, num_objects, num_distractors, _MARGIN)
    objects = tuple(
        Figure("object", *box, shapes.object_colour(bits, "hue")) for box in boxes[:num_objects]
    )
    distractors = tuple(shapes.distractor(bits, "hue", box, objects) for box in boxes[num_objects:])
    colours = [figure.colour for figure in objects]
    colours += [shapes.swap(colour) for colour in colours]
    return Scene(shapes.background(bits, colours, noisy=False), objects, distractors)


def render_attributes(scene: Scene, label: Label) -> NDArray[uint8]:
    """Draw a scene as a label says, (height, width, 3)."""
    cold, striped, _ = label
    image = scene.background.copy()
    for figure in scene.distractors:
        image[shapes.triangle(figure)] = figure.colour
    for figure in scene.objects:
        colour = shapes.swap(figure.colour) if cold else figure.colour
        mask = attributes_object_mask(figure, label)
        image[mask] = colour
        if striped:
            shapes.draw_stripes(image, mask, colour)
    return image


def attributes_object_mask(figure: Figure, label: Label) -> NDArray[bool_]:
    """Give the pixels that an object covers under a label, (height, width)."""
    return shapes.cross(figure) if label[2] else shapes.disc(figure)


def attributes_foreground(scene: Scene, before: Label, after: Label) -> NDArray[bool_]:
    """Give the pixels that belong to an object under either of two labels, (height, width)."""
    import numpy as np

    mask = np.zeros((RESOLUTION, RESOLUTION), dtype=bool)
    for figure in scene.objects:
        mask |= attributes_object_mask(figure, before) | attributes_object_mask(figure, after)
    return mask

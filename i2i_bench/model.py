"""The contract between the harness and a model; it needs torch and the standard library only.

A model is a class registered under the entry point group ``i2i_bench.models``. It owns its
networks, its losses and the order of its updates; the harness owns data, seeds, budget, checkpoints
and scoring.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from i2i_bench.randomness import Randomness

Necessity = Literal["no", "optional", "required"]
Preset = Literal["published", "small", "tiny"]
PRESETS: tuple[Preset, ...] = ("published", "small", "tiny")


@dataclass(frozen=True)
class Direction:
    """A translation from one domain to another; ``str()`` gives ``a2b``.

    In a labelled task ``+x`` are the images that have attribute x and ``-x`` those without it; the
    direction from ``-x`` to ``+x`` is printed as its target, ``+x``.
    """

    source: str
    target: str

    def __str__(self) -> str:
        is_change = self.target[:1] in ("+", "-") and self.source[1:] == self.target[1:]
        return self.target if is_change else f"{self.source}2{self.target}"

    @property
    def reverse(self) -> Direction:
        """The way back."""
        return Direction(self.target, self.source)


A2B, B2A = Direction("a", "b"), Direction("b", "a")

# The terms of losses that people plot and compare across models, and what each one measures. A loss
# is named by its term alone, or followed by the domain whose images are compared or judged, or by
# the direction whose generator is trained: ``cycle_a``, ``adversarial_a2b``.
TERMS: Mapping[str, str] = MappingProxyType(
    {
        "adversarial": "what a generator's translations lack in the eyes of the discriminator",
        "cycle": "distance of an image from its translation there and back",
        "identity": "distance of an image from its translation into its own domain",
        "reconstruction": "distance of an image from what an autoencoder makes of it",
        "latent": "distance of a latent code from the one that is found again",
        "kl": "divergence of a latent code from its prior",
        "kl_cycle": "the same, of a translation's code",
        "style": "distance of a style from the one that is found again",
        "content": "distance of a content from the one that is found again",
        "distance": "change of the distance between two images, or two parts of one",
        "feature_matching": "distance of the discriminator's features of real images and fakes",
        "context": "distance outside of the instances that are translated",
        "perceptual": "distance of a pretrained network's features",
        "cam": "error of the classifier behind a class activation map",
        "pixel": "distance of an image from its translation",
        "total_variation": "differences of neighbouring values of a mask or image",
        "classification": "error of the labels that are seen in translations",
        "classification_real": "error of the labels that are seen in images",
        "gradient_penalty": "departure of the discriminator's gradients from norm 1",
        "discriminator": "what the optimiser of a discriminator minimises",
    }
)


@dataclass(frozen=True)
class Batch:
    """What a model sees in one step or one translation, keyed by domain.

    Attributes:
        images: (batch, channels of the domain, height, width) in [-1, 1]; for a model that needs
            pairs the same index is one.
        labels: (batch, attributes), 0 or 1 in the type of the images, for labelled tasks: those
            that the images of a domain have, and in a translation, under its target, those that
            they are to get.
        masks: (batch, instances, height, width), 1 inside an object and 0 outside, for a model that
            needs them; all 0 for an instance that was cropped away, and at the end where an image
            has fewer.
        examples: (batch, channels, height, width) in [-1, 1], under the target of a translation:
            images whose style it is to take.
        names: File name of each image.
    """

    images: dict[str, Tensor]
    labels: dict[str, Tensor] | None = None
    masks: dict[str, Tensor] | None = None
    examples: dict[str, Tensor] | None = None
    names: dict[str, list[str]] | None = None


@dataclass(frozen=True)
class Clock:
    """Where training stands, in integers; schedules are pure functions of it.

    Attributes:
        step: 1-based number of the step about to run.
        total_steps: Steps of the whole run.
        images_seen: Batch positions consumed before this step, whatever the number of domains.
        budget: Batch positions of the whole run.
    """

    step: int
    total_steps: int
    images_seen: int
    budget: int

    def epoch(self, num_epochs: int) -> int:
        """Return the 0-based epoch when the budget is divided into ``num_epochs`` equal ones."""
        return self.images_seen * num_epochs // self.budget


@dataclass(frozen=True)
class Masks:
    """Attention of one translated batch.

    Attributes:
        attention: (batch, n, height, width) in [0, 1], summing to 1 over n.
        content: (batch, contents, channels, height, width) in [-1, 1], or None.
        background: Index of the mask that copies the input; None where there is none.
    """

    attention: Tensor
    content: Tensor | None
    background: int | None


@dataclass(frozen=True)
class Needs:
    """What a task and the user must give for a configuration of a model.

    What is not needed, a model is not given: pairs come shuffled, masks not at all.

    Attributes:
        pairs: Training images of the same index are a pair, cropped and mirrored alike.
        labels: The model is trained on ``batch.images[EVERY]`` with ``batch.labels[EVERY]``, and
            translates to ``batch.labels[direction.target]``: one network for all attributes.
        masks: Instance masks of every image, in ``batch.masks``.
        drawn_domains: The task has many domains that exclude each other, and a step sees images of
            two of them, drawn at random, in ``batch.images`` by their names.
        weights: Names of the pretrained files that its losses use, as ``i2i_bench.pretrained``
            knows them.
        multiple: Of which both sides of an image, in pixels, must be multiples: 4 for networks that
            halve it twice. Sides of whole images are trimmed to it; images need not be square,
            unless the model takes those of a single size and refuses all others.
    """

    pairs: Necessity = "no"
    labels: Necessity = "no"
    masks: Necessity = "no"
    drawn_domains: Necessity = "no"
    weights: tuple[str, ...] = ()
    multiple: int = 1


@dataclass(frozen=True)
class ModelCard:
    """What a reader must know about a model before they trust its row.

    Attributes:
        title: Name as in its paper.
        authors: As on the paper; empty for a model that is not published.
        venue: Conference or journal.
        year: Year of publication; None for a model that is not published.
        arxiv: Identifier such as ``1703.10593``.
        licence: Note on the licence of the authors' code; ours is independent of it.
        deviations: Where paper, authors' code and this implementation part, one sentence each.
        minimum_size: Smallest image side in pixels of the published configuration.
        samples_interact: Whether samples of one training batch influence each other, as under batch
            normalisation.
        is_random: Whether one image has several translations: another seed, another one.
        takes_examples: Whether a translation can take the style of an example, in
            ``batch.examples``.
    """

    title: str
    authors: str = ""
    venue: str = "unpublished"
    year: int | None = None
    arxiv: str = ""
    licence: str = "not stated"
    deviations: tuple[str, ...] = ()
    minimum_size: int = 1
    samples_interact: bool = False
    is_random: bool = False
    takes_examples: bool = False


@dataclass(frozen=True)
class Variation:
    """A point of an ablation.

    Attributes:
        label: What a reader sees.
        changes: Settings to change from the preset's, as typed after ``--set``.
        model: Name in the registry of the model to run; "" for the one that declares the ablation.
    """

    label: str
    changes: Mapping[str, str]
    model: str = ""


@dataclass(frozen=True)
class Ablation:
    """A comparison of what a model's parts are worth.

    Attributes:
        title: One line for people.
        key: What varies, for the head of the table's first column.
        points: The runs that are compared.
    """

    title: str
    key: str
    points: tuple[Variation, ...]


class BatchFacts(Protocol):
    """What of a task decides what its batches hold."""

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains."""
        ...

    @property
    def channels(self) -> Mapping[str, int]:
        """Channels of the images of each domain: 3 for RGB, 1 for grey."""
        ...

    @property
    def attributes(self) -> tuple[str, ...]:
        """What labels say, in their order; empty where images have no labels."""
        ...

    @property
    def exclusive(self) -> tuple[tuple[str, ...], ...]:
        """Groups of attributes of which an image has one at most; one, if a group is of all."""
        ...

    @property
    def paired(self) -> bool:
        """Whether images of the same index are a pair."""
        ...

    @property
    def has_masks(self) -> bool:
        """Whether the instance masks of every image are known."""
        ...


class TaskFacts(BatchFacts, Protocol):
    """What ``Model.settings`` may ask of a task."""

    @property
    def name(self) -> str:
        """Name as typed after ``--task``."""
        ...

    @property
    def kind(self) -> str:
        """``embedded`` (synthetic, exact in pixels), ``catalogued`` or ``folder``."""
        ...

    @property
    def image_size(self) -> int:
        """Side of the published images in pixels."""
        ...

    @property
    def num_train(self) -> Mapping[str, int]:
        """Training images of each domain."""
        ...


@dataclass(frozen=True)
class ResizeRule:
    """How an image comes to its size.

    Attributes:
        size: Side in pixels; of the short side where the aspect ratio is kept.
        resampling: Filter of the resize; ``nearest`` is for masks.
        resize: ``square`` ignores the aspect ratio; ``short_side`` keeps it, and the centre is
            cropped where a square is needed; so does ``whole``, and no square is cut; ``own`` is
            the image's own size.
        multiple: Of which both sides are multiples once what is beyond is cut off, the same at both
            ends, where no square is cut.
    """

    size: int
    resampling: Literal["bicubic", "bilinear", "lanczos", "nearest"] = "bicubic"
    resize: Literal["square", "short_side", "whole", "own"] = "square"
    multiple: int = 1

    @property
    def is_whole(self) -> bool:
        """Whether images keep their shape, and no square is made of them."""
        return self.resize in ("whole", "own")


@dataclass(frozen=True)
class Settings:
    """A model's answer to (preset, task): all that a run needs besides seed and device.

    Attributes:
        config: Instance of the model's ``Config``.
        batch_size: Samples a step.
        budget: Images seen in the whole run.
        load_size: Side in pixels to which training images are resized.
        crop_size: Side in pixels of the random crop, and of test images.
        resampling: Filter of the resize.
        resize: ``square`` ignores the aspect ratio; ``short_side`` keeps it, and test images are
            cut to squares; ``whole`` is the same in training, and test images stay whole, with
            crop_size as their short side, each side trimmed to ``Needs.multiple``.
        flip: Whether training images are mirrored with probability 1/2.
        rotation: Largest angle in degrees by which training images are rotated, either way.
        rescale: Largest share by which training images are scaled up or down before the crop: 0.1
            for factors from 0.9 to 1.1.
        instances: Most instance masks of an image, the largest first; 0 for a model without.
    """

    config: Any
    batch_size: int
    budget: int
    load_size: int
    crop_size: int
    resampling: Literal["bicubic", "bilinear", "lanczos"] = "bicubic"
    resize: Literal["square", "short_side", "whole"] = "square"
    flip: bool = True
    rotation: float = 0.0
    rescale: float = 0.0
    instances: int = 0

    @property
    def resize_rule(self) -> ResizeRule:
        """How test images come to the size of the crop, before whole ones are trimmed."""
        return ResizeRule(self.crop_size, self.resampling, self.resize)


class SupportsStateDict(Protocol):
    """Something a checkpoint can hold, made of tensors, numbers, strings, lists and dicts."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Take the state back."""
        ...


class Model(ABC):
    """A method of image-to-image translation.

    A subclass states ``card`` and ``Config`` (a frozen dataclass, every field documented), and its
    constructor sets ``networks`` (counted, checkpointed, moved, compiled; may nest ModuleDicts),
    ``optimizers`` and ``state`` (whatever else the next step depends on, such as image pools).
    It keeps ``config``, what it was made with. A configuration for labels states ``attributes`` and
    ``exclusive``, those of the task, and ``image_size``, the side in pixels of the images that its
    networks fit; one for drawn domains states ``domains``, those of the task in its order. A model
    that can take other images than RGB states ``channels``, those of the task's domains in their
    order, and ``settings`` fills it in; without it, tasks of other channels are refused.

    ``frozen`` has pretrained networks of losses: they are moved with the others and put into
    evaluation mode, but neither trained, counted nor saved; the record holds their hash. ``losses``
    has the terms of the model's own beside ``TERMS``, each with what it measures, and
    ``directions`` those in which it translates, by its nature or its configuration: None for every
    one of the task.
    ``absent`` has the dotted names, as ``named_networks`` gives them, of networks that the authors'
    files lacked: they hold initial values, and nothing may be translated with them.

    ``ablations`` has those that ``i2i-bench ablate --ablation NAME`` runs, by name. They belong
    to the model: the harness names none, and cannot tell which parts a paper took away.
    """

    card: ClassVar[ModelCard]
    Config: ClassVar[type]
    ablations: ClassVar[Mapping[str, Ablation]] = MappingProxyType({})
    losses: Mapping[str, str] = MappingProxyType({})
    directions: tuple[Direction, ...] | None = None
    config: Any
    networks: nn.ModuleDict
    frozen: nn.ModuleDict = nn.ModuleDict()
    optimizers: dict[str, Optimizer]
    state: dict[str, SupportsStateDict]
    absent: frozenset[str] = frozenset()

    @abstractmethod
    def __init__(self, config: Any) -> None: ...

    @classmethod
    @abstractmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Return the settings for a task.

        ``published`` is the authors' choice for this task, ``small`` takes minutes on a CPU,
        ``tiny`` seconds.

        Raises:
            ValueError: If the model cannot do the task, with the reason.
        """

    @classmethod
    def needs(cls, config: Any) -> Needs:
        """Return what a task and the user must give for this configuration; by default nothing."""
        del config
        return Needs()

    def prepare(  # noqa: B027 - most models need none
        self, batches: Iterable[Batch], random: Randomness
    ) -> None:
        """Gather what depends on the training set into ``state``, once, before the first step.

        Args:
            batches: One pass through the training images, in the batches that training sees;
                iterating again gives the same. Gradients are not recorded.
            random: Source of chance.
        """

    def advance(self, clock: Clock) -> None:  # noqa: B027 - doing nothing is a valid schedule
        """Set learning rates, loss weights, phases and stages for the coming step, on the host."""

    @abstractmethod
    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update every network once.

        Runs wholly on the device, without host synchronisation. Chance comes from ``random`` alone.

        Returns:
            Detached scalars, unweighted. Each is named by a term, of ``TERMS`` or of the model's
            ``losses``, alone or followed by the domain whose images are compared or judged, or by
            the direction whose generator is trained: ``gradient_penalty``, ``cycle_a``,
            ``adversarial_a2b``. A discriminator's value is what its optimiser minimises. What a
            step does not compute, it leaves out.
        """

    @abstractmethod
    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Translate ``batch.images[direction.source]``; the harness sets eval mode and no_grad.

        Chance, of styles or of dropout at test, comes from ``random`` alone, whose seed is the
        number of the output: the same seed gives the same translation to the bit. Each image is
        translated by itself, whatever else is in the batch. With ``batch.examples``, translations
        take the style of ``batch.examples[direction.target]``.

        Returns:
            (batch, channels of the target, height, width) in [-1, 1].
        """

    def translate_masks(
        self, batch: Batch, direction: Direction, random: Randomness
    ) -> Tensor | None:
        """Return the instance masks after ``translate``; None where they stay as they are.

        Returns:
            (batch, instances, height, width) in [0, 1], in the order of ``batch.masks``.
        """
        del batch, direction, random
        return None

    def masks(self, batch: Batch, direction: Direction, random: Randomness) -> Masks | None:
        """Return the attention behind ``translate``; None for a model without."""
        del batch, direction, random
        return None

    @classmethod
    def from_official(cls, path: Path) -> Model:
        """Build the model from the authors' files, its configuration inferred from tensor shapes.

        ``i2i_bench.official`` has what it takes to read them and to set ``absent``.

        Args:
            path: Of the folder that holds the files, or of the one file where that is enough.

        Raises:
            ValueError: If the files do not fit, naming the first tensors that disagree.
        """
        raise ValueError(f"{cls.card.title} cannot read official files: none are described for it")


def named_networks(networks: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Return each network of a possibly nested ModuleDict with its dotted name."""
    for name, module in networks.named_children():
        if isinstance(module, nn.ModuleDict):
            yield from named_networks(module, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", module

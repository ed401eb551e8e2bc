"""Say in a user's words why the tensors of a file are not those of a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from i2i_bench.official import STATISTICS, Misfit
from i2i_bench.system.messages import printable

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]  # by name of the tensor

FEW = 4  # names of tensors that are told one by one
MOST_CHANNELS = 4  # of images
LONGEST_NAME = 80  # characters of a tensor's name


def in_words(error: ValueError, title: str) -> str:
    """Say what a file is that does not fit, or else how many tensors of which kind do not.

    Args:
        error: As it was raised; one that is no ``Misfit`` says all there is to say.
        title: Of the model that was asked for.
    """
    if not isinstance(error, Misfit):
        return str(error)
    held = {name: tuple(tensor.shape) for name, tensor in error.state.tensors.items()}
    modules, there = ({name.rpartition(".")[0] for name in names} for names in (error.wanted, held))
    is_alike = 2 * len(modules & there) > len(modules)
    for describe in (*OTHER_NETWORKS, *(VARIETIES if is_alike else ())):
        if said := describe(held, error.wanted, title):
            return f"{error.state.source} {said}"
    return _counted(error, held, title) if error.wanted else str(error)


def _counted(error: Misfit, held: Shapes, title: str) -> str:
    """Count the tensors that do not fit, with an example of each kind."""
    lacking = [name for name in error.wanted if name not in held]
    unknown = [name for name in held if name not in error.wanted]
    odd = [n for n, shape in error.wanted.items() if n in held and held[n] != shape]
    if len(lacking) + len(unknown) + len(odd) <= FEW:
        return str(error)
    kinds = {"are missing": lacking, "are unknown": unknown, "have another shape": odd}
    told = [
        f"{len(names)} {kind}, such as {printable(names[0], LONGEST_NAME)}"
        for kind, names in kinds.items()
        if names
    ]
    whole = len(error.wanted)
    return f"{error.state.source} does not fit {title}: of {whole} tensors {'; '.join(told)}"


def _discriminator(held: Shapes, wanted: Shapes, title: str) -> str | None:
    """Find CycleGAN's discriminator: convolutions of side 4 in one sequence, to one channel."""
    names = [name for name in held if re.fullmatch(r"model\.\d+\.\w+", name)]
    filters = [held[name] for name in names if len(held[name]) == 4]
    is_one = len(names) == len(held) and len(filters) > 2 and {f[-1] for f in filters} == {4}
    if not is_one or any(name in held for name in wanted if name != "model.0.weight"):
        return None
    return f"holds a discriminator (of a PatchGAN), not the generator that {title} needs"


def _unet(held: Shapes, wanted: Shapes, title: str) -> str | None:
    """Find the U-Net of CycleGAN's code base, whose levels lie within each other."""
    if "model.model.0.weight" not in held or any(n.startswith("model.model.") for n in wanted):
        return None
    downwards = r"model\.model\.(1\.model\.(3\.model\.)*1|0)\.weight"
    levels = sum(bool(re.fullmatch(downwards, name)) for name in held)
    norm = "batch" if _has_batch_norm(held) else "instance"
    return (
        f"holds a U-Net of {levels} levels with {norm} normalisation (--netG unet_{2**levels}), "
        f"and {title} has another generator"
    )


def _resnet(held: Shapes, wanted: Shapes, title: str) -> str | None:
    """Find the ResNet of CycleGAN's code base where another generator is needed."""
    block = r"model\.(\d+)\.conv_block\."
    blocks = {match[1] for name in held if (match := re.match(block, name))}
    if wanted or not blocks or "model.1.weight" not in held:
        return None
    return (
        f"holds a ResNet of {len(blocks)} blocks (--netG resnet_{len(blocks)}blocks), and {title} "
        "has another generator"
    )


def _batch_norm(held: Shapes, wanted: Shapes, title: str) -> str | None:
    del title
    if not _has_batch_norm(held) or _has_batch_norm(wanted):
        return None
    return "has batch normalisation (--norm batch); only instance normalisation is supported"


def _no_batch_norm(held: Shapes, wanted: Shapes, title: str) -> str | None:
    if not _has_batch_norm(wanted) or _has_batch_norm(held):
        return None
    return (
        "has no normalisation with running statistics, as batch normalisation is: training was "
        f"with --norm instance or none, and {title} has it"
    )


def _has_batch_norm(shapes: Iterable[str]) -> bool:
    """Tell whether a layer has running statistics and learned parameters, as batch norm alone."""
    names = set(shapes)
    modules = {name.rpartition(".")[0] for name in names if name.endswith(".running_mean")}
    return any(f"{module}.weight" in names for module in modules)


def _spectral_norm(held: Shapes, wanted: Shapes, title: str) -> str | None:
    ends = (".weight_orig", ".weight_bar", ".parametrizations.weight.original")
    if _any_ends(wanted, ends) or not _any_ends(held, ends):
        return None
    return f"has spectral normalisation, which {title} has not"


def _blurs(held: Shapes, wanted: Shapes, title: str) -> str | None:
    if not _any_ends(held, (".filt",)) or _any_ends(wanted, (".filt",)):
        return None
    return f"has blurs where sides are halved and doubled, as CUT's generators; {title} has none"


def _learned_norm(held: Shapes, wanted: Shapes, title: str) -> str | None:
    """Find normalisation with scales, in layers of which the model has no tensors."""
    modules = {name.rpartition(".")[0] for name in wanted}
    unknown = [n for n in held if n not in wanted and n.rpartition(".")[2] not in STATISTICS]
    is_scale = [
        n.rpartition(".")[0] not in modules
        and n.endswith((".weight", ".bias"))
        and len(held[n]) == 1
        for n in unknown
    ]
    missing = any(name not in held for name in wanted)
    if missing or not unknown or not all(is_scale):
        return None
    return f"has normalisation with learned scales (affine), which {title} has not"


def _any_ends(names: Iterable[str], ends: tuple[str, ...]) -> bool:
    return any(name.endswith(ends) for name in names)


def _channels(held: Shapes, wanted: Shapes, title: str) -> str | None:
    """Find images of other channels: convolutions that differ in those alone, to or from images."""
    told = []
    for axis, verb in ((1, "takes"), (0, "gives")):
        pairs = [(held[n], shape) for n, shape in wanted.items() if n in held]
        odd = [(a, b) for a, b in pairs if _differ_in(a, b, axis) and len(a) == 4]
        found = {(a[axis], b[axis]) for a, b in odd}
        told += [
            f"{verb} images of {a} channel{'s' * (a != 1)} where {b} are needed"
            for a, b in sorted(found)
            if b <= MOST_CHANNELS
        ]
    return f"{' and '.join(told)}, as {title} is for images of as many channels" if told else None


def _differ_in(one: Shape, other: Shape, axis: int) -> bool:
    """Tell whether two shapes differ in one dimension and in no other."""
    return len(one) == len(other) and [i for i, _ in enumerate(one) if one[i] != other[i]] == [axis]


Describe = Callable[[Shapes, Shapes, str], str | None]
OTHER_NETWORKS: tuple[Describe, ...] = (_discriminator, _unet, _blurs, _resnet)
VARIETIES: tuple[Describe, ...] = (  # of the network that is needed
    *(_batch_norm, _no_batch_norm, _spectral_norm, _channels, _learned_norm),
)

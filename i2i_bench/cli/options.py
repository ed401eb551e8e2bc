"""Options that several commands share, and what they choose."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    pass
from i2i_bench.system.messages import printable

if TYPE_CHECKING:
    from i2i_bench.records.folders import Places
    from i2i_bench.runs.job import Choices
    from i2i_bench.scoring.protocols import Protocol


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _place(name: str, default: str, what: str) -> Decorator:
    return click.option(
        f"--{name}",
        type=click.Path(path_type=Path, file_okay=False),
        callback=lambda ctx, param, value: value.expanduser(),  # a shell leaves variables alone
        default=default,
        envvar=f"I2I_BENCH_{name.upper()}",
        show_default=True,
        show_envvar=True,
        help=what,
    )


RESULTS = _place("results", "results", "Folder of records.")
RUNS = _place("runs", "runs", "Folder of checkpoints, logs, translations and figures.")
_CACHE = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
DATA = _place("data", f"{_CACHE}/i2i-bench/data", "Folder of catalogued tasks.")
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Device to compute on.",
)
PROTOCOL = click.option(
    "--protocol",
    "protocols",
    multiple=True,
    default=["i2i"],
    show_default=True,
    help="How to score, such as i2i or ugatit (see i2i-bench protocols); repeatable.",
)
ORDERS = click.option(
    "--order-replicates",
    type=click.IntRange(min=2),
    default=None,
    metavar="N",
    help="Also score N random file orders, where the KID depends on the order (ugatit).",
)
SUBSET_SIZE = click.option(
    "--kid-subset-size",
    type=click.IntRange(min=2),
    metavar="N",
    help="Images per subset, where the KID is over subsets (uvcgan2); default: see the record.",
)
METRIC = click.option(
    "--metric",
    "metrics",
    multiple=True,
    callback=lambda ctx, param, value: find_metrics(value),
    help="Also measure what is not on by default (see i2i-bench metrics); repeatable.",
)
FORCE = click.option("--force", is_flag=True, help="Repeat and replace what exists already.")
MODELS = "Name of an installed model (see i2i-bench models), or all that can do a task; repeatable."


def _tasks(*, required: bool) -> Decorator:
    what = (
        "Task name such as stripes (see i2i-bench tasks), hf:owner/name of the Hugging Face hub, "
        "or a folder of images; FOLDER:paired and FOLDER:unpaired say whether images of like names "
        "are pairs; embedded for all tasks of this package that a model can do; repeatable."
    )
    return click.option("--task", "tasks", multiple=True, required=required, help=what)


TASKS, OPTIONAL_TASKS = _tasks(required=True), _tasks(required=False)
SEEDS = click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=click.IntRange(min=0),
    default=[0],
    show_default=True,
    help="Seed of a run; repeatable: --seed 0 --seed 1 gives two runs.",
)
PRESET = click.option(
    "--preset",
    default="published",
    show_default=True,
    help="published (as the authors), small (minutes on a CPU) or tiny (seconds).",
)
CHANGES = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting, such as num_masks=4 (see run --dry-run); repeatable.",
)
BUDGET = click.option(
    "--budget",
    type=click.IntRange(min=1),
    help="Images seen in training, counting repeats; default: the preset's.",
)
SPLIT = click.option(
    "--split",
    type=click.Choice(["test", "validation"]),
    default="test",
    show_default=True,
    help="Images to score: validation holds a tenth out of training, to choose settings by.",
)
PRECISION = click.option(
    "--precision",
    type=click.Choice(["fp32", "tf32", "bf16"]),
    default="fp32",
    show_default=True,
    help="Number format for training; tf32 needs CUDA.",
)
FAST = click.option(
    "--fast",
    "modes",
    multiple=True,
    type=click.Choice(
        ["auto", "none", "channels-last", "fused", "compile", "capture", "tune", "kernels"]
    ),
    default=["auto"],
    show_default=True,
    help="Optimisations of training steps; auto is what was measured to be fastest. Repeatable.",
)


class _Seconds(click.FloatRange):
    """A number of seconds; NaN, which passes every comparison, is refused."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


CHECKPOINTS = click.option(
    "--checkpoint-seconds",
    type=_Seconds(min=0),
    default=300.0,
    show_default=True,
    help="Seconds between checkpoints.",
)
JOBS = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run N at a time, each in a process with its share of CUDA devices or processors.",
)
LAUNCHER = click.option(
    "--launcher",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Run on this machine or on a Ray cluster (RAY_ADDRESS).",
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Print the plan and stop.")


def places_from(options: Mapping[str, Any]) -> Places:
    """Return the chosen places."""
    from i2i_bench.records.folders import Places

    return Places(options["results"], options["runs"], options["data"])


def find_protocols(names: Iterable[str]) -> list[Protocol]:
    """Return the protocols of these names, each once."""
    from i2i_bench.scoring import protocols

    return [protocols.find_protocol(name) for name in dict.fromkeys(names)]


def is_typed(option: str) -> bool:
    """Tell whether an option of the command was given, and not left to its default."""
    source = click.get_current_context().get_parameter_source(option)
    return source == click.core.ParameterSource.COMMANDLINE


def find_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of metrics, each once, all of which there are."""
    chosen = tuple(dict.fromkeys(names))
    if chosen:
        from i2i_bench.scoring.metric_set import chosen_metrics

        chosen_metrics(chosen)
    return chosen


def protocols_from(options: Mapping[str, Any]) -> list[Protocol]:
    """Return the chosen protocols; refuse options that none of them uses."""
    found = find_protocols(options["protocols"])
    if options.get("kid_subset_size") and not any(each.subsets for each in found):
        raise click.UsageError("--kid-subset-size is for protocols with subsets, such as uvcgan2")
    if options.get("order_replicates") and not any(each.block for each in found):
        raise click.UsageError("--order-replicates is for protocols with blocks, such as ugatit")
    return found


def choices_from(options: Mapping[str, Any]) -> Choices:
    """Return what was chosen for every run of a plan."""
    from i2i_bench.runs.find import find_start
    from i2i_bench.runs.job import Choices

    changes = typed_changes(options["changes"])
    named = options.get("start")
    start = find_start(named, places_from(options)) if named else None
    keys = ("preset", "budget", "precision", "split")
    return Choices(changes=changes, start=start, **{key: options[key] for key in keys})


def typed_changes(typed: Iterable[str]) -> dict[str, str]:
    """Split KEY=VALUE."""
    changes = {}
    for change in typed:
        key, equals, value = change.partition("=")
        if not equals:
            raise click.UsageError(f"--set {change}: KEY=VALUE is needed")
        if key.strip() in changes:
            raise click.UsageError(f"--set {key.strip()} is given twice; leave one out")
        changes[key.strip()] = value.strip()
    return changes


def columns(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns."""
    table = [[printable(str(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())

"""The commands for authors of models and metrics: ``new-model``, ``new-metric``, ``check``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from i2i_bench.cli.options import CHANGES, typed_changes

if TYPE_CHECKING:
    from i2i_bench.plugins.skeleton import Kind


OUTPUT = click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder to create; default: i2i-NAME in the working directory.",
)


@click.command("new-model")
@click.argument("name")
@OUTPUT
def new_model(name: str, output: Path | None) -> None:
    """Write a plugin with a small model called NAME that trains as generated.

    A module, a pyproject.toml and a test; docs/tutorial.md takes it from there.

    \b
    Example:
      i2i-bench new-model my-model
      pip install --editable i2i-my-model
      i2i-bench check my-model
    """
    _write_skeleton(name, output, "model")


@click.command("new-metric")
@click.argument("name")
@OUTPUT
def new_metric(name: str, output: Path | None) -> None:
    """Write a plugin with a small metric called NAME that scores as generated.

    A module, a pyproject.toml and a test; docs/api.md says what a metric is.

    \b
    Example:
      i2i-bench new-metric my-metric
      pip install --editable i2i-my-metric
      i2i-bench check my-metric
    """
    _write_skeleton(name, output, "metric")


def _write_skeleton(name: str, output: Path | None, kind: Kind) -> None:
    from i2i_bench.plugins import skeleton

    folder = skeleton.write_skeleton(name, output, kind)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        click.echo(f"wrote {path}")
    where = shlex.quote(str(folder))
    click.echo(f"next: pip install --editable {where} && i2i-bench check {name}")


@click.command()
@click.argument("name")
@CHANGES
def check(name: str, changes: tuple[str, ...]) -> None:
    """Test in seconds, on the CPU, that an installed model or metric NAME keeps the contract.

    \b
    Example:
      i2i-bench check attentiongan
    """
    from i2i_bench.plugins import contract, metric_checks, registry

    is_model = name in {entry.name for entry in registry.find_entries()}
    if is_model or not metric_checks.is_metric(name):
        found = contract.check_model(registry.load_model(name), name, typed_changes(changes))
        _tell(name, [(result.name, result.reason) for result in found])
    if metric_checks.is_metric(name):
        if changes and not is_model:
            raise click.UsageError(f"--set is for models; {name} is a metric")
        results = metric_checks.check_metrics(name)
        _tell(name, [(result.name, result.reason) for result in results])


def _tell(name: str, found: Sequence[tuple[str, str | None]]) -> None:
    """Print what checks found; fail where one did."""
    for title, reason in found:
        click.echo(f"{'ok  ' if reason is None else 'FAIL'}  {title}")
        if reason is not None:
            click.echo(f"      {reason}")
    broken = [f"{title}: {reason}" for title, reason in found if reason]
    if broken:
        raise click.ClickException(f"{name} breaks the contract: {'; '.join(broken)}")

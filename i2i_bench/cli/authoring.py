"""The commands for authors of models: ``new-model`` and ``check``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from i2i_bench.cli.options import CHANGES, typed_changes


@click.command("new-model")
@click.argument("name")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder to create; default: i2i-NAME in the working directory.",
)
def new_model(name: str, output: Path | None) -> None:
    """Write a plugin with a small model called NAME that trains as generated.

    A module, a pyproject.toml and a test; docs/tutorial.md takes it from there.

    \b
    Example:
      i2i-bench new-model my-model
      pip install --editable i2i-my-model
      i2i-bench check my-model
    """
    from i2i_bench.plugins import skeleton

    folder = skeleton.write_skeleton(name, output)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        click.echo(f"wrote {path}")
    where = shlex.quote(str(folder))
    click.echo(f"next: pip install --editable {where} && i2i-bench check {name}")


@click.command()
@click.argument("model")
@CHANGES
def check(model: str, changes: tuple[str, ...]) -> None:
    """Test in seconds, on the CPU, that an installed MODEL keeps the contract.

    \b
    Example:
      i2i-bench check attentiongan
    """
    from i2i_bench.plugins import contract, registry

    found = contract.check_model(registry.load_model(model), model, typed_changes(changes))
    for result in found:
        click.echo(f"{'ok  ' if result.reason is None else 'FAIL'}  {result.name}")
    broken = [f"{result.name}: {result.reason}" for result in found if result.reason]
    if broken:
        raise click.ClickException(f"{model} breaks the contract: {'; '.join(broken)}")

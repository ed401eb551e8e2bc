"""The group of all commands."""

from __future__ import annotations

import sys

import click

from i2i_bench.cli import (
    ablating,
    assets,
    authoring,
    hygiene,
    listing,
    running,
    scoring,
    showing,
    studying,
    tabling,
)
from i2i_bench.cli.group import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="i2i-bench")
def main() -> None:
    """Benchmark image-to-image translation: train, translate, score, record and rank.

    \b
    Example:
      i2i-bench run --model attentiongan --task stripes --preset small
      i2i-bench leaderboard
    """
    if sys.platform == "win32":
        raise click.ClickException("Windows has not what runs rely on, such as flock; use WSL")


for _command in (
    *(listing.models, listing.metrics, listing.tasks, listing.protocols_),
    *(running.run, running.import_, running.translate),
    *(scoring.evaluate, scoring.score, scoring.compare),
    *(ablating.ablate, showing.figure, showing.leaderboard, tabling.table, studying.study),
    *(assets.weights, assets.data, assets.cache, assets.doctor),
    *(hygiene.validate_results, hygiene.runs),
    *(authoring.check, authoring.new_model, authoring.new_metric),
):
    main.add_command(_command)

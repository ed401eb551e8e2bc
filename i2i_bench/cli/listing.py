"""The commands that list models, metrics, tasks and protocols; none imports torch."""

from __future__ import annotations

from pathlib import Path

import click

from i2i_bench.cli.options import DATA, columns


@click.command()
@click.argument("names", nargs=-1)
@click.option("--detail", is_flag=True, help="Import the models and show their cards.")
def models(names: tuple[str, ...], detail: bool) -> None:
    """List installed models; with NAMES or --detail, import them and show what they are.

    \b
    Example:
      i2i-bench models attentiongan
    """
    from i2i_bench.plugins import registry

    found = registry.find_entries()
    if names or detail:
        from i2i_bench.plugins.describe import describe_model

        wanted = names or tuple(dict.fromkeys(entry.name for entry in found))
        click.echo("\n\n".join(describe_model(name, tolerant=not names) for name in wanted))
        return
    problems = [registry.entry_problem(entry, found) for entry in found]
    rows = [(e.name, e.distribution, e.version, e.summary) for e in found]
    columns(("model", "distribution", "version", "summary"), rows)
    if any(problems):
        raise click.ClickException("; ".join(dict.fromkeys(p for p in problems if p)))


@click.command()
def metrics() -> None:
    """List metrics: the suite's and those of plugins, and which every run is scored with.

    The others are asked for by name: run --metric NAME, and so evaluate and score.

    \b
    Example:
      i2i-bench metrics
    """
    from i2i_bench.scoring.metric_set import known_metrics

    known = known_metrics()
    rows = [
        (
            metric.name,
            metric.key,
            " ".join(part for part in (metric.title, metric.unit) if part),
            metric.better or "-",
            "yes" if metric.is_default else "no",
            known.owners[metric.key].owner if metric.key in known.owners else "i2i-bench",
            ", ".join(metric.needs) or "features",
        )
        for metric in known
    ]
    header = ("metric", "key", "title", "better", "on by default", "distribution", "needs")
    columns(header, rows)
    if known.problems:
        raise click.ClickException("; ".join(known.problems.values()))


@click.command()
@DATA
def tasks(data: Path) -> None:
    """List tasks: which can be run now, and what the others lack.

    \b
    Example:
      i2i-bench tasks
    """
    from i2i_bench.tasks import catalogue
    from i2i_bench.tasks.selection import selections_of

    rows = [
        (
            row.name,
            row.state,
            f"{row.image_size} px",
            "/".join("?" if n is None else str(n) for n in row.counts.values()),
            row.title,
            row.licence,
        )
        for row in catalogue.list_tasks(data)
    ]
    columns(("task", "state", "size", "trainA/trainB/testA/testB", "what", "licence"), rows)
    click.echo(
        "\nAlso: any folder with trainA, trainB, testA and testB, or with train/DOMAIN and "
        "test/DOMAIN for many domains, given by its path; and data sets of the Hugging Face "
        "hub, as hf:owner/name.\nTasks with labels show train/test, and "
        "parts of them are tasks, given after a colon:"
    )
    for whole in catalogue.labelled_sets():
        click.echo(f"  {selections_of(whole)}")


@click.command("protocols")
def protocols_() -> None:
    """List the ways to score translations.

    \b
    Example:
      i2i-bench protocols
    """
    from i2i_bench.scoring.protocols import PROTOCOLS

    rows = [(str(p), p.recipe, p.reference, p.title) for p in PROTOCOLS.values()]
    columns(("protocol", "features", "reference", "what"), rows)

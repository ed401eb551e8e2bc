"""How the commands ``run`` and ``ablate`` carry out a plan: here, at once, or on a cluster."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import torch
from i2i_bench.cli.group import is_one_of_several
from i2i_bench.cli.options import places_from, protocols_from

if TYPE_CHECKING:
    from i2i_bench.runs.bench import Bench
    from i2i_bench.runs.job import Job
    from i2i_bench.runs.launch.site import Site


def carry_out(jobs: Sequence[Job], options: Mapping[str, Any]) -> None:
    """Finish a plan, and say what was done.

    Raises:
        click.exceptions.Exit: In a process that helps another one, once the plan is done.
    """
    from i2i_bench.training.signals import Stopped

    try:
        if options["jobs"] is not None or options["launcher"] == "ray":
            _carry_out_at_once(jobs, options)
        else:
            _carry_out_here(jobs, options)
    except Stopped as stopped:
        how = "the same command without --force" if options["force"] else "the same command"
        raise click.ClickException(f"{stopped}; {how} resumes it") from None


def _carry_out_here(jobs: Sequence[Job], options: Mapping[str, Any]) -> None:
    """Carry out run after run in this process, and in those that train with it."""
    from i2i_bench.cli.progress import Reporter
    from i2i_bench.runs.one_by_one import assist, run_one_by_one
    from i2i_bench.training import parallel

    bench = _bench(options)
    with contextlib.ExitStack() as stack:
        crew = stack.enter_context(parallel.crew(bench.device))
        bench = dataclasses.replace(bench, crew=crew)
        if crew.is_first:
            bench = dataclasses.replace(bench, report=stack.enter_context(Reporter()))
            run_one_by_one(jobs, bench, force=options["force"], say=click.echo)
        else:
            assist(jobs, bench)
    if not crew.is_first:
        raise click.exceptions.Exit(0)


def _carry_out_at_once(jobs: Sequence[Job], options: Mapping[str, Any]) -> None:
    """Carry out several runs at once, each in a process of its own."""
    from i2i_bench.cli.progress import ProgressBoard
    from i2i_bench.runs.find import recorded_already, recorded_run
    from i2i_bench.runs.launch import at_once, process
    from i2i_bench.runs.one_by_one import is_done

    if is_one_of_several():
        raise click.UsageError("torchrun shares one run among processes; leave --jobs and ray out")
    bench, force = _bench(options), options["force"]
    left = [job for job in jobs if not is_done(job, bench, force=force)]
    for job in (job for job in jobs if job not in left):
        if found := recorded_run(job, bench.places):
            click.echo(f"{job.run}: {recorded_already(job, found, bench.places)}")
    if not left:
        return
    site = _site(options, bench.device, len(left))

    def command(job: Job, is_begun: bool) -> process.RunCommand:
        is_new = force and not is_begun
        device, modes = options["device"], options["modes"]
        return at_once.command_of_job(job, bench, device=device, modes=modes, force=is_new)

    with ProgressBoard() as board:
        at_once.run_at_once(left, site, command, show=board.show, say=board.say)


def _site(options: Mapping[str, Any], device: torch.device, count: int) -> Site:
    from i2i_bench.runs.launch.cluster import ClusterSite
    from i2i_bench.runs.launch.local import LocalSite
    from i2i_bench.runs.launch.site import visible_devices

    if options["launcher"] == "ray":
        return ClusterSite(options["device"], options["jobs"] or count)
    devices = visible_devices() if device.type == "cuda" else []
    return LocalSite(min(options["jobs"], count), devices)


def _bench(options: Mapping[str, Any]) -> Bench:
    """Make what all runs share, without a report of progress."""
    from i2i_bench.runs.bench import Bench
    from i2i_bench.system.progress import quiet
    from i2i_bench.training import parallel
    from i2i_bench.training.fast.modes import PLAIN, choose_modes

    is_of_cluster = options["launcher"] == "ray"  # what this machine has does not matter then
    device = parallel.choose_device("cpu" if is_of_cluster else options["device"])
    modes = PLAIN
    if not is_of_cluster and device.type != "cuda" and options["precision"] == "tf32":
        raise click.ClickException(f"tf32 is a format of CUDA devices, not of {device.type}")
    if not is_of_cluster:
        modes = choose_modes(options["modes"], device, is_shared=is_one_of_several())
    return Bench(
        places_from(options),
        protocols_from(options),
        device,
        quiet,
        options["checkpoint_seconds"],
        logs=options.get("logs", ()),
        order_replicates=options.get("order_replicates") or 0,
        kid_subset_size=options.get("kid_subset_size"),
        metrics=options.get("metrics", ()),
        modes=modes,
    )

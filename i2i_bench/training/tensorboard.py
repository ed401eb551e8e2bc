"""The losses and samples of a run as event files for TensorBoard (extra ``tensorboard``)."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from i2i_bench.system.progress import Report
from i2i_bench.training.loop import LOG

FOLDER = "tensorboard"  # below the run's


def require_tensorboard() -> None:
    """Raise ValueError if TensorBoard is not installed, or cannot be imported."""
    try:
        import torch.utils.tensorboard  # noqa: F401 - to see whether that can be done
    except ImportError as error:
        raise ValueError(
            f"--log tensorboard needs the package tensorboard ({error}); "
            "pip install 'i2i-bench[tensorboard]' brings it"
        ) from error


class EventLog:
    """A ``Report`` that copies the loss log of a run to event files; a context manager.

    A session writes the files anew from the whole log. By the first report, training has dropped
    lines after its checkpoint, so that no step is missing or there twice, wherever the session
    before was killed, and whether it wrote event files or not.

    Args:
        folder: Of the run.
        report: Called with every report as well.
    """

    def __init__(self, folder: Path, report: Report) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._log, self._report, self._copied = folder / LOG, report, 0
        self._start: float | None = None
        if (folder / FOLDER).exists():
            shutil.rmtree(folder / FOLDER)
        # a TensorBoard that is open forgets what it has read of the files before
        self._writer = SummaryWriter(str(folder / FOLDER), purge_step=0)

    def __call__(self, stage: str, done: int, of: int, values: Mapping[str, float]) -> None:
        """Pass a report on, and copy the lines that are new in the log."""
        self._report(stage, done, of, values)
        self._copy()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._copy()
        self._writer.close()

    def _copy(self) -> None:
        if not self._log.exists():
            return
        with self._log.open("rb") as file:
            file.seek(self._copied)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._copied += len(whole)
        with contextlib.suppress(ValueError, LookupError, TypeError):  # the log is damaged
            lines = [json.loads(line) for line in whole.splitlines()]
            for line in lines:
                # the clock of a run: what it has trained, whatever lay between its sessions
                self._start = self._start or time.time() - lines[-1]["seconds"]
                when = self._start + line["seconds"]
                for name, value in line["losses"].items():
                    self._writer.add_scalar(f"losses/{name}", value, line["step"], walltime=when)


def add_samples(folder: Path, step: int) -> None:
    """Add a run's grids of samples to its event files.

    Args:
        folder: Of the run.
        step: At which the samples were made.
    """
    import numpy as np
    from PIL import Image
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / FOLDER)) as writer:
        for path in sorted(folder.glob("samples-*.png")):
            with Image.open(path, formats=["PNG"]) as image:
                pixels = np.asarray(image.convert("RGB"))
            tag = path.stem.replace("-", "/", 1)
            writer.add_image(tag, pixels, step, dataformats="HWC")

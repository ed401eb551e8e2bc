"""A sound score and a sound record, of which a test states what matters to it."""

from __future__ import annotations

from typing import Any

from i2i_bench.records.record import Record, Score

SCORE: dict[str, Any] = {
    "protocol": "i2i",
    "protocol_version": 1,
    "direction": "a2b",
    "image_size": 64,
    "n_real": 100,
    "n_fake": 100,
    "files_sha256": {"real": "f" * 64, "fake": "0" * 64},
    "pixels_sha256": {"real": "a" * 64, "fake": "b" * 64},
    "recipe": "clean",
    "weights_sha256": None,
    "weights_status": None,
    "estimator": {"kid_unit": "raw"},
    "spread_kind": "se_jackknife",
    "checkpoint": "last",
    "selected_on": None,
    "task_version": 1,
    "libraries": {},
    "partial": False,
    "baselines": {},
    "values": {},
}
RECORD: dict[str, Any] = {
    "model": "model",
    "distribution": "i2i-baselines",
    "distribution_version": "0.1.0",
    "variant": "",
    "preset": "published",
    "task": "stripes",
    "task_version": 1,
    "headline": "psnr_foreground",
    "seed": 0,
    "settings": {},
    "parameters": {"generator": 1_200_000, "discriminator": 300_000},
    "macs": 10,
    "images_seen": 100,
    "steps": 100,
    "seconds": 10.0,
    "images_per_second": 10.0,
    "peak_memory_bytes": 2**30,
    "peak_memory_of": "process",
    "device": "a processor, 2 threads",
    "torch_version": "2.12.1",
    "harness_version": "0.1.0",
    "commit": None,
}


def make_score(**changes: Any) -> Score:
    """Make a score that differs so from the sound one."""
    return Score(**(SCORE | changes))


def keyed(*scores: Score) -> dict[str, Score]:
    """Give scores by the keys that a record has for them."""
    return {f"{each.protocol}@{each.protocol_version}/{each.direction}": each for each in scores}


def make_record(*scores: Score, **changes: Any) -> Record:
    """Make a record of scores that differs so from the sound one."""
    fields = {**RECORD, "scores": keyed(*scores), **changes}
    return Record(**fields)

"""Measure scoring against clean-fid and torch-fidelity, on the same images and features.

The Inception has the true architecture and random weights, images and features are made, nothing is
downloaded. Three tables, each a ``--part``: statistics on the same features; the way from image
folders to numbers, and the share of the network in it; the memory of large sets.

Times are seconds of the processor, which other work on the machine changes little; every tool reads
its images in its own process, so that all its work counts. Run it from a checkout with the
development tools: ``OMP_NUM_THREADS=1 .venv/bin/python benchmarks/scoring.py``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from i2i_bench.pretrained import INCEPTION_NAME, TORCH_FIDELITY_INCEPTION_NAME
from i2i_bench.scoring import protocols
from i2i_bench.scoring.features import extract, inception
from i2i_bench.scoring.metrics import distances

SIDE = 256
CPU = torch.device("cpu")


class Published(nn.Module):
    """The outside of the TorchScript file: all that is used of it is ``layers``."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers."""
        return self.layers(x)


class Cheap(nn.Module):
    """2048 features for next to nothing, where only memory is measured."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(48, inception.WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix what is left of a strong reduction."""
        return self.mix(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1))


class Made(Sequence[Any]):
    """Small images that are made when asked for, as files are decoded."""

    def __init__(self, num: int) -> None:
        self.num = num

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, index: Any) -> Any:
        return np.random.RandomState(index).randint(0, 256, (16, 16, 3), dtype=np.uint8)


def save_script(layers: nn.Module, path: Path) -> None:
    """Write layers as the Inception's TorchScript file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit")
        traced: Any = torch.jit.trace(Published(layers).eval(), torch.rand(1, 3, 299, 299))
        torch.jit.save(traced, path)


def make_weights(folder: Path) -> None:
    """Write one random network as the files that the harness and both tools read."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torchvision.models.inception import Inception3

    torch.manual_seed(0)
    network = Inception3(1008, aux_logits=False, init_weights=False)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias, 0, 0.3)
    path = folder / TORCH_FIDELITY_INCEPTION_NAME
    torch.save(network.state_dict(), path)
    theirs = FeatureExtractorInceptionV3("", ["2048"], feature_extractor_weights_path=str(path))
    stages = [stage for name, stage in theirs.named_children() if name != "fc"]
    save_script(nn.Sequential(*stages, nn.Flatten()), folder / INCEPTION_NAME)


def make_images(folder: Path, count: int, seed: int) -> Path:
    """Write blurred noise as PNG."""
    folder.mkdir()
    random = np.random.RandomState(seed)
    for index in range(count):
        coarse = random.randint(0, 256, (8 + 8 * seed, 8 + 8 * seed, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        smooth.save(folder / f"{index:05d}.png")
    return folder


class Decoded(Sequence[Any]):
    """The images of a folder, decoded when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.iterdir())

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        return np.asarray(Image.open(self.paths[index]).convert("RGB"))


def seconds(work: Callable[[], object], repetitions: int = 1) -> float:
    """Give the median processor time of some work, over all threads."""
    taken = []
    for _ in range(repetitions):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


@contextmanager
def timed_network() -> Iterator[list[float]]:
    """Collect the seconds that each batch spends in the network."""
    taken: list[float] = []
    original = inception.InceptionNetwork.features

    def timed(self: Any, resized: Any, recipe: Any) -> Any:
        start = time.thread_time()  # of this thread: others decode meanwhile
        found = original(self, resized, recipe)
        taken.append(time.thread_time() - start)
        return found

    inception.InceptionNetwork.features = timed
    try:
        yield taken
    finally:
        inception.InceptionNetwork.features = original


def evaluate(folders: Sequence[Path]) -> dict[str, Any]:
    """Score two folders under protocol i2i: hashes, features, FID and KID with its error."""
    found = []
    for folder in folders:
        images = Decoded(folder)
        identity = extract.content_hash([path.name for path in images.paths], images)
        found.append(extract.extract_features(images, "clean", digests=identity.digests))
    return dict(protocols.score_features(protocols.find_protocol("i2i"), found[0], found[1]))


def evaluate_clean_fid(folders: Sequence[Path], weights: Path) -> None:
    """Score two folders as clean-fid does: features, FID and KID."""
    from cleanfid import fid as clean_fid
    from cleanfid.inception_torchscript import InceptionV3W

    network = InceptionV3W(str(weights), download=False)
    theirs = [
        clean_fid.get_folder_features(
            str(folder), network, num_workers=0, batch_size=32, device=CPU, verbose=False
        )
        for folder in folders
    ]
    clean_fid.fid_from_feats(*theirs)
    clean_fid.kernel_distance(*theirs)


def evaluate_torch_fidelity(folders: Sequence[Path], weights: Path, count: int) -> None:
    """Score two folders as torch-fidelity does."""
    from torch_fidelity import calculate_metrics

    calculate_metrics(
        input1=str(folders[0]),
        input2=str(folders[1]),
        feature_extractor_weights_path=str(weights / TORCH_FIDELITY_INCEPTION_NAME),
        fid=True,
        kid=True,
        kid_subset_size=min(count, 1000),
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
        batch_size=32,
    )


def make_features(count: int, seed: int) -> NDArray[np.float64]:
    """Make what is shaped as the Inception's features, in the memory of the result alone."""
    random = np.random.default_rng(seed)
    made = np.empty((count, inception.WIDTH))
    for start in range(0, count, 1000):
        part = made[start : start + 1000]
        random.standard_normal(out=part)
        np.maximum(part, 0, out=part)
    return made


def statistics_table(count: int) -> Iterator[str]:
    """Time FID and KID on the same features."""
    from cleanfid import fid as clean_fid
    from torch_fidelity import metric_fid, metric_kid

    singles = [make_features(count, seed).astype(np.float32) for seed in range(2)]
    sets = [each.astype(np.float64) for each in singles]
    tensors = [torch.from_numpy(each) for each in singles]

    def torch_fidelity_fid() -> None:
        both = [metric_fid.fid_features_to_statistics(each) for each in tensors]
        metric_fid.fid_statistics_to_metric(*both, verbose=False)

    def torch_fidelity_kid(size: int) -> Callable[[], object]:
        return lambda: metric_kid.kid_features_to_metric(
            *tensors, kid_subset_size=size, verbose=False
        )

    fid = seconds(lambda: distances.fid(*sets), 5)
    kid = seconds(lambda: distances.kid_unbiased(*sets), 5)
    rows = {
        "FID, clean-fid": (seconds(lambda: clean_fid.fid_from_feats(*singles)), fid),
        "FID, torch-fidelity": (seconds(torch_fidelity_fid), fid),
        "KID, clean-fid, 100 subsets": (
            seconds(lambda: clean_fid.kernel_distance(singles[0], singles[1])),
            kid,
        ),
    }
    for size in (min(count, 1000), min(count, 100)):
        name = f"KID and spread, torch-fidelity, 100 subsets of {size}"
        rows[name] = (seconds(torch_fidelity_kid(size)), kid)
    yield f"| statistics of {count} + {count} images | theirs, s | ours, s | theirs / ours |"
    yield "|:--|--:|--:|--:|"
    for name, (theirs, ours) in rows.items():
        yield f"| {name} | {theirs:.3f} | {ours:.3f} | {theirs / ours:.0f} |"


def evaluation_table(root: Path, count: int) -> Iterator[str]:
    """Time the way from image folders to numbers."""
    os.environ |= {"I2I_BENCH_WEIGHTS": str(root), "I2I_BENCH_CACHE": str(root / "cache")}
    make_weights(root)
    folders = [make_images(root / f"set{i}", count, i) for i in range(2)]
    warm = [make_images(root / f"warm{i}", 3, i) for i in range(2)]
    evaluate(warm)  # imports, which are counted for nobody
    for module in ("cleanfid.fid", "torch_fidelity"):
        importlib.import_module(module)
    inception.load_network.cache_clear()  # everybody loads the network
    with timed_network() as network:
        ours = seconds(lambda: evaluate(folders))
    inside = sum(network)
    again = seconds(lambda: evaluate(folders))
    clean = seconds(lambda: evaluate_clean_fid(folders, root))
    fidelity = seconds(lambda: evaluate_torch_fidelity(folders, root, count))
    yield f"| {count} + {count} PNG files of {SIDE} px to FID and KID | s | in the network |"
    yield "|:--|--:|--:|"
    yield f"| i2i-bench | {ours:.1f} | {inside / ours:.1%} |"
    yield f"| i2i-bench, features cached | {again:.2f} | 0 |"
    yield f"| clean-fid | {clean:.1f} | |"
    yield f"| torch-fidelity | {fidelity:.1f} | |"


def peak() -> int:
    """Give the most bytes of memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_statistics(name: str, count: int) -> dict[str, float]:
    """Take FID or KID of two large synthetic sets; give bytes and seconds."""
    sets = [make_features(count, seed) for seed in range(2)]
    work = {"fid": distances.fid, "kid": distances.kid_unbiased}[name]
    work(sets[0][:9], sets[1][:9])  # loads what is loaded once
    before = peak()
    taken = seconds(lambda: work(*sets))
    held = sum(each.nbytes for each in sets)
    return {"held": held, "bytes": peak() - before, "seconds": taken}


def measure_extraction(count: int) -> dict[str, float]:
    """Extract features of many images that are made when asked for; give bytes and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"I2I_BENCH_WEIGHTS": folder, "I2I_BENCH_CACHE": folder}
        save_script(Cheap(), Path(folder) / INCEPTION_NAME)
        extract.extract_features(Made(64))  # imports, threads and the network
        before = peak()
        taken = seconds(lambda: extract.extract_features(Made(count)))
        held = count * inception.WIDTH * 8
        return {"held": held, "bytes": peak() - before - held, "seconds": taken}


def apart(what: str, count: int) -> dict[str, float]:
    """Measure one thing where nothing else has touched the memory."""
    line = [sys.executable, __file__, "--measure", what, "--large", str(count)]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


MEASURED = {
    "extraction": "extraction of one set, streamed, cheap network",
    "fid": "FID of two sets",
    "kid": "KID and its error, of two sets",
}


def memory_table(counts: dict[str, int]) -> Iterator[str]:
    """Measure the memory of large sets."""
    yield "| 2048 features of each image | images of a set | held, GiB | beside them, GiB | s |"
    yield "|:--|--:|--:|--:|--:|"
    for name, count in counts.items():
        found = apart(name, count)
        held, beside = found["held"] / 2**30, found["bytes"] / 2**30
        yield (
            f"| {MEASURED[name]} | {count:,} | {held:.2f} | {beside:.2f} | {found['seconds']:.0f} |"
        )


def measure(what: str, count: int) -> dict[str, float]:
    """Measure one line of the table of memory, in this process."""
    return measure_extraction(count) if what == "extraction" else measure_statistics(what, count)


def tables(options: argparse.Namespace) -> Iterator[str]:
    """Give the lines of the parts that are wanted."""
    yield f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    if options.part in (None, "memory"):  # first: a child is charged its parent's memory
        yield ""
        large = options.large
        counts = {"extraction": large, "fid": large, "kid": min(large, options.large_kid)}
        yield from memory_table(counts)
    if options.part in (None, "statistics"):
        yield ""
        yield from statistics_table(options.images)
    if options.part in (None, "evaluation"):
        yield ""
        with tempfile.TemporaryDirectory() as name:
            yield from evaluation_table(Path(name), options.images)


def main() -> None:
    """Print the tables, or measure one line of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000, help="of each set")
    parser.add_argument("--large", type=int, default=50_000, help="images where memory is measured")
    parser.add_argument("--large-kid", type=int, default=10_000, help="the same of the KID")
    parser.add_argument("--part", choices=["statistics", "evaluation", "memory"], help="only it")
    parser.add_argument("--measure", choices=list(MEASURED), help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # of the tools compared with
    if options.measure:
        print(json.dumps(measure(options.measure, options.large)))
        return
    for line in tables(options):
        print(line, flush=True)


if __name__ == "__main__":
    main()

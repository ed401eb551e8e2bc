"""Killed work ends in what it would have ended in; benchmarks/kills.py shows it at length."""

import shutil
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs fork and limits of Linux"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # of Python 3.12 on
]


@pytest.fixture(scope="module")
def kills(load_benchmark):
    return load_benchmark("kills")


@pytest.mark.parametrize(
    ("work", "count"), [("run", 2), ("evaluate", 1), ("score", 2), ("ablate", 1)]
)
@pytest.mark.slow
def test_killed_work_ends_in_the_same_networks_records_and_images(kills, tmp_path, work, count):
    survived = kills.survive(work, count, 0, tmp_path, lambda line: None)
    assert survived.total() == count


@pytest.fixture(scope="module")
def trained(kills, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    kills.make_task(folder / "task")
    assert kills.child(kills.train, folder, None) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("part", ["record", "networks", "image", "losses"])
def test_difference_in_any_part_is_noticed(kills, trained, tmp_path, part):
    start = Path(shutil.copytree(trained, tmp_path / "start"))
    before = kills.outcome(start)
    files = {
        "record": "results/**/*.json",
        "networks": "runs/**/checkpoint-*.pt",
        "image": "runs/**/translations-a2b/*.png",
        "losses": "runs/**/losses.jsonl",
    }
    path = sorted(start.glob(files[part]))[-1]
    if part == "networks":
        content = kills.torch.load(path, weights_only=True)
        next(iter(content["networks"].values())).view(-1)[0] += 1e-7
        kills.torch.save(content, path)
    elif part == "record":
        path.write_text(path.read_text().replace('"macs": ', '"macs": 1'))
    elif part == "losses":
        path.write_text(path.read_text().replace('"step": 1', '"step": 7'))
    else:
        path.write_bytes(path.read_bytes()[::-1])
    assert len({k for k, v in kills.outcome(start).items() if v != before[k]}) == 1

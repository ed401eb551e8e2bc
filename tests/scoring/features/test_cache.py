import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from i2i_bench.scoring.features import cache
from i2i_bench.scoring.features.cache import cache_state, clear_cache, keep_features, load_features

ONE = 8 * 2048 * 4 + 128  # bytes of a file of 8 images


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_CACHE", str(tmp_path))
    monkeypatch.delenv("I2I_BENCH_CACHE_BYTES", raising=False)
    return tmp_path / "features"


def features(value=0.0):
    return np.full((8, 2048), value, np.float32)


def keys(folder):
    return sorted(path.stem for path in folder.iterdir())


def age(folder, key, seconds):
    then = time.time() - seconds
    os.utime(folder / f"{key}.npy", (then, then))


def test_what_is_kept_is_found_again():
    keep_features("a", features(1.5))
    found = load_features("a", (8, 2048))
    assert found is not None
    assert np.array_equal(found, features(1.5))
    assert load_features("a", (9, 2048)) is None
    assert load_features("b", (8, 2048)) is None


def test_state_says_what_there_is(folder):
    assert cache_state() == cache.CacheState(folder, 0, 0, 2 * 2**30)
    keep_features("a", features())
    keep_features("b", features())
    assert cache_state() == cache.CacheState(folder, 2, 2 * ONE, 2 * 2**30)


def test_cleared_cache_is_empty(folder):
    keep_features("a", features())
    keep_features("b", features())
    assert clear_cache() == 2 * ONE
    assert keys(folder) == []
    assert clear_cache() == 0


def test_command_says_what_there_is_and_clears_it(cli, folder):
    keep_features("a", features())
    keep_features("b", features())
    assert cli("cache") == f"0.1 of 2147.5 MB, features of 2 sets in {folder}\n"
    assert cli("cache", "--clear").startswith("removed 0.1 MB\n0.0 of 2147.5 MB")
    assert keys(folder) == []


def test_clearing_leaves_what_is_not_the_caches(folder):
    keep_features("a", features())
    (folder / "notes.txt").write_text("mine")
    (folder / "folder.npy").mkdir()
    clear_cache()
    assert keys(folder) == ["folder", "notes"]


def test_what_was_not_used_longest_goes_first(folder, monkeypatch):
    for seconds, key in ((300, "a"), (200, "b"), (100, "c")):
        keep_features(key, features())
        age(folder, key, seconds)
    load_features("a", (8, 2048))
    monkeypatch.setenv("I2I_BENCH_CACHE_BYTES", str(3 * ONE))
    keep_features("d", features())
    assert keys(folder) == ["a", "c", "d"]
    monkeypatch.setenv("I2I_BENCH_CACHE_BYTES", str(2 * ONE))
    keep_features("e", features())
    assert keys(folder) == ["d", "e"]


@pytest.mark.parametrize("limit", [0, ONE - 1])
def test_what_exceeds_the_limit_is_not_kept_and_costs_nothing_else(folder, monkeypatch, limit):
    monkeypatch.setenv("I2I_BENCH_CACHE_BYTES", str(2 * ONE))
    keep_features("a", features()[:4])
    monkeypatch.setenv("I2I_BENCH_CACHE_BYTES", str(limit))
    keep_features("b", features())
    assert keys(folder) == ["a"]


@pytest.mark.parametrize("text", ["2 GiB", "-1", "1e9", "²"])
def test_a_limit_that_is_no_number_is_refused(monkeypatch, text):
    monkeypatch.setenv("I2I_BENCH_CACHE_BYTES", text)
    with pytest.raises(ValueError, match=r"I2I_BENCH_CACHE_BYTES is .*number of bytes"):
        cache_state()


def test_folder_that_cannot_be_made_costs_a_warning(folder, caplog):
    folder.write_text("a file where the folder belongs")
    keep_features("a", features())
    assert "not kept for next time" in caplog.text
    assert load_features("a", (8, 2048)) is None
    assert cache_state().files == 0


def test_header_that_promises_more_than_there_is_is_not_believed(folder):
    keep_features("a", features())
    path = folder / "a.npy"
    path.write_bytes(path.read_bytes().replace(b"(8, 2048)", b"(9, 2048)"))
    assert load_features("a", (9, 2048)) is None


KILLED = """
import os, signal
import numpy as np
from i2i_bench.scoring.features import cache

def save(path, array):
    path.write_bytes(array.tobytes()[: array.nbytes // 2])
    os.kill(os.getpid(), signal.SIGKILL)

np.save = save
cache.keep_features("a", np.zeros((8, 2048), np.float32))
"""


def test_killed_writer_leaves_nothing_that_is_trusted_or_stays(folder):
    killed = subprocess.run([sys.executable, "-c", KILLED], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    (draft,) = folder.iterdir()
    assert load_features("a", (8, 2048)) is None
    keep_features("b", features())
    assert draft.exists()  # another process may be at it still
    age(folder, draft.stem, cache.ABANDONED + 1)
    keep_features("c", features())
    assert keys(folder) == ["b", "c"]


WRITER = """
import sys
import numpy as np
from i2i_bench.scoring.features import cache

wrong = 0
for turn in range(60):
    key, mine = str(turn % 3), float(sys.argv[1])
    cache.keep_features(key, np.full((64, 2048), mine, np.float32))
    found = cache.load_features(key, (64, 2048))
    wrong += found is not None and len(np.unique(found)) != 1
    if turn % 20 == 19:
        cache.clear_cache()
sys.exit(wrong)
"""


def test_processes_at_one_cache_never_see_a_part(folder, monkeypatch):
    monkeypatch.setenv("I2I_BENCH_CACHE_BYTES", str(2 * (64 * 2048 * 4 + 128)))
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(i)]) for i in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert cache_state().files <= 2

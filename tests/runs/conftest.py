"""Fixtures of imports: files as models' authors have them, and what is read of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from official_files import TINY, write_official


@pytest.fixture
def save(golden, tmp_path) -> Callable[[str], Path]:
    """Give a function that writes the authors' files of one family into ``official``."""

    def write(fixture: str) -> Path:
        (tmp_path / "official").mkdir()
        return write_official(golden, fixture, tmp_path / "official")

    return write


@pytest.fixture
def pair(save, places):
    """Write CycleGAN's four files."""
    return save("cyclegan")


@pytest.fixture
def imported(cli, pair):
    """Import them."""
    cli("import", "cyclegan", pair, "imported")
    return Path("imported")


@pytest.fixture
def single(cli, golden, places):
    """Import a generator of one direction."""
    Path("single").mkdir()
    golden("cyclegan").save(Path("single"), {"latest_net_G.pth": "G_A"})
    cli("import", "cyclegan", "single", "one-way")
    return Path("one-way")


@pytest.fixture
def trained(cli, places, tiny):
    """Train for one step; give the folder of the run."""
    cli("run", "--model", "cyclegan", "--task", tiny, *TINY)
    (folder,) = Path("runs").glob("*/*/seed0")
    return folder

"""The three wheels work without the repository: nothing in them is missing, nothing too much."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from i2i_bench.plugins import contract

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT, ROOT / "baselines", ROOT / "plugins" / "attentiongan"]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
PROGRAM = """
import json, sys
from click.testing import CliRunner
import i2i_bench, i2i_baselines, i2i_attentiongan
from i2i_bench.cli.main import main
done = [CliRunner().invoke(main, line) for line in (["models"], ["check", "attentiongan"])]
places = [m.__file__ for m in (i2i_bench, i2i_baselines, i2i_attentiongan)]
print(json.dumps([[[each.exit_code, each.output] for each in done], places, sys.path]))
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("wheels")
    build = ["wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", str(folder)]
    subprocess.run([*PIP, *build, *map(str, SOURCES)], check=True)
    return sorted(folder.iterdir())


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_there_is_one_wheel_for_each_distribution(wheels):
    assert [wheel.name.split("-")[0] for wheel in wheels] == [
        "i2i_bench",
        "i2i_bench_attentiongan",
        "i2i_bench_baselines",
    ]


def test_wheels_hold_their_package_whole_and_nothing_else(wheels):
    packages = ["i2i_bench", "i2i_attentiongan", "i2i_baselines"]
    folders = [ROOT, ROOT / "plugins" / "attentiongan", ROOT / "baselines"]
    for wheel, package, folder in zip(wheels, packages, folders, strict=True):
        expected = {
            path.relative_to(folder).as_posix()
            for path in (folder / package).rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        found = {name for name in names(wheel) if ".dist-info/" not in name}
        assert found == expected
        assert f"{package}/py.typed" in found


def test_wheels_work_without_the_repository(wheels, tmp_path):
    target, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    install = ["install", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*PIP, *install, *map(str, wheels)], check=True)
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    path = os.pathsep.join([str(target), *sorted(dependencies)])
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", PROGRAM],  # -S: no .pth file of an editable install
        cwd=empty,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ((listed, listing), (checked, checks)), places, searched = json.loads(done.stdout)
    assert all(Path(place).is_relative_to(target) for place in places)
    assert not {str(source) for source in SOURCES} & set(searched)
    assert (listed, checked) == (0, 0), listing + checks
    assert {"attentiongan", "cyclegan"} <= {line.split()[0] for line in listing.splitlines()}
    assert checks.count("ok  ") == 1 + len(contract.CHECKS)
    assert not list(empty.iterdir())

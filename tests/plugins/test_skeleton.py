"""The skeleton of a plugin is a model as it stands, and names that cannot be are refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from i2i_bench.plugins import contract, skeleton

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import pytest
from i2i_bench.cli.main import main
for line in sys.stdin.read().splitlines():
    main(line.split("|"), standalone_mode=False)
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-W", "error", sys.argv[1]]))
"""
NAMES = ["none", "my-model", "an_image2image-model-of-a-name"]


@pytest.mark.slow
def test_skeleton_is_a_model_that_passes_its_test_and_trains_without_an_edit(cli, places, tiny):
    text = cli("new-model", "warp-2", "--output", "made/plugin")
    written = {str(path.relative_to(places)) for path in places.rglob("*") if path.is_file()}
    files = ("i2i_warp_2.py", "pyproject.toml", "tests/test_i2i_warp_2.py")
    assert written == {f"made/plugin/{file}" for file in files}
    assert all(f"wrote {file}\n" in text for file in written)
    target = places / "installed"
    offline = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *offline]
    subprocess.run([*pip, "--target", str(target), "made/plugin"], check=True)

    commands = ["models|warp-2", "check|warp-2"]
    commands += [f"run|--model|warp-2|--task|{tiny}|--preset|tiny", "leaderboard"]
    path = os.pathsep.join([str(target), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "made/plugin/tests"],
        input="\n".join(commands),
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "  Warp 2: unpublished\n" in done.stdout  # of models
    checks = [line.split()[0] for line in done.stdout.splitlines() if line.startswith(("ok", "FA"))]
    assert checks == ["ok"] * (1 + len(contract.CHECKS))
    assert len(list(places.glob("results/*/warp-2+preset=tiny/seed0.json"))) == 1
    assert "| warp-2 " in done.stdout  # of leaderboard
    assert f"{1 + len(contract.CHECKS)} passed" in done.stdout  # of its own test


@pytest.mark.parametrize("name", NAMES)
def test_skeleton_is_formatted_and_has_nothing_to_lint_whatever_its_name(places, name):
    shutil.copy(ROOT / "pyproject.toml", places)  # of the linter's settings, as in a checkout
    for package in ("blocks", "plugins"):
        (places / "i2i_bench" / package).mkdir(parents=True)
    folder = skeleton.write_skeleton(name)
    assert folder == Path(f"i2i-{name.replace('_', '-')}")
    for arguments in (["format", "--check", "--diff"], ["check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_skeleton_has_no_fault_of_types(places):
    folder = skeleton.write_skeleton("warp").resolve()
    python = ["--pythonpath", sys.executable, "--level", "warning"]
    command = [sys.executable, "-m", "pyright", *python, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_skeleton_has_at_most_65_lines(places):
    folder = skeleton.write_skeleton(NAMES[-1])
    (module,) = folder.glob("*.py")
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 65


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("", ["'' cannot name a model", "such as my-model"]),
        ("MUNIT", ["'MUNIT' cannot name a model"]),
        ("2fast", ["'2fast' cannot name a model", "a letter first"]),
        ("../munit", ["'../munit' cannot name a model"]),
        ("munit.v2", ["'munit.v2' cannot name a model"]),
        ("mu--nit", ["'mu--nit' cannot name a model"]),
        ("munit\n", ["cannot name a model"]),
        ("a" * 31, ["cannot name a model", "1 to 30"]),
        ("cyclegan", ["'cyclegan' is installed already", "i2i-bench-baselines 0.1.0"]),
        ("bench", ["i2i-bench with its module i2i_bench is installed already", "'bench'"]),
        ("baselines", ["its module i2i_baselines is installed already", "'baselines'"]),
        ("bench-baselines", ["i2i-bench-baselines with its module", "installed already"]),
    ],
)
def test_impossible_or_taken_name_is_refused_and_nothing_is_written(cli, places, name, parts):
    sentence = cli("new-model", name, code=1)
    assert all(part in sentence for part in parts), sentence
    assert not list(places.iterdir())


@pytest.mark.parametrize("what", ["folder", "file", "dangling link"])
def test_existing_folder_is_left_alone(cli, places, what):
    path = places / "i2i-my-model"
    if what == "folder":
        path.mkdir()
    elif what == "file":
        path.write_text("mine")
    else:
        path.symlink_to(places / "nowhere")
    assert cli("new-model", "my-model", code=1) == (
        "i2i-my-model exists; name another folder with --output"
    )
    assert list(places.iterdir()) == [path]

"""Commands that only list or rank import nothing heavy; benchmarks/startup.py has the seconds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from i2i_bench.records.ablation import AblationPlan
from i2i_bench.report import ablation

pytestmark = pytest.mark.slow  # whole runs and commands

HEAVY = {"torch", "torchvision", "matplotlib", "pandas", "scipy", "cleanfid", "lpips"}
PROGRAM = """
import json, sys
from click.testing import CliRunner
from i2i_bench.cli.main import main
result = CliRunner().invoke(main, sys.argv[1:])
assert result.exit_code == 0, result.output
print(json.dumps([result.output, sorted({name.split(".")[0] for name in sys.modules})]))
"""


TRAINING = """
import json, sys
from pathlib import Path
import torch
from i2i_bench.cli import carry_out, progress
from i2i_bench.records.folders import Places
from i2i_bench.runs import bench, job, one_by_one, plan
from i2i_bench.scoring import protocols

class Enough(BaseException):
    pass

def report(stage, done, of, values):
    if stage == "train":
        raise Enough

here = Path.cwd()
places = Places(here / "results", here / "runs", here)
shared = bench.Bench(places, [protocols.find_protocol("i2i")], torch.device("cpu"), report)
for each in plan.plan_runs(sys.argv[2:], [sys.argv[1]], [0], job.Choices("tiny", {}, 4), here):
    try:
        one_by_one.run_one_by_one([each], shared, force=False, say=lambda line: None)
    except Enough:
        continue
    sys.exit("it was not told of a step")
print(json.dumps(["", sorted({name.split(".")[0] for name in sys.modules})]))
"""


def modules_after(*arguments: str) -> tuple[str, set[str]]:
    """Run a command in a fresh process; give its output and the packages it imported."""
    return _modules(PROGRAM, *arguments)


def _modules(program: str, *arguments: str) -> tuple[str, set[str]]:
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    output, modules = json.loads(done.stdout)
    return output, set(modules)


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--help"], ["run", "--help"], ["ablate", "--help"], ["figure", "--help"]),
        *(["leaderboard", "--help"], ["table", "--help"], ["models"], ["tasks"], ["protocols"]),
    ],
)
def test_listing_imports_nothing_heavy(places, arguments):
    _, modules = modules_after(*arguments)
    assert not modules & (HEAVY | {"numpy", "PIL", "pydantic", "rich"})


def test_leaderboard_of_records_imports_no_torch(finished):
    output, modules = modules_after("leaderboard")
    assert "| cyclegan" in output
    assert not modules & (HEAVY | {"numpy", "PIL"})


def test_page_without_samples_imports_no_torch(places):
    results = str(Path(__file__).parents[2] / "results")
    output, modules = modules_after(
        "leaderboard", "--format", "html", "--results", results, "--output", "site"
    )
    assert output == "wrote site/index.html\n"
    assert not modules & (HEAVY | {"numpy", "PIL"})


def test_checking_ablations_imports_no_torch(places):
    plan = {"title": "t", "command": "c", "task": "stripes", "seeds": [0], "protocols": ["i2i"]}
    plan |= {"name": "own", "keys": ["k"], "points": [{"values": ["1"], "run": "stripes/some"}]}
    folder = places / "results" / "ablations"
    folder.mkdir(parents=True)
    for suffix in ("png", "svg"):
        (folder / f"own.{suffix}").touch()
    (folder / "own.json").write_text(json.dumps(plan))
    settled = AblationPlan.model_validate(plan)
    for suffix, text in ablation.ablation_texts(settled, []).items():
        (folder / f"own{suffix}").write_text(text)
    output, modules = modules_after("ablate", "--check")
    assert output.startswith("1 ablation in")
    assert not modules & (HEAVY | {"numpy", "PIL"})


@pytest.mark.parametrize("name", ["ii", "iii", "iv"])
def test_table_of_the_paper_imports_no_torch(places, name):
    output, modules = modules_after("table", name)
    assert "| AttentionGAN " in output
    assert not modules & (HEAVY | {"numpy", "PIL"})


def test_trainings_take_their_first_steps_without_what_scores(places, tiny):
    _, modules = _modules(TRAINING, str(tiny), "cyclegan", "attentiongan")
    assert "torch" in modules
    assert not modules & (HEAVY - {"torch"})

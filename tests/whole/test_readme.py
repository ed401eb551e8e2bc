"""The commands of the README and the pages for users exist, with the options given there."""

import json
import re
import shlex
from pathlib import Path

import click
import numpy as np
import pytest
from matplotlib import pyplot

from i2i_bench.cli.main import main
from i2i_bench.records.record import read_records
from i2i_bench.report.leaderboard import tabulate

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
PAGES = [
    ROOT / "docs" / f"{name}.md"
    for name in ("usage", "data", "models", "labelled", "scoring", "reproduce")
]
WHOLE = "\n".join([TEXT, *(page.read_text(encoding="utf-8") for page in PAGES)])
BLOCKS = re.findall(r"```sh\n(.*?)```", WHOLE, re.DOTALL)
LINES = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
PYTHON = re.findall(r"```python\n(.*?)```", TEXT + API, re.DOTALL)
COMMANDS = sorted({line for line in LINES if line.startswith("i2i-bench ")})
TARGETS = sorted(set(re.findall(r"\bmake ([a-z]+)", "\n".join(LINES))))


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_a_page_is_possible(command):
    name, *arguments = shlex.split(command)[1:]
    found = main.commands[name]
    if isinstance(found, click.Group):  # such as data fetch
        name, *arguments = arguments
        found = found.commands[name]
    with found.make_context(name, arguments) as context:
        assert context.params


@pytest.mark.parametrize("target", TARGETS)
def test_target_of_the_readme_is_in_the_makefile(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_pages_have_commands():
    assert len(COMMANDS) >= 25
    assert {"demo", "test", "install"} <= set(TARGETS)


def test_readme_is_one_page_with_four_pictures_and_a_first_run():
    assert len(TEXT.splitlines()) < 120
    pictures = [ROOT / name for name in re.findall(r"!\[[^]]+\]\((\S+)\)", TEXT)]
    assert len(pictures) == 4
    assert sum(picture.stat().st_size for picture in pictures) < 1_000_000
    install, train, show = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)[0].splitlines()
    assert install.startswith("make install")
    assert {train, show} <= set(COMMANDS)


@pytest.mark.parametrize("block", PYTHON)
def test_python_of_readme_and_api_runs(block, tmp_path, monkeypatch, capsys):
    pyplot.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to(ROOT / "results")
    exec(compile(block, "README.md", "exec"), {})
    pyplot.close("all")
    if "read_frame" not in block:
        return  # it shows no record: that it runs is all
    printed = re.findall(r"^\S+\+preset=small\S*", capsys.readouterr().out, re.MULTILINE)
    if "savefig" not in block:
        runs = [r for r in read_records(ROOT / "results") if r.task == "stripes"]
        assert set(printed) == {f"{run.model}+{run.variant}" for run in runs}
        return
    board = next(t for t in tabulate(read_records(ROOT / "results")) if t.group[0] == "stripes")
    ranked = [f"{row.model}+{row.variant}" for row in board.rows if row.rank]
    assert (board.group.direction, printed) == ("a2b", ranked)
    assert (tmp_path / "ranking.png").stat().st_size > 10_000


def test_api_draws_a_ranking():
    assert "savefig" in "".join(PYTHON)


def values(place: str, key: str, directions: tuple[str, ...]) -> str:
    """Give mean and deviation over the seeds, in each direction or over the mean of many."""
    files = sorted((ROOT / "results").glob(f"{place}/seed*.json"))
    records = [json.loads(file.read_text(encoding="utf-8"))["scores"] for file in files]
    assert len(records) == 3
    found = [[r[f"i2i@1/{d}"]["values"][key] for d in directions] for r in records]
    if None in found[0]:
        return "no mask"
    columns = np.array(found) if len(directions) == 2 else np.mean(found, axis=1, keepdims=True)
    unit, digits = {"mask_iou": (1, 3), "target_share": (100, 1), "kept_share": (100, 1)}.get(
        key, (1, 2)
    )
    pairs = [(unit * each.mean(), unit * each.std(ddof=1)) for each in columns.T]
    return " / ".join(f"{mean:.{digits}f} ± {deviation:.{digits}f}" for mean, deviation in pairs)


CHANGES = tuple(f"{sign}{name}" for name in ("cold", "cross", "striped") for sign in "+-")
TABLES = {
    "stripes": (("psnr_foreground", "psnr_background", "mask_iou"), ("a2b", "b2a")),
    "shapes-attributes": (
        ("psnr_foreground", "psnr_background", "target_share", "kept_share"),
        CHANGES,
    ),
}


@pytest.mark.parametrize("task", TABLES)
def test_tables_of_the_pages_are_those_of_the_records(task):
    keys, directions = TABLES[task]
    (_, after) = WHOLE.split(f"| `{task}`, preset small")
    table = after.split("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert len(rows) > 2 and rows[-1][0] == "identity (source unchanged)"
    for name, *cells in rows[:-1]:
        model, *changes = name.replace("`", "").split(", ")
        place = ",".join([f"{task}/{model}+preset=small", *changes])
        assert [cell.replace("*", "") for cell in cells] == [
            values(place, key, directions) for key in keys
        ], name

"""The README's commands exist, with the options it gives them."""

import re
import shlex
from pathlib import Path

import click
import pytest

from i2i_bench.cli import main

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
LINES = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
COMMANDS = sorted({line for line in LINES if line.startswith("i2i-bench ")})
TARGETS = sorted(set(re.findall(r"\bmake ([a-z]+)", "\n".join(LINES))))


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_the_readme_is_possible(command):
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


def test_readme_has_commands():
    assert len(COMMANDS) >= 5
    assert {"demo", "test", "install"} <= set(TARGETS)

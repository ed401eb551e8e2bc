"""Output in encodings that lack characters: every command prints, and nothing is broken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from i2i_bench.cli.main import main

COMMITTED = Path(__file__).parents[2] / "results"
TABLE = ["leaderboard", "--task", "hue", "--results", str(COMMITTED)]


def printed(encoding, *arguments, code=0):
    """Give what a command writes, decoded strictly in the encoding of the terminal."""
    result = CliRunner(charset=encoding).invoke(main, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return (result.stdout_bytes + result.stderr_bytes).decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "arrow", "sign"),
    [
        ("latin-1", "^", "±"),
        ("cp1252", "^", "±"),
        ("ascii", "^", "+-"),
        ("koi8-r", "^", "+-"),
        ("cp437", "^", "±"),
        ("utf-16", "↑", "±"),
        ("utf-8", "↑", "±"),
    ],
)
def test_table_is_printed_in_every_encoding(encoding, arrow, sign):
    text = printed(encoding, *TABLE)
    assert f"PSNR fg dB {arrow} |" in text
    assert f"KID x100 {sign} jackknife" in text
    assert "?" not in text  # all that tables print has a likeness


def test_columns_stay_below_their_titles():
    lines = [line for line in printed("latin-1", *TABLE).splitlines() if line.startswith("|")]
    blocks = [line for line in lines if line.split("|")[1].strip() == "#"]
    assert blocks
    assert {len(line) for line in lines} == {len(line) for line in blocks}


def test_names_that_cannot_be_encoded_are_replaced_in_answers_and_errors():
    assert "there is no folder of records ????" in printed(
        "latin-1", "leaderboard", "--results", "結果表示", code=1
    )


def test_warnings_are_printed():
    script = (
        "import logging, sys; from i2i_bench.cli.terminal import use_plain_output; "
        "use_plain_output(); logging.basicConfig(stream=sys.stderr); "
        "logging.warning('PSNR ↓ 表 …')"
    )
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "WARNING:root:PSNR v ? …\n".encode("cp1252"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LANG": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=str,
)
def test_program_ends_well_whatever_the_terminal_is_said_to_be(variables):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG"))}
    command = [sys.executable, "-m", "i2i_bench", *TABLE]
    done = subprocess.run(command, capture_output=True, env=kept | variables)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"PSNR fg dB") > 1

"""The documentation builds without a warning, and the tutorial does what it says."""

import ast
import html
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import pytest
from PIL import Image
from torch.distributed.run import get_args_parser

from i2i_bench.cli.main import main
from i2i_bench.plugins import contract

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TUTORIAL, re.DOTALL)
PROGRAM = """
import shlex, site, subprocess, sys
import pytest
from i2i_bench.cli.main import main

site.addsitedir("site")
for line in sys.stdin.read().splitlines():
    program, *arguments = shlex.split(line, comments=True)
    if program == "i2i-bench":
        main(arguments, standalone_mode=False)
    elif program == "pip":
        offline = ["--no-build-isolation", "--no-deps", "--no-index", "--target", "site"]
        subprocess.run([sys.executable, "-m", "pip", *arguments, *offline], check=True)
        site.addsitedir("site")
    elif program == "pytest":
        assert not pytest.main([*arguments, "-p", "no:cacheprovider", "-W", "error"]), line
    else:
        sys.exit(f"what is {line}")
"""


def run(lines: str) -> str:
    """Run the lines of a block, in one process to import torch once; give what they print."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=lines,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{lines}\n{done.stdout}{done.stderr}"
    return done.stdout


def edit(module: Path, old: str, new: str) -> None:
    """Replace what is there once."""
    text = module.read_text(encoding="utf-8")
    assert text.count(old) == 1
    module.write_text(text.replace(old, new), encoding="utf-8")


def put(block: str, module: Path) -> None:
    """Put a block's definitions, and its imports if it has any, in the place of those there."""
    tree = ast.parse(block)
    new = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    imported = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert len(new) + len(imported) == len(tree.body)
    source = module.read_text(encoding="utf-8")
    lines = block.splitlines()
    if imported:
        source = source.replace(import_lines(source), import_lines(block))
    for node in new:
        text = "\n".join(lines[first_line(node) - 1 : node.end_lineno])
        is_method = isinstance(node, ast.FunctionDef) and node.args.args[0].arg == "self"
        source = with_definition(source, node.name, textwrap.indent(text, "    " * is_method))
    module.write_text(source, encoding="utf-8")


def import_lines(source: str) -> str:
    """Give the lines from the first import to the last."""
    kinds = ast.Import | ast.ImportFrom
    found = [node for node in ast.parse(source).body if isinstance(node, kinds)]
    return "\n".join(source.splitlines()[found[0].lineno - 1 : found[-1].end_lineno])


def with_definition(source: str, name: str, text: str) -> str:
    """Replace the definition of this name; a new class goes above the model, a method to its end.

    The model is the last class.
    """
    lines, tree = source.splitlines(), ast.parse(source)
    (*_, model) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    nodes = model.body if text.startswith(" ") else tree.body
    named = [n for n in nodes if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == name]
    if named:
        lines[first_line(named[0]) - 1 : named[0].end_lineno] = [text]
    elif text.startswith("class"):
        lines[first_line(model) - 1 : first_line(model) - 1] = [text, "", ""]
    else:
        lines += ["", text]
    return "\n".join(lines) + "\n"


def first_line(node: ast.FunctionDef | ast.ClassDef) -> int:
    return min(each.lineno for each in (node, *node.decorator_list))


@pytest.mark.slow
def test_tutorial_does_what_it_says(places):
    module = places / "i2i-masked" / "i2i_masked.py"
    (places / "photos").mkdir()
    Image.new("RGB", (32, 32), "red").save(places / "photos" / "red.png")
    before, after = "", ""
    for kind, block in BLOCKS:
        if kind == "python":
            before = before or run(after)  # of the model as it was
            after = ""
            put(block, module)
            if "class MaskedGenerator" in block:
                edit(
                    module,
                    "generators.resnet_generator(config.width, num_blocks=3)",
                    "MaskedGenerator(config.width)",
                )
        else:
            after += block
    edit(module, "cycle_gan_settings(cls.card, preset,", 'cycle_gan_settings(cls.card, "tiny",')
    after = run(after.replace(" --model cyclegan", ""))  # and small in seconds, not minutes
    for output in (before, after):
        assert output.count("ok  ") == 1 + len(contract.CHECKS)
    assert f"{1 + len(contract.CHECKS)} passed" in before
    assert "stripes/masked+preset=tiny/seed0: recorded in " in before
    assert "| masked+lambda_total_variation=0.0 " in after  # of the leaderboard
    assert list(places.glob("runs/stripes/masked+preset=small/seed0/tensorboard/*"))
    assert "translated 1 image into" in after
    assert len(list(places.glob("translated/*.png"))) > 1  # the masks beside it
    for arguments in (["format", "--check", "--diff"], ["check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", module]
        command += ["--config", "pyproject.toml"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_tutorial_is_shorter_than_150_lines():
    assert len(TUTORIAL.splitlines()) < 150


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Build the documentation; a warning is an error."""
    target = tmp_path_factory.mktemp("docs")
    sphinx = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", target / "trees"]
    done = subprocess.run(
        [*sphinx, ROOT / "docs", target / "html"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target / "html"


def read(page: Path) -> str:
    """Give the text of a page without its tags."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


@pytest.mark.slow
def test_documentation_has_every_command_with_its_options_and_examples(pages):
    text = read(pages / "commands.html")
    examples = [line for line in text.splitlines() if line.startswith("i2i-bench run --model ")]
    assert len(examples) > 2  # as typed, with two hyphens
    for name, command in main.commands.items():
        for each in getattr(command, "commands", {name: command}).values():
            for option in (p for p in each.params if isinstance(p, click.Option) and not p.hidden):
                assert option.opts[0] in text, f"{name} {option.opts[0]}"
        assert f"i2i-bench {name}" in text


@pytest.mark.slow
def test_generated_parts_of_the_pages_are_those_of_the_code():
    command = [sys.executable, ROOT / "docs" / "reference.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "Model.training_step(self, batch: Batch, random: Randomness)",
        "class `ImagePool(",
        "`read_pair(",
        "`check_model(",
    ],
)
def test_documentation_has_what_a_plugin_stands_on(name):
    assert name in (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_documentation_has_every_task_and_protocol(pages):
    from i2i_bench.scoring.protocols import PROTOCOLS
    from i2i_bench.tasks import catalogue

    text = read(pages / "catalogues.html")
    named = [row.name for row in catalogue.list_tasks(Path())] + [
        str(p) for p in PROTOCOLS.values()
    ]
    assert [name for name in named if name not in text] == []


CLUSTERS = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
LINES = [
    line.replace("$SLURM_ARRAY_TASK_ID", "0")
    for block in re.findall(r"```sh\n(.*?)```", CLUSTERS, re.DOTALL)
    for line in block.splitlines()
    if line.partition(" ")[0] in ("srun", "torchrun", "i2i-bench")
]


@pytest.mark.parametrize("line", [line for line in LINES if " ray start " not in line])
def test_command_for_clusters_is_possible(line):
    words = shlex.split(line)
    if "torchrun" in words:
        parser = get_args_parser()
        if "--shutdown-timeout" not in parser.format_help():  # before torch 2.12, as the page says
            words = [word for word in words if not word.startswith("--shutdown-timeout")]
        launched = parser.parse_args(words[words.index("torchrun") + 1 :])
        assert launched.module
        assert launched.training_script == "i2i_bench"
        name, *arguments = launched.training_script_args
    else:
        name, *arguments = words[words.index("i2i-bench") + 1 :]
    with main.commands[name].make_context(name, arguments) as context:
        assert context.params["models" if name == "run" else "model"]


def test_page_on_clusters_has_each_way():
    text = "\n".join(LINES)
    for way in ("torchrun", "--jobs", "--launcher ray", "ray start", "SLURM_JOB_ID"):
        assert way in text

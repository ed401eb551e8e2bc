"""What the host of the repository reads agrees with the project: checks, versions, forms."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def parsed(*place: str) -> Any:
    return yaml.safe_load(ROOT.joinpath(*place).read_text(encoding="utf-8"))


def test_ci_calls_make_test_and_no_other_check():
    (job,) = parsed(".github", "workflows", "ci.yml")["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands[-1] == "make test"
    assert not re.search("pytest|ruff|pyright|i2i-bench", " ".join(commands))
    assert any("install" in command and "chromium" in command for command in commands)


def test_ci_tests_the_versions_of_python_that_the_package_names():
    (job,) = parsed(".github", "workflows", "ci.yml")["jobs"].values()
    prefix = "Programming Language :: Python :: "
    named = [line.removeprefix(prefix) for line in PROJECT["classifiers"] if prefix in line]
    assert job["strategy"]["matrix"]["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_hooks_before_a_commit_are_targets_of_the_makefile():
    (repository,) = parsed(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    called = [hook["entry"].split() for hook in repository["hooks"]]
    assert called == [["make", "format"], ["make", "lint"], ["make", "types"]]
    assert {target for _, target in called} <= set(TARGETS)


def test_citation_is_of_this_project_and_version():
    citation = parsed("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]
    assert citation["keywords"] == PROJECT["keywords"]
    assert citation["title"].startswith(PROJECT["name"])


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_form_of_an_issue_is_one(path):
    form = parsed(".github", "ISSUE_TEMPLATE", path.name)
    if path.stem == "config":
        assert isinstance(form["blank_issues_enabled"], bool)
        return
    assert form["name"] and form["description"]
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert {part["type"] for part in fields} <= {"input", "textarea", "dropdown", "checkboxes"}
    assert len({part["id"] for part in fields}) == len(fields) > 1
    assert all(part["attributes"]["label"] for part in fields)


def test_there_is_a_form_for_each_kind_of_issue():
    assert {path.stem for path in FORMS} == {"bug", "config", "new-model", "wrong-number"}

"""The hash of a model's code: what moves it, and what does not."""

import hashlib
import importlib
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from i2i_bench.plugins import registry
from i2i_bench.plugins.source import joined_sources, source_digest
from i2i_bench.records.folders import write_run_file
from i2i_bench.runs.provenance import source_of_training

FILES = {
    "__init__.py": "",
    "model.py": "from . import layers\nfrom .losses import total\n\n\nclass Third: ...\n",
    "layers.py": "import json\n",
    "losses.py": "def total():\n    from i2i_third import weights\n",
    "weights.py": "",
    "other.py": "",
}


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """Give a function that writes the package with some texts changed, and hashes its class."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # which knows seconds only

    def of(**changes):
        (tmp_path / "i2i_third").mkdir(exist_ok=True)
        for name, text in FILES.items():
            changed = changes.get(name.removesuffix(".py"), text)
            (tmp_path / "i2i_third" / name).write_text(changed, encoding="utf-8", newline="")
        for name in [name for name in sys.modules if name.partition(".")[0] == "i2i_third"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return source_digest(importlib.import_module("i2i_third.model").Third)

    yield of
    for name in [name for name in sys.modules if name.partition(".")[0] == "i2i_third"]:
        del sys.modules[name]


def test_hash_is_that_of_the_names_and_texts(digest):
    names = sorted(
        {"i2i_third", *(f"i2i_third.{n}" for n in ("model", "layers", "losses", "weights"))}
    )
    texts = {name: FILES[f"{name.partition('.')[2] or '__init__'}.py"] for name in names}
    whole = "".join(f"{name} {len(text)}\n{text}\n" for name, text in texts.items())
    assert digest() == hashlib.sha256(whole.encode()).hexdigest()[:8]


@pytest.mark.parametrize("name", ["__init__", "model", "layers", "losses", "weights"])
def test_code_that_a_model_imports_in_its_package_counts(digest, name):
    assert digest(**{name: FILES[f"{name}.py"] + "x = 1\n"}) != digest()


def test_other_modules_and_line_ends_do_not_count(digest):
    crlf = FILES["model.py"].replace("\n", "\r\n")
    assert digest(other="x = 1\n", model=crlf) == digest()


def test_class_without_source_has_no_hash():
    assert source_digest(type("Third", (), {"__module__": "__nowhere__"})) == ""


def test_codes_that_worked_on_a_run_are_kept_in_order():
    assert joined_sources("a", "a") == "a"
    assert joined_sources("a", "b") == joined_sources("a+b", "b") == "a+b"
    assert joined_sources("a+b", "a") == "a+b+a"


@pytest.mark.parametrize(
    ("noted", "is_begun", "start"),
    [("0" * 8, True, "00000000+"), ("0" * 8, False, ""), ("", True, None), ("", False, "")],
)
def test_training_that_other_code_goes_on_with_is_warned_of(
    tmp_path, caplog, noted, is_begun, start
):
    write_run_file(tmp_path, "stripes", is_finished=False, source=noted)
    if is_begun:
        (tmp_path / "checkpoint-000000000002.pt").touch()
    model_class = registry.load_model("cyclegan")
    job: Any = SimpleNamespace(model_class=model_class, run=SimpleNamespace(model="cyclegan"))
    expected = "" if start is None else f"{start}{source_digest(model_class)}"
    assert source_of_training(job, tmp_path) == expected
    assert ("begun by other code of cyclegan (00000000, now " in caplog.text) == ("+" in expected)

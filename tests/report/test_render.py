"""The LaTeX tables compile where there is a TeX engine, and are sound everywhere."""

import shutil
import subprocess

import pytest
from sound_records import make_record, make_score

from i2i_bench.records.ablation import AblationPlan, AblationPoint
from i2i_bench.records.record import Values
from i2i_bench.report import ablation, render
from i2i_bench.report.papers import tables
from i2i_bench.report.papers.comparison import comparison_table

PREAMBLE = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
HOSTILE = "a_b%c&d#e~f^g\\h$i{j}k|l<m>n\"o`p'q --all [r] ± → ↑ é ß € 中 µ"


def record(label="model", **changes):
    values: dict[str, float | None] = {"psnr_foreground": -1.5, "kid": 0.02, "kid_se": 0.001}
    score = make_score(
        estimator={"distances": ["fid_lowrank", "kid_ustat"], "kid_unit": "raw"},
        baselines={"identity": Values(values=values)},
        values=values,
        reasons={"fid": f"the file {HOSTILE} is missing"},
    )
    made = make_record(score, preset="small", device=HOSTILE)
    return made.model_copy(update={"model": label, **changes})  # not validated


LEADERBOARD = render.leaderboard_latex(
    [record(HOSTILE), record("second", seed=1), record("third_")]
)
PLAN = AblationPlan(
    name="masks",
    title="title",
    command="i2i-bench ablate --vary some_key=1,2",
    task="stripes",
    keys=("some_key", "second & third"),
    points=(
        AblationPoint(values=("1%", "a_b"), run="stripes/one"),
        AblationPoint(values=("2", "#"), run="stripes/two"),
    ),
    seeds=(0,),
    protocols=("i2i",),
)
TABLES = {
    "ablation": ablation.ablation_texts(PLAN, [record("one"), record("two")])[".tex"],
    "leaderboard": LEADERBOARD,
    **{
        name: tables.paper_latex(comparison_table(name, [], further=True))
        for name in ("ii", "iii", "iv")
    },
}


@pytest.mark.parametrize("name", TABLES)
def test_braces_environments_and_columns_agree(name):
    text = TABLES[name]
    plain = text.replace("\\{", "").replace("\\}", "")
    assert plain.count("{") == plain.count("}")
    for kind in ("table", "tabular"):
        assert text.count(f"\\begin{{{kind}}}") == text.count(f"\\end{{{kind}}}") > 0
    for block in text.split("\\begin{tabular}{")[1:]:
        alignment, _, body = block.partition("}")
        lines = [line for line in body.splitlines() if line.endswith(r" \\")]
        assert {line.count(" & ") for line in lines} == {len(alignment) - 1}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
@pytest.mark.parametrize("name", TABLES)
def test_tables_compile(tmp_path, name):
    source = f"{PREAMBLE}{TABLES[name]}\n\\end{{document}}\n"
    (tmp_path / "page.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "page.pdf").stat().st_size > 1000


def test_text_keeps_its_letters_and_names_those_without_a_glyph():
    assert render.latex_text("é ± 中") == r"é $\pm$ U+4E2D"
    assert render.latex_text("see --all, ---") == "see -{}-all, -{}-{}-"
    assert render.latex_text("50% of a_b & #1") == r"50\% of a\_b \& \#1"

"""From answers in a folder to what they say: rules of the plan, logs, files, records."""

import json
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from study_folders import (
    answer_session,
    right,
    small_study,
    write_file,
    write_log,
    wrong,
)

from i2i_bench.records.study import read_study_record, study_text
from i2i_bench.study import score
from i2i_bench.study.answers import LOG, collect_answers
from i2i_bench.study.plan import ANSWERS, REAL, Study
from i2i_bench.study.tables import amt_judgements, amt_table, read_amt_trials


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "own"
    return small_study(folder, people=4, practice=2, trials=6, catch=4).folder


@pytest.fixture
def study(made, tmp_path):
    return Study(Path(shutil.copytree(made, tmp_path / "own")))


def scored(study, draws=100):
    return score.score_study(study, num_draws=draws, seed=0)


def test_who_is_always_wrong_is_fooled(study):
    answers = {
        session: answer_session(study, session, wrong if session % 2 else right)
        for session in range(8)
    }
    write_log(study, answers)
    found = {each.method: each for each in scored(study).methods}
    assert (found["one"].points, found["one"].answers, found["one"].people) == (0, 24, 4)
    assert (found["two"].points, found["two"].answers) == (24, 24)
    assert found["two"].images == len(
        {t.item for s in study.sessions[1::2] for t in s if t.kind == "scored"}
    )
    assert scored(study).answers_left_out == {"practice trial": 16, "catch trial": 32}


@pytest.mark.parametrize("asks", ["fake", "real"])
def test_fooled_does_not_depend_on_what_is_asked(tmp_path, asks):
    made = small_study(tmp_path / "own", people=2, practice=0, trials=6, asks=asks)
    write_log(made, {k: answer_session(made, k, wrong) for k in range(4)})
    assert [each.percent for each in scored(made).methods] == [100, 100]


def test_people_are_left_out_by_the_rules_of_the_plan(study):
    def careless(trial):
        return 1 - right(trial) if trial.kind == "catch" else right(trial)

    answers = {k: answer_session(study, k, right) for k in range(8)}
    answers[1] = answers[1][:-1]
    answers[2] = []
    answers[3] = answer_session(study, 3, right, ms=1100)  # 100 ms after the images
    answers[4] = answer_session(study, 4, careless)
    write_log(study, answers)
    found = scored(study)
    assert found.people == 4
    assert found.people_left_out == {
        score.INCOMPLETE: 2,
        score.FAST: 1,
        score.CAUGHT: 1,
    }


def test_answers_to_images_nobody_watched_are_left_out(study):
    answers = answer_session(study, 0, right)
    last = answers[-1]
    answers[-1] = last.model_copy(update={"left": True})
    write_log(study, {0: answers})
    kind = study.sessions[0][-1].kind
    assert scored(study).answers_left_out.get(score.UNSEEN, 0) == (kind == "scored")


def test_nobody_left_is_told_with_the_reasons(study):
    write_log(study, {0: answer_session(study, 0, right)[:2]})
    with pytest.raises(ValueError, match="no answer to score; people left out: 1 incomplete"):
        scored(study)


def test_votes_are_of_methods_wherever_they_stood(tmp_path):
    made = small_study(tmp_path / "own", "nway-ugatit", ("a", "b", "c"), people=5, trials=9)

    def likes_b(trial):
        return trial.methods.index("b")

    write_log(made, {k: answer_session(made, k, likes_b) for k in range(5)})
    found = scored(made)
    assert {m.method: m.percent for m in found.methods} == {"a": 0, "b": 100, "c": 0}
    assert found.alpha is None or found.alpha == 1


def test_preference_counts_pairs(tmp_path):
    made = small_study(tmp_path / "own", "pref-spade", ("a", "b", "c"), trials=8, answers_each=2)
    ease = random.Random(0)

    def person(trial):
        return int(ease.random() < 0.3)

    given = {k: answer_session(made, k, person) for k in range(len(made.sessions))}
    write_log(made, given)
    found = scored(made)
    chosen = Counter(
        made.sessions[k][each.trial].methods[each.choice]
        for k, answers in given.items()
        for each in answers
    )
    assert {m.method: m.points for m in found.methods} == chosen
    (pair,) = (p for p in found.pairs if {p.first, p.second} == {"a", "b"})
    assert pair.questions == 24
    assert pair.p_value is not None
    assert sum(s.strength for s in found.strengths) == pytest.approx(0)


def test_errors_are_of_real_and_generated_images(tmp_path):
    made = small_study(tmp_path / "own", "realism-layer6", ("a", "b"), people=2, trials=8)

    def believes_all(trial):
        del trial
        return 0

    write_log(made, {k: answer_session(made, k, believes_all) for k in range(4)})
    found = scored(made)
    assert [(m.points, m.answers) for m in found.methods] == [(8, 16), (8, 16)]


# --- logs and files


def test_last_line_without_its_end_was_never_acknowledged(study):
    path = write_log(study, {0: answer_session(study, 0, right)})
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    given, twice = collect_answers(study)
    assert len(given[0].answers) == len(study.sessions[0]) - 1
    assert not twice


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (b"{}", "line 1"),
        (b"not json", "line 1"),
        (
            b'{"event": "start", "study": "x", "session": 0, "language": "en", "asked": {}}',
            "another",
        ),
        (b"[" * 10_000, "line 1"),
    ],
)
def test_damaged_line_of_a_log_is_told(study, line, part):
    (study.folder / ANSWERS / LOG).write_bytes(line + b"\n")
    with pytest.raises(ValueError, match=part):
        collect_answers(study)


def test_answer_that_is_there_twice_in_a_log_is_told(study):
    path = write_log(study, {0: answer_session(study, 0, right)})
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[1]]))
    with pytest.raises(ValueError, match=r"line 14: an answer to trial 0 is not the next one"):
        collect_answers(study)


def test_file_that_a_person_sent_counts_like_the_log(study):
    answers = answer_session(study, 3, wrong)
    write_file(study, 3, answers)
    given, _ = collect_answers(study)
    assert given[3].answers == answers
    write_log(study, {3: answers})
    assert collect_answers(study)[1] == []  # the same twice is once
    write_file(study, 3, answer_session(study, 3, right), "other")
    write_log(study, {0: answer_session(study, 0, right)})
    assert scored(study).people_left_out == {score.TWICE: 1}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"check": "00000000"}, "changed or damaged"),
        ({"session": 99}, "changed or damaged"),
        ({"more": 1}, "not a valid record"),
        ({"answers": "none"}, "not a valid record"),
    ],
)
def test_file_that_was_changed_is_refused(study, change, part):
    path = write_file(study, 0, answer_session(study, 0, right))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=part):
        collect_answers(study)


def test_file_of_another_study_is_refused(study, tmp_path):
    other = small_study(tmp_path / "other", people=1, practice=2, trials=6, catch=4, seed=5)
    path = write_file(other, 0, answer_session(other, 0, right))
    (study.folder / ANSWERS / "sent.json").write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="of another study"):
        collect_answers(study)


# --- AMT_Real_vs_Fake, records, commands


def test_answers_written_for_amt_give_the_same_percentages(tmp_path, cli):
    made = small_study(tmp_path / "own", people=6, practice=2, trials=6)
    ease = random.Random(1)

    def person(trial):
        return right(trial) if ease.random() < 0.6 else 1 - right(trial)

    write_log(made, {k: answer_session(made, k, person) for k in range(12)})
    path = tmp_path / "amt.csv"
    cli("study", "score", made.folder, "--write-amt", path, "--draws", 100)
    answers, silent = amt_judgements(read_amt_trials(path), practice=2)
    assert not silent
    hits = Counter(answer.shown[0] for answer in answers if answer.chosen)
    assert {m.method: m.points for m in scored(made).methods} == hits
    assert amt_table(read_amt_trials(path)) == path.read_text()


def test_votes_cannot_be_written_for_amt(tmp_path, cli):
    made = small_study(tmp_path / "own", "nway-ugatit", people=1, trials=4)
    write_log(made, {0: answer_session(made, 0, right)})
    path = tmp_path / "amt.csv"
    message = cli("study", "score", made.folder, "--write-amt", path, "--draws", 100, code=1)
    assert "nway-ugatit does not" in message


def test_record_is_written_and_read_back(study, places, cli):
    write_log(study, {k: answer_session(study, k, wrong if k % 3 else right) for k in range(8)})
    arguments = ("study", "score", study.folder, "--record", "first", "--draws", 100)
    text = cli(*arguments)
    path = places / "results" / "stripes" / "studies" / "first.json"
    assert f"recorded in {path}" in text
    found = read_study_record(path)
    assert path.read_text() == study_text(found)
    assert found.plan_sha256 == Study(study.folder).plan_sha256
    assert found.changed["trials"] == (40, 6)
    assert [each.method for each in found.shown] == ["one", "two"]
    assert "there already; --force replaces it" in cli(*arguments, code=1)
    assert cli(*arguments, "--force") == text


def test_record_needs_a_name_of_a_file(study, places, cli):
    write_log(study, {0: answer_session(study, 0, right)})
    message = cli("study", "score", study.folder, "--record", "../x", "--draws", 100, code=1)
    assert "cannot name a file" in message


@pytest.fixture
def outputs(places):
    """Give two folders of another program's images of the task stripes."""
    from i2i_bench.tasks.catalogue import find_task

    for name in ("copy", "truth"):
        task = find_task("stripes", places)
        (places / name).mkdir()
        shown = task.images("test", "a") if name == "copy" else task.truth("a", "b")
        for source, image in list(zip(task.images("test", "a"), shown or [], strict=True))[:10]:
            image.read().save(places / name / source.name)
    return ["--external", "copy=copy", "--external", "truth=truth"]


def test_command_plans_a_study_of_other_programs_images(places, cli, outputs):
    names = [word for k in range(10) for word in ("--image", f"{k:04d}")]
    common = ("--task", "stripes", "--direction", "a2b", "--procedure", "realfake-pix2pix")
    small = ("--set", "people=1", "--set", "practice=0", "--set", "trials=4")
    text = cli("study", "new", "own", *common, *small, *outputs, *names, "--target", "stripes")
    assert "planned 2 sessions of 4 trials (realfake-pix2pix, copy, truth)" in text
    assert "not as in the paper: trials is 4, there 40" in text
    study = Study(places / "own")
    (one,) = [t for t in study.sessions[1][:1]]
    fake, real = (one.options[i] for i in (1 - one.methods.index(REAL), one.methods.index(REAL)))
    assert fake == real  # the truth is its own truth
    assert (places / "own" / "page" / "index.html").is_file()
    assert "is there already" in cli("study", "new", "own", *common, *outputs, code=1)
    (places / "own" / "texts" / "consent.en.txt").write_text("Do you agree?")
    assert "wrote" in cli("study", "page", "own")
    assert "Do you agree?" in (places / "own" / "page" / "index.html").read_text()
    cli("study", "page", "own", "--session", 2, "--output", "two.html")
    assert "there is no session 3" in cli(
        "study", "page", "own", "--session", 3, "--output", "x.html", code=1
    )


@pytest.mark.parametrize(
    ("change", "part", "code"),
    [
        (("--procedure", "nway"), "no procedure 'nway'", 1),
        (("--image", "9999"), "no test image 9999", 1),
        (("--images", "1000"), "1000 test images are wanted", 1),
        (("--direction", "a2c"), "no direction a2c", 1),
        (("--external", "copy=nowhere"), "each name once", 2),
        (("--external", "no=nowhere"), "no folder or zip archive nowhere", 1),
        (("--run", "stripes/unit/seed0"), "no run stripes/unit/seed0", 1),
        (("--set", "trials"), "KEY=VALUE is needed", 2),
        (("--images", "3", "--image", "0001"), "either --images or --image", 2),
    ],
)
def test_impossible_study_is_told_and_nothing_is_written(places, cli, outputs, change, part, code):
    common = ["--task", "stripes", "--direction", "a2b", "--procedure", "realfake-pix2pix"]
    if change[0] in common:
        common = [
            word for word in common if word not in (change[0], common[common.index(change[0]) + 1])
        ]
    shown = [] if "no=nowhere" in change else outputs
    message = cli("study", "new", "own", *common, *shown, *change, code=code)
    assert part in message
    assert not (places / "own").exists()


@pytest.mark.slow
def test_command_plans_a_study_of_runs(finished, cli, tiny):
    shown = []
    for model in ("attentiongan", "cyclegan"):
        (folder,) = (finished / "runs").glob(f"*/{model}+preset=tiny/seed0")
        shown += ["--run", folder.relative_to(finished / "runs").as_posix()]
    common = ("--task", tiny, "--direction", "a2b", "--procedure", "pref-spade")
    text = cli("study", "new", "own", *common, *shown, "--set", "trials=2")
    assert "attentiongan+preset=tiny, cyclegan+preset=tiny" in text
    plan = Study(finished / "own").plan
    assert [each.model for each in plan.methods] == ["attentiongan", "cyclegan"]
    assert all((finished / "results" / each.record).is_file() for each in plan.methods)
    (picture, *_) = sorted((finished / "runs" / shown[1] / "translations-a2b").iterdir())
    other = picture.with_name("a1.png")
    picture.write_bytes(other.read_bytes() if picture != other else b"")
    message = cli("study", "new", "again", *common, *shown, code=1)
    assert "no longer those that were scored" in message

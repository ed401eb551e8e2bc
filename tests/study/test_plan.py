"""Plans of studies: procedures as in papers, balance, catch trials, files and their hashes."""

import dataclasses
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from study_folders import images, small_study

from i2i_bench.study import page, plan
from i2i_bench.study.make import scrambled, settled_settings
from i2i_bench.study.page import render_page, shown_trials
from i2i_bench.study.plan import CATCH, REAL, Study
from i2i_bench.study.procedures import PROCEDURES, changed_settings, find_procedure
from i2i_bench.study.texts import read_texts, write_texts
from i2i_bench.study.trials import Stimuli, number_of_people, plan_sessions

FIVE = ("a", "b", "c", "d", "e")


def stimuli(methods=FIVE, count=100, caught=12):
    """Name images without making any."""
    return Stimuli(
        items=tuple(map(str, range(count))),
        sources=tuple(f"{k:020x}.png" for k in range(count)),
        fakes={
            m: tuple(f"{(i + 1) * 10**6 + k:020x}.png" for k in range(count))
            for i, m in enumerate(methods)
        },
        reals=tuple(f"{9 * 10**7 + k:020x}.png" for k in range(count)),
        scrambled={
            m: tuple(f"{8 * 10**7 + i * 1000 + k:020x}.png" for k in range(caught))
            for i, m in enumerate(methods)
        },
    )


def sessions(name, methods=FIVE, seed=0, count=100, **settings):
    procedure = find_procedure(name)
    typed = changed_settings(procedure, {k: str(v) for k, v in settings.items()})
    return typed, plan_sessions(procedure.kind, typed, stimuli(methods, count), seed)


# --- as in papers


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("realfake-pix2pix", (1.0, 10, 40, 50, "one", "input", False, "fake")),
        ("realfake-cyclegan", (1.0, 10, 40, 25, "one", "none", False, "real")),
        ("nway-ugatit", (0.0, 0, 20, 135, "all", "none", True, "best")),
        ("pref-spade", (0.0, 0, 50, 0, "all", "none", True, "best")),
        ("realism-layer6", (0.0, 0, 200, 25, "one", "none", False, "real-or-fake")),
    ],
)
def test_procedures_are_those_of_papers(name, facts):
    found = PROCEDURES[name].settings
    assert facts == (
        *(found.seconds, found.practice, found.trials, found.people, found.sessions),
        *(found.pairing, found.shows_input, found.asks),
    )
    assert found.pixels == 256


def test_stargan_asks_30_to_40_questions_with_some_for_control():
    found = PROCEDURES["nway-stargan"].settings
    assert found.people == 146
    assert found.options == 4
    assert found.shows_input
    assert found.catch
    assert 30 <= found.trials + found.catch <= 40


def test_realfake_has_practice_then_trials_of_one_method():
    _, found = sessions("realfake-pix2pix", ("a", "b"))
    assert len(found) == 100
    for number, session in enumerate(found):
        kinds = [trial.kind for trial in session]
        assert kinds == ["practice"] * 10 + ["scored"] * 40
        shown = {name for trial in session for name in trial.methods}
        assert shown == {REAL, "ab"[number % 2]}
        assert len({trial.item for trial in session}) == 50  # none twice


def test_real_image_is_of_the_same_input_where_paired():
    _, paired = sessions("realfake-pix2pix", ("a",), people=3)
    _, apart = sessions("realfake-cyclegan", ("a",), people=3)
    known = stimuli(("a",)).reals

    def same(found):
        trials = [trial for session in found for trial in session]
        return [t.options[t.methods.index(REAL)] == known[int(t.item)] for t in trials]

    assert all(same(paired))
    assert np.mean(same(apart)) < 0.1


@pytest.mark.parametrize("asks", ["fake", "real"])
def test_sides_are_balanced_and_the_right_answer_is_where_it_is_asked(asks):
    _, found = sessions("realfake-pix2pix", ("a",), people=6, asks=asks)
    for session in found:
        real_right = [trial.methods.index(REAL) for trial in session]
        assert sum(real_right) == 25
        for trial, side in zip(session, real_right, strict=True):
            assert trial.correct == (side if asks == "real" else 1 - side)


def test_choices_are_shuffled_and_show_every_method():
    _, found = sessions("nway-ugatit")
    trials = [trial for session in found for trial in session]
    assert len(trials) == 2700
    assert {tuple(sorted(trial.methods)) for trial in trials} == {FIVE}
    first = Counter(trial.methods[0] for trial in trials)
    assert all(count == pytest.approx(540, abs=90) for count in first.values())
    assert all(trial.source and trial.correct is None for trial in trials)
    used = Counter(trial.item for trial in trials)
    assert set(used.values()) == {27}  # each image as often as each other


def test_questions_of_pairs_are_answered_by_five_people_each():
    settings, found = sessions("pref-spade", ("a", "b", "c"), count=600)
    assert len(found) == number_of_people("pair", settings, 3, 600) == 100
    asked = Counter(
        (trial.item, tuple(sorted(trial.methods))) for session in found for trial in session
    )
    assert set(asked.values()) == {5}
    assert len(asked) == 2 * 500
    assert {"a"} == set.intersection(*(set(methods) for _, methods in asked))
    for session in found:
        assert len({(t.item, *sorted(t.methods)) for t in session}) == len(session)


def test_every_pair_is_asked_if_wanted():
    _, found = sessions("pref-spade", ("a", "b", "c"), against="all", questions=10, trials=10)
    pairs = {tuple(sorted(trial.methods)) for session in found for trial in session}
    assert pairs == {("a", "b"), ("a", "c"), ("b", "c")}


def test_single_images_are_half_real():
    _, found = sessions("realism-layer6", ("a",), count=150, people=4)
    for session in found:
        assert sum(trial.methods == [REAL] for trial in session) == 100
        assert all(trial.correct == (trial.methods != [REAL]) for trial in session)
        assert len({trial.options[0] for trial in session}) == 200


@pytest.mark.parametrize("name", PROCEDURES)
def test_catch_trials_are_obvious_and_hidden_among_the_others(name):
    _, found = sessions(name, people=4, catch=3)
    known = {image for each in stimuli().scrambled.values() for image in each}
    for session in found:
        caught = [trial for trial in session if trial.kind == "catch"]
        assert len(caught) == 3
        for trial in caught:
            assert CATCH in trial.methods
            bad = [image in known for image in trial.options]
            if len(bad) > 2 or trial.methods == [CATCH, CATCH]:
                assert bad.count(False) == 1
                assert bad.index(False) == trial.correct
        public = shown_trials(session)
        practice = PROCEDURES[name].settings.practice
        assert all("correct" not in trial for trial in public[practice:])
        assert not any(word in json.dumps(public) for word in (CATCH, "method", "item"))


def test_seed_gives_the_same_plan_and_another_another():
    one, again, other = (sessions("nway-stargan", people=3, seed=seed)[1] for seed in (0, 0, 1))
    assert one == again != other


def test_few_images_are_repeated_evenly():
    _, found = sessions("realfake-cyclegan", ("a",), count=7, people=2)
    used = Counter(trial.item for session in found for trial in session)
    assert max(used.values()) - min(used.values()) <= 1


@pytest.mark.parametrize(
    ("name", "changes", "part"),
    [
        ("nway-ugatit", {"trial": "5"}, "did you mean 'trials'"),
        ("nway-ugatit", {"trials": "many"}, "trials=many"),
        ("nway-ugatit", {"trials": "0"}, "trials=0"),
        ("nway-ugatit", {"practice": "3"}, "practice needs a right answer"),
        ("nway-ugatit", {"sessions": "one"}, "a session has all"),
        ("realism-layer6", {"sessions": "all"}, "a session has one"),
        ("realism-layer6", {"trials": "9"}, "must be even"),
        ("realfake-pix2pix", {"asks": "best"}, "asks=fake or asks=real"),
        ("realfake-pix2pix", {"people": "0"}, "people must be 1"),
        ("realfake-pix2pix", {"seconds": "nan"}, "seconds=nan"),
        ("pref-spade", {"options": "3"}, "a pair has 2"),
    ],
)
def test_impossible_setting_is_told(name, changes, part):
    with pytest.raises(ValueError, match=part):
        changed_settings(find_procedure(name), changes)


def test_unknown_procedure_gets_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'nway-ugatit'"):
        find_procedure("nway-ugati")


# --- the folder


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return small_study(
        tmp_path_factory.mktemp("study") / "own", people=2, practice=2, trials=4, catch=1
    )


def test_image_copies_have_their_hashes_and_names_that_tell_nothing(study):
    folder = study.folder / plan.PAGE / plan.IMAGES
    assert {path.name for path in folder.iterdir()} == set(study.plan.images)
    for name, digest in study.plan.images.items():
        content = (folder / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert name == f"{digest[:20]}.png"
        with Image.open(folder / name) as image:
            assert image.size == (16, 16)
            assert not image.info  # no name, no date


def test_plan_states_what_is_not_as_in_the_paper(study):
    changed = {"people": (50, 2), "practice": (10, 2), "trials": (40, 4), "catch": (0, 1)}
    assert study.plan.changed == changed | {"pixels": (256, 16)}


def test_plan_and_trials_are_read_back_as_written(study):
    again = Study(study.folder)
    assert (again.plan, again.sessions) == (study.plan, study.sessions)
    written = (study.folder / plan.TRIALS).read_text()
    assert hashlib.sha256(written.encode()).hexdigest() == study.plan.trials_sha256


def test_trials_that_were_edited_are_refused(tmp_path):
    made = small_study(tmp_path / "own", people=1, practice=0, trials=2)
    path = made.folder / plan.TRIALS
    path.write_text(path.read_text().replace("scored", "catch", 1))
    with pytest.raises(ValueError, match="not the file that the plan was made with"):
        Study(made.folder)


def test_folder_with_something_in_it_is_left_alone(study):
    with pytest.raises(ValueError, match="is there already"):
        small_study(study.folder)


def test_folder_without_a_study_is_told(tmp_path):
    with pytest.raises(ValueError, match="holds no study"):
        Study(tmp_path)


def test_settings_are_fitted_to_what_there_is():
    def fitted(name, shown, *, asks=False, **changes):
        found = find_procedure(name)
        typed = changed_settings(found, {k: str(v) for k, v in changes.items()})
        return settled_settings(found, typed, shown, is_asked_to_pair=asks)

    assert fitted("nway-ugatit", images(("a", "b", "c"))).options == 3
    assert fitted("pref-spade", images()).questions == 12
    unpaired = images(is_paired=False)
    assert fitted("realfake-pix2pix", unpaired).pairing == "none"
    with pytest.raises(ValueError, match="needs true translations"):
        fitted("realfake-pix2pix", unpaired, asks=True)
    with pytest.raises(ValueError, match="compares methods"):
        fitted("nway-ugatit", images(("a",)))


@pytest.mark.parametrize("name", ["realfake-pix2pix", "realfake-cyclegan", "nway-ugatit"])
def test_sizes_may_differ_by_input_and_must_not_tell_what_is_real(name):
    found, shown = find_procedure(name), images(("a", "b"))

    def cut(pictures, number):
        return [p[: 12 if k == number else 16] for k, p in enumerate(pictures)]

    fakes = {method: cut(fakes, 3) for method, fakes in shown.fakes.items()}
    by_input = dataclasses.replace(
        shown, sources=cut(shown.sources, 3), fakes=fakes, reals=cut(shown.reals, 3)
    )
    other = dataclasses.replace(by_input, fakes=fakes | {"b": cut(shown.fakes["b"], 4)})
    if name == "realfake-cyclegan":
        with pytest.raises(ValueError, match="images of one size side by side"):
            settled_settings(found, found.settings, by_input, is_asked_to_pair=False)
    else:
        fitted = settled_settings(found, found.settings, by_input, is_asked_to_pair=False)
        assert fitted.pixels == 12
    with pytest.raises(ValueError, match="images of one size side by side"):
        settled_settings(found, found.settings, other, is_asked_to_pair=False)


def test_scrambled_image_holds_the_same_pieces_elsewhere():
    picture = images().sources[0]
    found = scrambled(picture, np.random.RandomState(0))
    assert sorted(found.reshape(-1).tolist()) == sorted(picture.reshape(-1).tolist())
    assert (found != picture).mean() > 0.9


def test_page_asks_no_network_and_holds_no_truth(study):
    text = (study.folder / plan.PAGE / page.INDEX).read_text()
    assert "http" not in text.replace("http-equiv", "")
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert len(data["sessions"]) == study.plan.sessions
    assert [t.get("correct") is None for t in data["sessions"][0]] == [False] * 2 + [True] * 5


def test_single_page_holds_its_images(study, tmp_path):
    path = tmp_path / "one.html"
    page.write_single_page(study, 1, path)
    data = json.loads(path.read_text().partition('id="data">')[2].partition("</script>")[0])
    names = {name for trial in data["sessions"][1] for name in trial["options"]}
    assert set(data["pictures"]) == names
    assert data["sessions"][0] == []


# --- texts


def test_languages_have_the_same_texts(tmp_path):
    write_texts(tmp_path)
    found = read_texts(tmp_path)
    assert list(found.texts) == ["de", "en"]
    assert found.texts["de"].keys() == found.texts["en"].keys()
    assert found.blanks == ["consent.de.txt", "consent.en.txt"]


def test_another_language_is_a_text_file(tmp_path):
    write_texts(tmp_path)
    text = (tmp_path / "en.toml").read_text().replace('"English"', '"Français"')
    (tmp_path / "fr.toml").write_text(text)
    (tmp_path / "consent.fr.txt").write_text("D'accord ?")
    assert read_texts(tmp_path).texts["fr"]["language"] == "Français"


@pytest.mark.parametrize(
    ("name", "old", "new", "part"),
    [
        ("en.toml", 'next = "Next"', "", "has no text for next"),
        ("en.toml", 'next = "Next"', 'next = "Next"\nmore = "x"', "does not know"),
        ("en.toml", "{done}", "{gone}", "not filled in"),
        ("en.toml", "=", "", "is no TOML"),
        ("consent.de.txt", None, None, "which people are to agree to"),
        ("x.toml", None, "", "named after a language"),
    ],
)
def test_unfit_text_is_told(tmp_path, name, old, new, part):
    write_texts(tmp_path)
    path = tmp_path / name
    if old is not None:
        path.write_text(path.read_text().replace(old, new))
    elif new is not None:
        path.write_text(new)
    else:
        path.unlink()
    with pytest.raises(ValueError, match=part):
        read_texts(tmp_path)


def test_texts_cannot_leave_their_place(study):
    data = page.common_data(study, read_texts(study.folder / plan.TEXTS))
    hostile = "</script><script>alert(1)</script>"
    text, policy = render_page(data | {"target": hostile})
    assert hostile not in text
    assert "script-src 'sha256-" in policy
    assert Path(page.__file__).with_name("page.js").read_text() in text

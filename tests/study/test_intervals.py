"""Percentages of studies, their intervals and what follows, against closed forms and others."""

import csv
import json
from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from i2i_bench.study import intervals
from i2i_bench.study.agreement import agreement_of, nominal_alpha
from i2i_bench.study.intervals import Interval
from i2i_bench.study.judgements import Judgement, gather_judgements
from i2i_bench.study.power import Design, people_needed, power_of
from i2i_bench.study.results import method_rows, results_of
from i2i_bench.study.strengths import Strengths, fit_strengths
from i2i_bench.study.tables import (
    amt_judgements,
    amt_table,
    read_amt_trials,
    read_realism,
)

GOLDEN = Path(__file__).parents[1] / "golden"
AMT = GOLDEN / "study" / "amt_results.csv"
EXPECTED = json.loads((GOLDEN / "study" / "amt_expected.json").read_text())
REALISM = json.loads((GOLDEN / "human" / "expected.json").read_text())
VOTES = list(csv.DictReader((GOLDEN / "study" / "ugatit_votes.csv").read_text().splitlines()))


def fooled(rows):
    """Make answers of ``person, method, image, whether fooled``."""
    return gather_judgements(
        "fooled",
        [Judgement(p, (m,), m if hit else None, i, (m, i)) for p, m, i, hit in rows],
    )


def drawn(seed=0, *, people=20, images=30, sd=0.15, share=0.4):
    """Draw a study of one method in which people differ."""
    random = np.random.default_rng(seed)
    ease = np.clip(share + random.normal(0, sd, people), 0, 1)
    return fooled(
        (str(p), "m", str(i), random.random() < ease[p])
        for p in range(people)
        for i in range(images)
    )


# --- against other programs and papers


@pytest.fixture(scope="module")
def amt():
    answers, silent = amt_judgements(read_amt_trials(AMT), practice=10)
    assert silent == 0
    return gather_judgements("fooled", answers)


def test_percentages_equal_those_of_amt_real_vs_fake(amt):
    found = {m: round(100 * s, 2) for m, s in zip(amt.methods, amt.shares, strict=True)}
    assert found == EXPECTED["fooled_percent"]
    assert dict(zip(amt.methods, amt.answers.tolist(), strict=True)) == EXPECTED["trials"]
    assert amt.num_people == EXPECTED["people"]


@pytest.mark.parametrize("seed", [0, 1])
def test_compatible_bootstrap_equals_that_of_amt_real_vs_fake(amt, seed):
    draws = intervals.compatible_bootstrap(amt, 3000, seed)
    for method, sd in zip(amt.methods, 100 * draws.std(axis=0), strict=True):
        assert sd == pytest.approx(np.mean(EXPECTED["bootstrap_sd_percent"][method]), abs=0.15)
    higher = intervals.probability_higher(draws)
    for pair, known in EXPECTED["probability_better"].items():
        one, other = (amt.methods.index(name) for name in pair.split(">"))
        assert higher[one, other] == pytest.approx(np.mean(known), abs=0.004)
        assert higher[one, other] + higher[other, one] == pytest.approx(1)


def test_answers_are_written_as_they_were_read(tmp_path):
    people = read_amt_trials(AMT)
    again = tmp_path / "again.csv"
    again.write_text(amt_table(people))
    assert read_amt_trials(again) == people


@pytest.mark.parametrize(
    "name", ["lsun256", *(pytest.param(n, marks=pytest.mark.slow) for n in REALISM if n[0] != "l")]
)
def test_error_rates_of_generators_equal_those_of_dgm_eval(name):
    found = gather_judgements("error", read_realism(GOLDEN / "human" / f"{name}.csv"))
    draws = intervals.people_bootstrap(found, 400)
    assert set(found.methods) == set(REALISM[name])
    for number, method in enumerate(found.methods):
        known = REALISM[name][method]
        assert round(100 * found.shares[number], 4) == known["error_percent"]
        assert found.answers[number] == known["answers"]
        assert found.people_of(number) == known["people"]
        limits = intervals.cluster_interval(
            found, draws, np.eye(len(found.methods))[number], "people"
        )
        alone = intervals.binomial_interval(int(found.counts[number]), int(found.answers[number]))
        assert isinstance(limits, Interval)
        assert limits.low < found.shares[number] < limits.high
        assert limits.high - limits.low > alone.high - alone.low  # as people do differ


def test_cells_of_ugatit_are_counts_of_2700_votes():
    for dataset in {row["dataset"] for row in VOTES}:
        cells = {row["method"]: row["value"] for row in VOTES if row["dataset"] == dataset}
        counts = {method: round(27 * float(value)) for method, value in cells.items()}
        assert sum(counts.values()) == 135 * 20
        chosen = [method for method, count in counts.items() for _ in range(count)]
        answers = [
            Judgement(str(i % 135), tuple(cells), each, str(i // 135))
            for i, each in enumerate(chosen)
        ]
        found = results_of(gather_judgements("votes", answers), num_draws=100)
        for each in found.methods:
            cent = Decimal(100 * each.points) / 2700
            printed = str(cent.quantize(Decimal("0.01"), ROUND_HALF_EVEN))
            assert printed == cells[each.method] == f"{each.percent:.2f}"
        assert len(method_rows(found)) == 6


# --- closed forms


@pytest.mark.parametrize(("points", "answers"), [(0, 10), (10, 10), (0, 1)])
def test_exact_interval_of_none_or_all_is_known(points, answers):
    found = intervals.binomial_interval(points, answers)
    edge = 0.025 ** (1 / answers)
    assert found == pytest.approx((0, 1 - edge) if points == 0 else (edge, 1))


def test_exact_interval_holds_in_at_least_its_probability():
    for share in (0.01, 0.2, 0.5):
        for number in (5, 40):
            chances = [
                (1 if low <= share <= high else 0)
                for low, high in (intervals.binomial_interval(k, number) for k in range(number + 1))
            ]
            weights = stats.binom.pmf(np.arange(number + 1), number, share)
            assert weights @ chances >= 0.95


def test_variance_over_people_is_that_of_their_means():
    found = drawn()
    own = found.points.reshape(20, 30).mean(axis=1)
    variance, freedom = intervals.cluster_variance(found, np.ones(1), "people")
    assert variance == pytest.approx(own.var(ddof=1) / 20)
    assert freedom == 19


def test_variance_of_a_difference_within_people_is_that_of_their_differences():
    random = np.random.default_rng(0)
    rows = [
        (str(p), m, str(i), random.random() < 0.2 + 0.03 * p)
        for p in range(12)
        for i in range(10)
        for m in ("one", "two")
    ]
    found = fooled(rows)
    hits = np.array([hit for *_, hit in rows], float).reshape(12, 10, 2)
    own = hits.mean(axis=1)
    variance, _ = intervals.cluster_variance(found, np.array([1.0, -1.0]), "people")
    assert variance == pytest.approx((own[:, 0] - own[:, 1]).var(ddof=1) / 12)


def test_bootstraps_spread_as_known():
    found = drawn(people=40)
    own = found.points.reshape(40, 30).mean(axis=1)
    people = intervals.people_bootstrap(found, 4000)
    assert people.std() == pytest.approx(own.std() / 40**0.5, rel=0.05)
    within = np.mean(own * (1 - own)) / 30
    compatible = intervals.compatible_bootstrap(found, 4000)
    assert compatible.std() == pytest.approx(((own.var() + within) / 40) ** 0.5, rel=0.05)
    assert intervals.two_way_bootstrap(found, 4000).std() > people.std()


def test_same_seed_gives_the_same_intervals_and_another_others():
    found = drawn()
    one, again, other = (results_of(found, num_draws=200, seed=s) for s in (1, 1, 2))
    assert one == again
    assert one.methods[0].intervals["people"] != other.methods[0].intervals["people"]
    assert one.methods[0].intervals["binomial"] == other.methods[0].intervals["binomial"]


@pytest.mark.parametrize("hit", [True, False])
def test_answers_that_are_all_alike_have_no_resampled_interval(hit):
    found = results_of(fooled((str(p), "m", "i", hit) for p in range(9)), num_draws=100)
    assert found.methods[0].intervals["people"] is None
    assert found.methods[0].reasons["people"] == intervals.UNMOVED
    assert found.methods[0].intervals["binomial"] is not None


def test_images_that_are_not_known_are_not_resampled():
    answers = [Judgement(str(p), ("m",), "m" if p % 3 else None) for p in range(9)]
    found = results_of(gather_judgements("error", answers), num_draws=100)
    assert found.methods[0].intervals["people and images"] is None
    assert "not known" in found.methods[0].reasons["people and images"]
    assert found.alpha is None


def test_people_of_one_method_each_are_resampled_by_method():
    rows = [
        (f"{m}{p}", m, str(i), (p + i) % 3 == 0) for m in "ab" for p in range(4) for i in range(3)
    ]
    found = fooled(rows)
    assert found.groups.tolist() == [0] * 4 + [1] * 4
    assert np.isfinite(intervals.people_bootstrap(found, 500)).all()


def test_interval_of_people_and_images_covers_in_a_few_simulated_studies(load_benchmark):
    studies = load_benchmark("studies")
    held = Counter(
        name
        for seed in range(40)
        for name, target, is_held in studies.covered(studies.WORLDS[0], seed, 200)
        if target == "people and images" and is_held
    )
    assert 34 <= held["people and images"] <= 40
    assert held["exact binomial"] < held["people and images"]


# --- strengths and agreement


def choices(strengths, number=3000, size=None):
    random = np.random.default_rng(0)
    names = tuple("abcd"[: len(strengths)])
    answers = []
    for k in range(number):
        shown = tuple(random.permutation(len(names))[: size or len(names)])
        weights = np.exp([strengths[i] for i in shown])
        chosen = shown[random.choice(len(shown), p=weights / weights.sum())]
        answers.append(
            Judgement(str(k % 50), tuple(names[i] for i in shown), names[chosen], str(k % 40), k)
        )
    return gather_judgements("preference" if size == 2 else "votes", answers)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_strengths_are_found_again(size):
    true = np.array([0.8, 0.1, -0.3, -0.6])
    fitted = fit_strengths(choices(true, size=size))
    assert isinstance(fitted, Strengths)
    assert np.abs(fitted.values - true).max() < 3.5 * fitted.errors.max() < 0.35
    assert fitted.values.sum() == pytest.approx(0)


def test_strengths_of_full_sets_are_logarithms_of_shares():
    found = choices(np.array([0.5, 0.0, -0.5]))
    logs = np.log(found.shares)
    fitted = fit_strengths(found)
    assert isinstance(fitted, Strengths)
    assert fitted.values == pytest.approx(logs - logs.mean(), abs=1e-5)


def test_method_that_is_never_chosen_has_no_strength():
    answers = [Judgement(str(p), ("a", "b", "c"), "ab"[p % 2], "i", p) for p in range(10)]
    found = results_of(gather_judgements("votes", answers), num_draws=100)
    assert found.strengths == []
    assert "c" in found.reasons["strengths"]


def test_alpha_of_krippendorffs_example():
    """Of his "Computing Krippendorff's alpha-reliability" (2011), part C: nominal 0.743."""
    coders = (
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    )
    cells = [
        (unit, int(value))
        for coder in coders
        for unit, value in enumerate(coder.split())
        if value != "."
    ]
    unit, value = (np.array(each) for each in zip(*cells, strict=True))
    assert nominal_alpha(unit, value) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_one_if_all_agree_and_none_if_nobody_can():
    agreed = [Judgement(p, ("a", "b"), "ab"[i % 2], str(i), i) for p in "xyz" for i in range(6)]
    assert agreement_of(gather_judgements("votes", agreed)) == pytest.approx(1)
    alone = [Judgement("x", ("a", "b"), "a", str(i), i) for i in range(6)]
    assert agreement_of(gather_judgements("votes", alone)) == "nobody judged what another judged"


# --- people needed


def test_power_is_that_of_simulated_studies():
    design = Design(0.35, 0.25, trials=20, people_sd=0.1)
    random, found = np.random.default_rng(0), []
    for _ in range(1500):
        means = []
        for share in (design.first, design.second):
            ease = np.clip(random.normal(share, design.people_sd, 25), 0, 1)
            means.append(random.binomial(design.trials, ease) / design.trials)
        one, two = means
        error = (one.var(ddof=1) / 25 + two.var(ddof=1) / 25) ** 0.5
        found.append(abs(one.mean() - two.mean()) / error > 2.01)
    assert power_of(design, 25) == pytest.approx(np.mean(found), abs=0.04)


def test_needed_people_are_the_fewest():
    design = Design(0.3, 0.2, trials=40)
    number = people_needed(design, 0.8)
    assert power_of(design, number) >= 0.8 > power_of(design, number - 1)


@pytest.mark.parametrize(
    ("design", "part"),
    [
        (Design(0.3, 0.3, 40), "do not differ"),
        (Design(0.3, 0.29, 40, images=5), "images themselves differ too much"),
    ],
)
def test_impossible_power_is_told(design, part):
    with pytest.raises(ValueError, match=part):
        people_needed(design)


# --- the commands


def test_command_scores_what_amt_gave(cli):
    text = cli("study", "score", "--amt", AMT, "--practice", 10, "--draws", 500)
    for method, percent in EXPECTED["fooled_percent"].items():
        assert f"{method} " in text
        assert f"{percent:.2f}" in text
    assert "34 people, 1700 answers; left out 340 answers: practice" in text


def test_command_scores_dgm_eval(cli):
    text = cli("study", "score", "--realism", GOLDEN / "human" / "ffhq256.csv", "--draws", 100)
    assert "efficient-vdvae  8.84 " in text


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "holds no answer"),
        ("a,b\n1,2\n", "is not of AMT_Real_vs_Fake"),
        ("Input.gt_side0,Input.images_left0\nleft,a/1.png\n", "lacks the column"),
        (
            "Input.gt_side0,Input.images_left0,Input.images_right0,Answer.selection0\n"
            "up,a/1.png,b/1.png,left\n",
            "is 'up', not left or right",
        ),
        (
            "Input.gt_side0,Input.images_left0,Input.images_right0,Answer.selection0\nleft,a\n",
            "another number of cells",
        ),
        (b"\xff\xfe", "not a CSV file in UTF-8"),
    ],
)
def test_unfit_table_is_refused(cli, tmp_path, content, part):
    path = tmp_path / "answers.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert part in cli("study", "score", "--amt", path, "--practice", 0, code=1)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((), "either"),
        (("--amt", AMT, "--realism", AMT), "either"),
        (("--amt", AMT), "needs --practice"),
        (("--realism", AMT, "--practice", 1), "only --amt"),
    ],
)
def test_wrong_usage_of_score_is_told(cli, arguments, part):
    assert part in cli("study", "score", *arguments, code=2)


def test_practice_must_leave_trials(cli):
    message = cli("study", "score", "--amt", AMT, "--practice", 60, code=1)
    assert "leave nothing to score" in message


def test_command_says_how_many_people_are_needed(cli):
    text = cli("study", "power", "--percent", 30, "--against", 20, "--people", 50)
    assert f"80 %      {people_needed(Design(0.3, 0.2, 40, 0.08), 0.8)}" in text
    assert "50 people of each method find it" in text

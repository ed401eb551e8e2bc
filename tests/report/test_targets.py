"""The mean over the targets of a labelled task, in leaderboards and beside the paper's tables."""

import pytest
from sound_records import make_record, make_score

from i2i_bench.records.record import Values
from i2i_bench.report.leaderboard import tabulate
from i2i_bench.report.papers import tables
from i2i_bench.report.papers.comparison import comparison_table
from i2i_bench.report.render import leaderboard_markdown
from i2i_bench.report.site import page
from i2i_bench.report.site.samples import Folders
from i2i_bench.report.targets import in_words, means

HAIR = ("+Black_Hair", "+Blond_Hair", "+Brown_Hair")


def score(direction, share, **changes):
    """Make a score of a target; the share of translations taken for it is what it holds."""
    values = {"target_share": share, "kid": 0.1, "kid_se": 0.01}
    baselines = {
        "identity": Values(values={"target_share": 0.0, "kid": 0.2, "kid_se": 0.01}),
        "real": Values(values={"target_share": 0.98}),
    }
    entry = {
        **{"direction": direction, "image_size": 128, "n_real": 50, "n_fake": 60},
        "files_sha256": {"real": direction, "fake": "0"},
        "pixels_sha256": {"real": f"real {direction}", "fake": "b"},
        **{"baselines": baselines, "values": values, "classifier_sha256": "12345678"},
    }
    return make_score(**(entry | changes))


def make(model="stargan", shares=(0.5, 0.7), directions=("+Male", "-Male"), seed=0, **changes):
    """Make a record of CelebA with a score for each direction."""
    scores = [score(*pair, **changes) for pair in zip(directions, shares, strict=True)]
    return make_record(*scores, model=model, seed=seed, task="celeba", headline="kid")


def test_mean_is_that_of_the_targets_whatever_their_sizes():
    first, second = score("+Male", 0.5, n_real=10), score("-Male", 0.75)
    (mean,) = means([first, second])
    assert mean.direction == "mean over 2 targets"
    assert mean.values == {"target_share": 0.625, "kid": pytest.approx(0.1)}
    assert mean.baselines["real"].values == {"target_share": 0.98}
    assert (mean.n_real, mean.n_fake, mean.spread_kind) == (10, 60, "none")


def test_mean_lacks_what_a_target_lacks_with_the_reason():
    lacking = score("+Male", None, reasons={"target_share": "no such image"})
    (mean,) = means([score("-Male", 0.5), lacking])
    assert mean.values["target_share"] is None
    assert mean.reasons["target_share"] == "no such image"


@pytest.mark.parametrize(
    ("direction", "words"),
    [
        ("a2b", "a to b"),
        ("neutral2happy", "neutral to happy"),
        ("+style2", "+style2"),
        ("style2photo2", "style2photo2"),
        ("mean over 2 targets", "mean over 2 targets"),
        ("b", "b"),
    ],
)
def test_only_what_is_certainly_a_pair_is_written_in_words(direction, words):
    assert in_words(direction) == words


def test_page_names_a_mean_over_two_targets(tmp_path):
    text = page.write_page([make()], tmp_path, Folders(tmp_path, tmp_path)).read_text(
        encoding="utf-8"
    )
    assert "celeba, mean over 2 targets</h3>" in text


def test_two_domains_and_a_single_target_have_no_mean():
    assert means([score("a2b", 0.5), score("b2a", 0.5)]) == []
    assert means([score("+Male", 0.5)]) == []


def test_protocols_are_averaged_apart():
    scores = [score(d, 0.5, protocol=p) for d in ("+Male", "-Male") for p in ("i2i", "clean")]
    assert [mean.protocol for mean in means(scores)] == ["i2i", "clean"]


def test_means_of_other_targets_or_images_stand_apart():
    same = [make(seed=0), make(seed=1)]
    other = make("attentiongan-multi", (0.1, 0.2), ("+Young", "-Young"))
    boards = [t for t in tabulate([*same, other]) if t.group.direction.startswith("mean")]
    assert [[row.seeds for row in t.rows if row.kind == "model"] for t in boards] in (
        [[2], [1]],
        [[1], [2]],
    )
    assert [t.rows[0].seeds for t in boards if t.rows[0].model == "stargan"] == [2]


def test_mean_comes_first_and_says_what_its_shares_are():
    text = leaderboard_markdown([make()])
    assert text.index("mean over 2 targets") < text.index(", +Male, ")
    assert "to target: share that the suite's classifier takes for the target domain" in text
    assert " 60.0" in text


def test_shares_of_two_classifiers_are_said_and_not_marked():
    one, other = make(), make("attentiongan-multi", (0.9, 0.9), classifier_sha256="87654321")
    table = tabulate([one, other])[0]
    assert all("target_share" not in row.marks for row in table.rows)
    assert any("Several classifiers judged these rows" in note for note in table.notes)
    table = tabulate([one, make("attentiongan-multi", (0.9, 0.9))])[0]
    assert any(row.marks.get("target_share") == "best" for row in table.rows)


@pytest.mark.parametrize(
    ("directions", "dataset"),
    [
        (HAIR, "CelebA/Hair Color"),
        (("+Male", "-Male"), "CelebA/Gender"),
        (("-Young",), "CelebA/Aged"),
    ],
)
def test_classifier_stands_beside_the_human_study_and_never_in_it(directions, dataset):
    shares = [0.25 + i / 4 for i in range(len(directions))]
    found = comparison_table("iii", [make("stargan", shares, directions)])
    (study,) = (s for s in found.sections if s.title.startswith(f"Table III, {dataset}: AMT"))
    assert {line[3] for line in study.rows} == {"human study"}
    (beside,) = (s for s in found.sections if s.title.startswith(f"Beside Table III, {dataset}:"))
    assert "to target" in beside.title
    assert [line[3] for line in beside.rows if line[0] == "StarGAN"] == [
        f"{100 * share:.1f}" for share in shares
    ]
    assert {line[1] for line in beside.rows} == {""}
    assert beside.notes[0].startswith("An automatic stand-in for the human study, not comparable")
    assert not any(note.startswith("Compare a measured") for note in beside.notes)


def test_mean_over_targets_stands_for_celeba_as_a_whole():
    found = comparison_table("ii", [make()])
    (beside,) = (s for s in found.sections if s.title.startswith("Beside Table II, CelebA:"))
    assert [line[3] for line in beside.rows] == ["60.0", "0.0", "98.0"]
    assert "Beside" not in tables.paper_markdown(comparison_table("ii", []))


def test_counts_of_a_mean_are_the_least_and_said_to_be():
    text = leaderboard_markdown([make()])
    mean, single = text.split("mean over 2 targets")[1], text.split(", +Male, ")[1]
    assert "n ≥ " in mean.splitlines()[0] and "n = " in single.splitlines()[0]
    assert "Real set " in mean and "of at least " in mean.split("## ")[0]
    assert "of at least " not in single.split("## ")[0]

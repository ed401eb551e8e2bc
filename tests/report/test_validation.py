"""Records that cannot be true are found, and all that are committed can be."""

import json
import shutil
from pathlib import Path

import pytest

from i2i_bench.report import validation

RESULTS = Path(__file__).parents[2] / "results"
ONE = "stripes/attentiongan+preset=small/seed0.json"
SCORE = ("scores", "i2i@1/a2b")
BASELINES = (*SCORE, "baselines")


def take(name, results):
    """Copy a committed record to its place in another folder."""
    (results / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(RESULTS / name, results / name)


@pytest.fixture
def results(tmp_path):
    """Give a folder with one committed record."""
    take(ONE, tmp_path)
    return tmp_path


def change(path, keys, value):
    """Change one value of a record, written as i2i-bench writes."""
    content = json.loads(path.read_text(encoding="utf-8"))
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def copy(results, to):
    (results / to).parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(results / ONE, results / to))


@pytest.mark.slow
def test_committed_records_are_valid():
    count, problems = validation.validate_results_in(RESULTS)
    assert problems == []
    assert count == len(list(RESULTS.glob("*/*/*.json"))) > 0


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ([*SCORE, "values", "psnr"], 100.1, "psnr 100.1 is not in [0, 100]"),
        ([*SCORE, "values", "ssim"], 1.01, "ssim 1.01 is not in [-1, 1]"),
        ([*SCORE, "values", "mask_iou"], -0.1, "mask_iou -0.1 is not in [0, 1]"),
        ([*SCORE, "values", "fid"], 3.0, "fid needs either a value or the reason"),
        ([*SCORE, "values", "psnr"], None, "psnr needs either a value or the reason"),
        ([*SCORE, "reasons"], {}, "kid_se needs either a value or the reason"),
        (
            [*BASELINES, "identity", "values", "fid_source"],
            0.1,
            "identity: fid_source 0.1 is not 0",
        ),
        ([*BASELINES, "identity", "values", "lpips_source"], 0.1, "lpips_source 0.1 is not 0"),
        ([*BASELINES, "real"], None, "is not a valid record: scores.i2i@1/a2b.baselines.real"),
        ([*BASELINES], {}, "baselines are none, not identity and real"),
        ([*SCORE, "n_fake"], 99, "n_fake is 99 of 100, and partial is false"),
        ([*SCORE, "n_real"], 99, "n_real is 99, but stripes has 100 real images"),
        ([*SCORE, "partial"], True, "n_fake is 100 of 100, and partial is true"),
        ([*SCORE, "recipe"], "ttur", "recipe, spread_kind or estimator is not that of i2i@1"),
        ([*SCORE, "estimator", "block"], 9, "recipe, spread_kind or estimator is not that"),
        ([*SCORE, "protocol_version"], 2, "the scores under 'i2i@1/a2b' are those of 'i2i@2/a2b'"),
        ([*SCORE, "pixels_sha256", "fake"], "0", "pixels_sha256 does not hold a sha256"),
        ([*SCORE, "weights_sha256"], "../x", "weights_sha256 is not a sha256"),
        (["images_seen"], 1, "images_seen is 1, the budget 6000"),
        (["steps"], 1, "steps is 1, but 6000 images come in batches of"),
        (["seconds"], 1.0, "images_per_second is not images_seen divided by seconds"),
        (["seconds"], 0.0, "seconds or peak_memory_bytes is not positive"),
        (["macs"], 0, "macs is not a count"),
        (["parameters"], {"a": -1}, "is not a valid record: parameters.a"),
        (["parameters"], {"a": 10**400}, "is not a valid record: parameters.a"),
        (["peak_memory_bytes"], 2**63, "is not a valid record: peak_memory_bytes"),
        (["settings", "config"], 3, "is not a valid record: settings: "),
        (["scores", "i2i@1/a2b", "estimator", "distances"], 3, "a2b.estimator: "),
        (["scores", "i2i@1/a2b", "values", "psnr"], 1.5e308, "a2b.values.psnr: "),
        (["preset"], "tiny", "variant 'preset=small' is not one of preset tiny"),
        (["seed"], 1, "holds the record of"),
        (["task"], "../../etc", "is not a valid record: task"),
        (["scores"], [], "is not a valid record: scores"),
        (["scores"], {}, "there are no scores"),
        (["task_version"], 2, "task_version is 2, and not that of all scores"),
        ([*SCORE, "task_version"], 0, "task_version is 1, and not that of all scores"),
        (["headline"], "kid", "headline is kid, and stripes ranks by psnr_foreground"),
    ],
)
def test_what_cannot_be_true_is_named(results, keys, value, message):
    change(results / ONE, keys, value)
    _, problems = validation.validate_results_in(results)
    assert [problem for problem in problems if message in problem], problems
    assert all(problem.startswith(str(results / ONE)) for problem in problems)


@pytest.mark.parametrize("key", ["ssim", "psnr", "lpips", "lpips_source", "fid", "kid", "kid_se"])
def test_score_without_what_every_score_has_is_found(results, key):
    score = json.loads((results / ONE).read_text())["scores"]["i2i@1/a2b"]
    for part in ("values", "reasons"):
        change(results / ONE, [*SCORE, part], {k: v for k, v in score[part].items() if k != key})
    _, problems = validation.validate_results_in(results)
    assert problems == [f"{results / ONE}: i2i@1/a2b: lacks {key}"]


def test_lost_direction_is_found_unless_networks_are_absent(results):
    scores = json.loads((results / ONE).read_text())["scores"]
    change(results / ONE, ["scores"], {"i2i@1/a2b": scores["i2i@1/a2b"]})
    _, problems = validation.validate_results_in(results)
    assert problems == [f"{results / ONE}: there are no scores of b2a under i2i@1"]
    change(results / ONE, ["absent"], ["generators.b"])
    assert validation.validate_results_in(results) == (1, [])


def make_one_way(path):
    """Turn a committed record into that of a model that translates a to b only."""
    change(path, ["directions"], ["a2b"])
    score = json.loads(path.read_text())["scores"]["i2i@1/a2b"]
    back = dict.fromkeys(("lpips_cycle", "psnr_cycle"))
    score["values"] |= back
    score["reasons"] |= dict.fromkeys(back, "attentiongan translates a2b only")
    change(path, ["scores"], {"i2i@1/a2b": score})


def test_record_of_a_model_of_one_way_is_valid(results):
    make_one_way(results / ONE)
    assert validation.validate_results_in(results) == (1, [])
    change(results / ONE, ["directions"], ["b2a"])
    _, problems = validation.validate_results_in(results)
    assert len(problems) == 2 and all("b2a" in problem for problem in problems)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frozen": {"vgg": "0123abcd"}}, None),
        ({"frozen": {"vgg": "0123"}}, "frozen vgg '0123' is not a hash of 8 digits"),
        ({"modes_left_out": {"capture": "its step synchronises"}}, None),
        (
            {"modes": ["capture"], "modes_left_out": {"capture": "its step synchronises"}},
            "mode capture is among modes and modes_left_out",
        ),
    ],
)
def test_networks_and_modes_are_what_they_are_said_to_be(results, changes, message):
    for key, value in changes.items():
        change(results / ONE, [key], value)
    _, problems = validation.validate_results_in(results)
    assert problems == ([f"{results / ONE}: {message}"] if message else [])


def test_version_that_a_task_never_had_is_found(results):
    change(results / ONE, ["task_version"], 2)
    for direction in ("a2b", "b2a"):
        change(results / ONE, ["scores", f"i2i@1/{direction}", "task_version"], 2)
    _, problems = validation.validate_results_in(results)
    assert problems == [f"{results / ONE}: there is no version 2 of task stripes"]


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["settings", "config"], {}, "setting config differs from that of"),
        (["parameters", "generators.a"], 1, "parameters differ from those of"),
        (["frozen"], {"vgg": "0" * 8}, "pretrained networks (frozen) differ from those of"),
        (["directions"], ["a2b", "b2a"], "directions differ from those of"),
    ],
)
def test_seeds_of_one_variant_differ_in_nothing_else(results, keys, value, message):
    other = ONE.replace("seed0", "seed1")
    take(other, results)
    first, path = results / ONE, results / other
    change(path, keys, value)
    assert validation.validate_results_in(results)[1] == [f"{path}: {message} {first}"]


def test_folder_in_the_place_of_a_record_is_found(results):
    (results / "stripes" / "x" / "seed0.json").mkdir(parents=True)
    _, (problem,) = validation.validate_results_in(results)
    assert "stripes/x/seed0.json is not a file" in problem


def test_variant_stands_for_its_settings(results):
    path = copy(results, "stripes/attentiongan+batch_size=4,preset=small/seed0.json")
    change(path, ["variant"], "batch_size=4,preset=small")
    change(path, ["seed"], 0)
    _, problems = validation.validate_results_in(results)
    assert any("disagrees with the setting batch_size" in problem for problem in problems)


def test_record_edited_by_hand_is_found(results):
    path = results / ONE
    path.write_text(path.read_text().replace('"macs"', '"macs" '))
    _, (problem,) = validation.validate_results_in(results)
    assert problem == f"{path}: is not as i2i-bench writes it; it was edited by hand"


def test_copied_record_is_found(results):
    path = copy(results, "stripes/attentiongan+preset=small/seed7.json")
    change(path, ["seed"], 7)
    _, problems = validation.validate_results_in(results)
    assert problems == [f"{path}: has translations of the same pixels as {results / ONE}"]


def test_runs_that_leave_every_source_as_it_is_may_agree(results):
    path = copy(results, "stripes/attentiongan+preset=small/seed7.json")
    for each, seed in ((path, 7), (results / ONE, 0)):
        change(each, ["seed"], seed)
        scores = json.loads(each.read_text())["scores"]
        for name, score in scores.items():
            untouched = score["baselines"]["identity"]["values"]
            known = {key: value for key, value in untouched.items() if value is not None}
            change(each, ["scores", name, "values"], score["values"] | known)
    assert validation.validate_results_in(results)[1] == []


def test_same_work_under_two_names_is_found(results):
    path = copy(results, "stripes/attentiongan+preset=small,start=1/seed0.json")
    change(path, ["variant"], "preset=small,start=1")
    for direction in ("a2b", "b2a"):
        change(path, ["scores", f"i2i@1/{direction}", "pixels_sha256", "fake"], "0" * 64)
    _, problems = validation.validate_results_in(results)
    assert problems == [f"{path}: has the settings, task and seed of {results / ONE}"]


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ([*SCORE, "pixels_sha256", "real"], "0" * 64, "real images differ from those of"),
        ([*BASELINES, "identity", "values", "psnr"], 9.0, "baseline identity psnr differs from"),
    ],
)
def test_records_of_one_task_share_its_images_and_baselines(results, keys, value, message):
    other = ONE.replace("seed0", "seed1")
    take(other, results)
    path = results / other
    change(path, keys, value)
    _, (problem,) = validation.validate_results_in(results)
    assert problem.startswith(f"{path}: a2b: ")
    assert message in problem


@pytest.mark.parametrize("name", ["stripes/seed0.json", "x.json", "a/b/c/seed0.json"])
def test_record_where_none_belongs_is_found(results, name):
    path = copy(results, name)
    _, (problem,) = validation.validate_results_in(results)
    assert problem == f"{path} lies where no record belongs; move or remove it"


def test_what_a_killed_process_left_is_found(results):
    path = copy(results, "stripes/attentiongan+preset=small/.seed0-abc.json")
    _, (problem,) = validation.validate_results_in(results)
    assert problem == f"{path} was left behind by a process that was killed; remove it"


def test_command_prints_every_problem_and_fails(cli, results):
    assert cli("validate-results", "--results", results) == "1 record is valid\n"
    change(results / ONE, [*SCORE, "values", "ssim"], 2.0)
    change(results / ONE, ["images_seen"], 1)
    said = cli("validate-results", "--results", results, code=1)
    assert said == f"4 problems in the records of {results}"


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["n_fake"], 3, "n_fake is 3 of "),
        (["n_real"], 3, "n_real is 3, but shapes-attributes has "),
        (["values"], {}, "lacks fid, kid, kid_se, lpips, lpips_source, psnr, ssim"),
        (["direction"], "+blond", "the scores under 'i2i@1/+cold' are those of 'i2i@1/+blond'"),
        (["values", "target_share"], 1.5, "target_share 1.5 is not in [0, 1]"),
    ],
)
def test_scores_of_labels_are_those_of_the_task(tmp_path, keys, value, message):
    one = "shapes-attributes/stargan+preset=small/seed0.json"
    take(one, tmp_path)
    assert validation.validate_results_in(tmp_path) == (1, [])
    change(tmp_path / one, ["scores", "i2i@1/+cold", *keys], value)
    _, problems = validation.validate_results_in(tmp_path)
    assert [problem for problem in problems if message in problem], problems


def test_lost_change_of_a_label_is_found(tmp_path):
    one = "shapes-attributes/stargan+preset=small/seed0.json"
    take(one, tmp_path)
    scores = json.loads((tmp_path / one).read_text())["scores"]
    change(tmp_path / one, ["scores"], {k: v for k, v in scores.items() if "+cold" not in k})
    _, problems = validation.validate_results_in(tmp_path)
    assert problems == [f"{tmp_path / one}: there are no scores of +cold under i2i@1"]


CLASSES = ("plain", "cold", "striped", "cross")
CHANGES = {f"+{name}": (300, 100) for name in CLASSES}  # images of source and target
PAIRS = {f"{one}2{other}": (100, 100) for one in CLASSES for other in CLASSES if one != other}


def of_domains(results, ways):
    """Make a record of the task shapes-domains from a committed one of another labelled task."""
    one = "shapes-attributes/stargan+preset=small/seed0.json"
    take(one, results)
    path = results / one.replace("shapes-attributes", "shapes-domains")
    path.parent.mkdir(parents=True, exist_ok=True)
    (results / one).rename(path)
    score = json.loads(path.read_text())["scores"]["i2i@1/+cold"]
    hashes = score["pixels_sha256"]
    scores = {}
    for i, (way, (sources, targets)) in enumerate(ways.items()):
        fake = hashes | {"fake": f"{i:064x}"}
        fields = {"direction": way, "n_fake": sources, "n_real": targets, "pixels_sha256": fake}
        scores[f"i2i@1/{way}"] = score | fields
    change(path, ["task"], "shapes-domains")
    change(path, ["scores"], scores)
    return path


@pytest.mark.parametrize("ways", [CHANGES, PAIRS], ids=["changes", "pairs"])
def test_record_of_domains_holds_every_change_or_every_pair(tmp_path, ways):
    path = of_domains(tmp_path, ways)
    assert validation.validate_results_in(tmp_path) == (1, [])
    change(path, ["directions"], list(ways))
    assert validation.validate_results_in(tmp_path) == (1, [])
    lost, *kept = ways
    path.unlink()
    of_domains(tmp_path, {way: ways[way] for way in kept})
    _, problems = validation.validate_results_in(tmp_path)
    assert problems == [f"{path}: there are no scores of {lost} under i2i@1"]


def test_pair_of_domains_that_the_task_does_not_have_is_found(tmp_path):
    path = of_domains(tmp_path, PAIRS | {"plain2hot": (100, 100)})
    _, problems = validation.validate_results_in(tmp_path)
    assert problems == [
        f"{path}: i2i@1/plain2hot: direction plain2hot is none of task shapes-domains"
    ]

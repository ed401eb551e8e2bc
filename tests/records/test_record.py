"""Records: names that are safe as files, and a text that is read back as it was written."""

import json
from pathlib import Path

import pytest

from i2i_bench.records import record
from i2i_bench.records.run import EXTERNAL, LONGEST_VARIANT, Run, seed_of, variant_name


@pytest.mark.parametrize(
    ("preset", "changes", "name"),
    [
        ("published", {}, ""),
        ("small", {}, "preset=small"),
        ("published", {"num_masks": 4, "batch_size": 2}, "batch_size=2,num_masks=4"),
        ("tiny", {"precision": "bf16", "budget": 8}, "preset=tiny,budget=8,precision=bf16"),
    ],
)
def test_variants_are_named_by_what_differs(preset, changes, name):
    assert variant_name(preset, changes) == name


def test_long_or_strange_variants_are_cut_and_hashed():
    long = variant_name("small", {f"a_long_name_of_a_setting_{i}": i for i in range(9)})
    assert len(long) == LONGEST_VARIANT
    strange = variant_name("small", {"shape": "../(1, 2)"})
    assert set(strange).isdisjoint("/() ")
    assert strange != variant_name("small", {"shape": "../(1,_2)"})


def test_a_value_that_looks_like_another_setting_has_a_name_of_its_own():
    two = variant_name("small", {"a": "1", "b": "2"})
    assert two == "preset=small,a=1,b=2"
    assert variant_name("small", {"a": "1,b=2"}) not in (two, variant_name("small", {"a": "1,b_2"}))


@pytest.mark.parametrize("name", ["seed0.bak", "seed", "seed-1", "seed1x", "seed\u0661", "run0"])
def test_only_folders_named_by_a_seed_are_runs(name):
    assert seed_of(Path("task/model") / name) is None
    assert seed_of(Path("task/model/seed12")) == 12


def test_places_follow_from_the_identity():
    run = Run("attentiongan", "preset=small", "stripes", 3)
    assert str(run) == "stripes/attentiongan+preset=small/seed3"
    assert run.file.as_posix() == "stripes/attentiongan+preset=small/seed3.json"


def test_record_too_large_to_be_one_is_not_read(tmp_path):
    path = tmp_path / "seed0.json"
    with path.open("wb") as file:
        file.truncate(record.LARGEST_RECORD + 1)
    with pytest.raises(ValueError, match="larger than 16 MiB"):
        record.read_record(path)


def test_text_of_a_record_has_sorted_keys_one_a_line(cli, places, tiny):
    cli("run", "--model", "cyclegan", "--task", tiny, "--preset", "tiny", "--budget", 2)
    (found,) = record.read_records(places / "results")
    path = places / "results" / found.run.file
    text = path.read_text(encoding="utf-8")
    assert record.write_record(found, places / "again").read_text(encoding="utf-8") == text
    content = json.loads(text)
    assert list(content) == sorted(content)
    assert all(line.count('": ') <= 1 for line in text.splitlines())
    assert str(places) not in text


ROOT = Path(__file__).parents[2]
COMMITTED = sorted((ROOT / "results").glob("*/*/*.json"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_committed_records_are_written_back_as_they_are(path, tmp_path):
    is_external = path.parent.name == EXTERNAL
    found = record.read_external_record(path) if is_external else record.read_record(path)
    assert record.write_record(found, tmp_path).read_bytes() == path.read_bytes()


def test_alarms_are_written_where_there_are_some(tmp_path):
    found = record.read_record(COMMITTED[0])
    assert "alarms" not in found.model_dump()
    alarmed = found.model_copy(update={"alarms": ["a2b: nothing is translated"]})
    assert record.read_record(record.write_record(alarmed, tmp_path)) == alarmed


def test_external_record_is_read_back_as_it_was_written(tmp_path):
    scores = record.read_record(COMMITTED[0]).scores
    key, score = next(iter(scores.items()))
    lpips = score.model_copy(update={"lpips_sha256": "c" * 64})
    made = record.External(
        name="cut",
        task="stripes",
        headline="kid",
        harness_version="0.1.0",
        formats={"a2b": {"png": 100}},
        scores={key: lpips},
    )
    path = record.write_record(made, tmp_path)
    assert path == tmp_path / "stripes/external/cut.json"
    assert record.read_external_records(tmp_path) == [made]
    assert record.read_records(tmp_path) == []
    with pytest.raises(ValueError, match="is not a valid record"):
        record.read_record(path)


@pytest.mark.parametrize("change", [{"schema_version": 99}, {"of_tomorrow": 1}])
def test_record_of_another_version_is_told_as_such(tmp_path, change):
    path = tmp_path / "seed0.json"
    path.write_text(json.dumps(json.loads(COMMITTED[0].read_text()) | change))
    told = r"\(written by another version of i2i-bench\?\); restore it, or move it away"
    with pytest.raises(ValueError, match=told):
        record.read_record(path)


def test_draft_of_a_killed_process_is_no_record(tmp_path):
    for name in ("cyclegan/.seed0-x.json", "external/.cut-x.json"):
        path = tmp_path / "stripes" / name
        path.parent.mkdir(parents=True)
        path.write_text('{"half')
    assert record.read_records(tmp_path) == record.read_external_records(tmp_path) == []

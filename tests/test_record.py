"""Records: names that are safe as files, and a text that is read back as it was written."""

import json

import pytest

from i2i_bench import record
from i2i_bench.record import Run, variant_name


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
    assert len(long) == record.LONGEST_VARIANT
    strange = variant_name("small", {"shape": "../(1, 2)"})
    assert set(strange).isdisjoint("/() ")
    assert strange != variant_name("small", {"shape": "../(1,_2)"})


def test_places_follow_from_the_identity():
    run = Run("attentiongan", "preset=small", "stripes", 3)
    assert str(run) == "stripes/attentiongan+preset=small/seed3"
    assert run.file.as_posix() == "stripes/attentiongan+preset=small/seed3.json"


def test_failed_write_leaves_the_old_text(tmp_path):
    path = tmp_path / "file.json"
    record.write_text(path, "old")

    def fail():
        with record.replacing(path) as partial:
            partial.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


def test_record_too_large_to_be_one_is_not_read(tmp_path):
    path = tmp_path / "seed0.json"
    with path.open("wb") as file:
        file.truncate(record.LARGEST_RECORD + 1)
    with pytest.raises(ValueError, match="larger than 16 MiB"):
        record.read(path)


def test_text_of_a_record_has_sorted_keys_one_a_line(cli, places, tiny):
    cli("run", "--model", "cyclegan", "--task", tiny, "--preset", "tiny", "--budget", 2)
    (found,) = record.read_all(places / "results")
    path = places / "results" / found.run.file
    text = path.read_text(encoding="utf-8")
    assert record.write(found, places / "again").read_text(encoding="utf-8") == text
    content = json.loads(text)
    assert list(content) == sorted(content)
    assert all(line.count('": ') <= 1 for line in text.splitlines())
    assert str(places) not in text

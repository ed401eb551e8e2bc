"""What files were when they were seen first is remembered beside them."""

import json
import os

import pytest

from i2i_bench.system import first_seen
from i2i_bench.system.download import Seen


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"sha256": "b"}}'])
def test_a_damaged_file_of_first_seen_hashes_is_named(text, tmp_path):
    path = tmp_path / first_seen.NAME
    path.write_text(text)
    with pytest.raises(ValueError, match=r"known\.json is damaged"):
        first_seen.check_known(path, "a", "b")


def test_first_seen_hashes_that_cannot_be_written_cost_a_warning(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    first_seen.remember_first(tmp_path / "gone" / first_seen.NAME, "a", Seen("a", 1, "x"))
    assert json.loads((tmp_path / "gone" / first_seen.NAME).read_text())
    if os.geteuid():  # root writes everywhere
        (tmp_path / "gone").chmod(0o555)
        first_seen.remember_first(tmp_path / "gone" / first_seen.NAME, "b", Seen("a", 1, "x"))
        assert "is not remembered" in caplog.text

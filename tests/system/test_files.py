"""Files are whole on disk or not there, and nothing is left beside them."""

import errno
import os
from pathlib import Path

import pytest

from i2i_bench.system import files


def in_parts(path):
    with files.replacing(path) as draft:
        draft.write_text("half", encoding="utf-8")
        draft.write_text("new", encoding="utf-8")


def test_failed_block_leaves_the_old_text(tmp_path):
    path = tmp_path / "file.json"
    files.write_text(path, "old")

    def fail():
        with files.replacing(path) as draft:
            draft.write_text("half", encoding="utf-8")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


WAYS = (
    in_parts,
    lambda path: files.put(path, b"new"),
    lambda path: files.put(path, memoryview(b"new")),
    lambda path: files.write_text(path, "new"),
)


@pytest.mark.parametrize("write", WAYS)
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_file_is_whole_for_whom_the_mask_lets_in_folders_that_are_made(tmp_path, write, mask, mode):
    path = tmp_path / "a" / "b" / f"{'name' * 60}.json"  # nearly as long as a name may be
    before = os.umask(mask)
    try:
        for _ in range(2):
            write(path)
    finally:
        os.umask(before)
    assert path.read_text(encoding="utf-8") == "new"
    assert path.stat().st_mode & 0o777 == mode
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("write", WAYS)
def test_failed_write_leaves_the_old_text(tmp_path, monkeypatch, write, call):
    path = tmp_path / "file.json"
    files.write_text(path, "old")

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="disk full"):
        write(path)
    monkeypatch.undo()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", WAYS)
def test_file_in_place_of_a_folder_is_named(tmp_path, write):
    (tmp_path / "file").write_text("old", encoding="utf-8")
    with pytest.raises(OSError, match=r"/file'$"):
        write(tmp_path / "file" / "new.json")


@pytest.mark.parametrize("write", WAYS)
def test_folder_whose_disk_is_not_mounted_is_told_of(tmp_path, write):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(ValueError, match="link that leads nowhere"):
        write(tmp_path / "link" / "file.json")


def test_lock_leaves_nothing_behind_and_is_given_back_after_a_failure(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), files.locked(tmp_path / "new"):
            raise KeyError
    assert list((tmp_path / "new").iterdir()) == []


def test_lock_without_locks_is_said_to_be_none(tmp_path, without_locks):
    handle, has_locks = files.lock_file(tmp_path / "lock", pytest.fail)
    os.close(handle)
    assert not has_locks
    with files.locked(tmp_path):
        pass


def test_holder_of_a_lock_is_asked_about_before_it_is_waited_for(tmp_path):
    def refuse():
        raise KeyError("held")

    handle, has_locks = files.lock_file(tmp_path / "lock", pytest.fail)
    handles = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(KeyError, match="held"):
        files.lock_file(tmp_path / "lock", refuse)
    assert (has_locks, len(list(Path("/proc/self/fd").iterdir()))) == (True, handles)
    os.close(handle)


def test_text_and_every_folder_made_for_it_are_synced_in_order(tmp_path, synced):
    path = tmp_path / "a" / "b" / "file.json"
    files.write_text(path, "new")
    names_and_contents = [tmp_path, tmp_path / "a", path, path.parent]
    assert synced == [each.stat().st_ino for each in names_and_contents]

"""Files that are whole or not there, and where those lie that are kept for later."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from pruneframe.files import cache_folder, write_whole


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def half(file: BinaryIO) -> None:
    file.write(b"half of it")
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_full_disk_leaves_no_half_file(tmp_path: Path, before: bytes | None) -> None:
    target = tmp_path / "file.json"
    if before is not None:
        target.write_bytes(before)
    with pytest.raises(OSError, match="No space left"):
        write_whole(target, half)
    assert contents(tmp_path) == ({} if before is None else {"file.json": before})


def test_a_full_disk_at_the_flush_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "file", lambda file: file.write(b"whole"))
    assert contents(tmp_path) == {}


def test_whole_files_are_readable_by_others(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "file", lambda file: file.write(b"whole"))
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b" / "file", lambda file: file.write(b"whole"))
    assert contents(tmp_path) == {"a/b/file": b"whole"}


def test_the_cache_lies_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("PRUNEFRAME_CACHE", "")
    assert cache_folder().name == "pruneframe"

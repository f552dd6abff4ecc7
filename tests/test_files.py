"""Files that are whole or not there, and where those lie that are kept for later."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from pruneframe.errors import Damaged, InputError
from pruneframe.files import (
    cache_folder,
    locked,
    open_plain,
    read_document,
    read_json,
    read_plain,
    read_toml,
    sweep,
    write_document,
    write_whole,
)


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


def test_a_link_is_replaced_and_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "file").symlink_to(tmp_path / "mine")
    write_whole(tmp_path / "file", lambda file: file.write(b"whole"))
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert not (tmp_path / "file").is_symlink()


def test_no_changed_byte_of_a_document_is_read(tmp_path: Path) -> None:
    path, value = tmp_path / "file.json", {"name": "x", "values": [1, 0.1, None], "checksum of": "no other"}
    write_document(path, value)
    assert read_document(path) == value
    content = path.read_bytes()
    for place in range(8 * len(content)):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(Damaged, match=r"file\.json is damaged"):
            read_document(path)
    for changed_length in (b"", content[:-1], content + b"\n", content[:60]):
        path.write_bytes(changed_length)
        with pytest.raises(Damaged, match=r"file\.json is damaged"):
            read_document(path)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "nothing": lambda path: None,
}


@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_plain_file_is_refused_and_never_waited_for(what: str, tmp_path: Path) -> None:
    path = tmp_path / "thing"
    NO_FILES[what](path)
    for read in (read_document, read_json, lambda path: read_toml(path, "it must be TOML")):
        with pytest.raises(InputError):
            read(path)
    with pytest.raises((InputError, FileNotFoundError)):
        open_plain(path)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match=r"at most 1,000 bytes, but has 1,099,511,627,776"):
        read_plain(tmp_path / "file", 1000)


DEEP = 100_000


@pytest.mark.parametrize(
    "text", ["a = " + "[" * DEEP, "a = " + "{b = " * DEEP, ".".join("a" * DEEP) + " = 1", 'a = "b\\u0000"', "a = 1979-"]
)
def test_no_toml_file_does_more_than_be_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "file.toml").write_text(text)
    with pytest.raises(InputError, match=r"^it must be TOML, but cannot be read"):
        read_toml(tmp_path / "file.toml", "it must be TOML")


@pytest.mark.parametrize("text", ["[" * DEEP, '{"a":' * DEEP, "[1]", "", "\x00", "9" * 5000, "nul"])
def test_no_json_file_does_more_than_be_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(InputError, match="must hold a JSON object"):
        read_json(tmp_path / "file.json")


WRITER = """
import sys, time
from pathlib import Path
from pruneframe.files import write_whole
def half(file):
    file.write(b"half")
    print("writing", flush=True)
    time.sleep(60)
write_whole(Path(sys.argv[1]), half)
"""


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "file"], stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        writer.stdout.readline()
        sweep(tmp_path)
        assert len(list(tmp_path.iterdir())) == 1
        writer.kill()
        writer.wait()
    assert len(list(tmp_path.iterdir())) == 1
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_held_by_one_and_found_again_where_its_folder_was_removed(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    with locked(path):
        with pytest.raises(BlockingIOError), locked(path, wait=False):
            pass
        path.unlink()
        path.parent.rmdir()
        with locked(path, wait=False):
            assert path.exists()
    with locked(path):
        pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_with_the_way_out(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(handle: int, how: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(InputError, match="must lie on a file system with locks"), locked(tmp_path / "lock"):
        pass

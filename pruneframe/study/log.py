"""Logs: where what a plugin prints goes."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST = 1_000_000  # characters of a log; what is printed beyond them is lost


@contextmanager
def printing_to(path: Path | None) -> Iterator[None]:
    """What the block prints goes to the end of a file, which is made when something does; None: nowhere.

    What is printed past Python, by libraries and by other processes, is added when the block ends.
    """
    log = _Log(path)
    with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log), _heard(log):
        yield


@contextmanager
def _heard(log: _Log) -> Iterator[None]:
    """What is written to the process's own outputs in the block goes to the log at its end."""
    with tempfile.TemporaryFile() as heard:
        try:
            with _instead(1, heard.fileno()), _instead(2, heard.fileno()):
                yield
        finally:
            heard.seek(0)
            log.write(heard.read(MOST).decode(errors="replace"))


@contextmanager
def _instead(output: int, file: int) -> Iterator[None]:
    """An output of the process is this file, but not where it has none; what C has in its buffers goes where it was."""
    try:
        own = os.dup(output)
    except OSError:
        yield
        return
    _flush()
    os.dup2(file, output)
    try:
        yield
    finally:
        _flush()
        os.dup2(own, output)
        os.close(own)


def _flush() -> None:
    ctypes.CDLL(None).fflush(None)


class _Log(io.TextIOBase):
    """A file that is opened for each text: a run that is killed has written what it printed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._path is not None and text:
            with contextlib.suppress(OSError):  # a full disk ends runs where it matters
                if not self._path.exists() or self._path.stat().st_size < MOST:
                    with self._path.open("a", errors="replace") as file:
                        file.write(text[:MOST])
        return len(text)

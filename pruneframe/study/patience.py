"""Patience: for how long a plugin's code may run, and where what it prints goes."""

from __future__ import annotations

import contextlib
import io
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST = 1_000_000  # characters of a log; what is printed beyond them is lost


class TimeUp(BaseException):
    """The time is up; no Exception, so that plugins that catch those do not catch it."""


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """Raise TimeUp in the block once so many seconds have passed, and again every second; None: never.

    It works where signals do, in the main thread; elsewhere the block takes as long as it takes. Code of a library that
    does not return to Python is not broken off.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: object) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def printing_to(path: Path | None) -> Iterator[None]:
    """What the block prints goes to the end of a file, which is made when something does; None: nowhere."""
    log = _Log(path)
    with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        yield


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

"""Patience: for how long a plugin's code may run, and where what it prints goes."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

MOST = 1_000_000  # characters of a log; what is printed beyond them is lost


def lasting() -> list[threading.Thread]:
    """The threads that run and that Python waits for when a process ends."""
    return [one for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]


class TimeUp(BaseException):
    """The time is up; no Exception, so that plugins that catch those do not catch it."""


def within(seconds: float | None, work: Callable[[], object]) -> None:
    """Do some work; raise TimeUp in it once so many seconds have passed, and again every second; None: never.

    Only while the work is on the stack: on a busy machine the next second may be over before the alarm is off, and
    nobody else may be hit. It works where signals do, in the main thread; elsewhere the work takes as long as it takes.
    Code of a library that does not return to Python is not broken off.
    """

    def timed() -> None:
        work()

    def ring(number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code is timed.__code__:
                raise TimeUp
            frame = frame.f_back

    if seconds is None or threading.current_thread() is not threading.main_thread():
        work()
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        with _unsaid(TimeUp):
            timed()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _unsaid(kind: type[BaseException]) -> Iterator[None]:
    """Python says nothing of such exceptions where it ignores them, in a destructor or a weak reference's callback."""
    before = sys.unraisablehook

    def hook(one: sys.UnraisableHookArgs) -> None:
        if not issubclass(one.exc_type, kind):
            before(one)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


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

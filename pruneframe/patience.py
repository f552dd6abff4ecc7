"""Patience: for how long a plugin's code may run, and what tells its own interrupt from the user's."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

Given = TypeVar("Given")

PLANNING = 60.0  # seconds in which a plugin must answer what it is asked before anything is spent
SOON = 0.001  # seconds until an alarm that should have rung meanwhile does


def lasting() -> list[threading.Thread]:
    """The threads that run and that Python waits for when a process ends."""
    return [one for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]


class TimeUp(BaseException):
    """The time is up; no Exception, so that plugins that catch those do not catch it."""


def within(seconds: float | None, work: Callable[[], Given]) -> Given:
    """What some work gives; raises TimeUp in it once so many seconds have passed, and again every second; None: never.

    Only while the work is on the stack: on a busy machine the next second may be over before the alarm is off, and
    nobody else may be hit. It works where signals do, in the main thread; elsewhere the work takes as long as it takes.
    Code of a library that does not return to Python is not broken off. Work within other work puts that one's alarm off
    until it has ended. Raises RuntimeError for a KeyboardInterrupt that no user has caused.
    """

    own: list[FrameType] = []

    def timed() -> Given:
        own.append(sys._getframe())
        return work()

    def ring(number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame in own:
                raise TimeUp
            frame = frame.f_back

    if seconds is None or threading.current_thread() is not threading.main_thread():
        return work()
    before = signal.signal(signal.SIGALRM, ring)
    begun, (left, every) = time.monotonic(), signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        with _unsaid(TimeUp), users_interrupts():
            return timed()
    finally:
        own.clear()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - begun), SOON), every)


def interruptible() -> bool:
    """Whether an interrupt of the user's reaches this process, which workers are spared."""
    return signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@contextmanager
def users_interrupts() -> Iterator[None]:
    """Only a signal interrupts the block; a KeyboardInterrupt that its own code raises becomes a RuntimeError."""
    before, arrived = signal.getsignal(signal.SIGINT), list[int]()

    def heard(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        before(number, frame)  # type: ignore[misc, operator] # set where it can be called

    if callable(before) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, heard)
    try:
        yield
    except KeyboardInterrupt as error:
        if arrived:
            raise
        raise RuntimeError("it raises KeyboardInterrupt, which is for users alone") from error
    finally:
        if signal.getsignal(signal.SIGINT) is heard:  # else the first interrupt has changed what the next one does
            signal.signal(signal.SIGINT, before)


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

"""Removal: runs that were a mistake are taken out of a study, where nobody is at work on it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..errors import InputError
from .folder import RunFolder
from .store import StudyFolder


@contextmanager
def at_work(study: StudyFolder, alone: bool = False) -> Iterator[None]:
    """Who carries out runs of a study holds its folder, together with others; who takes runs out holds it alone.

    Raises InputError where that cannot be, and waits for nobody. The system lets go of a folder when its holder dies.
    """
    handle = os.open(study.path, os.O_RDONLY)
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise InputError(f"{study.path} is in use by another command; wait until that has ended") from error
    try:
        yield
    finally:
        os.close(handle)


def remove(study: StudyFolder, runs: Sequence[RunFolder]) -> None:
    """Take runs out: their folders go, and they do not count as missing until a command asks for them again.

    Raises InputError, before anything is touched, where any run of the study is being carried out.
    """
    with at_work(study, alone=True):
        for run in study.runs():
            with run.held(wait=False):
                pass
        study.note_removed([run.identity for run in runs])
        for run in runs:
            run.forget()
            for folder in (run.path.parent, run.path.parent.parent):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

"""The HTML page of a study while its runs go on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..registry import Registry
from ..study.campaign import Watch, Watching
from ..study.run import Run
from ..study.store import StudyFolder
from .edition import write_meanwhile

EVERY = 60  # seconds
SHARE = 10  # of the time that goes into writing pages, at most one part in so many


def with_page(registry: Registry, watching: Watching) -> Watching:
    """The same, and every minute the page is written; who has it open in a browser sees it anew.

    A study whose page takes long is written less often: its runs need the machine.
    """

    @contextmanager
    def both(study: StudyFolder, runs: Sequence[Run]) -> Iterator[Watch]:
        with watching(study, runs) as watch:
            due = time.monotonic()

            def watched(states: dict[Run, str]) -> None:
                nonlocal due
                watch(states)
                start = time.monotonic()
                if start >= due:
                    write_meanwhile(study, registry, EVERY)
                    due = time.monotonic() + max(EVERY, SHARE * (time.monotonic() - start))

            yield watched

    return both

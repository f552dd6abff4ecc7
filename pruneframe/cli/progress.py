"""Live progress of a study: a table on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ..report import place
from ..study.progress import DONE, WAITING, Progress
from ..study.run import Run
from ..study.store import StudyFolder

PLAIN_SECONDS = 30  # between two plain lines about one run
SHOWN = 20  # runs in the live table

Watch = Callable[[dict[Run, str]], None]


@contextmanager
def display(study: StudyFolder, runs: Sequence[Run]) -> Iterator[Watch]:
    """A function that is told the runs' states and shows them."""
    console = Console(stderr=True)
    tracked = {run: Progress(run.folder(study), run.budget) for run in runs}
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            yield _live(live, tracked)
    else:
        yield _plain(console, tracked)


def _live(live: Live, tracked: dict[Run, Progress]) -> Watch:
    ended: set[Run] = set()

    def watch(states: dict[Run, str]) -> None:
        active = []
        for run, state in states.items():
            if state == "open":
                tracked[run].refresh()
                active += [run] if tracked[run].state not in (WAITING, DONE) else []
            else:
                ended.add(run)
        table = Table(title=f"{len(ended)} of {len(tracked)} runs ended", title_justify="left")
        for heading in ("problem", "method", "seed", "state", "passes", "hypervolume", "left"):
            table.add_column(heading, justify="left" if heading in ("problem", "method", "state") else "right")
        for run in active[:SHOWN]:
            progress = tracked[run]
            problem, _, seed = place(run, tracked).rpartition(", seed ")
            table.add_row(problem, run.method, seed, progress.state, *_figures(progress))
        live.update(table)

    return watch


def _plain(console: Console, tracked: dict[Run, Progress]) -> Watch:
    last: dict[Run, float] = {}
    ended: set[Run] = set()

    def watch(states: dict[Run, str]) -> None:
        for run, state in states.items():
            over = state != "open"
            if not over and time.monotonic() - last.setdefault(run, time.monotonic()) < PLAIN_SECONDS:
                continue
            last[run] = time.monotonic()
            tracked[run].refresh()
            if over or tracked[run].state not in (WAITING, DONE):
                state = state if over else tracked[run].state
                ended.update({run} if over else ())
                passes, volume, left = _figures(tracked[run])
                line = f"[{len(ended)}/{len(tracked)}] {run.method} on {place(run, tracked)}: {state}, "
                line += f"{passes} passes, hypervolume {volume}" + ("" if over else f", {left} left")
                console.print(line, markup=False, highlight=False, soft_wrap=True)

    return watch


def _figures(progress: Progress) -> tuple[str, str, str]:
    left = progress.seconds_left
    return (
        f"{progress.passes:.0f}/{progress.budget:g}",
        f"{progress.hypervolume:.4f}",
        "?" if left is None else f"{int(left) // 60}:{int(left) % 60:02}",
    )

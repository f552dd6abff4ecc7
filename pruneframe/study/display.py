"""Live progress of a study: a table on a terminal or in a notebook, plain lines elsewhere, on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ..report import place
from .outlook import Outlook, told
from .progress import DONE, WAITING, Progress
from .run import Run
from .store import StudyFolder

PLAIN_SECONDS = 30  # between two plain lines about one run
SHOWN = 20  # runs in the live table

Watch = Callable[[dict[Run, str]], None]


@contextmanager
def display(study: StudyFolder, runs: Sequence[Run]) -> Iterator[Watch]:
    """A function that is told the runs' states and shows them."""
    console = Console(stderr=True)
    tracked = {run: Progress(run.folder(study), run.budget) for run in runs}
    outlook = Outlook(tracked)
    if console.is_jupyter:
        yield _live(_notebook(), tracked, outlook)
    elif console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            yield _live(live.update, tracked, outlook)
    else:
        yield _plain(console, tracked, outlook)


def _notebook() -> Callable[[Table], None]:
    """Shows a table in a notebook, in the place of the one before."""
    from IPython.display import display as shown  # there is one, since this runs in it

    return shown(Table(), display_id=True).update


def _live(show: Callable[[Table], None], tracked: dict[Run, Progress], outlook: Outlook) -> Watch:
    ended: set[Run] = set()

    def watch(states: dict[Run, str]) -> None:
        active = []
        for run, state in states.items():
            tracked[run].refresh()
            if state == "open":
                active += [run] if tracked[run].state not in (WAITING, DONE) else []
            else:
                ended.add(run)
                outlook.end(run)
        table = Table(title=f"{len(ended)} of {len(tracked)} runs ended{_left(outlook)}", title_justify="left")
        for heading in ("problem", "method", "seed", "state", "passes", "hypervolume"):
            table.add_column(heading, justify="left" if heading in ("problem", "method", "state") else "right")
        for run in active[:SHOWN]:
            progress = tracked[run]
            problem, _, seed = place(run, tracked).rpartition(", seed ")
            table.add_row(problem, run.method, seed, progress.state, *_figures(progress))
        show(table)

    return watch


def _plain(console: Console, tracked: dict[Run, Progress], outlook: Outlook) -> Watch:
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
                if over:
                    ended.add(run)
                    outlook.end(run)
                passes, volume = _figures(tracked[run])
                line = f"[{len(ended)}/{len(tracked)}] {run.method} on {place(run, tracked)}: {state}, {passes} passes"
                line += f", hypervolume {volume}" if volume else ", nothing reached" if over else ", no front yet"
                if len(ended) < len(tracked):
                    for other in (one for one, now in states.items() if now == "open"):
                        tracked[other].refresh()
                    line += _left(outlook)
                console.print(line, markup=False, highlight=False, soft_wrap=True)

    return watch


def _left(outlook: Outlook) -> str:
    """The time that all runs will still take, where anything is known of it."""
    left = outlook.seconds_left
    return "" if left is None else f"; about {told(left)} left in all"


def _figures(progress: Progress) -> tuple[str, str]:
    """Passes, and the hypervolume, empty where no member is better than guessing with the whole network."""
    volume = progress.hypervolume
    return f"{progress.passes:.0f}/{progress.budget:g}", f"{volume:.4f}" if volume else ""

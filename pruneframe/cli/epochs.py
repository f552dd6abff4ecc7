"""Live progress of a training: a bar on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..model.session import Epoch, Watch
from ..model.trained import Lines, Pupil
from . import options


@contextmanager
def display(pupil: Pupil, epochs: int) -> Iterator[Watch]:
    """Who watches a training of so many epochs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(options.say, pupil, epochs)
        return
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("left"), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        yield Bar(progress, pupil, epochs)


class Bar:
    """Watches a training as a bar."""

    def __init__(self, progress: Progress, pupil: Pupil, epochs: int) -> None:
        self._progress, self._called, self._epochs = progress, pupil.called, epochs
        self._task = progress.add_task(f"{self._called}: epoch 1/{epochs}", total=1.0)

    def ended(self, epoch: Epoch) -> None:
        """The next epoch's number, and what this one came to."""
        told = f"loss {epoch.loss:.4f}, search error {epoch.search_error:.2%}"
        number = min(epoch.epoch + 1, self._epochs)
        self._progress.update(self._task, description=f"{self._called}: epoch {number}/{self._epochs}, {told}")

    def share(self, done: float) -> None:
        """How far it is."""
        self._progress.update(self._task, completed=done)

    def say(self, line: str) -> None:
        """Above the bar."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

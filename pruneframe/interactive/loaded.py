"""A study read back at a prompt: its runs, fronts, figures and members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Drawing

from ..comparison.drawing import drawn, ranked
from ..comparison.summary import results
from ..comparison.verdicts import Verdict, verdicts
from ..errors import Faulty, InputError, NothingSelected
from ..files import followed
from ..item import Figure, Item
from ..registry import Registry
from ..report import RUN, Board, Report, StudyFacts, members
from ..spec import meant
from ..study.facts import facts, summaries
from ..study.selection import Selection
from ..study.store import StudyFolder
from ..study.table import long_table
from .html import shown
from .member import Member
from .prompt import Plugin, registry_of, sources_of
from .result import columns_of

COMPARED = ["problem", "method", "against", "difference", "lower", "upper", "p", "verdict"]


def load(study: str | Path, *, plugins: Iterable[Plugin] = ()) -> Study:
    """Open the study in a folder that `bench` has written; raises InputError where there is none.

    `plugins` are files, as of `-p`, or the problems that it is about, where these were objects.
    """
    return Study(StudyFolder.existing(followed(study)), registry_of(sources_of(plugins)))


class Study:
    """What a study holds at the moment when it is first asked; a study that has gone on since is loaded anew."""

    def __init__(self, folder: StudyFolder, registry: Registry) -> None:
        self._folder, self._registry = folder, registry

    @property
    def path(self) -> Path:
        """Its folder."""
        return self._folder.path

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run, as `pruneframe summary --json` has them: what it is, how far, and what it reached."""
        return pd.DataFrame([run.json() for run in summaries(self._folder)])

    @cached_property
    def table(self) -> pd.DataFrame:
        """The long table: a row per evaluation, and several per final member; see `pruneframe.Report`."""
        return long_table(self._folder)

    @cached_property
    def facts(self) -> StudyFacts:
        """All else that reports are told."""
        return facts(self._folder)

    @property
    def problems(self) -> list[str]:
        """What boards are called: problems, and what tells those of one problem from each other."""
        return [board.label for board in self.facts.boards]

    @cached_property
    def fronts(self) -> pd.DataFrame:
        """One row per final member: problem, method, instance, seed, and what `Result.table` has."""
        found = []
        for board in self.facts.boards:
            search, test = (members(self.table, board, split) for split in ("search", "test"))
            for run in self.facts.done(board):
                ours, theirs = (rows[(rows[list(RUN)] == list(run.key)).all(axis=1)] for rows in (search, test))
                front = columns_of(ours, theirs, board.objectives)
                head: dict[str, Any] = {"problem": board.label, **dict(zip(RUN, run.key, strict=True))}
                found.append(front.assign(**head)[[*head, *front.columns]])
        return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["problem", *RUN])

    def summary(self, control: str | None = None) -> pd.DataFrame:
        """One row per problem and method, the largest median hypervolume first, with what may be claimed of it."""
        known = self.facts.beside(control)
        found = [results(known.done(board), known.control).assign(problem=board.label) for board in known.boards]
        frame = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["problem", "method"])
        return frame[["problem", *(name for name in frame if name != "problem")]]

    def compare(self, control: str | None = None) -> pd.DataFrame:
        """One row per pair of methods that is tested, by hypervolume: difference, interval, p, and the verdict."""
        known = self.facts.beside(control)
        rows = [
            {"problem": board.label, **_compared(one)}
            for board in known.boards
            for one in verdicts(known.done(board), known.control)
        ]
        return pd.DataFrame(rows, columns=COMPARED)

    def draw(self, report: str) -> list[Item]:
        """The figures, tables and remarks of a report, by its spec; `pruneframe list reports` has them."""
        return self._drawn(report, self.facts)

    def plot_fronts(self, problem: str | None = None, highlight: str | None = None) -> Drawing:
        """The final fronts on the test images, and the surfaces that half of each method's runs attain.

        `problem` is one of `problems`, and must be given where there are several.
        """
        known = self.facts
        board = self._chosen(problem)
        if highlight is not None:
            known = replace(known, highlight=meant("method", highlight, known.methods))
        items = self._drawn("fronts", known)
        found = [item.figure for item in items if isinstance(item, Figure) and item.board == board.hash]
        if not found:
            raise NothingSelected(f"{board.label} has no front to be drawn, which takes two objectives or more")
        return found[0]

    def member(
        self,
        method: str | None = None,
        problem: str | None = None,
        *,
        max_drop: float | None = None,
        number: int | None = None,
        instance: int | None = None,
        seed: int | None = None,
    ) -> Member:
        """A member of a final front: the smallest whose search error is at most `max_drop` points above the unpruned.

        Or the one of that `number` in its run's front, for which one run must be named.
        """
        selection = Selection(problem, method, instance, seed)
        return Member(*selection.member(self._folder, max_drop, number), self._registry)

    def _drawn(self, report: str, known: StudyFacts) -> list[Item]:
        def complain(fault: Faulty) -> None:
            raise fault

        return drawn(self._registry.component(Report, report), ranked(self.table, known), known, complain)

    def _chosen(self, problem: str | None) -> Board:
        """The board that is meant; raises InputError where several could be."""
        boards = {board.label: board for board in self.facts.boards}
        if not boards:
            raise NothingSelected(f"{self.path} has no finished run yet; bench goes on with it")
        if problem is None and len(boards) > 1:
            raise InputError(f"problem must be given where there are several: {', '.join(boards)}")
        return next(iter(boards.values())) if problem is None else boards[meant("problem", problem, boards)]

    def _facts(self) -> dict[str, object]:
        states = Counter(self.runs["status"]) if len(self.runs) else Counter[str]()
        return {"folder": self.path, "runs": ", ".join(f"{count} {state}" for state, count in states.items()) or "none"}

    def __repr__(self) -> str:
        return f"<study {self.path}; runs: {self._facts()['runs']}>"

    def _repr_html_(self) -> str:
        return shown("Study", self._facts(), self.summary())


def _compared(told: Verdict) -> dict[str, object]:
    """One comparison as a row."""
    low, high = told.interval or (None, None)
    found = told.found
    gaps = {"difference": told.gap, "lower": low, "upper": high, "p": found.p}
    return {"method": found.first, "against": found.second, **gaps, "verdict": told.says(found.first)}

"""What a run has done so far, for those who wait for it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import Damaged
from ..front import FRONT_LIMIT, hypervolume, non_dominated
from ..search.answer import Answer, Follower
from ..search.journal import MEMBER
from .folder import RunFolder

WAITING, DONE = "waiting", "done"  # states in which nothing is under way


@dataclass
class Progress:
    """What a run has done so far, read from its journal while another process writes it."""

    folder: RunFolder
    budget: float
    spent: float = 0.0
    seconds: float = 0.0
    seconds_by_kind: dict[str, float] = field(default_factory=dict)
    own: float = 0.0  # seconds of the method's own work, between answers
    processor: float = 0.0  # seconds that its process worked for both
    evaluations: int = 0
    measured: int = 0  # answers about the dense network and the final members, on search and on test
    measuring: float = 0.0  # seconds that those took
    tuned: int = 0  # members of the front that have had the common fine-tuning
    tuning: float = 0.0  # seconds that it took
    under_way: dict[str, Any] | None = None  # what is being computed for long, and how far it is; not yet spent
    points: list[list[float]] = field(default_factory=list)  # values of the evaluations that none dominates

    def __post_init__(self) -> None:
        self._search, self._finetuning = Follower(self.folder.journal), Follower(self.folder.finetuning)

    def refresh(self) -> None:
        """Read what is new in the journal; where it is damaged, nothing changes until bench has mended it."""
        with suppress(Damaged, OSError):
            if self.folder.begun:
                self._refresh()

    def _refresh(self) -> None:
        for line in self._search.news():
            if isinstance(line, Answer):
                self._take(line)
            else:  # only the latest session counts
                self._begin()
        if self.points:
            values = np.array(self.points)
            self.points = values[non_dominated(values)].tolist()
        for line in self._finetuning.news():
            if isinstance(line, Answer):
                self.tuned, self.tuning = self.tuned + 1, self.tuning + line.seconds
            else:
                self.tuned, self.tuning = 0, 0.0
        self.under_way = self.folder.under_way()

    def _begin(self) -> None:
        self.spent = self.seconds = self.own = self.processor = self.measuring = 0.0
        self.evaluations = self.measured = 0
        self.seconds_by_kind, self.points = {}, []

    def _take(self, answer: Answer) -> None:
        if answer.kind == MEMBER:
            self.measured += 1
            self.measuring += answer.seconds
            return
        self.spent += answer.charge
        self.seconds += answer.seconds
        self.seconds_by_kind[answer.kind] = self.seconds_by_kind.get(answer.kind, 0.0) + answer.seconds
        self.own += answer.own
        self.processor += answer.processor
        if answer.kind == "evaluate":
            self.evaluations += 1
            self.points.append(answer.values)

    @property
    def hypervolume(self) -> float:
        """Of all evaluations so far, on the search split."""
        if not self.points:
            return 0.0
        return hypervolume(np.array(self.points) / np.array(self.folder.identity["references"]))

    @property
    def members(self) -> int:
        """How many answers about final members there will be."""
        return 2 * (1 + min(FRONT_LIMIT, len(self.points)))

    @property
    def state(self) -> str:
        """What the run is doing."""
        if self.folder.finished and self.folder.finetuning.exists():
            return f"fine-tuning its front ({self.tuned} of {self._front})"
        if self.folder.finished:
            return DONE
        if self.measured:
            return f"measuring its front ({self.measured} of {self.members})"
        if self.under_way:
            return f"searching ({self.under_way['what']}, {self.under_way['share']:.0%})"
        return "searching" if self.spent else WAITING

    @property
    def _front(self) -> int:
        """Members of the final front, of a finished run."""
        return int(self.folder.result["front_size"])

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far: of the search, then of what measures its front, then of the fine-tuning."""
        if self.folder.finished and self.tuned:
            return self.tuning / self.tuned * (self._front - self.tuned)
        if self.measured:
            return self.measuring / self.measured * max(0, self.members - self.measured)
        spent, seconds = self._with_what_is_under_way
        return seconds / spent * (self.budget - spent) if spent else None

    @property
    def worked(self) -> float:
        """Seconds that all of it took so far: answers, the method's own work, measuring and fine-tuning its front."""
        return self._with_what_is_under_way[1] + self.own + self.measuring + self.tuning

    @property
    def passes(self) -> float:
        """Spent, and computed of what is under way, which a kill would lose."""
        return self._with_what_is_under_way[0]

    @property
    def _with_what_is_under_way(self) -> tuple[float, float]:
        """Passes and seconds."""
        more = self.under_way or {"charge": 0.0, "seconds": 0.0}
        return self.spent + more["charge"], self.seconds + more["seconds"]

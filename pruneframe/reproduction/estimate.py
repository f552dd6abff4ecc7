"""How long runs will take, told before they begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..front import FRONT_LIMIT
from ..study.outlook import told
from ..study.plan import Plan, seconds_per_pass
from ..study.run import Run


@dataclass(frozen=True)
class Estimate:
    """Seconds on this machine: of the searches, and of measuring their final fronts, at most.

    Both at the pace of the unpruned network. A sparse candidate takes less, a method's own work comes on top, and most
    fronts have fewer members than they may have: 100, or a candidate for each pass.
    """

    searching: float = 0.0
    measuring: float = 0.0

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.searching + other.searching, self.measuring + other.measuring)

    def __str__(self) -> str:
        return f"about {told(self.searching)} of search, and at most {told(self.measuring)} to measure the final fronts"


def estimate(planned: Plan, missing: Sequence[Run], jobs: int) -> Estimate:
    """Of those runs of a plan that are missing, so many of them at once."""
    total = Estimate()
    for loaded in planned.problems:
        runs = [run for run in missing if run.problem == loaded.problem.name]
        if not runs:
            continue
        pace = seconds_per_pass(loaded, runs[0].device, runs[0].precision)
        images = (len(loaded.search) + len(loaded.data.test)) / len(loaded.search)
        searching = sum(run.budget for run in runs) * pace
        measuring = sum(1 + min(FRONT_LIMIT, run.budget) for run in runs) * images * pace
        total += Estimate(searching / min(jobs, len(runs)), measuring / min(jobs, len(runs)))
    return total

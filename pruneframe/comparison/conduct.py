"""How a comparison is conducted, by the command and by the call: its seeds, what it can claim, and its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from ..method import Method
from ..registry import Registry
from ..spec import numbers
from ..study.campaign import Watching, carry_out
from ..study.control import control_of
from ..study.plan import Plan
from ..study.run import Run
from ..study.store import StudyFolder
from ..study.terms import ONCE, Terms
from ..study.wanted import SEEDS, Say, Wanted
from .beforehand import Need


@dataclass(frozen=True)
class Conduct:
    """A comparison whose runs are named, `jobs` of which are carried out at once; nothing has been written yet."""

    wanted: Wanted
    study: StudyFolder
    control: str | None
    planned: Plan
    jobs: int
    terms: Terms

    @classmethod
    def of(cls, wanted: Wanted, study: StudyFolder, control: str | None, say: Say, terms: Terms = ONCE) -> Self:
        """Plan it: where no seeds are wanted it gets as many as allow a claim, and what it can claim is said.

        `control` is one of the methods. Loads everything; raises InputError for what would make a run fail from the
        start, and Declined where no method will run.
        """
        control = None if control is None else control_of(wanted.registry, control, wanted.methods, study)
        if not wanted.seeds:
            wanted = replace(wanted, seeds=seeds_for(wanted, control))
        planned, jobs = wanted.planned(say, terms.timeout)
        if not all(run.folder(study).finished for run in planned.runs):
            for line in beforehand(wanted.registry, planned.runs, control):
                say(line)
        return cls(wanted, study, control, planned, jobs, terms)

    def carry_out(self, say: Say, watching: Watching, force: bool = False) -> list[str]:
        """Carry out what is missing, or with `force` everything; returns a line for every run that fails."""
        self.wanted.prepare(self.study, self.planned, self.control, anew=force)
        if force:
            for run in self.planned.runs:
                run.folder(self.study).forget()
        return carry_out(self.wanted, self.planned, self.study, self.jobs, say, watching, self.terms)


def seeds_for(wanted: Wanted, control: str | None) -> list[int]:
    """The default: few of several instances, which are what is compared then; else as many as allow a claim.

    0-4 at least, and where no number up to 30 allows one.
    """
    if len(wanted.instances) > 1:
        return numbers(["0-2"], "seeds")
    least = numbers([SEEDS], "seeds")
    need = Need.of(_fixed(wanted.registry, wanted.methods), 1, control)
    return least if need.number is None else list(range(max(len(least), need.number)))


def beforehand(registry: Registry, runs: Sequence[Run], control: str | None) -> list[str]:
    """What the runs of a plan can claim, problem by problem where that differs; nothing of a method alone."""
    told: dict[str, list[str]] = {}
    for problem in dict.fromkeys(run.problem for run in runs):
        own = [run for run in runs if run.problem == problem]
        instances, seeds = ({getattr(run, name) for run in own} for name in ("instance", "seed"))
        need = Need.of(_fixed(registry, [run.method for run in own]), len(instances), control)
        told.setdefault(need.told(len(seeds if need.over == "seed" else instances)), []).append(problem)
    return [f"{', '.join(problems)}: {line}" if len(told) > 1 else line for line, problems in told.items() if line]


def _fixed(registry: Registry, methods: Sequence[str]) -> dict[str, bool]:
    """By method, whether it says that seeds do not matter to it."""
    found = [registry.component(Method, spec) for spec in methods]
    return {repr(method): method.deterministic for method in found}

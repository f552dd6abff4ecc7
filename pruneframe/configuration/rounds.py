"""Rounds: the trials of all methods side by side, each an ordinary run on every instance.

A round is one instance: runs on it are carried out together, and then every trial hears what it reached. Runs that a
study has are not carried out again, so that a killed search does the same trials up to where it stood, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from ..errors import InputError
from ..method import Method
from ..problem import LoadedProblem
from ..registry import Registry
from ..study.plan import Plan
from ..study.run import Run
from ..study.store import StudyFolder
from ..study.suitability import check
from .space import Space
from .trials import Trial, Trials
from .tuned import Tuned

Place = tuple[str, int]  # a problem and one of its instances


@dataclass(frozen=True)
class Rounds:
    """What trials are carried out on and with: the runs `planned` for the methods as they were asked name the rest.

    `carry_out` does some runs, or finds them done; `say` is told of every trial that ended.
    """

    registry: Registry
    planned: Plan
    study: StudyFolder
    carry_out: Callable[[Sequence[Run]], object]
    say: Callable[[str], None]

    def tuned(self, methods: Sequence[str], number: int, draw: int) -> list[Tuned]:
        """The best settings of each method that `number` trials find; `draw` is their seed.

        What the methods' specs give stays as it is, defaults that they give as well. Raises InputError where a method
        fails as it was asked.
        """
        spaces = {repr(self.registry.component(Method, spec)): Space.of(self.registry, spec) for spec in methods}
        contests = {
            method: Trials(space, number, len(self.places), draw, self._accept) for method, space in spaces.items()
        }
        while batches := {method: batch for method, trials in contests.items() if (batch := trials.next())}:
            for place in self.places:
                self._round(contests, batches, place)
        return [self._found(method, trials) for method, trials in contests.items()]

    @property
    def places(self) -> list[Place]:
        """Where rounds take place: every problem's first instance, then every one's second."""
        return sorted({(run.problem, run.instance) for run in self.planned.runs}, key=lambda place: (place[1], place))

    def _round(self, contests: dict[str, Trials], batches: dict[str, list[Trial]], place: Place) -> None:
        """All open trials on one instance."""
        going = [(method, trial) for method, batch in batches.items() for trial in batch if trial.state == "open"]
        runs = [self._runs(method, trial, place) for method, trial in going]
        self.carry_out([run for some in runs for run in some])
        for (method, trial), some in zip(going, runs, strict=True):
            trials, folders = contests[method], [run.folder(self.study) for run in some]
            reasons = [folder.failure or "its worker process died" for folder in folders if not folder.whole]
            if reasons and trial is trials.trials[0]:
                raise InputError(f"{method} must run as it is named, before it is tuned, but fails: {reasons[0]}")
            if reasons:
                trials.fail(trial, reasons[0])
            else:
                trials.tell(trial, fmean(folder.result["hypervolume_search"] for folder in folders))
            if trial.state != "open":
                self.say(f"{method}, trial {trials.trials.index(trial) + 1}: {_ended(trial)}: {trial.spec}")

    def _runs(self, method: str, trial: Trial, place: Place) -> list[Run]:
        """A trial's on one instance: those of its method as it was asked, with other settings."""
        found = self.registry.component(Method, trial.spec)
        versions = self.registry.versions_behind(self._problems[place[0]].problem, found)
        return [
            replace(run, method=trial.spec, versions=tuple(versions.items()))
            for run in self.planned.runs
            if (run.problem, run.instance) == place and run.method == method
        ]

    @property
    def _problems(self) -> dict[str, LoadedProblem]:
        """One instance of each, by name."""
        return {one.problem.name: one for one in reversed(self.planned.problems)}

    def _accept(self, spec: str) -> str:
        """How a spec is written; raises InputError where it cannot be run on every problem."""
        method = self.registry.component(Method, spec)
        for one in self._problems.values():
            check(self.registry, one, method)
        return repr(method)

    def _found(self, method: str, trials: Trials) -> Tuned:
        first, best = trials.trials[0], trials.best
        if trials.exhausted:
            self.say(f"{method}: nothing else was left to try after {len(trials.trials)} trials")
        runs = [run for trial in trials.trials for place in self.places for run in self._runs(method, trial, place)]
        results = [folder.result for run in runs if (folder := run.folder(self.study)).whole]
        return Tuned(
            asked=method,
            spec=best.spec,
            default=first.mean,
            found=best.mean,
            trials=len(trials.trials),
            stopped=trials.count("stopped"),
            failed=trials.count("failed"),
            refused=len(trials.refused),
            passes=sum(result["passes_spent"] for result in results),
            seconds=sum(result["seconds"] for result in results),
        )


def _ended(trial: Trial) -> str:
    if trial.state == "failed":
        return f"failed ({trial.reason})"
    stopped = f", stopped at instance {len(trial.values)}" * (trial.state == "stopped")
    return f"{trial.mean:.4f}{stopped}"

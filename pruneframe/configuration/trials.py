"""The trials of one method: what is tried next, which go on, and which was best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from ..errors import InputError
from .space import Space

if TYPE_CHECKING:
    import optuna

BATCH = 4  # trials that are under way at once, however many processors there are: so the same are tried everywhere
STARTUP = 5  # whole trials before any is stopped
PATIENCE = 10  # proposals on end that were refused or known; then others are drawn at random
IDLE = 300  # the same: nothing is left to be tried

State = Literal["open", "done", "stopped", "failed"]


@dataclass
class Trial:
    """One set of settings, and the values float that it had so far, one for each step."""

    spec: str
    asked: optuna.trial.Trial
    values: list[float] = field(default_factory=list)
    state: State = "open"
    reason: str = ""  # why it failed

    @property
    def mean(self) -> float:
        """Of its values."""
        return fmean(self.values)


class Trials:
    """Optuna's search (TPE, and its median rule for stopping) of one method's space, in `steps` steps per trial.

    The first trial is the method as it was asked, and is never stopped. `accept` says how a spec is written, and raises
    InputError for one that cannot be run. A spec that was tried is not tried again: where proposals end in such, some
    are drawn at random. Nothing is kept here: the same values give the same trials, so whoever starts over from stored
    values goes on where they end.
    """

    def __init__(self, space: Space, number: int, steps: int, seed: int, accept: Callable[[str], str]) -> None:
        self.space = space
        self.trials: list[Trial] = []
        self.refused: dict[str, str] = {}  # the reason by spec
        self._number, self._steps, self._accept = number, steps, accept
        self._study, self._others = _study(seed)
        self._study.enqueue_trial(space.defaults)
        self._proposer = self._study.sampler
        self._written: dict[str, str] = {}  # specs as they are written, by how they were proposed
        self.exhausted = False  # whether nothing else is left to try

    def next(self) -> list[Trial]:
        """The next few trials; none when there were enough, or when there is nothing else to try.

        Raises InputError where the method cannot run as it was asked.
        """
        batch: list[Trial] = []
        idle = 0
        while len(batch) < BATCH and len(self.trials) < self._number and not self.exhausted:
            self._study.sampler = self._proposer if idle < PATIENCE else self._others
            trial = self._proposed()
            idle = idle + 1 if trial is None else 0
            self.exhausted = idle >= IDLE
            if trial is not None:
                batch.append(trial)
                self.trials.append(trial)
        return batch

    def tell(self, trial: Trial, value: float) -> None:
        """What a trial reached in its next step; it may end with that."""
        from optuna.trial import TrialState

        trial.values.append(value)
        trial.asked.report(trial.mean, len(trial.values) - 1)
        if len(trial.values) == self._steps:
            trial.state = "done"
            self._study.tell(trial.asked, trial.mean)
        elif trial is not self.trials[0] and trial.asked.should_prune():
            trial.state = "stopped"
            self._study.tell(trial.asked, state=TrialState.PRUNED)

    def fail(self, trial: Trial, reason: str) -> None:
        """A trial broke."""
        from optuna.trial import TrialState

        trial.state, trial.reason = "failed", reason
        self._study.tell(trial.asked, state=TrialState.FAIL)

    def count(self, state: State) -> int:
        """How many trials ended so."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def best(self) -> Trial:
        """The whole trial with the largest mean, the earliest of equals; the first where none is whole."""
        whole = [trial for trial in self.trials if trial.state == "done"]
        return max(whole, key=lambda trial: trial.mean, default=self.trials[0])

    def _proposed(self) -> Trial | None:
        """What Optuna proposes; None where it cannot be run, or has been tried."""
        from optuna.trial import TrialState

        asked = self._study.ask()
        spec = self.space.suggest(asked) if asked.number else self.space.asked
        if not asked.number:
            self.space.suggest(asked)  # so that Optuna knows what the defaults are
        if self._refuses(spec):
            self._study.tell(asked, state=TrialState.PRUNED)  # without a value: worse than all others
            return None
        if any(self._written[spec] == trial.spec for trial in self.trials):
            self._study.tell(asked, state=TrialState.FAIL)  # which Optuna does not learn from
            return None
        return Trial(self._written[spec], asked)

    def _refuses(self, spec: str) -> bool:
        """Whether a spec cannot be run; raises InputError where that is the method as it was asked."""
        if spec not in self._written and spec not in self.refused:
            try:
                self._written[spec] = self._accept(spec)
            except InputError as error:
                if not self.trials:
                    raise
                self.refused[spec] = str(error)
        return spec in self.refused


def _study(seed: int) -> tuple[optuna.Study, optuna.samplers.BaseSampler]:
    """Optuna's part, and what draws at random where that has no new idea."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler, pruner = optuna.samplers.TPESampler(seed=seed), optuna.pruners.MedianPruner(STARTUP)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    return study, optuna.samplers.RandomSampler(seed=seed)

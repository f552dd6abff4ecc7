"""The contract of methods: searches of a tiny network, undisturbed, once more, killed, and with nothing to spend."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from ..errors import InputError, NotDeterministic, Overstepped
from ..method import Method
from ..patience import TimeUp, within
from ..registry import Registry
from ..search.journal import Journal
from ..search.ledger import BudgetSpent
from ..search.shelf import Shelf
from ..search.task import Task
from .rule import Case, Contract, refused
from .settings import with_settings
from .tiny import make_task, tiny_problem, units_there

BUDGETS = (40.0, 300.0)  # passes of a search
PLAIN: dict[str, Any] = {}
TIMED: dict[str, Any] = {"objectives": ("error", "params", "latency"), "target": "analytic"}  # for who needs a latency
PATIENCE = 120.0  # seconds that a search of the tiny network may take


@dataclass(frozen=True)
class Search:
    """What a search asked, and what it was told, in order; `overstepped`: how it used its network wrongly."""

    evaluated: list[tuple[str, str, tuple[float, ...]]]
    spent: float
    overstepped: Overstepped | None
    own: str  # what its own work was, in words


class MethodCase(Case):
    """A method on the tiny network with some units, and on that network with all `others`."""

    component: Method

    def __init__(
        self,
        method: Method,
        units: str,
        others: list[str],
        registry: Registry,
        budget: float,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__(method)
        self.units, self.others, self.registry, self.budget, self.settings = units, others, registry, budget, settings

    def search(self, units: str, journal: Path | None = None, spent: float = 0) -> Search:
        """One search, of whose budget so much is spent; raises Declined and other errors of the method."""
        with Journal(journal, {}) as kept:
            shelf = None if journal is None else Shelf(journal.parent)
            problem = tiny_problem(units, **self.settings)
            task = make_task(problem, self.budget, 0, self.registry, kept, shelf, spent)
            try:
                with self.watched(), contextlib.suppress(BudgetSpent):
                    within(PATIENCE, lambda: self.component.search(task))
            except TimeUp:
                raise AssertionError(f"a search must end when its budget is spent, not after {PATIENCE:g} s") from None
            except InputError:
                assert task.budget.spent == spent, "a method may decline only before it has spent anything"
                raise
        return found(task)

    @cached_property
    def first(self) -> Search:
        """An undisturbed search."""
        return self.search(self.units)

    def killed(self) -> tuple[Search, Search]:
        """A search whose journal is kept, and the same one once more with what is in the journal's first half."""
        with tempfile.TemporaryDirectory() as folder:
            journal = Path(folder) / "journal.jsonl"
            whole = self.search(self.units, journal)
            lines = journal.read_bytes().splitlines(keepends=True)
            journal.write_bytes(b"".join(lines[: 1 + len(lines) // 2]))
            return whole, self.search(self.units, journal)


def found(task: Task) -> Search:
    """What is to be told of a search that has ended."""
    try:
        task.settle()
        overstepped = None
    except Overstepped as error:
        overstepped = error
    account = task.account
    share = account.own_seconds / max(account.own_seconds + account.seconds, 1e-9)
    own = f"{share:.0%} of this search's seconds were its own work, {account.repeats} questions were repeated"
    evaluated = [(one.mask, one.weights, one.values) for one in task.archive.evaluations]
    return Search(evaluated, task.budget.spent, overstepped, own)


CONTRACT: Contract[MethodCase] = with_settings(Contract[MethodCase]())


@CONTRACT.rule("runs", "call task.evaluate, and let BudgetSpent pass", needed=True)
def runs(case: MethodCase) -> str:
    """A search evaluates something, and ends."""
    assert case.first.evaluated, "a search must evaluate something"
    return f"{len(case.first.evaluated)} evaluations"


@CONTRACT.rule("budget", "ask the task for whatever costs compute")
def keeps_the_budget(case: MethodCase) -> str:
    """It spends no more than its budget."""
    spent = case.first.spent
    assert spent <= case.budget * (1 + 1e-9), f"the budget must hold, {case.budget:g} passes, but {spent:g} were spent"
    return f"{spent:g} of {case.budget:g} passes"


@CONTRACT.rule("network", "work on copy.deepcopy(task.network.module), and ask the task for outputs")
def leaves_the_network(case: MethodCase) -> None:
    """It leaves the network as it is, and runs nothing through it."""
    assert case.first.overstepped is None, str(case.first.overstepped)


@CONTRACT.rule("same seed", "draw from task.rng alone, and let nothing hang on time, memory addresses or sets")
def is_a_function_of_the_seed(case: MethodCase) -> None:
    """The same seed asks the same questions."""
    again = case.search(case.units)
    assert case.first.evaluated == again.evaluated, "the same seed must ask the same questions"


@CONTRACT.rule("replay", "draw from task.rng alone, and keep nothing outside search, such as a file or a global")
def goes_on(case: MethodCase) -> None:
    """A search that is killed goes on from its journal, and ends as if undisturbed."""
    try:
        whole, again = case.killed()
    except NotDeterministic as error:
        raise AssertionError(str(error)) from error
    assert whole.evaluated == again.evaluated, "a search that was killed must end as an undisturbed one"


@CONTRACT.rule("nothing to spend", "let BudgetSpent pass: it must not be caught, as `except:` does")
def is_planned(case: MethodCase) -> None:
    """Asked with nothing left to spend, as before every study, it evaluates nothing."""
    try:
        nothing = case.search(case.units, spent=case.budget)
    except InputError:
        return
    assert not nothing.evaluated, "nothing may be evaluated when the budget is spent"


@CONTRACT.rule("units", "task.decline(reason) before anything is spent where it cannot run")
def takes_all_units(case: MethodCase) -> str:
    """It runs on every kind of units, or declines before it spends anything."""
    declined = []
    for units in case.others:
        try:
            assert case.search(units).evaluated, f"it must evaluate something of {units}, or decline"
        except InputError:
            declined.append(units)
    ran = [case.units, *(one for one in case.others if one not in declined)]
    return f"runs on {', '.join(ran)}" + (f", declines {', '.join(declined)}" if declined else "")


@CONTRACT.rule("own work", "compute less between questions, or ask for several masks at once")
def leaves_the_time_to_answers(case: MethodCase) -> str:
    """What its own work takes is told, and never broken; on the tiny network answers take next to nothing."""
    return case.first.own


def check_method(
    method: Method,
    units: str | None = None,
    registry: Registry | None = None,
    *,
    declines: str = "",
) -> None:
    """Raise AssertionError where a method breaks a rule on one kind of units; on all where none is given.

    `declines`: it must decline these units instead, and say so in words that hold this. Errors that users are told of
    are raised as they are.
    """
    case = case_of(method, units, registry, [PLAIN] if declines else [PLAIN, TIMED])
    if declines:
        refused(lambda: case.first, declines)
    else:
        CONTRACT.hold(case)


def case_of(
    method: Method, units: str | None, registry: Registry | None, rules: Sequence[Mapping[str, Any]] = (PLAIN, TIMED)
) -> MethodCase:
    """A method with one kind of units, or with all: those that it does not decline come first.

    One that evaluates nothing at a small budget has one that problems have, and one that declines all units has a
    latency to prune for.
    """
    registry = registry or Registry()
    there = [units] if units is not None else units_there(registry)
    cases = [
        MethodCase(method, one, [other for other in there if other != one], registry, budget, settings)
        for settings, one, budget in product(rules, there, BUDGETS)
    ]
    for case in cases:
        try:
            if case.first.evaluated:
                return case
        except InputError:
            continue
        except Exception:
            return case
    return next(case for case in reversed(cases) if case.settings is rules[0])  # what it says there is what counts

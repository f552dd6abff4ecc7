"""Whether a method can run on a problem, found out before anything is spent."""

from __future__ import annotations

from ..errors import Declined, Faulty, InputError
from ..method import Method
from ..patience import PLANNING, TimeUp, within
from ..problem import LoadedProblem
from ..registry import Registry
from ..search.journal import Journal
from ..search.ledger import BudgetSpent, Ledger
from ..search.prices import Prices
from ..search.shelf import Shelf
from ..search.task import Task
from ..search.workbench import Workbench
from ..target import Meter
from .log import printing_to
from .machine import same_settings


def check(registry: Registry, loaded: LoadedProblem, method: Method, seconds: float = PLANNING) -> None:
    """Raise Declined if the method cannot run on the problem; asks it with nothing left to spend.

    Raises InputError, with its name, for settings that do not go with the problem, and where the budget is too small:
    the first question that it wants to pay for must leave room for an evaluation. Raises Faulty where none comes within
    so many seconds; of any other fault the run itself is told.
    """
    ledger = Ledger(loaded.problem.budget)
    ledger.spent = ledger.total
    meter = loaded.problem.meter(registry.component)
    bench = Workbench(loaded, "cpu", Shelf(None), meter)
    if meter is not None:
        _check_meter(meter, bench, seconds)
    task = Task(bench, Journal(None, {}), ledger, 0, registry.component)
    try:
        with same_settings(), printing_to(None):
            within(seconds, lambda: method.search(task))
    except (Declined, KeyboardInterrupt):
        raise
    except InputError as error:  # what its settings say cannot be meant here
        if repr(method.name) in str(error):
            raise
        raise InputError(f"{method!r} cannot run on {loaded.problem.name!r}: {error}") from error
    except TimeUp as up:
        fault = Faulty(f"a method must ask something within {seconds:g} s, but {method!r} asked nothing")
        raise fault.with_traceback(up.__traceback__) from None
    except BudgetSpent as refused:
        budget, price = loaded.problem.budget, task.prices.evaluation
        if refused.passes > price and refused.passes + price > budget:
            raise InputError(
                f"budget >= {refused.passes + price:g} must hold for {method!r} on {loaded.problem.name!r}, "
                f"which spends {refused.passes:g} before its first evaluation, but got {budget:g}"
            ) from refused
    except BaseException:  # a method may fail in any way, and the others run
        return


def _check_meter(meter: Meter, bench: Workbench, seconds: float) -> None:
    """Raise InputError if a target cannot judge the network, and Faulty if it does not within so many seconds."""
    dense, spec = bench.dense(bench.search), repr(meter.target)

    def judge() -> None:
        meter.gauge.memory(dense)
        if meter.timed and not meter.measured:
            meter.gauge.latencies([dense])

    try:
        within(seconds, judge)
    except TimeUp:
        raise Faulty(f"target {spec} must judge a network within {seconds:g} s, but goes on", "target", spec) from None


def check_budget(loaded: LoadedProblem, meter: Meter | None) -> None:
    """Raise InputError if a budget does not pay for two evaluations."""
    price, budget = Prices.of(loaded, meter).evaluation, loaded.problem.budget
    least = 2 * price
    if budget < least:
        raise InputError(
            f"budget >= {least:g} must hold for {loaded.problem.name!r} (two evaluations of {price:g} passes), "
            f"but got {budget:g}"
        )

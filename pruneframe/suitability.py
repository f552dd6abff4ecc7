"""Whether a method can run on a problem, found out before anything is spent."""

from __future__ import annotations

from typing import cast

from .device import Device, Target
from .errors import InputError
from .journal import Journal, Shelf
from .ledger import BudgetSpent, Ledger
from .method import Method
from .objective import Objective
from .problem import LoadedProblem, Problem
from .registry import Registry
from .task import Task
from .workbench import Workbench


def target_of(registry: Registry, problem: Problem) -> Target | None:
    """What a problem's physical objectives measure on; None where it has none of them."""
    objectives = [cast(Objective, registry.component("objective", name)) for name in problem.objectives]
    physical = [objective for objective in objectives if objective.physical]
    if not physical:
        return None
    if problem.units != "filter":
        raise InputError(f"units=filter must hold for the objective {physical[0].name!r}, but got {problem.units}")
    device = cast(Device, registry.component("device", problem.target))
    return Target(device, any(objective.timed for objective in physical))


def check(registry: Registry, loaded: LoadedProblem, method: Method) -> None:
    """Raise Declined or InputError if the method cannot run on the problem; asks it with nothing left to spend.

    The first question that it wants to pay for must leave room for an evaluation.
    """
    ledger = Ledger(loaded.problem.budget)
    ledger.spent = ledger.total
    target = target_of(registry, loaded.problem)
    bench = Workbench(loaded, "cpu", Shelf(None), target)
    if target is not None:
        _check_target(target, bench)
    task = Task(bench, Journal(None, {}), ledger, 0, registry.component)
    try:
        method.search(task)
    except BudgetSpent as refused:
        budget, price = loaded.problem.budget, task.price
        if refused.units > price and refused.units + price > budget:
            raise InputError(
                f"budget >= {refused.units + price:g} must hold for {method!r} on {loaded.problem.name!r}, "
                f"which spends {refused.units:g} before its first evaluation, but got {budget:g}"
            ) from refused


def _check_target(target: Target, bench: Workbench) -> None:
    """Raise InputError if a device cannot judge the network."""
    dense = bench.dense(bench.search)
    target.device.memory(dense)
    if target.timed and not target.measured:
        target.device.latencies([dense])


def check_budget(loaded: LoadedProblem, target: Target | None) -> None:
    """Raise InputError if a budget does not pay for two evaluations."""
    price = Workbench(loaded, "cpu", Shelf(None), target).price
    least, budget = 2 * price, loaded.problem.budget
    if budget < least:
        raise InputError(
            f"budget >= {least:g} must hold for {loaded.problem.name!r} (two evaluations of {price:g} units), "
            f"but got {budget:g}"
        )

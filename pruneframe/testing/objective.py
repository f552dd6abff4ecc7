"""The contract of objectives: values of candidates of the tiny network."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..errors import InputError, Overstepped
from ..mask import Masks
from ..objective import Objective
from ..registry import Registry
from ..search.shelf import Shelf
from ..search.workbench import DENSE, Workbench
from ..target import Meter, Target
from .rule import Case, Contract, refused
from .settings import with_settings
from .tiny import loaded, units_there

TARGET = "analytic"  # whose answers are computed, and no matter of luck


class ObjectiveCase(Case):
    """An objective of the tiny network with some units, and with all `others`; a physical one has a target."""

    component: Objective

    def __init__(self, objective: Objective, units: str, others: list[str], registry: Registry) -> None:
        super().__init__(objective)
        self.units, self.others, self.registry = units, others, registry

    def bench(self, units: str) -> Workbench:
        """Where candidates with such units are measured; raises InputError where what is physical cannot be."""
        problem = loaded(units, self.registry)
        if self.component.physical and not problem.network.units.removable:
            raise InputError(f"what is physical needs units that can be taken out, but got {units}")
        target = self.registry.component(Target, TARGET)
        meter = Meter(target, self.component.timed) if self.component.physical else None
        return Workbench(problem, "cpu", Shelf(None), meter)

    def values(self, bench: Workbench) -> list[float]:
        """Of the dense network and two that are pruned."""
        layout = bench.network.layout
        masks = Masks.pack(np.arange(layout.total) % np.array([[layout.total + 1], [2], [3]]) != 1, layout)
        masks = Masks.join([layout.full(), masks[1:]])
        with self.watched():
            found = [row[0] for row in bench.measure(masks, [DENSE] * 3, [self.component], bench.search)]
        bench.settle()
        return found

    @cached_property
    def place(self) -> Workbench:
        """Where candidates with its first units are measured."""
        return self.bench(self.units)

    @cached_property
    def first(self) -> list[float]:
        """Values with its first units."""
        return self.values(self.place)


CONTRACT: Contract[ObjectiveCase] = with_settings(Contract[ObjectiveCase]())


@CONTRACT.rule("values", "return one finite number; say predicts or physical for what it looks at", needed=True)
def measures(case: ObjectiveCase) -> str:
    """Values are finite numbers, of what it says that it looks at, and the network stays as it is."""
    assert np.all(np.isfinite(case.first)), "values must be finite"
    return f"{case.first[0]:.4g} for the dense network, {case.first[1]:.4g} with every second unit"


@CONTRACT.rule("reference", "return what counts as 1, greater than 0, such as the dense network's own value")
def has_a_reference(case: ObjectiveCase) -> str:
    """What counts as 1 is greater than 0."""
    bench = case.place
    with case.watched():
        reference = bench.judge.reference(case.component, bench.dense(bench.search))
    assert reference > 0, "the reference must be positive"
    return f"{reference:.4g}"


@CONTRACT.rule("repeatable", "compute it from the candidate alone")
def is_repeatable(case: ObjectiveCase) -> None:
    """The same candidate always has the same value, unless it is timed."""
    again = case.values(case.bench(case.units))
    assert case.component.timed or case.first == again, "the same candidate, the same value"


@CONTRACT.rule("quantity", 'set quantity to what it counts, as axes say it: "bytes"')
def says_what_it_counts(case: ObjectiveCase) -> str:
    """It says what it counts."""
    assert case.component.quantity, "quantity must say what the values count"
    return case.component.quantity


@CONTRACT.rule("units", "say physical where it needs the shrunk network")
def takes_all_units(case: ObjectiveCase) -> str | None:
    """It measures every kind of units, or says why it cannot."""
    declined = []
    for units in case.others:
        try:
            case.values(case.bench(units))
        except Overstepped:
            raise
        except InputError:
            declined.append(units)
    return f"not {', '.join(declined)}" if declined else None


def check_objective(
    objective: Objective, units: str | None = None, registry: Registry | None = None, *, declines: str = ""
) -> None:
    """Raise AssertionError where an objective breaks a rule on one kind of units; on all where none is given.

    `declines`: it must refuse these units, and say so in words that hold this.
    """
    case = case_of(objective, units, registry)
    if declines:
        refused(lambda: case.first, declines)
    else:
        CONTRACT.hold(case)


def case_of(objective: Objective, units: str | None, registry: Registry | None) -> ObjectiveCase:
    """An objective with one kind of units, or with all: those that it can measure come first."""
    registry = registry or Registry()
    there = [units] if units is not None else units_there(registry)
    for one in there:
        case = ObjectiveCase(objective, one, [other for other in there if other != one], registry)
        try:
            case.bench(one)
        except InputError:
            continue
        break
    return case

"""The contract of units: their layout of the tiny network, and what masks remove of it."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..errors import InputError, PruneframeError
from ..mask import Layout, Masks
from ..model.network import Network
from ..model.shrink import proved
from ..problem import LoadedProblem, Problem
from ..registry import Registry
from ..search.shelf import Shelf
from ..search.workbench import DENSE, Workbench
from ..units import Units
from .rule import Case, Contract, refused
from .settings import with_settings
from .tiny import tiny_attention, tiny_problem


class UnitsCase(Case):
    """Units of the network of a problem."""

    component: Units

    def __init__(self, units: Units, problem: Problem, registry: Registry) -> None:
        super().__init__(units)
        self.problem = problem.load(registry.component)

    @cached_property
    def network(self) -> Network:
        """The network as its units say, nothing left out."""
        whole = self.problem.network
        with self.watched():
            return Network(whole.module, whole.inputs, self.component)

    @property
    def layout(self) -> Layout:
        """That of the network."""
        return self.network.layout

    @cached_property
    def masks(self) -> Masks:
        """Three, drawn."""
        return Masks.pack(np.random.default_rng(0).random((3, self.layout.total)) < 0.6, self.layout)

    @cached_property
    def bench(self) -> Workbench:
        """Where they are removed."""
        return Workbench(LoadedProblem(self.problem.problem, self.network, self.problem.data), "cpu", Shelf(None))


CONTRACT: Contract[UnitsCase] = with_settings(Contract[UnitsCase]())


@CONTRACT.rule(
    "layout", "build it from network.module and network.layers, and give pf.Layout(repr(self), groups)", True
)
def lays_out(case: UnitsCase) -> str:
    """The same network always has the same layout, of parameters that it has."""
    with case.watched():
        again = case.component.layout(case.network)
    assert case.layout == again, "the same network, the same layout"
    return f"{case.layout.total} units in {len(case.layout.groups)} groups"


@CONTRACT.rule("parameters", "let the slices of a group name every parameter that its units have a part in")
def counts_parameters(case: UnitsCase) -> None:
    """A mask leaves parameters, no more than there are; the full one leaves all."""
    kept, total = case.network.params(case.masks), case.network.total_params
    assert np.all((kept > 0) & (kept <= total)), "a mask must leave parameters, and no more than there are"
    assert case.network.params(case.layout.full())[0] == total, "the full mask must keep all parameters"


@CONTRACT.rule("zero", "let the slices of a group name what goes with a unit")
def removes(case: UnitsCase) -> None:
    """What a mask removes is zero."""
    for row in range(len(case.masks)):
        state = case.bench.masked(case.masks[[row]], DENSE)
        for name, keep in case.network.keep(case.masks, row).items():
            assert not state[name][~keep].any(), f"what a mask removes of {name} must be zero"


@CONTRACT.rule("taken out", "name writer, bias, norm and every reader of a unit; or do not say that it is removable")
def shrinks(case: UnitsCase) -> str | None:
    """What is removable can be taken out: the smaller network predicts what the masked one does."""
    if not case.component.removable:
        return "it does not say that it is removable"
    kept = case.network.params(case.masks)
    for row in range(len(case.masks)):
        mask = case.masks[[row]]
        try:
            shrunk = proved(case.network, mask, case.bench.masked(mask, DENSE), case.bench.search.tensor[:8])
        except PruneframeError as error:
            raise AssertionError(f"units that are removable must be taken out exactly: {error}") from error
        left = sum(parameter.numel() for parameter in shrunk.parameters())
        assert left == kept[row], "a removable unit must be taken out of every parameter that it has a part in"
    return None


@CONTRACT.rule("network", "leave network.module as it is")
def leaves_the_network(case: UnitsCase) -> None:
    """The unpruned network stays as it is."""
    case.bench.settle()


def check_units(
    units: Units, problem: Problem | None = None, registry: Registry | None = None, *, declines: str = ""
) -> None:
    """Raise AssertionError where units break a rule on a problem's network, or on a tiny one where none is given.

    `declines`: the network must have none of them, and the error must hold these words.
    """
    registry = registry or Registry()
    case = UnitsCase(units, problem, registry) if problem is not None else case_of(units, registry)
    if declines:
        refused(lambda: case.network, declines)
    else:
        CONTRACT.hold(case)


def case_of(units: Units, registry: Registry) -> UnitsCase:
    """Units of the tiny network, or where it has none of that with attention."""
    for problem in (tiny_problem(), tiny_attention()):
        case = UnitsCase(units, problem, registry)
        try:
            case.network  # noqa: B018 # whether it has some
        except InputError:
            continue
        except Exception:
            break
        break
    return case

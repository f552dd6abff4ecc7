"""The contract of scorers: scores of the tiny network's units."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..encoding import Scores
from ..errors import InputError, Overstepped
from ..registry import Registry
from ..scorer import Scorer
from ..search.loans import check
from ..search.shelf import Shelf
from ..search.workbench import Workbench
from .rule import Case, Contract, refused
from .settings import with_settings
from .tiny import loaded, units_there


class ScorerCase(Case):
    """A scorer on the tiny network with some units, and on that network with all `others`."""

    component: Scorer

    def __init__(self, scorer: Scorer, units: str, others: list[str], registry: Registry) -> None:
        super().__init__(scorer)
        self.units, self.others, self.registry = units, others, registry

    def scores(self, units: str, seed: int) -> Scores:
        """Scores float32[units]; raises InputError where they are not defined."""
        bench = Workbench(loaded(units, self.registry), "cpu", Shelf(None))
        with self.watched():
            check(self.component, bench.network)
            return bench.score(self.component, np.random.default_rng(seed))

    @cached_property
    def first(self) -> Scores:
        """Those of seed 1."""
        return self.scores(self.units, 1)


CONTRACT: Contract[ScorerCase] = with_settings(Contract[ScorerCase]())


@CONTRACT.rule("scores", "return one finite number a unit, float32[network.layout.total]", needed=True)
def scores_every_unit(case: ScorerCase) -> str:
    """It gives every unit a finite score, leaves the network as it is, and runs no more images than it declares."""
    return f"{len(case.first)} units, {len(np.unique(case.first))} different scores"


@CONTRACT.rule("same seed", "draw from rng alone")
def is_a_function_of_the_seed(case: ScorerCase) -> None:
    """The same rng gives the same scores."""
    assert np.array_equal(case.first, case.scores(case.units, 1)), "the same rng, the same scores"


@CONTRACT.rule("draws", "set draws = True")
def says_that_it_draws(case: ScorerCase) -> None:
    """Another rng gives the same scores, unless it says that it draws."""
    same = case.component.draws or np.array_equal(case.first, case.scores(case.units, 2))
    assert same, "a scorer that draws must say so"


@CONTRACT.rule("units", "raise InputError in check(network) where the score is not defined")
def takes_all_units(case: ScorerCase) -> str:
    """It scores every kind of units, or says beforehand that it is not defined for them."""
    declined = []
    for units in case.others:
        try:
            case.scores(units, 1)
        except Overstepped:
            raise
        except InputError:
            declined.append(units)
    taken = [case.units, *(one for one in case.others if one not in declined)]
    return f"of {', '.join(taken)}" + (f", not of {', '.join(declined)}" if declined else "")


def check_scorer(
    scorer: Scorer, units: str | None = None, registry: Registry | None = None, *, declines: str = ""
) -> None:
    """Raise AssertionError where a scorer breaks a rule on one kind of units; on all where none is given.

    `declines`: it must not be defined for these units, and say so in words that hold this.
    """
    case = case_of(scorer, units, registry)
    if declines:
        refused(lambda: case.first, declines)
    else:
        CONTRACT.hold(case)


def case_of(scorer: Scorer, units: str | None, registry: Registry | None) -> ScorerCase:
    """A scorer with one kind of units, or with all: those that it is defined for come first."""
    registry = registry or Registry()
    there = [units] if units is not None else units_there(registry)
    for one in there:
        case = ScorerCase(scorer, one, [other for other in there if other != one], registry)
        try:
            case.first  # noqa: B018 # whether it is defined
        except InputError:
            continue
        except Exception:
            break
        break
    return case

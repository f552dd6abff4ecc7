"""The contract of problems: that they load, the same each time, and that a search finds its way in them."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..mask import Masks
from ..objective import Objective
from ..problem import LoadedProblem, Problem
from ..registry import Registry
from ..search.shelf import Shelf
from ..search.workbench import DENSE, Workbench
from .rule import Case, Contract, refused


class ProblemCase(Case):
    """A problem, loaded; what is missing is fetched or trained, as `bench` does."""

    component: Problem

    def __init__(self, problem: Problem, registry: Registry) -> None:
        super().__init__(problem)
        self.registry = registry

    def load(self) -> LoadedProblem:
        """It in memory."""
        return self.component.load(self.registry.component)

    @cached_property
    def first(self) -> LoadedProblem:
        """The first time."""
        return self.load()

    @cached_property
    def bench(self) -> Workbench:
        """Where its candidates are measured."""
        return Workbench(self.first, "cpu", Shelf(None), self.component.meter(self.registry.component))


CONTRACT: Contract[ProblemCase] = Contract[ProblemCase]()


@CONTRACT.rule("loads", "give a network that runs on its images, and labels from 0", needed=True)
def loads(case: ProblemCase) -> str:
    """It loads, and its network has units of the kind that it says."""
    network = case.first.network
    return f"{network.total_params} parameters, {network.layout.total} {case.component.units} units"


@CONTRACT.rule("repeatable", "seed whatever is drawn, split or trained in it; pf.Splits hands an instance to draw by")
def is_the_same(case: ProblemCase) -> None:
    """Loaded again it has the same weights and images."""
    first = case.first  # libraries that are imported for it may move random states
    with case.watched():
        again = case.load()
    case.moved = [
        name for name in case.moved if name != "torch"
    ]  # from which layers draw that are made, and then filled
    assert first.fingerprint == again.fingerprint, "loaded again, its weights and images must be the same"


@CONTRACT.rule("splits", "cut the images in three, and let no image be in two of them")
def splits_are_apart(case: ProblemCase) -> str:
    """No image of the search or test split is in another split."""
    seen: dict[bytes, str] = {}
    doubled = 0
    for name, split in case.first.splits.items():
        own = {np.ascontiguousarray(split.images[row]).tobytes() for row in range(len(split))}
        doubled += sum(seen.get(image, name) != name for image in own)
        seen |= dict.fromkeys(own, name)
    share = doubled / len(seen)
    assert share < MOST_DOUBLED, f"splits must be apart, but {doubled} images are in two of them"
    sizes = ", ".join(f"{name} {len(split)}" for name, split in case.first.splits.items())
    return sizes + (f"; {doubled} images are in two of them" if doubled else "")


@CONTRACT.rule("trained", "train the network on its train split first")
def is_trained(case: ProblemCase) -> str:
    """The unpruned network errs less than the most frequent class would."""
    found = case.bench.dense(case.bench.search)
    guess = 1 - np.bincount(found.labels).max() / len(found.labels)
    assert found.error < guess, (
        f"the unpruned network must err less than {guess:.1%}, a guess, but errs {found.error:.1%}"
    )
    return f"it errs {found.error:.2%} on the search split, a guess {guess:.2%}"


@CONTRACT.rule("objectives", "name objectives that can be measured of its units", needed=True)
def is_measured(case: ProblemCase) -> str:
    """All its objectives can be measured, of the unpruned network and of one with half of its units."""
    objectives = [case.registry.component(Objective, spec) for spec in case.component.objectives]
    layout = case.first.network.layout
    masks = Masks.join([layout.full(), Masks.pack(np.arange(layout.total)[None] % 2 == 0, layout)])
    rows = list(case.bench.measure(masks, [DENSE] * 2, objectives, case.bench.search))
    case.bench.settle()
    return ", ".join(f"{one.name} {value:.4g}" for one, value in zip(objectives, rows[0], strict=True))


@CONTRACT.rule("instances", "let data and training depend on the instance that they are handed")
def instances_differ(case: ProblemCase) -> str:
    """Its instances differ in what it says that varies."""
    if "split" not in case.component.varies:
        return case.component.instances
    other = case.component.with_settings(instance=1).images()
    assert other.search.digest != case.first.data.search.digest, "instances must differ, but their search splits do not"
    return case.component.instances


MOST_DOUBLED = 0.01  # share of the images that may be in two splits: data sets have some that are equal


def check_problem(problem: Problem, registry: Registry | None = None, *, declines: str = "") -> None:
    """Raise AssertionError where a problem breaks a rule; what it lacks is fetched or trained first, as `bench` does.

    `declines`: it must refuse to load, and say so in words that hold this.
    """
    case = ProblemCase(problem, registry or Registry())
    if declines:
        refused(lambda: case.first, declines)
    else:
        CONTRACT.hold(case)

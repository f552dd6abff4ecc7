"""The contract of targets: latency and memory of the tiny network and one with half of its filters."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..mask import Masks
from ..objective import Candidate
from ..registry import Registry
from ..search.shelf import Shelf
from ..search.workbench import DENSE, Workbench
from ..target import Meter, Target
from .rule import Case, Contract, refused
from .settings import with_settings
from .tiny import loaded


class TargetCase(Case):
    """A target, and what it says of two networks: the dense one, and one with every second filter."""

    component: Target

    def __init__(self, target: Target, registry: Registry) -> None:
        super().__init__(target)
        self.bench = Workbench(loaded("filter", registry), "cpu", Shelf(None), Meter(target, timed=True))

    @cached_property
    def networks(self) -> list[Candidate]:
        """Both."""
        layout = self.bench.network.layout
        masks = Masks.pack(np.arange(layout.total) % np.array([[1], [2]]) == 0, layout)
        return list(self.bench.candidates(masks, [DENSE] * 2, self.bench.search))

    def latencies(self) -> NDArray[np.float64]:
        """Of both, once more each time."""
        with self.watched():
            return self.component.latencies(self.networks)

    @cached_property
    def seconds(self) -> NDArray[np.float64]:
        """Of both, the first time."""
        return self.latencies()


CONTRACT: Contract[TargetCase] = with_settings(Contract[TargetCase]())


@CONTRACT.rule(
    "latency", "return seconds, float64[networks, repeats]; one column where they are estimated", needed=True
)
def tells_latencies(case: TargetCase) -> str:
    """Each network has a row of latencies, above 0 and finite."""
    assert case.seconds.ndim == 2, "latencies must be seconds[networks, repeats]"
    assert len(case.seconds) == 2, "latencies must have a row for each network"
    assert np.all(case.seconds > 0), "a forward pass takes some time"
    assert np.all(np.isfinite(case.seconds)), "a forward pass takes a finite time"
    return (
        f"{np.median(case.seconds[0]):.3g} s for the dense network, {np.median(case.seconds[1]):.3g} s for half of it"
    )


@CONTRACT.rule("repeatable", "set measured = True where values vary; else compute them from masks and widths alone")
def is_repeatable(case: TargetCase) -> None:
    """What is not measured is the same each time, and for each network whatever is beside it."""
    if case.component.measured:
        return
    assert np.array_equal(case.seconds, case.latencies()), "what is not measured must be repeatable"
    with case.watched():
        alone = case.component.latencies(case.networks[1:])
    assert np.array_equal(case.seconds[1:], alone), (
        "what is not measured must be repeatable, also for one network alone"
    )


@CONTRACT.rule("memory", "return the bytes at the peak: weights, and activations that live at the same time")
def tells_memory(case: TargetCase) -> str:
    """Memory is above 0, and what is pruned needs no more than the dense network."""
    with case.watched():
        dense, pruned = map(case.component.memory, case.networks)
    assert 0 < pruned <= dense, "a pruned network needs no more memory than the dense one"
    return f"{dense:.0f} bytes for the dense network, {pruned:.0f} for half of it"


@CONTRACT.rule("charge", "let forwards be the passes of one image that a candidate's latency takes, warm-up included")
def says_what_it_takes(case: TargetCase) -> str:
    """It says how many passes a latency takes: some where it is measured, none where it is estimated."""
    forwards = case.component.forwards
    assert (forwards > 0) == case.component.measured, (
        f"forwards must be above 0 where it is measured, but is {forwards}"
    )
    return f"{forwards} passes of one image"


@CONTRACT.rule("network", "work on copies; candidate.shrunk is the candidate's own")
def leaves_the_network(case: TargetCase) -> None:
    """The unpruned network stays as it is."""
    case.bench.settle()


def check_target(target: Target, registry: Registry | None = None, *, declines: str = "") -> None:
    """Raise AssertionError where a target breaks a rule.

    `declines`: it must refuse the tiny network, and say so in words that hold this.
    """
    case = TargetCase(target, registry or Registry())
    if declines:
        refused(lambda: case.seconds, declines)
    else:
        CONTRACT.hold(case)

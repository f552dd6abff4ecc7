"""Widths of layers as a knapsack: the most importance for a latency.

Shen, Yin, Molchanov, Mao, Liu and Alvarez, "Structural Pruning via Latency-Saliency Knapsack", NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import pruneframe as pf
from pruneframe.kit import best

from .encodings import keep_best, least
from .presets import Presets
from .widths import Widths, need_removable

RESOLUTION = 1000  # parts of the latency to be saved that the knapsack tells apart
TABLES = 0.5  # of a budget at most goes to tables, where the target measures
PRESETS = Presets({"best": {"scorer": "reconstruction"}, "paper": {"scorer": "taylor"}})
STEPS = 20  # tables for one latency: layers save less together than the sum of what each saves


def knapsack(lost: NDArray[np.float64], saved: NDArray[np.int64], need: int) -> NDArray[np.intp]:
    """One choice a layer, so that they save at least `need` together and lose least, int[layers].

    What each choice loses and saves is [choices, layers], >= 0. Where no choices save enough, those that save most.
    """
    cheapest = np.where(np.arange(need + 1) == 0, 0.0, np.inf)  # to save at least so much with the layers so far
    chosen = []
    for own, saves in zip(lost.T, saved.T, strict=True):
        left = np.maximum(0, np.arange(need + 1) - saves[:, None])  # for the layers before, [choices, need + 1]
        totals = cheapest[left] + own[:, None]
        chosen.append(totals.argmin(axis=0))
        cheapest = totals.min(axis=0)
    if np.isinf(cheapest[need]):
        found: NDArray[np.intp] = saved.argmax(axis=0)
        return found
    picks: list[int] = []
    for choice, saves in zip(reversed(chosen), saved.T[::-1], strict=True):
        picks.append(int(choice[need]))
        need = max(0, need - int(saves[picks[-1]]))
    return np.array(picks[::-1])


@dataclass(frozen=True, repr=False)
class Halp(pf.Method):
    """Falling latencies; for each, the widths that keep most importance among those that a table says are as fast."""

    name = "halp"
    provenance = (
        "Published (Shen et al., NeurIPS 2022): units in the order of a Taylor score, the sum of what is kept as the "
        "value, latency from a table of each layer's widths as the weight, a knapsack that takes a layer's units in "
        "their order, and pruning in steps, with the table read at the current widths (preset=paper). Ours: falling "
        "latencies in one run, one choice of width a layer, no training between, and the score reconstruction."
    )
    bibtex = """
    @inproceedings{shen2022structural,
      author = {Shen, Maying and Yin, Hongxu and Molchanov, Pavlo and Mao, Lei and Liu, Jianna and Alvarez, Jose M.},
      title = {Structural Pruning via Latency-Saliency Knapsack},
      booktitle = {Advances in Neural Information Processing Systems},
      year = {2022}
    }
    """
    preset: Literal["best", "paper"] = pf.setting("best", "where settings that are not given come from", tried=())
    scorer: str = PRESETS.setting("scorer", "importance of units, which is summed up over layers", kind="scorer")
    latencies: int = pf.setting(200, "networks; fewer where the budget pays for few", least=1, tried=(20, 200))
    lowest: float = pf.setting(0.01, "what the last keeps of the latency that pruning can save", above=0, below=1)
    choices: int = pf.setting(8, "widths of a layer in a table, from the current one to half of it", least=2)
    knapsack: bool = pf.setting(True, "off: the least important units go, wherever they are, until the network is fast")

    @property
    def deterministic(self) -> bool:
        return True

    def search(self, task: pf.Task) -> None:
        need_removable(task)
        if "latency" not in task.objectives:
            task.decline("it buys importance with latency; add that, as by --objectives error,params,latency")
        price = task.prices.timing * self.choices * len(task.layout.sizes)
        count = int(min(self.latencies, task.affordable + 1, TABLES * task.budget.total / max(price, 1e-9)))
        if not count:
            task.decline(f"a table takes {price:.0f} passes, more than half of the budget; use --target analytic")
        table = Table(task, task.scores(PRESETS.suited(self, self.preset, task).scorer), self.choices)
        task.evaluate(table.masks(table.widest[None]))
        slowest, fastest = table.latencies(np.array([table.widest, table.fewest]))
        widths = table.widest
        for share in np.geomspace(1, self.lowest, count + 1)[1:]:
            latency = fastest + share * (slowest - fastest)
            widths = table.bought(widths, latency) if self.knapsack else table.cut(latency)
            task.evaluate(table.masks(widths[None]))


class Table:
    """What the widths of layers are worth, and how long they take."""

    def __init__(self, task: pf.Task, scores: pf.Scores, choices: int) -> None:
        self._task, self._scores, self._choices = task, scores, choices
        self.widest, self.fewest = np.array(task.layout.sizes), least(task.layout)
        ordered = [np.sort(part.astype(np.float64))[::-1] for part in task.layout.split(scores)]
        self._worth = [np.append(0, np.cumsum(part)) for part in ordered]

    def masks(self, widths: Widths) -> pf.Masks:
        """One mask for each row of widths, the most important units of each layer."""
        return keep_best(widths, self._task.layout, self._scores)

    def latencies(self, widths: Widths) -> NDArray[np.float64]:
        """One for each row of widths, as shares of the unpruned network's."""
        return self._task.probe("latency", self.masks(widths), count=1)

    def bought(self, widths: Widths, latency: float) -> Widths:
        """The widths, none above these, that keep most importance at a latency; the narrowest where none is as fast."""
        for _ in range(STEPS):
            excess = self.latencies(widths[None])[0] - latency
            if excess <= 0 or np.array_equal(widths, self.fewest):
                break
            choices = np.rint(np.linspace(np.maximum(self.fewest, widths // 2), widths, self._choices)).astype(np.int64)
            alone = np.tile(widths, (*choices.shape, 1))  # [choices, layers, layers]
            for layer, column in enumerate(choices.T):
                alone[:, layer, layer] = column
            taken = self.latencies(alone.reshape(-1, len(widths))).reshape(choices.shape)
            saved = np.maximum(0, (excess + latency - taken) / excess * RESOLUTION).astype(np.int64)
            lost = np.array([worth[-1] - worth[column] for worth, column in zip(self._worth, choices.T, strict=True)]).T
            widths = np.take_along_axis(choices, knapsack(lost, saved, RESOLUTION)[None], axis=0)[0]
        return widths

    def cut(self, latency: float) -> Widths:
        """The widths that one threshold for all layers leaves at a latency."""
        slow, fast = self._task.layout.total, 0
        while slow - fast > 1:
            middle = (slow + fast) // 2
            slow, fast = (slow, middle) if self.latencies(self._kept(middle))[0] <= latency else (middle, fast)
        return self._kept(fast)[0]

    def _kept(self, count: int) -> Widths:
        """Units of each layer among so many of the most important ones, int64[1, layers]."""
        return np.maximum(self.fewest, best(self._scores, self._task.layout, [count]).layer_counts())


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [Halp]

"""Evolution of one level per layer at a fixed total, judged by what happens to the outputs.

Sieberling, Kuznedelev, Kurtic and Alistarh, "EvoPress: Accurate Dynamic Model Compression via Evolutionary Search",
ICML 2025, arXiv 2410.14649.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

import pruneframe as pf

from .levels import Counts, Levels, spread, switched
from .presets import Presets

PER_TOTAL = 20  # evaluations, about, that the budget pays for each total
FEWEST, MOST = 4, 20  # totals
LEAST = 1e-3  # harm between two totals, so that there is a gap between equals
PAPER = {"scorer": "magnitude", "offspring": 64, "warm": False}
BEST = {"scorer": "reconstruction", "offspring": 16, "warm": True}
PRESETS = Presets({"best": BEST, "paper": PAPER})


def largest_gap(harms: Mapping[int, float]) -> int | None:
    """The total in the middle of the largest gap between totals, by how far they and their harms lie apart."""
    gaps = [
        ((after - before) * (max(0.0, harms[after] - harms[before]) + LEAST), (before + after) // 2)
        for before, after in pairwise(sorted(harms))
        if after - before > 1
    ]
    return max(gaps)[1] if gaps else None


@dataclass(frozen=True, repr=False)
class EvoPress(pf.Method):
    """At each of several totals: one parent, offspring that trade a level between two layers, and races among them."""

    name = "evopress"
    provenance = (
        "Published (Sieberling et al., arXiv 2410.14649): a level per layer, one parent, fitness as the "
        "Kullback-Leibler divergence from the dense outputs, a mutation that moves one layer a level up and another "
        "down, so that the total stays, and races on growing sets of images: 64 offspring, 8, 2 and 1 survivors, the "
        "parent among the last (preset=paper). Ours: levels of equal numbers of parameters, cut along one score where "
        "the paper compensates each layer's weights; several totals in one run, each where the largest gap between "
        "sizes and divergences is; how the images grow and how often a mutation moves levels; and in preset=best 16 "
        "offspring, the score reconstruction, and a start from the next larger network."
    )
    bibtex = """
    @inproceedings{sieberling2025evopress,
      author = {Sieberling, Oliver and Kuznedelev, Denis and Kurtic, Eldar and Alistarh, Dan},
      title = {{EvoPress}: Accurate Dynamic Model Compression via Evolutionary Search},
      booktitle = {International Conference on Machine Learning},
      year = {2025}
    }
    """
    preset: Literal["best", "paper"] = pf.setting("best", "where settings that are not given come from", tried=())
    scorer: str = PRESETS.setting("scorer", "importance that decides which units of a layer stay", kind="scorer")
    offspring: int = PRESETS.setting("offspring", "children of a generation", least=2, tried=(8, 64))
    warm: bool = PRESETS.setting(
        "warm", "a total starts from the next larger network, cut evenly; off: from even cuts of all layers"
    )
    racing: bool = pf.setting(True, "children race on growing sets of images; off: all see all images")
    switches: int = pf.setting(3, "levels that a child moves, at most; the less of two draws from 1 on", least=1)
    steps: int = pf.setting(400, "levels of all layers together, at most", least=2, tried=(50, 1000))
    totals: int | None = pf.setting(
        None, f"sizes that share the budget; none: its evaluations / {PER_TOTAL}, from {FEWEST} to {MOST}", least=1
    )

    def search(self, task: pf.Task) -> None:
        PRESETS.suited(self, self.preset, task)._search(task)

    def _search(self, task: pf.Task) -> None:
        """The search, with a value for every setting."""
        levels = Levels(task, task.scores(self.scorer), self.steps)
        task.evaluate(task.layout.full())
        count = self.totals or max(FEWEST, min(MOST, task.affordable // PER_TOTAL))
        parents = {0: np.zeros_like(levels.highest)}  # by their totals
        harms = {0: 0.0} | {total: 1.0 for total in (int(levels.highest.sum()),) if total}
        while (total := largest_gap(harms)) is not None:
            before = max(known for known in parents if known < total) if self.warm else 0
            parent = parents[before] + spread(total - before, levels.highest - parents[before])
            with task.share(1 / count):
                task.evaluate(levels.masks(parent[None]))
                for child in self._generations(task, levels, parent):
                    parent = child
            divergence = task.probe("distortion", levels.masks(parent[None]), count=task.search_images)[0]
            parents[total], harms[total] = parent, min(1.0, divergence / np.log(task.network.outputs))

    def _generations(self, task: pf.Task, levels: Levels, parent: Counts) -> Iterator[Counts]:
        """The parent after each generation, until one asks nothing new."""
        spent = -1.0
        while spent < (spent := task.budget.spent):
            draws = task.rng.integers(1, self.switches + 1, (self.offspring, 2)).min(axis=1)
            runners = np.array([switched(parent, levels.highest, int(draw), task.rng) for draw in draws])
            for one_in, left in self._rounds:
                if left == 1:  # the parent runs in the last round, and stays where no child is better
                    runners = np.vstack([parent, runners])
                count = max(1, task.search_images // one_in)
                divergence = task.probe("distortion", levels.masks(runners), count=count)
                runners = runners[np.argsort(divergence, kind="stable")[:left]]
            parent = runners[0]
            yield parent
            task.evaluate(levels.masks(runners))

    @property
    def _rounds(self) -> list[tuple[int, int]]:
        """Of each round of a race: one image in how many it looks at, and how many runners it leaves."""
        last = (1, 1)
        return [(32, max(4, self.offspring // 8)), (4, max(2, self.offspring // 32)), last] if self.racing else [last]


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [EvoPress]

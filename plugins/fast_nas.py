"""Widths of layers by what each alone costs in accuracy, and evolution under one limit after the other.

NVIDIA Model Optimizer, https://github.com/NVIDIA/Model-Optimizer, its modes `fastnas` and `autonas`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import pruneframe as pf
from pruneframe.kit import IDLE, recorded

from .encodings import least
from .netadapt import HARM
from .presets import Presets
from .widths import Pool, Widths, children_of, narrowest, need_removable

LEAST = 1e-9  # share of a budget
FELT = 1e-5  # loss of accuracy below which wider layers need no evaluation
PARTS = {"both": 4, "sensitivity": 2, "evolution": 1}  # of the budget, one of which measures widths by default
GENERATIONS = 5  # that a limit's share of the budget pays for, at least
PRESETS = Presets(
    {"best": {"searcher": "both", "scorer": "reconstruction"}, "paper": {"searcher": "sensitivity", "scorer": "l2"}}
)


@dataclass(frozen=True, repr=False)
class FastNAS(pf.Method):
    """A table of what narrowing each layer alone loses, thresholds on it, then evolution below falling limits."""

    name = "fast-nas"
    provenance = (
        "Read in code (NVIDIA Model Optimizer): `fastnas` sorts the units of each layer, measures what every width of "
        "one layer alone loses, and gives all layers the narrowest width that loses at most a threshold. From its "
        "documentation: `autonas` evolves widths under one constraint, 100 a generation from the 25 best, half by "
        "mutation with chance 0.1 and half by crossover. Ours: all thresholds of the table, where `fastnas` halves an "
        "interval until one constraint holds; a sweep of limits; a mutant always differs; what is too wide is narrowed "
        "in proportion, not drawn again; and one after the other in one search, on the score reconstruction. "
        "preset=paper is `fastnas` alone, by L2 norms."
    )
    bibtex = """
    @misc{nvidia2024modelopt,
      author = {{NVIDIA}},
      title = {Model Optimizer},
      howpublished = {https://github.com/NVIDIA/Model-Optimizer},
      year = {2024}
    }
    """
    preset: Literal["best", "paper"] = pf.setting("best", "where settings that are not given come from", tried=())
    searcher: Literal["both", "sensitivity", "evolution"] = PRESETS.setting(
        "searcher", "thresholds on the table of losses, evolution under limits, or one after the other"
    )
    scorer: str = PRESETS.setting("scorer", "importance that decides which units of a layer stay", kind="scorer")
    resource: str | None = pf.setting(
        None, "objective that is limited; none: the first but error and distortion", kind="objective", tried=()
    )
    choices: int | None = pf.setting(
        None,
        "widths of a layer; none: for which a quarter of the budget pays, or half where it does no more, from 4 to 32",
        least=2,
        tried=(4, 32),
    )
    limits: int = pf.setting(8, "of the resource, in equal ratios, which share what is left", least=1)
    lowest: float = pf.setting(
        0.05, "share of the unpruned network's resource that the last limit is", above=0, below=1
    )
    population: int = pf.setting(100, "children of a generation, fewer where a limit pays for few", least=2)
    candidates: int = pf.setting(25, "best networks within a limit, which are the parents", least=1)
    mutation: float = pf.setting(0.1, "chance of a layer's width to be drawn anew", above=0, most=1)

    def search(self, task: pf.Task) -> None:
        need_removable(task)
        others = [name for name in task.objectives if name not in HARM]
        if "error" not in task.objectives or not others:
            task.decline("it weighs the objective 'error' against another, and the problem lacks one of them")
        PRESETS.suited(self, self.preset, task)._search(task, self.resource or others[0])

    def _search(self, task: pf.Task, resource: str) -> None:
        """The search, with a value for every setting."""
        sizes, fewest = np.array(task.layout.sizes), least(task.layout)
        count = self.choices or min(32, max(4, task.affordable // (PARTS[self.searcher] * len(sizes))))
        choices: Widths = np.rint(np.linspace(fewest, sizes, count)).astype(np.int64)
        pool = Pool(task, task.scores(self.scorer), resource)
        pool.add(sizes[None])
        if self.searcher != "evolution":
            with recorded(task, "sensitivity"):
                degradation = self._table(pool, choices)
                cuts = [narrowest(degradation, choices, threshold) for threshold in np.unique(degradation)]
                pool.add(np.unique(cuts, axis=0)[::-1])
        if self.searcher != "sensitivity":
            with recorded(task, "evolution"):
                for turn in range(self.limits):
                    with task.share(max(LEAST, task.budget.left / task.budget.total / (self.limits - turn))):
                        self._evolve(task, pool, self.lowest ** ((turn + 1) / self.limits), choices)

    def _table(self, pool: Pool, choices: Widths) -> NDArray[np.float64]:
        """The error that each width of one layer alone adds, float64[choices, layers], falling to 0.

        Where a narrow one adds none, wider ones are not measured.
        """
        table = np.zeros(choices.shape)
        for layer in range(choices.shape[1]):
            for row, width in enumerate(choices[:-1, layer]):
                alone = choices[-1].copy()
                alone[layer] = width
                table[row, layer] = pool.add(alone[None])[0] - pool.errors[0]
                if table[row, layer] < FELT:
                    break
        return np.maximum.accumulate(np.maximum(table, 0)[::-1], axis=0)[::-1]

    def _evolve(self, task: pf.Task, pool: Pool, limit: float, choices: Widths) -> None:
        """Generations within one limit, until its share is spent or nothing new is found."""
        size = max(2, min(self.population, task.affordable // GENERATIONS))
        idle = 0
        while idle < IDLE:
            spent, parents = task.budget.spent, pool.best(limit, self.candidates)
            children = children_of(parents, size, choices, self.mutation, task.rng)
            pool.add(pool.narrowed(children, limit, choices[0]))
            idle = idle + 1 if task.budget.spent == spent else 0


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [FastNAS]

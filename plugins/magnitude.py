"""One-shot pruning by an importance score: the line that every search must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import pruneframe as pf

MOST = 200  # sparsities in a sweep
BATCH = 20  # masks at a time: 200 of a million units would fill memory


def sweep(scores: np.ndarray, sizes: Sequence[int], removed: np.ndarray) -> np.ndarray:
    """Keep-masks bool[n, units] that remove the lowest `removed` shares float64[n] of each run of units."""
    keep = np.ones((len(removed), len(scores)), dtype=bool)
    for start, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
        order = start + np.argsort(scores[start : start + size], kind="stable")
        for row, share in zip(keep, removed, strict=True):
            row[order[: int(share * size)]] = False
    return keep


@dataclass(frozen=True, repr=False)
class Magnitude(pf.Method):
    """A sweep of min(budget, 200) sparsities, half of them global and half layer by layer, for any scorer."""

    name = "magnitude"
    provenance = (
        "One-shot pruning without a search. Global and layer-wise thresholds on one score: Han, Pool, Tran and Dally, "
        "'Learning both Weights and Connections for Efficient Neural Networks', NeurIPS 2015; LAMP with scorer=lamp."
    )
    bibtex = """
    @inproceedings{han2015learning,
      author = {Han, Song and Pool, Jeff and Tran, John and Dally, William J.},
      title = {Learning both Weights and Connections for Efficient Neural Networks},
      booktitle = {Advances in Neural Information Processing Systems},
      year = {2015}
    }
    """
    scorer: str = pf.setting("magnitude", "importance that decides what goes first", kind="scorer")

    @property
    def deterministic(self) -> bool:
        return True

    def search(self, task: pf.Task) -> None:
        scores = task.scores(self.scorer)
        count = min(task.affordable, MOST)
        halves = (count + 1) // 2, count // 2
        for half, sizes in zip(halves, ([task.layout.total], task.layout.sizes), strict=True):
            removed = np.arange(half) / max(1, half)
            for start in range(0, half, BATCH):
                keep = sweep(scores, sizes, removed[start : start + BATCH])
                task.evaluate(pf.Masks.pack(keep, task.layout))


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [Magnitude]

"""One-shot pruning by an importance score: the line that every search must beat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

import pruneframe as pf
from pruneframe.kit import Highest

MOST = 200  # sparsities in a sweep
BATCH = 20  # masks at a time: 200 of a million units would fill memory


def sweep(scores: np.ndarray, sizes: Sequence[int], removed: np.ndarray) -> Iterator[np.ndarray]:
    """Keep-masks bool[units] that remove the lowest `removed` shares float64[n] of each run of units, in turn.

    Of equal ones the first go first.
    """
    runs = np.split(scores, np.cumsum(sizes)[:-1])
    highest = [Highest(run[::-1]) for run in runs]
    for share in removed:
        kept = [best(len(run) - int(share * len(run)))[::-1] for best, run in zip(highest, runs, strict=True)]
        yield np.concatenate(kept)


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
        count = min(task.affordable, MOST) + 1  # both halves begin with the unpruned network, which is charged once
        halves = (count + 1) // 2, count // 2
        for half, sizes in zip(halves, ([task.layout.total], task.layout.sizes), strict=True):
            removed = np.arange(half) / max(1, half)
            masks = sweep(scores, sizes, removed)
            while batch := [np.packbits(keep) for keep in islice(masks, BATCH)]:
                task.evaluate(pf.Masks(np.array(batch), task.layout))


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [Magnitude]

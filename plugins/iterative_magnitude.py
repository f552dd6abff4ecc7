"""Pruning and retraining in turn, the weakest by a score of the current weights first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import pruneframe as pf
from pruneframe.kit import best

from .encodings import keep_best, least
from .magnitude import Magnitude
from .presets import Presets

SHARE = 0.2  # of what remains goes in a round
PRESETS = Presets(
    {
        "best": {"scorer": "lamp", "final": 0.01, "learning_rate": 0.05},
        "paper": {"scorer": "magnitude", "final": 0.02, "learning_rate": 0.02},
    }
)
DEAREST = 4  # evaluations that a round is given at least, where their number is not set


def schedule_of(schedule: str, final: float, rounds: int) -> NDArray[np.float64]:
    """The share of all units that is kept after each round, float64[rounds], the last of them `final`."""
    done = np.arange(1, rounds + 1) / rounds
    if schedule == "cubic":
        return final + (1 - final) * (1 - done) ** 3
    found: NDArray[np.float64] = final**done
    return found


def pruned(scores: pf.Scores, keep: pf.Masks, share: float, scope: str) -> pf.Masks:
    """The best of what one mask keeps, so large a share of all units; every layer keeps the least that it can."""
    layout, fewest = keep.layout, least(keep.layout)
    own = np.where(keep.unpack(0), scores, -np.inf).astype(np.float32)
    if scope == "layer":
        return keep_best(
            np.maximum(fewest, np.rint(share * np.array(layout.sizes)).astype(np.int64))[None], layout, own
        )
    for part, few in zip(layout.split(own), fewest, strict=True):
        part[np.argsort(-part, kind="stable")[:few]] = np.inf
    return best(own, layout, [max(int(fewest.sum()), round(share * layout.total))])


RENDA = """
    @inproceedings{renda2020comparing,
      author = {Renda, Alex and Frankle, Jonathan and Carbin, Michael},
      title = {Comparing Rewinding and Fine-tuning in Neural Network Pruning},
      booktitle = {International Conference on Learning Representations},
      year = {2020}
    }
    """


@dataclass(frozen=True, repr=False)
class IterativeMagnitude(pf.Method):
    """Rounds of pruning by a score of the current weights, each followed by training; every round gives a network."""

    name = "iterative-magnitude"
    aliases = ("imp", "gradual-magnitude")
    provenance = (
        "Published: pruning by magnitude and retraining in turn (Han et al., NeurIPS 2015); a fifth of what remains "
        "in each round, all layers under one threshold, and a retraining that begins at a high learning rate again "
        "(Renda, Frankle and Carbin, ICLR 2020); the cubic schedule (Zhu and Gupta, arXiv 1710.01878). Ours: rounds "
        "share what is left of the budget equally, with a cosine in each; a filter's magnitude is the mean over its "
        "weights; no layer goes entirely. Weights are not rewound, since those of an early epoch are not at hand. "
        "preset=paper prunes by magnitude; by default it is LAMP of the current weights, down to fewer of them."
    )
    bibtex = (
        Magnitude.bibtex
        + RENDA
        + """
    @article{zhu2017prune,
      author = {Zhu, Michael and Gupta, Suyog},
      title = {To prune, or not to prune: exploring the efficacy of pruning for model compression},
      journal = {arXiv preprint arXiv:1710.01878},
      year = {2017}
    }
    """
    )
    preset: Literal["best", "paper"] = pf.setting("best", "where settings that are not given come from", tried=())
    scorer: str = PRESETS.setting("scorer", "importance of the current weights; the least goes first", kind="scorer")
    schedule: Literal["geometric", "cubic"] = pf.setting(
        "geometric", "equal shares of what remains go, or ever fewer of all (cubic)"
    )
    scope: Literal["global", "layer"] = pf.setting("global", "one threshold for all layers, or the same share of each")
    final: float = PRESETS.setting(
        "final", "share of units that the last round keeps", above=0, below=1, tried=(0.005, 0.2)
    )
    rounds: int | None = pf.setting(
        None, f"of pruning; none: what removes {SHARE:.0%} of the rest in each, if the budget pays for them", least=1
    )
    retraining: bool = pf.setting(True, "off: nothing is trained, so that rounds are cuts of one score")
    learning_rate: float = PRESETS.setting("learning_rate", "of a retraining, at first", above=0, tried=(0.002, 0.1))
    alpha: float = pf.setting(
        0.0, "weight of the squared distance to the unpruned network's logits in training", least=0, tried=(0, 0.3)
    )

    @property
    def deterministic(self) -> bool:
        return not self.retraining

    def search(self, task: pf.Task) -> None:
        PRESETS.suited(self, self.preset, task)._search(task)

    def _search(self, task: pf.Task) -> None:
        """The search, with a value for every setting."""
        keep, weights = task.layout.full(), pf.DENSE
        task.scores(self.scorer, weights)  # first, so that a score that is not defined is refused before a run begins
        task.evaluate(keep)
        shares = schedule_of(self.schedule, self.final, self.rounds or self._rounds(task))
        for turn, share in enumerate(shares):
            each = task.budget.left / (len(shares) - turn)
            keep = pruned(task.scores(self.scorer, weights), keep, share, self.scope)
            if self.retraining:
                weights = self._retrained(task, keep, weights, each - task.price_of_scores(self.scorer))
            task.evaluate(keep, weights)

    def _rounds(self, task: pf.Task) -> int:
        """Rounds, unless their number is set."""
        return max(1, min(math.ceil(math.log(self.final) / math.log(1 - SHARE)), task.affordable // DEAREST))

    def _retrained(self, task: pf.Task, keep: pf.Masks, weights: str, passes: float) -> str:
        """The weights after a training that costs so many passes with the evaluation behind it, if they pay for one."""
        visits = task.prices.trainable(passes - task.prices.evaluation - task.prices.new_weights, taught=self.alpha > 0)
        epochs = max(1, math.ceil(visits / task.train_images))
        if (images := int(visits / epochs)) < 1:
            return weights
        return task.train(keep, weights, pf.Recipe(epochs, self.learning_rate, images=images), self.alpha)


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [IterativeMagnitude]

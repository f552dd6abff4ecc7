"""A genetic algorithm on a weighted sum of error, computation and size, whose elite is retrained now and then.

Yang, An, Li, Diao and Xu, "Multi-objective Pruning for CNNs Using Genetic Algorithm", ICANN 2019, arXiv 1906.00399.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.kit import IDLE

from .experiments import WEIGHTED_GA
from .herd import TERMS, Breeding, Herd, surviving

PRESETS = {"sparsity": (0.6, 0.1, 0.3), "computation": (0.4, 0.55, 0.05), "balanced": (0.4, 0.3, 0.3)}
CAREFUL, BOLD = 0.95, 0.2  # the error's weight at both ends of a sweep
SMALLEST, LARGEST = 4, 30  # genomes; of four two survive, each with a child
FINEST, COARSEST = 0.1, 0.3  # steps
SHRUNK = 0.01  # of a linear layer remains at the end, if it loses half a step whenever it mutates
ENDING, BETWEEN = 0.5, 0.1  # of a budget for last trainings: between weightings, the next elite's go on with them
SPREAD = 0.7  # times the root of the evaluations; few genomes come further in few of them


@dataclass(frozen=True, repr=False)
class WeightedGA(pf.Method):
    """Layers are genes: convolutions lose filters and input channels, linear layers single weights."""

    name = "weighted-ga"
    provenance = (
        "Published (Yang et al., arXiv 1906.00399): the weighted sum of error, remaining multiply-adds and remaining "
        "parameters; one gene per layer; coarse removal in convolutions and fine removal in fully connected layers; "
        "pruning and retraining in turn, the population rebuilt from the retrained elite. Our reconstruction: all "
        "numbers, truncation selection, microbial crossover, how a mutation draws what it removes, and when the elite "
        "is retrained. Not of the paper at all: a sweep of weightings within one run (fronts), each going on where "
        "the one before ended, the limit on what retraining may cost (retraining), and a long training of the last "
        "elite at the end (finishing)."
    )
    bibtex = """
    @inproceedings{yang2019multi,
      author = {Yang and An and Li and Diao and Xu},
      title = {Multi-objective Pruning for {CNNs} Using Genetic Algorithm},
      booktitle = {International Conference on Artificial Neural Networks},
      year = {2019}
    }
    """
    experiments = WEIGHTED_GA
    preset: Literal["sparsity", "computation", "balanced"] = pf.setting(
        "sparsity",
        "weights that are not given: " + ", ".join(f"{name} {values}" for name, values in PRESETS.items()),
        tried=(),
    )
    error: float | None = pf.setting(None, "weight of the share misclassified")
    computation: float | None = pf.setting(None, "weight of the share of multiply-adds that remains")
    size: float | None = pf.setting(None, "weight of the share of parameters that remains")
    fronts: int = pf.setting(
        1,
        f"weightings that share the budget; of several, the error's share falls from {CAREFUL} to {BOLD}, and the "
        "others keep their proportion",
        least=1,
    )
    scorer: str = pf.setting(
        "magnitude", "importance of the current weights, behind what a mutation removes", kind="scorer"
    )
    population: int | None = pf.setting(
        None,
        f"genomes; none: {SPREAD} times the root of the evaluations that a weighting could pay for, from {SMALLEST} to "
        f"{LARGEST}",
        least=SMALLEST,
    )
    survivors: float = pf.setting(
        0.5, "share of the population that a generation keeps, but two at least and not all", least=0, most=1
    )
    crossover: float = pf.setting(0.5, "chance that a child takes a gene from the fitter parent", least=0, most=1)
    mutation: float = pf.setting(0.5, "chance that a gene mutates; one always does", least=0, most=1)
    step: float | None = pf.setting(
        None,
        "largest share of a linear layer's remaining units that a mutation removes; none: what lets it shrink to a "
        f"hundredth in the generations that a weighting could pay for, from {FINEST} to {COARSEST}",
        least=0,
        most=1,
    )
    smallest: float = pf.setting(0.9, "chance that these are the least important ones, not any", least=0, most=1)
    loss: float = pf.setting(1.2, "points of error above dense at which the elite is retrained", least=0)
    every: int = pf.setting(20, "generations after which it is retrained in any case", least=1)
    retraining: float = pf.setting(
        0.7,
        "largest share of what is spent that goes to retraining and to the populations rebuilt; 0 switches it off",
        least=0,
        most=1,
    )
    finishing: float | None = pf.setting(
        None,
        f"share of the budget that trains each weighting's last elite; none: {ENDING} of one, {BETWEEN} of several; 0 "
        "switches it off",
        least=0,
        most=1,
    )
    epochs: int = pf.setting(1, "of a retraining", least=1)
    images: int = pf.setting(10_000, "training images of an epoch, at most", least=1)
    learning_rate: float = pf.setting(0.01, "of a retraining, at first", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fronts > 1 and (self.error is not None or self.weighting[1:] == (0, 0)):
            raise ValueError(
                "fronts > 1 sets the error's weight and needs another, but got "
                f"error={self.error}, computation={self.weighting[1]} and size={self.weighting[2]}"
            )
        if not (min(self.weighting) >= 0 and 0 < sum(self.weighting) < math.inf):
            raise ValueError(
                f"error, computation and size must be finite weights >= 0, not all of them 0, but got {self.weighting}"
            )

    @property
    def weighting(self) -> tuple[float, float, float]:
        """The weights of error, computation and size."""
        preset = dict(zip(TERMS, PRESETS[self.preset], strict=True))
        given = {name: getattr(self, name) for name in TERMS}
        error, computation, size = (preset[name] if value is None else value for name, value in given.items())
        return error, computation, size

    @property
    def weightings(self) -> list[tuple[float, float, float]]:
        """All that a run goes through, the most careful first; their error's odds fall by a constant factor."""
        if self.fronts == 1:
            return [self.weighting]
        _, computation, size = self.weighting
        others = computation + size
        careful, bold = (math.log(share / (1 - share)) for share in (CAREFUL, BOLD))
        shares = [1 / (1 + math.exp(-odds)) for odds in np.linspace(careful, bold, self.fronts)]
        return [(share, (1 - share) * computation / others, (1 - share) * size / others) for share in shares]

    def search(self, task: pf.Task) -> None:
        if "error" not in task.objectives:
            task.decline("its fitness needs the objective 'error', which the problem does not have")
        history: list[dict[str, float]] = []
        try:
            herd = Herd(task, self.suited(task.budget.total / task.prices.evaluation))
            for number, weighting in enumerate(self.weightings):
                share = max(1e-9, task.budget.left / task.budget.total / (self.fronts - number))
                ending = self._finishing * share
                if ending * task.budget.total < herd.retraining_price:
                    ending = 0.0  # less than a retraining would change little, and cost a new population
                with task.share(share):
                    with task.share(max(1e-9, share - ending)):
                        for state in self._generations(task, herd, np.array(weighting)):
                            history.append({"weighting": number, "passes": task.budget.spent} | state)
                    herd.finish()
        finally:
            task.record("fitness", pd.DataFrame(history))
            task.record("computation of the front", computation(task))

    @property
    def _finishing(self) -> float:
        """Share of the budget for the last trainings."""
        return (ENDING if self.fronts == 1 else BETWEEN) if self.finishing is None else self.finishing

    def suited(self, evaluations: float) -> Breeding:
        """With a population and a step that suit a budget of so many evaluations, where they are not given.

        Of many genomes few generations could be paid for, and small steps would not get far in them.
        """
        own = evaluations / self.fronts
        population = self.population or max(SMALLEST, min(LARGEST, round(SPREAD * math.sqrt(own))))
        generations = own * (1 - self._finishing) / (population - surviving(self.survivors, population))
        mutations = max(1e-9, self.mutation * generations)
        step = min(COARSEST, max(FINEST, -2 * math.log(SHRUNK) / mutations)) if self.step is None else self.step
        recipe = pf.Recipe(epochs=self.epochs, learning_rate=self.learning_rate, images=self.images)
        names = ("scorer", "survivors", "crossover", "mutation", "smallest")
        given = {name: getattr(self, name) for name in names}
        return Breeding(population=population, step=step, recipe=recipe, **given)

    def _generations(self, task: pf.Task, herd: Herd, weighting: np.ndarray) -> Iterator[dict[str, float]]:
        """The herd's state after every generation, until the budget ends, or until nothing new is born."""
        idle = 0
        while idle < IDLE:
            spent = task.budget.spent
            herd.sort(weighting)
            yield herd.state(weighting)
            if self._due(task, herd):
                herd.retrain()
            else:
                herd.breed()
            idle = idle + 1 if task.budget.spent == spent else 0

    def _due(self, task: pf.Task, herd: Herd) -> bool:
        """Whether a sorted herd's elite is to be retrained; only where that may be paid."""
        lossy = herd.terms[0, 0] > herd.dense + self.loss / 100
        allowed = self.retraining * task.budget.spent - herd.retrained
        affordable = herd.retraining_price <= min(allowed, task.budget.left)
        return affordable and (herd.generation >= self.every or (herd.generation > 0 and lossy))


def computation(task: pf.Task) -> pd.DataFrame:
    """For the record: undominated candidates' errors, and the shares of multiply-adds, and of convolutions', kept."""
    members, network = task.archive.members, task.network
    convolutional = [layer.convolutional for layer in network.layers]
    macs = np.array([network.layer_macs(task.archive.masks([row]))[0] for row in range(len(members))])
    macs = macs.reshape(len(members), len(network.layers))
    dense = network.layer_macs(task.layout.full())[0]
    shares = {"multiply-adds kept": macs.sum(axis=1) / dense.sum()}
    if any(convolutional):
        shares["of convolutions"] = macs[:, convolutional].sum(axis=1) / dense[convolutional].sum()
    own = {"mask": [member.mask for member in members], "weights": [member.weights for member in members]}
    errors = {"error": [member.values[task.objectives.index("error")] for member in members]}
    return pd.DataFrame(own | errors | shares).sort_values("multiply-adds kept", ignore_index=True)


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [WeightedGA]

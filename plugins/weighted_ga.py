"""A genetic algorithm on a weighted sum of error, computation and size, whose elite is retrained now and then.

Yang, An, Li, Diao and Xu, "Multi-objective Pruning for CNNs Using Genetic Algorithm", ICANN 2019, arXiv 1906.00399.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.kit import IDLE

from .experiments import WEIGHTED_GA
from .herd import TERMS, Breeding, Herd, surviving
from .presets import Presets

WEIGHTS = {"sparsity": (0.6, 0.1, 0.3), "computation": (0.4, 0.55, 0.05), "balanced": (0.4, 0.3, 0.3)}
PAPER = {
    "fronts": 1,
    "scorer": "magnitude",
    "survivors": 0.5,
    "crossover": 0.5,
    "mutation": 0.5,
    "step": None,
    "smallest": 0.9,
    "loss": 1.2,
    "every": 20,
    "retraining": 0.7,
    "finishing": None,
    "epochs": 1,
    "images": 10_000,
    "learning_rate": 0.01,
}
TUNED = PAPER | {
    "fronts": 8,
    "scorer": "lamp",
    "crossover": 0.299,
    "loss": 6.19,
    "every": 2,
    "retraining": 0.911,
    "finishing": 0.0192,
    "epochs": 2,
    "learning_rate": 0.0441,
}
WEIGHTED = {name: dict(zip(TERMS, weights, strict=True)) for name, weights in WEIGHTS.items()}
PRESETS = Presets(
    {"tuned": TUNED | WEIGHTED["sparsity"]} | {name: PAPER | weights for name, weights in WEIGHTED.items()}
)
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
        "elite at the end (finishing). The default, preset=tuned, has such a sweep, and numbers that `pruneframe tune` "
        "found on networks of ours (docs/tuning.md); the reconstruction is preset=sparsity, computation or balanced."
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
    preset: Literal["tuned", "sparsity", "computation", "balanced"] = pf.setting(
        "tuned",
        "where settings that are not given come from; what has a published emphasis prunes one network",
        tried=(),
    )
    error: float = PRESETS.setting("error", "weight of the share misclassified")
    computation: float = PRESETS.setting("computation", "weight of the share of multiply-adds that remains")
    size: float = PRESETS.setting("size", "weight of the share of parameters that remains")
    fronts: int = PRESETS.setting(
        "fronts",
        f"weightings that share the budget; of several, the error's share falls from {CAREFUL} to {BOLD}, and the "
        "others keep their proportion",
        least=1,
        tried=(1, 8),
    )
    scorer: str = PRESETS.setting(
        "scorer", "importance of the current weights, behind what a mutation removes", kind="scorer"
    )
    population: int | None = pf.setting(
        None,
        f"genomes; none: {SPREAD} times the root of the evaluations that a weighting could pay for, from {SMALLEST} to "
        f"{LARGEST}",
        least=SMALLEST,
    )
    survivors: float = PRESETS.setting(
        "survivors", "share of the population that a generation keeps, but two at least and not all", least=0, most=1
    )
    crossover: float = PRESETS.setting(
        "crossover", "chance that a child takes a gene from the fitter parent", least=0, most=1
    )
    mutation: float = PRESETS.setting("mutation", "chance that a gene mutates; one always does", least=0, most=1)
    step: float | None = PRESETS.setting(
        "step",
        "largest share of a linear layer's remaining units that a mutation removes; none: what lets it shrink to a "
        f"hundredth in the generations that a weighting could pay for, from {FINEST} to {COARSEST}",
        least=0,
        most=1,
    )
    smallest: float = PRESETS.setting(
        "smallest", "chance that these are the least important ones, not any", least=0, most=1
    )
    loss: float = PRESETS.setting(
        "loss", "points of error above dense at which the elite is retrained", least=0, tried=(0.15, 10)
    )
    every: int = PRESETS.setting(
        "every", "generations after which it is retrained in any case", least=1, tried=(2, 160)
    )
    retraining: float = PRESETS.setting(
        "retraining",
        "largest share of what is spent that goes to retraining and to the populations rebuilt; 0 switches it off",
        least=0,
        most=1,
    )
    finishing: float | None = PRESETS.setting(
        "finishing",
        f"share of the budget that trains each weighting's last elite; none: {ENDING} of one, {BETWEEN} of several; 0 "
        "switches it off",
        least=0,
        most=1,
    )
    epochs: int = PRESETS.setting("epochs", "of a retraining", least=1, tried=(1, 8))
    images: int = PRESETS.setting("images", "training images of an epoch, at most", least=1, tried=(1000, 80_000))
    learning_rate: float = PRESETS.setting("learning_rate", "of a retraining, at first", above=0, tried=(0.001, 0.1))

    def __post_init__(self) -> None:
        super().__post_init__()
        settled = self.settled()
        weighting = settled.error, settled.computation, settled.size
        if settled.fronts > 1 and (self.error is not None or weighting[1:] == (0, 0)):
            raise ValueError(
                "fronts > 1 sets the error's weight and needs another, but got "
                f"error={self.error}, computation={weighting[1]} and size={weighting[2]}"
            )
        if not (min(weighting) >= 0 and 0 < sum(weighting) < math.inf):
            raise ValueError(
                f"error, computation and size must be finite weights >= 0, not all of them 0, but got {weighting}"
            )

    def settled(self) -> Self:
        """With the preset's value for every setting that is not given."""
        return PRESETS.settled(self, self.preset)

    @property
    def weightings(self) -> list[tuple[float, float, float]]:
        """All that a settled run goes through, the most careful first; their error's odds fall by a constant factor."""
        if self.fronts == 1:
            return [(self.error, self.computation, self.size)]
        others = self.computation + self.size
        careful, bold = (math.log(share / (1 - share)) for share in (CAREFUL, BOLD))
        shares = [1 / (1 + math.exp(-odds)) for odds in np.linspace(careful, bold, self.fronts)]
        return [(share, (1 - share) * self.computation / others, (1 - share) * self.size / others) for share in shares]

    def search(self, task: pf.Task) -> None:
        if "error" not in task.objectives:
            task.decline("its fitness needs the objective 'error', which the problem does not have")
        PRESETS.suited(self, self.preset, task)._search(task)

    def _search(self, task: pf.Task) -> None:
        """The search, with a value for every setting."""
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

"""Problems: a trained network, its data, and what a search on it may change and must minimise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from torch import nn

from .data import Data, Split
from .errors import InputError
from .mask import Units
from .network import Network
from .training import Recipe
from .weights import Progress, Published, Trained

BATCH_NORM_IMAGES = 2000  # training images behind batch_norm=shifted, at most
FINETUNING = Recipe(learning_rate=0.01, batch=64)
BatchNorm = Literal["frozen", "shifted"]


@dataclass(frozen=True)
class Problem:
    """What all methods of a study are compared on.

    `network` is a trained module, or a function that makes one (then `weights` says how it gets its weights); `data`
    is a Data or a function that loads one. `search_images` None means all of the search split.
    """

    name: str
    network: nn.Module | Callable[[], nn.Module]
    data: Data | Callable[[], Data]
    weights: Published | Trained | None = None
    units: Units = "weight"
    objectives: tuple[str, ...] = ("error", "params")
    target: str = "local-cpu"  # the device behind objectives such as latency
    batch_norm: BatchNorm = "frozen"
    search_images: int | None = None
    budget: float = 300.0
    finetuning: Recipe = (
        FINETUNING  # that `bench --finetune` gives to every final member, for as many epochs as it says
    )
    summary: str = ""
    source: str = ""  # where the network comes from: paper, publisher, licence
    bibtex: str = ""  # entries of the papers behind network and data

    def __post_init__(self) -> None:
        choices = {"units": ("weight", "filter"), "batch_norm": ("frozen", "shifted")}
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise InputError(f"{field} must be {' or '.join(allowed)}, but got {getattr(self, field)!r}")
        if not self.objectives or len(set(self.objectives)) != len(self.objectives):
            raise InputError(f"objectives must be distinct, at least one, but got {self.objectives}")
        if not 0 < self.budget < float("inf"):
            raise InputError(f"budget > 0 must hold, but got {self.budget}")

    def with_settings(self, **changes: Any) -> Problem:
        """The same problem with some fields replaced; None leaves a field as it is."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def load(self, report: Progress = lambda line: None) -> LoadedProblem:
        """Fetch or train what is missing, and check that it fits together."""
        data = self.data if isinstance(self.data, Data) else self.data()
        module = self.network if isinstance(self.network, nn.Module) else self.network()
        if self.weights is not None:
            self.weights.load(module, lambda: data, report)
        return LoadedProblem(self, Network(module, data.input_shape, self.units), data)


class LoadedProblem:
    """A problem in memory: its network, and its images as the network sees them."""

    def __init__(self, problem: Problem, network: Network, data: Data) -> None:
        self.problem = problem
        self.network = network
        self.data = data
        wanted = len(data.search) if problem.search_images is None else problem.search_images
        if not 0 < wanted <= len(data.search):
            raise InputError(
                f"search_images must be from 1 to {len(data.search)} for {problem.name!r}, but got {wanted}"
            )
        outputs = network.outputs
        if data.classes > outputs:
            raise InputError(
                f"labels must be from 0 to {outputs - 1}, the network's outputs, but {problem.name!r} has label "
                f"{data.classes - 1}"
            )
        self.search = data.search.stratified(wanted)[0]

    @property
    def splits(self) -> dict[str, Split]:
        """The images of this problem by what they are for."""
        return {"train": self.data.train, "search": self.search, "test": self.data.test}

    @cached_property
    def batch_norm_images(self) -> Split | None:
        """The fixed training images behind batch_norm=shifted; None where no statistics are shifted."""
        if self.problem.batch_norm == "frozen" or not self.network.norms:
            return None
        return self.training_images(min(BATCH_NORM_IMAGES, len(self.data.train)))

    def training_images(self, n: int) -> Split:
        """A fixed stratified choice of training images, all of them when there are no more."""
        return self.data.train.stratified(min(n, len(self.data.train)))[0]

    @property
    def price(self) -> float:
        """Units that one evaluation costs: a pass over the search set, and one over the batch-norm images."""
        extra = self.batch_norm_images
        return 1.0 + (len(extra) / len(self.search) if extra else 0.0)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over the dense weights and all splits: two problems of one name may differ."""
        splits = [self.search.digest, self.data.train.digest, self.data.test.digest]
        parts = [self.network.digest, *splits, f"{self.data.mean} {self.data.std}"]
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]

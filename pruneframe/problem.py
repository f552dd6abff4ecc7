"""Problems: a trained network, its data, and what a search on it may change and must minimise."""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import nn

from .component import Lookup
from .errors import InputError, faults_of
from .mask import Masks
from .model.data import Data, Split, Splits
from .model.given import Given
from .model.network import Network
from .model.recipe import Recipe
from .model.saved import Saved
from .model.shipped import Shipped
from .model.shrink import proved_network
from .model.tabular import EVALUATED, Outcomes, Tabular
from .model.trained import Trained
from .model.weights import Progress, Published
from .objective import Objective
from .patience import users_interrupts
from .spec import ranges
from .target import Meter, Target
from .units import Units

BATCH_NORM_IMAGES = 2000  # training images behind batch_norm=shifted, at most
COPIES = 8  # of the weights: dense, trained, scores, gradients, and those of the candidates that are computed together
FINETUNING = Recipe(learning_rate=0.01, batch=64)
BatchNorm = Literal["frozen", "shifted"]


@dataclass(frozen=True)
class Problem:
    """What all methods of a study are compared on: a trained network with a split of its data, or a family of such.

    `network` is a trained module, or a function that makes one (then `weights` says how it gets its weights); `data`
    is a Data or a function that loads one. Its instances, 0, 1, ..., differ in what varies: the training, where
    `weights` are Trained or Shipped, and the split, where `data` are Splits; where neither does there is only 0.
    `search_images` None means all of the search split. `units`, `objectives`, `target`, `batch_norm`, `search_images`,
    `budget` (passes) and `instance` are what `bench` may set otherwise. `batch_norm` says
    whether running statistics stay as trained (frozen) or follow what pruning does to them (shifted). `finetuning` is
    what `bench --finetune` gives every final member, for as many epochs as it says. `summary` is a line for lists.
    `noise` is a file that `pruneframe noise` wrote, where one comes with the problem.
    `tabular` is where the outcomes of all masks lie, if they do: then they answer in the network's place, and the
    problem has the instances that have a table.
    """

    name: str
    network: nn.Module | Callable[[], nn.Module]
    data: Data | Callable[[], Data] | Splits
    weights: Published | Given | Saved | Trained | Shipped | None = None
    units: str = "weight"  # what is pruned
    objectives: tuple[str, ...] = ("error", "params")
    target: str = "local-cpu"  # what objectives such as latency are measured on
    batch_norm: BatchNorm = "frozen"
    search_images: int | None = None
    budget: float = 300.0
    instance: int = 0
    tabular: Tabular | None = None
    finetuning: Recipe = FINETUNING
    summary: str = ""
    source: str = ""  # where the network comes from: paper, publisher, licence
    bibtex: str = ""  # entries of the papers behind network and data
    noise: Path | None = None

    def __post_init__(self) -> None:
        if self.batch_norm not in get_args(BatchNorm):
            raise InputError(f"batch_norm must be {' or '.join(get_args(BatchNorm))}, but got {self.batch_norm!r}")
        if not self.objectives or len(set(self.objectives)) != len(self.objectives):
            raise InputError(f"objectives must be distinct, at least one, but got {self.objectives}")
        if not 0 < self.budget < float("inf"):
            raise InputError(f"budget > 0 must hold, but got {self.budget}")
        if self.instance and not self.varies:
            raise InputError(
                f"instance must be 0 for {self.name!r}, whose network and split are fixed, but got {self.instance}; "
                "weights that are Trained or data that are Splits give it more"
            )
        if self.tabled and self.instance not in self.tabled:
            raise InputError(
                f"instance must be one that has a table for {self.name!r}, {ranges(self.tabled)}, "
                f"but got {self.instance}"
            )

    @property
    def varies(self) -> tuple[str, ...]:
        """What its instances differ in: training, split, both, or nothing where there is only one."""
        trained, split = self.weights is not None and self.weights.vary, isinstance(self.data, Splits)
        return ("training",) * trained + ("split",) * split

    @property
    def instances(self) -> str:
        """How many instances there are, and what varies, in a few words."""
        if not self.varies:
            return "one"
        if self.tabled:
            other = f", other {' and '.join(self.varies)}" if self.tabled[1:] else ""
            return f"{ranges(self.tabled)}{other}; a table for each"
        shipped = self.weights.instances if isinstance(self.weights, Shipped) else []
        return f"any number, other {' and '.join(self.varies)}" + (f"; {ranges(shipped)} shipped" if shipped else "")

    @property
    def called(self) -> str:
        """Its name, and behind it the instance where it is not the first."""
        return f"{self.name}, instance {self.instance}" if self.instance else self.name

    @property
    def version(self) -> str:
        """12 hex digits over how its network computes, which neither weights nor images tell."""
        module = self.module()
        own = {type(part) for part in module.modules() if not type(part).__module__.startswith("torch.")}
        return hashlib.sha256("\n".join([repr(module), *sorted(map(_code, own))]).encode()).hexdigest()[:12]

    def with_settings(self, **changes: Any) -> Problem:
        """The same problem with some fields replaced; None leaves a field as it is."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def meter(self, lookup: Lookup) -> Meter | None:
        """What its physical objectives measure with; None where it has none of them.

        Raises InputError where its units cannot be taken out, since what is physical is measured without them.
        """
        physical = [one for one in (lookup(Objective, name) for name in self.objectives) if one.physical]
        if not physical:
            return None
        if not lookup(Units, self.units).removable:
            raise InputError(
                f"units that can be taken out, such as filter, must be pruned for the objective {physical[0].name!r}, "
                f"but got {self.units}"
            )
        return Meter(lookup(Target, self.target), any(one.timed for one in physical))

    @property
    def untrained(self) -> bool:
        """Whether its weights would have to be trained when it is loaded; raises Faulty as `load` does."""
        weights = self.weights
        with faults_of("problem", self.name), users_interrupts():
            return weights is not None and not weights.at_hand(self.module, self.images, self.instance, self.name)

    def images(self) -> Data:
        """Its data, loaded, as this instance splits them; what is tabular loads images when some are first read."""
        outcomes = self.outcomes()
        return self._images() if outcomes is None else outcomes.data(self._images)

    @property
    def tabled(self) -> list[int]:
        """The instances that have a table, ascending; before any is made the problem is one as all others."""
        return [] if self.tabular is None else self.tabular.instances

    def outcomes(self) -> Outcomes | None:
        """What its instance's table says; None where there is none."""
        return self.tabular.load(self.instance) if self.tabular is not None and self.tabled else None

    def _images(self) -> Data:
        if isinstance(self.data, Splits):
            return self.data.of(self.instance)
        return self.data if isinstance(self.data, Data) else self.data()

    def module(self) -> nn.Module:
        """Its network, before `weights` fill it; one that is filled is a copy, since other instances have their own."""
        if isinstance(self.network, nn.Module):
            return self.network if self.weights is None else copy.deepcopy(self.network)
        return self.network()

    def load(self, lookup: Lookup, report: Progress = lambda line: None) -> LoadedProblem:
        """Fetch or train what is missing, and check that it fits together; `lookup` finds its units.

        Raises Faulty where the problem's own functions fail, and InputError where what they give cannot be used.
        """
        units = lookup(Units, self.units)
        with faults_of("problem", self.name), users_interrupts():
            data, module = self.images(), self.module()
            if not isinstance(data, Data) or not isinstance(module, nn.Module):
                raise TypeError(
                    f"data must be Data and the network a Module, but are {type(data).__name__} and "
                    f"{type(module).__name__}"
                )
            if self.weights is not None:
                self.weights.load(module, lambda: data, report, self.instance, self.name)
            return LoadedProblem(self, proved_network(Network(module, data.inputs, units)), data)


def _code(module: type[nn.Module]) -> str:
    """The source of a module's forward pass; its name where nobody has kept that."""
    try:
        return inspect.getsource(module.forward)
    except OSError:
        return module.__qualname__


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
        self.search = data.search.chosen(wanted)
        self.outcomes = self._outcomes()

    def told(self, split: Split) -> Callable[[Masks], NDArray[np.bool_]] | None:
        """What a table says of a split, which images each mask classifies rightly; None where it says nothing of it."""
        name = next((name for name in EVALUATED if self.splits[name] is split), None)
        return None if self.outcomes is None or name is None else partial(self.outcomes.correct, name)

    def _outcomes(self) -> Outcomes | None:
        """The table that answers evaluations; None where there is none, or other units, images or statistics are meant.

        Raises InputError where it is one of other weights.
        """
        found, layout = self.problem.outcomes(), self.network.layout
        if found is None or self.batch_norm_images is not None or len(self.search) < len(self.data.search):
            return None
        if found.units != layout.units or found.masks != 2**layout.total:
            return None
        if found.network != self.network.digest:
            raise InputError(f"the table of {self.problem.called!r} must be of its weights, but is of others")
        return found

    @property
    def splits(self) -> dict[str, Split]:
        """The images of this problem by what they are for."""
        return {"train": self.data.train, "search": self.search, "test": self.data.test}

    @property
    def size(self) -> int:
        """About how many bytes a process needs for it: images as they are and as float32, and copies of the weights."""
        inputs = sum(self.data.held(split) for split in self.splits.values())
        return inputs + 4 * COPIES * self.network.total_params

    @cached_property
    def batch_norm_images(self) -> Split | None:
        """The fixed training images behind batch_norm=shifted; None where no statistics are shifted."""
        if self.problem.batch_norm == "frozen" or not self.network.norms:
            return None
        return self.training_images(min(BATCH_NORM_IMAGES, len(self.data.train)))

    def training_images(self, n: int) -> Split:
        """A fixed stratified choice of training images, all of them when there are no more."""
        return self.data.train.chosen(min(n, len(self.data.train)))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over the dense weights and all splits: two problems of one name may differ."""
        splits = [self.search.digest, self.data.train.digest, self.data.test.digest]
        parts = [self.network.digest, *splits, f"{self.data.mean} {self.data.std}"]
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]

"""Objectives: one number to minimise per candidate."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from .component import Component
from .errors import InputError, Overstepped
from .mask import Masks
from .model.network import Network
from .target import Gauge, Target

Logits = NDArray[np.float32]  # [images, classes]


@dataclass(frozen=True)
class Candidate:
    """A pruned network as objectives see it: what is costly is computed when it is first asked for.

    `masks` holds exactly one mask; `weights` is the id of the weights under it; labels are int64[images] of so many
    `classes`. `predict` and `make_shrunk` compute what `logits` and `shrunk` keep; `told` says which images are right,
    bool[images], where a table knows it.
    """

    network: Network
    masks: Masks
    weights: str
    labels: NDArray[np.int64]
    classes: int
    predict: Callable[[], Logits]
    make_shrunk: Callable[[], nn.Module]
    dense: Candidate | None = None  # the unpruned network on the same images; None for the dense candidate itself
    target: Target | None = None  # which the network is meant for; known to physical objectives alone
    told: NDArray[np.bool_] | None = None

    def seen_by(self, objective: Objective, network: Network) -> Candidate:
        """The same for one objective, with a network of its own, and without what it does not say that it looks at."""

        def logits() -> Logits:
            if not objective.predicts:
                raise Overstepped(
                    f"objective {objective!r} must say that it predicts before it looks at outputs; set predicts",
                    "objective",
                    repr(objective),
                )
            return read_only(self.logits)

        def shrunk() -> nn.Module:
            if not objective.physical:
                raise Overstepped(
                    f"objective {objective!r} must be physical to look at the shrunk network; set physical",
                    "objective",
                    repr(objective),
                )
            return self.shrunk

        dense = None if self.dense is None else self.dense.seen_by(objective, network)
        masks, labels = Masks(read_only(self.masks.bits), self.masks.layout), read_only(self.labels)
        own = replace(self, network=network, masks=masks, labels=labels, predict=logits, make_shrunk=shrunk)
        return replace(own, dense=dense, told=self.told if objective.predicts else None)

    @property
    def meant_for(self) -> Gauge:
        """The target that physical objectives measure on; raises InputError where none is known."""
        if self.target is None:
            raise InputError("a physical objective, such as latency, must be among the problem's own")
        return Gauge(self.target)

    @cached_property
    def logits(self) -> Logits:
        """Outputs for every image, float32[images, classes]; objectives cannot write to them."""
        return self.predict()

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Which images it classifies as their labels say, bool[images]."""
        return classified(self.logits, self.labels) if self.told is None else self.told

    @property
    def error(self) -> float:
        """Share of the images that it misclassifies."""
        return float((~self.correct).mean())

    @cached_property
    def shrunk(self) -> nn.Module:
        """The physically smaller module; for units that can be taken out."""
        return self.make_shrunk()

    @cached_property
    def params(self) -> int:
        """Parameters that remain."""
        return int(self.network.params(self.masks)[0])

    @cached_property
    def macs(self) -> int:
        """Multiply-adds per image that remain."""
        return int(self.network.macs(self.masks)[0])


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The same array, which cannot be written to."""
    found = array.view()
    found.flags.writeable = False
    return found


def classified(logits: Logits, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which images the largest of their logits [images, classes] classifies as their labels say, bool[images]."""
    return logits.argmax(axis=1) == labels


@dataclass(frozen=True, repr=False)
class Objective(Component):
    """A number to minimise, what it counts, and the value that counts as 1 in the indicators.

    One that `predicts` looks at outputs for images, and runs none through the network itself. A `physical` one asks the
    target that networks are meant for, which needs units that can be taken out, and may be `timed`: then it is measured
    for several candidates at once, so that they can take turns.
    """

    kind = "objective"
    quantity: ClassVar[str] = ""  # what it counts, as axes and tables say it: "parameters", "bytes"
    predicts: ClassVar[bool] = True
    physical: ClassVar[bool] = False
    timed: ClassVar[bool] = False

    @abstractmethod
    def measure(self, candidate: Candidate) -> float:
        """The value for one candidate, in `quantity`, smaller is better and 0 the best that there can be."""

    def measure_all(self, candidates: Sequence[Candidate]) -> list[float]:
        """The values for several."""
        return [self.measure(candidate) for candidate in candidates]

    @abstractmethod
    def reference(self, dense: Candidate) -> float:
        """What counts as 1 in the indicators, greater than 0; `dense` is the unpruned network."""

"""Importance scorers: how much each unit matters to the trained network."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from .component import Component
from .encoding import Scores
from .model.network import Network


@dataclass(frozen=True, repr=False)
class Scorer(Component):
    """An importance score for every unit of a network, computed once from the trained weights.

    `images` training images are handed over and charged, each as `passes` forward passes (a backward pass is two). What
    it runs through the network is counted: more than that is an error, and so is a change of the network.
    One that `draws` gives other scores under another seed.
    """

    kind = "scorer"
    images: ClassVar[int] = 0
    passes: ClassVar[int] = 0
    draws: ClassVar[bool] = False

    def check(self, network: Network) -> None:  # most scores are defined everywhere
        """Raise InputError where the score is not defined for the network's units, before anything is paid for it."""

    @abstractmethod
    def score(self, network: Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Scores:
        """float32[units], larger = keep; images [n, ...] as the network reads them, labels int64[n].

        Raises InputError where the score is not defined for the network's units.
        """

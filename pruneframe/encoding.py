"""Encodings: how a genome, the thing that a search varies, stands for a keep-mask."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .component import Component
from .mask import Layout, Masks

Genomes = NDArray[Any]  # uint8[n, bytes] packed when binary, int64[n, number] or float64[n, number] otherwise
Scores = NDArray[np.float32]  # importance of every unit, larger = keep


@dataclass(frozen=True)
class Variables:
    """What a genome is made of: `number` variables of one kind; `groups` counts those of each layer.

    Genomes of `binary` variables are packed bits, uint8[n, width], as `numpy.packbits` packs them, with unused bits 0.
    `integer` ones are int64[n, number], `real` ones float64[n, number], or float32 where there are very many; `lower`
    and `upper`, float64[number], are inclusive bounds.
    """

    kind: Literal["binary", "integer", "real"]
    number: int
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    groups: tuple[int, ...]

    @property
    def width(self) -> int:
        """Columns of a genome array."""
        return (self.number + 7) // 8 if self.kind == "binary" else self.number


@dataclass(frozen=True, repr=False)
class Encoding(Component):
    """A way to write masks as genomes, for any layout of units."""

    kind = "encoding"

    @abstractmethod
    def variables(self, layout: Layout) -> Variables:
        """The kind, number and bounds of the variables for this layout."""

    @abstractmethod
    def decode(self, genomes: Genomes, layout: Layout, scores: Scores) -> Masks:
        """N genomes to n masks; pure: the same genome always gives the same mask."""

    @abstractmethod
    def sample(self, n: int, layout: Layout, scores: Scores, rng: np.random.Generator) -> Genomes:
        """N genomes spread over densities, the dense network first."""

"""Encodings: how a genome, the thing that a search varies, stands for a keep-mask."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .component import Component
from .errors import Faulty, faults_of
from .mask import Layout, Masks, check_masks

Genomes = NDArray[Any]  # uint8[n, bytes] packed when binary, int64[n, number] or float64[n, number] otherwise
Scores = NDArray[np.float32]  # importance of every unit, larger = keep
Kind = Literal["binary", "integer", "real"]  # of variables
SLACK = 1e-6  # by which a gene may be beyond its bounds, in parts of these: it may have been rounded


@dataclass(frozen=True)
class Variables:
    """What a genome is made of: `number` variables of one kind; `groups` counts those of each layer.

    Genomes of `binary` variables are packed bits, uint8[n, width], as `numpy.packbits` packs them, with unused bits 0.
    `integer` ones are int64[n, number], `real` ones float64[n, number], or float32 where there are very many; `lower`
    and `upper`, float64[number], are inclusive bounds.
    """

    kind: Kind
    number: int
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    groups: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"variables must be {', '.join(get_args(Kind))}, but got {self.kind!r}")
        if self.number < 1 or {np.shape(self.lower), np.shape(self.upper)} != {(self.number,)}:
            raise ValueError(f"variables must be at least one and each have bounds, but got {self.number}")
        if not np.all(self.lower <= self.upper):
            raise ValueError("variables must have lower bounds that are not above the upper ones, but some are")

    @property
    def width(self) -> int:
        """Columns of a genome array."""
        return (self.number + 7) // 8 if self.kind == "binary" else self.number

    def complaint(self, genomes: object, n: int) -> str:
        """Why something is not n genomes of these variables, in a few words; empty where it is."""
        if not isinstance(genomes, np.ndarray) or genomes.shape != (n, self.width):
            return f"{genomes.shape if isinstance(genomes, np.ndarray) else type(genomes).__name__}"
        if genomes.dtype != np.uint8 if self.kind == "binary" else genomes.dtype.kind not in "if":
            return f"some of {genomes.dtype}"
        if self.kind == "binary":
            spare = 8 * self.width - self.number
            return "some with bits behind the last variable" if np.any(genomes[:, -1] & ((1 << spare) - 1)) else ""
        slack = SLACK * np.maximum(np.abs(self.lower), np.abs(self.upper))
        inside = np.all((genomes >= self.lower - slack) & (genomes <= self.upper + slack))
        return "" if inside else "some that are no numbers or beyond their bounds"


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


@dataclass(frozen=True)
class Coder:
    """An encoding as methods have it: what it gives is looked at, and where it is wrong, that is the encoding's fault.

    Each function raises Faulty for what the encoding may not give.
    """

    encoding: Encoding

    def variables(self, layout: Layout) -> Variables:
        """As `Encoding.variables`."""
        with faults_of("encoding", repr(self.encoding)):
            found = self.encoding.variables(layout)
        if not isinstance(found, Variables):
            raise self._faulty("Variables", type(found).__name__)
        return found

    def decode(self, genomes: Genomes, layout: Layout, scores: Scores) -> Masks:
        """As `Encoding.decode`."""
        with faults_of("encoding", repr(self.encoding)):
            found = self.encoding.decode(genomes, layout, scores)
        try:
            check_masks(found, layout)
        except ValueError as error:
            raise self._faulty("masks", str(error)) from None
        if len(found) != len(genomes):
            raise self._faulty(f"{len(genomes)} masks", str(len(found)))
        return found

    def sample(self, n: int, layout: Layout, scores: Scores, rng: np.random.Generator) -> Genomes:
        """As `Encoding.sample`."""
        variables = self.variables(layout)
        with faults_of("encoding", repr(self.encoding)):
            found = self.encoding.sample(n, layout, scores, rng)
        if complaint := variables.complaint(found, n):
            raise self._faulty(f"{n} {variables.kind} genomes of {variables.width} columns", complaint)
        return found

    def _faulty(self, wanted: str, got: str) -> Faulty:
        spec = repr(self.encoding)
        return Faulty(f"encoding {spec} must give {wanted}, but gave {got}", "encoding", spec)

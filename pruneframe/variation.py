"""Variation operators: children from parents."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .component import Component
from .encoding import Genomes, Scores, Variables
from .errors import Faulty, InputError, faults_of
from .mask import Bits
from .spec import split


@dataclass(frozen=True, repr=False)
class Variation(Component):
    """An operator that makes children from parents; genomes are packed when binary."""

    kind = "variation"

    @abstractmethod
    def vary(
        self,
        parents: Genomes,
        n: int,
        variables: Variables,
        rng: np.random.Generator,
        scores: Scores | None = None,
        free: Bits | None = None,
    ) -> Genomes:
        """N children, one from each family of consecutive rows: parents are genomes[n x family size, width].

        Two rows a family for a crossover, one for a mutation; an operator uses the first rows of a family that is
        larger than it needs. `scores` are the importance of each variable (of each bit, when binary), `free` marks
        the bits that may change, packed. Raises InputError for variables of a kind that it cannot vary.
        """


def families(parents: Genomes, n: int) -> Genomes:
    """Parents as [n, family size, width]; raises ValueError unless they form n equal families."""
    if n <= 0 or len(parents) % n or len(parents) == 0:
        raise ValueError(f"the number of parents must be a multiple of n, but got {len(parents)} parents and n={n}")
    return parents.reshape(n, len(parents) // n, -1)


@dataclass(frozen=True)
class Chain:
    """Several operators, written `uniform+bit-flip`: each varies the children of the one before."""

    links: tuple[Variation, ...]

    def vary(
        self,
        parents: Genomes,
        n: int,
        variables: Variables,
        rng: np.random.Generator,
        scores: Scores | None = None,
        free: Bits | None = None,
    ) -> Genomes:
        """As `Variation.vary`."""
        children = parents
        for link in self.links:
            with faults_of("variation", repr(link)):
                children = link.vary(_untouchable(children), n, variables, rng, scores, free)
            if complaint := variables.complaint(children, n):
                wanted = f"must make {n} {variables.kind} children of {variables.width} columns"
                raise Faulty(f"variation {link!r} {wanted}, but made {complaint}", "variation", repr(link))
        return children if children.flags.writeable else children.copy()


def _untouchable(genomes: Genomes) -> Genomes:
    """The same genomes, which an operator cannot write to: they are the parents of others, too."""
    found = genomes.view()
    found.flags.writeable = False
    return found


def chain(text: str, lookup: Callable[[str], Variation]) -> Chain:
    """The chain that `text` names, each link found by `lookup`."""
    return Chain(tuple(lookup(name) for name in split(text, "+")))


def need(variables: Variables, kinds: tuple[str, ...], name: str, instead: str) -> None:
    """Raise InputError unless the variables are of one of `kinds`."""
    if variables.kind not in kinds:
        raise InputError(
            f"variation {name!r} needs {' or '.join(kinds)} variables, but the encoding has {variables.kind} ones; "
            f"use {instead}"
        )

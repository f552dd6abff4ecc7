"""The contract of variation operators: children of genomes of the tiny network's masks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from ..encoding import Encoding, Genomes, Scores, Variables
from ..errors import InputError
from ..registry import Registry
from ..variation import Variation
from .rule import Case, Contract, refused
from .settings import with_settings
from .tiny import make_task, tiny_problem

PARENTS = 10
UNITS = ("weight", "filter")  # whose bits fill whole bytes, and do not
FAMILIES = (10, 5)  # children of so many parents: one parent a child, and two


@dataclass(frozen=True)
class Genes:
    """Parents of one encoding."""

    variables: Variables
    parents: Genomes
    scores: Scores | None  # of bits

    @property
    def free(self) -> np.ndarray:
        """Every third bit, packed."""
        return np.packbits(np.arange(self.variables.number) % 3 == 0)


class VariationCase(Case):
    """A variation, and children that it makes of genomes in some encodings."""

    component: Variation

    def __init__(self, variation: Variation, encodings: list[str], registry: Registry) -> None:
        super().__init__(variation)
        self.encodings, self.registry = encodings, registry
        self._made: list[tuple[Genes, list[Genomes]]] | None = None
        self.kinds: dict[str, bool] = {}  # of variables: whether it can vary them
        self.changed = False  # whether parents did

    @property
    def made(self) -> list[tuple[Genes, list[Genomes]]]:
        """Parents, and for each of `FAMILIES` their children, of each encoding whose variables it can vary."""
        if self._made is None:
            made = (self._children(*one) for one in product(self.encodings, UNITS))
            self._made = [one for one in made if one is not None]
        return self._made

    def vary(self, genes: Genes, n: int, free: np.ndarray | None = None) -> Genomes:
        """Children of one encoding's parents."""
        parents = genes.parents.copy()
        with self.watched():
            children = self.component.vary(parents, n, genes.variables, np.random.default_rng(1), genes.scores, free)
        self.changed |= not np.array_equal(parents, genes.parents)
        return children

    def _children(self, encoding: str, units: str) -> tuple[Genes, list[Genomes]] | None:
        task = make_task(tiny_problem(units), registry=self.registry)
        coder, scores = self.registry.component(Encoding, encoding), task.scores("magnitude")
        variables = coder.variables(task.layout)
        parents = coder.sample(PARENTS, task.layout, scores, task.rng)
        genes = Genes(variables, parents, scores if variables.kind == "binary" else None)
        try:
            children = [self.vary(genes, n) for n in FAMILIES]
        except InputError:
            if len(self.encodings) == 1:
                raise
            self.kinds.setdefault(variables.kind, False)
            return None
        self.kinds[variables.kind] = True
        return genes, children


CONTRACT: Contract[VariationCase] = with_settings(Contract[VariationCase]())


@CONTRACT.rule("children", "return genomes[n, width] of the parents' type; pf.families gives the parents of each child")
def makes_children(case: VariationCase) -> str:
    """It makes n children of their parents' width and type."""
    for genes, made in case.made:
        for n, children in zip(FAMILIES, made, strict=True):
            assert children.shape == (n, genes.variables.width), "vary must give n children"
            assert children.dtype == genes.parents.dtype, "children must be of their parents' type"
    assert case.made, "it must vary variables of some kind"
    return f"of {', '.join(sorted(kind for kind, can in case.kinds.items() if can))} variables"


@CONTRACT.rule("bounds of genes", "clip to variables.lower and upper, and leave unused bits zero")
def keeps_to_bounds(case: VariationCase) -> None:
    """Children keep the bounds of their variables."""
    for genes, made in case.made:
        for children in made:
            within_bounds(children, genes.variables)


@CONTRACT.rule("parents", "work on a copy of the parents")
def leaves_parents(case: VariationCase) -> None:
    """Parents stay as they are."""
    assert case.made is not None
    assert not case.changed, "vary must not change the parents"


@CONTRACT.rule("same seed", "draw from rng alone")
def is_a_function_of_the_seed(case: VariationCase) -> None:
    """The same rng makes the same children."""
    for genes, made in case.made:
        for n, children in zip(FAMILIES, made, strict=True):
            assert np.array_equal(children, case.vary(genes, n)), "vary must draw from rng alone"


@CONTRACT.rule("free bits", "change only the bits that are set in free, where it is given")
def leaves_what_is_not_free(case: VariationCase) -> None:
    """Bits that are not free stay."""
    for genes, _ in case.made:
        if genes.variables.kind == "binary":
            children = case.vary(genes, PARENTS, genes.free)
            assert not np.any((children ^ genes.parents) & ~genes.free), "bits that are not free must stay"


@CONTRACT.rule("kinds", "call pf.need(variables, kinds, name, instead) first")
def declines_other_variables(case: VariationCase) -> str | None:
    """It varies variables of every kind, or says which it cannot."""
    cannot = sorted(kind for kind, can in case.kinds.items() if not can)
    return f"not {', '.join(cannot)} ones" if cannot else None


def within_bounds(children: Genomes, variables: Variables) -> None:
    """Raise AssertionError for genomes that are out of bounds."""
    if variables.kind == "binary":
        spare = variables.width * 8 - variables.number
        assert not np.any(children[:, -1] & ((1 << spare) - 1)), "unused bits must stay zero"
    else:
        assert np.all((children >= variables.lower) & (children <= variables.upper)), "children must keep the bounds"


def check_variation(
    variation: Variation, encoding: str | None = None, registry: Registry | None = None, *, declines: str = ""
) -> None:
    """Raise AssertionError where a variation breaks a rule on one encoding's genomes; on all where none is given.

    `declines`: it must refuse these variables, and say so in words that hold this.
    """
    case = case_of(variation, encoding, registry)
    if declines:
        refused(lambda: case.made, declines)
    else:
        CONTRACT.hold(case)


def case_of(variation: Variation, encoding: str | None, registry: Registry | None) -> VariationCase:
    """A variation with one encoding's genomes, or with all that need no setting."""
    registry = registry or Registry()
    return VariationCase(variation, ENCODINGS if encoding is None else [encoding], registry)


ENCODINGS = ["mask", "layer-threshold", "channel-count"]  # of bits, numbers, and whole numbers

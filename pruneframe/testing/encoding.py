"""The contract of encodings: genomes of the tiny network's masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..encoding import Encoding, Genomes, Scores, Variables
from ..errors import InputError
from ..mask import Layout, Masks
from ..registry import Registry
from .rule import Case, Contract, refused
from .settings import with_settings
from .tiny import make_task, tiny_problem, units_there

SAMPLE = 12


@dataclass(frozen=True)
class Sampled:
    """What an encoding makes of one kind of units."""

    layout: Layout
    scores: Scores
    variables: Variables
    genomes: Genomes
    masks: Masks


class EncodingCase(Case):
    """An encoding, and what it makes of some kinds of units."""

    component: Encoding

    def __init__(self, encoding: Encoding, units: list[str], registry: Registry) -> None:
        super().__init__(encoding)
        self.units, self.registry = units, registry
        self._sampled: list[Sampled] | None = None
        self.declined: list[str] = []

    @property
    def sampled(self) -> list[Sampled]:
        """A sample of each kind of units that it does not decline."""
        if self._sampled is None:
            self._sampled = [one for units in self.units if (one := self._sample(units)) is not None]
        return self._sampled

    def _sample(self, units: str) -> Sampled | None:
        task = make_task(tiny_problem(units), registry=self.registry)
        layout, scores = task.layout, task.scores("magnitude")
        with self.watched():
            try:
                variables = self.component.variables(layout)
                genomes = self.component.sample(SAMPLE, layout, scores.copy(), np.random.default_rng(1))
                return Sampled(
                    layout, scores, variables, genomes, self.component.decode(genomes.copy(), layout, scores.copy())
                )
            except InputError:
                if len(self.units) == 1:
                    raise
                self.declined.append(units)
                return None


CONTRACT: Contract[EncodingCase] = with_settings(Contract[EncodingCase]())


@CONTRACT.rule("genomes", "return an array of the shape and type that `Variables` says", needed=True)
def samples_genomes(case: EncodingCase) -> str:
    """Samples are genomes[n, width] within the bounds, and groups count all variables."""
    for one in case.sampled:
        genomes, variables = one.genomes, one.variables
        assert genomes.shape == (SAMPLE, variables.width), "sample must give genomes[n, width]"
        assert sum(variables.groups) == variables.number, "groups must count all variables"
        if variables.kind != "binary":
            within = (genomes >= variables.lower) & (genomes <= variables.upper)
            assert np.all(within), "samples must keep the bounds"
    assert case.sampled, "it must be defined for some units"
    return f"{', '.join(sorted({one.variables.kind for one in case.sampled}))} variables"


@CONTRACT.rule("masks", "return Masks of the layout, one a genome, as Masks.pack gives them", needed=True)
def decodes_to_masks(case: EncodingCase) -> None:
    """Each genome is a mask of the layout."""
    for one in case.sampled:
        assert one.masks.layout == one.layout, "masks must be of the layout"
        assert len(one.masks) == SAMPLE, "decode must give one mask a genome"


@CONTRACT.rule("pure", "let decode depend on the genome, the layout and the scores alone, and write to none of them")
def decodes_purely(case: EncodingCase) -> None:
    """The same genome always is the same mask, alone or among others, and stays as it is."""
    for one in case.sampled:
        with case.watched():
            genomes, scores = one.genomes.copy(), one.scores.copy()
            again = case.component.decode(genomes, one.layout, scores)
            alone = case.component.decode(genomes[[2]], one.layout, scores)
        assert one.masks.digests() == again.digests(), "decode must be pure"
        assert alone.digests() == again.digests()[2:3], "a genome must be the same mask whatever is beside it"
        assert np.array_equal(genomes, one.genomes), "decode must not change genomes"
        assert np.array_equal(scores, one.scores), "decode must not change scores"


@CONTRACT.rule("same seed", "draw from rng alone")
def is_a_function_of_the_seed(case: EncodingCase) -> None:
    """The same rng gives the same sample."""
    for one in case.sampled:
        with case.watched():
            again = case.component.sample(SAMPLE, one.layout, one.scores, np.random.default_rng(1))
        assert np.array_equal(one.genomes, again), "sample must draw from rng alone"


@CONTRACT.rule("spread", "sample the dense network first, then sparser and sparser ones")
def spreads(case: EncodingCase) -> None:
    """A sample includes the dense network and reaches below half of the units, where there are some."""
    for one in (one for one in case.sampled if one.layout.total >= SAMPLE):
        counts = one.masks.counts()
        assert counts.max() == one.layout.total, "a sample must include the dense network"
        assert counts.min() < 0.5 * one.layout.total, "a sample must be spread over densities"


@CONTRACT.rule("units", "raise InputError in variables(layout) where the encoding is not defined")
def takes_all_units(case: EncodingCase) -> str | None:
    """It is defined for every kind of units, or says that it is not."""
    return f"not for {', '.join(case.declined)}" if case.declined else None


def check_encoding(
    encoding: Encoding, units: str | None = None, registry: Registry | None = None, *, declines: str = ""
) -> None:
    """Raise AssertionError where an encoding breaks a rule on one kind of units; on all where none is given.

    `declines`: it must not be defined for these units, and say so in words that hold this.
    """
    case = case_of(encoding, units, registry)
    if declines:
        refused(lambda: case.sampled, declines)
    else:
        CONTRACT.hold(case)


def case_of(encoding: Encoding, units: str | None, registry: Registry | None) -> EncodingCase:
    """An encoding with one kind of units, or with all."""
    registry = registry or Registry()
    return EncodingCase(encoding, units_there(registry) if units is None else [units], registry)

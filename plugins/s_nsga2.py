"""S-NSGA-II: striped first masks, a crossover that keeps what parents agree on, and a mutation of densities.

Kropp, Nejadhashemi and Deb, "Improved Evolutionary Operators for Sparse Large-Scale Multiobjective Optimization
Problems", IEEE Trans. Evol. Comput., 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import pruneframe as pf
from pruneframe.kit import BIBTEX

from .presets import Presets
from .sparse import BEST, PAPER, SparseEvolution, breed, crossed, flipped, winners

DENSEST, SPARSEST = 0.25, 0.0  # shares kept by the first masks, as in public code
PRESETS = Presets(
    {
        "best": BEST | {"mutation": 0.5, "spread": 20.0, "guided": True},
        "paper": PAPER | {"mutation": 0.0, "spread": 20.0, "guided": False},
    }
)


@dataclass(frozen=True, repr=False)
class SNSGA2(SparseEvolution):
    """NSGA-II whose first masks, crossover and mutation treat zeros as zeros."""

    name = "s-nsga2"
    aliases = ("s-nsga-ii",)
    provenance = (
        "Published (Kropp et al., IEEE Trans. Evol. Comput., 2024): NSGA-II with first solutions of varied "
        "sparsity, whose non-zero variables form stripes that cover all of them; a sparse crossover and a sparse "
        "polynomial mutation. Read in public code: densities of the stripes; the crossover exchanges a random share of "
        "the variables that are zero in one parent alone; the mutation changes how many variables are zero, with the "
        "chance of one variable, by polynomial mutation with index 20. Masks have no values, so that the operators' "
        "other half, on values, falls away. Ours: first masks spread over densities by importance, the chance of a "
        "mutation, which is all that brings in new units, and tournaments on a score that choose the units which it "
        "changes. preset=paper leaves out what is ours."
    )
    bibtex = (
        BIBTEX
        + """
    @article{kropp2024improved,
      author = {Kropp, Ian and Nejadhashemi, A. Pouyan and Deb, Kalyanmoy},
      title = {Improved Evolutionary Operators for Sparse Large-Scale Multiobjective Optimization Problems},
      journal = {IEEE Transactions on Evolutionary Computation},
      year = {2024}
    }
    """
    )
    presets = PRESETS
    sparse: bool = pf.setting(True, "sparse crossover and mutation; off: uniform crossover and bit flips")
    mutation: float = PRESETS.setting(
        "mutation", "chance that a child's density changes; 0: one by the number of units", least=0, most=1
    )
    spread: float = PRESETS.setting("spread", "index of that mutation; larger changes less", above=0, tried=(5, 40))
    guided: bool = PRESETS.setting("guided", "units that it sets or clears win tournaments on the score; off: any")

    def _search(self, task: pf.Task) -> None:
        scores = task.scores(self.scorer)
        breed(task, self._first(task), lambda first, second: self._vary(first, second, task.rng, scores))

    def _published_start(self, number: int, task: pf.Task, ranks: pf.Scores | None) -> pf.Masks:
        return stripes(np.linspace(DENSEST, SPARSEST, number), task.layout)

    def _vary(self, first: pf.Masks, second: pf.Masks, rng: np.random.Generator, scores: pf.Scores) -> pf.Masks:
        if not self.sparse:
            return flipped(crossed(first, second, rng), rng)
        children = exchanged(first, second, rng)
        guide, units = scores if self.guided else np.zeros_like(scores), first.layout.total
        for bits, count in zip(children.bits, children.counts(), strict=True):
            if rng.random() < (self.mutation or 1 / units):
                resize(bits, round(polynomial(count / units, self.spread, rng) * units), guide, rng)
        return children


def stripes(shares: np.ndarray, layout: pf.Layout) -> pf.Masks:
    """Masks that keep such shares float64[n] of the units, each in a row from where the one before ended, in turns."""
    found, begin = pf.Masks(np.zeros((len(shares), layout.width), dtype=np.uint8), layout), 0
    for bits, share in zip(found.bits, shares, strict=True):
        width = round(share * layout.total)
        pf.flip(bits, (begin + np.arange(width)) % layout.total)
        begin += width
    return found


def exchanged(first: pf.Masks, second: pf.Masks, rng: np.random.Generator) -> pf.Masks:
    """The first parents, with a random share of the bits that the two differ in as the second one has them."""
    found, units = first.bits.copy(), first.layout.total
    for bits, other in zip(found, second.bits, strict=True):
        differing = np.flatnonzero(np.unpackbits(bits ^ other, count=units))
        pf.flip(bits, rng.choice(differing, round(rng.random() * len(differing)), replace=False))
    return pf.Masks(found, first.layout)


def polynomial(share: float, index: float, rng: np.random.Generator) -> float:
    """Polynomial mutation of a number from 0 to 1: Deb and Goyal, Computer Science and Informatics 26(4), 1996."""
    drawn, power = rng.random(), index + 1
    if drawn < 0.5:
        change = (2 * drawn + (1 - 2 * drawn) * (1 - share) ** power) ** (1 / power) - 1
    else:
        change = 1 - (2 * (1 - drawn) + (2 * drawn - 1) * share**power) ** (1 / power)
    return min(1.0, max(0.0, share + change))


def resize(bits: pf.Bits, count: int, scores: pf.Scores, rng: np.random.Generator) -> None:
    """Set or clear bits of one row, never both, in place, until so many are set.

    Each is the better of two by score, to stay or to go, as far as there are enough to choose from.
    """
    kept = np.unpackbits(bits, count=len(scores)).astype(bool)
    missing = count - int(np.count_nonzero(kept))
    drawn = rng.permutation(np.flatnonzero(~kept if missing > 0 else kept))[: 2 * abs(missing)]
    contests = len(drawn) - abs(missing)
    chosen = winners(drawn[: 2 * contests].reshape(contests, 2), scores if missing > 0 else -scores)
    pf.flip(bits, np.concatenate([chosen, drawn[2 * contests :]]))


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [SNSGA2]

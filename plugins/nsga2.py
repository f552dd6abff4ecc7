"""NSGA-II on any encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pruneframe as pf
from pruneframe.kit import BIBTEX

from .plain import PlainEvolution


@dataclass(frozen=True, repr=False)
class NSGA2(PlainEvolution):
    """Non-dominated sorting genetic algorithm (pymoo's), on packed genomes."""

    name = "nsga2"
    aliases = ("nsga-ii",)
    algorithm = "nsga2"
    provenance = (
        "Published: Deb, Pratap, Agarwal and Meyarivan, IEEE Trans. Evol. Comput. 6(2), 2002, as implemented by pymoo. "
        "Ours: the start, spread over densities by importance, the default variation, and what preset=tuned searches: "
        "global thresholds on the score `reconstruction`, chosen by `pruneframe tune` (docs/tuning.md); raw bits are "
        "preset=textbook."
    )
    bibtex = (
        BIBTEX
        + """
    @article{deb2002nsga2,
      author = {Deb, Kalyanmoy and Pratap, Amrit and Agarwal, Sameer and Meyarivan, T.},
      title = {A fast and elitist multiobjective genetic algorithm: {NSGA-II}},
      journal = {IEEE Transactions on Evolutionary Computation},
      volume = {6},
      number = {2},
      pages = {182--197},
      year = {2002}
    }
    """
    )


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [NSGA2]

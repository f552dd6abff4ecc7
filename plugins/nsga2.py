"""NSGA-II on any encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pruneframe as pf
from pruneframe.kit import BIBTEX, search_by


@dataclass(frozen=True, repr=False)
class NSGA2(pf.Method):
    """Non-dominated sorting genetic algorithm (pymoo's), on packed genomes."""

    name = "nsga2"
    provenance = (
        "Published: Deb, Pratap, Agarwal and Meyarivan, IEEE Trans. Evol. Comput. 6(2), 2002, as implemented by pymoo. "
        "Ours: the start, spread over densities by importance, and the default variation."
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
    encoding: str = pf.setting("mask", "what a genome is", kind="encoding")
    scorer: str = pf.setting(
        "magnitude", "importance behind the start, the encoding and guided variation", kind="scorer"
    )
    variation: str | None = pf.setting(
        None, "operators in turn, joined by +; none: uniform+bit-flip or sbx-pm", kind="variation"
    )
    population: int | None = pf.setting(
        None, "genomes per generation; none: a tenth of the budget, from 4 to 100", least=2
    )

    def search(self, task: pf.Task) -> None:
        search_by("nsga2", task, self.encoding, self.scorer, self.variation, self.population)


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [NSGA2]

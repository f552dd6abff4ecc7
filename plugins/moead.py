"""MOEA/D on any encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pruneframe as pf
from pruneframe.kit import BIBTEX, search_by


@dataclass(frozen=True, repr=False)
class MOEAD(pf.Method):
    """Decomposition into scalar problems that help their neighbours (pymoo's ParallelMOEAD), on packed genomes."""

    name = "moead"
    provenance = (
        "Published: Zhang and Li, IEEE Trans. Evol. Comput. 11(6), 2007, as implemented by pymoo; a whole generation "
        "is made before any of it replaces a parent. Ours: the start, spread over densities, and the default variation."
    )
    bibtex = (
        BIBTEX
        + """
    @article{zhang2007moead,
      author = {Zhang, Qingfu and Li, Hui},
      title = {{MOEA/D}: A Multiobjective Evolutionary Algorithm Based on Decomposition},
      journal = {IEEE Transactions on Evolutionary Computation},
      volume = {11},
      number = {6},
      pages = {712--731},
      year = {2007}
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
        None, "weight vectors, at most; none: a tenth of the budget, from 4 to 100", least=2
    )

    def search(self, task: pf.Task) -> None:
        search_by("moead", task, self.encoding, self.scorer, self.variation, self.population)


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [MOEAD]

"""MOEA/D on any encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pruneframe as pf
from pruneframe.kit import BIBTEX

from .presets import VARIATIONS, from_preset, search_by_preset


@dataclass(frozen=True, repr=False)
class MOEAD(pf.Method):
    """Decomposition into scalar problems that help their neighbours (pymoo's ParallelMOEAD), on packed genomes."""

    name = "moead"
    provenance = (
        "Published: Zhang and Li, IEEE Trans. Evol. Comput. 11(6), 2007, as implemented by pymoo; a whole generation "
        "is made before any of it replaces a parent. Ours: the start, spread over densities, the default variation, "
        "and what preset=tuned searches: global thresholds on the score `reconstruction`, chosen by `pruneframe tune` "
        "(docs/tuning.md); raw bits are preset=textbook."
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
    preset: Literal["tuned", "textbook"] = pf.setting(
        "tuned", "where settings that are not given come from; textbook: raw bits", tried=()
    )
    encoding: str | None = from_preset("moead", "encoding", "what a genome is", kind="encoding")
    scorer: str | None = from_preset(
        "moead",
        "scorer",
        "importance behind the start, the encoding and guided variation; a preset's is replaced by magnitude where it "
        "is not defined for the units or would cost more than a tenth of the budget",
        kind="scorer",
    )
    variation: str | None = from_preset(
        "moead",
        "variation",
        "operators in turn, joined by +; none: uniform+bit-flip or sbx-pm",
        kind="variation",
        tried=VARIATIONS,
    )
    population: int | None = from_preset(
        "moead",
        "population",
        "weight vectors, at most; none: a tenth of the budget, from 4 to 100",
        least=2,
        tried=(4, 100),
    )

    def search(self, task: pf.Task) -> None:
        given = {name: getattr(self, name) for name in ("encoding", "scorer", "variation", "population")}
        search_by_preset("moead", task, self.preset, given)


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [MOEAD]

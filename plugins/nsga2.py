"""NSGA-II on any encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pruneframe as pf
from pruneframe.kit import BIBTEX

from .presets import VARIATIONS, from_preset, search_by_preset


@dataclass(frozen=True, repr=False)
class NSGA2(pf.Method):
    """Non-dominated sorting genetic algorithm (pymoo's), on packed genomes."""

    name = "nsga2"
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
    preset: Literal["tuned", "textbook"] = pf.setting(
        "tuned", "where settings that are not given come from; textbook: raw bits", tried=()
    )
    encoding: str | None = from_preset("nsga2", "encoding", "what a genome is", kind="encoding")
    scorer: str | None = from_preset(
        "nsga2",
        "scorer",
        "importance behind the start, the encoding and guided variation; a preset's is replaced by magnitude where it "
        "is not defined for the units or would cost more than a tenth of the budget",
        kind="scorer",
    )
    variation: str | None = from_preset(
        "nsga2",
        "variation",
        "operators in turn, joined by +; none: uniform+bit-flip or sbx-pm",
        kind="variation",
        tried=VARIATIONS,
    )
    population: int | None = from_preset(
        "nsga2",
        "population",
        "genomes per generation; none: a tenth of the budget, from 4 to 100",
        least=2,
        tried=(4, 100),
    )

    def search(self, task: pf.Task) -> None:
        given = {name: getattr(self, name) for name in ("encoding", "scorer", "variation", "population")}
        search_by_preset("nsga2", task, self.preset, given)


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [NSGA2]

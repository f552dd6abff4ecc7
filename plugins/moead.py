"""MOEA/D on any encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pruneframe as pf
from pruneframe.kit import BIBTEX

from .plain import TEXTBOOK, TUNED, PlainEvolution, variation_by
from .presets import Presets

PRESETS = Presets({"tuned": TUNED | {"variation": "sbx-pm[mutation=0.3]"}, "textbook": TEXTBOOK})


@dataclass(frozen=True, repr=False)
class MOEAD(PlainEvolution):
    """Decomposition into scalar problems that help their neighbours (pymoo's ParallelMOEAD), on packed genomes."""

    name = "moead"
    algorithm = "moead"
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
    presets = PRESETS
    variation: str | None = variation_by(PRESETS)


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [MOEAD]

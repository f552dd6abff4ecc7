"""What the plain evolutionary methods `nsga2` and `moead` have in common: all but the algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pruneframe as pf
from pruneframe.kit import search_by

from .presets import PLAIN, VARIATIONS, Presets

TEXTBOOK: dict[str, Any] = {"encoding": "mask", "scorer": PLAIN, "variation": None}
TUNED: dict[str, Any] = {"encoding": "global-cut", "scorer": "reconstruction", "variation": None}
PRESETS = Presets({"tuned": TUNED, "textbook": TEXTBOOK})


def variation_by(presets: Presets) -> Any:
    """The setting of that name, which presets of the algorithms differ in."""
    return presets.setting(
        "variation",
        "operators in turn, joined by +; none: uniform+bit-flip or sbx-pm",
        kind="variation",
        tried=VARIATIONS,
    )


@dataclass(frozen=True, repr=False)
class PlainEvolution(pf.Method):
    """A search by one algorithm, on genomes of any encoding."""

    algorithm: ClassVar[Literal["nsga2", "moead"]]
    presets: ClassVar[Presets] = PRESETS
    preset: Literal["tuned", "textbook"] = pf.setting(
        "tuned", "where settings that are not given come from; textbook: raw bits", tried=()
    )
    encoding: str = PRESETS.setting("encoding", "what a genome is", kind="encoding")
    scorer: str = PRESETS.setting(
        "scorer",
        "importance behind the start, the encoding and guided variation; a preset's is replaced by magnitude where it "
        "is not defined for the units or would cost more than a tenth of the budget",
        kind="scorer",
    )
    variation: str | None = variation_by(PRESETS)
    population: int | None = pf.setting(
        None,
        "genomes per generation, or weight vectors at most; none: a tenth of the budget, from 4 to 100",
        least=2,
        tried=(4, 100),
    )

    def search(self, task: pf.Task) -> None:
        settled = self.presets.suited(self, self.preset, task)
        search_by(self.algorithm, task, settled.encoding, settled.scorer, settled.variation, settled.population)

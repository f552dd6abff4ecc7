"""Presets of `nsga2` and `moead`: settings under one name; whatever is given beside it goes first.

`textbook` is the algorithm on raw bits; `tuned` is what `pruneframe tune` found for each, see docs/tuning.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pruneframe as pf
from pruneframe.kit import search_by

SCORING = 0.1  # of a budget at most goes to a score that nobody has named
PLAIN = "magnitude"  # the score that costs nothing and is defined for all units
VARIATIONS = (  # what `pruneframe tune` tries; those that cannot vary an encoding are refused
    *("uniform+bit-flip", "uniform+importance-guided", "layer-crossover+bit-flip", "uniform+weighted-flip"),
    *("sbx-pm", "sbx-pm[mutation=0.3]", "sbx-pm[crossover=0.6,spread=5,reach=5]"),
)
Algorithm = Literal["nsga2", "moead"]
Values = Mapping[str, Any]
TEXTBOOK: dict[str, Any] = {"encoding": "mask", "scorer": PLAIN, "variation": None, "population": None}
TUNED: Values = TEXTBOOK | {"encoding": "global-cut", "scorer": "reconstruction"}
PRESETS: Mapping[Algorithm, Mapping[str, Values]] = {
    "nsga2": {"tuned": TUNED, "textbook": TEXTBOOK},
    "moead": {"tuned": {**TUNED, "variation": "sbx-pm[mutation=0.3]"}, "textbook": TEXTBOOK},
}


def from_preset(algorithm: Algorithm, name: str, help: str, **about: Any) -> Any:
    """A setting that a preset gives where the user does not; `about` as in `pf.setting`."""
    presets = PRESETS[algorithm].items()
    values = ", ".join(f"{preset}: {values[name]}" for preset, values in presets if values[name] is not None)
    return pf.setting(None, f"{help}; {values}" if values else help, **about)


def search_by_preset(algorithm: Algorithm, task: pf.Task, preset: str, given: Values) -> None:
    """The search of a plain evolutionary method by the settings that are given, those that are None from a preset.

    A preset's variation goes with its encoding; beside another one, whatever suits that.
    """
    values = PRESETS[algorithm][preset]
    settled = {name: values[name] if value is None else value for name, value in given.items()}
    if given["scorer"] is None:
        settled["scorer"] = suited_scorer(task, settled["scorer"])
    if given["encoding"] is not None:
        settled["variation"] = given["variation"]
    search_by(algorithm, task, **settled)


def suited_scorer(task: pf.Task, name: str) -> str:
    """A preset's scorer, or `magnitude` where that is not defined for the units or costs too much of the budget."""
    return name if task.price_of_scores(name) <= SCORING * task.budget.total else PLAIN

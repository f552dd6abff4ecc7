"""Presets: settings of a method under one name; whatever is given beside it goes first.

`tuned` is what `benchmarks/tuning.py` found for a method, see docs/tuning.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeVar

import pruneframe as pf

SCORING = 0.1  # of a budget at most goes to a score that nobody has named
PLAIN = "magnitude"  # the score that costs nothing and is defined for all units
VARIATIONS = (  # what `pruneframe tune` tries; those that cannot vary an encoding are refused
    *("uniform+bit-flip", "uniform+importance-guided", "layer-crossover+bit-flip", "uniform+weighted-flip"),
    *("sbx-pm", "sbx-pm[mutation=0.3]", "sbx-pm[crossover=0.6,spread=5,reach=5]"),
)
Settings = Mapping[str, Any]
Preset = TypeVar("Preset", bound=pf.Method)


@dataclass(frozen=True)
class Presets:
    """What each name gives; the first is the default. A setting that a preset has not is none of its method there."""

    values: Mapping[str, Settings]

    def setting(self, name: str, help: str, **about: Any) -> Any:
        """A setting that the preset gives where the user does not; `about` as in `pf.setting`.

        One that the default preset has not is not tuned.
        """
        groups: dict[str, list[str]] = {}
        for preset, values in self.values.items():
            if values.get(name) is not None:
                groups.setdefault(written(values[name]), []).append(preset)
        told = ", ".join(
            value if len(presets) == len(self.values) else f"{'/'.join(presets)}: {value}"
            for value, presets in groups.items()
        )
        tried: Settings = {} if name in next(iter(self.values.values())) else {"tried": ()}
        return pf.setting(None, f"{help}; {told}" if told else help, **{**tried, **about})

    def settled(self, method: Preset, preset: str) -> Preset:
        """The method with the preset's value for every setting that is not given.

        A preset's variation goes with its encoding; beside another one, whatever suits that.
        """
        found, values = copy(method), dict(self.values[preset])
        if getattr(method, "encoding", None) is not None:
            values.pop("variation", None)
        for name, value in values.items():
            if getattr(method, name) is None:
                object.__setattr__(found, name, value)
        return found

    def suited(self, method: Preset, preset: str, task: pf.Task) -> Preset:
        """The same for a task: a preset's scorer that its units have not, or that is too dear, is `magnitude`."""
        found: Any = self.settled(method, preset)
        given: Any = method
        if given.scorer is None and task.price_of_scores(found.scorer) > SCORING * task.budget.total:
            object.__setattr__(found, "scorer", PLAIN)
        return found


def written(value: object) -> str:
    """A value as a setting is written."""
    if isinstance(value, bool):
        return str(value).lower()
    return "+".join(value) if isinstance(value, tuple) else str(value)

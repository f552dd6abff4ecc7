"""What authors of methods build on: evolution on packed genomes, corridors, rankings, sweeps, phases, Pareto sets.

As the public API, its names are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "BIBTEX": "evolution",
    "Corridor": "corridor",
    "Curve": "sweep",
    "FELT": "tuner",
    "Highest": "ranking",
    "IDLE": "evolution",
    "ParetoSet": "pareto",
    "SMALLEST": "evolution",
    "Staircase": "sweep",
    "Tuner": "tuner",
    "Turns": "turns",
    "UNPRUNED": "scheme",
    "ablest": "sweep",
    "best": "sweep",
    "check_population": "evolution",
    "default_population": "evolution",
    "edge": "tuner",
    "evolve": "evolution",
    "front_numbers": "pareto",
    "is_pruned": "scheme",
    "middles": "sweep",
    "paired": "scheme",
    "ranked": "scheme",
    "ranks": "ranking",
    "reached": "phase",
    "recorded": "phase",
    "reference_directions": "evolution",
    "search_by": "evolution",
    "shoulder": "tuner",
    "slope": "tuner",
    "split": "sweep",
    "start_and_vary": "evolution",
    "suitable_variation": "evolution",
    "summed": "scheme",
    "survivors": "pareto",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from .corridor import Corridor as Corridor
    from .evolution import BIBTEX as BIBTEX
    from .evolution import IDLE as IDLE
    from .evolution import SMALLEST as SMALLEST
    from .evolution import check_population as check_population
    from .evolution import default_population as default_population
    from .evolution import evolve as evolve
    from .evolution import reference_directions as reference_directions
    from .evolution import search_by as search_by
    from .evolution import start_and_vary as start_and_vary
    from .evolution import suitable_variation as suitable_variation
    from .pareto import ParetoSet as ParetoSet
    from .pareto import front_numbers as front_numbers
    from .pareto import survivors as survivors
    from .phase import reached as reached
    from .phase import recorded as recorded
    from .ranking import Highest as Highest
    from .ranking import ranks as ranks
    from .scheme import UNPRUNED as UNPRUNED
    from .scheme import is_pruned as is_pruned
    from .scheme import paired as paired
    from .scheme import ranked as ranked
    from .scheme import summed as summed
    from .sweep import Curve as Curve
    from .sweep import Staircase as Staircase
    from .sweep import ablest as ablest
    from .sweep import best as best
    from .sweep import middles as middles
    from .sweep import split as split
    from .tuner import FELT as FELT
    from .tuner import Tuner as Tuner
    from .tuner import edge as edge
    from .tuner import shoulder as shoulder
    from .tuner import slope as slope
    from .turns import Turns as Turns


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pruneframe.kit' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)

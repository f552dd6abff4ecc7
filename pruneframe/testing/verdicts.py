"""Verdicts on components of any kind, one for every rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..registry import Registry
from . import encoding, method, objective, problem, report, scorer, target, units, variation
from .rule import Verdict


def verdicts(kind: str, component: Any, registry: Registry) -> Iterator[Verdict]:
    """Whether a component of some kind keeps each rule, with every kind of units that there is."""
    match kind:
        case "method":
            yield from method.CONTRACT.verdicts(method.case_of(component, None, registry))
        case "scorer":
            yield from scorer.CONTRACT.verdicts(scorer.case_of(component, None, registry))
        case "encoding":
            yield from encoding.CONTRACT.verdicts(encoding.case_of(component, None, registry))
        case "variation":
            yield from variation.CONTRACT.verdicts(variation.case_of(component, None, registry))
        case "objective":
            yield from objective.CONTRACT.verdicts(objective.case_of(component, None, registry))
        case "target":
            yield from target.CONTRACT.verdicts(target.TargetCase(component, registry))
        case "unit":
            yield from units.CONTRACT.verdicts(units.case_of(component, registry))
        case "problem":
            yield from problem.CONTRACT.verdicts(problem.ProblemCase(component, registry))
        case "report":
            yield from report.CONTRACT.verdicts(report.ReportCase(component))

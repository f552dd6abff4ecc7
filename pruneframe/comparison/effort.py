"""Which methods ran with settings that trials found, by how much effort, and which did not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..report import StudyFacts
from ..spec import ranges


def counted(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}" + "s" * (number != 1)


def extent(study: StudyFacts) -> str:
    """How many problems a study is on: `2 problems`, `1 problem under 3 sets of rules`."""
    problems, boards = len({board.problem for board in study.boards}), len(study.boards)
    return counted(problems, "problem") + (f" under {boards} sets of rules" if boards > problems else "")


def settings(study: StudyFacts) -> str:
    """Of every method with a finished run, where its settings come from."""
    others = [name for name in study.methods if name not in study.tuned]
    defaults, given = ([name for name in others if ("[" in name) == bracketed] for bracketed in (False, True))
    told = [_tuned(name, study.tuned[name]) for name in study.methods if name in study.tuned]
    told = told or ["No method was tuned for this comparison."]
    told += [f"With its own defaults ran {_listed(defaults)}."] if defaults else []
    told += [f"With settings that were given by hand ran {_listed(given)}."] if given else []
    return " ".join(told)


def _tuned(name: str, found: dict[str, Any]) -> str:
    """One sentence on a method."""
    ended = f", {found['stopped']} of them stopped early" if found["stopped"] else ""
    where = f"{_listed(found['problems'])}, instances {ranges(found['instances'])}"
    seeds = counted(len(found["seeds"]), "seed")
    kept = "its settings as named" if found["spec"] == found["asked"] else "these settings"
    budget = found["rules"]["budget"]
    passes = "" if isinstance(budget, list) else f", {budget:g} passes a run"
    return (
        f"{name} is {found['asked']} tuned: {counted(found['trials'], 'trial')}{ended}, "
        f"{found['passes']:.0f} passes in all, on {where}, "
        f"{seeds}{passes}; the hypervolume on search images chose {kept}, {found['found']:.4f} in the mean against "
        f"{found['default']:.4f} as named."
    )


def _listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))

"""What may be said of methods beside each other, by one indicator of their runs, and what it generalises to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..report import Board, RunSummary, StudyFacts, best_first
from .nested import Draws, difference
from .statistics import SIGNIFICANT, Comparison, Pairs, Values, compare_pairs, needed, pairs_of

LIBRARIES = ("pruneframe", "torch")  # runs of other versions of these are not compared
NO_DIFFERENCE = "no difference shown"
TURNED = {"better": "worse", "worse": "better"}  # what is said of one method, of the other


@dataclass(frozen=True)
class Verdict:
    """Two methods compared: a test, the gap between them with its 95 % interval, and why nothing may be claimed."""

    found: Comparison
    gap: float
    interval: tuple[float, float] | None
    obstacle: str = ""

    @property
    def text(self) -> str:
        """Of the second method beside the first: better, worse, that no difference is shown, or why nothing is said."""
        if self.obstacle:
            return f"no claim: {self.obstacle}"
        if self.found.p > SIGNIFICANT:
            return NO_DIFFERENCE
        return "worse" if self.found.ahead > 0 else "better"

    def says(self, method: str) -> str:
        """The same of either of the two."""
        return self.text if method == self.found.second else TURNED.get(self.text, self.text)


def values_of(runs: Sequence[RunSummary], indicator: str = "hypervolume") -> dict[str, Values]:
    """An indicator by method, instance and seed, of the runs that have it; methods as `best_first` orders them."""
    known = [run for run in runs if not math.isnan(getattr(run, indicator))]
    found: dict[str, dict[int, list[float]]] = {method: {} for method in best_first(known)}
    for run in sorted(known, key=lambda run: (run.instance, run.seed)):
        found[run.method].setdefault(run.instance, []).append(getattr(run, indicator))
    return dict(found)


def draws_of(runs: Sequence[RunSummary], method: str) -> Draws:
    """A method's hypervolumes with its test images drawn anew; empty where a run does not have them."""
    own = sorted((run for run in runs if run.method == method), key=lambda run: (run.instance, run.seed))
    if not all(run.hypervolume_resampled for run in own):
        return {}
    found: dict[int, list[Sequence[float]]] = {}
    for run in own:
        found.setdefault(run.instance, []).append(run.hypervolume_resampled)
    return found


def verdicts(runs: Sequence[RunSummary], control: str | None, indicator: str = "hypervolume") -> list[Verdict]:
    """The control with every other method, or where none of these runs is the control's every pair, by one indicator.

    All of them are corrected together, so that it does not matter which pairs a reader looks at.
    """
    values = values_of(runs, indicator)
    pairs = {(one, other): (values[one], values[other]) for one, other in pairs_of(values, control)}
    return judged(runs, pairs, unequal, indicator == "hypervolume")


def judged(
    runs: Sequence[RunSummary], pairs: Pairs, unequal: Callable[[Sequence[RunSummary]], str], images: bool = False
) -> list[Verdict]:
    """What may be said of two methods each by their own values, all corrected together.

    `unequal` says of the runs of two methods why they may not be compared, or nothing; `images`: whether the values are
    hypervolumes on test, which are known with other draws of the images as well.
    """
    own = {method: [run for run in runs if run.method == method] for pair in pairs for method in pair}
    compared = compare_pairs(pairs, fixed_of(runs))
    tests = [one.test for one in compared if one.test]
    told = []
    for one in compared:
        draws = (draws_of(runs, one.first), draws_of(runs, one.second)) if images else None
        obstacle = unequal([*own[one.first], *own[one.second]]) or _unattainable(one, tests)
        told.append(Verdict(one, *difference(*pairs[one.first, one.second], draws), obstacle))
    return told


def fixed_of(runs: Sequence[RunSummary]) -> set[str]:
    """The methods that give the same for every seed."""
    return {run.method for run in runs} - {run.method for run in runs if not run.deterministic}


def _unattainable(found: Comparison, tests: Sequence[str]) -> str:
    if not found.test:
        return "neither depends on the seed" if found.over == "seeds" else "no instance that both have run on"
    if found.attainable:
        return ""
    number = needed(tests)
    return "too many comparisons" if number is None else f"needs {number} {found.over.split()[-1]}"


def unequal(runs: Sequence[RunSummary]) -> str:
    """The first library or plugin of which some runs have other versions than others, with these; else nothing.

    Plugins are not named, since an anonymous comparison must not.
    """
    for library in LIBRARIES:
        versions = {run.environment.get(library, "") for run in runs}
        if len(versions) > 1:
            return f"{library} {' and '.join(sorted(versions))}"
    plugins: dict[str, set[str]] = {}
    for name, version in (plugin for run in runs for plugin in run.plugins):
        plugins.setdefault(name, set()).add(str(version))
    different = next((versions for versions in plugins.values() if len(versions) > 1), set())
    return f"versions {' and '.join(sorted(different))} of a plugin" if different else ""


def summed_up(told: Sequence[Verdict], control: str | None) -> dict[str, str]:
    """By method, in a few words, what the verdicts say of it."""
    methods = dict.fromkeys(name for one in told for name in (one.found.first, one.found.second))
    if control in methods:
        return {str(control): "control"} | {one.found.second: one.text for one in told}
    return {
        method: _among([one for one in told if method in (one.found.first, one.found.second)], method)
        for method in methods
    }


def _among(told: Sequence[Verdict], method: str) -> str:
    """What several verdicts on all pairs say of one method."""
    said: dict[str, list[str]] = {}
    for one in told:
        rival = one.found.second if one.found.first == method else one.found.first
        said.setdefault(one.says(method), []).append(rival)
    claims = [
        f"{word} than {said[word][0] if len(told) == 1 else f'{len(said[word])} of {len(told)}'}"
        for word in ("better", "worse")
        if word in said
    ]
    if claims:
        return ", ".join(claims)
    return next(iter(said)) if len(said) == 1 else NO_DIFFERENCE


def chosen(study: StudyFacts, methods: Sequence[str]) -> str:
    """What is compared with what among some methods, and whether that was known beforehand."""
    if study.control in methods:
        when = "named before the first run" if study.beforehand else "named after the runs"
        return f"All others are tested against the control, {study.control}, {when}."
    absent = f"The control, {study.control}, has not run here" if study.control else "No control was named beforehand"
    return f"{absent}: all pairs are tested, and corrected together."


def holds_for(board: Board, runs: Sequence[RunSummary]) -> str:
    """What a claim on a board generalises to, in a sentence made from the instances that its runs are of."""
    number = len({run.instance for run in runs})
    if number == 1:
        return "What is claimed holds on this network and split: seeds repeat the search alone."
    if "training" in board.varies:
        split = " and such splits of its data" if "split" in board.varies else " on this split"
        return f"What is claimed holds for networks trained by this recipe{split}, of which {number} were compared."
    if "split" in board.varies:
        return f"What is claimed holds for this network on such splits of its data, of which {number} were compared."
    return f"What is claimed holds on these {number} instances."

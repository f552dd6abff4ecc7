"""The tables of tests: which pairs of methods differ by which indicator, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

import pruneframe as pf
from pruneframe.comparison.anytime import Curves, curves_of
from pruneframe.comparison.races import LIMIT, Race, races, told
from pruneframe.comparison.ranking import FEWEST_BLOCKS, FEWEST_METHODS, rank
from pruneframe.comparison.verdicts import Verdict, holds_for, unequal, values_of, verdicts

PRINTED = 28  # pairs, all those of eight methods; of more the ones with the smallest p


@dataclass(frozen=True)
class Indicator:
    """What methods are compared by: a field of runs, what tables are called for it, and what it is."""

    field: str
    id: str
    text: str


MAIN = Indicator("hypervolume", "comparisons", "hypervolume on the test split")
ANYTIME = Indicator(
    "hypervolume_anytime", "comparisons-anytime", "mean over the budget of the search hypervolume reached"
)


@dataclass(frozen=True, repr=False)
class Comparisons(pf.Report):
    """Per problem, all tests of pairs: by the hypervolume, at any time, after fine-tuning, and at equal seconds."""

    name = "comparisons"
    place = 21

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Table | pf.Remark]:
        for number, board in enumerate(study.boards, 1):
            runs = study.done(board)
            for indicator, own in _indicators(runs):
                if found := verdicts(own, study.control, indicator.field):
                    smallest = sorted(found, key=lambda one: one.found.alone)[:PRINTED]
                    yield pf.Table(
                        f"{indicator.id}-{number}",
                        _caption(board, own, indicator, found),
                        pd.DataFrame([_printed(one) for one in (smallest if len(found) > PRINTED else found)]),
                        board.hash,
                        data=pd.DataFrame([_numbers(one) for one in found]),
                        methods=tuple(values_of(own, indicator.field)),
                    )
            if curves := curves_of(table, board, runs):
                yield from _at_equal_seconds(f"comparisons-seconds-{number}", board, runs, curves, study.control)


def _indicators(runs: Sequence[pf.RunSummary]) -> Iterator[tuple[Indicator, list[pf.RunSummary]]]:
    """All that some runs can be compared by, and which of them; fronts that were trained for longer are set apart."""
    yield MAIN, list(runs)
    yield ANYTIME, list(runs)
    lengths = sorted({run.finetuned for run in runs if run.finetuned})
    for epochs in lengths:
        apart = "" if len(lengths) == 1 else f"-{epochs}"
        text = f"hypervolume over test error and parameters after {epochs} epoch{'s' * (epochs != 1)} of fine-tuning"
        own = [run for run in runs if run.finetuned == epochs]
        yield Indicator("hypervolume_finetuned", f"comparisons-finetuned{apart}", text), own


def _at_equal_seconds(
    id: str, board: pf.Board, runs: Sequence[pf.RunSummary], curves: Curves, control: str | None
) -> Iterator[pf.Table | pf.Remark]:
    """The table of tests at equal seconds, beside what the same runs say in the end, and where the two differ."""
    found = races(runs, curves, control)
    if not found:
        return
    smallest = sorted(found, key=lambda race: race.then.found.alone)[:PRINTED]
    clocks = " or ".join(sorted({race.clock for race in found}))
    text = (
        f"hypervolume on the search split that both had reached {LIMIT} (the median over its seeds, on each instance; "
        f"in {clocks}, of which the table has the median over instances), and what the same test says at equal compute"
    )
    yield pf.Table(
        id,
        _caption(board, runs, Indicator("", id, text), [race.then for race in found]),
        pd.DataFrame(
            [
                _shortened(_raced(race, _printed, f"{race.after:.3g}"))
                for race in (smallest if len(found) > PRINTED else found)
            ]
        ),
        board.hash,
        data=pd.DataFrame([_raced(race, _numbers, race.after) for race in found]),
        methods=tuple(pf.best_first(runs)),
    )
    yield pf.Remark(f"{board.label}: {told(found)}", board.hash)


def _raced(race: Race, row: Callable[[Verdict], dict[str, Any]], after: Any) -> dict[str, Any]:
    told = row(race.then)
    head = {name: told.pop(name) for name in ("method", "against", "test")}
    return head | {"seconds": after} | told | {"at equal compute": race.ended.says(race.ended.found.first)}


def _shortened(row: dict[str, Any]) -> dict[str, Any]:
    """A row in which the same is not said twice."""
    return row | {"at equal compute": "the same"} if row["at equal compute"] == row["verdict"] else row


def _caption(board: pf.Board, runs: Sequence[pf.RunSummary], indicator: Indicator, found: Sequence[Verdict]) -> str:
    printed = f" The {PRINTED} of the smallest p are shown." if len(found) > PRINTED else ""
    second = "" if indicator == MAIN else " Another look at the same runs, corrected by itself."
    return (
        f"{board.label}: tests by the {indicator.text}, {len(found)} in all.{printed}{second} Difference: the method "
        "minus the other, of medians over seeds, or the mean over instances, with the 95 % interval by bootstrap. A12: "
        "chance that the method is better, over instances the share of them. p: two-sided; Holm: corrected for all of "
        f"these.{_overall(runs, indicator) if indicator.field else ''} {holds_for(board, runs)}"
    )


def _overall(runs: Sequence[pf.RunSummary], indicator: Indicator) -> str:
    """Whether any methods differ over instances, where there are enough of both."""
    values = {
        method: pd.Series({instance: sum(own) / len(own) for instance, own in found.items()})
        for method, found in values_of(runs, indicator.field).items()
    }
    frame = pd.DataFrame(values).dropna()
    blocks, methods = frame.shape
    if methods < FEWEST_METHODS or blocks < FEWEST_BLOCKS or unequal(runs):
        return ""
    return f" Whether any of {methods} methods differ over {blocks} instances: {rank(frame).told}."


def _numbers(told: Verdict) -> dict[str, Any]:
    found, (low, high) = told.found, told.interval or (None, None)
    return {
        "method": found.first,
        "against": found.second,
        "test": found.test,
        "over": found.over,
        "difference": told.gap,
        "difference_lower": low,
        "difference_upper": high,
        "a12": found.a12,
        "p": found.alone,
        "holm": found.p,
        "verdict": told.says(found.first),
    }


def _printed(told: Verdict) -> dict[str, str]:
    found = told.found
    interval = "" if told.interval is None else f" [{told.interval[0]:+.4f}, {told.interval[1]:+.4f}]"
    tested = {"p": f"{found.alone:.4f}", "Holm": f"{found.p:.4f}"} if found.test else {"p": "", "Holm": ""}
    return {
        "method": found.first,
        "against": found.second,
        "test": f"{found.test}, {found.over}" if found.test else "none",
        "difference": f"{told.gap:+.4f}{interval}" if told.gap == told.gap else "",
        "A12": f"{found.a12:.2f}",
        **tested,
        "verdict": told.says(found.first),
    }


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Comparisons]

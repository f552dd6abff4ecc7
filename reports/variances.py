"""How far hypervolumes lie apart between networks, between seeds, and by the sample of test images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import pandas as pd

import pruneframe as pf
from pruneframe.comparison.nested import spread_of
from pruneframe.comparison.verdicts import draws_of, values_of


@dataclass(frozen=True, repr=False)
class Variances(pf.Report):
    """Per problem, what a method's hypervolumes vary by: instances (networks and splits), seeds and test images."""

    name = "variances"
    place = 22

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Table]:
        for number, board in enumerate(study.boards, 1):
            runs = study.done(board)
            found = {
                method: asdict(spread_of(values, draws_of(runs, method))) for method, values in values_of(runs).items()
            }
            data = pd.DataFrame([{"method": method} | spread for method, spread in found.items()])
            if data[["instances", "seeds", "images"]].isna().all(axis=None):
                continue
            rows = [
                {"method": method} | {f"between {name}": _printed(value) for name, value in spread.items()}
                for method, spread in found.items()
            ]
            yield pf.Table(
                f"variances-{number}",
                f"{board.label}: standard deviations of the hypervolume on test, by the method of moments. Between "
                "instances: networks with their splits, the mean over seeds of each; between seeds: of one instance; "
                "between images: of one front, with its test images drawn anew, which is a part of what lies between "
                "instances. What methods have in common is no difference between them.",
                pd.DataFrame(rows),
                board.hash,
                data=data,
            )


def _printed(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [Variances]

"""The table of a run's evaluations: of a search that has ended, and of a journal so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..search.answer import Answer

if TYPE_CHECKING:  # it takes torch along, which nobody needs who only reads
    from ..search.archive import Archive

TOTALS = ("spent", "seconds", "own", "processor")  # until an evaluation had been answered
COLUMNS = ["number", "mask", "weights", *TOTALS]  # beside those of the objectives


def of_archive(archive: Archive, objectives: Sequence[str]) -> pd.DataFrame:
    """All that a search evaluated."""
    rows = archive.evaluations
    values = np.array([row.values for row in rows]).reshape(len(rows), len(objectives))
    frame = pd.DataFrame({name: [getattr(row, name) for row in rows] for name in COLUMNS})
    for column, name in enumerate(objectives):
        frame[name] = values[:, column]
    return frame


def of_answers(answers: Sequence[Answer], objectives: Sequence[str]) -> pd.DataFrame:
    """The same, by what a journal holds."""
    rows: list[dict[str, Any]] = []
    totals = np.zeros(len(TOTALS))
    for answer in answers:
        totals += (answer.charge, answer.seconds, answer.own, answer.processor)
        if answer.kind == "evaluate":
            asked = {"mask": answer.question["mask"], "weights": answer.question["weights"]}
            head = {"number": answer.number} | asked | dict(zip(TOTALS, totals.tolist(), strict=True))
            rows.append(head | dict(zip(objectives, answer.values, strict=True)))
    return pd.DataFrame(rows, columns=[*COLUMNS, *objectives])

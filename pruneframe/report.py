"""Reports: figures and tables drawn from a study's long table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .component import Component

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class Figure:
    """A drawn figure; `id` is short, unique in its report and made of letters, digits and dashes."""

    id: str
    caption: str
    figure: matplotlib.figure.Figure


@dataclass(frozen=True)
class Table:
    """A table as it is to be printed: one row a line, column names as headings."""

    id: str
    caption: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class Board:
    """What the runs that may be compared with each other share: one problem under one set of rules."""

    label: str
    problem: str
    objectives: tuple[str, ...]
    references: tuple[float, ...]
    dense_search: tuple[float, ...]  # objective values of the unpruned network
    dense_test: tuple[float, ...]
    budget: float


@dataclass(frozen=True)
class StudyFacts:
    """All that a report is told beside the long table: the boards, one summary per run, and methods' provenance.

    `records` are what methods recorded (`Task.record`), below each other, with board, method, seed and the table's name
    as `record`; columns that a table lacks are empty.
    """

    boards: tuple[Board, ...]
    runs: tuple[dict[str, Any], ...]
    provenance: dict[str, str]
    records: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True, repr=False)
class Report(Component):
    """A figure or table, or a few that belong together.

    The long table has one row per evaluation (split `search`, kind `evaluation`) and two per final member (kind
    `member`, split `search` and `test`): board, problem, method, seed, number, units_spent, seconds, and for every
    objective its value and, as `NAME_normalised`, its share of the reference.
    """

    @abstractmethod
    def draw(self, table: pd.DataFrame, study: StudyFacts) -> Iterable[Figure | Table]:
        """What this report shows of a study; nothing where the study has not what it needs."""


def normalised(rows: pd.DataFrame, board: Board) -> np.ndarray:
    """The normalised objective values of some rows of the long table, float64[rows, objectives]."""
    return rows[[f"{name}_normalised" for name in board.objectives]].to_numpy(dtype=np.float64)

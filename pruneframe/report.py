"""Reports: figures and tables drawn from a study's long table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from .component import Component
from .method import Claim

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class Figure:
    """A drawn figure; `id` is short, unique in its report and made of letters, digits and dashes.

    `board` is the label of the board that it is about; empty where it is about all of them. `methods` are those whose
    finished runs are behind it, none of them where it shows no run; not given: all of its board's.
    """

    id: str
    caption: str
    figure: matplotlib.figure.Figure
    board: str = ""
    methods: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Table:
    """A table as it is to be printed: one row a line, column names as headings.

    `best` are the cells (row, column) to be set in bold; `data` has the numbers behind it, for those who compute on,
    where they are not the same; `board` and `methods` as a figure's.
    """

    id: str
    caption: str
    frame: pd.DataFrame
    board: str = ""
    best: frozenset[tuple[int, str]] = frozenset()
    data: pd.DataFrame | None = None
    methods: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Remark:
    """A sentence that a reader must not miss, such as a warning."""

    text: str
    board: str = ""


Item = Figure | Table | Remark


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
    rules: dict[str, Any] = field(default_factory=dict)  # units, batch_norm, search_images, device, threads, target
    source: str = ""  # where network and images come from


@dataclass(frozen=True)
class StudyFacts:
    """All that a report is told beside the long table.

    `runs` has one summary per run, `provenance` and `claims` are by method. `records` are what methods recorded
    (`Task.record`), below each other, with board, method, seed and the table's name as `record`; columns that a table
    lacks are empty. `layers` says what final members keep: board, method, seed, number (of the member), layer, kept and
    units. `control` is the method that others are tested against, `highlight` one that figures draw strongest.
    """

    boards: tuple[Board, ...]
    runs: tuple[dict[str, Any], ...]
    provenance: dict[str, str]
    records: pd.DataFrame = field(default_factory=pd.DataFrame)
    layers: pd.DataFrame = field(default_factory=pd.DataFrame)
    claims: dict[str, tuple[Claim, ...]] = field(default_factory=dict)
    control: str | None = None
    highlight: str | None = None

    @property
    def methods(self) -> list[str]:
        """All methods with a finished run, sorted."""
        return sorted({run["method"] for run in self.runs if run["status"] == "done"})

    def done(self, board: Board) -> list[dict[str, Any]]:
        """The finished runs on a board."""
        return [run for run in self.runs if run["board"] == board.label and run["status"] == "done"]


@dataclass(frozen=True, repr=False)
class Report(Component):
    """A figure or table, or a few that belong together.

    The long table has one row per evaluation (split `search`, kind `evaluation`), two per final member (kind `member`,
    split `search` and `test`), and two per member after the common fine-tuning (kind `finetuned`): board, problem,
    method, seed, number, units_spent, seconds, and for every objective its value and, as `NAME_normalised`, its share
    of the reference. Rows of members have `error` and `removed`, the share of all parameters, whatever the objectives.
    """

    place: ClassVar[int] = 50  # among the other reports of a section, smallest first
    appendix: ClassVar[bool] = False  # whether it stands behind all sections, not in its board's

    @abstractmethod
    def draw(self, table: pd.DataFrame, study: StudyFacts) -> Iterable[Item]:
        """What this report shows of a study; nothing where the study has not what it needs."""


def normalised(rows: pd.DataFrame, board: Board) -> np.ndarray:
    """The normalised objective values of some rows of the long table, float64[rows, objectives]."""
    return rows[[f"{name}_normalised" for name in board.objectives]].to_numpy(dtype=np.float64)


def members(table: pd.DataFrame, board: Board, split: str, kind: str = "member") -> pd.DataFrame:
    """The rows of a board's final members on one split."""
    return table[(table.board == board.label) & (table.kind == kind) & (table.split == split)]


def fronts(rows: pd.DataFrame, board: Board, runs: Iterable[dict[str, Any]]) -> dict[str, list[np.ndarray]]:
    """Each method's normalised fronts, one for each of its runs, also for those that have no member; by method."""
    found: dict[str, list[np.ndarray]] = {}
    for run in runs:
        own = rows[(rows.method == run["method"]) & (rows.seed == run["seed"])]
        found.setdefault(run["method"], []).append(normalised(own, board))
    return dict(sorted(found.items()))


def best_first(runs: Iterable[dict[str, Any]]) -> list[str]:
    """The methods of some finished runs, the largest median hypervolume first."""
    values: dict[str, list[float]] = {}
    for run in runs:
        values.setdefault(run["method"], []).append(run["hypervolume"])
    return sorted(values, key=lambda method: (-float(np.median(values[method])), method))


def without_machine(identity: str) -> str:
    """A device's identity without the name of the machine that it measures, which stands behind `on`."""
    return identity.partition(" on ")[0]

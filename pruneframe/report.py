"""Reports: figures and tables drawn from a study's long table."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from .component import Claim, Component
from .front import DROPS, OperatingPoint
from .item import Item
from .spec import meant

RUN = ("method", "instance", "seed")  # the columns that tell a run from the others of its board
RunKey = tuple[str, int, int]  # what they hold


@dataclass(frozen=True)
class Instance:
    """One trained network with one split of the data: what its runs are measured by.

    `number` is what `--instances` calls it. In the order of the board's objectives: `references` (what counts as 1 in
    each) and the unpruned network's values, `dense_search` and `dense_test`. `dense_error` and `dense_test_error` are
    its errors, whatever the objectives. `true_hypervolume` is that of all masks on search, where a table knows it.
    """

    number: int
    references: tuple[float, ...]
    dense_search: tuple[float, ...]
    dense_test: tuple[float, ...]
    dense_error: float
    dense_test_error: float
    true_hypervolume: float | None = None


@dataclass(frozen=True)
class Board:
    """What the runs that may be compared with each other share: one problem under one set of rules.

    Runs are compared with those of their own instance. `objectives` are names, in the order of `references`, of
    `dense_search` and `dense_test`, which are medians over the instances, and of `quantities`.
    """

    hash: str  # what tables and runs call it
    label: str  # what people call it: the problem, its instances, and what tells it from the problem's other boards
    problem: str
    objectives: tuple[str, ...]
    instances: tuple[Instance, ...]  # ascending
    budget: float  # in passes
    rules: dict[str, Any] = field(default_factory=dict)  # units, batch_norm, search_images, device, threads, target
    source: str = ""  # where network and images come from
    quantities: tuple[str, ...] = ()  # what each objective counts: "parameters", "bytes"
    varies: tuple[str, ...] = ()  # what its problem's instances differ in: training, split

    @property
    def references(self) -> tuple[float, ...]:
        """What counts as 1 in each objective."""
        return _median([one.references for one in self.instances])

    @property
    def dense_search(self) -> tuple[float, ...]:
        """The unpruned network's objectives on search."""
        return _median([one.dense_search for one in self.instances])

    @property
    def dense_test(self) -> tuple[float, ...]:
        """The unpruned network's objectives on test."""
        return _median([one.dense_test for one in self.instances])

    @property
    def over(self) -> str:
        """What a median over its runs is a median over."""
        return "seeds" if len(self.instances) == 1 else "instances and seeds"

    @property
    def unpruned(self) -> str:
        """What a mark at `dense_test` stands for."""
        return "the unpruned network" if len(self.instances) == 1 else "the median of the unpruned networks"

    def instance(self, number: int) -> Instance:
        """The instance of that number."""
        return next(one for one in self.instances if one.number == number)


@dataclass(frozen=True)
class RunSummary:
    """One run as it is told of: what it is, how far it is, and what it reached. What is not known is not a number.

    `status` is done, empty (nothing reached) or failed, for a `reason`, partial, or missing. `board` is the hash of the
    rules that runs must share to be compared, each with those of its own `instance`, `hash` of all that the run is;
    `units`, `batch_norm`, `budget` (passes), `search_images`, `objectives` and the search's `precision` are among them.
    `seconds` are those of all answers to the search, `seconds_by_kind` apart by the kind of question, `own_seconds`
    those of the method's work between them, `processor_seconds` those that its process worked for both, and
    `seconds_in_all` those that went by from the search's last start to its end; `evaluations` says how many answers
    were candidates, `repeats` how many more were asked for that were known, and so were free. The search `ended` by its
    budget, by its method, which returned, or by repeats, many on end. A `deterministic` run is
    the same under every seed. `hypervolume` is with the errors on test, `hypervolume_search` on search,
    `hypervolume_region` where the error is near the unpruned network's, which is `dense_error` on search and
    `dense_test_error` on test, `hypervolume_log` with sizes on a log scale, `hypervolume_anytime` the mean over the
    budget of what the search had reached, `hypervolume_finetuned` over test errors and parameters after the common
    fine-tuning, `hypervolume_resampled` as the first, each with test images drawn anew. `front_size` counts final
    members, `points` are operating points, bold and sure. `folder` is where the run lies.
    """

    problem: str
    method: str
    instance: int
    seed: int
    status: str
    board: str = ""
    hash: str = ""
    units: str = ""
    batch_norm: str = ""
    budget: float = math.nan
    search_images: int = 0
    objectives: tuple[str, ...] = ()
    precision: str = ""
    deterministic: bool = False
    passes_spent: float = math.nan  # of its budget
    evaluations: int = 0
    repeats: int = 0
    ended: str = ""  # by its budget, its method, or repeats
    seconds: float = math.nan
    seconds_by_kind: dict[str, float] = field(default_factory=dict)
    own_seconds: float = math.nan
    processor_seconds: float = math.nan
    seconds_in_all: float = math.nan
    hypervolume: float = math.nan
    hypervolume_search: float = math.nan
    hypervolume_region: float = math.nan
    hypervolume_log: float = math.nan
    hypervolume_anytime: float = math.nan
    hypervolume_finetuned: float = math.nan
    hypervolume_resampled: tuple[float, ...] = ()
    front_size: int = 0
    dense_error: float = math.nan
    dense_test_error: float = math.nan
    points: tuple[OperatingPoint, ...] = tuple(
        OperatingPoint(drop, sure=sure) for drop in DROPS for sure in (False, True)
    )
    reason: str = ""
    folder: str = ""
    plugins: tuple[tuple[str, str], ...] = ()  # distributions and versions behind it
    environment: dict[str, Any] = field(default_factory=dict)  # versions and hardware it was computed with
    verified: str = ""  # what of it `verify` has computed anew
    finetuned: int = 0  # epochs of the common fine-tuning of its front
    finetuning_passes: float = 0.0  # that it cost

    @property
    def done(self) -> bool:
        """Whether it has ended well."""
        return self.status == "done"

    @property
    def key(self) -> RunKey:
        """What tells it from the other runs of its board."""
        return self.method, self.instance, self.seed

    def point(self, drop: float, sure: bool = False) -> OperatingPoint:
        """The operating point at so many points lost, bold or sure."""
        return next(point for point in self.points if (point.drop, point.sure) == (drop, sure))

    def json(self) -> dict[str, Any]:
        """As `summary --json` prints it; null for what is not known."""
        told = {name: value for name, value in asdict(self).items() if name not in NOT_PRINTED}
        if self.status not in ("done", "empty"):
            told |= {"front_size": None, "deterministic": None}
        for point in self.points:
            values = {"reduction": point.reduction, "test_drop": point.test_drop, "test_drop_interval": point.interval}
            told |= {f"{point.kind}{name}_at_{point.drop:g}": value for name, value in values.items()}
        told |= {"reason": self.reason} if self.reason else {}
        return {name: None if value != value else value for name, value in told.items()}


NOT_PRINTED = (
    *("points", "reason", "folder", "plugins", "environment"),
    *("finetuned", "finetuning_passes", "hypervolume_finetuned", "hypervolume_resampled"),
)


@dataclass(frozen=True)
class StudyFacts:
    """All that a report is told beside the long table: `boards` with a finished run, and all `runs`.

    `provenance` is by method, `claims` are papers'. `records` are what methods recorded (`Task.record`), below each
    other, with board, method, instance, seed and the table's name as `record`; columns that it lacks are empty.
    `layers` says what final members keep: board, method, instance, seed, number (of the member), layer, kept and
    units. `control` is the method that others are tested against, named `beforehand` where studies were begun with
    it; without one all pairs are tested. `highlight` is drawn strongest. `tuned`: how settings were found.
    """

    boards: tuple[Board, ...]
    runs: tuple[RunSummary, ...]
    provenance: dict[str, str]
    records: pd.DataFrame = field(default_factory=pd.DataFrame)
    layers: pd.DataFrame = field(default_factory=pd.DataFrame)
    claims: tuple[Claim, ...] = ()
    control: str | None = None
    beforehand: bool = False
    highlight: str | None = None
    tuned: dict[str, dict[str, Any]] = field(default_factory=dict)

    def beside(self, control: str | None) -> StudyFacts:
        """The same with a control that is named now; raises InputError for one that has not run."""
        if control is None or control == self.control:
            return self
        named = meant("method", control, self.methods)
        return self if named == self.control else replace(self, control=named, beforehand=False)

    @property
    def methods(self) -> list[str]:
        """All methods with a finished run, sorted."""
        return sorted({run.method for run in self.runs if run.done})

    def done(self, board: Board | None = None) -> list[RunSummary]:
        """The finished runs on a board, or on any."""
        return [run for run in self.runs if run.done and (board is None or run.board == board.hash)]


@dataclass(frozen=True, repr=False)
class Report(Component):
    """A figure or table, or a few that belong together.

    The long table has one row per evaluation (split `search`, kind `evaluation`), two per final member (kind `member`,
    split `search` and `test`), and two per member after the common fine-tuning (kind `finetuned`): board (its hash),
    problem, method, instance, seed, number, passes_spent, seconds (of answers), own_seconds (of the method's work
    between them), processor_seconds (that the process worked for both), and for every objective its value and, as
    `NAME_normalised`, its share of the reference. Rows of members have `error` and `removed`, the share of all
    parameters, and on search `loss_bound`, the share of accuracy that they lose at most with 90 % confidence.
    """

    kind = "report"
    place: ClassVar[int] = 50  # among the other reports of a section, smallest first
    appendix: ClassVar[bool] = False  # whether it stands behind all sections, not in its board's

    @abstractmethod
    def draw(self, table: pd.DataFrame, study: StudyFacts) -> Iterable[Item]:
        """What this report shows of a study; nothing where the study has not what it needs."""


def normalised(rows: pd.DataFrame, board: Board) -> np.ndarray:
    """The normalised objective values of some rows of the long table, float64[rows, objectives]."""
    return np.column_stack([rows[f"{name}_normalised"].to_numpy(dtype=np.float64) for name in board.objectives])


def members(table: pd.DataFrame, board: Board, split: str, kind: str = "member") -> pd.DataFrame:
    """The rows of a board's final members on one split."""
    return table[(table.board == board.hash) & (table.kind == kind) & (table.split == split)]


def by_run(rows: pd.DataFrame) -> dict[RunKey, pd.DataFrame]:
    """Some rows of the long table, of records or of layers, apart by method, instance and seed; their order stays."""
    groups = rows.groupby(list(RUN), sort=False)
    return {(str(method), int(str(instance)), int(str(seed))): own for (method, instance, seed), own in groups}


def fronts(rows: pd.DataFrame, board: Board, runs: Iterable[RunSummary]) -> dict[str, list[np.ndarray]]:
    """Each method's normalised fronts, one for each of its runs, also for those that have no member; by method."""
    found: dict[str, list[np.ndarray]] = {}
    own = by_run(rows)
    for run in runs:
        found.setdefault(run.method, []).append(normalised(own.get(run.key, rows[:0]), board))
    return dict(sorted(found.items()))


class Told(Protocol):
    """A run, planned or carried out, as people call it."""

    @property
    def problem(self) -> str: ...
    @property
    def instance(self) -> int: ...
    @property
    def seed(self) -> int: ...


def place(run: Told, among: Iterable[Told] = ()) -> str:
    """Where a run belongs: problem and seed, and the instance where its own, or another among some runs, is not 0."""
    told = f", instance {run.instance}" if any(one.instance for one in (run, *among)) else ""
    return f"{run.problem}{told}, seed {run.seed}"


def _median(rows: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Column by column."""
    return tuple(float(value) for value in np.median(rows, axis=0)) if len(rows) > 1 else rows[0]


def best_first(runs: Iterable[RunSummary]) -> list[str]:
    """The methods of some finished runs, the largest median hypervolume first."""
    values: dict[str, list[float]] = {}
    for run in runs:
        values.setdefault(run.method, []).append(run.hypervolume)
    return sorted(values, key=lambda method: (-float(np.median(values[method])), method))

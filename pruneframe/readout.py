"""A study read back: the progress of its runs, their summaries, what reports are told, and the one long table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .front import FRONT_LIMIT, hypervolume, non_dominated
from .journal import MEMBER
from .report import Board, StudyFacts
from .result import DROPS
from .store import RunFolder, StudyFolder

INDICATORS = ("hypervolume", "hypervolume_search", "hypervolume_region", "front_size")
POINTS = tuple(f"{name}_at_{drop:g}" for drop in DROPS for name in ("reduction", "test_drop"))
COLUMNS = ["board", "problem", "method", "seed", "kind", "split", "number", "units_spent", "seconds"]
INTERVALS = tuple(f"test_drop_interval_at_{drop:g}" for drop in DROPS)


@dataclass
class Progress:
    """What a run has done so far, read from its journal while another process writes it."""

    folder: RunFolder
    budget: float
    spent: float = 0.0
    seconds: float = 0.0
    evaluations: int = 0
    measured: int = 0  # answers about the dense network and the final members, on search and on test
    measuring: float = 0.0  # seconds that those took
    points: list[list[float]] = field(default_factory=list)

    def refresh(self) -> None:
        """Read the journal again."""
        if not (self.folder.path / "identity.json").exists():
            return
        lines = self.folder.answers()
        answers = [line for line in lines if line["kind"] != MEMBER]
        self.measured = len(lines) - len(answers)
        self.measuring = sum(line["seconds"] for line in lines if line["kind"] == MEMBER)
        self.spent = sum(answer["charge"] for answer in answers)
        self.seconds = sum(answer["seconds"] for answer in answers)
        self.points = [answer["values"] for answer in answers if answer["kind"] == "evaluate"]
        self.evaluations = len(self.points)

    @property
    def hypervolume(self) -> float:
        """Of all evaluations so far, on the search split."""
        if not self.points:
            return 0.0
        return hypervolume(np.array(self.points) / np.array(self.folder.identity["references"]))

    @property
    def members(self) -> int:
        """How many answers about final members there will be."""
        return 2 * (1 + min(FRONT_LIMIT, int(non_dominated(np.array(self.points)).sum())))

    @property
    def state(self) -> str:
        """What the run is doing."""
        if self.measured:
            return f"measuring its front ({self.measured} of {self.members})"
        return "searching" if self.spent else "waiting"

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far: of the search, and then of what measures its front."""
        if self.measured:
            return self.measuring / self.measured * max(0, self.members - self.measured)
        return self.seconds / self.spent * (self.budget - self.spent) if self.spent else None


def summaries(study: StudyFolder) -> list[dict[str, Any]]:
    """One object per run, as `summary --json` prints them."""
    return [_summary(folder) for folder in study.runs()]


def _summary(folder: RunFolder) -> dict[str, Any]:
    identity = folder.identity
    keys = ("problem", "method", "seed")
    head = {key: identity[key] for key in keys}
    status = "done" if folder.finished else "failed" if folder.failure else "partial"
    rules = {
        key: identity[key] for key in ("units", "batch_norm", "budget", "search_images", "objectives", "hash", "board")
    }
    names = (
        "deterministic",
        "units_spent",
        "evaluations",
        "seconds",
        *INDICATORS,
        "dense_error",
        "dense_test_error",
        *POINTS,
        *INTERVALS,
    )
    if folder.finished:
        found = folder.result
    else:
        progress = Progress(folder, identity["budget"])
        progress.refresh()
        found = {
            "units_spent": progress.spent,
            "evaluations": progress.evaluations,
            "seconds": progress.seconds,
            "hypervolume_search": progress.hypervolume,
        }
    values = {name: found.get(name) for name in names}
    failure = {"reason": folder.failure} if status == "failed" else {}
    return head | {"status": status} | rules | values | failure


def facts(study: StudyFolder) -> StudyFacts:
    """What reports are told of a study."""
    boards: dict[str, Board] = {}
    provenance: dict[str, str] = {}
    folders = list(study.runs())
    several = _labels([folder.identity for folder in folders])
    for folder in folders:
        if not folder.finished:
            continue
        identity, result = folder.identity, folder.result
        provenance[identity["method"]] = result["provenance"]
        if identity["board"] not in boards:
            boards[identity["board"]] = Board(
                label=several[identity["board"]],
                problem=identity["problem"],
                objectives=tuple(identity["objectives"]),
                references=tuple(identity["references"]),
                dense_search=tuple(result["dense_search"]),
                dense_test=tuple(result["dense_test"]),
                budget=identity["budget"],
            )
    called = methods(folders)
    runs = tuple(
        summary | {"board": several[summary["board"]], "method": called[folder.path]}
        for folder, summary in zip(folders, summaries(study), strict=True)
    )
    records = [
        table.assign(board=several[folder.identity["board"]], method=called[folder.path], seed=folder.identity["seed"])
        for folder in folders
        if folder.finished and (table := folder.diagnostics()) is not None
    ]
    joined = pd.concat(records, ignore_index=True) if records else pd.DataFrame()
    return StudyFacts(tuple(boards.values()), runs, provenance, joined)


def methods(folders: Sequence[RunFolder]) -> dict[Path, str]:
    """How each run's method is called: its repr, and its plugins' versions where runs differ in nothing else."""
    identities = {folder.path: folder.identity for folder in folders}
    versions: dict[tuple[str, str], set[str]] = {}
    for identity in identities.values():
        versions.setdefault((identity["board"], identity["method"]), set()).add(_versions(identity))
    return {
        path: identity["method"]
        + (f" ({_versions(identity)})" if len(versions[identity["board"], identity["method"]]) > 1 else "")
        for path, identity in identities.items()
    }


def _versions(identity: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in identity["versions"])


def _labels(identities: Sequence[dict[str, Any]]) -> dict[str, str]:
    """A short name for every board: the problem, and what tells it from the problem's other boards."""
    boards = {identity["board"]: identity for identity in identities}
    rules = (
        "units",
        "batch_norm",
        "search_images",
        "budget",
        "objectives",
        "target_identity",
        "device",
        "threads",
        "fingerprint",
    )
    labels = {}
    for key, identity in boards.items():
        rivals = [other for other in boards.values() if other["problem"] == identity["problem"]]
        apart = [rule for rule in rules if len({str(other.get(rule)) for other in rivals}) > 1]
        extra = ", ".join(f"{rule.partition('_identity')[0]} {_plain(identity.get(rule))}" for rule in apart)
        labels[key] = identity["problem"] + (f" ({extra})" if extra else "")
    return labels


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def long_table(study: StudyFolder) -> pd.DataFrame:
    """One row per evaluation, and two (search, test) per final member; see `pruneframe.report.Report`."""
    folders = list(study.runs())
    labels = _labels([folder.identity for folder in folders])
    called = methods(folders)
    parts = [part for folder in folders for part in _rows(folder, labels, called[folder.path])]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def _rows(folder: RunFolder, labels: dict[str, str], method: str) -> Iterator[pd.DataFrame]:
    identity = folder.identity
    names, references = identity["objectives"], identity["references"]
    head = {"board": labels[identity["board"]], "problem": identity["problem"], "method": method}

    def framed(kind: str, split: str, frame: pd.DataFrame) -> pd.DataFrame:
        shares = {f"{n}_normalised": frame[n] / r for n, r in zip(names, references, strict=True)}
        return frame.assign(**head, seed=identity["seed"], kind=kind, split=split, **shares)

    evaluations = folder.evaluations().rename(columns={"spent": "units_spent"})
    if len(evaluations):
        yield framed("evaluation", "search", evaluations[["number", "units_spent", "seconds", *names]])
    if folder.finished and len(front := folder.front()):
        for split in ("search", "test"):
            frame = pd.DataFrame(front[split], columns=names)
            frame.insert(0, "number", range(len(frame)))
            frame["params"] = front["params"]
            if len(frame):
                yield framed("member", split, frame)

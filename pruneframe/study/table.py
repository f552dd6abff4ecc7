"""The one long table of some studies, which figures and tables are drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from .correctness import Correctness
from .facts import heads_of, runs
from .folder import RunFolder
from .paired import loss_bounds
from .rows import Rows, stacked
from .store import StudyFolder

COLUMNS = ["board", "problem", "method", "instance", "seed", "kind", "split", "number", "passes_spent", "seconds"]
COLUMNS += ["own_seconds", "processor_seconds"]
COUNTED = {
    "number": "number",
    "spent": "passes_spent",
    "seconds": "seconds",
    "own": "own_seconds",
    "processor": "processor_seconds",
}  # a journal's names, and the table's

FRONT = ("params", "search", "test", "search_error", "test_error", "search_lost", "search_gained")


def long_table(*studies: StudyFolder) -> pd.DataFrame:
    """One row per evaluation, and several per final member; see `pruneframe.report.Report`."""
    folders = runs(*studies)
    heads = heads_of(folders)
    return stacked([part for folder in folders for part in _rows(folder, heads[folder.path])], COLUMNS)


def evaluations(*studies: StudyFolder) -> pd.DataFrame:
    """The rows of that table that are evaluations."""
    folders = runs(*studies)
    heads = heads_of(folders)
    return stacked([next(_rows(folder, heads[folder.path])) for folder in folders], COLUMNS)


def _rows(folder: RunFolder, head: dict[str, Any]) -> Iterator[Rows]:
    """Those of a run: its evaluations first."""
    identity = folder.identity
    names = identity["objectives"]
    references = identity["references"] or [float("nan")] * len(names)  # it failed before they were known

    def told(kind: str, split: str) -> dict[str, Any]:
        return head | {"problem": identity["problem"], "kind": kind, "split": split}

    def measured(kind: str, split: str, columns: dict[str, Any]) -> Rows:
        shares = {f"{n}_normalised": columns[n] / r for n, r in zip(names, references, strict=True) if n in columns}
        return Rows(told(kind, split), columns | shares)

    asked = folder.evaluations([*COUNTED, *names])
    columns = {COUNTED.get(str(name), str(name)): values.to_numpy() for name, values in asked.items()}
    yield measured("evaluation", "search", columns)
    if folder.finished:
        Correctness.of(folder)  # nothing is told of a front that does not agree with itself
        front, tuned, total = folder.front(FRONT), folder.finetuned(), folder.result["total_params"]
        bounds = {"search": loss_bounds(front["search_lost"], front["search_gained"], identity["search_images"])}
        number, removed = np.arange(len(front["params"])), 1 - front["params"] / total
        for split in ("search", "test"):
            values = {name: front[split][:, column] for column, name in enumerate(names)}
            own = {"number": number, "params": front["params"], "error": front[f"{split}_error"], "removed": removed}
            own |= {"loss_bound": bounds[split]} if split in bounds else {}
            yield measured("member", split, values | own)
            if tuned is not None:
                shown = {"number": number, "removed": removed, "error": tuned[f"{split}_error"]}
                yield Rows(told("finetuned", split), shown)

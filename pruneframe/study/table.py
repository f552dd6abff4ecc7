"""The one long table of some studies, which figures and tables are drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from .facts import heads_of, joined, runs
from .store import RunFolder, StudyFolder

COLUMNS = ["board", "problem", "method", "seed", "kind", "split", "number", "passes_spent", "seconds"]


def long_table(*studies: StudyFolder) -> pd.DataFrame:
    """One row per evaluation, and several per final member; see `pruneframe.report.Report`."""
    folders = runs(*studies)
    heads = heads_of(folders)
    return joined([part for folder in folders for part in _rows(folder, heads[folder.path])], COLUMNS)


def _rows(folder: RunFolder, head: dict[str, Any]) -> Iterator[pd.DataFrame]:
    identity = folder.identity
    names, references = identity["objectives"], identity["references"]
    head = head | {"problem": identity["problem"]}

    def framed(kind: str, split: str, frame: pd.DataFrame) -> pd.DataFrame:
        shares = {f"{n}_normalised": frame[n] / r for n, r in zip(names, references, strict=True) if n in frame}
        return frame.assign(**head, kind=kind, split=split, **shares)

    evaluations = folder.evaluations().rename(columns={"spent": "passes_spent"})
    yield framed("evaluation", "search", evaluations[["number", "passes_spent", "seconds", *names]])
    if folder.finished:
        front, tuned, total = folder.front(), folder.finetuned(), folder.result["total_params"]
        numbers = {"number": np.arange(len(front["params"])), "params": front["params"]}
        for split in ("search", "test"):
            own = numbers | {"error": front[f"{split}_error"], "removed": 1 - front["params"] / total}
            measured = {name: front[split][:, column] for column, name in enumerate(names)}
            yield framed("member", split, pd.DataFrame(measured | own))
            if tuned is not None:
                shown = {"number": own["number"], "removed": own["removed"], "error": tuned[f"{split}_error"]}
                yield pd.DataFrame(shown).assign(**head, kind="finetuned", split=split)

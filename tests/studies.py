"""Studies for tests: some made by hand, in which every figure is known, and some that were run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tiny import lookup, registry

import pruneframe as pf
from pruneframe.files import write_document
from pruneframe.front import hypervolume
from pruneframe.study.folder import RunFolder
from pruneframe.study.formats import seal_of
from pruneframe.study.machine import environment
from pruneframe.study.plan import plan
from pruneframe.study.store import StudyFolder
from pruneframe.study.worker import carry_out

SETTINGS: dict[str, Any] = {"commands": [], "environments": [{"pruneframe": "0", "platform": "a_b #c *d*"}]}

Fronts = dict[tuple[str, int], list[tuple[float, float]]]  # (error, parameters) by method and seed

TWO: Fronts = {
    ("first", 0): [(0.10, 80.0), (0.20, 40.0)],
    ("first", 1): [(0.10, 60.0), (0.30, 20.0)],
    ("second", 0): [(0.15, 90.0)],
    ("second", 1): [(0.60, 10.0)],
}
REFERENCES = np.array([0.5, 100.0])  # guessing's error, and the unpruned network's parameters
DENSE, DENSE_TEST = 0.05, 0.1  # the unpruned network's errors on search and on test


def hand_made(
    fronts: Fronts = TWO, board: str = "toy", extra: float = 0.0, instance: int = 0
) -> tuple[pd.DataFrame, pf.StudyFacts]:
    """A study of one instance; errors on test are larger by `extra` than those on search."""
    rows: list[dict[str, Any]] = []
    runs: list[pf.RunSummary] = []
    for (method, seed), found in fronts.items():
        head = {"board": board, "problem": board, "method": method, "instance": instance, "seed": seed}
        for number, (error, params) in enumerate(found):
            spent = {"number": number, "passes_spent": 3.0 * (number + 1), "seconds": 1.0 + number, "own_seconds": 0.5}
            rows.append(head | spent | _values(error, params) | {"kind": "evaluation", "split": "search"})
            for split, more in (("search", 0.0), ("test", extra)):
                removed = {"number": number, "removed": 1 - params / REFERENCES[1], "kind": "member", "split": split}
                bound = {"loss_bound": error - DENSE + 0.002} if split == "search" else {}
                rows.append(head | removed | bound | _values(error + more, params))
        runs.append(pf.RunSummary(**head, **_summary(np.array(found), extra)))
    values = tuple(REFERENCES), (DENSE, 100.0), (DENSE_TEST, 100.0), DENSE, DENSE_TEST
    instances = (pf.Instance(instance, *values),)
    made = pf.Board(board, board, board, ("error", "params"), instances, 10.0, quantities=("share", "parameters"))
    methods = {method: "" for method, _ in fronts}
    return pd.DataFrame(rows), pf.StudyFacts((made,), tuple(runs), methods | {"first": "published"})


def _values(error: float, params: float) -> dict[str, float]:
    shares = np.array([error, params]) / REFERENCES
    return {"error": error, "params": params, "error_normalised": shares[0], "params_normalised": shares[1]}


def _summary(found: np.ndarray, extra: float) -> dict[str, Any]:
    on_test = found + np.array([extra, 0.0])
    return {
        "status": "done",
        "deterministic": False,
        "front_size": len(found),
        "passes_spent": 10.0,
        "seconds": 1.0,
        "budget": 10.0,
        "environment": SETTINGS["environments"][0],
        "hypervolume": hypervolume(on_test / REFERENCES),
        "hypervolume_search": hypervolume(found / REFERENCES),
        "hypervolume_region": hypervolume(on_test / [DENSE_TEST + 0.1, 100.0]),
        "hypervolume_log": hypervolume(
            np.column_stack([on_test[:, 0] / REFERENCES[0], 1 + np.log10(found[:, 1] / 100) / 2])
        ),
        "hypervolume_anytime": hypervolume(found / REFERENCES) / 2,
        "dense_error": DENSE,
        "dense_test_error": DENSE_TEST,
        "folder": "study/runs/a/b/c",
        "points": tuple(
            pf.OperatingPoint(x, 0.4 - 0.1 * sure, -0.25, sure=sure) for x in (0.5, 1.0, 2.0) for sure in (False, True)
        ),
    }


def joined(*studies: tuple[pd.DataFrame, pf.StudyFacts]) -> tuple[pd.DataFrame, pf.StudyFacts]:
    """Several hand-made studies as one, each on its own board."""
    tables, known = zip(*studies, strict=True)
    boards, runs = (tuple(one for each in known for one in getattr(each, name)) for name in ("boards", "runs"))
    return pd.concat(tables, ignore_index=True), pf.StudyFacts(boards, runs, known[0].provenance)


def family(*studies: tuple[pd.DataFrame, pf.StudyFacts]) -> tuple[pd.DataFrame, pf.StudyFacts]:
    """Several hand-made studies of one board as its instances."""
    table, known = joined(*studies)
    instances = tuple(one for board in known.boards for one in board.instances)
    return table, replace(known, boards=(replace(known.boards[0], instances=instances),))


def study_of(
    folder: Path,
    methods: Sequence[str],
    seeds: Sequence[int] = (0,),
    instances: Sequence[int] = (0,),
    **settings: Any,
) -> StudyFolder:
    """A small study of lenet-digits, run."""
    study = StudyFolder(folder)
    study.prepare({}, environment())
    settings = {"budget": 20.0, "search_images": 100} | settings
    planned = plan(registry(), methods, ["lenet-digits"], instances, seeds, settings, "cpu", 1, lambda line: None)
    for run in planned.runs:
        assert carry_out(run, folder, ())["status"] == "done"
    return study


def forge(folder: RunFolder, name: str, content: bytes) -> None:
    """Put another content into a file of a finished run, under a checksum that fits it."""
    (folder.path / name).write_bytes(content)
    result = folder.result
    write_document(folder.path / "run.json", result | {"files": result["files"] | {name: seal_of(content)}})


def bundled() -> list[pf.Report]:
    """All reports that come with pruneframe."""
    return [lookup(pf.Report, name) for name in registry().names("report")]

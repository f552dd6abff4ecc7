"""A study as reports are told of it, without a run behind it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from ..front import hypervolume
from ..report import Board, Instance, RunSummary, StudyFacts


def small_study(methods: Sequence[str]) -> tuple[pd.DataFrame, StudyFacts]:
    """A study of two seeds as reports are told of it, without a run behind it; the numbers are drawn."""
    rng = np.random.default_rng(0)
    references, at_dense = (0.5, 100.0), (0.05, 100.0)
    rows: list[dict[str, Any]] = []
    runs = []
    for method, seed in product(methods, (0, 1)):
        head: dict[str, Any] = {"board": "5ma11", "problem": "small", "method": method, "instance": 0, "seed": seed}
        points = np.column_stack([np.sort(rng.uniform(0.05, 0.4, 4)), np.sort(rng.uniform(10, 90, 4))[::-1]])
        for number, (error, params) in enumerate(points):
            values = {"number": number, "error": error, "params": params, "removed": 1 - params / 100}
            values |= {"error_normalised": error / 0.5, "params_normalised": params / 100}
            spent = {"passes_spent": number + 1.0, "seconds": number + 1.0, "own_seconds": 0.1 * number}
            rows.append(head | values | spent | {"kind": "evaluation", "split": "search"})
            rows += [head | values | {"kind": "member", "split": split} for split in ("search", "test")]
            rows[-2]["loss_bound"] = error - 0.05 + 0.01
        reached: dict[str, Any] = {"dense_error": 0.05, "dense_test_error": 0.05, "front_size": 4}
        reached |= {"folder": "a/b/c/d/e", "own_seconds": 0.3, "seconds_by_kind": {"evaluate": 4.0}}
        reached |= {n: hypervolume(points / references) for n in ("hypervolume", "hypervolume_search")}
        reached |= {"hypervolume_region": hypervolume(points / [0.15, 100.0]), "hash": f"{method}{seed}"}
        reached |= {"hypervolume_log": 0.4, "hypervolume_anytime": 0.3, "hypervolume_resampled": (0.4, 0.5, 0.6)}
        reached |= {"budget": 4.0, "passes_spent": 4.0, "seconds": 4.0}
        runs.append(RunSummary(status="done", **head, **reached))
    names, quantities = ("error", "params"), ("share", "parameters")
    instances = (Instance(0, references, at_dense, at_dense, 0.05, 0.05),)
    board = Board("5ma11", "small", "small", names, instances, 4.0, quantities=quantities)
    return pd.DataFrame(rows), StudyFacts((board,), tuple(runs), dict.fromkeys(methods, ""))

"""Anytime curves as IOHanalyzer reads them, written by IOHprofiler's own logger, the library ioh.

Doerr, Wang, Ye, van Rijn and Baeck, "IOHprofiler: a benchmarking and profiling tool for iterative optimization
heuristics", 2018. IOHprofiler counts evaluations; here that is whole passes of compute, and what it is told after each
is the hypervolume on the search split that the run had reached, to be maximised.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError
from ..report import Board, RunSummary, StudyFacts, by_run
from .anytime import Curve


def write_ioh(table: pd.DataFrame, study: StudyFacts, folder: Path) -> list[Path]:
    """One folder per method in `folder`, which must be new or empty; returns them.

    Raises InputError where ioh is not installed, or the folder has something in it.
    """
    ioh = _library()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--ioh must name a new or an empty folder, but {folder} is none; choose another")
    folder.parent.mkdir(parents=True, exist_ok=True)
    problems = [_Problem(ioh, board) for board in study.boards]
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".ioh-") as whole:
        for number, method in enumerate(study.methods, 1):
            logger = ioh.logger.Analyzer(
                root=whole, folder_name=f"{number}-{_plain(method)}", algorithm_name=method, algorithm_info="pruneframe"
            )
            for board, problem in zip(study.boards, problems, strict=True):
                rows = table[(table.board == board.hash) & (table.kind == "evaluation") & (table.method == method)]
                for run, own in _runs(rows, study.done(board), method):
                    problem.log(logger, run, Curve.of(own, board), board.budget)
            logger.close()
        shutil.rmtree(folder, ignore_errors=True)
        Path(whole).chmod(0o755)  # a temporary folder is its owner's alone
        shutil.copytree(whole, folder)
    return sorted(folder.iterdir())


def _library() -> Any:
    try:
        import ioh
    except ImportError as error:
        raise InputError(
            "--ioh needs the library ioh, which is not installed; pip install 'pruneframe[ioh]'"
        ) from error
    return ioh


def _plain(name: str) -> str:
    """A name as a folder may have it."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")


def _runs(rows: pd.DataFrame, done: list[RunSummary], method: str) -> Iterator[tuple[RunSummary, pd.DataFrame]]:
    own = by_run(rows)
    for run in done:
        if run.method == method:
            yield run, own.get(run.key, rows[:0])


class _Problem:
    """A board as a problem of IOHprofiler, whose value is what a run has reached so far."""

    def __init__(self, ioh: Any, board: Board) -> None:
        name = f"{_plain(board.problem)}-{board.hash}"
        self._value = 0.0
        ioh.problem.wrap_integer_problem(lambda _: self._value, name, optimization_type=ioh.OptimizationType.MAX)
        self._get = lambda instance: ioh.get_problem(name, instance, 1, ioh.ProblemClass.INTEGER)

    def log(self, logger: Any, run: RunSummary, curve: Curve, budget: float) -> None:
        """One run, pass by pass."""
        problem = self._get(run.instance + 1)  # IOHprofiler counts from 1
        problem.attach_logger(logger)
        for value in curve.at(np.arange(1, int(budget) + 1, dtype=np.float64), "passes"):
            self._value = float(value)
            problem([0])
        problem.reset()
        problem.detach_logger()

"""A problem in memory at a prompt: its units are scored, masks sampled and evaluated, methods run; nothing is kept."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from ..encoding import Scores
from ..engine import Precision
from ..errors import InputError
from ..mask import Layout, Masks
from ..method import Method
from ..objective import Objective
from ..problem import LoadedProblem, Problem
from ..registry import Registry
from ..search.journal import Journal
from ..search.ledger import Ledger
from ..search.shelf import Shelf
from ..search.task import Task
from ..search.workbench import DENSE, Workbench
from ..study.machine import measuring, prepared
from ..study.member import Front, module_of
from ..study.wanted import check_device
from ..study.worker import searched
from .html import shown
from .prompt import Plugin, registry_of, showing, sources_of
from .result import Result

UNLIMITED = 1e15  # passes: nobody is compared here, so nobody is charged
SESSION: dict[str, Any] = {}  # of a journal that nobody reads again


def open_problem(
    problem: str | Problem,
    *,
    plugins: Iterable[Plugin] = (),
    device: str = "cpu",
    precision: Precision | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> OpenProblem:
    """Load a problem, by its name or as an object; `settings` are its fields, as `units="filter"`, `instance=3`.

    `plugins` are files, as of `-p`, or problems. Raises InputError for what there is not, or what cannot be pruned.
    """
    check_device(device)
    sources = sources_of([*plugins, problem] if isinstance(problem, Problem) else plugins)
    registry, name = registry_of(sources), problem.name if isinstance(problem, Problem) else problem
    if isinstance(settings.get("objectives"), str):
        settings["objectives"] = tuple(settings["objectives"].split(","))
    unknown = sorted(settings.keys() - SETTABLE)
    if unknown:
        raise InputError(f"settings of a problem are {', '.join(sorted(SETTABLE))}, but got {unknown[0]!r}")
    say, _ = showing(progress)
    loaded = registry.problem(name).with_settings(**settings).load(registry.component, say)
    return OpenProblem(loaded, registry, device, precision)


SETTABLE = {"units", "objectives", "target", "batch_norm", "search_images", "budget", "instance"}


class OpenProblem:
    """A problem in memory, to be looked at: nothing that is asked here is charged, and nothing is written.

    Every answer is what a method is told under the same seed. The test images are not looked at, but by `run`, which
    measures a final front as a study does.
    """

    def __init__(self, loaded: LoadedProblem, registry: Registry, device: str, precision: Precision | None) -> None:
        self._loaded, self._registry = loaded, registry
        self._meter = loaded.problem.meter(registry.component)
        self._bench = Workbench(loaded, device, Shelf(None), self._meter, precision)

    @property
    def problem(self) -> Problem:
        """What it was loaded from."""
        return self._loaded.problem

    @property
    def layout(self) -> Layout:
        """Which unit each bit of a mask stands for."""
        return self._loaded.network.layout

    @property
    def dense(self) -> nn.Module:
        """The unpruned network, a copy, in evaluation mode."""
        return self.module(self.layout.full())

    @cached_property
    def layers(self) -> pd.DataFrame:
        """The layers that are pruned: name, units, and weights of each unit."""
        rows = zip(self.layout.names, self.layout.groups, strict=True)
        columns = [{"layer": name, "units": group.size, "weights_per_unit": group.weights} for name, group in rows]
        return pd.DataFrame(columns)

    def scores(self, scorer: str = "magnitude", seed: int = 0) -> Scores:
        """Importance of every unit, float32[units], the larger the more worth keeping."""
        return self._task(seed).scores(scorer)

    def sample(self, n: int = 10, encoding: str = "mask", scorer: str = "magnitude", seed: int = 0) -> Masks:
        """N masks as methods begin with them, spread over densities, the whole network first."""
        task = self._task(seed)
        chosen, scores = task.encoding(encoding), task.scores(scorer)
        return chosen.decode(chosen.sample(n, self.layout, scores, task.rng), self.layout, scores)

    def keep(self, scores: ArrayLike, shares: float | Iterable[float]) -> Masks:
        """A mask for each share of the units, float from 0 to 1, that keeps the units of the largest scores [units]."""
        values = np.asarray(scores)
        if values.shape != (self.layout.total,):
            raise InputError(f"scores must be one per unit, {self.layout.total}, but have shape {values.shape}")
        wanted = np.atleast_1d(np.asarray(shares, dtype=float))
        if not ((wanted >= 0) & (wanted <= 1)).all():
            raise InputError(f"0 <= share <= 1 must hold for the units that are kept, but got {shares}")
        rank = np.empty(len(values), dtype=np.int64)
        rank[np.argsort(-values, kind="stable")] = np.arange(len(values))
        return Masks.pack(rank < np.rint(wanted * len(values))[:, None], self.layout)

    def evaluate(self, masks: Masks | NDArray[np.bool_]) -> pd.DataFrame:
        """The objectives of masks, or of bool[n, units], on the search images; and `kept`, the share of all units."""
        found = self._masks(masks)
        with measuring(self._meter):
            task = self._task(0)
            frame = pd.DataFrame(task.evaluate(found), columns=list(task.objectives))
        return frame.assign(kept=found.counts() / self.layout.total)

    def module(self, mask: Masks | NDArray[np.bool_], shrunk: bool = False) -> nn.Module:
        """The network under one mask, as a module of its own: with zeros in place, or without what is pruned."""
        found = self._masks(mask)
        if len(found) != 1:
            raise InputError(f"a module is made of one mask, but got {len(found)}; choose one as masks[[0]]")
        return module_of(self._bench, found, DENSE, shrunk).requires_grad_()

    def run(self, method: str | Method, seed: int = 0, budget: float | None = None) -> Result:
        """Let a method search, by its spec or as an object, and measure its final front, as a study would.

        `budget` is in passes, the problem's unless it is given. Nothing is written; `pf.bench` keeps runs.
        """
        chosen = self._registry.component(Method, method) if isinstance(method, str) else method
        budget = self.problem.budget if budget is None else budget
        if not 0 < budget < float("inf"):
            raise InputError(f"budget > 0 must hold, but got {budget}")
        lookup = self._registry.component
        objectives = [lookup(Objective, name) for name in self.problem.objectives]
        with prepared(torch.get_num_threads()), measuring(self._meter), Journal(None, SESSION) as journal:
            task = Task(self._bench, journal, Ledger(budget), seed, lookup)
            ended, _, members = searched(chosen, task, self._bench, objectives, journal)
        front = Front(self._bench, members.masks, members.weights)
        return Result(repr(chosen), seed, ended, task.budget.spent, members, task.references, task.objectives, front)

    def _masks(self, masks: Masks | NDArray[np.bool_]) -> Masks:
        if isinstance(masks, Masks):
            return masks
        keep = np.atleast_2d(np.asarray(masks))
        if keep.dtype != bool or keep.shape[1:] != (self.layout.total,):
            raise InputError(
                f"masks must be Masks, or bool[n, {self.layout.total}], but got {keep.dtype}{list(keep.shape)}"
            )
        return Masks.pack(keep, self.layout)

    def _task(self, seed: int) -> Task:
        """A task that nothing is charged by, and that has been told nothing yet."""
        return Task(self._bench, Journal(None, SESSION), Ledger(UNLIMITED), seed, self._registry.component)

    def _facts(self) -> dict[str, object]:
        network, splits = self._loaded.network, self._loaded.splits
        return {
            "parameters": f"{network.total_params:,}",
            "multiply-adds": f"{network.total_macs:,}",
            "units": f"{self.layout.total:,} of kind {self.problem.units}",
            "objectives": ", ".join(self.problem.objectives),
            "images": ", ".join(f"{len(split):,} {name}" for name, split in splits.items()),
        }

    def __repr__(self) -> str:
        facts = "; ".join(f"{name}: {value}" for name, value in self._facts().items())
        return f"<problem {self.problem.called}; {facts}>"

    def _repr_html_(self) -> str:
        return shown(f"Problem {self.problem.called}", self._facts(), self.layers)

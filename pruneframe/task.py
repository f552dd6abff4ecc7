"""The one door: what a method may see and do.

Whatever costs compute goes through a Task, is charged and journalled. Numbers, scores and ids come back, never
activations or weights. The test split cannot be reached from here.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, Literal, NoReturn

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from .archive import Archive, Evaluation
from .component import Component
from .encoding import Encoding, Scores
from .errors import Declined, InputError
from .journal import Answer, Journal
from .ledger import Budget, BudgetSpent, Ledger
from .mask import Layout, Masks, Units
from .network import Network, digest
from .objective import Objective
from .part import Fed, Part, SubNetwork, assembled
from .scorer import Scorer
from .training import Recipe
from .tuning import Tuning
from .variation import Chain, Variation, chain
from .workbench import DENSE, PROOF, Images, Workbench

Lookup = Callable[[str, str], Component]  # kind ("scorer"), spec ("taylor") -> component


class Task:
    """One search on one problem with one budget; all that a method is handed."""

    def __init__(self, workbench: Workbench, journal: Journal, ledger: Ledger, seed: int, lookup: Lookup) -> None:
        problem = workbench.loaded.problem
        self._workbench = workbench
        self._journal = journal
        self._ledger = ledger
        self._lookup = lookup
        self._seed = (seed, zlib.crc32(problem.name.encode()))
        self._objectives = [self._objective(name) for name in problem.objectives]
        self._known: dict[tuple[str, str], list[Any]] = {}
        self._fed: Fed = {}
        self.rng = np.random.default_rng(self._seed)
        self.budget = Budget(ledger)
        self.archive = Archive(self.layout)
        self.records: dict[str, pd.DataFrame] = {}
        self.drawn = False  # whether scores were asked for that another seed would have drawn otherwise

    @property
    def network(self) -> Network:
        """The dense network: its layers, parameters and what masks mean for them."""
        return self._workbench.network

    @property
    def layout(self) -> Layout:
        """Which unit each bit of a mask stands for."""
        return self.network.layout

    @property
    def units(self) -> Units:
        """Whether single weights or filters are pruned."""
        return self.layout.units

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the objectives, in the order of the columns that `evaluate` returns."""
        return tuple(objective.name for objective in self._objectives)

    @cached_property
    def references(self) -> NDArray[np.float64]:
        """What counts as 1 in each objective, float64[objectives]: divide by it before comparing objectives."""
        dense = self._workbench.dense(self._workbench.search)

        def compute() -> list[Any]:
            return [float(objective.reference(dense)) for objective in self._objectives]

        measured = any(objective.physical for objective in self._objectives)  # and not quite the same another time
        return np.array(self._ask("references", "", 0.0, compute).values if measured else compute())

    @property
    def search_images(self) -> int:
        """Images that one unit of compute passes over: what a probe's count is charged as a share of."""
        return len(self._workbench.loaded.search)

    @property
    def train_images(self) -> int:
        """Images that training and scoring can draw on."""
        return len(self._workbench.loaded.data.train)

    @property
    def price(self) -> float:
        """Units that one evaluation costs."""
        return self._workbench.price

    @property
    def _new_weights(self) -> float:
        """Units for the batch-norm images of a network with new weights that is not pruned."""
        return self._workbench.loaded.price - 1

    @property
    def affordable(self) -> int:
        """Evaluations that the current phase can still pay for."""
        return self._ledger.affordable(self.price, 1_000_000_000)

    @property
    def seconds(self) -> float:
        """Seconds that all answers so far took to compute."""
        return self._ledger.seconds

    def decline(self, reason: str) -> NoReturn:
        """Say that the method cannot run on this problem; only before it has spent anything."""
        assert self._ledger.spent == 0 or not self._known, "a method may decline only before it spends"
        raise Declined(reason)

    def share(self, share: float) -> AbstractContextManager[None]:
        """Give a phase its part: the block may spend `share` of the total budget, and ends quietly when it has."""
        return self._ledger.share(share)

    def encoding(self, name: str) -> Encoding:
        """An encoding by name, settings in brackets."""
        return self._lookup("encoding", name)  # type: ignore[return-value] # the registry checks kinds

    def variation(self, name: str) -> Chain:
        """One variation, or several in turn, as `uniform+bit-flip`."""
        return chain(name, self._variation)

    def scores(self, name: str, weights: str = DENSE) -> Scores:
        """Importance of every unit by a scorer, float32[units]; charged for the images it looks at."""
        scorer = self._scorer(name)
        self.drawn |= scorer.draws
        price = scorer.passes * min(scorer.images, self.train_images) / self.search_images
        key = repr(scorer) if weights == DENSE else f"{scorer!r} {weights}"
        rng = np.random.default_rng([*self._seed, zlib.crc32(key.encode())])

        def compute() -> list[Any]:
            scores = torch.from_numpy(self._workbench.score(scorer, rng, weights))
            return [self._workbench.shelf.put({"scores": scores})]

        return self._scores("scores", key, price, compute)

    def tune(self, scores: Scores, tuning: Tuning | None = None) -> Scores:
        """The same values float32[units] for other units, so that cutting them changes the outputs less.

        Follows the gradient on training images; see `pruneframe.tuning`. Each image is charged as four forward passes.
        """
        scores = np.ascontiguousarray(scores, dtype=np.float32)
        if scores.shape != (self.layout.total,):
            raise ValueError(f"scores must be one per unit, {self.layout.total}, but have shape {scores.shape}")
        tuning = tuning or Tuning()
        self.drawn = True
        price = tuning.passes * tuning.images / len(self._workbench.loaded.search)
        key = f"{digest({'scores': torch.from_numpy(scores)})} {tuning}"
        rng = np.random.default_rng([*self._seed, zlib.crc32(key.encode())])

        def compute() -> list[Any]:
            tuned = torch.from_numpy(self._workbench.tune(scores, tuning, rng, self._teller("tuning", price)))
            return [self._workbench.shelf.put({"scores": tuned})]

        return self._scores("tune", key, price, compute)

    def evaluate(self, masks: Masks, weights: str | Sequence[str] = DENSE) -> NDArray[np.float64]:
        """Objective values float64[n, objectives] on the search split; `weights` is one id, or one per mask.

        Answers as many as the budget allows, then raises BudgetSpent. A repeated candidate is charged again.
        """
        return self._measure("evaluate", masks, weights, self._objectives, self._workbench.search, self.price)

    def probe(
        self,
        objective: str | Sequence[str],
        masks: Masks,
        weights: str | Sequence[str] = DENSE,
        images: Literal["train", "search"] = "train",
        count: int = 1000,
    ) -> NDArray[np.float64]:
        """One objective on a fixed subset of images, float64[n], or several, float64[n, objectives].

        A guide, never part of the archive. Costs, for one or several, the share of a pass over the search set that the
        subset is, and the batch-norm images where they shift; nothing where only units are counted. Where the shrunk
        network is needed, for memory or to be timed, the images that prove it are charged, of both networks.
        """
        measured = [self._objective(name) for name in ([objective] if isinstance(objective, str) else objective)]
        subset = self._workbench.subset(images, count)
        price = self._probe_price(measured, len(subset.labels))
        kind = f"probe {', '.join(map(repr, measured))} {images} {len(subset.labels)}"
        values = self._measure(kind, masks, weights, measured, subset, price)
        return values[:, 0] if isinstance(objective, str) else values

    def _probe_price(self, objectives: Sequence[Objective], images: int) -> float:
        """Units for the images, and for statistics, proof and timed passes where an objective needs them."""
        target = self._workbench.target
        if any(objective.physical and (target is None or objective.timed > target.timed) for objective in objectives):
            raise InputError("a physical objective, such as latency, must be among the problem's own")
        estimates = target is not None and not target.device.measured  # from widths, without the shrunk network
        predicts = any(objective.predicts for objective in objectives)
        shrinks = any(objective.physical and not (objective.timed and estimates) for objective in objectives)
        price = images / self.search_images if predicts else 0.0
        price += self._new_weights if predicts or shrinks else 0.0
        price += 2 * PROOF / self.search_images if shrinks else 0.0
        return price + (self._workbench.timing if any(objective.timed for objective in objectives) else 0.0)

    def train(self, mask: Masks, weights: str = DENSE, recipe: Recipe | None = None) -> str:
        """Masked training on the train split, for one mask; returns the id of the new weights. Zeros stay zero.

        An image of an epoch is charged as three forward passes; the new weights' batch-norm images are charged as well.
        """
        if len(mask) != 1:
            raise ValueError(f"train takes one mask, but got {len(mask)}")
        self._check(mask)
        recipe = recipe or Recipe()
        images = min(recipe.images or self.train_images, self.train_images)
        price = 3 * recipe.epochs * images / self.search_images + self._new_weights
        key = f"{mask.digests()[0]} {weights} {recipe}"
        seed = zlib.crc32(f"{self._seed} {key}".encode())

        def compute() -> list[Any]:
            tell = self._teller("training", price)
            return [self._workbench.shelf.put(self._workbench.train(mask, weights, recipe, seed, tell))]

        return self._ask("train", key, price, compute).values[0]

    def part(self, start: int, stop: int) -> Part:
        """The sub-network of prunable layers[start:stop], to be searched on its own; see `network.cuts` for where.

        Raises InputError where the network cannot be cut.
        """
        sub = SubNetwork(self._workbench, start, stop)
        ask = lambda kind, key, price, compute: self._ask(kind, key, price, compute).values  # noqa: E731
        return Part(sub, ask, self._fed, self._seed, self._new_weights)

    def assemble(self, parts: Sequence[tuple[Part, str]]) -> str:
        """The weights id of a network whose parts have been trained apart, each with its own weights id.

        Charged are the new weights' batch-norm images, where they shift.
        """
        if all(weights == DENSE for _, weights in parts):
            return DENSE
        key = " ".join(f"{part.start}:{part.stop} {weights}" for part, weights in parts)
        put = self._workbench.shelf.put
        return self._ask("assemble", key, self._new_weights, lambda: [put(assembled(self._workbench, parts))]).values[0]

    def record(self, name: str, table: pd.DataFrame) -> None:
        """Keep a diagnostic for the report; a later table of the same name replaces it."""
        self.records[name] = table

    def _objective(self, name: str) -> Objective:
        return self._lookup("objective", name)  # type: ignore[return-value] # the registry checks kinds

    def _variation(self, name: str) -> Variation:
        return self._lookup("variation", name)  # type: ignore[return-value] # the registry checks kinds

    def _scorer(self, name: str) -> Scorer:
        return self._lookup("scorer", name)  # type: ignore[return-value] # the registry checks kinds

    def _scores(self, kind: str, key: str, price: float, compute: Callable[[], list[Any]]) -> Scores:
        """A question whose answer is on the shelf."""
        answer = self._ask(kind, key, price, compute)
        return self._workbench.shelf.get(answer.values[0])["scores"].numpy().copy()

    def _ask(self, kind: str, key: str, price: float, compute: Callable[[], list[Any]]) -> Answer:
        """One question: replayed, or else answered from what is known, or computed; then journalled and charged."""
        if not self._ledger.affords(price):
            raise BudgetSpent(price)
        answer = self._journal.replay(kind, key)
        if answer is None:
            start = time.perf_counter()
            values = self._old(kind, key) or compute()
            answer = self._journal.write(kind, key, values, price, time.perf_counter() - start)
        self._known[kind, key] = answer.values
        self._ledger.charge(answer.charge, answer.seconds)
        return answer

    def _teller(self, what: str, price: float) -> Callable[[float], None]:
        """Passes on what share of an answer is computed, which starts now and takes long."""
        start = time.perf_counter()
        return lambda share: self._journal.tell(what, share, price, time.perf_counter() - start)

    def _old(self, kind: str, key: str) -> list[Any] | None:
        """The answer to the same question earlier in this run, or in a session under other versions."""
        return self._known.get((kind, key)) or self._journal.earlier(kind, key)

    def _measure(
        self,
        kind: str,
        masks: Masks,
        weights: str | Sequence[str],
        objectives: Sequence[Objective],
        images: Images,
        price: float,
    ) -> NDArray[np.float64]:
        """Ask one question per mask, as many as the budget allows."""
        self._check(masks)
        ids = [weights] * len(masks) if isinstance(weights, str) else list(weights)
        if len(ids) != len(masks):
            raise ValueError(f"one weights id, or one per mask, but got {len(ids)} for {len(masks)} masks")
        fits = self._ledger.affordable(price, len(masks))
        keys = [f"{digest} {name}" for digest, name in zip(masks[:fits].digests(), ids, strict=False)]
        rows = self._unanswered(kind, keys)
        fresh = self._workbench.measure(masks[rows], [ids[row] for row in rows], objectives, images)
        values = np.empty((fits, len(objectives)))
        for row, key in enumerate(keys):
            answer = self._ask(kind, key, price, lambda: next(fresh))
            values[row] = answer.values
            if kind == "evaluate":
                self._keep(answer, masks, row, ids[row])
        if fits < len(masks):
            raise BudgetSpent(price)
        return values

    def _check(self, masks: Masks) -> None:
        if masks.layout != self.layout:
            raise ValueError(f"masks must have the task's {self.layout.total} units, but have {masks.layout.total}")

    def _unanswered(self, kind: str, keys: list[str]) -> list[int]:
        """The rows to compute: neither replayed nor known, each question once."""
        seen = set(keys[: self._journal.replaying])
        rows = []
        for row, key in enumerate(keys):
            if key not in seen and self._old(kind, key) is None:
                rows.append(row)
            seen.add(key)
        return rows

    def _keep(self, answer: Answer, masks: Masks, row: int, weights: str) -> None:
        spent, seconds = self._ledger.spent, self._ledger.seconds
        mask = answer.key.partition(" ")[0]
        evaluation = Evaluation(answer.number, mask, weights, tuple(answer.values), spent, seconds)
        self.archive.add(evaluation, masks.bits[row])

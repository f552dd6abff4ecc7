"""The one door: what a method may see and do.

Whatever costs compute goes through a Task, is charged and journalled. Numbers, scores and ids come back, never
activations or weights. The test split cannot be reached from here.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, Literal, NoReturn

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ..component import Lookup
from ..encoding import Coder, Encoding, Scores
from ..errors import Declined
from ..mask import Layout, Masks, check_masks
from ..model.network import Network, UnitKind
from ..model.recipe import Recipe
from ..model.state import digest
from ..objective import Objective, read_only
from ..scorer import Scorer
from ..variation import Chain, Variation, chain
from .answer import Answer, Question
from .archive import Archive, Evaluation
from .desk import Account, Compute, Desk
from .images import Images
from .journal import Journal
from .learner import lesson
from .ledger import Budget, BudgetSpent, Ledger
from .loans import Loan, check, defined
from .part import Fed, Part, assembled
from .records import Records
from .shelf import for_each
from .subnetwork import SubNetwork
from .tuning import Tuning
from .workbench import DENSE, Workbench

EVALUATE = "evaluate"  # the kind of question whose answers are the archive


class Task:
    """One search on one problem with one budget; all that a method is handed.

    `rng` is where every method draws its randomness; `prices` says what each kind of question costs.
    """

    def __init__(self, workbench: Workbench, journal: Journal, ledger: Ledger, seed: int, lookup: Lookup) -> None:
        problem = workbench.loaded.problem
        self._workbench = workbench
        self._ledger = ledger
        self._lookup = lookup
        self._desk = Desk(journal, ledger, (seed, zlib.crc32(problem.called.encode())))
        self._objectives = [lookup(Objective, name) for name in problem.objectives]
        self._fed: Fed = {}
        self._loan = Loan(workbench.network)
        self.rng = np.random.default_rng(self._desk.seed)
        self.budget = Budget(ledger)
        self.prices = workbench.prices
        self.archive = Archive(self.layout, workbench.shelf.folder)
        self.records = Records()
        self.drawn = False  # whether scores were asked for that another seed would have drawn otherwise

    @property
    def network(self) -> Network:
        """A copy of the dense network: its layers, parameters and what masks mean for them.

        It must stay as it is, and no image may be run through it: whatever takes a pass is asked for here.
        """
        return self._loan.network

    def settle(self) -> None:
        """At the end of a search: raise Overstepped where the method has changed the network, or run it by itself."""
        self._loan.settle("method", "", 0, "ask the task, by evaluate, probe or a scorer")
        self._workbench.settle()

    @property
    def layout(self) -> Layout:
        """Which unit each bit of a mask stands for."""
        return self._workbench.network.layout

    @property
    def units(self) -> UnitKind:
        """What is pruned: its `name`, and whether it is `removable`, so that networks become physically smaller."""
        return self._workbench.network.units

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the objectives, in the order of the columns that `evaluate` returns."""
        return tuple(objective.name for objective in self._objectives)

    @cached_property
    def references(self) -> NDArray[np.float64]:
        """What counts as 1 in each objective, float64[objectives]: divide by it before comparing objectives."""
        judge, dense = self._workbench.judge, self._workbench.dense(self._workbench.search)

        def compute() -> list[Any]:
            return [judge.reference(objective, dense) for objective in self._objectives]

        measured = any(objective.physical for objective in self._objectives)  # and not quite the same another time
        values = self._desk.ask(Question("references"), 0.0, compute).values if measured else compute()
        return read_only(np.array(values))

    @property
    def search_images(self) -> int:
        """Images that one pass goes over: what a probe's count is charged as a share of."""
        return self.prices.search_images

    @property
    def train_images(self) -> int:
        """Images that training and scoring can draw on."""
        return self.prices.train_images

    @property
    def affordable(self) -> int:
        """New evaluations that the current phase can still pay for."""
        return self._ledger.affordable(self.prices.evaluation, 1_000_000_000)

    @property
    def account(self) -> Account:
        """What answers so far took, and how many questions were repeated."""
        return self._desk.account

    def decline(self, reason: str) -> NoReturn:
        """Say that the method cannot run on this problem; only before it has spent anything."""
        assert self._desk.untouched, "a method may decline only before it spends"
        raise Declined(reason)

    def share(self, share: float) -> AbstractContextManager[None]:
        """Give a phase its part: the block may spend `share` of the total budget, and ends quietly when it has."""
        return self._ledger.share(share)

    def encoding(self, name: str) -> Coder:
        """An encoding by name, settings in brackets."""
        return Coder(self._lookup(Encoding, name))

    def variation(self, name: str) -> Chain:
        """One variation, or several in turn, as `uniform+bit-flip`."""
        return chain(name, lambda link: self._lookup(Variation, link))

    def scores(self, name: str, weights: str = DENSE) -> Scores:
        """Importance of every unit by a scorer, float32[units]; charged for the images it looks at."""
        check(scorer := self._lookup(Scorer, name), self._workbench.network)
        self.drawn |= scorer.draws
        question = Question.of("scores", scorer=repr(scorer), weights=weights)
        rng = self._desk.rng(question["scorer"] if weights == DENSE else question.text)

        def compute() -> list[Any]:
            scores = torch.from_numpy(self._workbench.score(scorer, rng, weights))
            return [self._workbench.shelf.put({"scores": scores})]

        return self._scores(question, self.prices.scores(scorer), compute)

    def price_of_scores(self, name: str) -> float:
        """Passes that a scorer's answer costs, the first time; infinite where it is not defined for the units."""
        scorer = self._lookup(Scorer, name)
        return self.prices.scores(scorer) if defined(scorer, self._workbench.network) else float("inf")

    def tune(self, scores: Scores, tuning: Tuning | None = None) -> Scores:
        """The same values float32[units] for other units, so that removing the least of them changes the outputs less.

        Follows the gradient on training images, see `pruneframe.search.tuning`; each is charged as four forward passes.
        """
        scores = np.ascontiguousarray(scores, dtype=np.float32)
        if scores.shape != (self.layout.total,):
            raise ValueError(f"scores must be one per unit, {self.layout.total}, but have shape {scores.shape}")
        tuning = tuning or Tuning()
        self.drawn = True
        price = self.prices.tuning(tuning)
        question = Question.of("tune", scores=digest({"scores": torch.from_numpy(scores)}), tuning=repr(tuning))
        rng = self._desk.rng(question.text)

        def compute() -> list[Any]:
            tuned = torch.from_numpy(self._workbench.tune(scores, tuning, rng, self._desk.teller("tuning", price)))
            return [self._workbench.shelf.put({"scores": tuned})]

        return self._scores(question, price, compute)

    def evaluate(self, masks: Masks, weights: str | Sequence[str] = DENSE) -> NDArray[np.float64]:
        """Objective values float64[n, objectives] on the search split; `weights` is one id, or one per mask.

        Answers as many as the budget allows, then raises BudgetSpent. A candidate that this run has been told already,
        the same mask under the same weights, costs nothing and is in the archive once; so is it with all other
        questions. After 10,000 questions on end of which none is new the search ends.
        """
        about, price = Question(EVALUATE), self.prices.evaluation
        return self._measure(about, masks, weights, self._objectives, self._workbench.search, price)

    def probe(
        self,
        objective: str | Sequence[str],
        masks: Masks,
        weights: str | Sequence[str] = DENSE,
        images: Literal["train", "search"] = "train",
        count: int = 1000,
    ) -> NDArray[np.float64]:
        """One objective on a fixed subset of images, float64[n], or several, float64[n, objectives].

        A guide, never part of the archive. Costs, for one or several, the share of a pass that the subset is, and the
        batch-norm images where they shift; nothing where only units are counted. Where the shrunk network is needed,
        for memory or to be timed, the images that prove it are charged, of both networks.
        """
        if images not in ("train", "search"):
            raise ValueError(f"images must be 'train' or 'search', but got {images!r}")
        measured = [
            self._lookup(Objective, name) for name in ([objective] if isinstance(objective, str) else objective)
        ]
        subset = self._workbench.subset(images, count)
        found, size = ", ".join(map(repr, measured)), len(subset.labels)
        question = Question.of("probe", objectives=found, images=f"{images} {size}")
        values = self._measure(question, masks, weights, measured, subset, self.prices.probe(measured, size))
        return values[:, 0] if isinstance(objective, str) else values

    def train(self, mask: Masks, weights: str = DENSE, recipe: Recipe | None = None, alpha: float = 0.0) -> str:
        """Masked training on the train split, for one mask; returns the id of the new weights. Zeros stay zero.

        The loss is cross-entropy plus alpha x mean squared distance of the logits to the unpruned network's. An image
        of an epoch is charged as three forward passes, and once as another for those where `alpha` is above 0; the new
        weights' batch-norm images are charged as well.
        """
        check_masks(mask, self.layout)
        recipe = recipe or Recipe()
        question, price = lesson(mask, weights, recipe, alpha), self.prices.training(recipe, taught=alpha > 0)
        seed = self._desk.seed_of(question)

        def compute() -> list[Any]:
            tell = self._desk.teller("training", price)
            return [self._workbench.shelf.put(self._workbench.train(mask, weights, recipe, seed, alpha, tell))]

        return self._desk.ask(question, price, compute).values[0]

    def part(self, start: int, stop: int) -> Part:
        """The sub-network of prunable layers[start:stop], to be searched on its own; see `network.cuts` for where.

        Raises InputError where the network cannot be cut.
        """
        return Part(SubNetwork(self._workbench, start, stop), self._desk, self._fed)

    def assemble(self, parts: Sequence[tuple[Part, str]]) -> str:
        """The weights id of a network whose parts have been trained apart, each with its own weights id.

        Charged are the new weights' batch-norm images, where they shift.
        """
        if all(weights == DENSE for _, weights in parts):
            return DENSE
        question = Question.of("assemble", **{f"{part.start}:{part.stop}": weights for part, weights in parts})
        put = self._workbench.shelf.put
        compute: Compute = lambda: [put(assembled(self._workbench, parts))]  # noqa: E731
        return self._desk.ask(question, self.prices.new_weights, compute).values[0]

    def record(self, name: str, table: pd.DataFrame) -> None:
        """Keep a diagnostic for the report; a later table of the same name replaces it."""
        self.records[name] = table

    def _scores(self, question: Question, price: float, compute: Compute) -> Scores:
        """A question whose answer is on the shelf."""
        answer = self._desk.ask(question, price, compute)
        return self._workbench.shelf.get(answer.values[0])["scores"].numpy().copy()

    def _measure(
        self,
        about: Question,
        masks: Masks,
        weights: str | Sequence[str],
        objectives: Sequence[Objective],
        images: Images,
        price: float,
    ) -> NDArray[np.float64]:
        """Ask one question per mask, as many as the budget allows."""
        check_masks(masks, self.layout)
        weights = for_each(masks, weights)
        questions = [
            Question(about.kind, (*about.about, ("mask", mask), ("weights", weights[row])))
            for row, mask in enumerate(masks.digests())
        ]
        fits = self._desk.fitting(questions, price)
        rows = self._desk.to_compute(questions[:fits])
        fresh = self._workbench.measure(masks[rows], [weights[row] for row in rows], objectives, images)
        values = np.empty((fits, len(objectives)))
        for row, question in enumerate(questions[:fits]):
            new = not self._desk.knows(question)
            answer = self._desk.ask(question, price, lambda: next(fresh))
            values[row] = answer.values
            if new and question.kind == EVALUATE:
                self._keep(answer, masks, row)
        if fits < len(masks):
            raise BudgetSpent(price)
        return values

    def _keep(self, answer: Answer, masks: Masks, row: int) -> None:
        spent, seconds, asked = self._ledger.spent, self._ledger.seconds, answer.question
        values, worked = tuple(answer.values), (self._desk.own, self._desk.processor)
        found = Evaluation(answer.number, asked["mask"], asked["weights"], values, spent, seconds, *worked)
        self.archive._add(found, masks.bits[row])

"""Resampling: the noise of a problem, measured by drawing its search and test images anew.

Search and test images are both unseen by the network, and drawn from one pool here: some to search on, others to test
on. Nothing that comes of it is used to choose anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ..component import Lookup
from ..encoding import Scores
from ..errors import InputError
from ..front import REGION_MARGIN
from ..kit.ranking import Highest
from ..mask import Masks
from ..method import Method
from ..model.data import Data, Split
from ..problem import LoadedProblem
from ..scorer import Scorer
from ..search.images import Images
from ..search.journal import Journal
from ..search.ledger import BudgetSpent, Ledger
from ..search.loans import defined
from ..search.shelf import Shelf
from ..search.task import Task
from ..search.workbench import DENSE, Workbench
from .machine import environment, same_settings
from .noise import Noise, Spread, Told, key

OBJECTIVES = ("error", "params")
NEAR = 0.01  # test errors of two members that are near each other
HALVINGS = 7  # of the range in which a cut's error passes the region's edge
GRID = 16  # cuts between that and the unpruned network, between which others are guessed
CALIBRATION = 1000  # training images on which that is looked for, at most
FEWEST = 3  # members of a front that have a rank correlation
Correct = NDArray[np.bool_]  # [networks, images]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Resampling:
    """How noise is measured: `cuts` by each of the `scorers`, and `searches` by a method for each number of `images`.

    `budget` is in passes. A front is thinned to `members`, and tested on `tested` images at most, as cuts are.
    """

    scorers: tuple[str, ...] = ("magnitude", "taylor", "reconstruction")
    cuts: int = 12
    method: str = "nsga2"
    budget: float = 100.0
    searches: int = 5
    images: tuple[int, ...] = (100, 250, 500, 1000, 2000, 5000, 10_000)
    members: int = 20
    tested: int = 10_000
    draws: int = 500
    seed: int = 0

    def measure(self, loaded: LoadedProblem, lookup: Lookup, say: Say = lambda line: None) -> Noise:
        """The noise of a problem; raises InputError where none of the scores is defined for its units."""
        bench = Workbench(loaded, "cpu", Shelf(None))
        pool = Pool.of(loaded.data, self.tested)
        sizes = sorted({min(size, len(loaded.data.search)) for size in self.images})
        say(f"{loaded.problem.called}: cuts by {', '.join(self.scorers)}, on {len(pool.split)} images")
        names, masks = self._cut(bench, lookup)
        right = correct(bench, masks, bench.images(pool.split))
        rng, told, pairs = np.random.default_rng(self.seed), [], []
        for size in sizes:
            found = []
            for number in range(self.searches):
                say(f"{loaded.problem.called}: search {number + 1} of {self.searches} on {size} images")
                found.append(self._searched(bench.loaded, lookup, pool, size, number))
            draws = [pool.draw(size, rng) for _ in range(self.draws)]
            alike = [correlation(1 - right[:, a].mean(axis=1), 1 - right[:, b].mean(axis=1)) for a, b in draws]
            fronts = [front for front in found if front.members >= FEWEST]
            searched = [correlation(front.search, front.test) for front in fronts]
            flattered, members = ([getattr(front, name) for front in fronts] for name in ("flattered", "members"))
            told.append(Told(size, *(Spread.of(np.array(one)) for one in (alike, searched, flattered, members))))
            pairs += [share for front in fronts for share in discordances(front.correct)]
        across = list(discordances(right, [names.index(name) for name in names]))
        splits = {name: len(split) for name, split in (("search", loaded.data.search), ("test", loaded.data.test))}
        return Noise(
            loaded.problem.name,
            key(loaded),
            loaded.problem.units,
            splits | {"tested": pool.tested},
            tuple(told),
            Spread.of(np.array(pairs), 0.5),
            Spread.of(np.array(across), 0.5),
            {name: value for name, value in asdict(self).items() if name not in ("images", "tested")},
            environment(),
        )

    def _cut(self, bench: Workbench, lookup: Lookup) -> tuple[list[str], Masks]:
        """Masks that keep the highest of a score, and by which score; their errors on training images are evenly spread
        over the region."""
        names, rows = [], []
        for spec in self.scorers:
            scorer = lookup(Scorer, spec)
            if defined(scorer, bench.network):
                curve = Curve(bench, bench.score(scorer, np.random.default_rng(self.seed)))
                found = curve.spread(self.cuts)
                rows += found
                names += [spec] * len(found)
        if not rows:
            units = bench.network.layout.units
            raise InputError(f"one of {', '.join(self.scorers)} must be defined for {units}s; name others")
        return names, Masks.pack(np.array(rows), bench.network.layout)

    def _searched(self, loaded: LoadedProblem, lookup: Lookup, pool: Pool, size: int, number: int) -> Front:
        """The front of one search on images of its own, as far as it is within the region, tested on others."""
        chosen, others = pool.draw(size, np.random.default_rng([self.seed, size, number]))
        data = replace(loaded.data, search=pool.split.take(np.sort(chosen)), test=pool.split.take(np.sort(others)))
        problem = replace(loaded.problem, objectives=OBJECTIVES, search_images=None, data=data)
        bench = Workbench(LoadedProblem(problem, loaded.network, data), "cpu", Shelf(None))
        task = Task(bench, Journal(None, {}), Ledger(self.budget), number, lookup)
        with same_settings(), contextlib.suppress(BudgetSpent):
            lookup(Method, self.method).search(task)
        return self._tested(bench, task)

    def _tested(self, bench: Workbench, task: Task) -> Front:
        """Members whose search error is within the region, evenly thinned by size, on the test split."""
        values = task.archive.front_values()
        dense = bench.dense(bench.search).error
        inside = np.flatnonzero(values[:, 0] <= dense + REGION_MARGIN)
        inside = inside[np.argsort(values[inside, 1])]
        rows = inside[np.unique(np.linspace(0, len(inside) - 1, min(self.members, len(inside))).round().astype(int))]
        weights = [task.archive.members[row].weights for row in rows]
        images = bench.images(bench.loaded.data.test)
        right = correct(bench, task.archive.masks(rows), images, weights)
        more = 1 - right.mean(axis=1) - bench.dense(images).error - (values[rows, 0] - dense)
        return Front(values[rows, 0], right, 100 * float(more.sum()) / max(1, len(rows)))


class Curve:
    """Errors of a score's cuts on training images, so that nothing is chosen by the images that noise is about."""

    def __init__(self, bench: Workbench, scores: Scores) -> None:
        self._bench = bench
        self._highest = Highest(scores)
        self._images = bench.subset("train", CALIBRATION)

    def errors(self, kept: Sequence[int]) -> NDArray[np.float64]:
        """Of cuts that keep so many units."""
        layout = self._bench.network.layout
        masks = Masks.pack(np.array([self._highest(count) for count in kept]), layout)
        return 1 - correct(self._bench, masks, self._images).mean(axis=1)

    def spread(self, number: int) -> list[NDArray[np.bool_]]:
        """At most so many cuts, whose errors lie evenly between the unpruned network's and the region's edge."""
        dense = self._bench.dense(self._images).error
        low, high = 0, self._bench.network.layout.total
        for _ in range(HALVINGS):
            middle = (low + high) // 2
            low, high = (middle, high) if self.errors([middle])[0] > dense + REGION_MARGIN else (low, middle)
        kept = np.unique(np.linspace(self._bench.network.layout.total, low, GRID).astype(int))[::-1]
        errors = np.maximum.accumulate(self.errors(kept.tolist()))
        wanted = np.interp(dense + REGION_MARGIN * np.arange(1, number + 1) / number, errors, kept)
        return [self._highest(int(count)) for count in np.unique(wanted.astype(int))[::-1]]


@dataclass(frozen=True)
class Front:
    """Members of one front: their errors on the images that they were searched on, and which of the others they have
    right; `flattered` is by how many points they lose more on the others than on those."""

    search: NDArray[np.float64]
    correct: Correct
    flattered: float

    @property
    def members(self) -> float:
        """How many there are."""
        return float(len(self.search))

    @property
    def test(self) -> NDArray[np.float64]:
        """Errors on the others."""
        return 1 - self.correct.mean(axis=1)


@dataclass(frozen=True)
class Pool:
    """Search and test images together, of which some are drawn to search on, and `tested` others to test on."""

    split: Split
    tested: int

    @classmethod
    def of(cls, data: Data, tested: int) -> Pool:
        """All unseen images of a problem; as many are tested on as its test split has, or so many at most."""
        parts = data.search, data.test
        images = np.concatenate([np.asarray(part.images[:]) for part in parts])
        return cls(Split(images, np.concatenate([part.labels for part in parts])), min(tested, len(data.test)))

    def draw(self, size: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of `size` images to search on, and of the others to test on."""
        rows = rng.permutation(len(self.split))[: size + self.tested]
        return rows[:size], rows[size:]


def correct(bench: Workbench, masks: Masks, images: Images, weights: Sequence[str] = ()) -> Correct:
    """Which images each pruned network has right, bool[n, images]."""
    if len(masks) == 0:
        return np.zeros((0, len(images.labels)), dtype=bool)
    found = bench.candidates(masks, weights or [DENSE] * len(masks), images, exact=True)
    return np.array([candidate.correct for candidate in found])


def correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Spearman's, with mean ranks of equal values; 0 where all values of one side are equal, which tell nothing."""
    a, b = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale else 0.0


def discordances(right: Correct, owners: Sequence[int] | None = None) -> Iterator[float]:
    """The share of images that one of two networks alone has right, of all pairs that are near each other in error.

    With `owners`, one per network, of pairs of different owners alone. Equal networks are no pair.
    """
    errors = 1 - right.mean(axis=1)
    for a, b in combinations(range(len(right)), 2):
        share = float((right[a] != right[b]).mean())
        if share and abs(errors[a] - errors[b]) <= NEAR and (owners is None or owners[a] != owners[b]):
            yield share

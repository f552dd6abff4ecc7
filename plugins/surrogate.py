"""A surrogate of evaluated genomes, and the genomes that it promises most of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

import pruneframe as pf

MOVES = (-2, -1, 1, 2)  # steps by which a layer's width changes in the local search
STARTS = 8  # members of the front, those that contribute most to its hypervolume, at which it begins
SMOOTHING = 1e-3  # of the surrogate: errors on images are not smooth
LATEST = 1000  # genomes, beside the front, that the surrogate goes through: its cost grows with their cube


class Known:
    """All that was evaluated: genomes int64[n, layers] and normalised points float64[n, objectives], none twice.

    `error` is the column of the error, of which no prediction is better than the best that is known.
    """

    def __init__(self, genomes: pf.Genomes, points: pf.Points, error: int | None = None) -> None:
        self.genomes, self.points = genomes[:0], points[:0]
        self.hypervolume = 0.0
        self._error = error
        self._front = points[:0]
        self._seen: set[bytes] = set()
        self.add(genomes, points)

    def add(self, genomes: pf.Genomes, points: pf.Points) -> NDArray[np.float64]:
        """The hypervolume that each gains, in turn; nothing for one that is known."""
        gains = np.zeros(len(genomes))
        for row in self._unknown(genomes):
            point = points[row]
            if not np.any(np.all(self._front <= point, axis=1)):
                self._front = np.vstack([self._front[~np.all(self._front >= point, axis=1)], point])
                after = max(self.hypervolume, pf.hypervolume(self._front))
                gains[row], self.hypervolume = after - self.hypervolume, after
            self._seen.add(genomes[row].tobytes())
            self.genomes, self.points = np.vstack([self.genomes, genomes[row]]), np.vstack([self.points, point])
        return gains

    def proposals(
        self, number: int, variables: pf.Variables, rng: np.random.Generator, surrogate: bool = True
    ) -> pf.Genomes:
        """So many unknown neighbours of the front's best members: those that promise most, or any without a surrogate.

        The best are those that contribute most to the hypervolume: the least crowded ones often lie where nothing is to
        be gained, at a network that guesses.
        """
        front = np.flatnonzero(pf.non_dominated(self.points))
        shares = pf.contributions(self.points[front])
        steps = self._neighbours(self.genomes[front[np.argsort(-shares, kind="stable")[:STARTS]]], variables)
        if not surrogate:
            return steps[rng.permutation(len(steps))[:number]]
        return steps[self._promising(steps, number, variables)]

    def screened(self, genomes: pf.Genomes, number: int, variables: pf.Variables) -> NDArray[np.int64]:
        """Rows of at most so many unknown genomes, those that promise most; any others where not enough of them do."""
        new = self._unknown(genomes)
        promising = new[self._promising(genomes[new], number, variables)]
        return np.concatenate([promising, np.setdiff1d(new, promising)])[:number]

    def _unknown(self, genomes: pf.Genomes) -> NDArray[np.int64]:
        """Rows that were not evaluated, of equal genomes the first."""
        _, first = np.unique(genomes, axis=0, return_index=True)
        return np.array([row for row in np.sort(first) if genomes[row].tobytes() not in self._seen], dtype=np.int64)

    def _promising(self, genomes: pf.Genomes, number: int, variables: pf.Variables) -> NDArray[np.int64]:
        """Rows of at most so many that together promise most hypervolume; none where too little is known."""
        predicted = self._predict(genomes, variables) if number and len(genomes) else None
        return np.empty(0, dtype=np.int64) if predicted is None else pf.pick(predicted, number, self._front)

    def _neighbours(self, genomes: pf.Genomes, variables: pf.Variables) -> pf.Genomes:
        """One layer wider or narrower by a step or two, within bounds; those that are not known."""
        layers = genomes.shape[1]
        moves = np.concatenate([move * np.eye(layers, dtype=genomes.dtype) for move in MOVES])
        steps = (genomes[:, None] + moves).reshape(-1, layers)
        steps = steps[np.all((steps >= variables.lower) & (steps <= variables.upper), axis=1)]
        return steps[self._unknown(steps)]

    def _predict(self, genomes: pf.Genomes, variables: pf.Variables) -> pf.Points | None:
        """Cubic radial basis functions through what is known; None where that is too little."""
        free, scale = variables.upper > variables.lower, variables.upper
        rows = np.union1d(np.flatnonzero(pf.non_dominated(self.points)), np.arange(len(self.points))[-LATEST:])
        try:
            known = (self.genomes[rows] / scale)[:, free]
            model = RBFInterpolator(known, self.points[rows], kernel="cubic", smoothing=SMOOTHING)
            found = np.maximum(model((genomes / scale)[:, free]), 0)
        except (ValueError, np.linalg.LinAlgError):  # fewer points than variables, or all of them in one plane
            return None
        if self._error is not None:
            found[:, self._error] = np.maximum(found[:, self._error], self.points[:, self._error].min())
        return np.round(found, 9)  # so that no machine's rounding decides between equals

"""Noise: how well errors on search images tell errors on others, and how many images a small difference needs.

What has been measured on a problem (`resampling`) is kept as JSON: in the cache, or beside the problem that ships it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import cache_folder, read_json, write_whole
from ..problem import LoadedProblem
from .paired import NORMAL_95

DIFFERENCE = 0.005  # of two errors, half a point
NORMAL_80 = 0.8416212335729143  # one-sided 80 % quantile of the normal distribution
FORMAT = 1


@dataclass(frozen=True)
class Spread:
    """A middle value and what 95 % (of discordances: half) of the values lie between."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[np.float64], share: float = 0.95) -> Self:
        """The median and the quantiles around it; not a number where there are no values."""
        if len(values) == 0:
            return cls(math.nan, math.nan, math.nan)
        return cls(*np.quantile(values, [0.5, (1 - share) / 2, (1 + share) / 2]).tolist())

    def __format__(self, form: str) -> str:
        """As in `0.93 [0.90, 0.95]`, each in a number's form; without brackets where there was one value alone."""
        if math.isnan(self.middle):
            return "none"
        if self.low == self.high:
            return f"{self.middle:{form}}"
        return f"{self.middle:{form}} [{self.low:{form}}, {self.high:{form}}]"


@dataclass(frozen=True)
class Told:
    """By so many search `images`: Spearman's rank correlation of search and test error.

    `cuts` is that of members which nobody chose by those images, over draws of the images. `searched` is that of the
    members of fronts that were searched on just those images, over searches, and `flattered` by how many points such
    members lose more on other images than on those, beside the unpruned network; `members` is how many a front has.
    """

    images: int
    cuts: Spread
    searched: Spread
    flattered: Spread
    members: Spread

    @property
    def line(self) -> str:
        """For people."""
        told = f"{self.images:>8}  {self.cuts:.2f}".ljust(32) + f"{self.searched:.2f}".ljust(22)
        return told + f"{self.flattered:.2f}".ljust(25) + f"{self.members:.2g}"


@dataclass(frozen=True)
class Noise:
    """What was measured on one problem, and how.

    `discordance` is the share of images that two members of one front answer differently, one right and one wrong,
    where their test errors are at most a point apart; `across` the same of cuts by two scores.
    """

    problem: str
    about: str  # `key` of the problem that it was measured on
    units: str
    images: dict[str, int]  # of the splits, and `tested`, on how many others each member was measured
    told: tuple[Told, ...]
    discordance: Spread
    across: Spread
    how: dict[str, Any]  # scores, cuts, method, budget, searches, draws
    environment: dict[str, Any]

    @property
    def needed(self) -> int | None:
        """Images by which a difference of half a point between members of a front is told; None where none is known."""
        return images_needed(self.discordance.middle)

    @property
    def needed_across(self) -> int | None:
        """The same for cuts by two scores, which differ more."""
        return images_needed(self.across.middle)

    @property
    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return {"format": FORMAT} | _null(asdict(self))

    @property
    def lines(self) -> list[str]:
        """For people, a line per number of search images, and what they mean."""
        how, tested = self.how, self.images["tested"]
        scores = ", ".join(how["scorers"])
        return [
            f"rank correlation of search error and error on {tested} others, within 10 points of the unpruned network:",
            f"{'images':>8}  {'cuts, nobody chose':22}{'members of fronts':22}{'flattered by, in points':25}members",
            *(one.line for one in self.told),
            f"cuts: at most {how['cuts']} each by {scores}, over {how['draws']} draws of images; fronts: at most "
            f"{how['members']} members of {how['searches']} searches by {how['method']} on just those images, "
            f"{how['budget']:g} passes each; brackets hold 95 %; without any, one front had three members",
            _need("two members of one front", self.discordance, self.needed),
            _need("cuts by two scores", self.across, self.needed_across),
        ]

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a file; raises InputError where it is none of ours."""
        try:
            found = read_json(path)
            if found.pop("format") != FORMAT:
                raise KeyError("format")
            told = tuple(Told(one.pop("images"), **{n: _spread(v) for n, v in one.items()}) for one in found["told"])
            spreads = {name: _spread(found[name]) for name in ("discordance", "across")}
            return cls(**found | {"told": told} | spreads)
        except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} must hold what `pruneframe noise` writes, but does not; measure again") from error

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        text = json.dumps(self.record, indent=1) + "\n"
        write_whole(path, lambda file: file.write(text.encode()))


def key(loaded: LoadedProblem) -> str:
    """16 hex digits over all that the noise of a problem depends on: weights, unseen images, units and batch norm."""
    data, problem = loaded.data, loaded.problem
    parts = [loaded.network.digest, data.search.digest, data.test.digest, problem.units, problem.batch_norm]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def place(loaded: LoadedProblem) -> Path:
    """Where in the cache the noise of a problem is kept."""
    return cache_folder() / "noise" / f"{loaded.problem.name}-{key(loaded)}.json"


def known(loaded: LoadedProblem) -> Noise | None:
    """What has been measured here on just this problem, or what comes with it; None where nothing has."""
    for path in _candidates(loaded):
        found = Noise.read(path)
        if found.about == key(loaded):
            return found
    return None


def _candidates(loaded: LoadedProblem) -> Iterator[Path]:
    folder, shipped = cache_folder() / "noise", loaded.problem.noise
    if any(folder.glob(f"{loaded.problem.name}-*.json")):  # else no image must be read for the key
        yield from (path for path in [place(loaded)] if path.exists())
    if shipped is not None and shipped.exists():
        yield shipped


def images_needed(discordance: float, difference: float = DIFFERENCE) -> int | None:
    """Images by which McNemar's test, two-sided at 5 %, finds a difference of two errors four times out of five.

    Connor, "Sample size for testing differences in proportions for the paired-sample design", Biometrics 43, 1987.
    None where the discordance, the share of images that one network alone has right, is not known.
    """
    if math.isnan(discordance):
        return None
    share = max(discordance, difference)  # two networks that differ by so much differ on so many images at least
    both = NORMAL_95 * math.sqrt(share) + NORMAL_80 * math.sqrt(share - difference**2)
    return math.ceil((both / difference) ** 2)


def _need(who: str, discordance: Spread, needed: int | None) -> str:
    """How many images a small difference takes, in a line."""
    if needed is None:
        return f"0.5 points between {who}: no two were within a point of each other"
    return (
        f"0.5 points between {who} take {needed} images: they disagree on {100 * discordance.middle:.1f} % of them "
        f"(half of the pairs: {100 * discordance.low:.1f} to {100 * discordance.high:.1f} %; McNemar's test at 5 %, "
        "found 4 times of 5)"
    )


def _spread(found: dict[str, float | None]) -> Spread:
    return Spread(**{name: math.nan if value is None else value for name, value in found.items()})


def _null(value: Any) -> Any:
    """JSON knows no number that is none."""
    if isinstance(value, dict):
        return {name: _null(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_null(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value

"""What a method found at a prompt: its final front, as a table and as networks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from ..errors import InputError
from ..front import hypervolume
from ..mask import Masks
from ..study.member import Front
from ..study.result import Members
from .html import shown


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The final front of one search: its members were measured on all search images, and once on the test images.

    `method` and `seed` say whose it is, `ended` by what the search ended, `passes` what it spent; `members` are as they
    were measured, by `objectives` with their `references`, `front` has them as networks.
    """

    method: str
    seed: int
    ended: str
    passes: float
    members: Members
    references: NDArray[np.float64]
    objectives: tuple[str, ...]
    front: Front

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per member, the smallest first: see `columns_of`."""
        search, test = (
            pd.DataFrame(one.values, columns=list(self.objectives)).assign(error=one.error)
            for one in (self.members.search, self.members.test)
        )
        return columns_of(search.assign(removed=self.members.reduction), test, self.objectives)

    @property
    def masks(self) -> Masks:
        """What each member keeps."""
        return self.front.masks

    @property
    def hypervolume(self) -> float:
        """Of the front with the error on test, as a study tells it."""
        return hypervolume(self.members.test.values / self.references)

    def module(self, member: int, shrunk: bool = False) -> nn.Module:
        """The member of that `number` as a module of its own: with zeros in place, or without what is pruned."""
        if not 0 <= member < len(self.masks):
            raise InputError(f"member must be from 0 to {len(self.masks) - 1}, but got {member}")
        return self.front.module(member, shrunk).requires_grad_()

    def __repr__(self) -> str:
        return f"<{self.method}, seed {self.seed}: {len(self.masks)} members, hypervolume {self.hypervolume:.4f}>"

    def _repr_html_(self) -> str:
        facts = {"members": len(self.masks), "hypervolume": f"{self.hypervolume:.4f}", "passes": f"{self.passes:g}"}
        return shown(f"{self.method}, seed {self.seed}", facts, self.table)


def columns_of(search: pd.DataFrame, test: pd.DataFrame, objectives: tuple[str, ...]) -> pd.DataFrame:
    """Members as people read them, the one that removes most first.

    `number` (of the member in its front), `removed` (share of all parameters), `search_error`, `test_error` (shares of
    the images), and every other objective as on the search images. Rows of both frames are the same members.
    """
    others = [name for name in objectives if name != "error"]
    frame = pd.DataFrame(
        {
            "number": np.arange(len(search)),
            "removed": search["removed"].to_numpy(),
            "search_error": search["error"].to_numpy(),
            "test_error": test["error"].to_numpy(),
            **{name: search[name].to_numpy() for name in others},
        }
    )
    return frame.sort_values("removed", ascending=False, kind="stable", ignore_index=True)

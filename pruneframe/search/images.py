"""Images of a split where they are computed with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..mask import Masks
from ..model.data import Split
from ..model.rows import Source


class Images:
    """A split's images on the engine's device, or a stream of them that come there when they are read.

    `place` takes them there when they are first looked at, which may be never where a table has `told` which of them
    each mask classifies as their labels say, bool[images].
    """

    def __init__(
        self, split: Split, place: Callable[[], Source], told: Callable[[Masks], NDArray[np.bool_]] | None = None
    ) -> None:
        self.split = split
        self.told = told
        self._place = place

    @property
    def labels(self) -> NDArray[np.int64]:
        """Of each image, int64[n]."""
        return self.split.labels

    @cached_property
    def tensor(self) -> Source:
        """The images themselves."""
        return self._place()

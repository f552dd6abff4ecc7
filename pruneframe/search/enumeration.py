"""Enumeration: every mask of a small network evaluated once, as a table that answers in its place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..model.tabular import EVALUATED, MOST_UNITS, SPLITS, Described, Outcomes, numbered_masks
from .images import Images
from .workbench import DENSE, Workbench

LEAST_UNITS = 3  # a byte of masks
BLOCK = 1024  # masks that are evaluated together, those that begin alike side by side


def enumerated(bench: Workbench, tell: Callable[[float], None] = lambda share: None) -> Outcomes:
    """What the unpruned weights make of the search and the test images under every mask; `tell` hears what is done.

    Raises InputError for a network of too many units, for statistics that shift, and where only some search images
    are meant.
    """
    loaded, layout = bench.loaded, bench.network.layout
    if not LEAST_UNITS <= layout.total <= MOST_UNITS:
        raise InputError(
            f"a network must have {LEAST_UNITS} to {MOST_UNITS} units for all masks to be evaluated, but "
            f"{loaded.problem.called!r} has {layout.total} {bench.network.units.name}s"
        )
    if loaded.batch_norm_images is not None or len(loaded.search) < len(loaded.data.search):
        raise InputError("a table is of frozen batch norm and of all search images; leave both as they are")
    images = {"search": bench.search, "test": bench.images(loaded.data.test)}
    right = {name: _right(bench, images[name], partial(_tell, tell, row)) for row, name in enumerate(EVALUATED)}
    described = {name: Described.by(getattr(loaded.data, name)) for name in SPLITS}
    data = loaded.data
    return Outcomes(layout.units, bench.network.digest, right, described, data.mean, data.std)


def _tell(tell: Callable[[float], None], split: int, share: float) -> None:
    """What share of all splits is done."""
    tell((split + share) / len(EVALUATED))


def _right(bench: Workbench, images: Images, tell: Callable[[float], None]) -> NDArray[np.uint8]:
    """Which images each mask classifies as their labels say, uint8[images, masks / 8]."""
    layout = bench.network.layout
    total = 2**layout.total
    found = np.empty((total, len(images.labels)), dtype=bool)
    for start in range(0, total, BLOCK):
        masks = numbered_masks(layout, np.arange(start, min(start + BLOCK, total)))
        for row, candidate in enumerate(bench.candidates(masks, [DENSE] * len(masks), images, exact=True), start):
            found[row] = candidate.correct
            tell((row + 1) / total)
    return np.packbits(found.T, axis=1)

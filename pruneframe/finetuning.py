"""The common fine-tuning: every member of a final front gets the same training, behind the search and its budget."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .journal import Journal
from .mask import Masks
from .training import Recipe
from .workbench import Images, Workbench

FINETUNE = "finetune"  # the kind of its answers in a journal


@dataclass(frozen=True)
class Finetuned:
    """Errors float64[members] of a front after training, what it cost in units, and in seconds."""

    search_error: NDArray[np.float64]
    test_error: NDArray[np.float64]
    units: float
    seconds: float


def finetune(
    bench: Workbench, masks: Masks, weights: list[str], recipe: Recipe, seed: int, journal: Journal
) -> Finetuned:
    """Train each member on the train split, zeros kept, and measure it in float32 on search and test.

    Each answer is journalled, so that a kill loses one member at most; the trained weights are not kept.
    """
    test = bench.images(bench.loaded.data.test)
    errors, seconds = np.empty((len(masks), 2)), 0.0
    for row, (digest, name) in enumerate(zip(masks.digests(), weights, strict=True)):
        key = f"{digest} {name}"
        answer = journal.replay(FINETUNE, key)
        if answer is None:
            start = time.perf_counter()
            own = zlib.crc32(f"{seed} {key}".encode())
            tuned = bench.shelf.put(bench.train(masks[[row]], name, recipe, own))
            found = [_error(bench, masks[[row]], tuned, images) for images in (bench.search, test)]
            bench.shelf.keep_only(weights)
            answer = journal.write(FINETUNE, key, found, price(bench, recipe), time.perf_counter() - start)
        errors[row] = answer.values
        seconds += answer.seconds
    return Finetuned(errors[:, 0], errors[:, 1], price(bench, recipe) * len(masks), seconds)


def price(bench: Workbench, recipe: Recipe) -> float:
    """Units for one member's training: an image is three forward passes."""
    available = len(bench.loaded.data.train)
    return 3 * recipe.epochs * min(recipe.images or available, available) / len(bench.loaded.search)


def _error(bench: Workbench, mask: Masks, weights: str, images: Images) -> float:
    """Share misclassified."""
    candidate = next(bench.candidates(mask, [weights], images, exact=True))
    return float((candidate.logits.argmax(axis=1) != candidate.labels).mean())

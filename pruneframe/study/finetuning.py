"""The common fine-tuning: every member of a final front gets the same training, behind the search and its budget."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..model.recipe import Recipe
from ..search.answer import Question
from ..search.journal import Journal
from .member import Front

FINETUNE = "finetune"  # the kind of its answers in a journal


@dataclass(frozen=True)
class Finetuned:
    """Errors float64[members] of a front after training, what it cost in passes, and in seconds."""

    search_error: NDArray[np.float64]
    test_error: NDArray[np.float64]
    passes: float
    seconds: float


def finetune(front: Front, recipe: Recipe, seed: int, journal: Journal) -> Finetuned:
    """Train each member on the train split, zeros kept, and measure it in float32 on search and test.

    Each answer is journalled, so that a kill loses one member at most; the trained weights are not kept.
    """
    bench, price = front.bench, front.bench.prices.training(recipe)
    splits = bench.search, bench.images(bench.loaded.data.test)
    errors, seconds = np.empty((len(front), 2)), 0.0
    for row, weights in enumerate(front.weights):
        mask = front.masks[[row]]
        question = Question.of(FINETUNE, mask=mask.digests()[0], weights=weights)
        answer = journal.replay(question)
        if answer is None:
            start = time.perf_counter()
            tuned = bench.shelf.put(bench.train(mask, weights, recipe, zlib.crc32(f"{seed} {question.text}".encode())))
            found = [next(bench.candidates(mask, [tuned], images, exact=True)).error for images in splits]
            bench.shelf.keep_only(front.weights)
            answer = journal.write(question, found, price, time.perf_counter() - start)
        errors[row] = answer.values
        seconds += answer.seconds
    return Finetuned(errors[:, 0], errors[:, 1], price * len(front), seconds)

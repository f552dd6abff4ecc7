"""Joint schemes of `emo-dir`: which members of the parts' fronts make a network together, and their fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.kit import is_pruned, paired, ranked, summed

from .part_fronts import Found, Front, dense_error, joined, scheme_price

Joint = Literal["ranking", "sum", "pairing"]
Scheme = tuple[int, ...]  # of each front a member
PAIRING = "pairing"  # needs no impairments


def joint_schemes(
    task: pf.Task, fronts: Sequence[Front], joint: Joint, reserved: float
) -> Iterator[tuple[str, Scheme]]:
    """Joint schemes, the largest first, and what sums of impairments promise for the budget but for `reserved` passes.

    Each with what it was chosen by.
    """
    impairments, params = [front.impairments for front in fronts], [front.params for front in fronts]
    first: list[Scheme] = []
    if joint == "ranking":
        first = [scheme for scheme in ranked(impairments, params) if is_pruned(scheme)]
    elif joint == PAIRING:
        first = [scheme for scheme in paired([len(front.masks) for front in fronts]) if is_pruned(scheme)]
    yield from ((joint, scheme) for scheme in first)
    if joint == PAIRING:
        return
    total = task.network.total_params
    schemes, points = summed(impairments, [total - sizes for sizes in params], (dense_error(task), total))
    rest = np.array([row for row, scheme in enumerate(schemes) if is_pruned(scheme) and scheme not in first], int)
    affordable = max(0, int((task.budget.left - reserved) / scheme_price(task)))
    yield from (("sum", schemes[row]) for row in rest[pf.thin(points[rest] / Found.references(task), affordable)])


def evaluate_each(task: pf.Task, fronts: Sequence[Front], schemes: Iterable[tuple[str, Scheme]]) -> None:
    """Evaluate joint schemes one by one, so that none is lost when the budget ends, and record them."""
    rows: list[dict[str, float | str]] = []
    try:
        for by, scheme in schemes:
            mask, weights = joined(task, fronts, scheme)
            values = task.evaluate(mask, weights)[0]
            rows.append(dict(zip(task.objectives, values.tolist(), strict=True)) | {"by": by})
    finally:
        task.record("joint schemes", pd.DataFrame(rows))


def finetune(task: pf.Task, most: int, recipe: pf.Recipe) -> None:
    """Train at most so many of the front, evenly spread, as whole networks, for as long as the budget allows."""
    masks, members = task.archive.front()
    pruned = np.flatnonzero(masks.counts() < task.layout.total)
    rows = pruned[pf.thin(task.archive.front_values()[pruned] / task.references, most)]
    if not len(rows):
        return
    visits = task.prices.trainable(task.budget.left / len(rows) - scheme_price(task))
    images = max(2, min(recipe.images or task.train_images, task.train_images, int(visits)))
    recipe = replace(recipe, epochs=max(1, int(visits / images)), images=images)
    for row in rows:
        mask = masks[[row]]
        task.evaluate(mask, task.train(mask, members[row].weights, recipe))

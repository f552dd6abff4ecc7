"""The indicators of a run: hypervolumes of its final front, what it removes at a bounded loss, and how soon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..front import DROPS, REGION_MARGIN, choose, hypervolume, hypervolume_curve, log_scaled, mean_reached
from ..objective import Objective
from ..search.archive import Archive
from .paired import loss_bounds, paired_drop
from .result import Members

RESAMPLES = 200  # of the test images, the same ones for all runs with as many of them

Values = NDArray[np.float64]


def indicators(members: Members, objectives: Sequence[Objective], references: Values) -> dict[str, Any]:
    """Hypervolumes and operating points of a final front, as `summary --json` names them.

    hypervolume: with the members' values on test; hypervolume_search: on search; hypervolume_region: as the first, the
    error divided by (dense test error + 0.10); hypervolume_log: as the first, sizes on a log scale down to 1 %.
    hypervolume_resampled: as the first, with images drawn anew. reduction_at_x: the largest share removed among members
    whose *search* error is at most x points above dense; test_drop_at_x: what that member loses on test, in points, and
    its paired 95 % interval. sure_...: the same among members that lose at most x points on search with 90 %
    confidence. Nothing is selected on test.
    """
    dense_error = float(members.dense_search.error[0])
    dense_test_error = float(members.dense_test.error[0])
    names = [objective.name for objective in objectives]
    region = references.copy()
    if "error" in names:
        region[names.index("error")] = dense_test_error + REGION_MARGIN
    on_test = members.test.values / references
    sizes = [not objective.predicts for objective in objectives]
    found: dict[str, Any] = {
        "hypervolume": hypervolume(on_test),
        "hypervolume_search": hypervolume(members.search.values / references),
        "hypervolume_region": hypervolume(members.test.values / region),
        "hypervolume_log": hypervolume(np.where(sizes, log_scaled(on_test), on_test)),
        "hypervolume_resampled": resampled(members, objectives, references),
        "front_size": len(members.masks),
        "dense_error": dense_error,
        "dense_test_error": dense_test_error,
    }
    bounds = loss_bounds(*members.differing, members.dense_search.correct.shape[1])
    for drop in DROPS:
        found |= _operating_point(members, f"at_{drop:g}", members.search.error, dense_error + drop / 100)
        found |= _operating_point(members, f"at_{drop:g}", bounds, drop / 100, "sure_")
    return found


def anytime(archive: Archive, references: Values, budget: float) -> float:
    """The search hypervolume of all that was evaluated so far, in the mean over the budget."""
    values = np.array([one.values for one in archive.evaluations]).reshape(-1, len(references))
    spent = np.array([one.spent for one in archive.evaluations])
    return mean_reached(hypervolume_curve(values / references), spent, budget)


def resampled(members: Members, objectives: Sequence[Objective], references: Values) -> list[float]:
    """The hypervolume on test images drawn with replacement, 200 times; empty where it is not that of errors alone.

    The draws are the same for all runs that have as many test images, so that runs can be compared draw by draw.
    """
    looked_at = [objective.name for objective in objectives if objective.predicts]
    if looked_at != ["error"]:
        return []
    column = [objective.name for objective in objectives].index("error")
    images = members.dense_test.correct.shape[1]
    draws = np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), RESAMPLES)
    errors = (~members.test.correct).astype(np.float32) @ draws.T.astype(np.float32) / images
    values = np.repeat(members.test.values[None], RESAMPLES, axis=0)
    values[:, :, column] = errors.T
    return [hypervolume(drawn / references) for drawn in values]


def _operating_point(members: Members, at: str, losses: Values, limit: float, kind: str = "") -> dict[str, Any]:
    keys = tuple(f"{kind}{name}_{at}" for name in ("reduction", "test_drop", "test_drop_interval"))
    chosen = choose(losses, members.reduction, limit)
    if chosen is None:
        return dict.fromkeys(keys)
    lost, interval = paired_drop(members.dense_test.correct[0], members.test.correct[chosen])
    return dict(zip(keys, (float(members.reduction[chosen]), lost, list(interval)), strict=True))

"""The guide: it steers in the error's place, costs what a probe does, and keeps what it found non-dominated."""

from __future__ import annotations

import numpy as np
import pytest

from pruneframe.front import non_dominated
from pruneframe.kit import best
from pruneframe.testing import make_task, tiny_problem
from pruneframe_plugins.guide import Guide


def test_a_guide_stands_in_for_the_error_and_keeps_its_front() -> None:
    task = make_task(tiny_problem(objectives=("params", "error", "macs")))
    guide = Guide(task, "distortion", 0.25)
    masks = best(task.scores("magnitude"), task.layout, [300, task.layout.total, 500, 600])
    values = guide(masks)
    assert guide.price == pytest.approx(0.25)
    assert task.budget.spent == pytest.approx(4 * guide.price)
    assert not task.archive.evaluations
    distortions, params = task.probe("distortion", masks, count=10), task.network.params(masks)
    assert np.array_equal(values, np.stack([params, distortions, params], axis=1))
    chosen = np.flatnonzero(non_dominated(np.stack([distortions, params], axis=1)))
    assert len(chosen) > 1
    front = guide.front()
    assert sorted(front.digests()) == sorted(masks[chosen].digests())
    assert np.all(np.diff(task.network.params(front)) < 0)

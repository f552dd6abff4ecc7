"""Anchors: the most accurate and the sparsest allowed member of a front, and what both are recorded as."""

from __future__ import annotations

import numpy as np
import pytest

from pruneframe.kit import Corridor
from pruneframe.mask import Masks
from pruneframe.testing import make_task, tiny_problem
from pruneframe_plugins.anchors import Front, knee, record_corridor


def test_anchors_are_the_most_accurate_and_the_sparsest_allowed() -> None:
    task = make_task(tiny_problem())
    masks = Masks.pack(np.arange(4)[:, None] * task.layout.total // 4 <= np.arange(task.layout.total), task.layout)
    errors = np.array([0.10, 0.10, 0.11, 0.30])
    front = Front(masks, np.stack([errors, masks.counts()], axis=1), errors, dense_error=0.10)
    assert front.heavy() == 1  # as accurate as the first, with fewer units
    assert front.light(delta=2) == 2
    assert front.light(delta=50) == 3
    assert Front(masks, front.values, errors, dense_error=0.01).light(delta=2) == 2  # none is allowed: the knee


def test_the_knee_is_farthest_from_the_line_between_the_ends() -> None:
    assert knee(np.array([[0.0, 100.0], [0.1, 20.0], [0.6, 15.0], [1.0, 0.0]])) == 1


def test_a_front_and_its_corridor_are_recorded() -> None:
    task = make_task(tiny_problem())
    full = task.layout.full()
    thinner = Masks.pack(np.arange(task.layout.total) >= np.array([[40], [80]]), task.layout)
    values = task.evaluate(Masks.join([full, thinner]))
    front = Front.of(task)
    assert front.dense_error == values[0, 0]
    assert front.survival() == pytest.approx(np.mean([front.masks.unpack(row) for row in range(len(front.masks))], 0))
    corridor = Corridor.between(full, thinner[1:])
    record_corridor(task, front, front.heavy(), front.light(2), corridor)
    kept = thinner.counts()[1] / task.layout.total
    assert task.records["corridor"].to_dict("records") == [{"lower": kept, "upper": 1, "free": 80}]
    assert task.records["anchors"].anchor.tolist() == ["heavy", "light"]
    assert len(task.records["coarse front"]) == len(front.masks)

"""The truth of a tabular problem, against brute force over all its masks."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from tabled import problem, tabular
from tiny import load, lookup

from pruneframe import Masks, Objective
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import DENSE, Workbench
from pruneframe.study.truth import Truth, true_hypervolumes

NAMES = ("error", "params")


def area(points: list[tuple[float, float]]) -> float:
    """What points in the unit square dominate, column by column."""
    edges = sorted({0.0, 1.0, *(x for x, _ in points if x < 1)})
    heights = [max([0.0, *(1 - y for x, y in points if x <= left)]) for left in edges[:-1]]
    return float(np.dot(np.diff(edges), heights))


def test_the_truth_is_that_of_all_masks(tmp_path: Path) -> None:
    objectives = [lookup(Objective, name) for name in NAMES]
    own = Workbench(load(problem()), "cpu", Shelf(None))
    layout = own.network.layout
    masks = Masks.pack(np.array(list(product([False, True], repeat=layout.total))), layout)
    values = np.array(list(own.measure(masks, [DENSE] * len(masks), objectives, own.search)))
    dominated = [any((other <= one).all() and (other < one).any() for other in values) for one in values]
    expected = {tuple(one) for one, out in zip(values, dominated, strict=True) if not out}
    truth = Truth.of(load(tabular(tmp_path)), "search", NAMES)
    assert truth is not None
    assert {tuple(one) for one in truth.values} == expected
    assert len(truth.masks) == len(expected) > 2
    references = [own.judge.reference(objective, own.dense(own.search)) for objective in objectives]
    assert truth.hypervolume == pytest.approx(area([tuple(one) for one in values / references]))


def test_hypervolumes_are_known_where_a_table_answers(tmp_path: Path) -> None:
    loaded = load(tabular(tmp_path))
    assert true_hypervolumes(load(problem()), NAMES) == true_hypervolumes(loaded, ("error", "size")) == {}
    found = true_hypervolumes(loaded, NAMES)
    assert set(found) == {"true_hypervolume", "true_hypervolume_search"}
    assert all(0 < value < 1 for value in found.values())

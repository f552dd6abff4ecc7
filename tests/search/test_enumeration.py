"""Enumeration: every mask is evaluated as a search would, and what it cannot be done for is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tabled import problem, tabular
from tiny import load, lookup

from pruneframe import InputError, Objective
from pruneframe.model.tabular import numbered_masks
from pruneframe.search.enumeration import enumerated
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import DENSE, Workbench
from pruneframe.testing import make_task, tiny_problem


def bench(tabled: Path | None = None) -> Workbench:
    return Workbench(load(problem() if tabled is None else tabular(tabled)), "cpu", Shelf(None))


def test_a_table_answers_what_the_network_would(tmp_path: Path) -> None:
    own, found = bench(), bench(tmp_path)
    masks = numbered_masks(own.network.layout, np.arange(32))
    for images, other in ((own.search, found.search), (own.images(own.loaded.data.test),) * 2):
        pairs = zip(
            own.candidates(masks, [DENSE] * 32, images), found.candidates(masks, [DENSE] * 32, other), strict=True
        )
        for one, told in pairs:
            assert np.array_equal(one.correct, told.correct)
            assert (one.error, one.params, one.macs) == (told.error, told.params, told.macs)


def test_the_table_answers_without_the_engine_and_without_images(tmp_path: Path) -> None:
    found = bench(tmp_path)
    error = lookup(Objective, "error")
    masks = numbered_masks(found.network.layout, np.arange(32))
    values = list(found.measure(masks, [DENSE] * 32, [error], found.search))
    assert len({value for (value,) in values}) > 3
    assert found.notice == "a table of all 32 masks"
    assert "_engine" not in vars(found)
    assert "tensor" not in vars(found.search)


def test_outputs_and_new_weights_are_the_networks(tmp_path: Path) -> None:
    own, found = bench(), bench(tmp_path)
    masks = numbered_masks(own.network.layout, np.array([21]))
    logits = [next(one.candidates(masks, [DENSE], one.search)).logits for one in (own, found)]
    assert np.array_equal(*logits)
    other = found.shelf.put({name: -tensor for name, tensor in found.state(DENSE).items()})
    candidate = next(found.candidates(masks, [other], found.search))
    assert candidate.told is None
    assert np.array_equal(candidate.logits.argmax(axis=1) == candidate.labels, candidate.correct)


def test_a_search_is_told_and_charged_the_same(tmp_path: Path) -> None:
    tasks = [make_task(one, budget=20) for one in (problem(), tabular(tmp_path))]
    masks = numbered_masks(tasks[0].layout, np.arange(0, 32, 3))
    told = [(task.evaluate(masks).tolist(), task.budget.spent, task.scores("taylor").tolist()) for task in tasks]
    assert told[0] == told[1]


def test_what_cannot_be_enumerated_is_refused() -> None:
    with pytest.raises(InputError, match="3 to 16 units for all masks to be evaluated, but 'tiny' has 18 filters"):
        enumerated(Workbench(load(tiny_problem("filter")), "cpu", Shelf(None)))
    with pytest.raises(InputError, match="frozen batch norm and of all search images"):
        enumerated(Workbench(load(problem(search_images=20)), "cpu", Shelf(None)))


def test_enumeration_tells_how_far_it_is() -> None:
    told: list[float] = []
    enumerated(bench(), told.append)
    assert told == sorted(told)
    assert (told[0], told[-1]) == (1 / 64, 1.0)

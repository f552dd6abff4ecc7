"""Fronts of parts: which members are kept, and how they are joined to whole networks."""

from __future__ import annotations

import numpy as np
import pytest

from pruneframe.kit import UNPRUNED
from pruneframe.mask import Masks
from pruneframe.search.subnetwork import REST
from pruneframe.search.task import Task
from pruneframe.search.workbench import DENSE
from pruneframe.testing import make_task, tiny_problem
from pruneframe_plugins.part_fronts import Found, Front, dense_error, joined, predecessor, scheme_price


@pytest.fixture
def task() -> Task:
    return make_task(tiny_problem(), 100)


def front_of(task: Task, start: int, stop: int, members: int = 9) -> Front:
    """A front of random masks of one part, and the unpruned one; the more is removed, the larger its error."""
    part, rng = task.part(start, stop), np.random.default_rng(start)
    own = Masks.pack(rng.random((6, part.layout.total)) < np.linspace(1.1, 0.2, 6)[:, None], part.layout)
    masks = part.widened(own)
    points = np.stack([np.linspace(0, 1, 6), task.network.params(masks) / task.network.total_params], axis=1)
    return Front.of(task, part, masks, points, members)


def test_a_part_is_judged_by_its_error_and_the_parameters_that_remain(task: Task) -> None:
    front = front_of(task, 0, 1)
    found = Found(task, front.part, REST)
    values = found(front.masks)
    assert np.array_equal(values[:, 1], front.params)
    assert np.array_equal(values[:, 0], front.part.evaluate(front.masks, REST))
    assert set(found.front.masks.digests()) <= set(front.masks.digests())
    assert Found.references(task).tolist() == [task.references[0], task.network.total_params]


def test_members_are_pruned_the_largest_first_and_no_more_than_asked_for(task: Task) -> None:
    whole, few = front_of(task, 0, 1), front_of(task, 0, 1, members=3)
    assert (len(whole.masks), len(few.masks)) == (5, 3)  # the unpruned one is no member
    for front in (whole, few):
        assert np.all(np.diff(front.params) <= 0)
        assert np.array_equal(front.params, task.network.params(front.masks))
        assert front.weights == [DENSE] * len(front.masks)
    assert few.table().columns.tolist() == ["params", "impairment", "trained"]
    assert few.table().trained.tolist() == [0, 0, 0]


def test_a_joint_scheme_removes_what_its_members_remove(task: Task) -> None:
    fronts = [front_of(task, 0, 1), front_of(task, 1, 3)]
    mask, weights = joined(task, fronts, (2, 1))
    assert mask.digests() == (fronts[0].masks[[2]] & fronts[1].masks[[1]]).digests()
    assert weights == DENSE
    assert joined(task, fronts, (UNPRUNED, 1))[0].digests() == fronts[1].masks[[1]].digests()
    assert joined(task, fronts, (UNPRUNED, UNPRUNED))[0].digests() == task.layout.full().digests()


def test_a_predecessor_takes_the_smallest_members_whose_impairment_is_tolerated(task: Task) -> None:
    fronts = [front_of(task, 0, 1), front_of(task, 1, 3)]
    assert predecessor(task, [], 0.05) is None

    def chosen() -> list[str]:
        found = predecessor(task, fronts, 0.05)
        assert found is not None
        return found.masks.digests()

    assert chosen() == joined(task, fronts, (2, 2))[0].digests()  # unknown: those in the middle
    fronts[0].impairments = np.array([0.0, 0.04, 0.06, 0.05, 0.2])
    fronts[1].impairments = np.array([0.4, 0.3, 0.5, 0.6, 0.7])
    assert chosen() == joined(task, fronts, (3, 1))[0].digests()  # none is tolerated: the least harmful


@pytest.mark.parametrize(("batch_norm", "price"), [("frozen", 1), ("shifted", 1 + 2 * 60 / 40)])
def test_a_scheme_costs_its_evaluation_and_the_statistics_of_its_weights(batch_norm: str, price: float) -> None:
    task = make_task(tiny_problem(batch_norm=batch_norm))  # type: ignore[arg-type] # one of its values
    assert scheme_price(task) == pytest.approx(price)


def test_the_unpruned_networks_error_is_that_of_the_first_evaluation(task: Task) -> None:
    values = task.evaluate(task.layout.full(1))
    assert dense_error(task) == values[0, 0]

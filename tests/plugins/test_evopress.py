"""EvoPress: levels that are traded, totals that stay, races that are charged by the images that they look at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from searches import searched

from pruneframe.testing import check_method, make_task, tiny_problem
from pruneframe_plugins.evopress import EvoPress, largest_gap
from pruneframe_plugins.levels import Levels, spread, switched


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_the_contract_holds(units: str) -> None:
    check_method(EvoPress(), units)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(0, 60))
def test_levels_are_spread_in_proportion(room: list[int], total: int) -> None:
    most = np.array(room)
    total = min(total, int(most.sum()))
    found = spread(total, most)
    assert found.sum() == total
    assert np.all((found >= 0) & (found <= most))
    assert np.all(np.abs(found - total * most / max(1, most.sum())) < 1)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6), st.integers(1, 4))
def test_a_switch_keeps_the_total(layers: list[tuple[int, int]], switches: int) -> None:
    levels, room = np.array(layers).T
    child = switched(levels, levels + room, switches, np.random.default_rng(0))
    assert child.sum() == levels.sum()
    assert np.all((child >= 0) & (child <= levels + room))
    assert np.abs(child - levels).sum() <= 2 * switches


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_a_level_is_the_same_number_of_parameters_in_every_layer(units: str) -> None:
    task = make_task(tiny_problem(units))
    levels = Levels(task, task.scores("magnitude"), 100)
    layers = len(task.layout.sizes)
    assert np.all(levels.highest >= 1)
    lost = task.network.total_params - task.network.params(levels.masks(np.eye(layers, dtype=np.int64)))
    if units == "weight":
        assert len(set(lost.tolist())) == 1
    else:
        assert lost.min() >= 2 / 3 * np.median(lost)
    kept = levels.masks(np.vstack([np.zeros(layers, dtype=np.int64), levels.highest])).layer_counts()
    assert kept[0].tolist() == list(task.layout.sizes)
    assert np.all(kept[1] >= [group.least for group in task.layout.groups])


def test_a_total_lies_in_the_middle_of_the_largest_gap() -> None:
    assert largest_gap({0: 0.0, 100: 1.0}) == 50
    assert largest_gap({0: 0.0, 100: 1.0, 50: 0.9}) == 25
    assert largest_gap({0: 0.0, 100: 1.0, 50: 0.1}) == 75
    assert largest_gap({0: 0.0, 10: 0.0}) == 5  # equals have a gap as well
    assert largest_gap({0: 0.0, 1: 1.0}) is None
    assert largest_gap({0: 0.0}) is None


def test_all_networks_of_a_total_have_as_many_weights() -> None:
    task = searched("evopress[totals=4,scorer=magnitude,steps=40]", 120)
    levels = Levels(task, task.scores("magnitude"), 40)
    size, highest = task.network.total_params, int(levels.highest.sum())
    one = size - int(task.network.params(levels.masks(np.eye(1, len(levels.highest), dtype=np.int64)))[0])
    lost = (size - np.array([evaluation.values[1] for evaluation in task.archive.evaluations])) / one
    assert np.array_equal(lost, np.rint(lost))
    totals = list(dict.fromkeys(lost.tolist()))
    assert totals[:2] == [0, highest // 2]
    assert len(totals) >= 5
    assert len(lost) > len(totals)  # parents were replaced


@pytest.mark.parametrize(("racing", "images"), [("true", 16 / 32 + 4 / 4 + 3), ("false", 17)])
def test_a_generation_costs_what_it_looks_at(racing: str, images: float) -> None:
    """Of 320 images: a race's first generation probes children and the parent, and evaluates a new parent."""
    task = make_task(tiny_problem(), 1000)
    method = EvoPress(preset="paper", offspring=16, racing=racing == "true", steps=100)
    levels = Levels(task, task.scores("magnitude"), method.steps)
    parent = spread(20, levels.highest)
    child = next(method._generations(task, levels, parent))
    assert child.sum() == parent.sum()
    assert task.budget.spent <= images + 1e-9  # children that are alike are asked once
    assert task.budget.spent > images / 3


def test_the_winner_of_a_race_diverges_no_more_than_the_parent() -> None:
    task = make_task(tiny_problem("filter"), 1000)
    method = EvoPress(preset="paper", offspring=16)
    levels = Levels(task, task.scores("magnitude"), method.steps)
    parent = spread(int(levels.highest.sum()) // 2, levels.highest)
    lineage = [parent]
    for child in method._generations(task, levels, parent):
        lineage.append(child)
        if len(lineage) == 6:
            break
    found = task.probe("distortion", levels.masks(np.array(lineage)), count=task.search_images)
    assert np.all(np.diff(found) <= 0)


def test_a_warm_start_only_removes() -> None:
    def starts(warm: str) -> list[str]:
        task = searched(f"evopress[warm={warm},totals=4]", 200, units="filter")
        return [one.mask for one in task.archive.evaluations]

    assert starts("true") != starts("false")

from __future__ import annotations

import moocore
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tiny import layout

from pruneframe.kit.pareto import ParetoSet, front_numbers, survivors
from pruneframe.mask import Masks

LAYOUT = layout(a=10, b=7)
# Few different values, so that ties and equal points are common.
COARSE = hnp.arrays(np.float64, st.tuples(st.integers(1, 60), st.just(2)), elements=st.integers(0, 6).map(float))


def different(n: int) -> Masks:
    """So many masks, no two of them equal."""
    return Masks.pack(np.arange(n)[:, None] >> np.arange(LAYOUT.total) & 1 == 1, LAYOUT)


@settings(max_examples=60)
@given(COARSE, st.integers(1, 7))
def test_a_pareto_set_is_the_non_dominated_part_of_all_that_was_added(values: np.ndarray, step: int) -> None:
    pareto, masks = ParetoSet(LAYOUT, 2), different(len(values))
    assert pareto.values.shape == (0, 2)
    for first in range(0, len(values), step):
        pareto.add(masks[first : first + step], values[first : first + step])
    wanted = np.flatnonzero(moocore.is_nondominated(values))
    assert pareto.masks.digests() == masks[wanted].digests()
    assert np.array_equal(pareto.values, values[wanted])


def test_of_equal_values_the_first_stays() -> None:
    pareto, masks = ParetoSet(LAYOUT, 2), different(3)
    for row in range(3):
        pareto.add(masks[[row]], np.array([[0.5, 0.5]]))
    assert pareto.masks.digests() == masks[[0]].digests()


@settings(max_examples=60)
@given(COARSE)
def test_front_numbers_count_the_fronts_before(values: np.ndarray) -> None:
    numbers = front_numbers(values)
    dominates = np.all(values[:, None] <= values, axis=2) & np.any(values[:, None] < values, axis=2)
    for row, number in enumerate(numbers):
        before = numbers[dominates[:, row]]
        assert number == (before.max() + 1 if len(before) else 0)


def test_survivors_are_those_of_the_first_fronts_and_spread() -> None:
    line = np.array([[0.0, 4.0], [1.0, 3.0], [1.1, 2.9], [4.0, 0.0], [5.0, 5.0]])
    rng = np.random.default_rng(0)
    assert set(survivors(line, 9, rng)) == set(range(5))
    assert set(survivors(line, 4, rng)) == set(range(4))
    assert {0, 3} < set(survivors(line, 3, rng))

"""Rankings against plain sorting."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pruneframe.kit import Highest, ranks


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.lists(st.integers(-1, 42), min_size=1, max_size=4))
def test_the_highest_are_the_first_of_a_stable_order(seed: int, n: int, counts: list[int]) -> None:
    scores = np.random.default_rng(seed).integers(0, 9, n).astype(np.float32)
    order, highest = np.argsort(-scores, kind="stable"), Highest(scores)
    for count in counts:
        wanted = np.zeros(n, dtype=bool)
        wanted[order[: max(0, count)]] = True
        assert np.array_equal(highest(count), wanted)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_ranks_go_from_0_to_1_in_a_stable_order(seed: int, n: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 9, n).astype(np.float32)
    found = ranks(scores)
    assert found.dtype == np.float32
    assert np.array_equal(found, np.argsort(np.argsort(scores, kind="stable")).astype(np.float32) / max(1, n - 1))

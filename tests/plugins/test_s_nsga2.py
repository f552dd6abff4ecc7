"""The method s-nsga2: stripes, what a crossover keeps, what a mutation of density changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searches import searched
from tiny import layout, lookup

from pruneframe.errors import InputError
from pruneframe.mask import Masks
from pruneframe.testing import check_method
from pruneframe_plugins.s_nsga2 import SNSGA2, exchanged, polynomial, resize, stripes

LAYOUT = layout(a=10, b=7)
KEEPS = st.lists(st.booleans(), min_size=17, max_size=17)
SCORES = np.arange(17, dtype=np.float32)


def mask(keep: list[bool]) -> Masks:
    return Masks.pack(np.array([keep]), LAYOUT)


@pytest.mark.parametrize("spec", ["s-nsga2", "s-nsga2[preset=paper]", "s-nsga2[sparse=false]"])
@pytest.mark.parametrize("units", ["weight", "filter"])
def test_the_contract_holds(spec: str, units: str) -> None:
    check_method(lookup(SNSGA2, spec), units)


def test_stripes_are_in_a_row_and_cover_all_units() -> None:
    shares = np.linspace(0.25, 0, 16)
    found = stripes(shares, LAYOUT)
    assert found.counts().tolist() == [round(share * 17) for share in shares]
    kept = np.array([found.unpack(row) for row in range(16)])
    assert kept.any(axis=0).all()
    begins = np.count_nonzero(kept & ~np.roll(kept, 1, axis=1), axis=1)
    assert set(begins) == {0, 1}, "round and round, each is one stripe"


def test_the_first_masks_as_published_are_sparse() -> None:
    task = searched("s-nsga2[preset=paper,population=8]", 8, units="weight")
    sizes = [one.values[task.objectives.index("params")] for one in task.archive.evaluations]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < 0.4 * task.references[task.objectives.index("params")]


@settings(max_examples=60)
@given(KEEPS, KEEPS, st.integers(0, 2**32))
def test_what_parents_agree_on_stays(first: list[bool], second: list[bool], seed: int) -> None:
    one, other = mask(first), mask(second)
    child = exchanged(one, other, np.random.default_rng(seed))
    assert child.within(one | other)[0]
    assert (one & other).within(child)[0]


def test_a_crossover_of_pairs_both_ways_keeps_the_number_of_zeros() -> None:
    one, other = mask([True] * 9 + [False] * 8), mask([False] * 9 + [True] * 8)
    both = [exchanged(*pair, np.random.default_rng(3)) for pair in ((one, other), (other, one))]
    assert sum(int(child.counts()[0]) for child in both) == 17


@settings(max_examples=60)
@given(KEEPS, st.integers(0, 17), st.integers(0, 2**32))
def test_a_change_of_density_sets_or_clears_just_so_many(keep: list[bool], count: int, seed: int) -> None:
    before = mask(keep)
    after = mask(keep)
    resize(after.bits[0], count, SCORES, np.random.default_rng(seed))
    assert after.counts()[0] == count
    assert before.within(after)[0] or after.within(before)[0]


def test_what_is_set_scores_more_than_what_is_cleared() -> None:
    rng = np.random.default_rng(0)
    cleared, added = [], []
    for _ in range(100):
        dense, empty = mask([True] * 17), mask([False] * 17)
        resize(dense.bits[0], 13, SCORES, rng)
        resize(empty.bits[0], 4, SCORES, rng)
        cleared += SCORES[~dense.unpack(0)].tolist()
        added += SCORES[empty.unpack(0)].tolist()
    assert np.mean(cleared) < SCORES.mean() < np.mean(added)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_polynomial_mutation_stays_in_bounds_and_a_larger_index_moves_less(share: float) -> None:
    rng = np.random.default_rng(0)
    near, far = ([polynomial(share, index, rng) for _ in range(500)] for index in (40, 5))
    assert min(near + far) >= 0
    assert max(near + far) <= 1
    assert np.abs(np.array(near) - share).mean() < np.abs(np.array(far) - share).mean()


@pytest.mark.parametrize("spec", ["s-nsga2[mutation=2]", "s-nsga2[spread=0]", "s-nsga2[population=2]"])
def test_bad_settings_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match=spec.partition("[")[2].partition("=")[0]):
        lookup(SNSGA2, spec)

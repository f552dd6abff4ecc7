"""Atoms: a union-find against sets, and what must stay."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pruneframe.model.atoms import FIXED, Atoms

PAIRS = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=20)


def classes(atoms: Atoms, n: int) -> set[frozenset[int]]:
    """The atoms 1 to n by their class."""
    found = atoms.find(np.arange(1, n + 1))
    return {frozenset((np.flatnonzero(found == one) + 1).tolist()) for one in found}


@given(pairs=PAIRS)
def test_what_is_united_is_one_class_and_nothing_else_is(pairs: list[tuple[int, int]]) -> None:
    atoms = Atoms()
    assert atoms.make(5).tolist() == [1, 2, 3, 4, 5]
    assert atoms.make(7).tolist() == [6, 7, 8, 9, 10, 11, 12]
    sets = {one: {one} for one in range(1, 13)}
    for a, b in pairs:
        atoms.unite(np.array([a]), np.array([b]))
        if sets[a] is not sets[b]:
            sets[a] |= sets[b]
            for one in sets[b]:
                sets[one] = sets[a]
    expected = {frozenset(one) for one in sets.values()}
    assert classes(atoms, 12) == expected
    assert atoms.unions == 12 - len(expected)


def test_arrays_are_united_place_by_place_and_found_in_their_shape() -> None:
    atoms = Atoms()
    one, other = atoms.make(4).reshape(2, 2), atoms.make(4).reshape(2, 2)
    atoms.unite(one, other)
    assert np.array_equal(atoms.find(one), atoms.find(other))
    assert atoms.find(one).shape == (2, 2)
    assert len(np.unique(atoms.find(one))) == 4


def test_what_meets_something_fixed_stays_and_is_united_with_nothing() -> None:
    atoms = Atoms()
    made = atoms.make(3)
    atoms.unite(made, np.array([FIXED, 2, FIXED]))
    assert classes(atoms, 3) == {frozenset({1}), frozenset({2}), frozenset({3})}
    assert atoms.staying() == dict.fromkeys([1, 3], "they meet something that stays")
    assert atoms.find(np.array([FIXED])).tolist() == [FIXED]


def test_the_class_of_what_stays_stays_whenever_it_is_united() -> None:
    atoms = Atoms()
    atoms.make(4)
    atoms.stay(np.array([3, FIXED]), "first")
    atoms.unite(np.array([2]), np.array([3]))
    atoms.stay(np.array([2]), "second")
    atoms.unite(np.array([1]), np.array([2]))
    assert atoms.staying() == {1: "first"}
    atoms.forget_stays()
    assert atoms.staying() == {}

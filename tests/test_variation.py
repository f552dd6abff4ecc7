"""Chains of variations, and parents in families."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tiny import lookup

from pruneframe.encoding import Variables
from pruneframe.errors import Faulty, InputError
from pruneframe.variation import Chain, Variation, chain, families
from pruneframe_plugins.variations import BitFlip, Uniform


def binary(number: int) -> Variables:
    return Variables("binary", number, np.zeros(number), np.ones(number), (number,))


def random_bits(n: int, number: int, rng: np.random.Generator) -> np.ndarray:
    return np.packbits(rng.random((n, number)) < 0.5, axis=1)


def link(name: str) -> Variation:
    return lookup(Variation, name)


def test_a_chain_varies_what_the_link_before_it_made() -> None:
    linked = chain("uniform+bit-flip[rate=0.1]", link)
    assert linked == Chain((Uniform(), BitFlip(rate=0.1)))
    variables, rng = binary(50), np.random.default_rng(3)
    parents = random_bits(12, 50, rng)
    children = linked.vary(parents, 6, variables, np.random.default_rng(4))
    rng = np.random.default_rng(4)
    crossed = Uniform().vary(parents, 6, variables, rng)
    assert np.array_equal(children, BitFlip(rate=0.1).vary(crossed, 6, variables, rng))


def test_a_chain_hands_scores_and_free_bits_to_every_link() -> None:
    variables, rng = binary(400), np.random.default_rng(0)
    scores, free = rng.random(400, dtype=np.float32), np.packbits(np.arange(400) % 2 == 0)
    parents = random_bits(80, 400, rng)
    children = chain("uniform+importance-guided[rate=0.1]", link).vary(parents, 40, variables, rng, scores, free)
    assert not np.any((children ^ parents[::2]) & ~free)


def test_an_unknown_link_is_told() -> None:
    with pytest.raises(InputError, match=r"no variation is named 'bit-flop'; did you mean 'bit-flip'\?"):
        chain("uniform+bit-flop", link)


@pytest.mark.parametrize(("rows", "n"), [(5, 2), (0, 1), (4, 0), (3, 4)])
def test_parents_must_form_equal_families(rows: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of n, but got {rows} parents and n={n}"):
        families(np.zeros((rows, 3)), n)


def test_a_family_is_consecutive_rows() -> None:
    assert families(np.arange(12).reshape(6, 2), 2)[:, :, 0].tolist() == [[0, 2, 4], [6, 8, 10]]


@dataclass(frozen=True, repr=False)
class Odd(Variation):
    """The first parents, and one fault."""

    name = "odd"
    fault: str = ""

    def vary(self, parents: Any, n: int, variables: Any, rng: Any, scores: Any = None, free: Any = None) -> Any:
        if self.fault == "writes":
            parents[0] = 0
        if self.fault == "fails":
            raise IndexError("gone")
        own = families(parents, n)[:, 0]
        return {
            "none": None,
            "numbers": own.astype(float),
            "nan": np.full(own.shape, np.nan),
            "few": own[1:],
            "narrow": own[:, :-1],
            "spare": np.full_like(own, 255),
        }.get(self.fault, own)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("none", "must make 2 binary children of 7 columns, but made NoneType"),
        ("numbers", "but made some of float64"),
        ("nan", "but made some of float64"),
        ("few", r"but made \(1, 7\)"),
        ("narrow", r"but made \(2, 6\)"),
        ("spare", "but made some with bits behind the last variable"),
        ("writes", "fails: ValueError: assignment destination is read-only"),
        ("fails", "fails: IndexError: gone"),
    ],
)
def test_children_that_cannot_be_are_the_fault_of_their_operator(fault: str, words: str) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(Faulty, match=words) as caught:
        Chain((Uniform(), Odd(fault))).vary(random_bits(4, 50, rng), 2, binary(50), rng)
    assert (caught.value.kind, caught.value.spec) == ("variation", repr(Odd(fault)))


def test_real_children_beyond_their_bounds_are_too() -> None:
    real = Variables("real", 2, np.zeros(2), np.ones(2), (1, 1))
    for parents in (np.full((2, 2), 2.0), np.full((2, 2), np.nan)):
        with pytest.raises(Faulty, match="made some that are no numbers or beyond their bounds"):
            Chain((Odd(),)).vary(parents, 1, real, np.random.default_rng(0))


def test_children_may_be_written_to_and_parents_stay_as_they_are() -> None:
    rng = np.random.default_rng(0)
    parents = random_bits(4, 50, rng)
    before = parents.copy()
    children = Chain((Odd(),)).vary(parents, 2, binary(50), rng)
    children[:] = 0
    assert np.array_equal(parents, before)

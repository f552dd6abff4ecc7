"""What an encoding says of its genomes, and what it may not give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from pruneframe.encoding import Coder, Encoding, Variables
from pruneframe.errors import Faulty
from pruneframe.mask import Group, Layout, Masks

LAYOUT = Layout("weight", (Group("a", 12, (3, 4)),))
SCORES = np.zeros(12, dtype=np.float32)
ONE = Variables("real", 1, np.zeros(1), np.ones(1), (1,))


@pytest.mark.parametrize(
    ("kind", "upper", "width"),
    [("binary", 1, 2), ("real", 1, 9), ("integer", 3, 9)],
)
def test_binary_genomes_are_as_wide_as_their_bytes(kind: str, upper: int, width: int) -> None:
    variables = Variables(kind, 9, np.zeros(9), np.full(9, upper), (9,))  # type: ignore[arg-type]
    assert variables.width == width


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (("quantum", 1, np.zeros(1), np.ones(1)), "binary, integer, real, but got 'quantum'"),
        (("real", -1, np.zeros(1), np.ones(1)), "at least one and each have bounds, but got -1"),
        (("real", 2, np.zeros(1), np.ones(1)), "at least one and each have bounds, but got 2"),
        (("real", 1, np.ones(1), np.zeros(1)), "lower bounds that are not above the upper ones"),
        (("real", 1, np.full(1, np.nan), np.ones(1)), "lower bounds that are not above the upper ones"),
    ],
)
def test_variables_that_cannot_be_are_refused(fields: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Variables(*fields, (1,))


BINARY = Variables("binary", 9, np.zeros(9), np.ones(9), (9,))


@pytest.mark.parametrize(
    ("variables", "genomes", "complaint"),
    [
        (ONE, np.array([[0.0], [1 + 1e-9]]), ""),
        (ONE, np.array([[0.0], [1.0]], dtype=np.float32), ""),
        (BINARY, np.array([[255, 128], [0, 0]], dtype=np.uint8), ""),
        (BINARY, np.array([[255, 192], [0, 0]], dtype=np.uint8), "bits behind the last variable"),
        (BINARY, np.ones((2, 2)), "some of float64"),
        (BINARY, np.ones((2, 9), dtype=bool), "(2, 9)"),
        (ONE, np.array([[0.0], [np.nan]]), "no numbers or beyond their bounds"),
        (ONE, np.array([[0.0], [1.1]]), "no numbers or beyond their bounds"),
        (ONE, np.array([[0.0], ["a"]], dtype=object), "some of object"),
        (ONE, np.array([[0.0]]), "(1, 1)"),
        (ONE, [[0.0], [1.0]], "list"),
        (ONE, None, "NoneType"),
    ],
)
def test_what_is_no_genome_of_its_variables_is_told(variables: Variables, genomes: Any, complaint: str) -> None:
    assert complaint in variables.complaint(genomes, 2)
    assert bool(variables.complaint(genomes, 2)) == bool(complaint)


@dataclass(frozen=True, repr=False)
class Share(Encoding):
    """The share of all units that is kept, and one fault."""

    name = "share"
    fault: str = ""

    def variables(self, layout: Layout) -> Any:
        return None if self.fault == "no variables" else ONE

    def decode(self, genomes: Any, layout: Layout, scores: Any) -> Any:
        bits = np.arange(layout.total)[None] < genomes * layout.total
        if self.fault == "fails":
            raise KeyError("gone")
        masks = Masks.pack(bits, layout)
        return {"bits": bits, "no masks": None, "few": masks[1:]}.get(self.fault, masks)

    def sample(self, n: int, layout: Layout, scores: Any, rng: Any) -> Any:
        found = np.linspace(1.0, 0.1, n)[:, None]
        return {"no genomes": None, "wide": np.hstack([found, found]), "nan": found * np.nan}.get(self.fault, found)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no variables", "must give Variables, but gave NoneType"),
        ("bits", "must give masks, but gave masks must be Masks of the task's 12 units, but got a ndarray"),
        ("no masks", "must give masks, but gave masks must be Masks of the task's 12 units, but got a NoneType"),
        ("few", "must give 3 masks, but gave 2"),
        ("fails", "fails: KeyError: 'gone'"),
        ("no genomes", "must give 3 real genomes of 1 columns, but gave NoneType"),
        ("wide", r"must give 3 real genomes of 1 columns, but gave \(3, 2\)"),
        ("nan", "must give 3 real genomes of 1 columns, but gave some that are no numbers"),
    ],
)
def test_what_an_encoding_may_not_give_is_its_own_fault(fault: str, words: str) -> None:
    coder = Coder(Share(fault))
    with pytest.raises(Faulty, match=rf"encoding share\[fault='?{fault}'?\] {words}") as caught:
        coder.decode(coder.sample(3, LAYOUT, SCORES, np.random.default_rng(0)), LAYOUT, SCORES)
    assert (caught.value.kind, caught.value.spec) == ("encoding", repr(Share(fault)))


def test_what_a_sound_encoding_gives_is_handed_on() -> None:
    coder = Coder(Share())
    genomes = coder.sample(3, LAYOUT, SCORES, np.random.default_rng(0))
    assert coder.decode(genomes, LAYOUT, SCORES).counts().tolist() == [12, 7, 2]

"""Targets: what they may say, and whose fault the rest is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from pruneframe.errors import Faulty
from pruneframe.target import Gauge, Meter, Target

TWO: Any = [None, None]  # networks that nobody looks at


@dataclass(frozen=True, repr=False)
class Board(Target):
    """A second and a byte for each network, and one fault."""

    name = "board"
    fault: str = ""

    @property
    def forwards(self) -> Any:
        if self.fault == "forwards fail":
            raise KeyError("gone")
        return {"negative": -1, "no number": None, "half": 0.5}.get(self.fault, 3)

    @property
    def identity(self) -> Any:
        if self.fault == "identity fails":
            raise KeyError("gone")
        return None if self.fault == "no text" else "board"

    def latencies(self, networks: Sequence[Any]) -> Any:
        right = np.ones((len(networks), 1))
        if self.fault == "fails":
            raise KeyError("gone")
        wrong = {"nan": np.nan * right, "zero": 0 * right, "below": -right, "inf": np.inf * right}
        odd = {"none": None, "text": [["a"], ["b"]], "flat": right[:, 0], "few": right[1:], "empty": right[:, :0]}
        return {**wrong, **odd}.get(self.fault, right)

    def memory(self, network: Any) -> Any:
        return {"nan": float("nan"), "zero": 0, "below": -1, "none": None, "text": "a"}.get(self.fault, 1)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        *(
            (fault, "must give seconds above 0, but gave some that are not")
            for fault in ("nan", "zero", "below", "inf")
        ),
        ("flat", r"must give seconds of 2 networks, a row for each, but gave \(2,\)"),
        ("few", r"a row for each, but gave \(1, 1\)"),
        ("empty", r"a row for each, but gave \(2, 0\)"),
        ("none", r"a row for each, but gave \(\)"),
        ("text", "fails: ValueError"),
        ("fails", "fails: KeyError: 'gone'"),
    ],
)
def test_latencies_that_cannot_be_are_the_targets_fault(fault: str, words: str) -> None:
    with pytest.raises(Faulty, match=words) as caught:
        Gauge(Board(fault)).latencies(TWO)
    assert (caught.value.kind, caught.value.spec) == ("target", repr(Board(fault)))


@pytest.mark.parametrize(
    ("fault", "words"),
    [("nan", "bytes above 0, but gave nan"), ("zero", "gave 0"), ("below", "gave -1"), ("none", "fails: TypeError")],
)
def test_so_is_memory(fault: str, words: str) -> None:
    with pytest.raises(Faulty, match=words):
        Gauge(Board(fault)).memory(TWO[0])


@pytest.mark.parametrize("fault", ["negative", "no number", "half", "forwards fail"])
def test_forwards_must_be_a_number_that_can_be_charged(fault: str) -> None:
    with pytest.raises(Faulty, match=r"target board\["):
        _ = Meter(Board(fault), timed=True).forwards
    assert Meter(Board(fault), timed=False).forwards == 0


@pytest.mark.parametrize("fault", ["no text", "identity fails"])
def test_what_answers_depend_on_must_be_a_text(fault: str) -> None:
    with pytest.raises(Faulty, match=r"target board\["):
        _ = Meter(Board(fault), timed=True).identity


def test_what_a_sound_target_says_is_handed_on() -> None:
    assert Gauge(Board()).latencies(TWO).tolist() == [[1.0], [1.0]]
    assert Gauge(Board()).memory(TWO[0]) == 1
    assert (Meter(Board(), timed=True).forwards, Meter(Board(), timed=True).identity) == (6, "board")

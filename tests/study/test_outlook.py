"""The time left of all runs: right where all take as long, steady, and not said before anything is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from runs import run_of

from pruneframe.study.outlook import Outlook, told


@dataclass
class Played:
    """A run's progress that a test plays."""

    whole: float  # seconds that it takes
    worked: float = 0.0

    def refresh(self) -> None:
        pass

    @property
    def seconds_left(self) -> float | None:
        return self.whole - self.worked if self.worked else None


def played(*seconds: float, problems: int = 1) -> tuple[Outlook, list, list[Played], list[float]]:
    """An outlook on some runs of so many seconds, carried out one after another."""
    run, clock = run_of("random"), [0.0]
    runs = [replace(run, seed=seed, problem=f"p{seed % problems}") for seed in range(len(seconds))]
    progress = [Played(whole) for whole in seconds]
    outlook = Outlook(dict(zip(runs, progress, strict=True)), lambda: clock[0])  # type: ignore[arg-type] # as far as it asks
    return outlook, runs, progress, clock


def test_nothing_is_said_before_anything_is_done() -> None:
    assert played(4, 4)[0].seconds_left is None


@pytest.mark.parametrize("at_once", [1, 2])
def test_it_counts_down_by_the_clock_however_many_run_at_once(at_once: int) -> None:
    outlook, runs, progress, clock = played(*[8.0] * 6)
    for first in range(0, 6, at_once):
        for second in range(1, 9):
            clock[0] += 1.0
            for number in range(first, first + at_once):
                progress[number].worked = second
            if clock[0] > 1:  # what was done at the first look may have had to wait for workers to begin
                assert outlook.seconds_left == pytest.approx(48 / at_once - clock[0])
            else:
                assert outlook.seconds_left is None
        for number in range(first, first + at_once):
            outlook.end(runs[number])
    assert outlook.seconds_left == 0


def test_it_is_steady_where_runs_differ() -> None:
    """What it expects of the whole never leaves what the quickest and the slowest of all would make."""
    outlook, runs, progress, clock = played(*[6.0, 12.0] * 8)
    expected = []
    for number, whole in enumerate([6.0, 12.0] * 8):
        for second in range(1, int(whole) + 1):
            clock[0] += 1.0
            progress[number].worked = second
            if (left := outlook.seconds_left) is not None:
                expected.append(clock[0] + left)
        outlook.end(runs[number])
    assert min(expected) >= 6.0 * 16
    assert max(expected) <= 12.0 * 16
    late = expected[len(expected) // 4 :]
    assert max(late) < 1.35 * min(late)


def test_a_problem_of_which_nothing_is_known_is_expected_to_be_as_the_others() -> None:
    outlook, runs, progress, clock = played(8.0, 8.0, problems=2)
    for second in (1.0, 8.0):
        clock[0] = progress[0].worked = second
        assert (outlook.seconds_left is None) == (second == 1)
    outlook.end(runs[0])
    assert outlook.seconds_left == pytest.approx(8.0)


def test_what_an_earlier_command_did_says_nothing_of_the_pace() -> None:
    run, clock = run_of("random"), [0.0]
    begun = Played(8.0, 6.0)
    outlook = Outlook({run: begun}, lambda: clock[0])  # type: ignore[dict-item] # as far as it asks
    clock[0], begun.worked = 1.0, 6.5
    assert outlook.seconds_left is None
    clock[0], begun.worked = 2.0, 7.0
    assert outlook.seconds_left == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89, "89 s"), (91, "2 min"), (3600, "60 min"), (5400, "1.5 h"), (90000, "25.0 h")],
)
def test_time_as_people_say_it(seconds: float, words: str) -> None:
    assert told(seconds) == words

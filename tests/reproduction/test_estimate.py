"""Estimates of time: the pace of the unpruned network, times what is asked of it."""

from __future__ import annotations

import pytest
from runs import planned

from pruneframe.reproduction.estimate import Estimate, estimate, told


@pytest.mark.parametrize(("budget", "members"), [(20.0, 20), (1000.0, 100)])
def test_fronts_have_no_more_members_than_passes_and_no_more_than_100(
    budget: float, members: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pruneframe.reproduction.estimate.seconds_per_pass", lambda *asked: 0.5)
    found = planned(["random", "magnitude"], budget=budget, search_images=100)
    measuring = 2 * (1 + members) * (100 + 360) / 100 * 0.5
    assert estimate(found, found.runs, 1) == Estimate(2 * budget * 0.5, pytest.approx(measuring))
    assert estimate(found, found.runs, 8) == Estimate(budget * 0.5, pytest.approx(measuring / 2)), "two at once"
    assert estimate(found, found.runs[:1], 8) == Estimate(budget * 0.5, pytest.approx(measuring / 2))
    assert estimate(found, [], 8) == Estimate()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89, "89 s"), (91, "2 min"), (3600, "60 min"), (5400, "1.5 h"), (90000, "25.0 h")],
)
def test_time_as_people_say_it(seconds: float, words: str) -> None:
    assert told(seconds) == words

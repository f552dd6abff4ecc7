"""Estimates of time: the pace of the unpruned network, times what is asked of it."""

from __future__ import annotations

import pytest
from runs import planned

from pruneframe.reproduction.estimate import Estimate, estimate


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

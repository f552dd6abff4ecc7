"""Series: all networks of a front measured in turns, once, and how sure their medians are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from door import Door, door, random_masks
from hypothesis import given
from hypothesis import strategies as st
from runs import carried_out, planned
from tiny import lookup

from pruneframe import Objective
from pruneframe.search.answer import Answer, read_lines
from pruneframe.search.journal import Journal
from pruneframe.search.workbench import DENSE
from pruneframe.study.timing import Series, interval, measure_series
from pruneframe.testing import tiny_problem

PHYSICAL = ("error", "latency", "memory")


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=80))
def test_the_interval_holds_the_median(times: list[float]) -> None:
    low, high = interval(np.array(times))
    assert min(times) <= low <= np.median(times) <= high <= max(times)


def test_the_interval_covers_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = np.array([interval(rng.exponential(size=50)) for _ in range(2000)])
    covered = np.mean((found[:, 0] <= np.log(2)) & (np.log(2) <= found[:, 1]))
    assert 0.94 <= covered <= 0.985


def tiny(target: str) -> Door:
    return door(tiny_problem("filter", objectives=PHYSICAL, target=target))


def series(behind: Door, members: int, path: Path | None = None) -> Series:
    """Of some random members."""
    masks = random_masks(behind.task.layout, members)
    objectives = [lookup(Objective, name) for name in PHYSICAL]
    with Journal(path, {}) as journal:
        return measure_series(behind.bench, masks, [DENSE] * members, objectives, journal)


def test_a_series_is_measured_once_and_replayed(tmp_path: Path) -> None:
    behind = tiny("local-cpu[repeats=3,warmup=0]")
    first, second = (series(behind, 4, tmp_path / "journal.jsonl") for _ in range(2))
    assert first.values.shape == (5, 2)
    assert np.array_equal(first.values, second.values)
    assert first.timings.equals(second.timings)
    assert np.all(first.timings.low <= first.timings.seconds)
    assert np.all(first.timings.seconds <= first.timings.high)
    assert first.noise == second.noise == pytest.approx(abs(first.values[0, 0] - 1))
    compared = first.timings.seconds[0] / first.values[0, 0]  # the unpruned network's other median
    assert first.values[:, 0] == pytest.approx(first.timings.seconds / compared)
    (answer,) = [line for line in read_lines(tmp_path / "journal.jsonl").lines if isinstance(line, Answer)]
    assert answer.charge == 0


def test_the_unpruned_network_and_all_members_are_in_one_series(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    behind = tiny("local-cpu[repeats=3,warmup=0]")
    assert behind.bench.meter is not None
    target = type(behind.bench.meter.target)
    latencies = target.latencies

    def counted(self: Any, networks: Sequence[Any]) -> np.ndarray:
        asked.append(len(networks))
        return latencies(self, networks)

    monkeypatch.setattr(target, "latencies", counted)
    series(behind, 12)
    assert asked == [1 + 1 + 12]  # the unpruned one as what others are compared with, and as what is compared


def test_a_formula_has_no_noise_and_leaves_no_records() -> None:
    found = series(tiny("analytic"), 3)
    assert found.values[0, 0] == 1
    assert np.all(found.values[1:] <= found.values[0])
    assert found.noise == 0
    assert found.timings.empty
    assert found.records([0, 1]) == {}


def test_records_are_the_timings_of_the_rows_and_the_noise() -> None:
    found = series(tiny("local-cpu[repeats=3,warmup=0]"), 3)
    records = found.records([0, 2])
    assert records["timings"]["seconds"].tolist() == found.timings["seconds"].iloc[[0, 2]].tolist()
    assert records["noise of timings"]["noise"].tolist() == [found.noise]


@pytest.mark.parametrize("target", ["analytic", "local-cpu[repeats=3,warmup=1]"])
def test_a_whole_run_ends_with_an_undominated_front_in_one_series(target: str, tmp_path: Path) -> None:
    plan = planned(["nsga2"], budget=30.0, units="filter", objectives=PHYSICAL, target=target)
    assert plan.measured == target.startswith("local")
    folder = carried_out(plan.runs[0], tmp_path)
    front = folder.front()
    assert front["search"].shape[1] == 3
    assert np.array_equal(front["search"][:, 1:], front["test"][:, 1:])
    dominated = [
        any(np.all(other <= own) and np.any(other < own) for other in front["search"]) for own in front["search"]
    ]
    assert not any(dominated)
    diagnostics = folder.diagnostics()
    if not plan.measured:  # a formula has no noise
        assert diagnostics is None
        return
    assert diagnostics is not None
    assert not folder.result["deterministic"]
    timings = diagnostics[diagnostics.record == "timings"]
    assert len(timings) == 1 + len(front["bits"])
    assert len(diagnostics[diagnostics.record == "noise of timings"]) == 1

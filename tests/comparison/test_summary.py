"""The table that `summary` prints: medians over seeds, and what is removed at a bounded loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from studies import hand_made

import pruneframe as pf
from pruneframe.comparison.summary import operating_point, results, spread

SURE = ["sure at 0.5", "sure at 1", "sure at 2"]


def run_at(removed: float | None, lost: float | None) -> pf.RunSummary:
    """A run with one operating point, at 1 point lost."""
    return pf.RunSummary("toy", "a", 0, 0, "done", points=(pf.OperatingPoint(1.0, removed, lost, sure=True),))


def test_spread_is_the_median_with_its_quartiles() -> None:
    assert spread([0.25]) == "0.2500"
    assert spread([0.1, 0.2, 0.3, 0.4, 0.5]) == "0.3000 [0.2000, 0.4000]"


def test_operating_points_are_medians_over_the_runs_that_have_one() -> None:
    runs = [run_at(*point) for point in ((0.5, 1.0), (0.7, -3.0), (0.6, 2.0), (None, None))]
    assert operating_point(runs, 1.0) == "60.0 % (+1.00)"
    assert operating_point(runs[-1:], 1.0) == "none"


def test_the_table_says_none_where_no_run_qualifies() -> None:
    _, study = hand_made()
    none = tuple(pf.OperatingPoint(drop, sure=sure) for drop in (0.5, 1.0, 2.0) for sure in (False, True))
    runs = [replace(run, points=none) if run.method == "second" else run for run in study.runs]
    frame = results(runs).set_index("method")
    assert list(frame.loc["first", SURE]) == ["30.0 % (-0.25)"] * 3
    assert list(frame.loc["second", SURE]) == ["none"] * 3


def test_the_table_has_one_row_per_method_the_best_median_first() -> None:
    _, study = hand_made()
    volumes = {
        method: [run.hypervolume for run in study.runs if run.method == method] for method in ("first", "second")
    }
    best, other = sorted(volumes, key=lambda method: -np.median(volumes[method]))
    for runs in (study.runs, study.runs[::-1]):
        frame = results(runs)
        assert list(frame["method"]) == [best, other]
        assert list(frame["runs"]) == [2, 2]
        assert [float(text.split()[0]) for text in frame["HV"]] == pytest.approx(
            [np.median(volumes[best]), np.median(volumes[other])], abs=1e-4
        )
    assert list(frame["HV search"]) == [text.split()[0] for text in frame["HV"]], "nothing is lost on test here"


def test_the_last_column_says_what_may_be_claimed() -> None:
    _, study = hand_made(
        {(method, seed): [(error + 0.001 * seed, 50.0)] for seed in range(6) for method, error in RIVALS}
    )
    alone = [run for run in study.runs if run.method == "good"]
    assert "verdict" not in results(alone)
    pairs = results(study.runs).set_index("method")
    assert pairs.verdict.to_dict() == {
        "good": "better than 2 of 2",
        "bad": "worse than 1 of 2",
        "same": "worse than 1 of 2",
    }
    beside = results(study.runs, "bad").set_index("method")
    assert beside.verdict.to_dict() == {"good": "better", "bad": "control", "same": "no difference shown"}


RIVALS = (("good", 0.1), ("bad", 0.2), ("same", 0.2))

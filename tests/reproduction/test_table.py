"""The table that a reproduction ends with."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

import pruneframe as pf
from pruneframe.reproduction.savings import Chosen
from pruneframe.reproduction.table import Row, difference, frame

HALF = pf.Finding("half of it removed", "abstract", ("own",), published=0.5)
ONE, TWO, THREE = (Chosen(saved, 0.1, lost, (lost - 1, lost + 1)) for saved, lost in ((0.5, 0.2), (0.7, 0.4), (0.4, 0)))
ROW = Row("toy", "They, 2020", HALF, "own", "another split.", 1, 1, (ONE,))


def test_one_run_has_an_interval_and_several_have_their_worst() -> None:
    assert ROW.published == "half of it removed (They, 2020, abstract)"
    assert ROW.measured == "50.00 % of the parameters removed"
    assert ROW.lost == "+0.20 [-0.80, +1.20]"
    several = replace(ROW, runs=3, finished=3, members=(ONE, TWO, THREE))
    assert several.measured == "50.00 % [40.00 %] of the parameters removed"
    assert several.lost == "+0.20 [+0.40]"


def test_what_is_missing_is_told() -> None:
    assert replace(ROW, members=()).measured == "none: no member is sure to lose at most 0.5"
    assert replace(ROW, finished=0, members=()).measured == "none: no finished run"
    assert replace(ROW, members=()).lost == ""
    some = replace(ROW, runs=3, finished=3, members=(ONE, TWO))
    assert some.measured == "60.00 % [50.00 %] of the parameters removed, 2 of 3 runs"


def test_other_savings_are_factors() -> None:
    times = replace(ROW, finding=replace(HALF, saving="convolutions"), members=(replace(ONE, saved=16.04),))
    assert times.measured == "16.0x fewer multiply-adds in convolutions"
    assert replace(times, finding=replace(HALF, saving="latency")).measured == "16.0x less latency"


def test_what_a_row_shares_with_the_one_above_is_left_out_within_a_problem() -> None:
    bolder = replace(ROW, finding=replace(HALF, loss=2.0))
    table = frame([ROW, bolder, replace(ROW, problem="other")])
    assert isinstance(table, pd.DataFrame)
    assert list(table["problem"]) == ["toy", "", "other"]
    assert list(table["published"]) == [ROW.published, "", ROW.published]
    assert list(table["at most lost"]) == ["0.5", "2", "0.5"]
    assert list(table["difference of protocol"]) == ["another split.", "", "another split."]


def test_a_smaller_scale_says_what_the_full_one_has() -> None:
    small, full = pf.Scale(20, search_images=100), pf.Scale(300, search_images=5000, seeds=(0, 1, 2))
    experiment = pf.Experiment("toy", "They, 2020", (HALF,), "Another split.", smoke=small, full=full)
    assert difference(experiment, "smoke", []) == (
        "Another split. Here: 20 passes of 100 search images, 0 runs; at the scale full 300 passes of 5000 images, "
        "3 runs."
    )
    assert difference(experiment, "full", []) == "Another split. Here: 300 passes of 5000 search images, 0 runs."


def test_json_has_a_figure_for_each_run() -> None:
    told = replace(ROW, runs=2, finished=2, members=(ONE, TWO)).json()
    assert told["saved"] == [0.5, 0.7]
    assert told["test_loss"] == [0.2, 0.4]
    assert (told["published"], told["read"], told["loss"], told["method"]) == (0.5, "abstract", 0.5, "own")
    assert "methods" not in told

"""Reports of a study with several instances: what is compared, and with what."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from studies import REFERENCES, TWO, Fronts, bundled, family, hand_made

import pruneframe as pf
from pruneframe_reports import fronts as drawn
from pruneframe_reports.chosen import fronts, within
from pruneframe_reports.distances import Distances
from pruneframe_reports.profile import performance

OTHER_DENSE = pf.Instance(1, tuple(REFERENCES), (0.15, 100.0), (0.3, 100.0), 0.15, 0.3)


def two_instances() -> tuple[pd.DataFrame, pf.StudyFacts]:
    """The same fronts on an easy instance and, with all errors larger by 0.1, on a hard one."""
    harder: Fronts = {run: [(error + 0.1, params) for error, params in front] for run, front in TWO.items()}
    table, study = family(hand_made(), hand_made(harder, instance=1))
    (board,) = study.boards
    return table, replace(study, boards=(replace(board, instances=(board.instances[0], OTHER_DENSE)),))


def test_distances_are_from_the_front_of_the_own_instance() -> None:
    """A hard instance's fronts are as far from their union as an easy one's: no other network is in it."""
    table, study = two_instances()
    (item,) = Distances().draw(table, study)
    assert item.data is not None
    easy, hard = (item.data[item.data.instance == number].drop(columns="instance") for number in (0, 1))
    pd.testing.assert_frame_equal(easy.reset_index(drop=True), hard.reset_index(drop=True))
    assert "on its instance, median over instances and seeds" in item.caption


def test_what_is_lost_is_told_from_the_own_unpruned_network() -> None:
    table, study = two_instances()
    (board,) = study.boards
    found = list(within(fronts(table, board), board, "params", 10.0))
    assert {(one.method, one.instance, one.seed) for one in found} == {run.key for run in study.runs} - {
        ("second", 0, 1),
        ("second", 1, 1),
    }
    for one in found:
        rows = table[(table.method == one.method) & (table.instance == one.instance) & (table.seed == one.seed)]
        row = rows[(rows.kind == "member") & (rows.split == "search") & (rows.number == one.number)].iloc[0]
        assert one.lost_on_search == pytest.approx(100 * (row.error - (0.05, 0.15)[one.instance]))
        assert one.lost_on_test == pytest.approx(100 * (row.error - (0.1, 0.3)[one.instance]))


def test_every_report_draws_several_instances() -> None:
    table, study = two_instances()
    (board,) = study.boards
    assert board.dense_test == (0.2, 100.0)
    for report in bundled():
        for item in report.draw(table, study):
            if isinstance(item, pf.Table):
                assert "median over seeds" not in item.caption
    (figure, *_) = drawn.Fronts().draw(table, study)
    assert "Star: the median of the unpruned networks." in figure.caption


def test_a_profile_is_of_the_least_on_the_own_instance() -> None:
    _, study = two_instances()
    ratios = performance(study)
    for number in (0, 1):
        runs = [run for run in study.runs if run.instance == number]
        assert min(1 - run.hypervolume for run in runs) > 0
    assert sum((values == 1).sum() for values in ratios.values()) == 2  # the best run of either

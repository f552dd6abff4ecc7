"""Indicators of final fronts whose answers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tiny import layout, lookup

from pruneframe import Objective
from pruneframe.front import hypervolume
from pruneframe.search.archive import Archive, Evaluation
from pruneframe.search.workbench import DENSE
from pruneframe.study.indicators import RESAMPLES, anytime, indicators, resampled
from pruneframe.study.paired import loss_bounds
from pruneframe.study.result import Measured, Members

IMAGES = 200
TOTAL = 1000
REFERENCES = np.array([0.9, TOTAL])
OBJECTIVES = [lookup(Objective, name) for name in ("error", "params")]


def measured(wrong: list[int], params: list[int]) -> Measured:
    """Networks that misclassify the first so many of 200 images."""
    correct = np.arange(IMAGES)[None, :] >= np.array(wrong, dtype=int)[:, None]
    errors = np.array(wrong) / IMAGES
    return Measured(np.column_stack([errors, params]).reshape(len(wrong), 2), correct)


def members(search: list[int], test: list[int], params: list[int], dense: int = 4, dense_test: int = 8) -> Members:
    """A final front by its wrong answers on search and test; the dense network has 4 and 8."""
    return Members(
        masks=layout(layer=8).full(len(params)),
        weights=(DENSE,) * len(params),
        params=np.array(params, dtype=np.int64),
        total_params=TOTAL,
        search=measured(search, params),
        test=measured(test, params),
        dense_search=measured([dense], [TOTAL]),
        dense_test=measured([dense_test], [TOTAL]),
    )


def test_hypervolumes_are_the_areas_drawn_on_paper() -> None:
    # normalised on test (0.1, 0.8) and (0.5, 0.25): 0.9 * 0.2 + 0.5 * 0.55
    found = indicators(members(search=[9, 45], test=[18, 90], params=[800, 250]), OBJECTIVES, REFERENCES)
    assert found["hypervolume"] == pytest.approx(0.9 * 0.2 + 0.5 * 0.55)
    # on search the errors are half of that: (0.05, 0.8) and (0.25, 0.25)
    assert found["hypervolume_search"] == pytest.approx(0.95 * 0.2 + 0.75 * 0.55)
    # in the region 1 is the dense test error 0.04 + 0.10: 0.09 is inside, 0.45 beyond
    assert found["hypervolume_region"] == pytest.approx((1 - 0.09 / 0.14) * 0.2)
    assert found["front_size"] == 2
    assert (found["dense_error"], found["dense_test_error"]) == pytest.approx((0.02, 0.04))


def test_region_is_the_plain_hypervolume_where_error_is_no_objective() -> None:
    front = members(search=[4, 9], test=[8, 18], params=[800, 250])
    found = indicators(front, [lookup(Objective, name) for name in ("distortion", "params")], REFERENCES)
    assert found["hypervolume_region"] == found["hypervolume"]


@pytest.mark.parametrize("drop", ["0.5", "1", "2"])
def test_operating_points_follow_search_and_are_read_on_test(drop: str) -> None:
    # 4 wrong answers are dense; 5, 6 and 8 of 200 are exactly 0.5, 1 and 2 points worse
    front = members(search=[4, 5, 6, 8, 60], test=[8, 20, 9, 6, 70], params=[900, 700, 500, 300, 100])
    found = indicators(front, OBJECTIVES, REFERENCES)
    reduction, points = {"0.5": (0.3, 6.0), "1": (0.5, 0.5), "2": (0.7, -1.0)}[drop]
    assert found[f"reduction_at_{drop}"] == pytest.approx(reduction)
    assert found[f"test_drop_at_{drop}"] == pytest.approx(points)
    low, high = found[f"test_drop_interval_at_{drop}"]
    assert low < points < high


def test_operating_points_are_none_where_nobody_qualifies() -> None:
    found = indicators(members(search=[50], test=[4], params=[100]), OBJECTIVES, REFERENCES)
    for drop in ("0.5", "1", "2"):
        for name in ("reduction", "test_drop", "test_drop_interval"):
            assert found[f"{name}_at_{drop}"] is None


def test_empty_front_has_no_volume_and_no_operating_points() -> None:
    found = indicators(members([], [], []), OBJECTIVES, REFERENCES)
    assert [found[k] for k in ("hypervolume", "hypervolume_search", "hypervolume_region", "front_size")] == [0, 0, 0, 0]
    assert found["reduction_at_2"] is None


wrong_answers = hnp.arrays(np.int64, 6, elements=st.integers(0, IMAGES)).map(lambda array: array.tolist())


@given(search=wrong_answers, test=wrong_answers, other=wrong_answers)
def test_nothing_is_selected_on_test(search: list[int], test: list[int], other: list[int]) -> None:
    params = [100, 300, 500, 700, 900, 1000]
    front = members(search, test, params)
    found = indicators(front, OBJECTIVES, REFERENCES)
    elsewhere = indicators(replace(front, test=measured(other, params)), OBJECTIVES, REFERENCES)
    for name in ("hypervolume_search", "reduction_at_0.5", "reduction_at_1", "reduction_at_2", "front_size"):
        assert found[name] == elsewhere[name]
    volumes = [found[name] for name in ("hypervolume", "hypervolume_search", "hypervolume_region")]
    assert all(0 <= volume <= 1 for volume in volumes)
    reductions = [found[f"reduction_at_{drop}"] or 0.0 for drop in ("0.5", "1", "2")]
    assert reductions == sorted(reductions)


def test_sizes_count_on_a_log_scale_and_errors_do_not() -> None:
    found = indicators(members(search=[9], test=[18], params=[100]), OBJECTIVES, REFERENCES)
    assert found["hypervolume_log"] == pytest.approx((1 - 0.1) * 0.5)  # 10 % is half of the way to 1 %
    least = indicators(members(search=[9], test=[18], params=[5]), OBJECTIVES, REFERENCES)
    assert least["hypervolume_log"] == pytest.approx(1 - 0.1)


def test_a_sure_member_is_one_that_loses_at_most_so_much_with_confidence() -> None:
    front = members(search=[4, 5, 6, 30], test=[8, 9, 10, 40], params=[900, 700, 500, 100])
    bounds = loss_bounds(*front.differing, IMAGES)
    assert 0.01 < bounds[1] <= 0.02 < bounds[2], "1 and 2 images of 200 are lost, and none is gained"
    found = indicators(front, OBJECTIVES, REFERENCES)
    assert (found["reduction_at_2"], found["sure_reduction_at_2"]) == pytest.approx((0.5, 0.3))
    assert (found["test_drop_at_2"], found["sure_test_drop_at_2"]) == pytest.approx((1.0, 0.5))
    assert found["sure_reduction_at_0.5"] is None


def test_images_are_drawn_anew_and_alike_for_all_fronts() -> None:
    front = members(search=[9, 45], test=[18, 90], params=[800, 250])
    found = resampled(front, OBJECTIVES, REFERENCES)
    assert len(found) == RESAMPLES
    assert found == resampled(front, OBJECTIVES, REFERENCES)
    assert np.mean(found) == pytest.approx(hypervolume(front.test.values / REFERENCES), abs=0.003)
    single = members(search=[9], test=[20], params=[500])
    volumes = np.array(resampled(single, OBJECTIVES, REFERENCES))
    # (1 - error / 0.9) * 0.5, the error that of 200 images of which a tenth is wrong
    assert volumes.std() == pytest.approx(np.sqrt(0.1 * 0.9 / IMAGES) / 0.9 * 0.5, rel=0.15)
    worse = np.array(resampled(members(search=[9], test=[22], params=[500]), OBJECTIVES, REFERENCES))
    assert (volumes - worse).std() < volumes.std() / 2, "on the same images the difference varies less"


def test_images_are_not_drawn_where_more_than_the_error_depends_on_them() -> None:
    front = members(search=[9], test=[18], params=[800])
    for names in (("distortion", "params"), ("error", "distortion")):
        assert resampled(front, [lookup(Objective, name) for name in names], np.ones(2)) == []


def test_a_front_that_comes_sooner_is_better_at_any_time() -> None:
    def reached(*spent: float) -> float:
        archive = Archive(layout(layer=8))
        for number, (one, error) in enumerate(zip(spent, (0.45, 0.09), strict=True)):
            evaluation = Evaluation(number, "", DENSE, (error, 500.0), one, 0.0)
            archive._add(evaluation, layout(layer=8).full().bits[0])
        return anytime(archive, REFERENCES, 10.0)

    assert reached(1.0, 2.0) == pytest.approx((0.5 * 0.5 * 1 + 0.9 * 0.5 * 8) / 10)
    assert reached(1.0, 2.0) > reached(1.0, 6.0) > reached(5.0, 6.0)
    assert anytime(Archive(layout(layer=8)), REFERENCES, 10.0) == 0.0

"""Reports: what each bundled figure and table shows of a study whose figures are known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from scipy.stats import mannwhitneyu
from studies import Fronts as Points
from studies import bundled, hand_made, joined, study_of

import pruneframe as pf
from pruneframe.comparison.anytime import GAPS
from pruneframe.comparison.style import look
from pruneframe.front import hypervolume
from pruneframe.report import normalised
from pruneframe.study.facts import facts, summaries
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table
from pruneframe.testing import check_report
from pruneframe_reports.comparisons import PRINTED, Comparisons
from pruneframe_reports.difference import Difference, rectangles
from pruneframe_reports.distances import Distances
from pruneframe_reports.finetuned import Finetuned
from pruneframe_reports.fronts import Fronts
from pruneframe_reports.generalisation import Generalisation
from pruneframe_reports.layers import Layers
from pruneframe_reports.operating_points import OperatingPoints
from pruneframe_reports.profile import Profile, performance
from pruneframe_reports.progress import Progress
from pruneframe_reports.published import PublishedResults
from pruneframe_reports.ranks import Ranks
from pruneframe_reports.records import Records
from pruneframe_reports.reductions import Reductions
from pruneframe_reports.results import Results
from pruneframe_reports.running_times import RunningTimes
from pruneframe_reports.seconds import Seconds
from pruneframe_reports.variances import Variances


@pytest.fixture(autouse=True)
def figures_closed() -> Iterator[None]:
    yield
    plt.close("all")


def drawn(study: StudyFolder) -> dict[str, pf.Figure | pf.Table]:
    known, table = facts(study), long_table(study)
    items = [i for report in bundled() for i in report.draw(table, known) if isinstance(i, pf.Figure | pf.Table)]
    assert len({item.id for item in items}) == len(items)
    return {item.id: item for item in items}


def lines_of(figure: pf.Figure | pf.Table) -> dict[str, np.ndarray]:
    """The curves of a figure's first axes by their labels, as float64[points, 2]."""
    assert isinstance(figure, pf.Figure)
    return {str(line.get_label()): np.asarray(line.get_xydata()) for line in figure.figure.axes[0].get_lines()}


def test_every_bundled_report_draws_a_small_study(small: StudyFolder) -> None:
    items = drawn(small)
    names = ("front", "difference", "progress", "results", "reductions", "operating-points", "distances")
    names += ("comparisons", "comparisons-anytime", "comparisons-seconds", "variances", "reductions-sure")
    others = ("generalisation", "layers", "reached", "running-times", "seconds")
    assert set(items) == {f"{name}-1" for name in (*names, *others)}
    for item in items.values():
        assert re.fullmatch(r"[A-Za-z0-9-]+", item.id)
        assert item.caption.startswith("lenet-digits: ")


def test_fronts_show_test_values_and_the_unpruned_network() -> None:
    table, study = hand_made()
    (item,) = Fronts().draw(table.assign(error=table["error"].where(table["split"] == "test", 99.0)), study)
    assert isinstance(item, pf.Figure)
    axes = item.figure.axes[0]
    scattered = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections if isinstance(c, PathCollection)])
    expected = {(0.8, 10), (0.4, 20), (0.6, 10), (0.2, 30), (0.9, 15), (0.1, 60)}  # share of parameters, error in %
    assert {tuple(np.round(point, 9)) for point in scattered} == expected
    stars = [line for line in axes.get_lines() if line.get_marker() == "*"]
    assert [tuple(np.asarray(star.get_xydata())[0]) for star in stars] == [(1.0, 10.0)]
    assert axes.get_ylabel() == "test error (%)"


def test_the_surface_of_one_run_is_its_front() -> None:
    table, study = hand_made()
    (item,) = Fronts().draw(table[table.seed == 0], study)
    lines = lines_of(item)
    np.testing.assert_allclose(lines["first"], [(0.4, 20.0), (0.8, 10.0)])
    np.testing.assert_allclose(lines["second"], [(0.9, 15.0)])


def test_progress_shows_what_was_reached_for_what_was_spent() -> None:
    table, study = hand_made()
    (item,) = Progress().draw(table[table.method == "first"], study)
    curve = lines_of(item)["first"]
    assert (curve[0, 0], curve[-1, 0]) == (0, 10)
    volumes = [[hypervolume(np.array(points[:k]) / [0.5, 100]) for points in FIRST] for k in (1, 2)]
    before, between, after = (curve[np.searchsorted(curve[:, 0], passes), 1] for passes in (1.0, 4.0, 8.0))
    assert before == 0
    assert between == pytest.approx(np.median(volumes[0]))
    assert after == pytest.approx(np.median(volumes[1]))
    assert np.all(np.diff(curve[:, 1]) >= 0)


FIRST = ([(0.10, 80.0), (0.20, 40.0)], [(0.10, 60.0), (0.30, 20.0)])


def test_running_times_count_what_runs_that_fail_have_spent() -> None:
    table, study = hand_made()
    (figure, times) = RunningTimes().draw(table, study)
    assert isinstance(times, pf.Table)
    assert times.data is not None
    curves = [[hypervolume(np.array(points[:k]) / [0.5, 100]) for k in (1, 2)] for points in FIRST]
    assert max(map(max, curves)) == pytest.approx(curves[1][1])
    found = times.data.set_index(["method", "over", "target"])
    near = found.loc[("first", "passes", "0.003 below")]  # only the second run gets there, with its second answer
    assert (near.expected, near.reached, near.runs) == (6.0 + 6.0, 1, 2)
    assert found.loc[("first", "seconds", "0.003 below")].expected == 2.5 + 2.5
    assert np.isinf(found.loc[("second", "passes", "0.1 below")].expected)
    row = times.frame.set_index("method").loc["first"]
    assert (row["0.003 below"], row["0.003 below, s"]) == ("12 (1/2)", "5 (1/2)")
    assert list(times.frame.set_index("method").loc["second"].unique()) == ["never"]
    assert {heading for _, heading in times.best} == set(times.frame.columns) - {"method"}
    shares = lines_of(figure)["first"]
    assert shares[-1, 1] == pytest.approx(np.mean([curves[0][1] >= curves[1][1] - GAPS, np.ones(len(GAPS))]))
    assert lines_of(figure)["second"][-1, 1] == 0


def test_running_times_are_to_shares_of_the_true_hypervolume_where_that_is_known() -> None:
    table, study = hand_made()
    (board,) = study.boards
    true = 0.5  # of which the runs of `first` reach so much with each of their two answers
    shares = [[hypervolume(np.array(points[:k]) / [0.5, 100]) / true for k in (1, 2)] for points in FIRST]
    assert [[round(share, 2) for share in run] for run in shares] == [[0.32, 0.8], [0.64, 0.96]]
    known = replace(board, instances=(replace(board.instances[0], true_hypervolume=true),))
    (figure, times) = RunningTimes().draw(table, replace(study, boards=(known,)))
    assert isinstance(times, pf.Table)
    assert times.data is not None
    assert "the true one (0.5000)" in figure.caption
    assert "the true one (0.5000)" in times.caption
    assert list(times.frame.columns[1:5]) == ["90 %", "95 %", "99 %", "99.9 %"]
    found = times.data.set_index(["method", "over", "target"])
    assert tuple(found.loc[("first", "passes", "95 %"), ["expected", "reached", "runs"]]) == (6.0 + 6.0, 1, 2)
    assert tuple(found.loc[("first", "passes", "99 %"), ["expected", "reached"]]) == (np.inf, 0)


def test_seconds_are_told_by_kind_and_a_pass() -> None:
    table, study = hand_made()
    quick, slow = {"evaluate": 1.0}, {"evaluate": 1.0, "scores": 3.0}
    told = [
        replace(run, seconds=sum(kinds.values()), own_seconds=1.0, processor_seconds=1.5, seconds_by_kind=kinds)
        for run, kinds in zip(study.runs, (quick, slow, quick, quick), strict=True)
    ]
    item, *remarks = Seconds().draw(table, replace(study, runs=tuple(told)))
    assert isinstance(item, pf.Table)
    assert item.data is not None
    rows = item.data.set_index("method")
    assert rows.loc["first"].to_dict() == {
        "processor": 1.5,
        "in all": 3.5,
        "a pass": 0.35,
        "own work": 1.0,
        "evaluate": 1.0,
        "scores": 1.5,
    }
    assert (rows.loc["second"]["in all"], rows.loc["second"]["scores"]) == (2.0, 0.0)
    assert item.frame.set_index("method").loc["second"]["scores"] == ""
    assert not remarks


def test_another_order_at_equal_seconds_is_told() -> None:
    table, study = hand_made()
    first = table.method == "first"
    slower = table.assign(seconds=table.seconds.where(~first, table.seconds + 10))
    (_, remark) = Seconds().draw(slower, study)
    assert isinstance(remark, pf.Remark)
    assert "at the end: first" in remark.text
    assert "which the quickest takes in all: second" in remark.text


def test_progress_ends_at_the_search_hypervolume_of_the_summary(small: StudyFolder) -> None:
    lines = lines_of(drawn(small)["progress-1"])
    for method, curve in lines.items():
        volumes = [run.hypervolume_search for run in summaries(small) if run.method == method]
        assert curve[-1, 1] == pytest.approx(np.median(volumes))


def test_the_table_has_one_row_per_method_best_first(small: StudyFolder) -> None:
    item = drawn(small)["results-1"]
    assert isinstance(item, pf.Table)
    medians = {
        method: np.median([run.hypervolume for run in summaries(small) if run.method == method])
        for method in ("magnitude", "random")
    }
    assert list(item.frame["method"]) == sorted(medians, key=lambda method: -medians[method])
    assert list(item.frame["runs"]) == ["3", "3"]
    shown = [float(text.split()[0]) for text in item.frame["HV"]]
    assert shown == pytest.approx(sorted(medians.values(), reverse=True), abs=1e-4)


def test_normalised_takes_the_objectives_in_the_boards_order() -> None:
    table, study = hand_made()
    (board,) = study.boards
    swapped = replace(board, objectives=board.objectives[::-1])
    assert np.array_equal(normalised(table, swapped), normalised(table, board)[:, ::-1])


@pytest.mark.parametrize(
    ("methods", "settings", "there", "absent"),
    [
        (["random"], {}, {"front-1", "results-1"}, {"difference-1", "distances-1", "parallel-1"}),
        (
            ["magnitude", "nsga2"],
            {"objectives": ("error", "params", "macs")},
            {"front-1", "parallel-1", "distances-1"},
            {"difference-1"},
        ),
        (["magnitude", "nsga2"], {"objectives": ("distortion", "size")}, {"front-1", "difference-1"}, {"parallel-1"}),
        (["random"], {"objectives": ("error",)}, {"progress-1", "results-1"}, {"front-1"}),
        (["random"], {"units": "filter", "budget": 2.0}, {"front-1", "progress-1", "results-1"}, set()),
    ],
    ids=["one method, one seed", "three objectives", "no error", "one objective", "two evaluations"],
)
def test_reports_draw_odd_studies(
    methods: list[str], settings: dict[str, Any], there: set[str], absent: set[str], tmp_path: Path
) -> None:
    items = drawn(study_of(tmp_path / "study", methods, **settings))
    assert there <= set(items)
    assert not absent & set(items)


def test_bundled_reports_keep_the_contract() -> None:
    for report in bundled():
        check_report(report)


@dataclass(frozen=True, repr=False)
class Careless(pf.Report):
    """Breaks the contract in one way at a time."""

    name = "careless"
    way: str = ""

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> list[pf.Table]:
        if self.way == "table":
            table["error"] = 0.0
        ids = {"id": ["a b"], "twice": ["a", "a"]}.get(self.way, ["a"])
        caption = "" if self.way == "caption" else "What."
        board = "nowhere" if self.way == "board" else study.boards[0].hash
        return [pf.Table(id, caption, pd.DataFrame({"x": [1]}), board) for id in ids]


def test_the_contract_of_reports_can_be_broken() -> None:
    check_report(Careless())
    for way in ("table", "id", "twice", "caption", "board"):
        with pytest.raises(AssertionError):
            check_report(Careless(way))


def seeds(method: str, count: int, error: float, step: float = 0.001) -> Points:
    """Runs whose fronts are one point each, every seed a little worse than the one before."""
    return {(method, seed): [(error + step * seed, 50.0)] for seed in range(count)}


def table_of(report: pf.Report, fronts: Points, place: int = 0, **changes: Any) -> pf.Table:
    """The table that a report draws, or one of several."""
    table, study = hand_made(fronts)
    return [item for item in report.draw(table, replace(study, **changes)) if isinstance(item, pf.Table)][place]


def verdicts_of(study: pf.StudyFacts) -> dict[str, str]:
    """What the table of results says of each method."""
    [item] = [item for item in Results().draw(pd.DataFrame(), study) if isinstance(item, pf.Table)]
    return dict(zip(item.frame.method, item.frame.verdict, strict=True))


def test_eight_seeds_apart_allow_a_claim_and_three_do_not() -> None:
    for count, verdicts in (
        (8, ["better than bad", "worse than good"]),
        (3, ["no claim: needs 4 seeds"] * 2),
    ):
        fronts = seeds("good", count, 0.1) | seeds("bad", count, 0.2)
        item = table_of(Results(), fronts)
        assert list(item.frame["method"]) == ["good", "bad"]
        assert list(item.frame["verdict"]) == verdicts
        assert "No control was named beforehand: all pairs" in item.caption
        assert item.best == {(0, "HV")}
        row = table_of(Comparisons(), fronts).frame.iloc[0]
        assert row[["method", "against", "A12"]].tolist() == ["good", "bad", "1.00"]
        assert row["test"] == f"Mann-Whitney, {count} seeds"
    exact = mannwhitneyu(range(8), range(10, 18)).pvalue
    data = table_of(Comparisons(), seeds("good", 8, 0.1) | seeds("bad", 8, 0.2)).data
    assert data[["p", "holm"]].iloc[0].tolist() == pytest.approx([exact, exact])


def test_a_better_method_than_the_control_is_called_so_and_equal_ones_are_not() -> None:
    fronts = seeds("good", 8, 0.1) | seeds("bad", 8, 0.2) | seeds("same", 8, 0.2)
    item = table_of(Results(), fronts, control="bad")
    frame = item.frame.set_index("method")
    assert frame.verdict.to_dict() == {"good": "better", "bad": "control", "same": "no difference shown"}
    assert "the control, bad, named after the runs." in item.caption
    assert "named before the first run." in table_of(Results(), fronts, control="bad", beforehand=True).caption
    pairs = table_of(Comparisons(), fronts, control="bad").frame
    assert pairs[["method", "against", "verdict"]].to_numpy().tolist() == [
        ["bad", "good", "worse"],
        ["bad", "same", "no difference shown"],
    ]


def test_a_control_that_has_not_run_is_no_reason_to_choose_another() -> None:
    fronts = seeds("good", 8, 0.1) | seeds("bad", 8, 0.2) | seeds("same", 8, 0.2)
    item = table_of(Results(), fronts, control="third")
    assert "The control, third, has not run here: all pairs" in item.caption
    assert item.frame.verdict.tolist() == ["better than 2 of 2", "worse than 1 of 2", "worse than 1 of 2"]
    assert len(table_of(Comparisons(), fronts, control="third").frame) == 3


def test_methods_without_chance_are_one_number() -> None:
    table, study = hand_made(seeds("fixed", 5, 0.1, 0.0) | seeds("other", 5, 0.2) | seeds("also", 5, 0.3, 0.0))
    runs = tuple(replace(run, deterministic=run.method != "other") for run in study.runs)
    said = verdicts_of(replace(study, runs=runs, control="fixed"))
    assert said["other"] == "no claim: needs 6 seeds"
    assert said["also"] == "no claim: neither depends on the seed"
    [item, *_] = Comparisons().draw(table, replace(study, runs=runs, control="fixed"))
    assert item.frame.test.tolist() == ["signed ranks, 5 seeds", "none"]
    assert item.frame.p.tolist()[1] == ""


def test_runs_of_other_versions_and_other_rules_are_not_compared() -> None:
    table, study = hand_made(seeds("good", 8, 0.1) | seeds("bad", 8, 0.2))
    runs = tuple(replace(run, environment={"torch": "2" if run.method == "good" else "3"}) for run in study.runs)
    assert verdicts_of(replace(study, runs=runs)) == dict.fromkeys(("good", "bad"), "no claim: torch 2 and 3")
    plugins = {"good": (("/home/me/objective.py", "a1"), ("mine", "1")), "bad": (("/home/me/objective.py", "b2"),)}
    runs = tuple(replace(run, plugins=plugins[run.method]) for run in study.runs)
    told = verdicts_of(replace(study, runs=runs, control="good"))
    assert told == {"good": "control", "bad": "no claim: versions a1 and b2 of a plugin"}
    table, study = joined(hand_made(seeds("good", 4, 0.1)), hand_made(seeds("other", 4, 0.1), board="toy (budget 20)"))
    boards = tuple(replace(b, problem="toy", rules={"budget": 10.0 * n}) for n, b in enumerate(study.boards, 1))
    first, _ = Results().draw(table, replace(study, boards=boards))
    assert list(first.frame["method"]) == ["good", "other"]
    assert list(first.frame["verdict"]) == ["", "not compared: other budget"]


def test_an_order_that_depends_on_the_indicator_is_a_warning() -> None:
    careful, bold = {("careful", s): [(0.11, 60.0)] for s in range(2)}, {("bold", s): [(0.22, 20.0)] for s in range(2)}
    table, study = hand_made(careful | bold)
    _, remark = Results().draw(table, study)
    assert isinstance(remark, pf.Remark)
    assert "By HV: careful, bold" in remark.text or "By HV: bold, careful" in remark.text
    assert "by HV region: " in remark.text
    assert len(list(Results().draw(*hand_made(seeds("good", 2, 0.1) | seeds("bad", 2, 0.2))))) == 1
    runs = tuple(replace(run, hypervolume_search=run.hypervolume_region) for run in study.runs)
    told = [item.text for item in Results().draw(table, replace(study, runs=runs)) if isinstance(item, pf.Remark)]
    assert ["by HV region: " in told[0], "by HV search: " in told[1]] == [True, True]


def test_without_an_error_there_is_no_region_and_a_control_may_be_absent() -> None:
    table, study = hand_made(seeds("good", 2, 0.1) | seeds("bad", 2, 0.2))
    (board,) = study.boards
    absent = replace(study, boards=(replace(board, objectives=("distortion", "params")),), control="third")
    [item] = Results().draw(table, absent)
    assert "HV region" not in item.frame
    assert "HV region" not in item.caption
    assert "hypervolume_region" not in item.data
    assert "third, has not run here" in item.caption


def test_reductions_are_chosen_on_search_and_told_with_their_loss_on_test() -> None:
    fronts: Points = {("a", 0): [(0.05, 80.0), (0.059, 40.0), (0.3, 5.0)], ("b", 0): [(0.05, 70.0)]}
    table, study = hand_made(fronts, extra=0.07)
    item, sure = Reductions().draw(table, study)
    frame = item.frame.set_index("method")
    assert list(frame.loc["a"]) == ["20.0 % (+2.00)", "20.0 % (+2.00)", "60.0 % (+2.90)", "60.0 % (+2.90)"]
    assert list(frame.loc["b"]) == ["30.0 % (+2.00)"] * 4
    assert item.best == {(list(frame.index).index("b"), "at 2")}, "all others lose more on test than their column says"
    [fair, _] = Reductions().draw(*hand_made(fronts, extra=0.05))
    rows = list(fair.frame.method)
    assert fair.best == {(rows.index(m), f"at {x}") for m, x in (("b", 0), ("b", 0.5), ("a", 1), ("a", 2))}
    # 0.2 points are added by hand to what each is sure to lose no more than, so that 0.9 points are too many for 1
    frame = sure.frame.set_index("method")
    assert list(frame.loc["a"]) == ["none", "20.0 % (+2.00)", "20.0 % (+2.00)", "60.0 % (+2.90)"]
    assert list(frame.loc["b"]) == ["none", *["30.0 % (+2.00)"] * 3]
    assert "with 90 % confidence" in sure.caption


def test_operating_points_take_the_best_by_search_among_the_small() -> None:
    fronts: Points = {("a", 0): [(0.05, 60.0), (0.10, 50.0), (0.08, 20.0)]}
    item = table_of(OperatingPoints(), fronts)
    # losses against the unpruned network's 10 % on test
    assert item.frame.iloc[0].to_dict() == {"method": "a", "2x": "-2.00", "4x": "-2.00", "8x": "none", "16x": "none"}


def test_distances_are_zero_for_the_front_that_is_the_union() -> None:
    item = table_of(Distances(), {("a", 0): [(0.1, 50.0), (0.2, 20.0)], ("b", 0): [(0.2, 50.0)]})
    frame = item.frame.set_index("method")
    assert list(frame.loc["a"]) == ["0.0000", "0.0000"]
    assert frame.loc["b", "additive epsilon"] == "0.3000"  # 20 parameters of 100 against 50; the error as good
    # IGD+ is the mean of sqrt((0.4 - 0.2)^2) and of 0.3
    assert float(frame.loc["b", "IGD+"]) == pytest.approx((0.2 + 0.3) / 2)


def test_the_difference_of_attainment_counts_runs_on_either_side() -> None:
    boxes, shares = rectangles([np.array([[1.0, 1.0]])] * 2, [np.array([[2.0, 2.0]])] * 3)
    inside = [share for (x0, y0, x1, y1), share in zip(boxes, shares, strict=True) if x0 <= 1.5 < x1 and y0 <= 1.5 < y1]
    beyond = [share for (x0, y0, x1, y1), share in zip(boxes, shares, strict=True) if x0 <= 3 < x1 and y0 <= 3 < y1]
    assert inside == [1.0], "all runs of the first attain it, none of the second"
    assert beyond in ([], [0.0])
    assert len(rectangles([np.array([[1.0, 1.0]])] * 2, [np.array([[1.0, 1.0]])] * 2)[1]) == 0
    same: Points = {(method, seed): [(0.1, 60.0), (0.2, 30.0)] for method in ("a", "b") for seed in range(2)}
    assert list(Difference().draw(*hand_made(same))) == [], "equal methods differ nowhere"
    half = rectangles([np.array([[1.0, 1.0]]), np.array([[9.0, 9.0]])], [np.array([[2.0, 2.0]])])
    assert min(half[1]) == -0.5


def test_the_gap_is_what_is_lost_on_test_beyond_search() -> None:
    table, study = hand_made({("a", 0): [(0.10, 50.0)], ("b", 0): [(0.10, 60.0)]}, extra=0.07)
    [item] = Generalisation().draw(table, study)
    marks = [line.get_xdata() for line in item.figure.axes[0].get_lines() if line.get_linestyle() == "None"]
    assert [x for (x,) in marks] == pytest.approx([2.0, 2.0])  # 7 points more, of which 5 are the unpruned network's


def test_layers_show_the_member_that_would_be_chosen() -> None:
    table, study = hand_made({("a", 0): [(0.05, 80.0), (0.06, 40.0), (0.3, 5.0)]})
    kept = {"board": "toy", "method": "a", "instance": 0, "seed": 0, "number": [0, 0, 1, 1], "layer": ["x", "y"] * 2}
    layers = pd.DataFrame(kept | {"kept": [9, 8, 4, 3], "units": 10})
    [item] = Layers().draw(table, replace(study, layers=layers))
    assert list(lines_of(item)["a"][:, 1]) == [0.4, 0.3]
    assert list(Layers().draw(table, study)) == []


def test_what_not_all_runs_have_is_told_and_never_best() -> None:
    lucky = {("lucky", seed): [(0.05 if seed == 0 else 0.3, 10.0)] for seed in range(3)}
    steady = {("steady", seed): [(0.05, 40.0)] for seed in range(3)}
    table, study = hand_made(lucky | steady)
    item, _ = Reductions().draw(table, study)
    frame = item.frame.set_index("method")
    assert frame.loc["lucky", "at 0"] == "90.0 % (-5.00), 1 of 3"
    assert item.frame.method[next(row for row, name in item.best if name == "at 0")] == "steady"
    half: Points = {("a", 0): [(0.1, 50.0)], ("a", 1): [(0.1, 60.0)]}
    assert table_of(OperatingPoints(), half).frame["2x"][0] == "+0.00, 1 of 2"


def test_a_run_without_a_member_counts_among_those_that_attain_nothing() -> None:
    table, study = hand_made({("a", seed): [(0.1, 50.0)] for seed in range(3)})
    kept = table[(table.kind != "member") | (table.seed == 0)]
    [front] = Fronts().draw(kept, study)
    assert len(lines_of(front)["a"]) == 0, "one of three runs is less than half"


def test_runs_without_a_member_do_not_flatter_their_method() -> None:
    table, study = hand_made(seeds("a", 3, 0.2) | seeds("b", 3, 0.1) | seeds("c", 3, 0.1))
    lost = (table.method == "b") & (table.seed > 0)
    [item] = Distances().draw(table[~lost], study)
    frame = item.frame.set_index("method")
    assert frame.loc["b", "IGD+"].endswith(", 1 of 3")
    assert {item.frame.method[row] for row, _ in item.best} == {"c"}
    assert len(item.data) == 9
    [item] = Distances().draw(table, study)
    assert {item.frame.method[row] for row, _ in item.best} == {"b", "c"}, "equal methods are equally good"
    [curves] = Progress().draw(table[~lost], study)
    assert lines_of(curves)["b"][-1, 1] == 0, "most of its runs have reached nothing"


def test_progress_leaves_out_runs_that_have_not_ended() -> None:
    table, study = hand_made()
    runs = tuple(replace(run, status="partial" if run.seed == 1 else "done") for run in study.runs)
    both, one = (
        lines_of(item)["first"][-1, 1] for s in (study, replace(study, runs=runs)) for item in Progress().draw(table, s)
    )
    assert one == pytest.approx(hypervolume(np.array(FIRST[0]) / [0.5, 100]))
    assert one != pytest.approx(both)


def test_rules_of_one_problem_are_no_independent_problems() -> None:
    table, study = three_boards(*"aaaaa")
    boards = tuple(replace(board, problem="board-0") for board in study.boards)
    figure, remark = Ranks().draw(table, replace(study, boards=boards))
    assert "no difference shown" in figure.caption
    assert "no independent problems" in remark.text
    fewer = tuple(run for run in study.runs if (run.method, run.board) != ("c", "board-1"))
    assert list(Ranks().draw(table, replace(study, runs=fewer))) == []
    [item] = Profile().draw(table, replace(study, runs=fewer))
    assert "left out: c." in item.caption


def three_boards(*best: str) -> tuple[pd.DataFrame, pf.StudyFacts]:
    """A board for each name, on which that method is best and the others follow in the alphabet."""
    studies = []
    for number, first in enumerate(best):
        order = [first, *(name for name in "abc" if name != first)]
        fronts = {(name, seed): [(0.1 + 0.1 * place, 50.0)] for place, name in enumerate(order) for seed in (0, 1)}
        studies.append(hand_made(fronts, board=f"board-{number}"))
    return joined(*studies)


def over_instances(effects: dict[str, list[float]], seeds: int = 2) -> pf.StudyFacts:
    """A study in which each method's hypervolume on each instance is that number, and a little more for each seed."""
    _, study = hand_made({("first", 0): [(0.1, 50.0)]})
    [run] = study.runs
    runs = [
        replace(run, method=method, instance=i, seed=s, hypervolume=value + 0.001 * s, hypervolume_anytime=value / 2)
        for method, values in effects.items()
        for i, value in enumerate(values)
        for s in range(seeds)
    ]
    return replace(study, runs=tuple(runs))


NETWORKS = [0.1 * place for place in range(10)]


def test_with_several_instances_methods_are_compared_by_them() -> None:
    small = [0.002 + 0.0001 * place for place in range(10)]
    effects = {"good": [n + gap for n, gap in zip(NETWORKS, small, strict=True)], "bad": NETWORKS}
    effects |= {"other": [n + 0.1 * (-1) ** place for place, n in enumerate(NETWORKS)]}
    study = over_instances(effects)
    main, anytime = Comparisons().draw(pd.DataFrame(), study)
    assert set(main.frame.test) == {"signed ranks, 10 instances"}
    row = next(row for row in main.data.to_dict("records") if {row["method"], row["against"]} == {"good", "bad"})
    assert (row["p"], row["holm"]) == pytest.approx((2 / 1024, 6 / 1024))
    assert abs(row["difference"]) == pytest.approx(np.mean(small))
    assert "Whether any of 3 methods differ over 10 instances: Friedman: p = " in main.caption
    assert anytime.id == "comparisons-anytime-1"
    assert "corrected by itself" in anytime.caption
    assert verdicts_of(study) == {
        "good": "better than 1 of 2",
        "bad": "worse than 1 of 2",
        "other": "no difference shown",
    }
    few = over_instances({name: values[:5] for name, values in effects.items()})
    assert set(verdicts_of(few).values()) == {"no claim: needs 7 instances"}


def test_a_claim_says_what_it_generalises_to() -> None:
    one, many = over_instances({"a": [0.5], "b": [0.6]}), over_instances({"a": NETWORKS, "b": NETWORKS})
    for study, varies, told in (
        (one, ("training", "split"), "holds on this network and split: seeds repeat the search alone."),
        (
            many,
            ("training", "split"),
            "for networks trained by this recipe and such splits of its data, of which 10 were",
        ),
        (many, ("training",), "for networks trained by this recipe on this split, of which 10 were"),
        (many, ("split",), "for this network on such splits of its data, of which 10 were"),
        (many, (), "on these 10 instances."),
    ):
        [board] = study.boards
        [item] = [
            item
            for item in Results().draw(pd.DataFrame(), replace(study, boards=(replace(board, varies=varies),)))
            if isinstance(item, pf.Table)
        ]
        assert told in item.caption


def test_of_many_pairs_those_of_the_smallest_p_are_printed_and_all_are_in_the_numbers() -> None:
    rng = np.random.default_rng(0)
    study = over_instances({f"m{place}": list(rng.random(10)) for place in range(9)})
    item = next(iter(Comparisons().draw(pd.DataFrame(), study)))
    assert (len(item.frame), len(item.data)) == (PRINTED, 36)
    assert [float(p) for p in item.frame.p] == sorted(float(p) for p in item.frame.p)
    assert "36 in all. The 28 of the smallest p are shown." in item.caption


def test_fine_tuned_runs_are_compared_with_those_that_were_trained_as_long() -> None:
    fronts = seeds("good", 6, 0.1) | seeds("bad", 6, 0.2)
    table, study = hand_made(fronts)
    runs = tuple(
        replace(run, finetuned=3, hypervolume_finetuned=1 - run.hypervolume + 0.0001 * run.seed) for run in study.runs
    )
    main, _, tuned, *_ = Comparisons().draw(table, replace(study, runs=runs))
    assert tuned.id == "comparisons-finetuned-1"
    assert "after 3 epochs of fine-tuning" in tuned.caption
    assert [item.frame.verdict[0] for item in (main, tuned)] == ["better", "worse"], "of the good one"
    longer = tuple(replace(run, finetuned=3 if run.seed < 3 else 30) for run in runs)
    items = list(Comparisons().draw(table, replace(study, runs=longer)))[:4]
    assert [item.id for item in items[2:]] == ["comparisons-finetuned-3-1", "comparisons-finetuned-30-1"]
    assert {item.frame.test[0] for item in items[2:]} == {"Mann-Whitney, 3 seeds"}


def test_the_verdict_at_equal_seconds_stands_beside_the_one_at_equal_compute() -> None:
    fronts = seeds("good", 6, 0.1) | seeds("bad", 6, 0.2)
    table, study = hand_made(fronts)
    slow = table.method == "good"
    timed = table.assign(processor_seconds=np.where(slow, 9.0, 1.0 + 0.1 * table.seed), seconds=np.nan)
    *_, item, remark = Comparisons().draw(timed, study)
    assert item.id == "comparisons-seconds-1"
    assert "in processor seconds, of which" in item.caption
    [row] = item.frame.to_dict("records")
    assert (row["method"], row["against"]) == ("good", "bad")
    assert (row["seconds"], row["verdict"], row["at equal compute"]) == ("1.25", "worse", "better")
    assert item.data.seconds.tolist() == [1.25]
    assert "1 of 1 verdicts differs: bad against good: better after 1.25 processor seconds, worse" in remark.text
    gpu = replace(study, boards=(replace(study.boards[0], rules={"device": "cuda:0"}),))
    *_, item, _ = Comparisons().draw(table.assign(processor_seconds=0.1), gpu)
    assert "in seconds by the clock, of which" in item.caption
    assert item.data.seconds.tolist() == [1.5]


def test_variances_are_those_between_instances_seeds_and_images() -> None:
    study = over_instances({"a": NETWORKS, "b": [n + 1 for n in NETWORKS]})
    runs = tuple(replace(run, hypervolume_resampled=(0.1, 0.3)) for run in study.runs)
    [item] = Variances().draw(pd.DataFrame(), replace(study, runs=runs))
    assert item.data.method.tolist() == ["b", "a"]
    assert item.data.seeds.tolist() == pytest.approx([0.001 / np.sqrt(2)] * 2)
    assert item.data.instances.tolist() == pytest.approx([np.std(NETWORKS, ddof=1)] * 2, rel=1e-3)
    assert item.data.images.tolist() == pytest.approx([np.sqrt(0.02)] * 2)
    [item] = Variances().draw(pd.DataFrame(), over_instances({"a": NETWORKS}, seeds=1))
    assert item.frame.to_dict("list")["between seeds"] == [""]
    assert list(Variances().draw(pd.DataFrame(), over_instances({"a": [0.5]}, seeds=1))) == []


def test_ranks_are_averages_over_problems_and_claims_need_enough_of_them() -> None:
    figure, remark = Ranks().draw(*three_boards("a", "b"))
    assert isinstance(figure, pf.Figure)
    shown = " ".join(text.get_text() for text in figure.figure.axes[0].texts)
    assert "a (1.50)" in shown
    assert "(3.00) c" in shown
    assert isinstance(remark, pf.Remark)
    assert "No claim" in remark.text
    [figure] = Ranks().draw(*three_boards(*"aaaaa"))
    assert "some methods differ" in figure.caption
    assert list(Ranks().draw(*hand_made())) == []


@pytest.mark.parametrize("letters", [3, 14, 15, 26, 60])
def test_names_beside_a_diagram_of_ranks_lie_in_it(letters: int) -> None:
    table, study = three_boards("a", "b")
    called = {name: f"{name}[{'setting=1,' * 6}".ljust(letters, "x")[:letters] for name in "abc"}
    runs = tuple(replace(run, method=called[run.method]) for run in study.runs)
    with look():
        figure, _ = Ranks().draw(table, replace(study, runs=runs))
        assert isinstance(figure, pf.Figure)
        figure.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.figure.axes[0].texts]
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= figure.figure.bbox.width
    assert figure.figure.axes[0].get_position().width > 0.2
    assert set(figure.methods or ()) == set(called.values())


def test_a_profile_counts_runs_within_a_factor_of_the_best() -> None:
    _, study = three_boards("a", "b")
    ratios = performance(study)
    missing = [1 - hypervolume(np.array([[0.2 + 0.2 * place, 0.5]])) for place in range(3)]
    assert sorted(ratios["a"]) == pytest.approx([1.0, 1.0, *[missing[1] / missing[0]] * 2])
    assert sorted(ratios["c"]) == pytest.approx([missing[2] / missing[0]] * 4)
    assert len(list(Profile().draw(*three_boards("a", "b")))) == 1


CLAIM = pf.Claim(
    "Somebody, 2020", "half of it removed", "another split", ("toy",), 0.5, method="first", read="abstract"
)


def test_what_papers_claim_is_cited_and_drawn_behind_but_never_tested() -> None:
    table, study = hand_made()
    lossy = replace(CLAIM, method="lossy", removed=0.7, drop=1.5)
    gone = [replace(CLAIM, method="second", problems=("other",)), replace(CLAIM, method="third", removed=None)]
    study = replace(study, claims=(lossy, CLAIM, *gone))
    [item] = PublishedResults().draw(table, study)
    assert list(item.frame["method"]) == ["first", "lossy", "second", "third"]
    assert set(item.frame["read in"]) == {"abstract"}
    assert "Not measured here" in item.caption
    assert item.methods == (), "it shows no run"
    [front] = Fronts().draw(table, study)
    assert "(lossy, Somebody, 2020; first, Somebody, 2020)" in front.caption
    assert "not measured here" in front.caption
    for axis in front.figure.axes:
        dotted = [line for line in axis.get_lines() if line.get_linestyle() == ":"]
        assert [line.get_xdata()[0] for line in dotted] == [0.5]
        crosses = [line for line in axis.get_lines() if line.get_marker() == "x"]
        (dense,) = (board.dense_test[0] for board in study.boards)
        assert [(*line.get_xdata(), *line.get_ydata()) for line in crosses] == [pytest.approx((0.3, 100 * dense + 1.5))]
        assert {"first", "lossy"} <= {text.get_text() for text in axis.texts}


def test_claims_are_drawn_where_their_objective_is_the_boards() -> None:
    table, study = hand_made()
    (board,) = study.boards
    rows = table.rename(columns=lambda name: name.replace("params", "macs"))
    other = replace(study, boards=(replace(board, objectives=("error", "macs")),))
    claims = (CLAIM, replace(CLAIM, method="second", removed_macs=0.25))
    [front] = Fronts().draw(rows, replace(other, claims=claims))
    dotted = [line for line in front.figure.axes[0].get_lines() if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in dotted] == [0.75]


def test_fine_tuned_fronts_are_set_beside_those_that_were_searched() -> None:
    table, study = hand_made({("a", 0): [(0.30, 40.0), (0.20, 60.0)]})
    assert list(Finetuned().draw(table, study)) == []
    after = table[table.kind == "member"].assign(kind="finetuned", error=lambda rows: rows.error / 2)
    runs = tuple(replace(run, finetuned=3) for run in study.runs)
    figure, item = Finetuned().draw(pd.concat([table, after]), replace(study, runs=runs))
    assert "3 epochs" in figure.caption
    assert item.frame.iloc[0]["50 % removed"] == "30.00 to 15.00"
    assert item.frame.iloc[0]["75 % removed"] == "none to none"
    before, tuned = (line.get_ydata() for line in figure.figure.axes[0].get_lines()[:2])
    assert list(tuned) == [y / 2 for y in before]


def test_fronts_that_were_trained_for_longer_are_not_set_beside_others() -> None:
    table, study = hand_made({(method, seed): [(0.30, 40.0)] for method in "ab" for seed in range(3)})
    after = table[(table.kind == "member") & ((table.method == "a") | (table.seed == 0))].assign(kind="finetuned")
    runs = tuple(replace(run, finetuned=3 if run.method == "a" else 30) for run in study.runs)
    items = list(Finetuned().draw(pd.concat([table, after]), replace(study, runs=runs)))
    assert [item.id for item in items] == [
        "finetuned-1-3",
        "finetuned-table-1-3",
        "finetuned-1-30",
        "finetuned-table-1-30",
    ]
    assert [item.methods for item in items] == [("a",), ("a",), ("b",), ("b",)]
    assert items[3].frame["50 % removed"][0] == "30.00 to 30.00 (1 of 3)"
    assert len(lines_of(items[2])["b"]) == 0, "of one of three runs alone there is no half"


def test_a_record_of_one_objective_is_drawn_in_strips_and_gaps_are_empty() -> None:
    _, study = hand_made()
    (board,) = study.boards
    head = {"board": board.hash, "instance": 0, "seed": 0}
    rows = [head | {"record": "steps", "method": "first", "error": 0.1 * n} for n in range(6)]
    rows += [head | {"record": "ends", "method": method, column: 1.5} for method, column in (("a", "x"), ("b", "y"))]
    one = replace(study, boards=(replace(board, objectives=("error",)),), records=pd.DataFrame(rows))
    figure, item = Records().draw(pd.DataFrame(), one)
    assert figure.figure.axes[0].get_title(loc="left") == "error"
    assert figure.methods == ("first",)
    assert item.frame.to_dict("list") == {"method": ["a", "b"], "seed": ["0", "0"], "x": ["1.5", ""], "y": ["", "1.5"]}


def test_curves_over_seconds_end_at_the_last_answer() -> None:
    table, study = hand_made()
    [item] = Progress(over="seconds").draw(table, study)
    assert lines_of(item)["first"][-1, 0] == 2.5
    assert item.figure.axes[0].get_xlabel() == "seconds"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([list("abcdef"), list("abcdef")], list("abcdef")),
        ([list("abcdef"), list("abcxyz")], []),
        ([list("abcaef")], []),
        ([[letter * 64 for letter in "abcdef"]], []),
        ([[f"row {number}" for number in range(30)]], []),
    ],
)
def test_a_few_rows_of_a_record_are_called_as_all_runs_call_them(words: list[list[str]], shown: list[str]) -> None:
    runs = [("first", seed, called) for seed, called in enumerate(words)]
    rows = [
        {"board": "board", "record": "phases", "method": method, "instance": 0, "seed": seed}
        | {"phase": name, "passes": 1.0 + place}
        for method, seed, called in runs
        for place, name in enumerate(called)
    ]
    _, study = hand_made()
    study = replace(study, records=pd.DataFrame(rows).assign(board=study.boards[0].hash))
    (item,) = Records().draw(pd.DataFrame(), study)
    assert isinstance(item, pf.Figure)
    axes = item.figure.axes[-1]
    assert [text.get_text() for text in axes.get_xticklabels()][: len(shown)] == shown
    assert axes.get_xlabel() == ("" if shown else "row of the record")


def test_strips_name_what_they_draw_above_it_and_bounds_as_a_band() -> None:
    head = {"record": "timings", "method": "first", "instance": 0, "seed": 0}
    rows = [head | {"seconds": 1.0 + n, "low": 0.5 + n, "high": 2.0 + n} for n in range(6)]
    rows += [head | {"record": "quotas", "low": 1.0 + n, "high": 2.0 + n, "mean": 1.5 + n, "gain": n} for n in range(6)]
    _, study = hand_made()
    study = replace(study, records=pd.DataFrame(rows).assign(board=study.boards[0].hash))
    with look():
        drawn = list(Records().draw(pd.DataFrame(), study))
    timings, quotas = (item.figure for item in drawn if isinstance(item, pf.Figure))
    (axes,) = timings.axes
    assert axes.get_title(loc="left") == "seconds"
    (band,) = axes.collections
    assert band.get_datalim(axes.transData).intervaly.tolist() == [0.5, 7.0]
    named = [axes.get_title(loc="left") for axes in quotas.axes]  # of two others, none is what these bound
    assert named == ["low", "high", "mean", "gain"]
    assert not any(axes.collections for axes in quotas.axes)
    with look():
        quotas.draw_without_rendering()
    boxes = [axes.get_tightbbox().intervaly for axes in quotas.axes]
    assert all(upper[0] > lower[1] for upper, lower in pairwise(boxes))


def test_records_are_explained_and_have_no_names_of_masks() -> None:
    _, study = hand_made()
    head = {"method": "first", "instance": 0, "seed": 0, "board": study.boards[0].hash}
    short = {"record": "cuts", "gain": 0.5, "mask": "0123456789abcdef" * 2}
    long = [{"record": "phases", "after": 0.1 * row, "passes": 1.0 + row} for row in range(6)]
    found = replace(study, records=pd.DataFrame([head | row for row in (short, *long)]))
    figure, table = Records().draw(pd.DataFrame(), found)
    assert list(table.frame) == ["method", "seed", "gain"]
    assert list(table.data).count("mask") == 1
    assert "as first recorded it. Gain: by how much the hypervolume on search images grew." in table.caption
    assert "After: the hypervolume on search images after it. Passes: the compute that each spent." in figure.caption


def test_a_sweep_is_said_to_be_no_progress() -> None:
    table, study = hand_made()
    [plain] = Progress().draw(table, study)
    swept = replace(study, runs=tuple(replace(run, deterministic=run.method == "first") for run in study.runs))
    [told] = Progress().draw(table, swept)
    assert ["only its end is a result" in figure.caption for figure in (plain, told)] == [False, True]


def test_axes_of_running_times_begin_where_the_first_target_is_reached() -> None:
    [figure, _] = RunningTimes().draw(*hand_made())
    assert figure.figure.axes[0].get_xlim()[0] == pytest.approx(0.7 * 3), "nothing was reached before 3 passes"

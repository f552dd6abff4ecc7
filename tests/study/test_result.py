"""Indicators of final fronts whose answers are known, and the one look at the test split."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm
from tiny import layout, load, lookup

from pruneframe import Objective
from pruneframe.front import FRONT_LIMIT, non_dominated
from pruneframe.mask import Masks
from pruneframe.search.archive import Archive, Evaluation
from pruneframe.search.journal import MEMBER, Answer, Journal, read_lines
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import DENSE, Workbench
from pruneframe.study.result import Measured, Members, indicators, measure_members, paired_drop
from pruneframe.testing import tiny_problem

IMAGES = 200
TOTAL = 1000
REFERENCES = np.array([0.9, TOTAL])
OBJECTIVES = ("error", "params")


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
    found = indicators(front, ("distortion", "params"), REFERENCES)
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


answers = hnp.arrays(np.bool_, 57)


@given(before=answers, after=answers)
def test_paired_drop_is_the_mean_of_differences_per_image(before: np.ndarray, after: np.ndarray) -> None:
    differences = 100.0 * (before.astype(int) - after.astype(int))
    half = norm.ppf(0.975) * differences.std() / np.sqrt(len(differences))
    drop, (low, high) = paired_drop(before, after)
    assert drop == pytest.approx(differences.mean(), abs=1e-9)
    assert (low, high) == pytest.approx((differences.mean() - half, differences.mean() + half), abs=1e-6)


def bench_and_archive(candidates: int) -> tuple[Workbench, Archive]:
    """A tiny problem, and an archive whose claimed values are mutually non-dominated."""
    bench = Workbench(load(tiny_problem()), "cpu", Shelf(None))
    units = bench.network.layout
    archive = Archive(units)
    keep = np.random.default_rng(0).random((candidates, units.total)) < np.linspace(0.2, 1, candidates)[:, None]
    masks = Masks.pack(keep, units)
    for row, mask in enumerate(masks.digests()):
        share = (row + 1) / (candidates + 1)
        archive._add(Evaluation(row, mask, DENSE, ((1 - share) * 0.6, share * 500), row + 1.0, 0.0), masks.bits[row])
    return bench, archive


def test_final_front_is_measured_afresh_on_search_and_on_test() -> None:
    bench, archive = bench_and_archive(7)
    objectives = [lookup(Objective, name) for name in OBJECTIVES]
    found = measure_members(bench, archive, objectives, np.array([2 / 3, 500]), Journal(None, {}))
    module = copy.deepcopy(bench.network.module).eval()
    data = bench.loaded.data
    for row in range(7):
        state = copy.deepcopy(bench.network.module.state_dict())
        kept = found.masks.layout.split(np.unpackbits(found.masks.bits[row])[: found.masks.layout.total])
        for name, bits in zip(found.masks.layout.names, kept, strict=True):
            state[f"{name}.weight"] *= torch.from_numpy(bits).reshape(state[f"{name}.weight"].shape)
        module.load_state_dict(state)
        for split, values in ((bench.loaded.search, found.search), (data.test, found.test)):
            with torch.inference_mode():
                wrong = module(data.tensor(split)).argmax(dim=1).numpy() != split.labels
            assert values.values[row, 0] == pytest.approx(wrong.mean())
            assert values.error[row] == pytest.approx(wrong.mean())
            assert np.array_equal(values.correct[row], ~wrong)
    assert found.total_params == sum(p.numel() for p in bench.network.module.parameters())
    assert np.array_equal(found.reduction, 1 - found.params / found.total_params)


def test_final_front_is_thinned_before_it_is_tested() -> None:
    bench, archive = bench_and_archive(FRONT_LIMIT + 20)
    assert np.all(non_dominated(archive.front_values()))
    objectives = [lookup(Objective, name) for name in OBJECTIVES]
    found = measure_members(bench, archive, objectives, np.array([2 / 3, 500]), Journal(None, {}))
    assert len(found.masks) == len(found.test.values) == len(found.weights) == FRONT_LIMIT
    assert set(found.masks.digests()) <= {evaluation.mask for evaluation in archive.evaluations}


def test_a_front_is_measured_once_and_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, archive = bench_and_archive(4)
    objectives = [lookup(Objective, name) for name in OBJECTIVES]

    def measure() -> Members:
        with Journal(tmp_path / "journal.jsonl", {}) as journal:
            return measure_members(bench, archive, objectives, np.array([2 / 3, 500]), journal)

    first = measure()
    monkeypatch.setattr(Workbench, "candidates", lambda *_, **__: pytest.fail("it was computed again"))
    second = measure()
    assert first.masks.digests() == second.masks.digests()
    for name in ("search", "test", "dense_search", "dense_test"):
        one, two = getattr(first, name), getattr(second, name)
        assert np.array_equal(one.values, two.values)
        assert np.array_equal(one.correct, two.correct)
    answers = [line for line in read_lines(tmp_path / "journal.jsonl")[0] if isinstance(line, Answer)]
    assert len(answers) == 2 * (4 + 1)
    assert {(answer.kind, answer.charge) for answer in answers} == {(MEMBER, 0.0)}

"""The method weighted-ga: the invariants of its reconstruction, its retraining, and whole runs."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pruneframe as pf
from pruneframe.errors import Declined, InputError
from pruneframe.ledger import BudgetSpent
from pruneframe.mask import Units
from pruneframe.readout import facts, long_table
from pruneframe.registry import Registry
from pruneframe.run import carry_out
from pruneframe.store import StudyFolder
from pruneframe.study import plan
from pruneframe.task import Task
from pruneframe.testing import check_method, make_task, tiny_problem
from pruneframe.workbench import DENSE
from pruneframe_plugins.weighted_ga import PRESETS, Herd, Mutation, WeightedGA
from pruneframe_reports.records import Records

SMALL = ("population=6", "images=20", "every=3")


def method_of(*changes: str) -> WeightedGA:
    method = Registry().component("method", f"weighted-ga[{','.join(changes)}]")
    assert isinstance(method, WeightedGA)
    return method


def searched(*changes: str, budget: float = 80, seed: int = 0, **problem: Any) -> Task:
    """A task after the search has ended."""
    task = make_task(tiny_problem(**problem), budget, seed)
    with contextlib.suppress(BudgetSpent):
        method_of(*SMALL, *changes).search(task)
    return task


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("change", ["preset=balanced", "fronts=3", "retraining=0", "computation=0", "scorer=taylor"])
def test_the_contract_holds(change: str, units: Units) -> None:
    check_method(method_of(*SMALL, change), units)


def test_given_weights_replace_the_presets() -> None:
    assert method_of().weighting == PRESETS["sparsity"]
    assert method_of("preset=computation", "size=0.7").weighting == (0.4, 0.5, 0.7)


@given(st.integers(2, 9), st.sampled_from(sorted(PRESETS)))
def test_a_sweep_goes_from_careful_to_bold_and_keeps_the_others_proportion(fronts: int, preset: str) -> None:
    weightings = np.array(method_of(f"fronts={fronts}", f"preset={preset}").weightings)
    assert weightings.shape == (fronts, 3)
    assert np.allclose(weightings.sum(axis=1), 1)
    assert np.all(np.diff(weightings[:, 0]) < 0)
    assert weightings[[0, -1], 0] == pytest.approx([0.95, 0.2])
    _, computation, size = PRESETS[preset]
    assert np.allclose(weightings[:, 1] / weightings[:, 2], computation / size)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.integers(0, 2), st.floats(0, 5))
def test_the_fitness_is_linear_in_each_weight(weights: list[float], which: int, more: float) -> None:
    herd = Herd.__new__(Herd)  # the fitness needs nothing but masks and their terms
    herd.terms = np.random.default_rng(0).random((1, 3))
    before, after = np.array(weights), np.array(weights)
    after[which] += more
    difference = herd.state(after)["fitness"] - herd.state(before)["fitness"]
    assert difference == pytest.approx(more * herd.terms[0, which])


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_a_mutation_only_removes_and_never_empties_a_layer(units: Units) -> None:
    task = make_task(tiny_problem(units))
    mutation = Mutation(task, method_of("mutation=0.3", "step=0.5"), DENSE)
    keep = np.ones(task.layout.total, dtype=bool)
    for _ in range(300):
        before = keep.copy()
        mutation(keep)
        assert not np.any(keep & ~before)
        assert all(part.any() for part in task.layout.split(keep))
    assert keep.sum() < 0.2 * len(keep)


def test_convolutions_lose_whole_lines_and_linear_layers_single_weights() -> None:
    task = make_task(tiny_problem())
    mutation = Mutation(task, method_of("mutation=1", "smallest=1"), DENSE)
    keep = np.ones(task.layout.total, dtype=bool)
    mutation(keep)
    scores = task.layout.split(task.scores("magnitude"))
    for name, kept, score in zip(task.layout.names, task.layout.split(keep), scores, strict=True):
        shape = task.network.parameter(f"{name}.weight").shape
        lost = ~kept.reshape(shape)
        if len(shape) == 4:
            lines = [lost.all(axis=(1, 2, 3)), lost.all(axis=(0, 2, 3))]
            assert sorted(int(line.sum()) for line in lines) == [0, 1]
            assert lost.sum() == lost.size // len(lines[0] if lines[0].any() else lines[1])
        else:
            assert 0 < lost.sum() <= np.ceil(0.02 * lost.size)
            assert score[~kept].max() <= score[kept].min()


def test_weak_filters_go_first_more_often() -> None:
    task = make_task(tiny_problem("filter"))
    mutation = Mutation(task, method_of("mutation=0"), DENSE)
    norms = np.abs(task.layout.split(task.scores("magnitude"))[0])
    gone = np.zeros(len(norms))
    for _ in range(2000):
        keep = np.ones(len(norms), dtype=bool)
        mutation._remove_line(keep, norms)
        gone += ~keep
    expected = 1 / norms / (1 / norms).sum()
    assert gone / gone.sum() == pytest.approx(expected, abs=0.04)


def fitness(task: Task) -> pd.DataFrame:
    return task.records["fitness"]


@pytest.mark.parametrize("fronts", [1, 3])
def test_the_elite_never_gets_worse_between_retrainings(fronts: int) -> None:
    found = fitness(searched(f"fronts={fronts}", budget=160))
    assert found.weighting.nunique() == fronts
    assert found.retrained.sum() > 2
    for _, own in found.groupby("weighting"):
        for (_, before), (_, after) in pairwise(own.iterrows()):
            assert after.retrained or after.fitness <= before.fitness + 1e-12


def test_the_recorded_fitness_is_the_weighted_sum() -> None:
    found = fitness(searched("preset=balanced"))
    weights = np.array(PRESETS["balanced"])
    assert np.allclose(found[["error", "computation", "size"]].to_numpy() @ weights, found.fitness)
    assert np.all(found["mean fitness"] >= found.fitness)


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_zeros_stay_zero_in_retraining(units: Units) -> None:
    task = searched(budget=160, units=units)
    retrained = [e for e in task.archive.evaluations if e.weights != DENSE]
    assert retrained
    masks, members = task.archive.front()
    bench = task._workbench
    checked = 0
    for row, member in enumerate(members):
        if member.weights != DENSE:
            state = bench.state(member.weights)
            first = next(e for e in task.archive.evaluations if e.weights == member.weights)
            if first.mask == member.mask:  # the elite itself: its weights were trained under this very mask
                checked += 1
                for name, kept in bench.network.keep(masks, row).items():
                    assert not state[name][~kept].any()
    assert checked or units == "filter"


def test_retraining_takes_no_more_than_its_share() -> None:
    for share in (0.0, 0.3):
        task = searched(f"retraining={share}", budget=200)
        trained = len({e.weights for e in task.archive.evaluations} - {DENSE}) * 3 * 20 / task.search_images
        assert trained <= share * task.budget.spent
        assert (trained > 0) == (share > 0)


def test_the_population_is_rebuilt_under_the_elites_weights() -> None:
    task = searched(budget=160)
    seen: list[str] = []
    for evaluation in task.archive.evaluations:
        if not seen or seen[-1] != evaluation.weights:
            seen.append(evaluation.weights)
    assert len(seen) == len(set(seen)) > 2  # no way back to earlier weights


def test_the_front_is_recorded_with_its_multiply_adds() -> None:
    task = searched()
    front = task.records["computation of the front"]
    masks, members = task.archive.front()
    assert front["multiply-adds"].to_numpy() == pytest.approx(task.network.macs(masks) / task.network.total_macs)
    assert list(front["mask"]) == [member.mask for member in members]
    linear = task.network.layers[-1]
    dense = task.network.total_macs - linear.weights * linear.positions
    by_hand = (task.network.macs(masks) - masks.layer_counts()[:, -1] * linear.positions) / dense
    assert front["of convolutions"].to_numpy() == pytest.approx(by_hand)


def test_a_problem_without_the_error_is_declined() -> None:
    with pytest.raises(Declined, match="objective 'error'"):
        searched(objectives=("distortion", "params"))


@pytest.mark.parametrize(
    "change",
    ["population=3", "survivors=1", "survivors=0", "mutation=2", "fronts=0", "error=-1", "loss=-1", "preset=none"],
)
def test_bad_settings_are_refused(change: str) -> None:
    with pytest.raises(InputError, match=change.partition("=")[0]):
        method_of(change)


def test_a_run_on_real_digits_is_retrained_and_reported(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path / "study")
    study.prepare({}, {})
    spec = "weighted-ga[fronts=2,step=0.2]"
    planned = plan(Registry(), [spec], ["lenet-digits"], [0], {"budget": 300.0}, "cpu", 1, lambda line: None)
    [run] = planned.runs
    result = carry_out(run, study.path, ())
    assert result["status"] == "done"
    assert result["hypervolume"] > 0.5
    diagnostics = run.folder(study).diagnostics()
    assert set(diagnostics.record) == {"fitness", "computation of the front"}
    assert diagnostics.retrained.sum() > 0
    assert list(Records().draw(long_table(study), facts(study)))


def test_scores_follow_the_weights() -> None:
    task = make_task(tiny_problem(), budget=200)
    weights = task.train(task.layout.full(), recipe=pf.Recipe(epochs=1, batch=10))
    assert np.array_equal(task.scores("magnitude"), task.scores("magnitude", DENSE))
    state = task._workbench.state(weights)
    expected = np.concatenate([state[f"{name}.weight"].abs().flatten().numpy() for name in task.layout.names])
    assert np.array_equal(task.scores("magnitude", weights), expected)

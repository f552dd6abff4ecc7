"""The methods hamp and netadapt: the invariants of their reconstructions, their ablations, and whole runs."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pruneframe as pf
from pruneframe.encoding import Variables
from pruneframe.errors import Declined, InputError
from pruneframe.front import hypervolume, non_dominated
from pruneframe.ledger import BudgetSpent
from pruneframe.readout import facts, long_table
from pruneframe.registry import Registry
from pruneframe.run import carry_out
from pruneframe.store import StudyFolder
from pruneframe.study import plan
from pruneframe.task import Task
from pruneframe.testing import check_method, make_task, tiny_problem
from pruneframe_plugins.netadapt import Ladder
from pruneframe_plugins.portfolio import SELECTORS, Portfolio
from pruneframe_plugins.surrogate import Known
from pruneframe_reports.records import Records

OBJECTIVES = ("error", "latency", "memory")
TARGET = "analytic[start=0]"  # so that small networks are faster


def method_of(spec: str) -> pf.Method:
    method = Registry().component("method", spec)
    assert isinstance(method, pf.Method)
    return method


def task_of(budget: float = 60, seed: int = 0, **problem: Any) -> Task:
    settings = {"objectives": OBJECTIVES, "target": TARGET} | problem
    return make_task(tiny_problem("filter", **settings), budget, seed)


def searched(spec: str, budget: float = 60, seed: int = 0, **problem: Any) -> Task:
    task = task_of(budget, seed, **problem)
    with contextlib.suppress(BudgetSpent):
        method_of(spec).search(task)
    return task


@pytest.mark.parametrize(
    "spec",
    [
        "hamp",
        "hamp[portfolio=false]",
        "hamp[local=0]",
        "hamp[surrogate=false]",
        "hamp[tuned=10]",
        "netadapt",
        "netadapt[tuned=10,step=0.1]",
    ],
)
def test_the_contract_holds(spec: str) -> None:
    check_method(method_of(spec), "filter")
    task = searched(spec)
    assert task.budget.spent <= 60 + 1e-9
    assert task.archive.front_values().shape[1] == 3


@pytest.mark.parametrize("spec", ["hamp", "netadapt"])
def test_single_weights_are_declined(spec: str) -> None:
    with pytest.raises(Declined, match=r"filters|layers"):
        method_of(spec).search(make_task(tiny_problem("weight")))


def test_a_genotype_of_full_widths_is_the_dense_network() -> None:
    task = task_of()
    coder = task.encoding("channel-count[step=2]")
    variables = coder.variables(task.layout)
    full = coder.decode(variables.upper[None].astype(np.int64), task.layout, task.scores("l2"))
    assert full.digests() == task.layout.full().digests()
    first = searched("hamp").archive.evaluations[0]
    assert first.mask == task.layout.full().digests()[0]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0, 1 / 3))
def test_a_portfolio_fills_all_places_by_quota(seed: int, gains: list[float], floor: float) -> None:
    rng = np.random.default_rng(seed)
    portfolio = Portfolio(task_of(), 20, floor)
    portfolio.credit(np.array([[0, 0], [1, 1], [2, 2]]), np.array(gains))
    assert portfolio.quotas.sum() == pytest.approx(1)
    assert np.all(portfolio.quotas >= floor - 1e-9)
    if sum(gains) > 0:
        assert np.argmax(portfolio.quotas) == np.argmax(gains) or floor > 0.33
    genomes = rng.integers(1, 9, size=(60, 4))
    chosen = portfolio.select(genomes, rng.random((60, 3)))
    assert len(chosen.genomes) == 20
    assert len(np.unique(chosen.genomes, axis=0)) == 20
    places = np.bincount(chosen.selectors, minlength=3)
    assert np.all(np.abs(places - 20 * portfolio.quotas) < 1 + 1e-9)


def test_without_a_portfolio_rank_and_crowding_fills_all_places() -> None:
    rng = np.random.default_rng(0)
    portfolio = Portfolio(task_of(), 20, None)
    portfolio.credit(np.array([[1, 2]]), np.array([1.0]))
    chosen = portfolio.select(rng.integers(1, 9, size=(60, 4)), rng.random((60, 3)))
    assert set(chosen.selectors) == {0}


def test_a_portfolio_never_loses_the_only_undominated_point() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0.5, 1, (40, 3))
    points[17] = 0.1
    chosen = Portfolio(task_of(), 6, 0.1).select(np.arange(160).reshape(40, 4), points)
    assert (chosen.points == 0.1).all(axis=1).sum() == 1


def variables_of(layers: int, steps: int = 8) -> Variables:
    return Variables("integer", layers, np.ones(layers), np.full(layers, float(steps)), (1,) * layers)


def test_what_is_known_counts_its_hypervolume() -> None:
    rng = np.random.default_rng(0)
    genomes, points = rng.integers(1, 9, size=(30, 4)), rng.random((30, 3))
    known = Known(genomes[:10], points[:10])
    gains = known.add(genomes[5:], points[5:])
    assert known.hypervolume == pytest.approx(hypervolume(points))
    assert not gains[:5].any()
    assert known.hypervolume == pytest.approx(hypervolume(points[:10]) + gains.sum())
    assert len(known.genomes) == 30


def test_proposals_are_unknown_single_steps_that_a_smooth_landscape_rewards() -> None:
    rng = np.random.default_rng(0)
    variables = variables_of(4)

    def landscape(genomes: np.ndarray) -> np.ndarray:
        share = genomes / 8
        return np.column_stack([(1 - share.mean(axis=1)) ** 2, share @ [0.4, 0.3, 0.2, 0.1], share.prod(axis=1)])

    genomes = np.unique(rng.integers(1, 9, size=(40, 4)), axis=0)
    known = Known(genomes, landscape(genomes))
    steps = known.proposals(3, variables, rng)
    assert 0 < len(steps) <= 3
    front = genomes[non_dominated(known.points)]
    for step in steps:
        changed = np.abs(front - step)
        assert any((row > 0).sum() == 1 and row.max() <= 2 for row in changed)
        assert not (genomes == step).all(axis=1).any()
        assert np.all((step >= 1) & (step <= 8))
    assert known.add(steps, landscape(steps)).sum() > 0
    assert not len(known.proposals(0, variables, rng))
    few = Known(genomes[:3], landscape(genomes[:3]))
    assert not len(few.proposals(2, variables, rng))  # too little for a surrogate
    assert len(few.proposals(2, variables, rng, surrogate=False)) == 2
    narrow = np.column_stack([genomes, np.ones(len(genomes), dtype=genomes.dtype)])  # a layer that has one width
    limits = replace(variables_of(5), upper=np.array([8.0, 8, 8, 8, 1]))
    assert len(Known(narrow, landscape(genomes)).proposals(3, limits, rng))


def test_the_local_search_begins_inside_the_front() -> None:
    genomes = np.array([[1, 8], [2, 7], [5, 5], [7, 2], [8, 1]])
    points = np.array([[0.1, 0.9], [0.2, 0.8], [0.5, 0.5], [0.8, 0.2], [0.9, 0.1]])
    steps = Known(genomes, points).proposals(99, variables_of(2), np.random.default_rng(0), surrogate=False)
    near = np.abs(genomes[1:4, None] - steps).sum(axis=2).min(axis=0)
    assert near.max() <= 2


def test_generations_are_recorded_with_quotas_and_gains() -> None:
    task = searched("hamp[population=8]", budget=120)
    found = task.records["generations"]
    assert len(found) >= 5
    assert found[list(SELECTORS)].sum(axis=1).to_numpy() == pytest.approx(1)
    assert found["gain of local search"].sum() > 0
    gained = found["gain of variation"] + found["gain of local search"]
    assert np.diff(found.hypervolume) == pytest.approx(gained[1:])
    final = np.array([e.values for e in task.archive.evaluations]) / task.references
    assert 0 <= hypervolume(final) - found.hypervolume.iloc[-1] < 0.02  # the last generation may be cut off
    assert not searched("hamp[population=8,local=0]", budget=120).records["generations"]["gain of local search"].any()


def test_netadapt_narrows_one_layer_a_step_and_saves_what_it_should() -> None:
    task = searched("netadapt[step=0.1,decay=0.9]", budget=80)
    steps = task.records["steps"]
    assert len(steps) > 3
    saved = -np.diff(steps.resource.to_numpy(), prepend=1)
    assert np.all(saved >= steps.wanted - 1e-9)
    assert steps.wanted[0] == 0.1
    halvings = np.log2(0.9 * steps.wanted[:-1].to_numpy() / steps.wanted[1:].to_numpy())
    assert halvings == pytest.approx(np.round(halvings))
    assert halvings[0] == 0 < halvings.sum()  # at first a layer can save as much, at last none can
    assert task.archive.evaluations[0].mask == task.layout.full().digests()[0]


def test_netadapt_takes_the_widest_layers_that_save_enough() -> None:
    task = task_of()
    ladder = Ladder(task.layout, task.scores("l2"))
    method = method_of("netadapt")
    resource = lambda mask: float(task.probe("latency", mask, count=1)[0])  # noqa: E731
    widths = list(task.layout.sizes)
    dense = resource(ladder.masks([widths]))
    proposals = method._proposals(resource, ladder, widths, 0.9 * dense)  # type: ignore[attr-defined]
    assert proposals
    for wide, remains in proposals:
        changed = [layer for layer, width in enumerate(wide) if width != widths[layer]]
        assert len(changed) == 1
        assert remains <= 0.9 * dense
        wider = list(wide)
        wider[changed[0]] += 1
        assert resource(ladder.masks([wider])) > 0.9 * dense


def test_netadapt_is_deterministic_without_training() -> None:
    assert method_of("netadapt").deterministic
    assert not method_of("netadapt[tuned=5]").deterministic
    fronts = [searched("netadapt", seed=seed).archive.front_values() for seed in (0, 1)]
    assert np.array_equal(*fronts)
    assert not searched("netadapt").drawn
    assert searched("netadapt[scorer=reconstruction]").drawn


def test_netadapt_does_not_save_distortion() -> None:
    task = searched("netadapt", objectives=("error", "distortion", "latency"))
    assert len(task.archive.evaluations) > 1
    with pytest.raises(Declined, match="objective 'error' against another"):
        method_of("netadapt").search(task_of(objectives=("error", "distortion")))


def test_hamp_searches_with_one_objective() -> None:
    task = searched("hamp[scorer=l2,encoding=channel-count[step=1]]", budget=15, objectives=("error",))
    assert task.budget.spent == 15
    assert len(task.records["generations"])


def test_netadapt_needs_the_error_and_something_to_save() -> None:
    for objectives in (("error",), ("latency", "memory")):
        with pytest.raises(Declined, match="objective 'error' against another"):
            method_of("netadapt").search(task_of(objectives=objectives))
    task = searched("netadapt[resource=macs]")
    assert len(task.records["steps"]) > 0


@pytest.mark.parametrize(
    "spec",
    ["hamp[floor=0.5]", "hamp[population=2]", "hamp[local=-1]", "netadapt[step=0]", "netadapt[decay=2]"],
)
def test_bad_settings_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match=spec.partition("[")[2].partition("=")[0]):
        method_of(spec)


def test_hamp_needs_integers() -> None:
    with pytest.raises(InputError, match="must give integers"):
        method_of("hamp[encoding=mask]").search(task_of())


@pytest.mark.parametrize("spec", ["hamp", "netadapt", "netadapt[scorer=reconstruction]"])
def test_runs_on_real_digits_are_reported(spec: str, tmp_path: Path) -> None:
    study = StudyFolder(tmp_path / "study")
    study.prepare({}, {})
    settings = {"budget": 100.0, "units": "filter", "objectives": OBJECTIVES, "target": TARGET}
    [run] = plan(Registry(), [spec], ["lenet-digits"], [0], settings, "cpu", 1, lambda line: None).runs
    result = carry_out(run, study.path, ())
    assert result["status"] == "done", result
    assert result["deterministic"] == (spec == "netadapt")
    assert result["hypervolume"] > 0.3
    assert list(Records().draw(long_table(study), facts(study)))

"""The method emo-dir: the invariants of its reconstruction, its ablations, and whole runs."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import searches
from studies import study_of
from tiny import lookup

import pruneframe as pf
from pruneframe.errors import Declined, InputError
from pruneframe.search.ledger import BudgetSpent
from pruneframe.search.task import Task
from pruneframe.search.workbench import DENSE
from pruneframe.study.facts import facts
from pruneframe.study.table import long_table
from pruneframe.testing import check_method, make_task, tiny_problem
from pruneframe_plugins.emo_dir import EmoDir
from pruneframe_reports.records import Records

CUTS = "cuts=1+3"  # of the tiny network: stem, block, and what comes behind
ABLATIONS = (
    "training=0",
    "joint=pairing",
    "joint=sum",
    "crossing=false",
    "inheriting=true",
    "alpha=0",
    "detector=rest",
    "finetuning=0.2",
)


def method_of(*changes: str) -> EmoDir:
    return lookup(EmoDir, f"emo-dir[{','.join(('preset=paper', *changes))}]")


def searched(*changes: str, budget: float = 60, seed: int = 0, **problem: Any) -> Task:
    """A task after the search has ended."""
    return searches.searched(f"emo-dir[{','.join(('preset=paper', *changes))}]", budget, seed, **problem)


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("change", ["members=5", "cuts=none", *ABLATIONS])
def test_the_contract_holds(change: str, units: str) -> None:
    changes = [change] if change.startswith("cuts") else [CUTS, change]
    check_method(method_of(*changes), units)


@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
@pytest.mark.parametrize("units", ["weight", "filter"])
def test_joint_schemes_shrink_and_start_with_the_unpruned_network(units: str, batch_norm: str) -> None:
    budget = 120 if batch_norm == "frozen" else 240
    task = searched(CUTS, budget=budget, units=units, batch_norm=batch_norm)
    evaluations, schemes = task.archive.evaluations, task.records["joint schemes"]
    params = [evaluations[0].values[task.objectives.index("params")], *schemes.params[schemes.by == "ranking"]]
    assert params[0] == task.network.total_params
    assert len(params) > 3
    assert all(after < before for before, after in pairwise(params))
    assert evaluations[0].weights == DENSE
    assert all(evaluation.weights != DENSE for evaluation in evaluations[1:])


def test_a_scheme_joins_the_masks_and_weights_of_its_members(monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[tuple[str, list[tuple[Any, str]]]] = []
    assemble = Task.assemble

    def spy(task: Task, parts: Any) -> str:
        joined.append((assemble(task, parts), parts))
        return joined[-1][0]

    monkeypatch.setattr(Task, "assemble", spy)
    task = searched(CUTS, budget=120)
    bench = task._workbench
    schemes = {evaluation.weights for evaluation in task.archive.evaluations[1:]}
    assert len(schemes) > 3
    assert schemes <= {weights for weights, _ in joined}
    owners = {"stem": 0, "bn0": 0, "conv1": 1, "bn1": 1, "conv2": 1, "bn2": 1, "conv3": 3, "linear": 3}
    for weights, parts in joined:
        source = {part.start: own for part, own in parts}
        assert DENSE not in source.values()  # all members were trained
        whole = bench.state(weights)
        for name, tensor in whole.items():
            own = bench.state(source.get(owners[name.partition(".")[0]], DENSE))
            assert bool((tensor == own[name]).all()), name


@pytest.mark.parametrize("change", ["detector=linear", "detector=rest", "cuts=none", "batch=8", "images=40"])
@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
def test_every_member_is_trained(change: str, batch_norm: str) -> None:
    budget = 240 if batch_norm == "frozen" else 480  # every mask and every training costs 60 images more
    task = searched(*([] if change.startswith("cuts") else [CUTS]), change, budget=budget, batch_norm=batch_norm)
    tables = [task.records[name] for name in task.records if name.startswith("front of")]
    assert sum(map(len, tables)) > 5
    assert all(table.trained.all() for table in tables)


@pytest.mark.parametrize("units", ["weight", "filter[inner=true]"])
def test_a_trained_scheme_is_what_it_was_trained_as_when_statistics_shift(units: str) -> None:
    shown = 0
    for seed in range(4):
        task = searched(CUTS, budget=480, seed=seed, units=units, batch_norm="shifted")
        bench = task._workbench
        masks, members = task.archive.front()
        for row, member in enumerate(members):
            if member.weights != DENSE:
                shown += 1
                masked, own = bench.masked(masks[[row]], member.weights), bench.state(member.weights)
                assert all(np.allclose(masked[name], own[name], atol=1e-5) for name in own)
    assert shown > 4


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("budget", [1.1, 2, 3, 5, 8, 13])
def test_small_budgets_end_quietly_where_nothing_is_divided(budget: float, units: str) -> None:
    assert searched("cuts=none", budget=budget, units=units).budget.spent <= budget + 1e-9


@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
@pytest.mark.parametrize("change", ["detector=linear", "detector=rest", "training=0"])
def test_a_budget_below_which_nothing_is_pruned_is_refused(
    change: str, batch_norm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"^budget >= [0-9.]+ must hold for 'emo-dir'") as refused:
        searched(CUTS, change, budget=2, batch_norm=batch_norm)
    least = float(str(refused.value).split()[2])
    with pytest.raises(InputError, match=f"budget >= {least:g} must hold"):
        searched(CUTS, change, budget=0.99 * least, batch_norm=batch_norm)
    assert searched(CUTS, change, budget=1.001 * least, batch_norm=batch_norm).archive.evaluations
    monkeypatch.setattr(EmoDir, "_check_budget", lambda *given: None)
    for share in (0.5, 0.75, 0.99):
        task = searched(CUTS, change, budget=share * least, batch_norm=batch_norm)
        assert len(task.archive.evaluations) <= 1, "it could have had a pruned network"


def test_impairments_and_schemes_are_as_many_as_the_members() -> None:
    task = searched(CUTS, "training=0", budget=200)
    members = sum(len(task.records[name]) for name in task.records if name.startswith("front of"))
    assert members > 5
    assert 1 < len(task.archive.evaluations) <= 1 + members
    phases = task.records["phases"].set_index("phase").passes
    network = task.network
    # The last was searched at the network's own outputs: it is known.
    by_hand = sum(
        len(task.records[f"front of {part}"]) * network.share(start, 5)
        for start, part in (
            (0, "layer 0"),
            (1, "layers 1 to 2"),
        )
    )
    assert phases[[name for name in phases.index if name.startswith("impairments")]].sum() == pytest.approx(by_hand)


def test_one_part_is_plain_evolutionary_pruning() -> None:
    population = 8
    task = searched("cuts=none", "training=0", "least=0", f"population={population}", "generations=1", budget=40)
    plain = make_task(tiny_problem(), 40)
    with contextlib.suppress(BudgetSpent):
        lookup(pf.Method, f"nsga2[preset=textbook,population={population}]").search(plain)
    masks = [evaluation.mask for evaluation in task.archive.evaluations]
    assert masks == [evaluation.mask for evaluation in plain.archive.evaluations]
    assert len(masks) == 40


def test_pairing_pays_for_no_impairments() -> None:
    task = searched(CUTS, "joint=pairing", budget=120)
    assert not [name for name in task.records["phases"].phase if name.startswith("impairments")]
    assert len(task.archive.evaluations) > 3
    assert task.budget.spent > 0.9 * task.budget.total


def test_phases_are_recorded_and_account_for_everything_spent() -> None:
    task = searched(CUTS, "finetuning=0.2", budget=120)
    phases = task.records["phases"].set_index("phase")
    assert phases.passes.sum() + 1 == pytest.approx(task.budget.spent)  # and the unpruned network
    assert {"joint schemes", "fine-tuning"} <= set(phases.index)
    assert phases.passes["fine-tuning"] > 0.1 * task.budget.total
    assert task.budget.spent > 0.9 * task.budget.total


def test_a_network_that_cannot_be_cut_is_declined() -> None:
    with pytest.raises(Declined, match=r"parts begin and end at \[0, 1, 3, 4, 5\], but got 2"):
        searched("cuts=2")
    with pytest.raises(Declined, match="start < stop must hold"):
        searched("cuts=3+1")


def test_a_problem_without_the_error_is_declined() -> None:
    with pytest.raises(Declined, match="objective 'error'"):
        searched(objectives=("distortion", "params"))


@pytest.mark.parametrize(
    "change",
    ["training=0.8", "joining=0", "least=2", "population=2", "members=0", "images=1", "alpha=-1", "generations=0"],
)
def test_bad_settings_are_refused(change: str) -> None:
    with pytest.raises(InputError, match=change.partition("=")[0]):
        method_of(change)


def test_an_unsuitable_variation_is_an_error_before_any_cost() -> None:
    task = make_task(tiny_problem())
    with pytest.raises(InputError, match="binary"):
        method_of(CUTS, "encoding=layer-threshold", "variation=bit-flip").search(task)
    assert task.budget.spent == 0


def test_an_unknown_variation_is_an_error_before_any_cost() -> None:
    task = make_task(tiny_problem())
    with pytest.raises(InputError, match="no variation is named 'uniforn'"):
        method_of(CUTS, "variation=uniforn").search(task)
    assert task.budget.spent == 0


def test_a_run_on_real_digits_is_divided_and_reported(tmp_path: Path) -> None:
    study = study_of(tmp_path, ["emo-dir"], budget=100.0, search_images=None)
    [run] = study.runs()
    assert run.result["hypervolume"] > 0.5
    diagnostics = run.diagnostics()
    assert diagnostics is not None
    assert set(diagnostics.record) == {"phases", "front of layer 0", "front of layers 1 to 3", "joint schemes"}
    assert list(Records().draw(long_table(study), facts(study)))

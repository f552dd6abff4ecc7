"""The hierarchical method: the invariants of its reconstruction, its ablations, and whole runs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from searches import searched
from studies import study_of
from tiny import lookup

import pruneframe as pf
import pruneframe_plugins.hierarchical as module
from pruneframe.errors import Declined, InputError
from pruneframe.front import hypervolume
from pruneframe.kit.corridor import Corridor
from pruneframe.mask import Masks
from pruneframe.search.ledger import BudgetSpent
from pruneframe.search.task import Task
from pruneframe.study.facts import facts
from pruneframe.study.table import long_table
from pruneframe.testing import check_method, make_task, tiny_problem
from pruneframe_plugins.anchors import Front
from pruneframe_plugins.hierarchical import Hierarchical
from pruneframe_reports.records import Records

ABLATIONS = ("share=0", "share=1", "crossover=none", "phase2=moead", "threshold_scope=weight", "corridor=survivors")
ABLATIONS += ("schedule=success", "scorer=taylor", "mutation=block-shift", "threshold_scope=global", "guide=error")
PAPER = "hierarchical[preset=paper]"
SEEDS = st.integers(0, 2**31)


def method_of(spec: str) -> Hierarchical:
    return lookup(Hierarchical, spec)


@dataclass
class Watched:
    """A search's front after phase 1, its corridor, and the new masks that phase 2 asked for, call by call."""

    task: Task
    front: list[Masks] = field(default_factory=list)
    corridor: list[Corridor] = field(default_factory=list)
    asked: list[Masks] = field(default_factory=list)


def watched(spec: str, seed: int, patch: pytest.MonkeyPatch) -> Watched:
    """A search whose phase 2 is looked at."""
    seen = Watched(make_task(tiny_problem(), 40, seed))
    evaluate, record = seen.task.evaluate, module.record_corridor

    def spy(masks: Masks) -> np.ndarray:
        if seen.corridor:
            known = {evaluation.mask for evaluation in seen.task.archive.evaluations}
            seen.asked.append(masks[[mask not in known for mask in masks.digests()]])
        return evaluate(masks)

    def note(task: Task, front: Front, heavy: int, light: int, corridor: Corridor) -> None:
        seen.front.append(front.masks)
        seen.corridor.append(corridor)
        record(task, front, heavy, light, corridor)

    patch.setattr(seen.task, "evaluate", spy)
    patch.setattr(module, "record_corridor", note)
    with contextlib.suppress(BudgetSpent):
        method_of(spec).search(seen.task)
    return seen


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("setting", ["preset=best", "preset=paper", *ABLATIONS])
def test_the_contract_holds(setting: str, units: str) -> None:
    check_method(method_of(f"hierarchical[{setting}]" if "preset" in setting else f"{PAPER[:-1]},{setting}]"), units)


@settings(deadline=None, max_examples=6)
@given(SEEDS, st.sampled_from(["nsga2", "moead"]), st.sampled_from(["anchors", "survivors"]))
def test_every_child_lies_in_the_corridor(seed: int, algorithm: str, corridor: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        seen = watched(f"hierarchical[preset=paper,phase2={algorithm},corridor={corridor}]", seed, patch)
    asked = Masks.join(seen.asked)
    assert len(asked) > 10
    assert seen.corridor[0].holds(asked).all()


@settings(deadline=None, max_examples=6)
@given(SEEDS, st.sampled_from([PAPER, "hierarchical"]))
def test_the_final_front_weakly_dominates_phase_1s_and_the_gain_is_recorded(seed: int, preset: str) -> None:
    task = searched(preset, seed=seed)
    names = list(task.objectives)
    first, last = task.records["front of phase 1"][names].to_numpy(), task.archive.front_values()
    assert all(np.any(np.all(last <= point, axis=1)) for point in first)
    phases = task.records["phases"].set_index("phase")
    assert np.all(phases.gain >= 0)
    assert phases.loc["phase 2", "before"] == phases.loc["phase 1", "after"]
    assert phases.loc["phase 2", "after"] == pytest.approx(hypervolume(last / task.references))
    scoring = 0 if preset == PAPER else 3 * 60 / 40  # three passes over all training images, in search sets
    assert phases.passes.sum() + scoring == pytest.approx(task.budget.spent)


@settings(deadline=None, max_examples=5)
@example(937)  # phase 1's front fills the population, so that phase 2 has nothing to ask
@given(SEEDS)
def test_without_crossover_and_rate_a_child_is_its_parent(seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        seen = watched("hierarchical[preset=paper,crossover=none,rate=0,last_rate=0]", seed, patch)
    known = {*seen.corridor[0].repair(seen.front[0]).digests()}
    parents = known.union(*(start.digests() for start in seen.asked[:1]))
    assert all(set(masks.digests()) <= parents for masks in seen.asked[1:])
    assert seen.task.budget.spent < seen.task.budget.total  # nothing new can be made, so it stops by itself


@pytest.mark.parametrize("preset", ["paper", "best"])
@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
def test_it_works_for_both_units_and_batch_norms(units: str, batch_norm: str, preset: str) -> None:
    task = searched(f"hierarchical[preset={preset}]", budget=120, units=units, batch_norm=batch_norm)
    assert task.budget.left < task.prices.evaluation
    phases = ["phase 1", "phase 2"] if preset == "paper" else ["tuning", "phase 1", "phase 2"]
    assert task.records["phases"].phase.tolist() == phases


def test_phases_spend_their_shares() -> None:
    passes = searched("hierarchical[preset=paper,share=0.25]").records["phases"].set_index("phase").passes
    assert passes["phase 1"] == 10
    assert passes["phase 2"] == 30


@pytest.mark.parametrize(("share", "phase"), [(0, "phase 2"), (1, "phase 1")])
def test_a_phase_can_be_switched_off(share: int, phase: str) -> None:
    task = searched(f"hierarchical[preset=paper,share={share}]")
    assert list(task.records["phases"].phase) == [phase]
    assert task.budget.spent == task.budget.total


def test_without_phase_1_every_bit_is_free() -> None:
    record = searched("hierarchical[preset=paper,share=0]").records["corridor"].iloc[0]
    assert (record.lower, record.upper) == (0, 1)


def test_pieces_of_a_tuning_are_taken_only_when_they_lessen_the_damage() -> None:
    table = searched("hierarchical[tuning=0.5]", budget=200).records["tuning"]
    for _, pieces in table.groupby((table.images == 0).cumsum()):  # of the tuning, and of the refining
        before = pieces.iloc[0]
        for row in pieces.iloc[1:].itertuples():
            assert row.taken == (row.damage < before.damage)
            before = pieces.loc[row.Index] if row.taken else before
        assert pieces.images.iloc[1:].nunique() == 1
    assert list(table.images == 0).count(True) == 2
    assert list((table.images == 0).cumsum()).count(1) == 1 + 3  # 100 passes in pieces of at most 40


@pytest.mark.parametrize(
    "setting", ["share=1.5", "tuning=1", "temperature=0", "population=2", "last_rate=0.5", "highest=0", "generations=0"]
)
def test_bad_settings_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match=setting.partition("=")[0]):
        method_of(f"hierarchical[{setting}]")


def test_settings_that_are_not_given_are_the_presets() -> None:
    assert repr(method_of("hierarchical[preset=best,population=50]")) == "hierarchical[population=50]"
    for preset, values in module.PRESETS.items():
        settled = Hierarchical(preset=cast(Any, preset)).settled()
        assert {name: getattr(settled, name) for name in values} == values
        assert {s.name for s in Hierarchical.settings()} == {"preset", *values}


def test_an_unknown_variation_is_an_error_before_any_cost() -> None:
    task = make_task(tiny_problem())
    with pytest.raises(InputError, match="no variation is named 'uniforn'"):
        method_of("hierarchical[crossover=uniforn]").search(task)
    assert task.budget.spent == 0


def test_a_problem_without_the_error_is_declined() -> None:
    with pytest.raises(Declined, match="objective 'error'"):
        searched("hierarchical", objectives=("distortion", "params"))


def test_a_run_on_real_digits_records_its_phases(tmp_path: Path) -> None:
    study = study_of(tmp_path, ["hierarchical"], budget=200.0, search_images=200)
    [run] = study.runs()
    assert run.result["passes_spent"] == pytest.approx(200, abs=1)
    assert run.result["hypervolume"] > 0.8
    diagnostics = run.diagnostics()
    assert isinstance(diagnostics, pd.DataFrame)
    assert set(diagnostics.record) == {"tuning", "phases", "front of phase 1", "anchors", "corridor"}
    drawn = list(Records().draw(long_table(study), facts(study)))
    tables = [set(item.frame.columns) - {"method", "seed"} for item in drawn if isinstance(item, pf.Table)]
    assert tables == [
        {"phase", "passes", "before", "after", "gain"},
        {"error", "params", "kept", "anchor"},
        {"lower", "upper", "free"},
    ]
    assert [item.caption for item in drawn if isinstance(item, pf.Figure)] == [
        "lenet-digits: tuning, as recorded by the methods. One line per run, row by row.",
        "lenet-digits: front of phase 1, as recorded by the methods.",
    ]

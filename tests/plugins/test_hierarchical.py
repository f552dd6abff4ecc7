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
from tiny import lookup, registry

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

ABLATIONS = ("share=0", "share=1", "crossover=none", "phase2=moead", "threshold_scope=unit", "corridor=anchors")
ABLATIONS += ("schedule=success", "scorer=taylor", "mutation=block-shift", "threshold_scope=layer")
BEST = ("sources=cuts", "sources=tuned", "sources=trained", "sources=masks+factors", "scorers=random", "crossover=none")
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
@pytest.mark.parametrize("spec", ["hierarchical", PAPER, *ABLATIONS, *BEST])
def test_the_contract_holds(spec: str, units: str) -> None:
    preset = "paper" if spec in ABLATIONS else "best"
    check_method(method_of(spec if "hierarchical" in spec else f"hierarchical[preset={preset},{spec}]"), units)


@settings(max_examples=6)
@given(SEEDS, st.sampled_from(["nsga2", "moead"]), st.sampled_from(["anchors", "survivors"]))
def test_every_child_lies_in_the_corridor(seed: int, algorithm: str, corridor: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        seen = watched(f"hierarchical[preset=paper,phase2={algorithm},corridor={corridor}]", seed, patch)
    asked = Masks.join(seen.asked)
    assert len(asked) > 10
    assert seen.corridor[0].holds(asked).all()


@settings(max_examples=6)
@given(SEEDS)
def test_the_final_front_weakly_dominates_phase_1s_and_the_gain_is_recorded(seed: int) -> None:
    task = searched(PAPER, seed=seed)
    names = list(task.objectives)
    first, last = task.records["coarse front"][names].to_numpy(), task.archive.front_values()
    assert all(np.any(np.all(last <= point, axis=1)) for point in first)
    phases = task.records["phases"].set_index("phase")
    assert np.all(phases.gain >= 0)
    assert phases.loc["phase 2", "before"] == phases.loc["phase 1", "after"]
    assert phases.loc["phase 2", "after"] == pytest.approx(hypervolume(last / task.references))
    assert phases.passes.sum() == pytest.approx(task.budget.spent)


@settings(max_examples=6)
@given(SEEDS)
def test_what_the_sources_spent_and_gained_adds_up(seed: int) -> None:
    task = searched("hierarchical", budget=120, seed=seed)
    phases, sources = task.records["phases"].set_index("phase"), task.records["sources"]
    assert list(phases.index) == ["opening", "turns"]
    assert phases.passes.sum() == pytest.approx(task.budget.spent)
    assert sources.passes.sum() == pytest.approx(phases.loc["turns", "passes"])
    assert sources.gain.sum() == pytest.approx(phases.loc["turns", "gain"])
    assert sources.source.tolist() == list(module.SOURCES)
    assert sources.turns.min() >= 1


@settings(max_examples=6)
@given(SEEDS)
def test_the_fine_source_stays_in_the_corridor(seed: int) -> None:
    task, seen = make_task(tiny_problem(), 120, seed), list[tuple[Corridor, Masks]]()
    with pytest.MonkeyPatch.context() as patch:
        breed, corridor_of = Hierarchical._breed, Hierarchical._corridor
        corridors: list[Corridor] = []

        def corridor(self: Hierarchical, *args: Any) -> Corridor:
            corridors.append(corridor_of(self, *args))
            return corridors[-1]

        def spy(self: Hierarchical, *args: Any) -> Masks:
            children = breed(self, *args)
            seen.append((corridors[-1], children))
            return children

        patch.setattr(Hierarchical, "_corridor", corridor)
        patch.setattr(Hierarchical, "_breed", spy)
        with contextlib.suppress(BudgetSpent):
            method_of("hierarchical[corridor=anchors,sources=cuts+masks]").search(task)
    assert len(seen) >= 3
    assert all(corridor.holds(children).all() for corridor, children in seen)


@pytest.mark.parametrize("budget", [3, 20, 60, 300])
def test_a_front_stands_within_a_tenth_of_the_budget_however_small(budget: float) -> None:
    task = make_task(registry().problem("lenet-digits"), budget)
    with contextlib.suppress(BudgetSpent):
        method_of("hierarchical").search(task)
    early = [e.values for e in task.archive.evaluations if e.spent <= max(1, budget / 10)]
    assert hypervolume(np.array(early) / task.references) > 0.4
    assert task.budget.left < 1


@pytest.mark.parametrize(("budget", "dear"), [(20, []), (300, ["reconstruction"])])
def test_a_score_that_costs_too_much_is_not_asked_for(
    budget: float, dear: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, asked = make_task(registry().problem("lenet-digits"), budget), list[str]()
    scores = task.scores

    def spy(name: str) -> np.ndarray:
        asked.append(name)
        return scores(name)

    monkeypatch.setattr(task, "scores", spy)
    with contextlib.suppress(BudgetSpent):
        method_of("hierarchical[sources=cuts]").search(task)
    assert asked == ["magnitude", "lamp", *dear]


def test_a_score_that_the_units_have_not_is_left_out_and_an_unknown_one_is_an_error_before_any_cost() -> None:
    task = searched("hierarchical", units="block")
    assert task.budget.spent > 1
    task = make_task(tiny_problem())
    with pytest.raises(InputError, match="no scorer is named 'lmp'"):
        method_of("hierarchical[scorers=magnitude+lmp]").search(task)
    assert task.budget.spent == 0


@settings(max_examples=5)
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
    phases = ["phase 1", "phase 2"] if preset == "paper" else ["opening", "turns"]
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


@pytest.mark.parametrize(
    "setting", ["share=1.5", "temperature=0", "population=2", "last_rate=0.5", "highest=0", "generations=0"]
)
def test_bad_settings_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match=setting.partition("=")[0]):
        method_of(f"hierarchical[preset=paper,{setting}]")


@pytest.mark.parametrize("setting", ["sources=", "sources=cuts+thresholds", "scorers=", "tuning_rate=0"])
def test_bad_settings_of_the_best_preset_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match=setting.partition("=")[0]):
        method_of(f"hierarchical[{setting}]")


@pytest.mark.parametrize("setting", ["share=0.5", "preset=paper,sources=cuts"])
def test_a_setting_of_the_other_preset_is_refused(setting: str) -> None:
    with pytest.raises(InputError, match="is no setting of preset="):
        method_of(f"hierarchical[{setting}]")


def test_settings_that_are_not_given_are_the_presets() -> None:
    assert repr(method_of("hierarchical[preset=best,rate=0.01]")) == "hierarchical[rate=0.01]"
    for preset, values in module.PRESETS.values.items():
        settled = module.PRESETS.settled(Hierarchical(preset=cast(Any, preset)), preset)
        assert {name: getattr(settled, name) for name in values} == values
    assert {s.name for s in Hierarchical.settings()} == {"preset"}.union(*module.PRESETS.values.values())


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
    assert run.result["hypervolume"] > 0.9
    diagnostics = run.diagnostics()
    assert isinstance(diagnostics, pd.DataFrame)
    told = {"sources", "tuning", "retraining", "phases", "coarse front", "anchors", "corridor"}
    assert set(diagnostics.record) == told
    drawn = list(Records().draw(long_table(study), facts(study)))
    captions = {item.caption.partition(": ")[2].partition(",")[0] for item in drawn}
    assert captions == set(diagnostics.record)

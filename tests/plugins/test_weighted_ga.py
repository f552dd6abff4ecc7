"""The method weighted-ga: the invariants of its reconstruction, its retraining, and whole runs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import searches
from hypothesis import given
from hypothesis import strategies as st
from studies import study_of
from tiny import lookup

import pruneframe as pf
from pruneframe.errors import Declined, InputError
from pruneframe.search.task import Task
from pruneframe.search.workbench import DENSE
from pruneframe.study.facts import facts
from pruneframe.study.table import long_table
from pruneframe.testing import check_method, make_task, tiny_problem
from pruneframe_plugins.weighted_ga import COARSEST, ENDING, FINEST, LARGEST, SMALLEST, WEIGHTS, WeightedGA
from pruneframe_reports.records import Records

SMALL = ("population=6", "images=20", "every=3")


def method_of(*changes: str) -> WeightedGA:
    return lookup(WeightedGA, f"weighted-ga[{','.join(changes)}]")


def searched(*changes: str, budget: float = 80, seed: int = 0, **problem: Any) -> Task:
    """A task after the search has ended."""
    preset = () if any(change.startswith("preset") for change in changes) else ("preset=sparsity",)
    return searches.searched(f"weighted-ga[{','.join((*preset, *SMALL, *changes))}]", budget, seed, **problem)


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("change", ["preset=balanced", "fronts=3", "retraining=0", "computation=0", "scorer=taylor"])
def test_the_contract_holds(change: str, units: str) -> None:
    check_method(method_of(*SMALL, change), units)


def test_given_weights_replace_the_presets() -> None:
    assert method_of("preset=sparsity").settled().weightings == [WEIGHTS["sparsity"]]
    assert method_of("preset=computation", "size=0.7").settled().weightings == [(*WEIGHTS["computation"][:2], 0.7)]


@given(st.integers(2, 9), st.sampled_from(sorted(WEIGHTS)))
def test_a_sweep_goes_from_careful_to_bold_and_keeps_the_others_proportion(fronts: int, preset: str) -> None:
    weightings = np.array(method_of(f"fronts={fronts}", f"preset={preset}").settled().weightings)
    assert weightings.shape == (fronts, 3)
    assert np.allclose(weightings.sum(axis=1), 1)
    assert np.all(np.diff(weightings[:, 0]) < 0)
    assert weightings[[0, -1], 0] == pytest.approx([0.95, 0.2])
    _, computation, size = WEIGHTS[preset]
    assert np.allclose(weightings[:, 1] / weightings[:, 2], computation / size)


def fitness(task: Task) -> pd.DataFrame:
    return task.records["fitness"]


@pytest.mark.parametrize("fronts", [1, 3])
def test_the_elite_never_gets_worse_between_retrainings(fronts: int) -> None:
    found = fitness(searched(f"fronts={fronts}", budget=160))
    assert found.weighting.nunique() == fronts
    assert found["spent on retraining"].nunique() > 2
    for _, own in found.groupby("weighting"):
        for (_, before), (_, after) in pairwise(own.iterrows()):
            retrained = after["spent on retraining"] > before["spent on retraining"]
            assert retrained or after.fitness <= before.fitness + 1e-12


def test_the_recorded_fitness_is_the_weighted_sum() -> None:
    found = fitness(searched("preset=balanced"))
    weights = np.array(WEIGHTS["balanced"])
    assert np.allclose(found[["error", "multiply-adds kept", "parameters kept"]].to_numpy() @ weights, found.fitness)
    assert np.all(found["mean fitness"] >= found.fitness)


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_zeros_stay_zero_in_retraining(units: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train, trained = Task.train, []

    def spy(task: Task, mask: pf.Masks, *arguments: Any) -> str:
        trained.append((mask, train(task, mask, *arguments)))
        return trained[-1][1]

    monkeypatch.setattr(Task, "train", spy)
    task = searched(budget=160, units=units)
    assert len(trained) > 1
    for mask, weights in trained:
        state = task._workbench.state(weights)
        pruned = {name: ~kept for name, kept in task.network.keep(mask, 0).items()}
        assert not any(state[name][lost].any() for name, lost in pruned.items())
    assert sum(int(lost.sum()) for lost in pruned.values()) > 0  # the last elite at least


def test_retraining_takes_no_more_than_its_share() -> None:
    for share in (0.0, 0.3):
        task = searched(f"retraining={share}", "finishing=0", budget=200)
        cycles = len({e.weights for e in task.archive.evaluations} - {DENSE})
        price = 3 * 20 / task.search_images + 6 * task.prices.evaluation  # an epoch, and 6 new genomes
        assert fitness(task)["spent on retraining"].max() == pytest.approx(cycles * price)
        assert cycles * price <= share * task.budget.spent
        assert (cycles > 0) == (share > 0)


@pytest.mark.parametrize("scorer", ["magnitude", "taylor"])
@pytest.mark.parametrize("fronts", [1, 3])
@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
def test_each_weighting_ends_with_a_longer_training(
    fronts: int, batch_norm: str, scorer: str, monkeypatch: Any
) -> None:
    recipes: list[pf.Recipe] = []
    train = Task.train

    def spy(task: Task, mask: pf.Masks, weights: str, recipe: pf.Recipe) -> str:
        recipes.append(recipe)
        return train(task, mask, weights, recipe)

    monkeypatch.setattr(Task, "train", spy)
    task = searched(f"fronts={fronts}", "finishing=0.4", f"scorer={scorer}", budget=300, batch_norm=batch_norm)
    longer = [recipe for recipe in recipes if recipe.images != 20]
    assert len(longer) == fronts
    prices = task.prices
    price = 3 * 20 / task.search_images + prices.new_weights + 6 * prices.evaluation  # a retraining, and 6 new genomes
    price += 3 * 60 / task.search_images if scorer == "taylor" else 0  # its gradients on all training images
    assert fitness(task)["spent on retraining"].max() <= (len(recipes) - fronts) * price + 1e-9
    assert all(30 <= recipe.images <= 60 for recipe in longer)  # epochs as even as can be, of 60 that there are
    assert task.budget.spent > 0.99 * task.budget.total - 6 * prices.evaluation  # the last 6 genomes may be alike
    assert task.archive.evaluations[-1].weights != DENSE


@pytest.mark.parametrize("fronts", [2, 5])
def test_weightings_share_the_budget_evenly(fronts: int) -> None:
    found = fitness(searched(f"fronts={fronts}", "finishing=0", budget=200))
    last = found.groupby("weighting").passes.max().to_numpy()
    assert len(last) == fronts
    shares = np.diff(last, prepend=6)  # the first population comes before them
    assert np.all(np.abs(shares - (200 - 6) / fronts) <= 9)  # a cycle of 7.5 passes, or a generation, may not fit


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
    assert front["multiply-adds kept"].is_monotonic_increasing
    front = front.set_index("mask").loc[[member.mask for member in members]].reset_index()
    assert front["multiply-adds kept"].to_numpy() == pytest.approx(task.network.macs(masks) / task.network.total_macs)
    assert list(front["mask"]) == [member.mask for member in members]
    linear = task.network.layers[-1]
    dense = task.network.total_macs - linear.weights * linear.positions
    by_hand = (task.network.macs(masks) - masks.layer_counts()[:, -1] * linear.positions) / dense
    assert front["of convolutions"].to_numpy() == pytest.approx(by_hand)


def test_population_and_step_suit_what_a_weighting_can_pay_for() -> None:
    suited = [
        [WeightedGA("sparsity", fronts=fronts).settled().suited(budget) for budget in (20, 400, 2000, 1e5)]
        for fronts in (1, 4)
    ]
    assert [[one.population for one in row] for row in suited] == [
        [SMALLEST, 14, LARGEST, LARGEST],
        [SMALLEST, 7, 16, LARGEST],
    ]
    for row in suited:
        steps = [one.step for one in row]
        assert steps == sorted(steps, reverse=True)
        assert (steps[0], steps[-1]) == (COARSEST, FINEST)
    given_ones = WeightedGA("sparsity", population=5, step=0.7, survivors=0.3).settled().suited(400)
    assert (given_ones.population, given_ones.step, given_ones.survivors) == (5, 0.7, 0.3)
    middle = WeightedGA("sparsity", population=20, mutation=1).settled().suited(800)
    assert FINEST < middle.step < COARSEST
    generations = 800 * (1 - ENDING) / 10
    assert (1 - middle.step / 2) ** generations == pytest.approx(0.01, rel=0.5)


def test_a_problem_without_the_error_is_declined() -> None:
    with pytest.raises(Declined, match="objective 'error'"):
        searched(objectives=("distortion", "params"))


@pytest.mark.parametrize(
    "change",
    [
        "population=3",
        "survivors=1.1",
        "mutation=2",
        "fronts=0",
        "error=-1",
        "size=inf",
        "loss=-1",
        "preset=none",
        "fronts=2,error=0.5",
        "fronts=2,computation=0,size=0",
    ],
)
def test_bad_settings_are_refused(change: str) -> None:
    with pytest.raises(InputError, match=change.partition("=")[0]):
        method_of(change)


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_a_run_on_real_digits_is_retrained_and_reported(units: str, tmp_path: Path) -> None:
    spec = "weighted-ga[fronts=2,step=0.2]"
    study = study_of(tmp_path, [spec], budget=300.0, units=units, search_images=None)
    [folder] = study.runs()
    assert folder.result["hypervolume"] > 0.5
    diagnostics = folder.diagnostics()
    assert diagnostics is not None
    assert set(diagnostics.record) == {"fitness", "computation of the front"}
    assert diagnostics["spent on retraining"].max() > 0
    assert {path.stem for path in folder.weights.iterdir()} == set(folder.front()["weights"]) - {DENSE}
    [drawn] = [item for item in Records().draw(long_table(study), facts(study)) if "computation" in item.caption]
    short = isinstance(drawn, pf.Table)
    assert "of convolutions" in (drawn.frame if short else [axis.get_title(loc="left") for axis in drawn.figure.axes])


def test_scores_follow_the_weights() -> None:
    task = make_task(tiny_problem(), budget=200)
    weights = task.train(task.layout.full(), recipe=pf.Recipe(epochs=1, batch=10))
    assert np.array_equal(task.scores("magnitude"), task.scores("magnitude", DENSE))
    state = task._workbench.state(weights)
    expected = np.concatenate([state[f"{name}.weight"].abs().flatten().numpy() for name in task.layout.names])
    assert np.array_equal(task.scores("magnitude", weights), expected)

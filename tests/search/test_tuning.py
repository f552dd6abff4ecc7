"""Tuning an importance score: the same values in a better order, by the gradient alone."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from door import HERE, SEARCH, door
from tiny import load, registry

from pruneframe import Masks, Recipe, Tuning
from pruneframe.engine import pair
from pruneframe.search.journal import Journal
from pruneframe.search.ledger import BudgetSpent
from pruneframe.search.shelf import Shelf
from pruneframe.search.slopes import Slopes
from pruneframe.search.task import Task
from pruneframe.search.tuning import BLOCK, FALL, RISE, Descent, _batches, tune
from pruneframe.search.workbench import Workbench
from pruneframe.testing import tiny_problem

CPU = torch.device("cpu")


def random_scores(task: Task, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(task.layout.total).astype(np.float32)


def distortion(task: Task, scores: np.ndarray, share: float) -> float:
    keep = scores >= np.sort(scores)[round((1 - share) * len(scores))]
    return float(
        task.probe("distortion", Masks.pack(keep[None], task.layout), images="search", count=task.search_images)[0]
    )


@pytest.mark.parametrize(("units", "share"), [("weight", 0.25), ("filter", 0.5)])
@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
def test_cuts_by_a_tuned_score_change_the_outputs_less_also_on_other_images(
    units: str, batch_norm: str, share: float
) -> None:
    problem = registry().problem("lenet-digits").with_settings(units=units, batch_norm=batch_norm)
    task = door(problem, budget=1e4).task
    scores = task.scores("magnitude")
    tuned = task.tune(scores, Tuning(images=10_000, batch=50, rate=0.002, least=0.7 * share, most=1.3 * share))
    assert np.array_equal(np.sort(tuned), np.sort(scores))
    assert distortion(task, tuned, share) < 0.8 * distortion(task, scores, share)


def test_whoever_waits_hears_how_much_of_a_tuning_and_of_a_training_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, float, float]] = []
    monkeypatch.setattr("pruneframe.engine.lesson.WORK", 1)  # a step at a time
    monkeypatch.setattr(Journal, "tell", lambda self, what, share, charge, seconds: told.append((what, share, charge)))
    with Journal(tmp_path / "journal.jsonl", HERE) as journal:
        task = door(journal=journal).task
        task.tune(random_scores(task), Tuning(images=40, batch=10))
        task.train(task.layout.full(), recipe=Recipe(epochs=2, images=20, batch=10))
    tuning = [("tuning", share, pytest.approx(4 * 40 / SEARCH)) for share in (0.25, 0.5, 0.75, 1)]
    training = [("training", share, pytest.approx(3 * 2 * 20 / SEARCH)) for share in (0.25, 0.5, 0.75, 1)]
    assert told == tuning + training


def test_nothing_moves_without_a_rate() -> None:
    task = door().task
    scores = random_scores(task)
    assert np.array_equal(task.tune(scores, Tuning(images=40, batch=20, rate=0.0)), scores)


def test_at_a_rate_that_is_too_high_going_back_does_less_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def harm() -> float:
        """Of three tunings where pruning is hardly felt, and nothing is left to be gained."""
        tasks = [door(registry().problem("lenet-digits"), budget=1e4, seed=seed).task for seed in range(3)]
        tuning = Tuning(images=10_000, batch=50, rate=0.05, least=0.5, most=0.8)
        return sum(distortion(task, task.tune(task.scores("reconstruction"), tuning), 0.65) for task in tasks)

    back = harm()
    monkeypatch.setattr(Descent, "_judge", lambda self: None)
    assert back < 0.2 * harm()


def test_ranks_go_back_to_where_the_best_block_was_and_the_rate_falls() -> None:
    descent = Descent(torch.zeros(4), Tuning(momentum=0, least=0.25, most=1), np.random.default_rng(0))

    def block(away: float) -> tuple[float, set[int]]:
        """The first rank after ten steps that are so far away, and how many units they kept."""
        kept = set()
        for _ in range(BLOCK):
            kept.add(int(descent.factors().sum()))
            descent.step(torch.tensor([-1.0, 1.0, 1.0, 1.0]), away, 1.0)
        return float(descent.ranks[0]), kept

    mean = (BLOCK - 1) / 2  # of the ranks in a block that begins at 0, with the whole rate
    assert block(0.5) == (BLOCK, {1, 2, 3, 4})  # every part of the range once
    assert block(0.4) == (2 * BLOCK, {1, 2, 3, 4})
    assert block(0.4)[0] == 3 * BLOCK
    assert block(0.6)[0] == BLOCK + mean  # where the best was
    for share in (1 / FALL, RISE / FALL, RISE**2 / FALL, RISE**3 / FALL, 1):
        before = float(descent.ranks[0])
        assert block(0.4)[0] == pytest.approx(before + share * BLOCK)
    assert torch.equal(descent.found, descent.ranks)
    block(0.41)
    assert descent.found[0] == BLOCK + mean, "the last was no better"


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("kernel", [False, True])
def test_slopes_are_the_divergences_derivative_by_a_factor_before_each_unit(
    units: str, shifted: bool, kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kernel:
        monkeypatch.setattr("pruneframe.engine.trainable.SMALL", 0)
    loaded = load(tiny_problem(units))
    network, images = loaded.network, loaded.data.tensor(loaded.data.train)
    rng = np.random.default_rng(0)
    factors = torch.from_numpy((rng.random(network.layout.total) < 0.7).astype(np.float32))
    unpruned = copy.deepcopy(network.module).double()
    pruned = copy.deepcopy(unpruned)
    if shifted:
        pair(unpruned, pruned)
    state = pruned.state_dict()

    def divergence(at: torch.Tensor) -> float:
        masked = dict(state)
        for name, factor in network.spread(at).items():
            masked[name] = state[name] * factor
        wanted = F.log_softmax(unpruned(images.double()), dim=1)
        outputs = torch.func.functional_call(pruned, masked, (images.double(),))
        return float(F.kl_div(F.log_softmax(outputs, dim=1), wanted, reduction="sum", log_target=True))

    slopes = Slopes(network, loaded.data, CPU, shifted)(factors, np.arange(len(images)))[0].numpy()
    largest = float(np.abs(slopes).max())
    for unit in np.argsort(-np.abs(slopes))[:8].tolist():
        step = torch.zeros(len(factors), dtype=torch.float64)
        step[unit] = 1e-6
        expected = (divergence(factors.double() + step) - divergence(factors.double() - step)) / 2e-6
        assert slopes[unit] == pytest.approx(expected, rel=1e-3, abs=1e-4 * largest)


def test_slopes_in_bfloat16_point_the_same_way_and_shifting_statistics_stay_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pruneframe.engine.trainable.SMALL", 0)
    loaded = load(registry().problem("lenet-digits").with_settings(units="weight"))
    network = loaded.network
    factors = (torch.rand(network.layout.total, generator=torch.Generator().manual_seed(0)) < 0.6).float()

    def slopes(halves: bool, shifted: bool, first: int = 0) -> torch.Tensor:
        return Slopes(network, loaded.data, CPU, shifted, halves)(factors, np.arange(first, first + 100))[0]

    exact, rounded = slopes(False, False), slopes(True, False)
    assert not torch.equal(exact, rounded)
    moved = 1 - F.cosine_similarity(exact, rounded, dim=0)
    assert moved < 0.001
    others = slopes(False, False, 100)
    assert moved < 0.1 * (1 - F.cosine_similarity(exact, others, dim=0))  # the next images move them far more
    assert torch.equal(slopes(False, True), slopes(True, True))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    ("shifted", "halves", "rounding"), [(False, False, 1e-4), (True, True, 1e-4), (False, True, 1e-2)]
)
def test_an_unpruned_network_has_no_divergence_to_lessen(
    shifted: bool, halves: bool, rounding: float, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if halves:
        monkeypatch.setattr("pruneframe.engine.trainable.SMALL", 0)
    loaded = load(tiny_problem())
    network, rows = loaded.network, np.arange(0, 60, 2)
    slopes, everything = Slopes(network, loaded.data, CPU, shifted, halves), torch.ones(network.layout.total)
    half = (torch.arange(network.layout.total) % 2).float()
    (none, near), (some, far) = slopes(everything, rows, known), slopes(half, rows, known)
    assert none.abs().max() < rounding * some.abs().max()
    assert near < rounding * far <= rounding


@pytest.mark.parametrize("kernel", [False, True])
def test_what_is_known_of_the_unpruned_network_gives_the_same_slopes(
    kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kernel:
        monkeypatch.setattr("pruneframe.engine.trainable.SMALL", 0)
    loaded = load(tiny_problem())
    factors = (torch.arange(loaded.network.layout.total) % 2).float()
    rows = np.random.default_rng(0).permutation(60)[:37]
    (one, away), (other, as_far) = (
        Slopes(loaded.network, loaded.data, CPU)(factors, rows, known) for known in (False, True)
    )
    assert away == pytest.approx(as_far, rel=1e-4)
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(one.abs().max()))


def test_images_that_are_many_are_read_as_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(tiny_problem())
    factors, rows = (torch.arange(loaded.network.layout.total) % 2).float(), np.arange(5, 40)
    whole, _ = Slopes(loaded.network, loaded.data, CPU)(factors, rows)
    monkeypatch.setattr("pruneframe.search.slopes.WHOLE", 0)
    assert torch.equal(Slopes(loaded.network, loaded.data, CPU)(factors, rows, known=True)[0], whole)


def test_four_passes_are_charged_for_each_image_and_no_more_than_there_are() -> None:
    task = door(budget=10).task
    task.tune(random_scores(task), Tuning(images=50, batch=10))
    assert task.budget.spent == pytest.approx(4 * 50 / SEARCH)
    with pytest.raises(BudgetSpent):
        task.tune(random_scores(task), Tuning(images=60, batch=10))
    assert task.budget.spent == pytest.approx(4 * 50 / SEARCH)
    assert task.archive.evaluations == ()


def test_a_tuning_is_replayed_without_computing_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer() -> np.ndarray:
        with Journal(tmp_path / "journal.jsonl", HERE) as journal:
            task = door(journal=journal, shelf=Shelf(tmp_path / "weights")).task
            return task.tune(random_scores(task), Tuning(images=40, batch=20))

    first = answer()
    monkeypatch.setattr(Workbench, "tune", lambda *_: pytest.fail("it was computed again"))
    assert np.array_equal(answer(), first)


@pytest.mark.parametrize("shifted", [False, True])
def test_the_network_is_left_as_it_was(shifted: bool) -> None:
    loaded = load(tiny_problem())
    network = loaded.network
    before = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    scores = np.random.default_rng(0).random(network.layout.total).astype(np.float32)
    slopes = Slopes(network, loaded.data, CPU, shifted)
    tune(slopes, scores, Tuning(images=40, batch=20), np.random.default_rng(0))
    after = network.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(module.training for module in network.module.modules())
    assert not any(parameter.requires_grad for parameter in network.module.parameters())


def test_every_training_image_comes_before_any_comes_again() -> None:
    batches = list(_batches(60, 150, 7, np.random.default_rng(0)))
    assert {len(batch) for batch in batches} == {21, 22}
    seen = np.concatenate(batches).tolist()
    assert len(seen) == 150
    assert sorted(seen[:60]) == sorted(seen[60:120]) == list(range(60))
    assert len(set(seen[120:])) == 30


@pytest.mark.parametrize(
    "wrong",
    [
        {"images": 1},
        {"batch": 1},
        {"rate": -1.0},
        {"rate": 0.1, "last_rate": 0.2},
        {"momentum": 1.0},
        {"least": 0.0},
        {"least": 0.8, "most": 0.7},
        {"most": 1.1},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must hold"):
        Tuning(**wrong)  # type: ignore[arg-type]


def test_scores_must_be_one_per_unit() -> None:
    task = door().task
    with pytest.raises(ValueError, match="one per unit"):
        task.tune(random_scores(task)[:-1])
    assert task.budget.spent == 0

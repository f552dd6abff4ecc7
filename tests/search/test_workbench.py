from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from door import random_masks
from tiny import load, lookup
from torch import Tensor

from pruneframe import Candidate, Network, Objective, Recipe, Scorer, Scores
from pruneframe.engine import Engine
from pruneframe.errors import Faulty
from pruneframe.model.shrink import prove
from pruneframe.model.state import digest
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import DENSE, Workbench
from pruneframe.testing import tiny_problem


def bench(units: str = "weight", **settings: object) -> Workbench:
    return Workbench(load(tiny_problem(units, **settings)), "cpu", Shelf(None))


def test_the_dense_weights_are_a_copy_of_the_networks() -> None:
    one = bench()
    state = one.state(DENSE)
    assert digest(state) == one.network.digest
    state["linear.bias"] += 1
    assert digest(one.network.module.state_dict()) == digest(load(tiny_problem()).network.module.state_dict())


def test_candidates_know_what_objectives_ask_for() -> None:
    one = bench("filter")
    masks = random_masks(one.network.layout, 3)
    images = one.search
    for row, candidate in enumerate(one.candidates(masks, [DENSE] * 3, images)):
        assert candidate.masks.digests() == masks[[row]].digests()
        assert candidate.classes == 3
        assert candidate.labels is images.labels
        assert candidate.params == one.network.params(masks)[row]
        assert candidate.macs == one.network.macs(masks)[row]
        assert candidate.dense is one.dense(images)
        with torch.inference_mode():
            prove(torch.from_numpy(candidate.logits), candidate.shrunk(one.loaded.data.tensor(one.loaded.search)))


@dataclass(frozen=True, repr=False)
class Endless(Objective):
    name = "endless"
    value: float = float("inf")

    def measure(self, candidate: Candidate) -> float:
        return self.value

    def reference(self, dense: Candidate) -> float:
        return 1.0


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_an_objective_must_be_a_finite_number(value: float) -> None:
    one = bench()
    with pytest.raises(Faulty, match=r"endless.* must give one finite number per candidate"):
        list(one.measure(one.network.layout.full(), [DENSE], [Endless(value=value)], one.search))


def test_the_dense_candidate_is_the_network_itself_and_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench()
    dense = one.dense(one.search)
    with torch.inference_mode():
        expected = one.network.module(one.loaded.data.tensor(one.loaded.search)).numpy()
    np.testing.assert_allclose(dense.logits, expected, atol=1e-5)
    assert dense.dense is None
    assert dense.params == one.network.total_params
    monkeypatch.setattr(Engine, "logits", None)
    assert one.dense(one.search).logits is dense.logits


def test_candidates_stay_what_they_are_while_others_are_computed() -> None:
    one = bench()
    masks = random_masks(one.network.layout, 4)
    kept = list(one.candidates(masks, [DENSE] * 4, one.search))
    for row, candidate in enumerate(kept):
        alone = next(one.candidates(masks[[row]], [DENSE], one.search))
        assert np.array_equal(candidate.logits, alone.logits)


def test_a_masked_state_predicts_what_was_measured() -> None:
    for batch_norm in ("frozen", "shifted"):
        one = bench(batch_norm=batch_norm)
        mask = random_masks(one.network.layout, 1)
        module = copy.deepcopy(one.network.module)
        module.load_state_dict(one.masked(mask, DENSE))
        candidate = next(one.candidates(mask, [DENSE], one.search))
        with torch.inference_mode():
            expected = module(one.loaded.data.tensor(one.loaded.search)).numpy()
        np.testing.assert_allclose(candidate.logits, expected, atol=1e-5 * np.ptp(expected))


@pytest.mark.parametrize("name", ["train", "search"])
def test_subsets_are_stratified_and_fixed(name: str) -> None:
    one = bench()
    whole = one.loaded.data.train if name == "train" else one.loaded.search
    for count in (7, 30, 10_000):
        found = one.subset(name, count)
        wanted = whole.stratified(min(count, len(whole)))[0]
        assert np.array_equal(found.labels, wanted.labels)
        assert np.array_equal(found.tensor.numpy(), wanted.images)
        assert one.subset(name, count) is found


def test_measured_values_are_the_objectives() -> None:
    one = bench()
    masks = random_masks(one.network.layout, 2)
    objectives = [lookup(Objective, name) for name in ("params", "error")]
    values = list(one.measure(masks, [DENSE] * 2, objectives, one.search))
    for row, candidate in enumerate(one.candidates(masks, [DENSE] * 2, one.search)):
        wrong = np.mean(candidate.logits.argmax(1) != candidate.labels)
        assert values[row] == [one.network.params(masks)[row], wrong]


@dataclass(frozen=True, repr=False)
class Given(Scorer):
    """Scores that a test chooses."""

    name = "given"
    images = 20
    value: float = 1.0
    surplus: int = 0

    def score(self, network: Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Scores:
        assert images.shape == (20, 2, 6, 6)
        assert labels.shape == (20,)
        return np.full(network.layout.total + self.surplus, self.value, dtype=np.float64)


def test_scores_are_float32_over_the_units_from_training_images() -> None:
    one = bench()
    scores = one.score(Given(), np.random.default_rng(0))
    assert scores.dtype == np.float32
    assert scores.shape == (one.network.layout.total,)


@pytest.mark.parametrize("change", [{"surplus": 1}, {"surplus": -1}, {"value": float("nan")}, {"value": float("inf")}])
def test_scores_that_cannot_be_used_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(Faulty, match=r"scorer given.* must give finite scores"):
        bench().score(dataclasses.replace(Given(), **change), np.random.default_rng(0))


def test_training_is_repeatable_and_leaves_what_it_started_from_alone() -> None:
    one = bench("filter")
    mask = random_masks(one.network.layout, 1)
    before = digest(one.state(DENSE))
    recipe = Recipe(epochs=2, learning_rate=0.05, batch=16)
    first = one.train(mask, DENSE, recipe, seed=3)
    assert digest(one.train(mask, DENSE, recipe, seed=3)) == digest(first)
    assert digest(one.train(mask, DENSE, recipe, seed=4)) != digest(first)
    assert digest(one.state(DENSE)) == before == one.network.digest
    assert digest(one.network.module.state_dict()) == before


def test_training_uses_as_many_images_as_the_recipe_says(monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench()
    used: list[int] = []

    def train(module: object, images: Tensor, *arguments: object, **settings: object) -> None:
        used.append(len(images))

    monkeypatch.setattr("pruneframe.search.learner.train", train)
    for images in (None, 15, 999):
        one.train(one.network.layout.full(), DENSE, Recipe(images=images), seed=0)
    assert used == [60, 15, 60]

from __future__ import annotations

import copy
import dataclasses
import math
import types
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import torch
from door import SEARCH, TRAIN, Door, door, random_masks
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny import load

from pruneframe import Data, InputError, Masks, Recipe, Tuning
from pruneframe.errors import Declined
from pruneframe.front import non_dominated
from pruneframe.problem import Problem
from pruneframe.search import desk
from pruneframe.search.ledger import BudgetSpent, OnlyRepeats
from pruneframe.search.workbench import DENSE
from pruneframe.testing import tiny_problem

RECIPE = Recipe(epochs=1, learning_rate=0.05, batch=16)


def naive_values(door: Door, mask: Masks, weights: str = DENSE) -> tuple[float, int]:
    """Error and parameters of one candidate on the search set, with torch alone."""
    module = copy.deepcopy(door.loaded.network.module)
    module.load_state_dict(door.state(weights))
    keep = mask.unpack(0)
    if door.task.units.name == "weight":
        start, params = 0, sum(p.numel() for p in module.parameters())
        for name in mask.layout.names:
            weight = module.get_parameter(f"{name}.weight")
            part = torch.from_numpy(keep[start : start + weight.numel()].reshape(weight.shape))
            weight.mul_(part)
            start += weight.numel()
            params -= int((~part).sum())
    else:  # 5 channels around the block, 7 inside, 6 of the last convolution; what has no channels keeps one
        parts = [torch.from_numpy(part.copy())[:, None, None] for part in np.split(keep, [5, 12])]
        for end, part in zip(("bn0", "bn2", "bn1", "conv3"), (parts[0], *parts), strict=True):
            module.get_submodule(end).register_forward_hook(lambda *call, part=part: call[2] * part)
        stream, inside, last = (max(1, int(part.sum())) for part in parts)
        params = stream * (2 * 9 + 2 + 1 + 2) + inside * (1 + 2) + 2 * 9 * stream * inside  # both convolutions of it
        params += last * (stream * 9 + 1) + 3 * last + 3
    wrong = 0
    with torch.no_grad():
        for image, label in zip(door.loaded.search.images, door.loaded.search.labels, strict=True):
            wrong += int(module(torch.from_numpy(image)[None]).argmax()) != label
    return wrong / SEARCH, params


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_values_are_those_of_a_plain_torch_loop(units: str) -> None:
    behind = door(tiny_problem(units))
    layout = behind.task.layout
    masks = Masks.join([random_masks(layout, 12), layout.full(), layout.full() - layout.full()])
    values = behind.task.evaluate(masks)
    assert values.dtype == np.float64
    assert behind.task.objectives == ("error", "params")
    assert [tuple(row) for row in values] == [naive_values(behind, masks[[row]]) for row in range(14)]


def test_values_follow_the_weights_each_mask_is_asked_with() -> None:
    behind = door()
    task = behind.task
    masks = random_masks(task.layout, 4)
    ids = [task.train(masks[[0]], recipe=RECIPE), DENSE, task.train(masks[[2]], recipe=Recipe(2, 0.1))]
    chosen = [ids[0], ids[1], ids[2], ids[0]]
    values = task.evaluate(masks, chosen)
    assert [tuple(row) for row in values] == [naive_values(behind, masks[[i]], chosen[i]) for i in range(4)]
    assert np.array_equal(task.evaluate(masks, ids[0])[[0, 3]], values[[0, 3]])
    assert [evaluation.weights for evaluation in task.archive.evaluations] == chosen + [ids[0]] * 2


def test_the_columns_are_the_problems_objectives_in_its_order() -> None:
    masks = random_masks(load(tiny_problem()).network.layout, 3)
    values = door(tiny_problem(objectives=("macs", "error", "params"))).task.evaluate(masks)
    plain = door().task.evaluate(masks)
    assert np.array_equal(values[:, [1, 2]], plain)
    assert np.array_equal(values[:, 0], load(tiny_problem()).network.macs(masks))


@pytest.mark.parametrize(("batch_norm", "price"), [("frozen", 1.0), ("shifted", 1 + TRAIN / SEARCH)])
def test_every_evaluation_is_charged_its_price(batch_norm: str, price: float) -> None:
    task = door(tiny_problem(batch_norm=batch_norm)).task
    assert task.prices.evaluation == pytest.approx(price)
    task.evaluate(random_masks(task.layout, 5))
    assert task.budget.spent == pytest.approx(5 * price)
    task.evaluate(random_masks(task.layout, 0))
    assert task.budget.spent == pytest.approx(5 * price)
    assert [evaluation.spent for evaluation in task.archive.evaluations] == pytest.approx(
        [price * (i + 1) for i in range(5)]
    )


@settings(max_examples=60)
@given(
    budget=st.floats(0.1, 30),
    batches=st.lists(st.integers(0, 9), max_size=8),
    batch_norm=st.sampled_from(["frozen", "shifted"]),
)
def test_a_batch_is_answered_as_far_as_the_budget_reaches(budget: float, batches: list[int], batch_norm: str) -> None:
    task = door(tiny_problem(batch_norm=batch_norm), budget).task
    fits = math.floor((budget + 1e-9) / task.prices.evaluation)
    answered = 0
    for number, size in enumerate(batches):
        masks = random_masks(task.layout, size, number)
        assert task.affordable == fits - answered
        if answered + size > fits:
            with pytest.raises(BudgetSpent):
                task.evaluate(masks)
            answered = fits
        else:
            assert task.evaluate(masks).shape == (size, 2)
            answered += size
        assert len(task.archive.evaluations) == answered
        assert task.budget.spent == pytest.approx(answered * task.prices.evaluation)
        assert task.budget.spent <= task.budget.total + 1e-9


def test_what_was_answered_before_the_budget_ran_out_counts() -> None:
    behind = door(budget=3)
    masks = random_masks(behind.task.layout, 5)
    with pytest.raises(BudgetSpent):
        behind.task.evaluate(masks)
    found = [evaluation.values for evaluation in behind.task.archive.evaluations]
    assert found == [naive_values(behind, masks[[row]]) for row in range(3)]


def test_a_repeated_mask_is_answered_from_the_archive_and_free(computed: list[str]) -> None:
    task = door().task
    masks = random_masks(task.layout, 4)
    first = task.evaluate(masks[[0, 1, 0, 2, 1]])
    assert len(computed) == 3
    again = task.evaluate(masks[[2, 0, 3]])
    assert len(computed) == 4
    assert np.array_equal(first[[0, 1]], first[[2, 4]])
    assert np.array_equal(again[:2], first[[3, 0]])
    assert task.budget.spent == 4
    assert [evaluation.mask for evaluation in task.archive.evaluations] == masks.digests()
    weights = task.train(masks[[0]], recipe=RECIPE)
    task.evaluate(masks[[0]], weights)  # other weights: another candidate
    assert computed.count("candidate") == 5


def test_what_is_known_is_answered_when_nothing_is_left_and_takes_no_place_from_what_is_new() -> None:
    task = door(budget=4).task
    masks = random_masks(task.layout, 6)
    values = task.evaluate(masks[[0, 0, 1, 0, 2, 1]])
    assert task.affordable == 1
    assert np.array_equal(task.evaluate(masks[[2, 1, 3]])[:2], values[[4, 2]])
    assert task.affordable == 0
    assert np.array_equal(task.evaluate(masks[[1, 0]]), values[[2, 0]])
    with pytest.raises(BudgetSpent):
        task.evaluate(masks[[0, 4, 1]])
    assert (task.budget.spent, len(task.archive.evaluations)) == (4, 4)


def test_a_method_that_asks_nothing_new_ends_whatever_phase_it_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "REPEATS", 10)
    task = door().task
    masks = random_masks(task.layout, 2)
    task.evaluate(masks[[0] * 11])  # asked once, and repeated ten times
    with pytest.raises(OnlyRepeats), task.share(0.5):
        task.evaluate(masks[:1])
    task.evaluate(masks[[1, *[0] * 10]])  # the new one begins another series
    assert (task.budget.spent, task.account.repeats) == (2, 20)


def test_nothing_is_computed_for_what_does_not_fit(computed: list[str]) -> None:
    task = door(budget=2.5).task
    with pytest.raises(BudgetSpent):
        task.evaluate(random_masks(task.layout, 6))
    assert computed == ["candidate"] * 2
    with pytest.raises(BudgetSpent):
        task.train(task.layout.full(), recipe=RECIPE)
    with pytest.raises(BudgetSpent):
        task.probe("error", task.layout.full(), images="search", count=SEARCH)
    assert len(computed) == 2
    assert task.budget.spent == 2


@pytest.mark.parametrize(("name", "passes"), [("magnitude", 0), ("taylor", 3), ("snip", 3), ("random", 0)])
def test_scores_are_charged_for_the_images_they_look_at(name: str, passes: int) -> None:
    task = door().task
    scores = task.scores(name)
    assert scores.shape == (task.layout.total,)
    assert scores.dtype == np.float32
    assert task.budget.spent == pytest.approx(
        passes * TRAIN / SEARCH
    )  # each wants 1,000 images, and gets all there are
    again = task.scores(name)
    assert np.array_equal(again, scores)
    assert task.budget.spent == pytest.approx(passes * TRAIN / SEARCH)


def test_scores_that_do_not_fit_are_not_computed() -> None:
    task = door(budget=1).task
    with pytest.raises(BudgetSpent):
        task.scores("taylor")
    assert task.budget.spent == 0


def test_scores_depend_on_the_seed_alone_and_not_on_what_was_asked_before() -> None:
    one, two, other = door().task, door().task, door(seed=1).task
    two.rng.random(100)
    two.scores("taylor")
    two.evaluate(random_masks(two.layout, 2))
    assert np.array_equal(one.scores("random"), two.scores("random"))
    assert not np.array_equal(one.scores("random"), other.scores("random"))


def test_a_task_knows_whether_another_seed_would_have_drawn_otherwise() -> None:
    task = door().task
    task.scores("taylor")
    assert not task.drawn
    task.scores("random")
    assert task.drawn
    other = door().task
    other.tune(other.scores("magnitude"), Tuning(images=20, batch=10))
    assert other.drawn


def test_changing_given_scores_changes_nobody_elses() -> None:
    task = door().task
    scores = task.scores("magnitude")
    before = scores.copy()
    scores *= 0
    assert np.array_equal(task.scores("magnitude"), before)


def test_a_probe_is_charged_its_share_and_stays_out_of_the_archive() -> None:
    behind = door()
    task = behind.task
    masks = random_masks(task.layout, 3)
    values = task.probe("error", masks, count=15)
    assert values.shape == (3,)
    assert task.budget.spent == pytest.approx(3 * 15 / SEARCH)
    task.probe("distortion", masks, images="search", count=10)
    assert task.budget.spent == pytest.approx(3 * 25 / SEARCH)
    task.probe("params", masks)  # only counted
    assert task.budget.spent == pytest.approx(3 * 25 / SEARCH)
    task.probe("error", masks)  # no more images than there are
    assert task.budget.spent == pytest.approx(3 * (25 + TRAIN) / SEARCH)
    assert task.archive.evaluations == ()
    assert len(task.archive.front()[0]) == 0


def test_a_probe_measures_on_its_images() -> None:
    behind = door()
    masks = random_masks(behind.task.layout, 3)
    train = behind.loaded.data.train
    values = behind.task.probe("error", masks, count=15)
    same = dataclasses.replace(tiny_problem(), data=Data(train, train.stratified(15)[0], train))
    assert np.array_equal(values, door(same).task.evaluate(masks)[:, 0])
    searched = behind.task.probe("error", masks, images="search", count=SEARCH)
    assert np.array_equal(searched, behind.task.evaluate(masks)[:, 0])


def test_a_probe_of_several_objectives_is_charged_once() -> None:
    masks = random_masks(door().task.layout, 3)
    task, apart = door().task, door().task
    values = task.probe(("distortion", "error"), masks, count=15)
    assert np.array_equal(values, np.stack([apart.probe(name, masks, count=15) for name in ("distortion", "error")], 1))
    assert task.budget.spent == pytest.approx(apart.budget.spent / 2)


def test_a_probe_under_shifted_batch_norm_pays_for_the_statistics() -> None:
    task = door(tiny_problem(batch_norm="shifted")).task
    task.probe("error", task.layout.full(), count=10)
    assert task.budget.spent == pytest.approx((10 + TRAIN) / SEARCH)


@pytest.mark.parametrize(
    ("recipe", "images"),
    [
        (Recipe(epochs=1), TRAIN),
        (Recipe(epochs=4), TRAIN),
        (Recipe(epochs=2, images=20), 20),
        (Recipe(images=999), TRAIN),
    ],
)
def test_training_is_charged_three_passes_an_epoch(recipe: Recipe, images: int) -> None:
    task = door().task
    task.train(random_masks(task.layout, 1), recipe=recipe)
    assert task.budget.spent == pytest.approx(3 * recipe.epochs * images / SEARCH)
    assert task.archive.evaluations == ()


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_training_keeps_zeros_and_changes_the_rest(units: str) -> None:
    behind = door(tiny_problem(units))
    task = behind.task
    mask = random_masks(task.layout, 1)
    weights = task.train(mask, recipe=Recipe(epochs=2, learning_rate=0.1, weight_decay=0.1, batch=16))
    assert weights != DENSE
    trained, dense = behind.state(weights), behind.state(DENSE)
    for name, kept in task.network.keep(mask, 0).items():
        assert not trained[name][~kept].any()
        assert (trained[name][kept] != dense[name][kept]).any()
    assert tuple(task.evaluate(mask, weights)[0]) == naive_values(behind, mask, weights)


def test_training_goes_on_from_the_weights_it_is_given() -> None:
    task = door().task
    mask = random_masks(task.layout, 1)
    first = task.train(mask, recipe=RECIPE)
    second = task.train(mask, first, RECIPE)
    assert len({DENSE, first, second}) == 3
    assert task.train(mask, recipe=RECIPE) == first  # from memory, whatever came between
    assert door().task.train(mask, recipe=RECIPE) == first
    assert door(seed=1).task.train(mask, recipe=RECIPE) != first


def test_training_takes_one_mask() -> None:
    task = door().task
    with pytest.raises(ValueError, match="one mask, but got 2"):
        task.train(random_masks(task.layout, 2))
    assert task.budget.spent == 0


@pytest.mark.parametrize("recipe", [Recipe(epochs=4), Recipe(epochs=2, images=20)])
def test_training_with_the_unpruned_networks_outputs_pays_for_each_once(recipe: Recipe) -> None:
    task = door().task
    weights = task.train(mask := random_masks(task.layout, 1), DENSE, recipe, 0.5)
    spent = task.budget.spent
    assert spent == pytest.approx((3 * recipe.epochs + 1) * (recipe.images or TRAIN) / SEARCH)
    assert task.train(mask, DENSE, recipe, 0.5) == weights
    assert task.budget.spent == spent
    assert len({weights, task.train(mask, DENSE, recipe), task.train(mask, DENSE, recipe, 0.6)}) == 3


@pytest.mark.parametrize(
    ("alpha", "recipe", "told"),
    [
        (-0.1, RECIPE, "alpha must be a finite number >= 0, but got -0.1"),
        (float("nan"), RECIPE, "but got nan"),
        (float("inf"), RECIPE, "but got inf"),
        (0.1, Recipe(flip=True), "alpha must be 0 where a recipe crops or flips images, but got 0.1"),
        (0.1, Recipe(crop=1), "crops or flips"),
    ],
)
def test_what_cannot_be_learned_is_refused_and_not_charged(alpha: float, recipe: Recipe, told: str) -> None:
    task = door().task
    with pytest.raises(ValueError, match=told):
        task.train(random_masks(task.layout, 1), DENSE, recipe, alpha)
    assert task.budget.spent == 0


def test_the_dense_network_is_never_changed() -> None:
    behind = door()
    before = behind.loaded.network.digest
    state = {name: tensor.clone() for name, tensor in behind.loaded.network.module.state_dict().items()}
    mask = random_masks(behind.task.layout, 1)
    behind.task.evaluate(mask, behind.task.train(mask, recipe=RECIPE))
    for name in ("taylor", "snip", "fisher"):
        behind.task.scores(name)
    after = behind.loaded.network.module.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in state.items())
    assert behind.loaded.network.digest == before == load(tiny_problem()).network.digest


def test_masks_of_another_layout_are_refused_and_not_charged() -> None:
    task = door().task
    other = random_masks(door(tiny_problem("filter")).task.layout, 2)
    for ask in (task.evaluate, lambda masks: task.probe("error", masks)):
        with pytest.raises(ValueError, match=f"{task.layout.total} units, but got Masks of {other.layout.total}"):
            ask(other)
    with pytest.raises(ValueError, match="units"):
        task.train(other[[0]])
    assert task.budget.spent == 0


def test_as_many_weights_as_masks() -> None:
    task = door().task
    with pytest.raises(ValueError, match="got 2 for 3 masks"):
        task.evaluate(random_masks(task.layout, 3), [DENSE, DENSE])
    with pytest.raises(InputError, match="'nothing'"):
        task.evaluate(random_masks(task.layout, 1), "nothing")
    with pytest.raises(InputError, match="no objective is named 'eror'; did you mean 'error'"):
        task.probe("eror", random_masks(task.layout, 1))
    assert task.budget.spent == 0


def test_a_phase_spends_its_share_and_the_search_goes_on() -> None:
    task = door(budget=10).task
    with task.share(0.35):
        assert task.affordable == 3
        task.evaluate(random_masks(task.layout, 9))
        pytest.fail("the block must end when its share is spent")
    assert task.budget.spent == 3
    assert task.affordable == 7
    with pytest.raises(BudgetSpent), task.share(1.0):
        task.evaluate(random_masks(task.layout, 9, seed=1))
    assert task.budget.spent == 10


def test_a_method_may_decline_before_it_spends_and_not_after() -> None:
    task = door().task
    with pytest.raises(Declined, match="needs filters"):
        task.decline("needs filters")
    task.evaluate(task.layout.full())
    with pytest.raises(AssertionError):
        task.decline("too late")


def test_the_archive_is_the_front_of_what_was_evaluated() -> None:
    task = door().task
    masks = random_masks(task.layout, 30)
    values = task.evaluate(masks)
    kept, members = task.archive.front()
    chosen = np.flatnonzero(non_dominated(values))
    assert [member.number for member in members] == chosen.tolist()
    assert kept.digests() == masks[chosen].digests() == [member.mask for member in members]


def test_references_are_what_counts_as_one(computed: list[str]) -> None:
    task = door(tiny_problem(objectives=("error", "params", "macs"))).task
    network = task.network
    assert task.references.tolist() == pytest.approx([2 / 3, network.total_params, network.total_macs])
    assert computed == []
    assert task.budget.spent == 0


def test_components_are_looked_up_by_name() -> None:
    task = door().task
    assert task.encoding("mask").encoding.name == "mask"
    with pytest.raises(InputError, match="no encoding is named"):
        task.encoding("msk")
    with pytest.raises(InputError, match="no variation is named"):
        task.variation("unifrom")


def test_diagnostics_are_kept_by_name() -> None:
    task = door().task
    for length in (1, 2):
        task.record("phases", pd.DataFrame({"hypervolume": range(length)}))
    assert len(task.records["phases"]) == 2


def test_all_methods_get_the_same_random_stream_for_a_problem_and_seed() -> None:
    def draws(problem: Problem, seed: int) -> NDArray[np.float64]:
        return door(problem, seed=seed).task.rng.random(5)

    first = draws(tiny_problem(), 0)
    assert np.array_equal(draws(tiny_problem("filter", objectives=("macs",)), 0), first)
    assert not np.array_equal(draws(tiny_problem(), 1), first)
    assert not np.array_equal(draws(dataclasses.replace(tiny_problem(), name="other"), 0), first)


def reachable(root: object) -> Iterator[object]:
    """Everything that public names lead to, from public attributes, properties and the contents of collections."""
    seen: dict[int, object] = {}
    waiting = [(root, 0)]
    while waiting:
        thing, depth = waiting.pop()
        plain = (str, bytes, int, float, bool, type, types.ModuleType, types.FunctionType, types.MethodType)
        if id(thing) in seen or isinstance(thing, plain) or depth > 8:
            continue
        seen[id(thing)] = thing
        yield thing
        if isinstance(thing, np.ndarray | torch.Tensor | np.generic | pd.DataFrame | torch.dtype | torch.device):
            continue
        if isinstance(thing, dict):
            waiting += [(item, depth + 1) for pair in thing.items() for item in pair]
        elif isinstance(thing, list | tuple | set | frozenset):
            waiting += [(item, depth + 1) for item in thing]
        else:
            for name in (name for name in dir(thing) if not name.startswith("_")):
                try:
                    waiting.append((getattr(thing, name), depth + 1))
                except Exception:  # a property may not be defined for this network
                    continue


def shows(things: Iterator[object], images: NDArray[np.float32]) -> bool:
    """Whether an array among them holds the first of these images."""
    wanted = images[0].tobytes()
    arrays = (thing for thing in things if isinstance(thing, np.ndarray | torch.Tensor))
    return any(wanted in np.ascontiguousarray(array).tobytes() for array in arrays)


def test_no_images_can_be_reached_by_public_names() -> None:
    behind = door()
    task = behind.task
    weights = task.train(random_masks(task.layout, 1), recipe=RECIPE)
    task.evaluate(random_masks(task.layout, 3), weights)
    task.scores("taylor")
    data = behind.loaded.data
    for split in (data.test, data.search, data.train):
        assert not shows(reachable(task), split.images)
        assert not shows(reachable(task.part(0, 1)), split.images)
        assert shows(reachable(behind.loaded), split.images)  # the walk would find them

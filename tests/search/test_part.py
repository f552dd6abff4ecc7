"""Parts as methods see them: what they answer, what that is charged, and that it is replayed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from door import door, masks_within

import pruneframe as pf
from pruneframe.search.journal import Journal
from pruneframe.search.ledger import BudgetSpent
from pruneframe.search.shelf import Shelf
from pruneframe.search.subnetwork import REST, Predecessor
from pruneframe.testing import make_task, tiny_problem

NAMES = ("conv1", "conv2", "bn1.w", "bn1.b", "bn1.r", "bn1.n", "bn2.w", "bn2.b", "bn2.r", "bn2.n")  # of the block
BLOCK = range(1, 3)  # the layers of the residual block
RECIPE = pf.Recipe(epochs=2, learning_rate=0.05, batch=16)


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
def test_with_the_rest_as_head_a_part_has_the_error_of_the_whole_network(units, batch_norm):
    task = make_task(tiny_problem(units, batch_norm, objectives=("error", "params")), budget=200)
    masks = masks_within(task.network, 6, BLOCK)
    found = task.part(1, 3).evaluate(masks, REST)
    assert found == pytest.approx(task.evaluate(masks)[:, 0])


def test_a_part_is_charged_the_dense_share_of_its_layers_and_its_features_once():
    task = make_task(tiny_problem(), budget=200)
    part, network = task.part(1, 3), task.network
    masks = masks_within(task.network, 3, BLOCK)
    head = part.fit_head(RECIPE)
    spent = task.budget.spent
    head_share = 3 * RECIPE.epochs * 5 * 3 / network.total_macs  # 5 channels, 3 classes
    assert spent == pytest.approx((network.share(0, 3) + head_share) * 60 / 40)
    part.evaluate(masks, head)
    assert task.budget.spent - spent == pytest.approx(network.share(0, 1) + 3 * network.share(1, 3))
    part.evaluate(masks, head)  # which is known
    assert task.budget.spent - spent == pytest.approx(network.share(0, 1) + 3 * network.share(1, 3))
    assert not task.archive.evaluations
    assert network.share(0, len(network.layers)) == pytest.approx(1)


def test_training_is_charged_three_passes_of_its_layers_and_what_a_predecessor_sends():
    task = make_task(tiny_problem(), budget=400)
    part, network = task.part(1, 3), task.network
    head, mask = part.fit_head(RECIPE), masks_within(network, 1, BLOCK)
    before = Predecessor(masks_within(network, 1, range(1)))
    spent = task.budget.spent
    weights = part.fit(mask, head, RECIPE, before=before)
    price = 60 / 40 * (2 * network.share(0, 1) + 6 * network.share(1, 3))  # the target was paid for with the head
    assert task.budget.spent - spent == pytest.approx(price)
    spent = task.budget.spent
    part.fit(mask, head, RECIPE, weights, before)
    assert task.budget.spent - spent == pytest.approx(60 / 40 * 6 * network.share(1, 3))  # features are paid for once
    assert 0 <= part.evaluate(mask, head, weights)[0] <= 1


def test_no_detector_stands_behind_the_whole_network() -> None:
    task = make_task(tiny_problem())
    with pytest.raises(ValueError, match="but this is the last"):
        task.part(1, len(task.network.layers)).fit_head(RECIPE)
    assert task.budget.spent == 0


def test_parts_are_replayed_from_the_journal(tmp_path):
    problem = tiny_problem()

    def ask(journal: Journal) -> tuple[list[float], float]:
        task = door(problem, budget=300, journal=journal, shelf=Shelf(tmp_path / "shelf")).task
        part = task.part(1, 3)
        head = part.fit_head(RECIPE)
        mask = masks_within(task.network, 1, BLOCK)
        weights = part.fit(mask, head, RECIPE)
        return part.evaluate(mask, head, weights).tolist(), task.budget.spent

    with Journal(tmp_path / "journal.jsonl", {}) as journal:
        first = ask(journal)
    with Journal(tmp_path / "journal.jsonl", {}) as journal:
        count = journal.replaying
        assert count == 6  # features for the head, head, features for the training, training, features, evaluation
        assert ask(journal) == first
        assert journal.replaying == 0


def test_a_part_never_overspends():
    task = make_task(tiny_problem(), budget=1)
    part = task.part(1, 3)
    with pytest.raises(BudgetSpent):
        part.evaluate(masks_within(task.network, 1000, BLOCK))
    assert task.budget.spent <= 1 + 1e-9


def test_parts_trained_apart_are_assembled():
    task = make_task(tiny_problem(), budget=400)
    first, second = task.part(0, 1), task.part(1, 3)
    masks = [masks_within(task.network, 1, range(1)), masks_within(task.network, 1, BLOCK)]
    recipe = pf.Recipe(epochs=1, batch=16)
    ids = [part.fit(mask, REST, recipe) for part, mask in zip((first, second), masks, strict=True)]
    spent = task.budget.spent
    both = task.assemble([(first, ids[0]), (second, ids[1])])
    assert task.assemble([(first, "dense"), (second, "dense")]) == "dense"
    assert task.budget.spent == spent
    state, dense, *own = (task._workbench.state(name) for name in (both, "dense", *ids))
    for name in state:
        source = own[0] if name.startswith(("stem", "bn0")) else own[1] if name[:5] in NAMES else dense
        assert torch.equal(state[name], source[name]), name
    assert not torch.equal(state["stem.weight"], dense["stem.weight"])
    assert not torch.equal(state["conv2.weight"], dense["conv2.weight"])


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_a_parts_own_masks_are_widened_to_the_network(units):
    task = make_task(tiny_problem(units))
    for part in (task.part(0, 1), task.part(1, 3), task.part(3, 5)):
        keep = np.random.default_rng(0).random((3, part.layout.total)) < 0.5
        wide = part.widened(pf.Masks.pack(keep, part.layout))
        for row in range(3):
            whole = wide.unpack(row)
            assert np.array_equal(whole[part.units], keep[row])
            assert whole.sum() == keep[row].sum() + task.layout.total - part.layout.total
    names = [name for part in (task.part(0, 1), task.part(1, 3), task.part(3, 5)) for name in part.layout.names]
    assert tuple(names) == task.layout.names


def test_training_before_the_rest_of_the_network_is_charged_for_it():
    task = make_task(tiny_problem(), budget=400)
    part, network = task.part(1, 3), task.network
    spent = task.budget.spent
    weights = part.fit(masks_within(task.network, 1, BLOCK), REST, RECIPE)
    price = 60 / 40 * (network.share(0, 3) + 2 * 3 * network.share(1, 5))
    assert task.budget.spent - spent == pytest.approx(price)
    dense, trained = task._workbench.state("dense"), task._workbench.state(weights)
    assert not torch.equal(trained["conv1.weight"], dense["conv1.weight"])
    assert torch.equal(trained["linear.weight"], dense["linear.weight"])


def test_weights_may_differ_from_mask_to_mask():
    task = make_task(tiny_problem(), budget=400)
    part, masks = task.part(1, 3), masks_within(task.network, 2, BLOCK)
    weights = part.fit(masks[[0]], REST, RECIPE)
    both = part.evaluate(masks, REST, [weights, "dense"])
    assert both.tolist() == [part.evaluate(masks[[0]], REST, weights)[0], part.evaluate(masks[[1]])[0]]
    with pytest.raises(ValueError, match="one weights id, or one per mask"):
        part.evaluate(masks, REST, [weights])

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pruneframe as pf
from pruneframe.journal import Journal, Shelf
from pruneframe.ledger import BudgetSpent, Ledger
from pruneframe.part import REST, Predecessor
from pruneframe.registry import Registry
from pruneframe.task import Task
from pruneframe.testing import make_task, tiny_problem
from pruneframe.workbench import Workbench

RECIPE = pf.Recipe(epochs=2, learning_rate=0.05, batch=16)


def random_masks(task: Task, n: int, part: range, density: float = 0.6) -> pf.Masks:
    """Masks that remove units of some layers alone."""
    keep = np.random.default_rng(5).random((n, task.layout.total)) < density
    order = [layer.name for layer in task.network.layers]
    for name, where in zip(task.layout.names, task.layout.slices, strict=True):
        if order.index(name) not in part:
            keep[:, where] = True
    return pf.Masks.pack(keep, task.layout)


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
def test_with_the_rest_as_head_a_part_has_the_error_of_the_whole_network(units, batch_norm):
    task = make_task(tiny_problem(units, batch_norm, objectives=("error", "params")), budget=200)
    masks = random_masks(task, 6, range(1, 3))
    found = task.part(1, 3).evaluate(masks, REST)
    assert found == pytest.approx(task.evaluate(masks)[:, 0])


def test_a_part_is_charged_the_dense_share_of_its_layers_and_its_features_once():
    task = make_task(tiny_problem(), budget=200)
    part, network = task.part(1, 3), task.network
    masks = random_masks(task, 3, range(1, 3))
    head = part.fit_head(RECIPE)
    spent = task.budget.spent
    assert spent == pytest.approx(network.share(0, 3) * 60 / 40)
    part.evaluate(masks, head)
    assert task.budget.spent - spent == pytest.approx(network.share(0, 1) + 3 * network.share(1, 3))
    part.evaluate(masks, head)
    assert task.budget.spent - spent == pytest.approx(network.share(0, 1) + 6 * network.share(1, 3))
    assert not task.archive.evaluations
    assert network.share(0, len(network.layers)) == pytest.approx(1)


def test_the_error_at_a_linear_head_equals_a_plain_computation():
    task = make_task(tiny_problem(), budget=200)
    part = task.part(1, 3)
    head = part.fit_head(RECIPE)
    bench = task._workbench
    state = bench.shelf.get(head)
    net = bench.network.module
    with torch.inference_mode():
        stem = net.relu(net.bn0(net.stem(bench.search.tensor)))
        block = net.relu(net.bn2(net.conv2(net.relu(net.bn1(net.conv1(stem))))) + stem)
        logits = nn.functional.linear(block.mean(dim=(2, 3)), state["weight"], state["bias"])
    error = float((logits.argmax(1).numpy() != bench.search.labels).mean())
    assert part.evaluate(task.layout.full(), head)[0] == error


def test_cross_network_training_changes_its_part_alone_and_keeps_zeros():
    task = make_task(tiny_problem(), budget=400)
    part = task.part(1, 3)
    head, mask = part.fit_head(RECIPE), random_masks(task, 1, range(1, 3))
    before = Predecessor(random_masks(task, 1, range(0, 1)))
    spent = task.budget.spent
    weights = part.fit(mask, head, RECIPE, before=before)
    network = task.network
    price = 60 / 40 * (2 * network.share(0, 1) + 7 * network.share(1, 3))
    assert task.budget.spent - spent == pytest.approx(price)
    dense, trained = task._workbench.state("dense"), task._workbench.state(weights)
    keep = network.keep(mask, 0)
    for name in ("conv1.weight", "conv2.weight"):
        assert not torch.equal(trained[name], dense[name])
        assert not torch.any(trained[name][~keep[name]])
    for name in ("stem.weight", "conv3.weight", "linear.weight", "bn0.running_mean"):
        assert torch.equal(trained[name], dense[name])
    assert 0 <= part.evaluate(mask, head, weights)[0] <= 1


def test_cross_network_training_pulls_the_features_towards_the_unpruned_ones():
    task = make_task(tiny_problem(), budget=4000)
    part, bench = task.part(1, 3), task._workbench
    head, mask = part.fit_head(RECIPE), random_masks(task, 1, range(1, 3))
    images = bench.subset("train", 60)
    target = bench.features(task.layout.full(), "dense", images, 1, 3)

    def distance(weights: str) -> float:
        return float((bench.features(mask, weights, images, 1, 3) - target).square().mean())

    long = pf.Recipe(epochs=20, learning_rate=0.02, batch=16)
    assert distance(part.fit(mask, head, long, alpha=10.0)) < distance("dense")


def test_parts_are_replayed_from_the_journal(tmp_path):
    problem = tiny_problem()

    def ask(journal: Journal) -> tuple[list[float], float]:
        bench = Workbench(problem.load(), "cpu", Shelf(tmp_path / "shelf"))
        task = Task(bench, journal, Ledger(300), 0, Registry().component)
        part = task.part(1, 3)
        head = part.fit_head(RECIPE)
        mask = random_masks(task, 1, range(1, 3))
        weights = part.fit(mask, head, RECIPE)
        return part.evaluate(mask, head, weights).tolist(), task.budget.spent

    with Journal(tmp_path / "journal.jsonl", {}) as journal:
        first = ask(journal)
    with Journal(tmp_path / "journal.jsonl", {}) as journal:
        count = journal.replaying
        assert count == 4  # head, training, features, evaluation
        assert ask(journal) == first
        assert journal.replaying == 0


def test_a_part_never_overspends():
    task = make_task(tiny_problem(), budget=1)
    part = task.part(1, 3)
    with pytest.raises(BudgetSpent):
        part.evaluate(random_masks(task, 1000, range(1, 3)))
    assert task.budget.spent <= 1 + 1e-9


def test_a_network_is_not_cut_inside_a_block():
    with pytest.raises(pf.InputError, match="parts begin and end at"):
        make_task(tiny_problem()).part(0, 2)

"""A problem at a prompt answers as a method is answered, and its searches find what a study's runs find."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import lookup

import pruneframe as pf
from pruneframe.study.store import StudyFolder
from pruneframe.testing import make_task, tiny_problem

TINY = tiny_problem()


@pytest.fixture(scope="module")
def opened(cache: object) -> pf.OpenProblem:
    return pf.open_problem(TINY)


@pytest.fixture(scope="module")
def filters(cache: object) -> pf.OpenProblem:
    return pf.open_problem(TINY, units="filter")


def test_answers_are_those_of_a_task(opened: pf.OpenProblem) -> None:
    task = make_task(TINY)
    scores = opened.scores("magnitude")
    np.testing.assert_array_equal(scores, task.scores("magnitude"))
    masks = opened.sample(6)
    told = opened.evaluate(masks)
    assert list(told) == ["error", "params", "kept"]
    np.testing.assert_array_equal(told[["error", "params"]], task.evaluate(masks))
    np.testing.assert_array_equal(told.kept, masks.counts() / task.layout.total)
    assert told.kept[0] == 1


def test_asking_again_costs_nothing_and_gives_the_same(opened: pf.OpenProblem) -> None:
    masks = opened.keep(opened.scores(), 0.5)
    assert opened.evaluate(masks).equals(opened.evaluate(masks))
    np.testing.assert_array_equal(opened.sample(3, seed=1).bits, opened.sample(3, seed=1).bits)
    assert not np.array_equal(opened.scores("random", seed=1), opened.scores("random", seed=2))


def test_a_share_keeps_so_many_units_of_the_largest_scores(opened: pf.OpenProblem) -> None:
    scores, total = opened.scores(), opened.layout.total
    masks = opened.keep(scores, [0, 0.25, 1])
    assert list(masks.counts()) == [0, round(0.25 * total), total]
    kept = masks.unpack(1)
    assert scores[kept].min() >= scores[~kept].max()
    assert len(opened.keep(np.zeros(total), 0.5)) == 1  # also where all are alike


def test_masks_may_be_plain_arrays(opened: pf.OpenProblem) -> None:
    masks = opened.sample(3)
    keep = np.array([masks.unpack(row) for row in range(3)])
    assert opened.evaluate(keep).equals(opened.evaluate(masks))
    assert opened.evaluate(keep[0]).equals(opened.evaluate(masks[[0]]))


def test_a_mask_becomes_a_module_with_zeros_or_without(opened: pf.OpenProblem, filters: pf.OpenProblem) -> None:
    mask = filters.keep(filters.scores(), 0.5)
    masked, shrunk = filters.module(mask), filters.module(mask, shrunk=True)
    images = torch.randn(4, 2, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(masked(images), shrunk(images))
    count = lambda module: sum(p.numel() for p in module.parameters())  # noqa: E731
    assert count(shrunk) < count(masked) == count(filters.dense)
    assert all(p.requires_grad for p in shrunk.parameters())
    with pytest.raises(pf.InputError, match="units that can be taken out"):
        opened.module(opened.sample(1), shrunk=True)


@pytest.mark.parametrize("method", ["random", "magnitude"])
def test_a_search_finds_the_front_of_the_same_run_in_a_study(small: StudyFolder, method: str) -> None:
    found = pf.open_problem("lenet-digits", search_images=100).run(method, seed=1, budget=20)
    [run] = [one for one in small.runs() if (one.identity["method"], one.identity["seed"]) == (method, 1)]
    front = run.front()
    np.testing.assert_array_equal(found.masks.bits, front["bits"])
    np.testing.assert_array_equal(found.members.test.values, front["test"])
    assert found.hypervolume == run.result["hypervolume"]
    assert (found.passes, found.ended) == (run.result["passes_spent"], run.result["ended"])


def test_a_result_is_a_table_and_networks(filters: pf.OpenProblem) -> None:
    found = filters.run(lookup(pf.Method, "magnitude"), budget=8)
    table = found.table
    assert list(table) == ["number", "removed", "search_error", "test_error", "params"]
    assert table.removed.is_monotonic_decreasing
    number = int(table.number[0])
    module = found.module(number)
    data = TINY.images()
    with torch.no_grad():
        wrong = module(data.tensor(data.test)).argmax(dim=1).numpy() != data.test.labels
    assert wrong.mean() == table.test_error[0]
    with pytest.raises(pf.InputError, match=f"member must be from 0 to {len(table) - 1}, but got -1"):
        found.module(-1)


def test_the_network_of_whoever_asks_stays_as_it_was() -> None:
    problem = tiny_problem()
    module = problem.network
    assert isinstance(module, torch.nn.Module)
    module.train().requires_grad_(True)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    pf.open_problem(problem).run("random", budget=3)
    assert module.training
    assert all(p.requires_grad for p in module.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (lambda: pf.open_problem("lenet-digit"), "no problem is named 'lenet-digit'; did you mean 'lenet-digits'?"),
        (lambda: pf.open_problem(TINY, unit="filter"), "settings of a problem are .*, but got 'unit'"),
        (lambda: pf.open_problem(TINY, device="gpu"), "--device must be cpu or cuda:N, but got 'gpu'"),
        (lambda: pf.open_problem(TINY).keep([1.0], 0.5), "scores must be one per unit"),
        (lambda: pf.open_problem(TINY).keep(np.zeros(1008), 1.5), "0 <= share <= 1 must hold"),
        (lambda: pf.open_problem(TINY).run("random", budget=0), "budget > 0 must hold, but got 0"),
        (lambda: pf.open_problem(TINY).evaluate(np.ones((2, 3), bool)), "masks must be Masks, or bool"),
        (lambda: pf.open_problem(TINY).module(np.ones((2, 1008), bool)), "a module is made of one mask, but got 2"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_line(wrong: object, line: str) -> None:
    assert callable(wrong)
    total = pf.open_problem(TINY).layout.total
    assert total == 1008, "the arrays above have so many units"
    with pytest.raises(pf.InputError, match=line):
        wrong()


def test_notebooks_show_it(opened: pf.OpenProblem) -> None:
    page = opened._repr_html_()
    assert "Problem tiny" in page
    assert all(name in page for name in opened.layout.names)
    shown = opened.run("magnitude", budget=4)._repr_html_()
    assert "magnitude, seed 0" in shown
    assert "test_error" in shown

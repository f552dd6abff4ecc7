"""Sources of the hierarchical search: several scores are opened with, and each is tuned where it errs least."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from tiny import registry

from pruneframe.kit.sweep import Curve, Staircase
from pruneframe.kit.tuner import Tuner, slope
from pruneframe.mask import Masks
from pruneframe.search.task import Task
from pruneframe.testing import make_task
from pruneframe_plugins.retraining import Retraining
from pruneframe_plugins.sources import Sources, opening, pairs


@pytest.fixture
def task() -> Task:
    return make_task(registry().problem("lenet-digits"), 300)


def test_all_scores_are_cut_at_the_same_sizes_one_of_them_where_pruning_is_felt(task: Task) -> None:
    curves = opening(task, Staircase(task), ("magnitude", "lamp", "random"))
    first, *rivals = (set(curve._known) for curve in curves)
    assert len(curves) == 3
    assert rivals[0] == rivals[1] <= first


def test_a_score_alone_is_cut_and_compared_with_none(task: Task) -> None:
    (curve,) = opening(task, Staircase(task), ("magnitude",))
    assert task.budget.spent == len(curve._known)


def sources_of(task: Task, stairs: Staircase, curves: Sequence[Curve]) -> Sources:
    """Sources whose masks are their parents."""
    tuner, retraining = Tuner(task, stairs, 0.05), Retraining(task, stairs, 0.05, 0.1, ["magnitude"])
    return Sources(task, stairs, curves, lambda task, scores, parents: parents, tuner, retraining)


def test_the_score_that_errs_least_where_the_front_falls_is_tuned(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    stairs, total = Staircase(task), task.layout.total
    deep, high = (Curve(task.scores(name), task.layout, stairs) for name in ("magnitude", "lamp"))
    sizes = np.array([total // 10, total // 2, total])

    def answering(*errors: float) -> None:
        def evaluate(masks: Masks, weights: str) -> np.ndarray:
            return np.column_stack([np.array(errors) * task.references[0], masks.counts()])

        monkeypatch.setattr(task, "evaluate", evaluate)

    answering(0.5, 0.05, 0)
    deep.cut(sizes)
    answering(0.9, 0.04, 0)
    high.cut(sizes)
    asked = list[tuple[Curve, float]]()

    def piece(tuner: object, curve: Curve, passes: float, least: float, most: float) -> Curve:
        asked.append((curve, least))
        return curve

    monkeypatch.setattr("pruneframe.kit.tuner.Tuner.piece", piece)
    sources_of(task, stairs, [high, deep]).tuned()
    assert asked == [(deep, slope(stairs)[0])]


def test_nothing_is_tuned_where_trained_networks_err_less(task: Task) -> None:
    stairs = Staircase(task)
    curves = opening(task, stairs, ("magnitude",))
    sources = sources_of(task, stairs, curves)
    spent = task.budget.spent
    sources.trained()
    assert task.budget.spent > spent
    spent = task.budget.spent
    sources.tuned()
    assert task.budget.spent == spent
    assert "tuning" not in task.records


def test_couples_near_the_best_err_little_more_than_it(task: Task) -> None:
    opening(task, Staircase(task), ("magnitude", "lamp"))
    column = task.objectives.index("error")
    masks, members = task.archive.front()
    known = {digest: one.values[column] for digest, one in zip(masks.digests(), members, strict=True)}
    best, guessing = min(known.values()), task.references[column]
    errors = [[known[digest] for digest in couple.digests()] for couple in pairs(task, 40, 0.2)]
    assert max(min(couple) for couple in errors) <= best + 0.2 * (guessing - best)
    assert max(min(known[d] for d in couple.digests()) for couple in pairs(task, 40)) > best + 0.2 * (guessing - best)

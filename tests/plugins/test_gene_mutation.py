"""Mutations whose genes are layers: what they remove, and from where first."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from pruneframe.search.workbench import DENSE
from pruneframe.testing import make_task, tiny_problem
from pruneframe_plugins.gene_mutation import Mutation, lines


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_a_mutation_only_removes_and_never_empties_a_layer(units: str) -> None:
    task = make_task(tiny_problem(units))
    mutation = Mutation(task, DENSE, scorer="magnitude", chance=0.3, step=0.5, smallest=0.9)
    keep = np.ones(task.layout.total, dtype=bool)
    for _ in range(300):
        before = keep.copy()
        mutation(keep)
        assert not np.any(keep & ~before)
        assert all(part.any() for part in task.layout.split(keep))
    assert keep.sum() < 0.2 * len(keep)


def test_convolutions_lose_whole_lines_and_linear_layers_single_weights() -> None:
    task = make_task(tiny_problem())
    mutation = Mutation(task, DENSE, scorer="magnitude", chance=1, step=0.1, smallest=1)
    keep = np.ones(task.layout.total, dtype=bool)
    mutation(keep)
    scores = task.layout.split(task.scores("magnitude"))
    for name, kept, score in zip(task.layout.names, task.layout.split(keep), scores, strict=True):
        shape = task.network.parameter(f"{name}.weight").shape
        lost = ~kept.reshape(shape)
        if len(shape) == 4:
            lines = [lost.all(axis=(1, 2, 3)), lost.all(axis=(0, 2, 3))]
            assert sorted(int(line.sum()) for line in lines) == [0, 1]
            assert lost.sum() == lost.size // len(lines[0] if lines[0].any() else lines[1])
        else:
            assert 0 < lost.sum() <= np.ceil(0.1 * lost.size)
            assert score[~kept].max() <= score[kept].min()


def test_a_grouped_convolution_loses_outputs_alone() -> None:
    assert lines(nn.Conv2d(6, 8, 3)) == (8, 6, 3, 3)
    assert lines(nn.Conv2d(8, 8, 3, groups=8)) == (8, 1, -1)
    assert lines(nn.Conv2d(8, 8, 3, groups=2)) == (8, 1, -1)


def test_weak_filters_go_first_more_often() -> None:
    task = make_task(tiny_problem("filter"))
    mutation = Mutation(task, DENSE, scorer="magnitude", chance=0, step=0.1, smallest=0.9)
    norms = np.abs(task.layout.split(task.scores("magnitude"))[0])
    gone = np.zeros(len(norms))
    for _ in range(2000):
        keep = np.ones(len(norms), dtype=bool)
        mutation._remove_line(keep, norms, 1)
        gone += ~keep
    expected = 1 / norms / (1 / norms).sum()
    assert gone / gone.sum() == pytest.approx(expected, abs=0.04)

"""What must hold of every bundled problem: its splits, and the errors that a method is told."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny import load, lookup, registry
from torch import nn

from pruneframe import Data, Masks, Split
from pruneframe.problem import LoadedProblem
from pruneframe.search.journal import Journal
from pruneframe.search.ledger import Ledger
from pruneframe.search.shelf import Shelf
from pruneframe.search.task import Task
from pruneframe.search.workbench import Workbench


@functools.cache
def loaded(name: str) -> LoadedProblem:
    """Loaded once in the session: CIFAR-10 takes seconds."""
    return load(registry().problem(name))


def correct(module: nn.Module, data: Data, split: Split) -> NDArray[np.bool_]:
    """Which images a network classifies correctly, with torch alone."""
    with torch.inference_mode():
        outputs = [module(batch) for batch in data.tensor(split).split(100)]
    return torch.cat(outputs).argmax(1).numpy() == split.labels


def united(*splits: Split) -> Split:
    return Split(np.concatenate([s.images for s in splits]), np.concatenate([s.labels for s in splits]))


def sorted_images(split: Split) -> list[bytes]:
    return sorted(image.tobytes() for image in split.images)


def check_splits(data: Data, sizes: tuple[int, int, int], official: tuple[Split, Split]) -> None:
    """Sizes, class shares, and that every official image is in exactly one split."""
    train, test = official
    assert (len(data.train), len(data.search), len(data.test)) == sizes
    for part in (data.train, data.search, data.test):
        shares = [np.bincount(split.labels, minlength=10) / len(split) for split in (part, united(train, test))]
        np.testing.assert_allclose(*shares, atol=0.015)
    assert sorted_images(united(data.train, data.search, data.test)) == sorted_images(united(train, test))


def check_errors(problem: LoadedProblem, search_images: int) -> None:
    """What a method is told equals a plain loop over the search set, for the dense network and a pruned one."""
    settings = problem.problem.with_settings(search_images=search_images)
    small = LoadedProblem(settings, problem.network, problem.data)
    task = Task(Workbench(small, "cpu", Shelf(None)), Journal(None, {}), Ledger(10), 0, lookup)
    scores = task.scores("magnitude")
    masks = Masks.pack(np.array([scores >= 0, scores >= np.quantile(scores, 0.95)]), task.layout)
    found = task.evaluate(masks)
    assert len(small.search) == search_images
    for row in range(2):
        module = copy.deepcopy(small.network.module)
        for name, part in zip(task.layout.names, task.layout.split(masks.unpack(row)), strict=True):
            weight = module.get_parameter(f"{name}.weight")
            weight.mul_(torch.from_numpy(part.reshape(weight.shape)))
        assert found[row, 0] == pytest.approx(1 - correct(module, small.data, small.search).mean())
    assert found[1, 0] != found[0, 0]  # pruning 95 % of the weights shows
    assert found[1, 1] == small.network.total_params - np.count_nonzero(~masks.unpack(1))

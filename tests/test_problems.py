"""The bundled problems: what they hold, and that their networks are as good as published."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from pruneframe import Data, Masks, Split
from pruneframe.data import cifar10, digits, mnist
from pruneframe.journal import Journal, Shelf
from pruneframe.ledger import Ledger
from pruneframe.problem import LoadedProblem
from pruneframe.registry import Registry
from pruneframe.task import Task
from pruneframe.workbench import Workbench


@functools.cache
def registry() -> Registry:
    return Registry()


@functools.cache
def loaded(name: str) -> LoadedProblem:
    """Loaded once in the session: CIFAR-10 takes seconds."""
    return registry().problem(name).load()


def correct(module: nn.Module, data: Data, split: Split) -> NDArray[np.bool_]:
    """Which images a network classifies correctly, with torch alone."""
    with torch.inference_mode():
        outputs = [module(batch) for batch in data.tensor(split).split(100)]
    return torch.cat(outputs).argmax(1).numpy() == split.labels


def joined(*splits: Split) -> Split:
    return Split(np.concatenate([s.images for s in splits]), np.concatenate([s.labels for s in splits]))


def sorted_images(split: Split) -> list[bytes]:
    return sorted(image.tobytes() for image in split.images)


def check_splits(data: Data, sizes: tuple[int, int, int], official: tuple[Split, Split]) -> None:
    """Sizes, class shares, and that every official image is in exactly one split."""
    train, test = official
    assert (len(data.train), len(data.search), len(data.test)) == sizes
    for part in (data.train, data.search, data.test):
        shares = [np.bincount(split.labels, minlength=10) / len(split) for split in (part, joined(train, test))]
        np.testing.assert_allclose(*shares, atol=0.015)
    assert sorted_images(joined(data.train, data.search, data.test)) == sorted_images(joined(train, test))


def check_errors(problem: LoadedProblem, search_images: int) -> None:
    """What a method is told equals a plain loop over the search set, for the dense network and a pruned one."""
    settings = problem.problem.with_settings(search_images=search_images)
    small = LoadedProblem(settings, problem.network, problem.data)
    task = Task(Workbench(small, "cpu", Shelf(None)), Journal(None, {}), Ledger(10), 0, registry().component)
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


def test_lenet_digits_is_trained_without_a_network_to_97_percent() -> None:
    problem = loaded("lenet-digits")
    check_splits(problem.data, (1077, 360, 360), digits().stratified(1797))
    assert correct(problem.network.module, problem.data, problem.data.test).mean() >= 0.97
    assert problem.network.layout.total == 13_584
    check_errors(problem, 200)


def test_cifar10_is_split_without_leaks(real_data: Path) -> None:
    """The networks have seen all official training images: search and test are halves of the official test images."""
    data = loaded("resnet20-cifar10").data
    train, test = cifar10()
    assert data.train.digest == train.digest
    assert sorted_images(joined(data.search, data.test)) == sorted_images(test)
    assert np.bincount(data.search.labels).tolist() == np.bincount(data.test.labels).tolist() == [500] * 10


def test_resnet20_is_as_accurate_as_published_on_all_official_test_images(real_data: Path) -> None:
    problem = loaded("resnet20-cifar10")
    halves = [correct(problem.network.module, problem.data, part) for part in (problem.data.search, problem.data.test)]
    assert 100 * np.concatenate(halves).mean() == pytest.approx(91.73, abs=0.1)
    assert problem.network.total_params == 269_722


def test_resnet20s_errors_are_those_of_a_plain_loop(real_data: Path) -> None:
    check_errors(loaded("resnet20-cifar10"), 500)


def test_resnet56_is_about_as_accurate_as_published(real_data: Path) -> None:
    problem = loaded("resnet56-cifar10")
    some = problem.data.search.stratified(1000)[0]
    error = 100 - 100 * correct(problem.network.module, problem.data, some).mean()
    assert error == pytest.approx(100 - 93.39, abs=2.4)  # three standard deviations on 1,000 images
    assert problem.network.total_params == 853_018
    check_errors(problem, 100)


def test_both_resnets_see_the_same_splits(real_data: Path) -> None:
    one, two = (loaded(f"resnet{depth}-cifar10").data for depth in (20, 56))
    assert [one.train.digest, one.search.digest, one.test.digest] == [
        two.train.digest,
        two.search.digest,
        two.test.digest,
    ]
    assert loaded("resnet20-cifar10").fingerprint != loaded("resnet56-cifar10").fingerprint


@pytest.fixture
def one_thread() -> Iterator[None]:
    """On a busy machine two threads that wait for each other train slower than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.timeout(1200)  # two minutes of one core
def test_lenet_mnist_is_trained_to_99_percent(real_data: Path, one_thread: None) -> None:
    problem = loaded("lenet-mnist")
    check_splits(problem.data, (50_000, 10_000, 10_000), mnist())
    assert correct(problem.network.module, problem.data, problem.data.test).mean() >= 0.99
    assert problem.network.layout.total == 430_500
    assert len(problem.search) == 2000
    check_errors(problem, 500)

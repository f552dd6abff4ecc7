"""The ResNets on CIFAR-10: split without leaks, and as accurate as published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundled import check_errors, correct, loaded, sorted_images, united
from tiny import load

from pruneframe.model.cifar import cifar10


def test_cifar10_is_split_without_leaks(real_data: Path) -> None:
    """The networks have seen all official training images: search and test are halves of the official test images."""
    data = loaded("resnet20-cifar10").data
    train, test = cifar10()
    assert data.train.digest == train.digest
    assert sorted_images(united(data.search, data.test)) == sorted_images(test)
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


def test_instances_are_other_halves_of_the_official_test_images(real_data: Path) -> None:
    first = loaded("resnet20-cifar10")
    other = load(first.problem.with_settings(instance=1))
    assert sorted_images(united(other.data.search, other.data.test)) == sorted_images(cifar10()[1])
    assert np.bincount(other.data.search.labels).tolist() == [500] * 10
    assert other.data.train.digest == first.data.train.digest
    assert other.data.search.digest != first.data.search.digest
    assert other.network.digest == first.network.digest


def test_both_resnets_see_the_same_splits(real_data: Path) -> None:
    one, two = (loaded(f"resnet{depth}-cifar10").data for depth in (20, 56))
    assert [one.train.digest, one.search.digest, one.test.digest] == [
        two.train.digest,
        two.search.digest,
        two.test.digest,
    ]
    assert loaded("resnet20-cifar10").fingerprint != loaded("resnet56-cifar10").fingerprint

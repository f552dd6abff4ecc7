"""How official images are split: what is held out for networks trained here, and what published ones have not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bundled import sorted_images, united

from pruneframe import Split
from pruneframe_problems.datasets import CIFAR10, CIFAR100, FASHION, MNIST, TINY_IMAGENET, Dataset


def images(n: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    return Split(rng.integers(0, 256, (n, 4, 4, 1), dtype=np.uint8), np.arange(n) % 5)


TRAIN, TEST = images(60, 0), images(40, 1)
SMALL = replace(MNIST, load=lambda: (TRAIN, TEST), held_out=20)


def test_search_images_are_held_out_before_training() -> None:
    data = SMALL.held().of(3)
    assert data.test.digest == TEST.digest
    assert sorted_images(united(data.train, data.search)) == sorted_images(TRAIN)
    assert np.bincount(data.search.labels).tolist() == [4] * 5
    assert (data.mean, data.std) == (MNIST.mean, MNIST.std)
    assert data.search.digest != SMALL.held().of(4).search.digest


def test_what_a_published_network_has_seen_is_neither_search_nor_test() -> None:
    data = SMALL.halves().of(3)
    assert data.train.digest == TRAIN.digest
    assert sorted_images(united(data.search, data.test)) == sorted_images(TEST)
    assert np.bincount(data.search.labels).tolist() == np.bincount(data.test.labels).tolist() == [4] * 5
    assert (data.mean, data.std) == (MNIST.mean, MNIST.std)
    assert data.search.digest != SMALL.halves().of(4).search.digest


def test_a_publishers_statistics_take_the_place_of_the_usual_ones() -> None:
    data = SMALL.halves(mean=(0.0,), std=(1 / 255,)).of(0)
    assert (data.mean, data.std) == ((0.0,), (1 / 255,))
    np.testing.assert_allclose(data.tensor(data.test).numpy()[:, 0], data.test.images[..., 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "held_out"),
    [(MNIST, 10_000), (FASHION, 10_000), (CIFAR10, 5000), (CIFAR100, 5000), (TINY_IMAGENET, 10_000)],
)
def test_problems_say_how_many_images_are_held_out(data: Dataset, held_out: int) -> None:
    assert data.held_out == held_out
    assert f"{held_out:,} of the official training images" in data.origin
    assert data.title in data.unseen

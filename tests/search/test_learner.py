"""Learning from the unpruned network's logits beside the labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from door import random_masks
from tiny import registry

from pruneframe.engine import trainable
from pruneframe.model.recipe import Recipe
from pruneframe.model.rows import Stream
from pruneframe.model.state import digest
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import DENSE, Workbench

RECIPE = Recipe(epochs=3, learning_rate=0.01, batch=32)


def bench(folder: Path | None = None) -> Workbench:
    """Of a small LeNet."""
    return Workbench(registry().problem("lenet-digits").load(registry().component), "cpu", Shelf(folder))


def away(one: Workbench, weights: str) -> float:
    """Mean squared distance of logits on training images from the unpruned network's, under one mask."""
    images = one.subset("train", 500)
    mask = random_masks(one.network.layout, 1)
    (found,) = one.candidates(mask, [weights], images, exact=True)
    return float(np.square(found.logits - one.dense(images).logits).mean())


@pytest.mark.parametrize("small", [trainable.SMALL, 0])  # by the kernel, and by torch
def test_the_more_weight_they_have_the_nearer_the_logits_come(small: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainable, "SMALL", small)
    one = bench()
    mask = random_masks(one.network.layout, 1)
    distances = [away(one, one.shelf.put(one.train(mask, DENSE, RECIPE, 0, alpha))) for alpha in (0.0, 0.03, 0.3)]
    assert distances[0] > 1.2 * distances[1] > 1.5 * distances[2]


def test_what_is_learned_from_is_the_unpruned_network_whatever_was_trained_before() -> None:
    one, other = bench(), bench()
    masks = random_masks(one.network.layout, 2)
    weights = one.shelf.put(one.train(masks[[0]], DENSE, RECIPE, 0))
    found = one.train(masks[[1]], weights, RECIPE, 1, 0.3)
    again = one.train(masks[[1]], weights, RECIPE, 1, 0.3)  # with logits that are kept
    fresh = other.train(masks[[1]], other.shelf.put(one.state(weights)), RECIPE, 1, 0.3)
    assert digest(found) == digest(again) == digest(fresh)
    assert digest(one.train(masks[[1]], weights, RECIPE, 1, 0.2)) != digest(found)


def test_other_images_have_other_logits() -> None:
    one = bench()
    mask = random_masks(one.network.layout, 1)
    few = Recipe(epochs=3, learning_rate=0.01, batch=32, images=100)
    one.train(mask, DENSE, RECIPE, 0, 0.3)
    found = one.train(mask, DENSE, few, 0, 0.3)
    assert digest(found) == digest(bench().train(mask, DENSE, few, 0, 0.3))


def test_logits_that_are_many_are_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench()
    mask = random_masks(one.network.layout, 1)
    found = one.train(mask, DENSE, RECIPE, 0, 0.3)
    monkeypatch.setattr("pruneframe.search.spool.HELD", 0)
    other = bench(tmp_path)
    streamed = other.train(mask, DENSE, RECIPE, 0, 0.3)
    assert isinstance(other._learner._logits, Stream)
    assert all(torch.allclose(tensor, streamed[name], atol=1e-5) for name, tensor in found.items())

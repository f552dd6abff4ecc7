"""Weights that come with a plugin: loaded where they are listed and whole, refused otherwise, trained beyond them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pruneframe import Data, InputError, Problem, Recipe, Shipped, Trained
from pruneframe.model.shipped import ship
from pruneframe.model.state import digest
from pruneframe.testing import TinyNetwork, tiny_problem

RECIPE = Recipe(epochs=1, learning_rate=0.05, batch=20)


def data() -> Data:
    found = tiny_problem().data
    assert isinstance(found, Data)
    return found


def silent(line: str) -> None:
    pass


def seeded(seed: int) -> TinyNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TinyNetwork()


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shipped:
    """Instances 0 and 1."""
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    for instance in (1, 0):
        ship(tmp_path / "weights", instance, seeded(instance))
    return Shipped(tmp_path / "weights", Trained(RECIPE))


def filled(weights: Shipped | Trained, instance: int) -> str:
    module = seeded(99)
    weights.load(module, data, silent, instance)
    return digest(module.state_dict())


def test_what_is_shipped_is_loaded(shipped: Shipped) -> None:
    assert shipped.instances == [0, 1]
    assert [filled(shipped, n) for n in (0, 1)] == [digest(seeded(n).state_dict()) for n in (0, 1)]


def test_further_instances_are_trained_by_the_same_recipe(shipped: Shipped) -> None:
    assert filled(shipped, 2) == filled(Trained(RECIPE), 2) != filled(shipped, 1)


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_what_is_not_as_it_was_shipped_is_refused(damage: str, shipped: Shipped) -> None:
    path = shipped.path(1)
    if damage == "changed":
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    else:
        path.unlink()
    with pytest.raises(InputError, match=r"must have the SHA-256 .* install its package again") as caught:
        filled(shipped, 1)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    filled(shipped, 0)  # the others are as they were


def test_a_folder_without_a_list_ships_nothing(tmp_path: Path) -> None:
    assert Shipped(tmp_path, Trained(RECIPE)).instances == []


def test_a_problem_says_which_are_shipped(shipped: Shipped) -> None:
    problem = Problem("own", TinyNetwork, data(), weights=shipped)
    assert problem.instances == "any number, other training; 0-1 shipped"

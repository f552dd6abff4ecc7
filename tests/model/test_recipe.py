"""Recipes: the learning rate over time, what cannot be, and a text that tells apart all that trains differently."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pruneframe import InputError, Recipe

WARM = Recipe(epochs=10, learning_rate=0.4, warmup=2)


@pytest.mark.parametrize(
    ("recipe", "rates"),
    [
        (replace(WARM, warmup=0.0), [0.4, 0.4 * 0.8535534, 0.2, 0.4 * 0.1464466]),
        (replace(WARM, schedule="constant", warmup=0.0), [0.4, 0.4, 0.4, 0.4]),
        (replace(WARM, schedule="steps", warmup=0.0, gamma=0.5, milestones=(0.25, 0.75)), [0.4, 0.2, 0.2, 0.1]),
        (replace(WARM, schedule="constant", warmup=5.0), [0.0, 0.2, 0.4, 0.4]),
        (replace(WARM, schedule="one-cycle", warmup=5.0), [0.0, 0.2, 0.4, 0.2]),
        (replace(WARM, warmup=5.0), [0.0, 0.2, 0.4, 0.2]),
        (replace(WARM, schedule="steps", warmup=5.0), [0.0, 0.2, 0.04, 0.004]),
    ],
)
def test_the_rate_follows_its_schedule(recipe: Recipe, rates: list[float]) -> None:
    assert [recipe.rate(done) for done in (0.0, 0.25, 0.5, 0.75)] == pytest.approx(rates)


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle"])
def test_what_falls_to_zero_ends_there(schedule: Any) -> None:
    recipe = replace(WARM, schedule=schedule)
    assert recipe.rate(0.2) == pytest.approx(0.4)
    assert recipe.rate(1.0) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": "stairs"}, ["cosine", "stairs"]),
        ({"epochs": -1}, ["epochs >= 0", "-1"]),
        ({"batch": 0}, ["batch >= 1", "batch=0"]),
        ({"learning_rate": float("inf")}, ["learning_rate", "inf"]),
        ({"momentum": 1.0}, ["momentum", "1.0"]),
        ({"label_smoothing": 1.0}, ["label_smoothing", "1.0"]),
        ({"crop": -1}, ["crop >= 0", "-1"]),
        ({"warmup": -1.0}, ["0 <= warmup", "-1.0"]),
        ({"warmup": 2.0}, ["warmup < epochs", "2.0"]),
        ({"schedule": "one-cycle"}, ["warmup > 0", "0.0"]),
        ({"nesterov": True, "momentum": 0.0}, ["nesterov", "0.0"]),
        ({"milestones": (0.7, 0.5)}, ["milestones", "0.7"]),
        ({"milestones": (0.5, 1.0)}, ["milestones", "1.0"]),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        Recipe(**changes)
    assert all(word in str(refused.value) for word in words), refused.value


def test_the_text_of_a_recipe_says_what_it_does_and_not_where_it_comes_from() -> None:
    usual = "Recipe(epochs=1, learning_rate=0.01, momentum=0.9, weight_decay=0.0005, batch=128, images=None)"
    assert repr(Recipe()) == repr(Recipe(source="a paper")) == usual
    assert Recipe() == Recipe(source="a paper")
    others = [replace(WARM, **one) for one in ({"crop": 4}, {"flip": True}, {"nesterov": True}, {"gamma": 0.2})]
    assert len({repr(one) for one in [WARM, *others]}) == 5

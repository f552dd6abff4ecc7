"""Weights that are trained here: which are used, what they say, and how they are handed on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from pruneframe import Data, InputError, Recipe, Trained
from pruneframe.model.precision import multiplies_bfloat16
from pruneframe.model.sealed import read_sealed
from pruneframe.model.state import digest
from pruneframe.model.trained import Lines, Pupil
from pruneframe.testing import TinyNetwork, tiny_problem

WEIGHTS = Trained(Recipe(epochs=3, learning_rate=0.05, batch=16, source="a paper"), short=Recipe(batch=16))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pupil(instance: int = 0, problem: str = "own") -> Pupil:
    data = tiny_problem().data
    assert isinstance(data, Data)
    return Pupil(TinyNetwork(), data, instance, problem)


def learned(weights: Trained, of: Pupil | None = None) -> Path:
    return weights.learn(of or pupil(), Lines(lambda line: None, pupil(), 0))


def loaded(weights: Trained = WEIGHTS) -> tuple[str, list[str]]:
    lines: list[str] = []
    own = pupil()
    weights.load(own.module, lambda: own.data, lines.append, 0, "own")
    return digest(own.module.state_dict()), lines


def test_weights_say_what_they_are() -> None:
    state, facts = read_sealed(learned(WEIGHTS))
    own = pupil()
    own.module.load_state_dict(state)
    wrong = (own.module.eval()(own.data.tensor(own.data.search)).argmax(1).numpy() != own.data.search.labels).mean()
    assert facts["accuracy"] == pytest.approx(1 - wrong)
    assert facts["search_images"] == len(own.data.search)
    assert (facts["problem"], facts["instance"], facts["precision"], facts["device"]) == ("own", 0, "float32", "cpu")
    assert facts["recipe"]["epochs"] == 3
    assert facts["recipe"]["source"] == "a paper"
    assert facts["versions"]["torch"] == version("torch")


def test_weights_of_the_short_form_are_used_and_named_until_those_of_the_recipe_are_there() -> None:
    shortened = WEIGHTS.shortened
    assert shortened is not None
    learned(shortened)
    short, lines = loaded()
    assert ["short form, 1 epochs" in line for line in lines] == [True]
    learned(WEIGHTS)
    whole, lines = loaded()
    assert (whole != short, lines) == (True, [])
    assert shortened.shortened is None


def test_without_either_the_recipe_is_trained() -> None:
    _, lines = loaded()
    assert [line.partition(",")[0] for line in lines] == [f"training own: epoch {i}/3" for i in (1, 2, 3)]


def test_where_a_recipe_comes_from_is_no_part_of_its_weights() -> None:
    assert WEIGHTS.name(pupil()) == replace(WEIGHTS, recipe=replace(WEIGHTS.recipe, source="")).name(pupil())


def test_weights_are_found_in_a_folder_of_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    path = learned(WEIGHTS)
    (tmp_path / "given/weights").mkdir(parents=True)
    shutil.move(path, tmp_path / "given/weights" / path.name)
    monkeypatch.setenv("PRUNEFRAME_DATA", str(tmp_path / "given"))
    assert loaded()[1] == []
    assert not path.exists()


def test_weights_of_another_are_taken(tmp_path: Path) -> None:
    expected = digest(read_sealed(learned(WEIGHTS))[0])
    shutil.move(WEIGHTS.take(learned(WEIGHTS), pupil()), tmp_path / "theirs.safetensors")
    WEIGHTS.take(tmp_path / "theirs.safetensors", pupil())
    assert loaded() == (expected, [])


@pytest.mark.parametrize("other", [{"instance": 1}, {"recipe": replace(WEIGHTS.recipe, epochs=2)}])
def test_weights_of_something_else_are_refused_in_one_line(other: dict[str, Any], tmp_path: Path) -> None:
    instance = other.pop("instance", 0)
    theirs = learned(replace(WEIGHTS, **other), pupil(instance, "theirs"))
    with pytest.raises(InputError) as refused:
        WEIGHTS.take(theirs, pupil())
    words = (str(theirs), "own, instance 0", f"theirs, instance {instance}", "3 epochs")
    assert all(word in str(refused.value) for word in words), refused.value
    assert WEIGHTS.find(pupil()) is None


def test_weights_under_a_wrong_name_are_refused() -> None:
    path = learned(WEIGHTS, pupil(1))
    path.rename(path.with_name(f"{WEIGHTS.name(pupil())}.safetensors"))
    with pytest.raises(InputError, match=r"instance 0.*instance 1"):
        loaded()


def test_bfloat16_is_a_precision_of_its_own_where_it_is_multiplied() -> None:
    halves = replace(WEIGHTS, precision="bfloat16")
    state, facts = read_sealed(learned(halves))
    assert halves.name(pupil()) != WEIGHTS.name(pupil())
    assert facts["precision"] == ("bfloat16" if multiplies_bfloat16("cpu") else "float32")
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in state.values())


def test_weights_need_an_epoch() -> None:
    with pytest.raises(InputError, match="epochs >= 1"):
        Trained(Recipe(epochs=0))

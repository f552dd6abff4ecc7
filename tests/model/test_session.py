"""A training that ends after any epoch and is begun again gives the weights of one that was never interrupted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pruneframe import Data, Recipe
from pruneframe.errors import InputError
from pruneframe.files import UNFINISHED
from pruneframe.model.precision import multiplies_bfloat16
from pruneframe.model.session import Epoch, Session, read_epochs
from pruneframe.model.state import digest
from pruneframe.testing import TinyNetwork, tiny_problem

RECIPE = Recipe(epochs=4, learning_rate=0.05, batch=16, crop=1, flip=True, nesterov=True, label_smoothing=0.1)


class Ended(Exception):
    """The process is gone."""


class Ending:
    """Watches a training, and ends it after an epoch."""

    def __init__(self, after: int = 0) -> None:
        self.after, self.heard, self.lines = after, [0.0], list[str]()

    def ended(self, epoch: Epoch) -> None:
        if epoch.epoch == self.after:
            raise Ended

    def share(self, done: float) -> None:
        self.heard.append(done)

    def say(self, line: str) -> None:
        self.lines.append(line)


def data() -> Data:
    found = tiny_problem().data
    assert isinstance(found, Data)
    return found


def module(seed: int = 0) -> nn.Module:
    """With dropout, which draws from torch's own generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TinyNetwork()
    network.flatten = nn.Sequential(nn.Flatten(), nn.Dropout(0.3))
    return network


def trained(folder: Path, watch: Ending | None = None, recipe: Recipe = RECIPE, bfloat16: bool = False) -> str:
    network = module()
    Session(folder, network, data(), recipe, 3, "cpu", bfloat16).run(watch or Ending())
    assert not network.training
    return digest(network.state_dict())


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_a_training_that_ends_after_every_epoch_gives_the_same_weights(
    bfloat16: bool, momentum: float, tmp_path: Path
) -> None:
    if bfloat16 and not multiplies_bfloat16("cpu"):
        pytest.skip("this processor would emulate bfloat16")
    recipe = replace(RECIPE, momentum=momentum, nesterov=momentum > 0)
    expected = trained(tmp_path / "whole", None, recipe, bfloat16)
    for epoch in range(1, recipe.epochs + 1):
        watch = Ending(epoch)
        with pytest.raises(Ended):
            trained(tmp_path / "again", watch, recipe, bfloat16)
        assert len(watch.heard) == 1 + -(-len(data().train) // recipe.batch), "of one epoch alone"
        torch.manual_seed(epoch)  # nothing may come from what the process has drawn
    assert trained(tmp_path / "again", None, recipe, bfloat16) == expected, "also where nothing is left to train"
    whole, again = ((tmp_path / name / "epochs.jsonl").read_text().splitlines() for name in ("whole", "again"))
    told = [[{**json.loads(line), "seconds": 0} for line in lines] for lines in (whole, again)]
    assert told[0] == told[1]
    assert [line["epoch"] for line in told[0]] == [1, 2, 3, 4]


def test_a_log_has_a_line_for_each_epoch(tmp_path: Path) -> None:
    trained(tmp_path)
    first, *_, last = epochs = read_epochs(tmp_path / "epochs.jsonl")
    assert len(epochs) == RECIPE.epochs
    assert 0.05 > first.rate > last.rate == pytest.approx(0, abs=1e-9)
    assert all(one.loss > 0 and one.seconds > 0 for one in epochs)
    assert all(0 <= share <= 1 for one in epochs for share in (one.training_error, one.search_error))


def test_an_epoch_has_as_many_images_as_the_recipe_says(tmp_path: Path) -> None:
    few = replace(RECIPE, images=20)
    watch = Ending()
    assert trained(tmp_path / "few", watch, few) != trained(tmp_path / "all")
    assert len(watch.heard) == 1 + few.epochs * 2


def test_a_damaged_checkpoint_is_named_and_not_believed(tmp_path: Path) -> None:
    expected = trained(tmp_path / "whole")
    with pytest.raises(Ended):
        trained(tmp_path / "own", Ending(2))
    checkpoint = tmp_path / "own/checkpoint.safetensors"
    content = bytearray(checkpoint.read_bytes())
    content[-3] ^= 1
    checkpoint.write_bytes(content)
    watch = Ending()
    assert trained(tmp_path / "own", watch) == expected
    assert [str(checkpoint) in line and "anew" in line for line in watch.lines] == [True]


def test_a_checkpoint_of_another_recipe_is_left_aside(tmp_path: Path) -> None:
    with pytest.raises(Ended):
        trained(tmp_path, Ending(2), replace(RECIPE, learning_rate=0.1))
    watch = Ending()
    assert trained(tmp_path, watch) == trained(tmp_path / "whole")
    assert ["another recipe" in line for line in watch.lines] == [True]


def test_what_a_kill_in_the_middle_of_writing_left_is_removed(tmp_path: Path) -> None:
    torn = tmp_path / f"{UNFINISHED}abc"
    torn.write_bytes(b"half")
    trained(tmp_path)
    assert not torn.exists()


def test_a_closed_session_keeps_its_log_alone(tmp_path: Path) -> None:
    session = Session(tmp_path, module(), data(), RECIPE, 0, "cpu", False)
    session.run(Ending())
    assert session.checkpoint.exists()
    session.close()
    assert [path.name for path in tmp_path.iterdir()] == ["epochs.jsonl"]


def test_a_training_that_diverges_says_so_with_its_rate_and_keeps_no_such_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"at a learning rate of 1e\+30 it is (nan|inf) in epoch 1; a recipe with"):
        trained(tmp_path, recipe=replace(RECIPE, learning_rate=1e30))
    assert not (tmp_path / "checkpoint.safetensors").exists()

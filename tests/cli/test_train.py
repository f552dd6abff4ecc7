"""`pruneframe train`, and weights that fit a problem or do not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command import Cli, files
from safetensors.torch import save_file

from pruneframe.testing import TinyNetwork


def test_train_trains_once_unless_forced(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(cache))
    found = cli("train", "lenet-digits")
    assert found.code == 0
    assert "epoch" in found.err
    accuracies = dict(re.findall(r"^(\w+) +accuracy ([\d.]+) %", found.out, re.MULTILINE))
    assert set(accuracies) == {"search", "test"}
    assert float(accuracies["test"]) >= 97
    (weights,) = files(cache / "weights")
    before, content = weights.stat().st_mtime_ns, weights.read_bytes()
    assert "epoch" not in cli("train", "lenet-digits").err
    assert weights.stat().st_mtime_ns == before
    again = cli("train", "lenet-digits", "--force")
    assert "epoch" in again.err
    assert weights.stat().st_mtime_ns > before
    assert weights.read_bytes() == content


OWN_PROBLEM = """
import numpy as np
import pruneframe as pf
from pruneframe.testing import TinyNetwork, tiny_problem

@pf.hookimpl
def pruneframe_problems():
    weights = pf.Published("https://example.invalid/{name}")
    return [pf.Problem("own", TinyNetwork, tiny_problem().data, weights=weights)]
"""


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def checkpoint(path: Path, content: Any) -> None:
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)


def changed(**changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    state = dict(TinyNetwork().state_dict()) | changes
    return {name: tensor for name, tensor in state.items() if tensor is not None}


CHECKPOINTS: dict[str, tuple[str, Callable[[Path], object], list[str]]] = {
    "wrong hash": ("tiny-00000000.th", lambda path: checkpoint(path, changed()), ["00000000", "SHA-256"]),
    "a key missing": ("tiny.th", lambda path: checkpoint(path, changed(**{"stem.weight": None})), ["stem.weight"]),
    "a key too many": ("tiny.th", lambda path: checkpoint(path, changed(extra=torch.ones(2))), ["extra"]),
    "other shapes": ("tiny.th", lambda path: checkpoint(path, changed(**{"bn0.bias": torch.ones(9)})), ["bn0.bias"]),
    "another network": ("tiny.safetensors", lambda path: checkpoint(path, {"a": torch.ones(2)}), ["lacks"]),
    "code to unpickle": ("tiny.th", lambda path: torch.save({"a": Runs(path.parent / "ran")}, path), ["unpickling"]),
    "damaged": ("tiny.th", lambda path: path.write_bytes(b"damaged"), ["damaged"]),
    "empty": ("tiny.th", lambda path: path.write_bytes(b""), ["damaged"]),
    "damaged safetensors": ("tiny.safetensors", lambda path: path.write_bytes(b"damaged"), ["tiny.safetensors"]),
    "a list": ("tiny.th", lambda path: checkpoint(path, [torch.ones(2)]), ["state dict"]),
    "numbers": ("tiny.th", lambda path: checkpoint(path, {"state_dict": {"stem.weight": 3}}), ["state dict"]),
    "numbered": ("tiny.th", lambda path: checkpoint(path, {0: torch.ones(2)}), ["state dict"]),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_weights_that_do_not_fit(case: str, cli: Cli, here: Path, tmp_path: Path) -> None:
    name, write, words = CHECKPOINTS[case]
    weights, plugin = tmp_path / "data" / "weights", tmp_path / "own.py"
    weights.mkdir(parents=True)
    write(weights / name)
    plugin.write_text(OWN_PROBLEM.format(name=name))
    command = ("bench", "--methods", "random", "--problems", "own", "--seeds", "0", "--budget", "5", "-p", plugin)
    found = cli(*command, "--data", tmp_path / "data")
    assert found.code == 2
    assert all(word in found.error for word in [str(weights / name), *words]), found.error
    assert list(here.iterdir()) == []
    assert list(weights.iterdir()) == [weights / name]


@pytest.mark.usefixtures("undrawn")
def test_weights_that_fit_are_used(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data" / "weights").mkdir(parents=True)
    checkpoint(tmp_path / "data" / "weights" / "tiny.th", {"state_dict": changed()})
    plugin = tmp_path / "own.py"
    plugin.write_text(OWN_PROBLEM.format(name="tiny.th"))
    command = ("bench", "--methods", "random", "--problems", "own", "--seeds", "0", "--budget", "5", "-p", plugin)
    assert cli(*command, "--data", tmp_path / "data").code == 0

"""`pruneframe train`, and weights that fit a problem or do not."""

from __future__ import annotations

import hashlib
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

TRAINED_PROBLEM = """
import pruneframe as pf
from pruneframe.testing import TinyNetwork, tiny_problem

@pf.hookimpl
def pruneframe_problems():
    weights = pf.Trained(pf.Recipe(epochs=2, learning_rate=0.05, batch=20))
    return [pf.Problem("own", TinyNetwork, tiny_problem().data, weights=weights), tiny_problem()]
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str | Path, ...]:
    """What adds a problem that is trained here, and `tiny`, whose network is given; the cache is empty."""
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    (tmp_path / "own.py").write_text(TRAINED_PROBLEM)
    return "-p", tmp_path / "own.py"


def test_train_trains_once_unless_forced(cli: Cli, own: tuple[str | Path, ...], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    found = cli("train", "own", *own)
    assert found.code == 0
    assert "epoch" in found.err
    accuracies = dict(re.findall(r"^(\w+) +accuracy ([\d.]+) %", found.out, re.MULTILINE))
    assert set(accuracies) == {"search", "test"}
    (weights,) = files(cache / "weights")
    before, content = weights.stat().st_mtime_ns, weights.read_bytes()
    assert "epoch" not in cli("train", "own", *own).err
    assert weights.stat().st_mtime_ns == before
    again = cli("train", "own", "--force", *own)
    assert "epoch" in again.err
    assert weights.stat().st_mtime_ns > before
    assert weights.read_bytes() == content


def test_train_makes_instances_of_their_own(cli: Cli, own: tuple[str | Path, ...], tmp_path: Path) -> None:
    found = cli("train", "own", "--instances", "0-2", *own)
    assert found.code == 0
    assert re.findall("^own.*", found.out, re.MULTILINE) == ["own", "own, instance 1", "own, instance 2"]
    assert len({path.read_bytes() for path in files(tmp_path / "cache" / "weights")}) == 3


def test_weights_for_a_package_are_written_with_their_hashes(
    cli: Cli, own: tuple[str | Path, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "shipped"
    assert cli("train", "own", "--instances", "0", "--into", folder, *own).code == 0
    assert cli("train", "own", "--instances", "10,2", "--into", folder, *own).code == 0
    names = ["0.safetensors", "2.safetensors", "10.safetensors"]
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in names]
    assert (folder / "SHA256SUMS").read_text().splitlines() == sums
    assert not (tmp_path / "cache" / "weights").exists()
    assert set(files(folder)) == {folder / name for name in [*names, "SHA256SUMS"]}


def test_what_is_not_trained_here_is_not_written(cli: Cli, own: tuple[str | Path, ...], tmp_path: Path) -> None:
    found = cli("train", "tiny", "--into", tmp_path / "shipped", *own)
    assert (found.code, "those of tiny are not" in found.error) == (2, True)
    assert not (tmp_path / "shipped").exists()


def test_shipped_weights_are_checked_and_never_trained(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    found = cli("train", "lenet-digits", "--instances", "0,9")
    assert found.code == 0
    assert "epoch" not in found.err
    assert found.err.count("is as it was shipped") == 2
    assert all(float(share) >= 96 for share in re.findall(r"accuracy ([\d.]+) %", found.out))
    forced = cli("train", "lenet-digits", "--force")
    assert (forced.code, "--into" in forced.error) == (2, True)


def test_an_instance_that_a_problem_has_not_is_refused(cli: Cli, own: tuple[str | Path, ...]) -> None:
    for command in (("train", "tiny"), ("bench", "--methods", "random", "--problems", "tiny")):
        found = cli(*command, "--instances", "1", *own)
        assert found.code == 2
        assert all(word in found.error for word in ("instance must be 0 for 'tiny'", "got 1", "Splits")), found.error


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

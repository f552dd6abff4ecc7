"""`pruneframe train`, and weights that fit a problem or do not."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
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


MAIN = "from pruneframe.cli.main import main; main()"
SHORT_PROBLEM = """
import pruneframe as pf
from pruneframe.testing import TinyNetwork, tiny_problem

@pf.hookimpl
def pruneframe_problems():
    recipe, short = pf.Recipe(epochs=3, learning_rate=0.05, batch=20), pf.Recipe(learning_rate=0.05, batch=20)
    return [pf.Problem("own", TinyNetwork, tiny_problem().data, weights=pf.Trained(recipe, short)), tiny_problem()]
"""


@pytest.fixture
def shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str | Path, ...]:
    """What adds a problem whose recipe has a short form, and `tiny`; the cache is empty."""
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    (tmp_path / "shortened.py").write_text(SHORT_PROBLEM)
    return "-p", tmp_path / "shortened.py"


def test_a_training_says_what_it_made_and_leaves_its_log_and_curves(
    cli: Cli, shortened: tuple[str | Path, ...]
) -> None:
    (told,) = json.loads(cli("train", "own", "--short", "--json", *shortened).out)
    assert (told["problem"], told["instance"], told["recipe"]["epochs"]) == ("own", 0, 1)
    assert told["accuracy"] == pytest.approx(told["search"]["accuracy"])
    assert told["sha256"] == hashlib.sha256(Path(told["weights"]).read_bytes()).hexdigest()
    assert [json.loads(line)["epoch"] for line in Path(told["log"]).read_text().splitlines()] == [1]
    assert Path(told["curves"]).read_bytes().startswith(b"%PDF")
    assert {path.name for path in Path(told["log"]).parent.iterdir()} == {"curves.pdf", "epochs.jsonl", "lock"}
    whole = cli("train", "own", *shortened)
    assert whole.err.count("epoch") == 3
    assert "trained 3 epochs, convolutions and products in float32" in whole.out


def test_weights_are_handed_on_as_a_file(cli: Cli, shortened: tuple[str | Path, ...], tmp_path: Path) -> None:
    (told,) = json.loads(cli("train", "own", "--json", *shortened).out)
    theirs = tmp_path / "theirs.safetensors"
    Path(told["weights"]).rename(theirs)
    taken = cli("train", "own", "--from", theirs, *shortened)
    assert (taken.code, "epoch 1/" in taken.err) == (0, False)
    assert told["sha256"] in taken.out
    for refused, words in (
        (("own", "--from", theirs, "--short"), "3 epochs"),
        (("tiny", "--from", theirs), "those of tiny are not"),
        (("lenet-digits", "--from", theirs), "comes with its weights"),
        (("own", "--from", theirs, "--force"), "--from takes"),
        (("tiny", "--short"), "tiny has none"),
        (("own", "--device", "cuda"), "cpu or cuda:N"),
    ):
        found = cli("train", *refused, *shortened)
        assert (found.code, words in found.error) == (2, True), found.error


@pytest.mark.slow
def test_ten_kills_at_any_moment_give_the_weights_of_no_kill(tmp_path: Path) -> None:
    """And each loses at most the epoch that it interrupts."""
    found, logs = [], []
    for kills in (0, 10):
        cache = tmp_path / str(kills)
        command = [sys.executable, "-c", MAIN, "train", "lenet-digits", "--instances", "10"]
        delays, done = np.random.default_rng(0), 0
        for _ in range(kills):
            process = subprocess.Popen(
                command, env=os.environ | {"PRUNEFRAME_CACHE": str(cache)}, stderr=subprocess.DEVNULL
            )
            while process.poll() is None and lines(cache) <= done:
                time.sleep(0.002)
            time.sleep(delays.uniform(0, 0.1))
            process.kill()
            assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
            assert lines(cache) > done
            done = lines(cache)
        ended = subprocess.run(
            command, env=os.environ | {"PRUNEFRAME_CACHE": str(cache)}, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr
        assert (f"going on behind epoch {done}" in ended.stderr) == (kills > 0)
        assert ended.stderr.count("training lenet-digits: epoch") == 20 - done
        (weights,) = files(cache / "weights")
        found.append(weights.read_bytes())
        logs.append(lines(cache))
    assert found[0] == found[1]
    assert logs == [20, 20]


def lines(cache: Path) -> int:
    """Epochs that the log in a cache tells of."""
    return sum(len(path.read_text().splitlines()) for path in cache.glob("training/*/epochs.jsonl"))

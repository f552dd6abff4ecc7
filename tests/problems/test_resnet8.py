"""ResNet-8 of MLPerf Tiny: as accurate as measured, and its file made from one in Keras' layout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundled import check_errors, correct, loaded
from safetensors.numpy import load_file

from pruneframe import Given
from pruneframe.model.fetch import find
from pruneframe.model.weights import sha256
from pruneframe_problems.resnet8 import pruneframe_problems

SCRIPT = Path(__file__).parents[2] / "examples/resnet8_weights.py"
KINDS = {"conv": "conv2d", "shortcut": "conv2d", "bn": "batch_normalization", "linear": "dense"}
ORDER = ("conv1", "bn1", *(f"block1.{layer}" for layer in ("conv1", "bn1", "conv2", "bn2")))
ORDER += tuple(f"block{i}.{layer}" for i in (2, 3) for layer in ("conv1", "bn1", "conv2", "bn2", "shortcut"))
NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def test_resnet8_is_as_accurate_as_measured_and_not_perfect_on_training_images(real_data: Path) -> None:
    problem = loaded("resnet8-cifar10")
    module, data = problem.network.module, problem.data
    halves = [correct(module, data, part) for part in (data.search, data.test)]
    assert 100 * np.concatenate(halves).mean() == pytest.approx(87.21, abs=0.1)
    some = data.train.stratified(2000)[0]
    assert 100 * correct(module, data, some).mean() == pytest.approx(92.7, abs=1.2)  # two standard deviations
    check_errors(problem, 500)


def keras_name(layer: str, counts: dict[str, int]) -> str:
    """As Keras names the next layer of a kind."""
    kind = next(kind for part, kind in KINDS.items() if layer.rpartition(".")[2].startswith(part))
    counts[kind] = counts.get(kind, -1) + 1
    return f"{kind}_{counts[kind]}" if counts[kind] else kind


def write_keras(h5py: Any, path: Path, state: dict[str, np.ndarray]) -> None:
    """The tensors as Keras lays them out and saves them."""
    counts: dict[str, int] = {}
    with h5py.File(path, "w") as file:
        for layer in (*ORDER, "linear"):
            name = keras_name(layer, counts)
            for value in (key.rpartition(".")[2] for key in state if key.rpartition(".")[0] == layer):
                array = state[f"{layer}.{value}"]
                array = array.transpose({4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[array.ndim])
                called = NORM[value] if "bn" in layer else {"weight": "kernel", "bias": "bias"}[value]
                file[f"model_weights/{name}/{name}/{called}:0"] = array


def test_the_script_makes_the_very_file_that_is_read(real_data: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="only who makes the file from Keras' needs h5py")
    [problem] = pruneframe_problems()
    given = problem.weights
    assert isinstance(given, Given)
    path = find(f"weights/{given.file}")
    assert path is not None
    write_keras(h5py, tmp_path / "pretrainedResnet.h5", load_file(path))
    command = [sys.executable, str(SCRIPT), str(tmp_path / "pretrainedResnet.h5"), str(tmp_path)]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    assert sha256(tmp_path / "weights" / given.file) == given.sha256

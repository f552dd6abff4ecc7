"""The LeNets: what they hold, that they come trained to what can be expected of them, and the same everywhere."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from bundled import check_errors, check_splits, correct, loaded
from tiny import load, registry

from pruneframe import Shipped
from pruneframe.model.digits import digits, mnist


def test_lenet_digits_comes_trained_to_97_percent() -> None:
    problem = loaded("lenet-digits")
    check_splits(problem.data, (1077, 360, 360), digits().stratified(1797))
    assert correct(problem.network.module, problem.data, problem.data.test).mean() >= 0.97
    assert problem.network.layout.total == 13_584
    check_errors(problem, 200)


def test_ten_instances_of_lenet_digits_come_trained_each_on_its_own_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path))
    found = [load(registry().problem("lenet-digits").with_settings(instance=number)) for number in range(10)]
    for problem in found:
        check_splits(problem.data, (1077, 360, 360), digits().stratified(1797))
        assert correct(problem.network.module, problem.data, problem.data.test).mean() >= 0.96
    assert len({problem.network.digest for problem in found}) == 10
    assert len({problem.data.test.digest for problem in found}) == 10
    assert list(tmp_path.iterdir()) == []  # nothing was trained


def test_lenet_digits_is_the_same_on_every_machine() -> None:
    assert loaded("lenet-digits").fingerprint == "783aa5904eda3c84"


def test_every_shipped_file_is_in_the_package() -> None:
    """As its hash is in the list beside it."""
    root = Path(__file__).parents[2]
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    packed = {path for pattern in patterns["pruneframe_problems"] for path in (root / "problems").glob(pattern)}
    for name, count in (("lenet-digits", 10), ("lenet-mnist", 1), ("lenet300-mnist", 1)):
        weights = registry().problem(name).weights
        assert isinstance(weights, Shipped)
        assert weights.instances == list(range(count))
        files = {root / "problems" / "weights" / name / path.name for path in weights.folder.iterdir()}
        assert len(files) == count + 1
        assert files <= packed


def test_lenet_mnist_comes_trained_to_99_percent(real_data: Path) -> None:
    problem = loaded("lenet-mnist")
    check_splits(problem.data, (50_000, 10_000, 10_000), mnist())
    assert correct(problem.network.module, problem.data, problem.data.test).mean() >= 0.99
    assert problem.network.layout.total == 430_500
    assert len(problem.search) == 2000
    check_errors(problem, 500)

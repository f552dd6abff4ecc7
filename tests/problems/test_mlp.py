"""LeNet-300-100: it comes trained on MNIST, and on images in Fashion-MNIST's files it is trained, then pruned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundled import check_errors, check_splits, correct, loaded
from command import in_this_process
from published import write_idx

from pruneframe import mnist

HELD_OUT = 10_000


def test_lenet300_mnist_comes_trained_to_98_percent(real_data: Path) -> None:
    problem = loaded("lenet300-mnist")
    check_splits(problem.data, (50_000, 10_000, 10_000), mnist())
    assert correct(problem.network.module, problem.data, problem.data.test).mean() >= 0.98
    check_errors(problem, 500)


def write_part(folder: Path, part: str, n: int) -> None:
    """Official files of n images, each of which is bright in the rows that its label says."""
    rng = np.random.default_rng(n)
    labels = np.arange(n) % 10
    images = rng.integers(0, 60, (n, 28, 28), dtype=np.uint8)
    for label in range(10):
        images[labels == label, 2 * label : 2 * label + 4] += 150
    write_idx(folder, images, labels, part)


@pytest.fixture
def fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files in Fashion-MNIST's format, of few images to train on; the cache is empty."""
    folder = tmp_path / "data/FashionMNIST/raw"
    write_part(folder, "train", HELD_OUT + 200)
    write_part(folder, "t10k", 100)
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_a_short_bench_on_files_in_fashion_mnists_format(
    units: str, fashion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with in_this_process(tmp_path, capsys) as cli, pytest.MonkeyPatch.context() as patch:
        patch.setattr("pruneframe.comparison.edition.write", lambda *arguments: ([], []))
        named = ("--problems", "lenet300-fashionmnist", "--methods", "magnitude,random", "--units", units)
        done = cli("bench", *named, "--seeds", "0", "--budget", "5", "--search-images", "50", "--data", str(fashion))
        assert done.code == 0, done.err
        runs = cli("summary", "pruneframe-study", "--json").parsed
    assert [run["status"] for run in runs] == ["done"] * 2
    assert all(run["dense_test_error"] < 0.2 for run in runs)  # it has learnt which rows are bright

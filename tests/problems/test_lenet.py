"""The LeNets: what they hold, and that they are trained to what can be expected of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from bundled import check_errors, check_splits, correct, loaded

from pruneframe.model.fetch import digits, mnist


def test_lenet_digits_is_trained_without_a_network_to_97_percent() -> None:
    problem = loaded("lenet-digits")
    check_splits(problem.data, (1077, 360, 360), digits().stratified(1797))
    assert correct(problem.network.module, problem.data, problem.data.test).mean() >= 0.97
    assert problem.network.layout.total == 13_584
    check_errors(problem, 200)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """On a busy machine two threads that wait for each other train slower than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.timeout(1200)  # two minutes of one core
def test_lenet_mnist_is_trained_to_99_percent(real_data: Path, one_thread: None) -> None:
    problem = loaded("lenet-mnist")
    check_splits(problem.data, (50_000, 10_000, 10_000), mnist())
    assert correct(problem.network.module, problem.data, problem.data.test).mean() >= 0.99
    assert problem.network.layout.total == 430_500
    assert len(problem.search) == 2000
    check_errors(problem, 500)

"""Calls of the kernel: how the work is divided, by how many threads, and that an interrupt is heard."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from networks import needs_kernel
from tiny import registry

from pruneframe.engine import Engine, library, may_take
from pruneframe.engine.library import LARGE, in_threads, pieces, threads_for
from pruneframe.engine.plan import SLOTS
from pruneframe.mask import Masks
from pruneframe.model.network import Network
from pruneframe.units import Units
from pruneframe_problems.cifar_resnet import CifarResNet


@pytest.fixture
def _one_core() -> Iterator[None]:
    yield
    may_take(1)


@needs_kernel
@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_is_heard_between_two_calls(threads: int) -> None:
    begun = []

    def work(thread: int, first: int, last: int) -> None:
        begun.append((first, last))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_threads(100, work, threads)
    assert len(begun) <= threads


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("groups", [1, 7, 8, 63])
def test_every_group_is_computed_once_whoever_is_ready(groups: int, threads: int) -> None:
    found = pieces(groups, threads)
    assert [group for first, last in found for group in range(first, last)] == list(range(groups))
    sizes = [last - first for first, last in found]
    assert max(sizes) <= SLOTS
    assert sizes[:-1] == [SLOTS] * (len(sizes) - 1) if threads == 1 else sizes[-1] == 1
    done: list[int] = []
    in_threads(groups, lambda thread, first, last: done.extend(range(first, last)), threads)
    assert sorted(done) == list(range(groups))


@pytest.mark.usefixtures("_one_core")
def test_only_a_large_network_takes_more_cores_than_torch() -> None:
    may_take(7)
    assert threads_for(LARGE - 1) == torch.get_num_threads() == 1
    assert threads_for(LARGE) == 7


@needs_kernel
@pytest.mark.usefixtures("_one_core")
def test_answers_are_the_same_to_the_bit_with_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "LARGE", 0)
    torch.manual_seed(0)
    network = Network(CifarResNet(1), (3, 8, 8), registry().component(Units, "weight"))
    keep = np.random.default_rng(0).random((3, network.layout.total)) < 0.5
    masks, states = Masks.pack(keep, network.layout), [network.module.state_dict()] * 3
    engine, found = Engine(network), []
    images = engine.place(torch.randn(500, 3, 8, 8))
    for cores in (1, 2, 5):
        may_take(cores)
        found.append(np.stack(list(engine.logits(masks, states, images))))
    assert all(np.array_equal(found[0], one) for one in found[1:])

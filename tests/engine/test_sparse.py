"""The sparse path equals torch's forward pass, whatever is pruned and computed together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import CASES, MAKERS, agree, images_of, masks_of, needs_kernel, neighbours, network_of

from pruneframe.engine import Engine
from pruneframe.engine.plain import Plain
from pruneframe.engine.plan import LANES
from pruneframe.engine.sparse import Sparse
from pruneframe.mask import Masks


@needs_kernel
@pytest.mark.parametrize(("name", "units"), CASES)
@pytest.mark.parametrize("n", [1, LANES, 37])
def test_the_kernel_predicts_what_torch_does(name: str, units: str, n: int) -> None:
    network = network_of(name, units)
    images, state = images_of(network, n), network.module.state_dict()
    sparse, plain = Sparse(network), Plain(network)
    groups = sparse.groups(images)
    masks = masks_of(network)
    for row, expected in enumerate(plain.logits(masks, [state] * len(masks), plain.place(images))):
        agree(sparse.logits([sparse.pruned(masks, row, state, {})], groups, n)[0], expected)


@needs_kernel
@pytest.mark.parametrize(("name", "units"), CASES)
def test_what_candidates_share_changes_no_bit_of_their_answers(name: str, units: str) -> None:
    network = network_of(name, units)
    images, n = images_of(network, 37), 24
    states = [network.module.state_dict(), {k: v * 1.1 for k, v in network.module.state_dict().items()}]
    sparse, masks = Sparse(network), neighbours(network, n)
    groups = sparse.groups(images)
    candidates = [sparse.pruned(masks, row, states[row % 5 == 4], {}) for row in range(n)]
    alone = [sparse.logits([candidate], groups, 37)[0] for candidate in candidates]
    assert np.array_equal(sparse.logits(candidates, groups, 37), np.array(alone))
    families = sparse.families(candidates)
    assert sorted(row for family in families for row in family) == list(range(n))
    engine = Engine(network)
    together = engine.logits(masks, [states[row % 5 == 4] for row in range(n)], engine.place(images))
    plain = Plain(network)
    expected = plain.logits(masks, [states[row % 5 == 4] for row in range(n)], plain.place(images))
    for one, other in zip(together, expected, strict=True):
        agree(one, other)


@needs_kernel
def test_strangers_are_no_family() -> None:
    network = network_of("resnet")
    sparse, state = Sparse(network), network.module.state_dict()
    keep = np.random.default_rng(0).random((5, network.layout.total)) < 0.4
    masks = Masks.pack(keep, network.layout)
    assert len(sparse.families([sparse.pruned(masks, row, state, {}) for row in range(5)])) == 5


@needs_kernel
@pytest.mark.parametrize("name", MAKERS)
def test_every_processor_gets_the_same_answer(name: str) -> None:
    network = network_of(name)
    images, state, masks = images_of(network, 37), network.module.state_dict(), masks_of(network)
    sparse, plain = Sparse(network), Plain(network)
    groups, best = sparse.groups(images), sparse.processor
    expected = next(plain.logits(masks[[2]], [state], plain.place(images)))
    for processor in range(best + 1):
        sparse.processor = processor
        agree(sparse.logits([sparse.pruned(masks, 2, state, {})], groups, 37)[0], expected)


@needs_kernel
def test_threads_change_nothing() -> None:
    network = network_of("resnet")
    images, state = images_of(network, 50), network.module.state_dict()
    sparse, masks = Sparse(network), masks_of(network)
    groups = sparse.groups(images)
    before = torch.get_num_threads()
    try:
        answers = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            answers.append(sparse.logits([sparse.pruned(masks, 2, state, {})], groups, 50)[0])
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])

"""Statistics of batch norm by the kernel: those that torch measures."""

from __future__ import annotations

import copy

import pytest
import torch
from networks import images_of, masks_of, needs_kernel, network_of

from pruneframe.engine.batch_norm import statistics
from pruneframe.engine.moments import Moments
from pruneframe.engine.plain import Plain
from pruneframe.engine.sparse import Sparse


@needs_kernel
@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize(("name", "n"), [("tiny", 3), ("small lenet", 50), ("resnet", 37), ("small lenet", 530)])
def test_the_kernel_measures_the_batch_statistics_that_torch_does(name: str, n: int, units: str) -> None:
    network = network_of(name, units)
    images, state, masks = images_of(network, n), network.module.state_dict(), masks_of(network)
    moments, plain = Moments(Sparse(network), images), Plain(network)
    for row in range(len(masks)):
        found = moments(masks, row, state)
        module = copy.deepcopy(network.module)
        module.load_state_dict(plain.masked(masks[[row]], state))
        with torch.inference_mode():
            expected = statistics(module.double(), images.double())
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            dead = 1e-9  # channels that do not vary, beside the epsilon of 1e-5 that every variance gets
            assert float((found[key] - value).abs().max()) <= 1e-5 * float(value.abs().max()) + dead, (row, key)

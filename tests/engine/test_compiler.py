"""Plans: what becomes part of a step, and what the kernel cannot run, with the reason."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from networks import agree, images_of, needs_kernel, network_of, unsupported
from torch import Tensor, nn

from pruneframe.engine import Engine
from pruneframe.engine.compiler import compiled
from pruneframe.engine.plan import MAXIMUM, SUMS
from pruneframe.mask import Masks


@needs_kernel
def test_pooling_by_twos_is_part_of_the_convolution_where_it_can_be() -> None:
    plan = compiled(network_of("pooled"))
    assert plan.column("kind").tolist() == [SUMS, SUMS, SUMS, MAXIMUM, SUMS, SUMS]
    assert plan.column("pool").tolist() == [1, 1, 0, 0, 0, 0]


def test_runs_of_weights_are_shorter_where_many_are_kept() -> None:
    weights = compiled(network_of("resnet")).weights[1]
    assert weights is not None
    every = weights.outputs * len(weights.offsets)
    assert weights.run(every) < weights.run(every // 10) <= weights.run(0) <= len(weights.offsets)
    assert weights.run(every) % weights.taps == 0


class Softened(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.linear = nn.Linear(144, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(torch.softmax(self.conv(images), 1).flatten(1))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.linear = nn.Linear(192, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.conv(self.conv(images)).flatten(1))


class OwnStatistics(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3, track_running_stats=False)
        self.linear = nn.Linear(192, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.norm(self.conv(images)).flatten(1))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Softened, "softmax"),
        (Twice, "calls conv twice"),
        (OwnStatistics, "without running statistics"),
    ],
)
def test_what_the_kernel_cannot_run_is_left_to_torch_with_the_reason(make: type[nn.Module], reason: str) -> None:
    module = make()
    assert reason in unsupported(module)
    network = tiny.network(module, (3, 8, 8))
    engine, images = Engine(network), images_of(network, 4)
    assert engine.notice.startswith("torch alone: ")
    thin = Masks.pack(np.random.default_rng(0).random((1, network.layout.total)) < 0.2, network.layout)
    found = next(engine.logits(thin, [module.state_dict()], engine.place(images)))
    state = engine.masked(thin, module.state_dict())
    with torch.no_grad():
        agree(found, torch.func.functional_call(module.eval(), state, (images,)).numpy())

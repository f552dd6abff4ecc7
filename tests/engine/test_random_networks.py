"""Networks drawn at random: the kernel predicts what torch does, whatever is chained, pruned and computed together."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruneframe.engine import kernel
from pruneframe.engine.batch_norm import statistics
from pruneframe.engine.moments import Moments
from pruneframe.engine.plain import Plain
from pruneframe.engine.plan import Unsupported
from pruneframe.engine.sparse import Sparse
from pruneframe.mask import Masks
from pruneframe.model.network import Network

NETWORKS = 120


class Drawn(nn.Module):
    """Convolutions of any kernel, stride, padding, dilation and groups, additions, pooling, and two linear layers."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self.shape = tuple(int(rng.integers(low, high)) for low, high in ((1, 5), (5, 22), (5, 22)))
        self.parts = nn.ModuleList()
        self.adds: list[bool] = []
        x = torch.zeros(1, *self.shape)
        for _ in range(rng.integers(1, 6)):
            part, adds = self._part(rng, x.shape[1]), False
            if rng.random() < 0.3:
                size, adds = int(rng.choice([1, 3])), True
                part = nn.Conv2d(x.shape[1], x.shape[1], size, padding=size // 2, bias=bool(rng.integers(2)))
            if isinstance(part, nn.Conv2d) and rng.integers(2):
                part = nn.Sequential(part, nn.BatchNorm2d(part.out_channels))
            try:
                x = torch.zeros_like(part.eval()(x))
            except RuntimeError:  # the maps are too small for it
                continue
            self.parts.append(nn.ModuleList([part, [nn.Identity(), nn.ReLU(), nn.ReLU6()][rng.integers(3)]]))
            self.adds.append(adds)
        self.mean = nn.AdaptiveAvgPool2d(1) if rng.integers(2) else nn.Identity()
        features, hidden = self.mean(x).flatten(1).shape[1], int(rng.choice([5, 90]))
        self.hidden, self.last = nn.Linear(features, hidden), nn.Linear(hidden, int(rng.integers(2, 12)))
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, -1.0, 1.5)
                nn.init.normal_(module.bias, 0.0, 0.3)
                nn.init.normal_(module.running_mean, 0.0, 0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)

    def _part(self, rng: np.random.Generator, channels: int) -> nn.Module:
        if rng.random() < 0.3:
            size = int(rng.integers(2, 4))
            return nn.MaxPool2d(size, int(rng.integers(1, 4))) if rng.integers(2) else nn.AvgPool2d(size)
        groups = channels if rng.integers(4) == 0 else 1
        outputs = groups * int(rng.choice([1, 2])) if groups > 1 else int(rng.choice([1, 3, 8, 17, 33]))
        size, stride, padding, dilation = (
            (int(rng.integers(low, high)), int(rng.integers(low, high)))
            for low, high in ((1, 6), (1, 3), (0, 3), (1, 3))
        )
        return nn.Conv2d(channels, outputs, size, stride, padding, dilation, groups, bias=bool(rng.integers(2)))

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for (part, act), adds in zip(self.parts, self.adds, strict=True):  # type: ignore[misc] # pairs
            y = part(x)
            x = act(y + x if adds else y)
        return self.last(F.relu(self.hidden(torch.flatten(self.mean(x), 1))))


def drawn(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = Drawn(rng)
    return tiny.network(module, module.shape)


def relatives(network: Network, n: int, rng: np.random.Generator) -> Masks:
    """Masks that share some layers with the first one; others are empty, thin, half or full."""
    keep = np.repeat(rng.random((1, network.layout.total)) < 0.5, n, axis=0)
    for row in keep[1:]:
        for part in network.layout.slices:
            if rng.integers(3) == 0:
                row[part] = rng.random(row[part].size) < rng.choice([0.0, 0.1, 0.5, 1.0])
    return Masks.pack(keep, network.layout)


@pytest.mark.skipif(kernel() is None, reason="the kernel could not be built here")
@pytest.mark.parametrize("first", range(0, NETWORKS, 20))
def test_networks_drawn_at_random(first: int) -> None:
    run = 0
    for seed in range(first, first + 20):
        network, rng = drawn(seed), np.random.default_rng(seed)
        try:
            sparse = Sparse(network)
        except Unsupported:  # an addition of the images themselves
            continue
        sparse.processor = int(rng.integers(sparse.processor + 1))
        draw = torch.Generator().manual_seed(seed)
        images = torch.randn(int(rng.choice([2, 16, 33, 140])), *network.input_shape, generator=draw)
        masks, state, plain = relatives(network, 5, rng), network.module.state_dict(), Plain(network)
        candidates = [sparse.pruned(masks, row, state, {}) for row in range(5)]
        found = sparse.logits(candidates, sparse.groups(images), len(images))
        expected = np.array(list(plain.logits(masks, [state] * 5, plain.place(images))))
        assert np.abs(found - expected).max() <= 1e-5 * (np.ptp(expected) or 1.0), seed
        run += 1
        if network.norms:
            module = copy.deepcopy(network.module)
            module.load_state_dict(plain.masked(masks[[1]], state))
            with torch.inference_mode():
                exact = statistics(module.double(), images.double())
            for name, value in Moments(sparse, images)(masks, 1, state).items():
                error = float((value - exact[name]).abs().max())
                assert error <= 1e-4 * float(exact[name].abs().max()) + 1e-8, (seed, name)
    assert run >= 10

"""From which density on a 3 x 3 convolution is faster in bfloat16, all of it, than its kept weights in float32.

    python benchmarks/dense.py [--pairs 5]

Both are computed by the kernel, with one thread, in turns; two layers of a kind are a network. In bfloat16 time does
not depend on the mask, so that the dense layer stands for all. Needs a processor with AVX512-BF16.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import click
import numpy as np
import torch
from torch import nn

from pruneframe.engine.sparse import Sparse
from pruneframe.mask import Masks
from pruneframe.model.network import Network
from pruneframe.registry import Registry
from pruneframe.units import Units

SHAPES = (16, 32), (32, 16), (64, 8), (64, 28), (128, 14), (256, 7)  # channels, rows and columns
DENSITIES = 1.0, 0.7, 0.5, 0.35, 0.3, 0.25, 0.2


def network_of(channels: int, size: int) -> Network:
    """Two layers of a kind, and what is needed to make a classifier of them."""
    layers = [part for _ in range(2) for part in (nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 2))
    return Network(module, (channels, size, size), Registry().component(Units, "weight"))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratios(network: Network, images: int, pairs: int) -> list[float]:
    """Time in float32 at each density by the time in bfloat16, medians of pairs."""
    exact, rounding = Sparse(network), Sparse(network, bfloat16=True)
    groups, state = exact.groups(torch.randn(images, *network.input_shape)), network.module.state_dict()
    dense, rng, found = rounding.pruned(network.layout.full(), 0, state, {}), np.random.default_rng(0), []
    for density in DENSITIES:
        masks = Masks.pack(rng.random((1, network.layout.total)) < density, network.layout)
        thin, measured = exact.pruned(masks, 0, state, {}), []
        for _ in range(pairs + 1):
            slow = seconds(lambda thin=thin: exact.logits([thin], groups, images))
            measured.append(slow / seconds(lambda: rounding.logits([dense], groups, images)))
        found.append(statistics.median(measured[1:]))  # the first warms up
    return found


@click.command()
@click.option("--pairs", default=5, show_default=True, help="Interleaved pairs per figure.")
def main(pairs: int) -> None:
    """Print one row per layer: how many times faster bfloat16 is at each density."""
    torch.set_num_threads(1)
    print("channels  size  " + "".join(f"{density:6}" for density in DENSITIES), flush=True)
    for channels, size in SHAPES:
        images = max(16, 2**27 // (channels**2 * size**2) // 16 * 16)
        row = ratios(network_of(channels, size), images, pairs)
        print(f"{channels:8}  {size:4}  " + "".join(f"{ratio:6.2f}" for ratio in row), flush=True)


if __name__ == "__main__":
    main()

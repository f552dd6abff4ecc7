"""How much more two threads, and two processes, evaluate than one, as a ratio of interleaved pairs in one run.

    python benchmarks/scaling.py [--images 1000] [--pairs 5] [--density 0.3] [--json]

ResNet-56 with random weights under one random mask. The other cores should be idle, so how busy they are before the
measurement is printed first.
"""

from __future__ import annotations

import json
import os
import time
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier

import click
import numpy as np
import torch

from pruneframe.engine import Engine
from pruneframe.mask import Masks
from pruneframe.model.network import Network
from pruneframe.registry import Registry
from pruneframe.units import Units
from pruneframe_problems.cifar_resnet import CifarResNet

SHAPE = (3, 32, 32)


class Work:
    """One evaluation that can be repeated."""

    def __init__(self, images: int, density: float) -> None:
        torch.manual_seed(0)
        network = Network(CifarResNet(9), SHAPE, Registry().component(Units, "weight"))
        keep = np.random.default_rng(0).random((1, network.layout.total)) < density
        self._mask, self._state = Masks.pack(keep, network.layout), network.module.state_dict()
        self._engine = Engine(network)
        self._images = self._engine.place(torch.randn(images, *SHAPE))

    def seconds(self, threads: int) -> float:
        """How long it takes."""
        torch.set_num_threads(threads)
        start = time.perf_counter()
        next(self._engine.logits(self._mask, [self._state], self._images))
        return time.perf_counter() - start


def repeat(images: int, density: float, pairs: int, barrier: Barrier) -> None:
    """What a second process does: the same work at the same time, one thread."""
    work = Work(images, density)
    work.seconds(1)
    for _ in range(pairs):
        barrier.wait()
        work.seconds(1)
        barrier.wait()


def busy(seconds: float = 1.0) -> float:
    """Share of all cores' time that others use."""

    def ticks() -> np.ndarray:
        with open("/proc/stat") as file:  # noqa: PTH123 # a device, not a file
            return np.array(file.readline().split()[1:8], dtype=float)

    before = ticks()
    time.sleep(seconds)
    spent = ticks() - before
    return float(1 - (spent[3] + spent[4]) / spent.sum())


@click.command()
@click.option("--images", default=1000, show_default=True, help="Images per evaluation.")
@click.option("--pairs", default=5, show_default=True, help="Interleaved pairs.")
@click.option("--density", default=0.3, show_default=True, help="Share of the weights kept.")
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(images: int, pairs: int, density: float, as_json: bool) -> None:
    """Print one row for threads, one for processes."""
    idle = 1 - busy()
    if not as_json:
        print(f"{os.cpu_count()} cores, {idle:.0%} idle")
    context = get_context("spawn")
    barrier = context.Barrier(2)
    other = context.Process(target=repeat, args=(images, density, pairs, barrier), daemon=True)
    other.start()
    work = Work(images, density)
    work.seconds(1)
    threads, processes = [], []
    for _ in range(pairs):
        alone = work.seconds(1)
        threads.append(alone / work.seconds(2))
        start = time.perf_counter()
        barrier.wait()
        work.seconds(1)
        barrier.wait()
        processes.append(2 * alone / (time.perf_counter() - start))
    other.join()
    for name, ratios in (("threads", threads), ("processes", processes)):
        q1, median, q3 = (round(float(q), 2) for q in np.quantile(ratios, [0.25, 0.5, 0.75]))
        row = {"two": name, "ratio": median, "ratio_q1": q1, "ratio_q3": q3, "idle": round(idle, 2)}
        print(json.dumps(row) if as_json else f"two {name:10} {median:5} [{q1}, {q3}] x one", flush=True)


if __name__ == "__main__":
    main()

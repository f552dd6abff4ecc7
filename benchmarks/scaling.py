"""How much more two threads, and two processes, evaluate than one, as a ratio of interleaved pairs in one run.

    python benchmarks/scaling.py [--images 1000] [--density 0.3] [--blocks 9] [--side 32] [--busy 0] [--pairs 5]

A ResNet of 6 x blocks + 2 layers with random weights under one random mask, on images of so many pixels a side; the
threads are the kernel's, whatever the network's size. The other cores should be idle but for those that `--busy`
processes count on, so how busy they are before the measurement is printed first. `LARGE` in `pruneframe.engine.library`
is the number of multiply-adds from which two threads gain here.
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
from busy import count

from pruneframe.engine import Engine, library, may_take
from pruneframe.mask import Masks
from pruneframe.model.network import Network
from pruneframe.registry import Registry
from pruneframe.units import Units
from pruneframe_problems.cifar_resnet import CifarResNet


class Work:
    """One evaluation that can be repeated."""

    def __init__(self, images: int, density: float, blocks: int, side: int) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        library.LARGE = 0
        shape = (3, side, side)
        network = Network(CifarResNet(blocks), shape, Registry().component(Units, "weight"))
        self.macs = network.total_macs
        keep = np.random.default_rng(0).random((1, network.layout.total)) < density
        self._mask, self._state = Masks.pack(keep, network.layout), network.module.state_dict()
        self._engine = Engine(network)
        self._images = self._engine.place(torch.randn(images, *shape))

    def seconds(self, threads: int) -> float:
        """How long it takes."""
        may_take(threads)
        start = time.perf_counter()
        next(self._engine.logits(self._mask, [self._state], self._images))
        return time.perf_counter() - start


def repeat(work_of: tuple[int, float, int, int], pairs: int, barrier: Barrier) -> None:
    """What a second process does: the same work at the same time, one thread."""
    work = Work(*work_of)
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
@click.option("--blocks", default=9, show_default=True, help="Of each of the three stages; 9 make ResNet-56.")
@click.option("--side", default=32, show_default=True, help="Pixels of an image's side.")
@click.option("--busy", "others", default=0, show_default=True, help="Cores that something else uses.")
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(images: int, pairs: int, density: float, blocks: int, side: int, others: int, as_json: bool) -> None:
    """Print one row for threads, one for processes."""
    work_of = images, density, blocks, side
    context = get_context("spawn")
    for _ in range(others):
        context.Process(target=count, daemon=True).start()
    idle, work = 1 - busy(), Work(*work_of)
    if not as_json:
        print(f"{work.macs / 1e6:.1f} million multiply-adds; {os.cpu_count()} cores, {idle:.0%} idle")
    barrier = context.Barrier(2)
    other = context.Process(target=repeat, args=(work_of, pairs, barrier), daemon=True)
    other.start()
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
        row = {"two": name, "macs": work.macs, "ratio": median, "ratio_q1": q1, "ratio_q3": q3, "idle": round(idle, 2)}
        print(json.dumps(row) if as_json else f"two {name:10} {median:5} [{q1}, {q3}] x one", flush=True)


if __name__ == "__main__":
    main()

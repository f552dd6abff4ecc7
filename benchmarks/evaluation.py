"""How much faster candidates are evaluated than by the naive evaluator, as a ratio of interleaved pairs in one run.

    python benchmarks/evaluation.py [--images 1000] [--pairs 5] [--work mask] [--json]

The naive evaluator is what public evolutionary-pruning code does: copy the network, attach masks with
torch.nn.utils.prune, loop over a DataLoader with batch 128. It has a process of its own, as public code does: what the
other side leaves to the memory allocator changes its time. The sides take turns, with one thread each. Networks have
random weights: time depends on their shapes and on what is zero, not on the values. `mask` and `filter` are one random
mask; `neighbour` is a population of masks that differ from one parent in a random layer each, timed per candidate.
`precision` is one random mask at bench's --precision bfloat16 against the float32 default; `ratio_torch` is what the
ratio would be were every candidate computed by torch's dense pass in bfloat16: the rule in pruneframe/engine/halves.py
lies where that is 1. It is left out where the processor would emulate bfloat16. For `training`, `tuning` and `scoring`
see learning.py.
"""

from __future__ import annotations

import copy
import json
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import TypeVar
from unittest.mock import patch

import click
import learning
import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset

from pruneframe.engine import Engine, choice, multiplier
from pruneframe.engine.halves import WORTH
from pruneframe.mask import Masks
from pruneframe.model.network import Network
from pruneframe.registry import Registry
from pruneframe.units import Units
from pruneframe_problems.cifar_resnet import CifarResNet
from pruneframe_problems.lenet import LeNet

LARGE, FEW = ("resnet18", "mobilenet_v2", "efficientnet_b0"), 32  # networks of 224 pixels, and images at most of these
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet56": (lambda: CifarResNet(9), (3, 32, 32)),
    "lenet5": (LeNet, (1, 28, 28)),
    **{name: (getattr(torchvision.models, name), (3, 224, 224)) for name in LARGE},
}
WORK: tuple[tuple[str, str, float], ...] = (
    *(("resnet56", "mask", density) for density in (0.5, 0.2, 0.1, 0.05)),
    *(("lenet5", "mask", density) for density in (0.5, 0.2, 0.1, 0.05)),
    ("resnet56", "filter", 0.5),
    *(("resnet56", "neighbour", density) for density in (0.5, 0.1)),
    *(("resnet56", "precision", density) for density in (1.0, 0.7, 0.5, 0.3)),
    *((name, "mask", 0.2) for name in LARGE),
)
NEIGHBOURS = 100

Answer = TypeVar("Answer")


def naive(network: Network, keep: dict[str, Tensor], loader: DataLoader) -> np.ndarray:
    """Logits as public code computes them."""
    module = copy.deepcopy(network.module)
    for name, mask in keep.items():
        owner, _, leaf = name.rpartition(".")
        prune.custom_from_mask(module.get_submodule(owner), leaf, mask)
    with torch.no_grad():
        return torch.cat([module(images) for (images,) in loader]).numpy()


def population(network: Network, density: float, size: int, rng: np.random.Generator) -> Masks:
    """Random masks; several are one parent with one random layer drawn anew."""
    layout = network.layout
    keep = np.repeat(rng.random((1, layout.total)) < density, size, axis=0)
    for row in keep[1:]:
        part = layout.slices[rng.integers(len(layout.slices))]
        row[part] = rng.random(row[part].size) < density
    return Masks.pack(keep, layout)


def timed(work: Callable[[], Answer]) -> tuple[float, Answer]:
    """Seconds, and what the work gave."""
    start = time.perf_counter()
    answer = work()
    return time.perf_counter() - start, answer


@cache
def prepared(name: str, work: str, density: float, images: int) -> tuple[Network, Masks, Tensor]:
    """Network, masks and images of a row, the same in both processes."""
    make, shape = NETWORKS[name]
    units = Registry().component(Units, "filter" if work == "filter" else "weight")
    torch.manual_seed(0)
    network = Network(make(), shape, units)
    masks = population(network, density, NEIGHBOURS if work == "neighbour" else 1, np.random.default_rng(0))
    return network, masks, torch.randn(images, *shape)


def slow(row: tuple[str, str, float, int], mask: int) -> tuple[float, np.ndarray]:
    """Seconds and logits of the naive evaluator for one mask, in its process."""
    torch.set_num_threads(1)
    network, masks, data = prepared(*row)
    keep, loader = network.keep(masks, mask), DataLoader(TensorDataset(data), batch_size=128)
    return timed(lambda: naive(network, keep, loader))


def measure(name: str, work: str, density: float, images: int, pairs: int) -> dict[str, object]:
    """One row of the table."""
    network, masks, data = prepared(name, work, density, images)
    engine, states = Engine(network), [network.module.state_dict()] * len(masks)
    placed = engine.place(data)
    ratios = []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        for pair in range(pairs + 1):
            mask = pair % len(masks)
            seconds, expected = process.submit(slow, (name, work, density, images), mask).result()
            fast, answers = timed(lambda: list(engine.logits(masks, states, placed)))
            if pair:  # the first warms up
                ratios.append(seconds / (fast / len(masks)))
    found = answers[mask]
    return {
        "network": name,
        "work": work,
        "density": density,
        **learning.quartiles(ratios),
        "logit_difference": float(np.abs(found - expected).max() / np.ptp(expected)),
        "predictions_differ": int((found.argmax(axis=1) != expected.argmax(axis=1)).sum()),
    }


def rounded(name: str, work: str, density: float, images: int, pairs: int) -> dict[str, object]:
    """One row of what --precision bfloat16 gains, and would gain if torch computed every candidate."""
    network, masks, data = prepared(name, work, density, images)
    state, kind = [network.module.state_dict()], multiplier("cpu")
    engines = {"float32": Engine(network), "bfloat16": Engine(network, precision="bfloat16")}
    with patch.dict(WORTH, {kind: 0.0}), patch.object(choice, "KERNEL", ""):
        engines["torch"] = Engine(network, precision="bfloat16")
    placed = engines["float32"].place(data)
    seconds: list[dict[str, float]] = []
    for _ in range(pairs + 1):  # the first warms up
        found = {side: timed(lambda e=one: next(e.logits(masks, state, placed))) for side, one in engines.items()}
        seconds.append({side: lasted for side, (lasted, _) in found.items()})
    expected, answer = (found[side][1] for side in ("float32", "bfloat16"))
    return {
        "network": name,
        "work": work,
        "density": density,
        "processor": kind,
        **learning.quartiles([one["float32"] / one["bfloat16"] for one in seconds[1:]]),
        "ratio_torch": round(float(np.median([one["float32"] / one["torch"] for one in seconds[1:]])), 2),
        "logit_difference": float(np.abs(answer - expected).max() / np.ptp(expected)),
        "predictions_differ": int((answer.argmax(axis=1) != expected.argmax(axis=1)).sum()),
    }


@click.command()
@click.option("--images", default=1000, show_default=True, help="Images per evaluation.")
@click.option("--pairs", default=5, show_default=True, help="Interleaved pairs per row.")
@click.option("--work", multiple=True, help="Kinds of work, all of them unless told.")
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(images: int, pairs: int, work: tuple[str, ...], as_json: bool) -> None:
    """Print one row per kind of work."""
    torch.set_num_threads(1)
    kinds = set(work or [kind for _, kind, _ in (*WORK, *learning.WORK)])
    if "precision" in kinds and not multiplier("cpu"):
        kinds.remove("precision")
        click.echo("precision is left out: this processor would emulate bfloat16", err=True)
    for name, kind, density in [row for row in WORK if row[1] in kinds]:
        few = min(images, FEW) if name in LARGE else images
        row = (rounded if kind == "precision" else measure)(name, kind, density, few, pairs)
        if as_json:
            print(json.dumps(row), flush=True)
        else:
            against = "float32" if kind == "precision" else "naive"
            figures = f"{row['ratio']:5} [{row['ratio_q1']}, {row['ratio_q3']}] x {against}"
            checks = f"logits differ by {row['logit_difference']:.0e}, {row['predictions_differ']} predictions"
            print(f"{name:15} {kind:9} {density:5} {figures:34} {checks}", flush=True)
    for name, kind, precision in [row for row in learning.WORK if row[1] in kinds]:
        if precision == "bfloat16" and not multiplier("cpu"):
            continue
        row = learning.learned(name, kind, precision, pairs)
        if as_json:
            print(json.dumps(row), flush=True)
        else:
            figures = f"{row['ratio']:5} [{row['ratio_q1']}, {row['ratio_q3']}] x usual"
            print(f"{name:15} {kind:9} {precision:8} {figures:34} {row['per_pass']:5} x evaluation a pass", flush=True)


if __name__ == "__main__":
    main()

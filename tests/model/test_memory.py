"""Peak memory of a forward pass: by hand, and against what a process takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch.nn.functional as F
from torch import Tensor, nn

from pruneframe.model.memory import peak_memory


class Chain(nn.Module):
    """One image of 1x6x6: 2x4x4 twice, then 3 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.relu = nn.ReLU()
        self.linear = nn.Linear(32, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.relu(self.conv(images)).reshape(-1, 32))


class Skipping(Chain):
    """What enters the convolution's relu is needed once more behind it."""

    def forward(self, images: Tensor) -> Tensor:
        inside = self.conv(images)
        return self.linear((self.relu(inside) + inside).reshape(-1, 32))


@pytest.mark.parametrize(("network", "living"), [(Chain(), 36 + 32), (Skipping(), 32 * 3)])
def test_peak_memory_by_hand(network: nn.Module, living: int) -> None:
    weights = 2 * 9 + 2 + 32 * 3 + 3
    assert peak_memory(network, (1, 6, 6)) == 4 * (weights + living)


class InPlace(Chain):
    """Adds and cuts off in place, as methods and functions do."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, view: Tensor) -> Tensor:  # an input that is called as a method is
        x = self.conv(view)
        y = x.clone()
        if self.inplace:
            y = F.relu(y.add_(x), True).add_(x)
        else:
            y = F.relu(y + x).add(x)
        return self.linear(y.reshape(-1, 32))


def test_what_is_written_in_place_takes_nothing() -> None:
    weights = 2 * 9 + 2 + 32 * 3 + 3
    assert peak_memory(InPlace(True), (1, 6, 6)) == 4 * (weights + 36 + 32)
    assert peak_memory(InPlace(False), (1, 6, 6)) == 4 * (weights + 3 * 32)


def test_memory_does_not_count_what_shares_its_place() -> None:
    apart, inside = (nn.Sequential(nn.Conv2d(1, 9, 1), nn.ReLU(inplace=flag), nn.Flatten()) for flag in (False, True))
    weights = 4 * 18
    assert peak_memory(apart, (1, 6, 6)) - weights == 4 * 36 * 18
    assert peak_memory(inside, (1, 6, 6)) - weights == 4 * 36 * 10


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_peak_memory_is_near_what_a_process_takes() -> None:
    script = """
import torch
from torch import nn
from pruneframe.model.memory import peak_memory
layers = [nn.Conv2d(4, 64, 1), nn.ReLU(), nn.Conv2d(64, 32, 1), nn.ReLU(), nn.Conv2d(32, 4, 1)]
network, shape = nn.Sequential(*layers).eval(), (4, 768, 768)
torch.set_num_threads(1)
def status(name):  # of this process alone, unlike getrusage, which remembers what it was forked from
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])
with torch.inference_mode():
    network(torch.zeros(1, 4, 8, 8))
    before = status("VmRSS")
    network(torch.zeros(1, *shape))
    print(status("VmHWM") - before, peak_memory(network, shape))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    real, computed = map(float, done.stdout.split())
    assert computed == pytest.approx(real, rel=0.1)

"""Problems of every kind of input and layer, whose labels are the unpruned network's own answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pruneframe import Data, Problem, Split

CLASSES = 3
N = 140, 100, 60  # images of train, search and test


class Series(nn.Module):
    """Convolutions along time, one of them strided and grouped, with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv1d(2, 6, 5, padding=2), nn.BatchNorm1d(6)
        self.second, self.again = nn.Conv1d(6, 8, 3, stride=2, groups=2), nn.BatchNorm1d(8)
        self.last = nn.Linear(8, CLASSES)

    def forward(self, series: Tensor) -> Tensor:
        """Logits float32[n, 3] of float32[n, 2, 16]."""
        found = F.relu(self.norm(self.first(series)))
        return self.last(F.relu(self.again(self.second(found))).mean(2))  # type: ignore[no-any-return] # Modules


class Features(nn.Sequential):
    """A multilayer perceptron on rows of numbers."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Linear(7, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.1)),
            *(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, CLASSES)),
        )


class Volumes(nn.Module):
    """Convolutions of volumes, down and up again."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.norm = nn.Conv3d(1, 4, 3, stride=2, padding=1), nn.BatchNorm3d(4)
        self.up, self.last = nn.ConvTranspose3d(4, 3, 2, stride=2), nn.Linear(3, CLASSES)

    def forward(self, volumes: Tensor) -> Tensor:
        """Logits float32[n, 3] of float32[n, 1, 4, 4, 4]."""
        found = F.relu(self.up(F.relu(self.norm(self.down(volumes)))))
        return self.last(found.mean((2, 3, 4)))  # type: ignore[no-any-return] # Modules


class UpAndDown(nn.Module):
    """An image made smaller, and larger again by transposed convolutions, one of them in groups; then a line."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(2, 6, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.apart = nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False)
        self.line = nn.ConvTranspose1d(6, 5, 3)
        self.last = nn.Linear(5, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 3] of float32[n, 2, 6, 6]."""
        found = F.relu(self.apart(F.relu(self.up(F.relu(self.down(images))))))
        return self.last(F.relu(self.line(found.mean(2))).mean(2))  # type: ignore[no-any-return] # Modules


class Tokens(nn.Module):
    """An encoder layer over embedded tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
        self.last = nn.Linear(8, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits float32[n, 3] of int64[n, 6]."""
        return self.last(self.encoder(self.embed(tokens)).mean(1))  # type: ignore[no-any-return] # Modules


class Attended(nn.Module):
    """Attention with keys and values of other widths, between two layers that can be parts."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.first = nn.Embedding(11, 6), nn.Linear(6, 8)
        self.attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True)
        self.second, self.last = nn.Linear(8, 9), nn.Linear(9, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits float32[n, 3] of int64[n, 6]."""
        embedded = self.embed(tokens)
        found = self.attention(self.first(embedded), embedded, embedded, need_weights=False)[0]
        return self.last(F.relu(self.second(F.relu(found).mean(1))))  # type: ignore[no-any-return] # Modules


def _numbers(*shape: int) -> Callable[[np.random.Generator, int], NDArray]:
    return lambda rng, n: rng.normal(size=(n, *shape)).astype(np.float32)


def _ids(rng: np.random.Generator, n: int) -> NDArray:
    return rng.integers(0, 11, (n, 6), dtype=np.int32)


KINDS: dict[str, tuple[type[nn.Module], Callable[[np.random.Generator, int], NDArray]]] = {
    "series": (Series, _numbers(2, 16)),
    "features": (Features, _numbers(7)),
    "volumes": (Volumes, _numbers(1, 4, 4, 4)),
    "up-and-down": (UpAndDown, _numbers(2, 6, 6)),
    "tokens": (Tokens, _ids),
    "attended": (Attended, _ids),
}


def problem_of(kind: str, **settings: object) -> Problem:
    """A problem of one kind, whose unpruned network errs nowhere."""
    make, draw = KINDS[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = make().eval()
    rng = np.random.default_rng(0)
    images = draw(rng, sum(N))
    blank = np.zeros(len(images), dtype=np.int64)
    whole = Split(images, blank)
    with torch.no_grad():
        logits = module(Data(whole, whole, whole).tensor(whole))
        last: nn.Linear = list(module.modules())[-1]  # type: ignore[assignment] # all end with one
        last.bias -= logits.mean(0)  # no class takes all
        labels = module(Data(whole, whole, whole).tensor(whole)).argmax(1).numpy()
    ends = np.cumsum(N)
    parts = [Split(images[end - n : end], labels[end - n : end]) for n, end in zip(N, ends, strict=True)]
    return Problem(kind, module, Data(*parts), **settings)  # type: ignore[arg-type] # settings of a problem

"""Images, or whatever else a network is fed, split into train, search and test, and as the network sees them.

train is for scoring and training; search holds images that the network was never trained on; test is looked at once
per member of a final front.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from .inputs import Inputs

SPLIT_SEED = 0  # the splits are part of a problem's definition: they never follow a run's seed


@dataclass(frozen=True, eq=False)
class Split:
    """Some inputs, called `images` whatever they are, and labels int64[n].

    Images are uint8[n, height, width, channels]; numbers of any shape are floating point [n, ...], as the network reads
    them; token ids are signed integers [n, ...], from 0.
    """

    images: NDArray
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.integer]) -> Split:
        """Some of the images, in the given order."""
        return Split(self.images[rows], self.labels[rows])

    def stratified(self, n: int) -> tuple[Split, Split]:
        """N images with every class as frequent as in the whole, and the rest; always the same ones."""
        if not 0 < n <= len(self):
            raise InputError(f"0 < images <= {len(self)} must hold, but got {n}")
        first = _stratified_rows(self.labels, n)
        rest = np.setdiff1d(np.arange(len(self)), first)
        return self.take(first), self.take(rest)

    @property
    def digest(self) -> str:
        """32 hex digits over all images and labels."""
        total = hashlib.blake2b(digest_size=16)
        total.update(f"{self.images.shape}{self.images.dtype}".encode())
        total.update(np.ascontiguousarray(self.images).tobytes())
        total.update(self.labels.astype("<i8").tobytes())
        return total.hexdigest()


@dataclass(frozen=True, eq=False)
class Data:
    """The three splits of a problem: `train` for scoring and training, `search` for evaluations, `test` for the end.

    uint8 images are scaled to [0, 1] and standardised by `mean` and `std`, one number per channel; nothing else is.
    """

    train: Split
    search: Split
    test: Split
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name in ("train", "search", "test"):
            _check(name, getattr(self, name))
        shape, dtype = self.test.images.shape[1:], self.test.images.dtype
        for name in ("train", "search"):
            images = getattr(self, name).images
            if images.shape[1:] != shape:
                raise InputError(
                    f"all splits need images of one shape, but {name} has {images.shape[1:]} and test {shape}"
                )
            if images.dtype.kind != dtype.kind:
                raise InputError(f"all splits need images of one kind, but {name} has {images.dtype} and test {dtype}")

    @property
    def classes(self) -> int:
        """Number of classes, from the labels of all splits."""
        return int(max(part.labels.max() for part in (self.train, self.search, self.test))) + 1

    @cached_property
    def inputs(self) -> Inputs:
        """One image as the network sees it; token ids are from 0 to the largest of all splits."""
        shape = tuple(self.tensor(self.test.take(np.arange(1))).shape[1:])
        if self.test.images.dtype.kind != "i":
            return Inputs(shape)
        return Inputs(shape, int(max(part.images.max() for part in (self.train, self.search, self.test))) + 1)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one image as the network sees it: channels, height, width."""
        return self.inputs.shape

    def tensor(self, split: Split) -> Tensor:
        """The images as the network sees them: float32[n, channels, height, width] or [n, ...]; token ids int64."""
        if split.images.dtype != np.uint8:
            dtype = np.int64 if split.images.dtype.kind == "i" else np.float32
            return torch.from_numpy(np.require(split.images, dtype=dtype, requirements=("C", "W")))
        pixels = np.require(split.images, requirements="W")  # torch warns about arrays it must not write to
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
        mean, std = (torch.tensor(v, dtype=torch.float32)[None, :, None, None] for v in (self.mean, self.std))
        return images.sub_(mean).div_(std).contiguous()


def _check(name: str, split: Split) -> None:
    images, labels = split.images, split.labels
    if images.ndim < 2 or labels.ndim != 1 or len(images) != len(labels) or len(labels) == 0:
        raise InputError(
            f"the {name} split needs images [n, ...] of two dimensions or more and labels [n], n > 0, but has images "
            f"{list(images.shape)} and labels {list(labels.shape)}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise InputError(f"the {name} split's labels must be integers from 0, but are {labels.dtype}")
    if images.dtype != np.uint8 and images.dtype.kind not in "fi":
        raise InputError(
            f"the {name} split's images must be uint8, floating point, or token ids of a signed integer type, but are "
            f"{images.dtype}"
        )
    if images.dtype == np.uint8 and images.ndim != 4:
        raise InputError(
            f"the {name} split's images must be [n, height, width, channels] as uint8, but are {list(images.shape)}; "
            "give what is no image as floating point, and token ids as int64"
        )
    if images.dtype.kind == "i" and images.min() < 0:
        raise InputError(f"the {name} split's token ids must be integers from 0, but one is {images.min()}")


def _stratified_rows(labels: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Largest-remainder shares of `n` per class, rows drawn without replacement, ascending."""
    rng = np.random.default_rng(SPLIT_SEED)
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * (n / len(labels))
    shares = np.floor(exact).astype(int)
    for i in np.argsort(shares - exact, kind="stable")[: n - shares.sum()]:
        shares[i] += 1
    picks = [rng.permutation(np.flatnonzero(labels == c))[:k] for c, k in zip(classes, shares, strict=True)]
    return np.sort(np.concatenate(picks))

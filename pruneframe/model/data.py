"""Images, or whatever else a network is fed, split into train, search and test, and as the network sees them.

train is for scoring and training; search holds images that the network was never trained on; test is looked at once
per member of a final front.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from .inputs import Inputs
from .rows import Chosen, Source, Stream, blocks, in_memory, resident

HELD = 5 * 2**27  # bytes that a set of images may take in memory, as the network sees them; larger ones are streamed


@dataclass(frozen=True, eq=False)
class Split:
    """Some inputs, called `images` whatever they are, and labels int64[n].

    Images are uint8[n, height, width, channels]; numbers of any shape are floating point [n, ...], as the network reads
    them; token ids are signed integers [n, ...], from 0. `images` may be a memory map, or anything else with a shape, a
    dtype and rows that can be sliced and chosen as those of an array: it is never read as a whole. `known` is the
    digest of one whose images are fetched only when they are read.
    """

    images: Any
    labels: NDArray[np.int64]
    known: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.integer]) -> Split:
        """Some of the images, in the given order; what is not in memory is read when it is asked for."""
        chosen = self.images[rows] if in_memory(self.images) else Chosen(self.images, rows)
        return Split(chosen, self.labels[rows])

    def chosen(self, n: int, seed: int = 0) -> Split:
        """N images with every class as frequent as in the whole; the same ones for the same seed."""
        if not 0 < n <= len(self):
            raise InputError(f"0 < images <= {len(self)} must hold, but got {n}")
        return self if n == len(self) else self.take(stratified_rows(self.labels, n, seed))

    def stratified(self, n: int, seed: int = 0) -> tuple[Split, Split]:
        """N images as `chosen`, and the rest."""
        first = self.chosen(n, seed)
        return first, self.take(np.setdiff1d(np.arange(len(self)), stratified_rows(self.labels, n, seed)))

    @property
    def digest(self) -> str:
        """32 hex digits over all images and labels."""
        if self.known:
            return self.known
        total = hashlib.blake2b(digest_size=16)
        total.update(f"{tuple(self.images.shape)}{self.images.dtype}".encode())
        for block in blocks(self.images):
            total.update(block.tobytes())
        total.update(self.labels.astype("<i8").tobytes())
        return total.hexdigest()


@dataclass(frozen=True, eq=False)
class Data:
    """The three splits of a problem: `train` for scoring and training, `search` for evaluations, `test` for the end.

    uint8 images are scaled to [0, 1] and standardised by `mean` and `std`, one number per channel; nothing else is.
    `notes` say what a user should know of them, such as that only a part is there.
    """

    train: Split
    search: Split
    test: Split
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    notes: tuple[str, ...] = ()

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
        shape = tuple(self.test.images.shape[1:])
        if self.test.images.dtype == np.uint8:
            shape = (shape[2], *shape[:2])
        if self.test.images.dtype.kind != "i":
            return Inputs(shape)
        splits = self.train, self.search, self.test
        return Inputs(shape, int(max(block.max() for part in splits for block in blocks(part.images))) + 1)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one image as the network sees it: channels, height, width."""
        return self.inputs.shape

    def source(self, split: Split) -> Source:
        """The images as the network sees them: a tensor, or a stream where they would take more than `HELD` bytes."""
        shape = (len(split), *self.input_shape)
        if 4 * math.prod(shape) <= HELD:
            return self.tensor(split)
        return Stream(shape, lambda rows: self.tensor(split.take(rows)))

    def held(self, split: Split) -> int:
        """Bytes that a split takes in memory: as the network sees it, and as it is unless it lies on the disk."""
        own = math.prod(split.images.shape) * split.images.dtype.itemsize if resident(split.images) else 0
        return own + min(4 * len(split) * math.prod(self.input_shape), HELD)

    def tensor(self, split: Split) -> Tensor:
        """The images as the network sees them: float32[n, channels, height, width] or [n, ...]; token ids int64."""
        images = np.asarray(split.images[:])
        if images.dtype != np.uint8:
            dtype = np.int64 if images.dtype.kind == "i" else np.float32
            return torch.from_numpy(np.require(images, dtype=dtype, requirements=("C", "W")))
        pixels = torch.from_numpy(np.require(images, requirements="W"))  # torch warns about what it must not write to
        found = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        mean, std = (torch.tensor(v, dtype=torch.float32)[None, :, None, None] for v in (self.mean, self.std))
        return found.sub_(mean).div_(std)


@dataclass(frozen=True)
class Splits:
    """Data that are split anew for every instance of a problem; `of` gets the instance, and draws by it as by a seed.

    The splits belong to an instance: they never follow a run's seed.
    """

    of: Callable[[int], Data]


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
    least = min(block.min() for block in blocks(images)) if images.dtype.kind == "i" else 0
    if least < 0:
        raise InputError(f"the {name} split's token ids must be integers from 0, but one is {least}")


def stratified_rows(labels: NDArray[np.int64], n: int, seed: int) -> NDArray[np.int64]:
    """Largest-remainder shares of `n` per class, rows drawn without replacement, ascending."""
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * (n / len(labels))
    shares = np.floor(exact).astype(int)
    for i in np.argsort(shares - exact, kind="stable")[: n - shares.sum()]:
        shares[i] += 1
    picks = [rng.permutation(np.flatnonzero(labels == c))[:k] for c, k in zip(classes, shares, strict=True)]
    return np.sort(np.concatenate(picks))

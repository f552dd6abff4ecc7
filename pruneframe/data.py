"""Images: fetch them once, cache them, split them into train, search and test.

train is for scoring and training; search holds images that the network was never trained on; test is looked at once
per member of a final front. A folder named by `PRUNEFRAME_DATA` is looked at first and never written to; it and the
cache share one layout: `cifar10.npz`, `MNIST/raw/*.gz`, `weights/*`.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import InputError
from .files import write_whole

PARTS = ("train", "t10k")  # of MNIST
IDX_HEADERS = {"images-idx3": 16, "labels-idx1": 8}  # bytes before the values
SPLIT_SEED = 0  # the splits are part of a problem's definition: they never follow a run's seed


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels: uint8[n, height, width, channels] or float32[n, channels, height, width]; int64[n]."""

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
    """The three splits of a problem; uint8 images are scaled to [0, 1] and standardised by `mean` and `std`."""

    train: Split
    search: Split
    test: Split
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name in ("train", "search", "test"):
            _check(name, getattr(self, name))
        shape = self.test.images.shape[1:]
        for name in ("train", "search"):
            found = getattr(self, name).images.shape[1:]
            if found != shape:
                raise InputError(f"all splits need images of one shape, but {name} has {found} and test {shape}")

    @property
    def classes(self) -> int:
        """Number of classes, from the labels of all splits."""
        return int(max(part.labels.max() for part in (self.train, self.search, self.test))) + 1

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Channels, height, width of one image as the network sees it."""
        return tuple(self.tensor(self.test.take(np.arange(1))).shape[1:])

    def tensor(self, split: Split) -> Tensor:
        """The images as the network sees them, float32[n, channels, height, width]."""
        if split.images.dtype != np.uint8:
            return torch.from_numpy(np.require(split.images, dtype=np.float32, requirements=("C", "W")))
        pixels = np.require(split.images, requirements="W")  # torch warns about arrays it must not write to
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
        mean, std = (torch.tensor(v, dtype=torch.float32)[None, :, None, None] for v in (self.mean, self.std))
        return images.sub_(mean).div_(std).contiguous()


def _check(name: str, split: Split) -> None:
    images, labels = split.images, split.labels
    if images.ndim != 4 or labels.ndim != 1 or len(images) != len(labels) or len(labels) == 0:
        raise InputError(
            f"the {name} split needs images [n, ...] of four dimensions and labels [n], n > 0, but has images "
            f"{list(images.shape)} and labels {list(labels.shape)}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise InputError(f"the {name} split's labels must be integers from 0, but are {labels.dtype}")
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise InputError(f"the {name} split's images must be uint8 or floating point, but are {images.dtype}")


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


def cache_folder() -> Path:
    """Where downloads and trained weights are kept: `PRUNEFRAME_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("PRUNEFRAME_CACHE") or platformdirs.user_cache_dir("pruneframe"))


def find(relative: str) -> Path | None:
    """A file of the shared layout, from the folder `PRUNEFRAME_DATA` or else the cache."""
    named = os.environ.get("PRUNEFRAME_DATA")
    if named and not Path(named).is_dir():
        raise InputError(f"PRUNEFRAME_DATA (or --data) must name a folder, but got {named!r}")
    folders = ([Path(named)] if named else []) + [cache_folder()]
    return next((folder / relative for folder in folders if (folder / relative).exists()), None)


def missing(what: str, relative: str, error: Exception) -> InputError:
    """The error when something is neither here nor can be fetched."""
    return InputError(
        f"{what} is not on this machine and cannot be downloaded ({error}); put {relative} into "
        f"{cache_folder()}, or into a folder that --data or PRUNEFRAME_DATA names"
    )


def digits() -> Split:
    """scikit-learn's 1,797 handwritten digits, float32[1797, 1, 8, 8] in [0, 1]; needs no network."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return Split((found.images / 16).astype(np.float32)[:, None], found.target.astype(np.int64))


def mnist() -> tuple[Split, Split]:
    """MNIST's official 60,000 training and 10,000 test images, uint8[n, 28, 28, 1]."""
    from torchvision.datasets import MNIST

    if any(find(f"MNIST/raw/{part}-{kind}-ubyte.gz") is None for part in PARTS for kind in IDX_HEADERS):
        try:
            MNIST(cache_folder(), download=True)
        except (OSError, RuntimeError) as error:
            raise missing("MNIST", "MNIST/raw/*-ubyte.gz", error) from error
    return _idx("train"), _idx("t10k")


def _idx(part: str) -> Split:
    """One part of MNIST from its two gzipped IDX files; raises InputError naming a damaged one."""
    arrays = []
    for kind, header in IDX_HEADERS.items():
        path = find(f"MNIST/raw/{part}-{kind}-ubyte.gz")
        if path is None:
            raise missing("MNIST", f"MNIST/raw/{part}-{kind}-ubyte.gz", FileNotFoundError("no such file"))
        try:
            with gzip.open(path) as file:
                arrays.append(np.frombuffer(file.read(), dtype=np.uint8, offset=header).copy())
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise InputError(f"{path} must be a gzipped IDX file, but cannot be read ({error}); replace it") from error
    images, labels = arrays
    if len(images) != len(labels) * 784:
        raise InputError(f"{path} must fit its images, but there are {len(images)} pixels; replace both files")
    return Split(images.reshape(-1, 28, 28, 1), labels.astype(np.int64))


def cifar10() -> tuple[Split, Split]:
    """CIFAR-10's official 50,000 training and 10,000 test images, uint8[n, 32, 32, 3], in official order."""
    path = find("cifar10.npz") or _fetch_cifar10()
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            parts = [Split(arrays[f"x_{p}"], arrays[f"y_{p}"].astype(np.int64)) for p in ("train", "test")]
    except Exception as error:  # numpy, zipfile and zlib each raise their own
        raise InputError(
            f"{path} must be an npz with x_train, y_train, x_test, y_test, but cannot be read ({error}); replace it"
        ) from error
    for part, n in zip(parts, (50_000, 10_000), strict=True):
        if part.images.shape != (n, 32, 32, 3) or part.images.dtype != np.uint8 or part.labels.shape != (n,):
            raise InputError(
                f"{path} must hold CIFAR-10 as uint8[{n}, 32, 32, 3] with int[{n}], but has "
                f"{part.images.dtype}{list(part.images.shape)} with {list(part.labels.shape)}; replace it"
            )
    return parts[0], parts[1]


def _fetch_cifar10() -> Path:
    """Download through torchvision once, and keep it as arrays in the cache."""
    import tempfile

    from torchvision.datasets import CIFAR10

    arrays: dict[str, NDArray] = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            for part in ("train", "test"):
                found = CIFAR10(folder, train=part == "train", download=True)
                arrays[f"x_{part}"], arrays[f"y_{part}"] = found.data, np.array(found.targets)
    except (OSError, RuntimeError) as error:
        raise missing("CIFAR-10", "cifar10.npz", error) from error
    path = cache_folder() / "cifar10.npz"
    write_whole(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))
    return path

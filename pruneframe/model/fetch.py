"""Data sets: found in a folder that the user names, or downloaded once and cached.

A folder named by `PRUNEFRAME_DATA` is looked at first and never written to; it and the cache share one layout:
`cifar10.npz`, `MNIST/raw/*.gz`, `weights/*`.
"""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import cache_folder, write_whole
from .data import Split

PARTS = ("train", "t10k")  # of MNIST


IDX_HEADERS = {"images-idx3": 16, "labels-idx1": 8}  # bytes before the values


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

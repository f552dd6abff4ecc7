"""CIFAR-10 and CIFAR-100, as arrays that are kept in the cache, or in the official folder of either."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import cache_folder, write_whole
from .archives import read_arrays
from .data import Split
from .fetch import find, missing

PARTS = {"train": 50_000, "test": 10_000}  # images of each
LARGEST = 60_000 * (32 * 32 * 3 + 16)  # bytes of both with their labels


def cifar10() -> tuple[Split, Split]:
    """CIFAR-10's official 50,000 training and 10,000 test images, uint8[n, 32, 32, 3], in official order.

    Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    return _official("CIFAR-10", "cifar10.npz", "cifar-10-batches-py")


def cifar100() -> tuple[Split, Split]:
    """CIFAR-100's official 50,000 training and 10,000 test images, uint8[n, 32, 32, 3], with the 100 fine labels.

    Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    return _official("CIFAR-100", "cifar100.npz", "cifar-100-python")


def _official(name: str, file: str, folder: str) -> tuple[Split, Split]:
    """Both parts of `name`: from `file`, else `folder`, else downloaded and kept as `file`."""
    path, there = find(file), find(folder)
    if path is not None:
        return _of_arrays(path, name)
    if there is not None:
        return _splits(there, name, _of_folder(there, name))
    arrays = _downloaded(name, file)
    path = cache_folder() / file
    write_whole(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))
    return _splits(path, name, arrays)


def _of_arrays(path: Path, name: str) -> tuple[Split, Split]:
    try:
        arrays = read_arrays(path, free=LARGEST)
        found = {key: arrays[key] for part in PARTS for key in (f"x_{part}", f"y_{part}")}
    except Exception as error:  # numpy, zipfile and zlib each raise their own
        raise InputError(
            f"{path} must be an npz with x_train, y_train, x_test, y_test, but cannot be read ({error}); replace it"
        ) from error
    return _splits(path, name, found)


def _of_folder(folder: Path, name: str) -> dict[str, NDArray]:
    """torchvision reads the official files, which are pickled, and none whose checksum is not the published one."""
    try:
        return _read(folder.parent, name, download=False)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{folder} must hold {name}'s official files, unchanged, but torchvision says: {error}; replace it"
        ) from error


def _downloaded(name: str, file: str) -> dict[str, NDArray]:
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _read(Path(folder), name, download=True)
    except (OSError, RuntimeError) as error:
        raise missing(name, file, error) from error


def _read(root: Path, name: str, download: bool) -> dict[str, NDArray]:
    import torchvision.datasets

    arrays: dict[str, NDArray] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy about the age of the official files
        for part in PARTS:
            found = getattr(torchvision.datasets, name.replace("-", ""))(root, train=part == "train", download=download)
            arrays[f"x_{part}"], arrays[f"y_{part}"] = found.data, np.array(found.targets)
    return arrays


def _splits(path: Path, name: str, arrays: dict[str, NDArray]) -> tuple[Split, Split]:
    """Train and test; raises InputError where they are not as large as the official ones."""
    for part, n in PARTS.items():
        images, labels = np.asarray(arrays[f"x_{part}"]), np.asarray(arrays[f"y_{part}"])
        if images.shape != (n, 32, 32, 3) or images.dtype != np.uint8 or labels.shape != (n,):
            raise InputError(
                f"{path} must hold {name} as uint8[{n}, 32, 32, 3] with int[{n}], but has "
                f"{images.dtype}{list(images.shape)} with {list(labels.shape)}; replace it"
            )
    train, test = (Split(arrays[f"x_{part}"], arrays[f"y_{part}"].astype(np.int64)) for part in PARTS)
    return train, test

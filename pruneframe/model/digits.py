"""Data sets of small grey images: scikit-learn's digits, MNIST and Fashion-MNIST."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import cache_folder
from .archives import read_packed
from .data import Split
from .fetch import find, missing

PARTS = ("train", "t10k")
IDX_HEADERS = {"images-idx3": 16, "labels-idx1": 8}  # bytes before the values
LARGEST = 16 + 60_000 * 784  # bytes of such a file, unpacked


def digits() -> Split:
    """scikit-learn's 1,797 handwritten digits, float32[1797, 1, 8, 8] in [0, 1]; needs no network."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return Split((found.images / 16).astype(np.float32)[:, None], found.target.astype(np.int64))


def mnist() -> tuple[Split, Split]:
    """MNIST's official 60,000 training and 10,000 test images, uint8[n, 28, 28, 1].

    LeCun, Bottou, Bengio and Haffner, Proc. IEEE 86(11), 1998.
    """
    return _official("MNIST")


def fashion_mnist() -> tuple[Split, Split]:
    """Fashion-MNIST's official 60,000 training and 10,000 test images, uint8[n, 28, 28, 1], of 10 kinds of clothing.

    Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms", 2017.
    """
    return _official("Fashion-MNIST")


def _official(name: str) -> tuple[Split, Split]:
    """Both parts, by torchvision where one of the four files is not here."""
    import torchvision.datasets

    if any(_file(name, part, kind) is None for part in PARTS for kind in IDX_HEADERS):
        try:
            getattr(torchvision.datasets, _plain(name))(cache_folder(), download=True)
        except (OSError, RuntimeError) as error:
            raise missing(name, f"{_plain(name)}/raw/*-ubyte.gz", error) from error
    return _split(name, "train"), _split(name, "t10k")


def _plain(name: str) -> str:
    """As torchvision writes it."""
    return name.replace("-", "")


def _file(name: str, part: str, kind: str) -> Path | None:
    """One IDX file, as it is published or unpacked."""
    relative = f"{_plain(name)}/raw/{part}-{kind}-ubyte"
    return find(f"{relative}.gz") or find(relative)


def _split(name: str, part: str) -> Split:
    """One part from its two IDX files; raises InputError naming a damaged one."""
    images, labels = (_values(name, part, kind) for kind in IDX_HEADERS)
    if len(images) != len(labels) * 784:
        raise InputError(
            f"{_file(name, part, 'labels-idx1')} must fit its images, but there are {len(images)} pixels; replace both "
            "files"
        )
    return Split(images.reshape(-1, 28, 28, 1), labels.astype(np.int64))


def _values(name: str, part: str, kind: str) -> NDArray[np.uint8]:
    """What stands behind the header of an IDX file."""
    path = _file(name, part, kind)
    if path is None:
        raise missing(name, f"{_plain(name)}/raw/{part}-{kind}-ubyte.gz", FileNotFoundError("no such file"))
    try:
        return np.frombuffer(read_packed(path, LARGEST), dtype=np.uint8, offset=IDX_HEADERS[kind]).copy()
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(
            f"{path} must be an IDX file, gzipped or not, but cannot be read ({error}); replace it"
        ) from error

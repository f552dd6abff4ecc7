"""Tabular problems: networks so small in units that every mask has been evaluated once, and a table answers for them.

Ying, Klein, Real, Christiansen, Murphy and Hutter, "NAS-Bench-101: Towards reproducible neural architecture search",
ICML 2019, is such a table of architectures; these are of masks.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import write_whole
from ..mask import Layout, Masks
from .data import Data, Split
from .rows import Deferred
from .shipped import check, enlist, numbered

MOST_UNITS = 16  # of a network whose masks are all evaluated
EVALUATED = ("search", "test")  # splits
SPLITS = ("train", *EVALUATED)


@dataclass(frozen=True)
class Tabular:
    """Tables in `folder`, one file for each instance of a problem, as `pruneframe tabulate PROBLEM --into` writes them.

    The folder holds `0.npz`, `1.npz`, ... and SHA256SUMS. Instances without a table are refused.
    """

    folder: Path

    @property
    def instances(self) -> list[int]:
        """Those that have a table, ascending."""
        return numbered(self.folder)

    def load(self, instance: int) -> Outcomes:
        """An instance's; raises InputError where its file is missing or has another SHA-256 than the list says."""
        path = self.folder / f"{instance}.npz"
        check(path)
        return Outcomes.read(path)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Which images a network classifies as their labels say, under every mask of its units.

    `right` has, for the search and the test split, uint8[images, masks / 8]: a bit for every mask, in the order of the
    numbers that masks are, their first unit the highest bit. `units` is their kind, `network` the digest of the
    unpruned network, `splits` describe the images that were looked at, whose own are not in the file.
    """

    units: str
    network: str
    right: dict[str, NDArray[np.uint8]]
    splits: dict[str, Described]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def masks(self) -> int:
        """How many there are."""
        return 8 * self.right["search"].shape[1]

    def correct(self, split: str, mask: Masks) -> NDArray[np.bool_]:
        """Which images of "search" or "test" one mask classifies as their labels say, bool[images]."""
        number = int.from_bytes(mask.bits.tobytes()) >> (8 * mask.layout.width - mask.layout.total)
        return (self.right[split][:, number >> 3] & (128 >> (number & 7))).astype(bool)

    def errors(self, split: str) -> NDArray[np.int64]:
        """How many images of "search" or "test" each mask misclassifies, int64[masks]."""
        wrong = np.zeros(self.masks, dtype=np.int64)
        for row in self.right[split]:
            wrong += np.unpackbits(row) == 0
        return wrong

    def data(self, own: Callable[[], Data]) -> Data:
        """The splits that were looked at, without their images: `own` loads those when some are first read."""
        fetched = Fetched(own, {name: split.digest for name, split in self.splits.items()})
        parts = {name: split.deferred(partial(fetched.images, name)) for name, split in self.splits.items()}
        return Data(parts["train"], parts["search"], parts["test"], self.mean, self.std)

    def write(self, path: Path) -> None:
        """Into a folder with a list of SHA-256s."""
        arrays: dict[str, Any] = {"units": self.units, "network": self.network, "mean": self.mean, "std": self.std}
        arrays |= {f"{name}_right": bits for name, bits in self.right.items()}
        for name, split in self.splits.items():
            arrays |= {f"{name}_{key}": value for key, value in vars(split).items()}
        write_whole(path, lambda file: _write_npz(file, {name: np.asarray(value) for name, value in arrays.items()}))
        enlist(path)

    @classmethod
    def read(cls, path: Path) -> Outcomes:
        """From a file; raises InputError where it is none of these."""
        try:
            with np.load(path, allow_pickle=False) as held:
                found = {name: held[name] for name in held.files}
            splits = {name: Described.of({key: found[f"{name}_{key}"] for key in Described.FIELDS}) for name in SPLITS}
            right = {name: found[f"{name}_right"] for name in EVALUATED}
            scales = tuple(found["mean"].tolist()), tuple(found["std"].tolist())
            return cls(str(found["units"]), str(found["network"]), right, splits, *scales)
        except Exception as error:  # numpy, zipfile and zlib each raise their own
            raise InputError(f"{path} must be a table of masks, but cannot be read ({error})") from error


@dataclass(frozen=True, eq=False)
class Described:
    """A split without its images: labels, how its images lie, and the digest of both."""

    labels: NDArray[np.integer]
    shape: tuple[int, ...]  # of one image
    dtype: str
    digest: str

    FIELDS = ("labels", "shape", "dtype", "digest")

    @classmethod
    def of(cls, found: dict[str, NDArray]) -> Described:
        """From a file's arrays."""
        shape = tuple(int(length) for length in found["shape"])
        return cls(found["labels"], shape, str(found["dtype"]), str(found["digest"]))

    @classmethod
    def by(cls, split: Split) -> Described:
        """A split's; labels take as few bytes as they need."""
        labels = split.labels.astype(np.min_scalar_type(int(split.labels.max())))
        return cls(labels, tuple(split.images.shape[1:]), split.images.dtype.name, split.digest)

    def deferred(self, fetch: Callable[[], Any]) -> Split:
        """The split, its images fetched when some are read."""
        labels = self.labels.astype(np.int64)
        return Split(Deferred((len(labels), *self.shape), np.dtype(self.dtype), fetch), labels, self.digest)


class Fetched:
    """The data behind a table, loaded when first asked for; raises InputError where they are others than it says."""

    def __init__(self, own: Callable[[], Data], digests: dict[str, str]) -> None:
        self._own = own
        self._digests = digests

    @cached_property
    def _data(self) -> Data:
        data = self._own()
        for name, digest in self._digests.items():
            if getattr(data, name).digest != digest:
                raise InputError(f"the {name} images must be those that the table was made with, but are others")
        return data

    def images(self, name: str) -> Any:
        """Those of a split."""
        return getattr(self._data, name).images


def _write_npz(file: BinaryIO, arrays: dict[str, NDArray]) -> None:
    """As `np.savez_compressed`, by LZMA, which takes a quarter less; `np.load` reads it all the same."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as found:
        for name, array in arrays.items():
            with found.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def numbered_masks(layout: Layout, numbers: NDArray[np.integer]) -> Masks:
    """The masks that some numbers are, their first unit the highest bit."""
    shifted = (numbers << (8 * layout.width - layout.total)).astype(">u4")
    return Masks(np.ascontiguousarray(shifted.view(np.uint8).reshape(-1, 4)[:, 4 - layout.width :]), layout)

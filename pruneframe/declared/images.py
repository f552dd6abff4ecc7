"""Data that a file declares: a folder of images, or arrays, from which search and test images are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import read_plain
from ..model.archives import names_of, read_arrays
from ..model.data import Data, Split
from ..model.decoding import Crop
from ..model.pictures import image_folder
from .fields import Table

Load = Callable[
    [], tuple[Split | None, Split]
]  # what the network was trained on, where that is given, and unseen images


@dataclass(frozen=True)
class Drawn:
    """Draws the splits of an instance: so many unseen images for the search and the test, the rest for training.

    Where other images are given for training, those; where there are none, the search images stand for them.
    """

    place: str  # the table, for messages
    load: Load
    search: int
    test: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, instance: int) -> Data:
        """The data of an instance; raises InputError where there are too few images."""
        seen, unseen = self.load()
        if self.search + self.test > len(unseen):
            raise InputError(
                f"{self.place}: search + test <= {len(unseen)}, the unseen images, must hold, but got {self.search} + "
                f"{self.test}"
            )
        search, rest = unseen.stratified(self.search, instance)
        test, left = rest.stratified(self.test, instance)
        train = seen or (left if len(left) else search)
        return Data(train, search, test, self.mean, self.std)


def drawn(table: Table) -> Drawn:
    """From the table `data`; raises InputError for whatever is wrong with it."""
    given = [name for name in ("folder", "arrays") if name in table.values]
    if len(given) != 1:
        raise InputError(f"{table.path}: [data] must name either a folder or arrays, but names {given or 'neither'}")
    load = _of_folder(table) if given == ["folder"] else _of_arrays(table)
    search, test = (table.need(name, "a whole number from 1", "500") for name in ("search", "test"))
    mean, std = (tuple(table.get(name, "a list of numbers", [default])) for name, default in (("mean", 0), ("std", 1)))
    if len(mean) != len(std) or not mean:
        raise InputError(f"{table.path}: [data] mean and std must be as long as each other, but got {mean} and {std}")
    if min(std) <= 0:
        raise table.fault("std", "a list of numbers above 0")
    table.done()
    return Drawn(f"{table.path}: [data]", load, search, test, mean, std)


def _of_folder(table: Table) -> Load:
    """FOLDER/CLASS/*, decoded and cut as it is said there."""
    folder, seen = table.file("folder", "a folder"), table.file("train_folder", "a folder")
    listed, train = table.file("classes"), table.get("train", "a whole number from 1")
    assert folder is not None
    size = table.get("size", "a whole number from 1", 224)
    resize = table.get("resize", "a whole number from 1", size * 8 // 7)
    filter = table.get("filter", "a text", "bilinear")
    try:
        crop = Crop(resize, size, filter)
    except InputError as error:
        raise InputError(f"{table.path}: [data] {error}") from error
    if train is not None and seen is None:
        raise InputError(f"{table.path}: [data] train = {train} needs a train_folder to choose from")

    def load() -> tuple[Split | None, Split]:
        classes = None if listed is None else read_plain(listed).decode().split()
        unseen = image_folder(folder, of=classes)
        own = None if seen is None else image_folder(seen, of=classes)
        if own is not None and train is not None:
            own = own.chosen(train)
        return None if own is None else own.decoded(crop), unseen.decoded(crop)

    return load


def _of_arrays(table: Table) -> Load:
    """Named arrays of an npz."""
    path = table.file("arrays")
    assert path is not None
    names = [table.get(name, "a text", name) for name in ("images", "labels")]
    seen = [table.get(f"train_{name}", "a text") for name in ("images", "labels")]
    if (seen[0] is None) != (seen[1] is None):
        raise InputError(f"{table.path}: [data] train_images and train_labels must be given together")

    def load() -> tuple[Split | None, Split]:
        own = None if seen[0] is None else Split(*_arrays(path, seen))
        return own, Split(*_arrays(path, names))

    return load


def _arrays(path: Path, names: list[str]) -> tuple[NDArray, NDArray[np.int64]]:
    """Images and labels by name; raises InputError where the file has no such arrays or they do not fit."""
    try:
        there = ", ".join(names_of(path))
        found = read_arrays(path, names)
    except Exception as error:  # numpy, zipfile and zlib each raise their own
        raise InputError(
            f"{path} must be an npz of arrays, but cannot be read ({error}); save it by numpy.savez"
        ) from error
    if absent := [name for name in names if name not in found]:
        raise InputError(f"{path} must have an array {absent[0]!r}, but has {there or 'none'}")
    images, labels = (found[name] for name in names)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != len(images) or labels.min(initial=0) < 0:
        raise InputError(
            f"{path}: {names[1]} must be integers from 0, as many as {names[0]}, but is {labels.dtype}"
            f"{list(labels.shape)} beside {list(images.shape)}"
        )
    return images, labels.astype(np.int64)

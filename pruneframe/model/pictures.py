"""Image files with labels: folders of one class each, Tiny-ImageNet, and what there is of ImageNet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .data import Split, stratified_rows
from .decoding import Crop, decoded

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".ppm", ".webp")


@dataclass(frozen=True, eq=False)
class Pictures:
    """Image files in a fixed order, and their labels int64[n]; nothing is read before they are decoded."""

    files: tuple[Path, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.files)

    def chosen(self, n: int, seed: int = 0) -> Pictures:
        """N of them, all where there are no more, every class as frequent as in the whole."""
        return self if n >= len(self) else self.take(stratified_rows(self.labels, n, seed))

    def take(self, rows: NDArray[np.integer]) -> Pictures:
        """Some of them, in the given order."""
        return Pictures(tuple(self.files[row] for row in rows), self.labels[rows])

    def named(self, start: str, other: bool = False) -> Pictures:
        """Those whose file names begin so, or the others."""
        fits = [path.name.startswith(start) is not other for path in self.files]
        return self.take(np.flatnonzero(fits))

    def decoded(self, crop: Crop) -> Split:
        """As uint8[n, size, size, 3], a memory map of what is kept in the cache."""
        return Split(decoded(self.files, crop), self.labels)


def class_folders(folder: Path) -> list[str]:
    """The names of a folder's folders, sorted: its classes. Raises InputError where it has none."""
    found = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not found:
        raise InputError(f"{folder} must hold a folder of images for each class, but has none")
    return found


def image_folder(folder: Path, classes: Sequence[str] | None = None, of: Sequence[str] | None = None) -> Pictures:
    """The images FOLDER/CLASS/*, sorted by class and name, as torchvision's ImageFolder has them.

    `classes` are those that are wanted, all of them unless named; a label is the place of its class in `of`, by default
    the wanted ones, sorted. Raises InputError for a class that is not there, has no images or no place.
    """
    wanted = sorted(class_folders(folder) if classes is None else classes)
    places = {name: place for place, name in enumerate(wanted if of is None else of)}
    files: list[Path] = []
    labels: list[int] = []
    for name in wanted:
        if name not in places:
            raise InputError(
                f"{folder / name} must be one of the {len(places)} classes, but {name!r} is not among them"
            )
        found = _images(folder / name)
        if not found:
            raise InputError(f"{folder / name} must hold images ({', '.join(SUFFIXES)}), but has none")
        files += found
        labels += [places[name]] * len(found)
    return Pictures(tuple(files), np.array(labels, dtype=np.int64))


def _images(folder: Path) -> list[Path]:
    """Image files of a folder and of those in it, sorted; none where there is no such folder."""
    places = ((root, name) for root, _, names in os.walk(folder) for name in names)
    return sorted(Path(root, name) for root, name in places if name.lower().endswith(SUFFIXES))

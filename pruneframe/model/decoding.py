"""Image files decoded once, into an array in the cache that is read row by row and never as a whole."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import cache_folder

BLOCK = 256  # images that are decoded, and brought to the disk, at once
CODE = 1  # of what is done to an image; another one decodes anew
Filter = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class Crop:
    """How an image becomes what a network is fed: its shorter side is resized, and the centre cut out.

    `resize` None leaves images as they are, and `size` is what they have. `filter` interpolates, as Pillow does.
    """

    resize: int | None = 256
    size: int = 224
    filter: Filter = "bilinear"

    def __post_init__(self) -> None:
        if self.filter not in get_args(Filter):
            raise InputError(f"filter must be {' or '.join(get_args(Filter))}, but got {self.filter!r}")
        if self.size < 1 or (self.resize is not None and self.resize < self.size):
            raise InputError(f"1 <= size <= resize must hold, but got size {self.size} and resize {self.resize}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: height, width, channels."""
        return self.size, self.size, 3

    def decoded(self, path: Path) -> NDArray[np.uint8]:
        """One file as uint8[size, size, 3], grey ones in three equal channels; raises InputError naming it."""
        from PIL import Image

        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except (OSError, ValueError, SyntaxError) as error:  # Pillow's, of files that are damaged or no image
            raise InputError(f"{path} must be an image, but cannot be decoded ({error}); replace it") from error
        if self.resize is None:
            if image.size != (self.size, self.size):
                raise InputError(
                    f"{path} must be {self.size} x {self.size} pixels, but is {image.size[0]} x {image.size[1]}"
                )
            return np.asarray(image)
        short = min(image.size)
        width, height = (side * self.resize // short for side in image.size)
        image = image.resize((width, height), Image.Resampling[self.filter.upper()])
        left, top = (round((side - self.size) / 2) for side in (width, height))
        return np.asarray(image.crop((left, top, left + self.size, top + self.size)))


def decoded(files: Sequence[Path], crop: Crop) -> NDArray[np.uint8]:
    """The files as uint8[n, size, size, 3], a memory map of an array in the cache, which is made where it is not there.

    It is known by the files' names and sizes, and by the crop. Decoding that was killed goes on with the block of
    images that it had reached. Raises InputError for an image that cannot be decoded, and where there is no room.
    """
    from filelock import FileLock

    path = cache_folder() / "images" / f"{_key(files, crop)}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                _write(path, files, crop)
    try:
        found: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} must be decoded images, but is damaged ({error}); remove it") from error
    if found.shape != (len(files), *crop.shape) or found.dtype != np.uint8:
        raise InputError(f"{path} must be decoded images, but is {found.dtype}{list(found.shape)}; remove it")
    return found


def _key(files: Sequence[Path], crop: Crop) -> str:
    """20 hex digits; names are those of the file and its folder, so that images which are moved are known again."""
    total = hashlib.sha256(f"{CODE} {crop}".encode())
    for path in files:
        total.update(f"\n{path.parent.name}/{path.name} {path.stat().st_size}".encode())
    return total.hexdigest()[:20]


def _write(path: Path, files: Sequence[Path], crop: Crop) -> None:
    """Block by block under another name, each brought to the disk before the next; renamed when it is whole."""
    partial = path.with_suffix(".part")
    with partial.open("r+b" if partial.exists() else "w+b") as file:
        done = _whole(file, files, crop)
        _need_room(path, (len(files) - done) * _bytes(crop))
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes without Python's lock
            for start in _told(range(done, len(files), BLOCK)):
                for image in pool.map(crop.decoded, files[start : start + BLOCK]):
                    file.write(image.tobytes())
                file.flush()
                os.fsync(file.fileno())
    partial.replace(path)


def _whole(file: BinaryIO, files: Sequence[Path], crop: Crop) -> int:
    """How many images of a file are sure to be whole; it is cut behind them, or begun.

    A block is on the disk when the next one begins, so that the last one alone may have holes after a crash.
    """
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": (len(files), *crop.shape)}
    )
    start, end = file.tell(), file.seek(0, os.SEEK_END)
    blocks = max(0, -(-(end - start) // (BLOCK * _bytes(crop))) - 1)
    file.truncate(start + blocks * BLOCK * _bytes(crop))
    file.seek(0, os.SEEK_END)
    return blocks * BLOCK


def _bytes(crop: Crop) -> int:
    height, width, channels = crop.shape
    return height * width * channels


def _need_room(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise InputError(
            f"decoded images need {needed / 1e9:.1f} GB in {path.parent}, but there are {free / 1e9:.1f} GB; make "
            "room, or name another folder by PRUNEFRAME_CACHE"
        )


def _told(starts: range) -> Iterator[int]:
    """The same, with a bar on standard error where it takes long and someone sees it."""
    from rich.console import Console
    from rich.progress import track

    bar = Console(stderr=True)
    quiet = len(starts) < 10 or not bar.is_terminal
    return iter(track(starts, "decoding images", console=bar, transient=True, disable=quiet))

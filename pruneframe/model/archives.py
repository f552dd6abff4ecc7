"""Archives that others have packed: what they unpack to is bounded before it is read."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..files import open_plain

FREE = 1 << 26  # bytes that any archive may unpack to
PACKED = 100  # times its own size that it may unpack to beyond those; of what is not made to be large, a few times


def read_packed(path: Path, most: int) -> bytes:
    """What a file holds, gzipped or not; raises ValueError where that is more than `most` bytes, and as gzip does."""
    with open_plain(path) as plain, gzip.open(plain) if path.suffix == ".gz" else plain as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it holds more than {most:,} bytes")
    return content


def read_arrays(path: Path, names: Sequence[str] | None = None, free: int = FREE) -> dict[str, NDArray]:
    """Arrays of a .npz file, all or those of some names that it has; raises ValueError, or as numpy and zipfile do.

    `free`: bytes that they may have however small the file is.
    """
    with open_plain(path) as file:
        check_archive(file, free)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays if names is None or name in names}


def names_of(path: Path) -> list[str]:
    """Those of the arrays of a .npz file."""
    with open_plain(path) as file, np.load(file, allow_pickle=False) as arrays:
        return list(arrays)


def check_archive(file: BinaryIO, free: int = FREE) -> None:
    """Raise ValueError where a zip file says that it unpacks to far more than its own size; no reader gives more.

    Anything else that is no zip file is left to who reads it.
    """
    packed = file.seek(0, io.SEEK_END)
    file.seek(0)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            check_sizes((one.file_size for one in archive.infolist()), packed, free)
    file.seek(0)


def check_sizes(unpacked: Iterable[int], packed: int, free: int = FREE) -> None:
    """Raise ValueError where what so many bytes unpack to is too large to be meant."""
    size, most = sum(unpacked), free + PACKED * packed
    if size > most:
        raise ValueError(f"it unpacks to {size:,} bytes from {packed:,}, which is more than {most:,}; save it unpacked")

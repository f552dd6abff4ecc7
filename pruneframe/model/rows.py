"""Rows of what may be too large for memory: chosen ones of an array on disk, arrays that are
fetched and tensors that are made when they are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 2**26  # bytes of an array that are looked at at once


class Chosen:
    """Some rows of an array, [n, ...], in an order of their own; nothing is read before it is asked for."""

    def __init__(self, array: Any, rows: NDArray[np.integer]) -> None:
        self._array = array
        self._rows = rows
        self.shape: tuple[int, ...] = (len(rows), *array.shape[1:])
        self.dtype: np.dtype = array.dtype

    @property
    def ndim(self) -> int:
        """Dimensions, rows among them."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Any) -> NDArray:
        return np.asarray(self._array[self._rows[rows]])


class Deferred:
    """An array [n, ...] of known shape and dtype that is fetched when rows of it are first read."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, fetch: Callable[[], Any]) -> None:
        self.shape = shape
        self.dtype = dtype
        self._fetch = fetch

    @property
    def ndim(self) -> int:
        """Dimensions, rows among them."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray:
        return np.asarray(self._fetch()[rows])


def in_memory(array: Any) -> bool:
    """Whether an array lies in memory, as a memory map and whatever else can be sliced need not."""
    return type(array) is np.ndarray


def resident(array: Any) -> bool:
    """Whether its rows take memory, now or from when some are first read."""
    return in_memory(array) or isinstance(array, Deferred)


def blocks(array: Any) -> Iterator[NDArray]:
    """All rows of an array, in order, so many at a time as `BLOCK` bytes hold, at least one."""
    size = max(1, BLOCK // max(1, array.dtype.itemsize * math.prod(array.shape[1:])))
    return (np.asarray(array[start : start + size]) for start in range(0, len(array), size))


class Stream:
    """Rows float32[n, ...] or int64[n, ...] that `read` makes, given their numbers int64[rows], whenever they are read.

    It is read as a tensor is, by rows or in batches, and every time anew.
    """

    def __init__(self, shape: tuple[int, ...], read: Callable[[NDArray[np.int64]], Tensor]) -> None:
        self.shape = shape
        self._read = read

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        chosen = np.arange(len(self))[rows] if isinstance(rows, slice) else rows.cpu().numpy()
        return self._read(chosen)

    def split(self, size: int) -> Iterator[Tensor]:
        """So many rows at a time, and the rest."""
        return (self[slice(start, start + size)] for start in range(0, len(self), size))

    def tensor_split(self, parts: int) -> Iterator[Tensor]:
        """All rows in so many even parts."""
        return (self._read(rows) for rows in np.array_split(np.arange(len(self)), parts))

    def then(self, change: Callable[[Tensor], Tensor]) -> Stream:
        """The same rows, each batch of them changed in a way that keeps their shape."""
        return Stream(self.shape, lambda rows: change(self._read(rows)))


Source = Tensor | Stream  # rows of images or features, whether they are in memory or not

"""Piles: packed masks by number, in memory, or in a file where there would be too many for it."""

from __future__ import annotations

import weakref
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from ..mask import Bits

HELD = 2**27  # bytes of masks that are held in memory


class Pile:
    """Rows uint8[width] by number; those above `HELD` bytes lie in a file in `folder` that has no name.

    Without a folder it lies where the system keeps such. It is gone with the pile, or when the process dies.
    """

    def __init__(self, width: int, folder: Path | None = None) -> None:
        self._width = width
        self._folder = folder
        self._most = HELD // max(1, width)
        self._rows: dict[int, Bits] = {}
        self._places: dict[int, int] = {}  # in the file
        self._free: list[int] = []
        self._file: IO[bytes] | None = None

    def put(self, number: int, row: Bits) -> None:
        """Keep a copy of a row."""
        if len(self._rows) < self._most:
            self._rows[number] = row.copy()
            return
        if self._file is None:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            self._file = TemporaryFile(dir=self._folder)  # noqa: SIM115 # it is open for as long as the pile is there
            weakref.finalize(self, self._file.close)
        place = self._free.pop() if self._free else len(self._places)
        self._file.seek(place * self._width)
        self._file.write(row.tobytes())
        self._places[number] = place

    def take(self, number: int) -> Bits:
        """A row, which is not to be written to."""
        if number in self._rows:
            return self._rows[number]
        assert self._file is not None
        self._file.seek(self._places[number] * self._width)
        return np.frombuffer(self._file.read(self._width), dtype=np.uint8)

    def drop(self, number: int) -> None:
        """Make room where a row was."""
        if self._rows.pop(number, None) is None:
            self._free.append(self._places.pop(number))

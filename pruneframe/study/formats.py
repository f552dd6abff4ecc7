"""Formats: arrays and tables as the bytes of files, and what a run's own document says of each of its files."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow.parquet import ParquetFile

from ..errors import Damaged
from ..files import digest, read_plain

Arrays = dict[str, np.ndarray]


def seal_of(content: bytes) -> dict[str, Any]:
    """What is kept of a file's content elsewhere."""
    return {"bytes": len(content), "checksum": digest(content)}


def read_sealed(path: Path, seal: dict[str, Any]) -> bytes:
    """A file's content; raises Damaged where it is not the one that was sealed, of which no byte more is read."""
    try:
        content = read_plain(path, seal["bytes"], follow=False)
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror})") from error
    if seal_of(content) != seal:
        raise Damaged(f"{path} is damaged or was changed: it has not the checksum that run.json names")
    return content


def from_arrays(arrays: Arrays) -> bytes:
    """Named arrays as a .npz file, without objects in them."""
    file = BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def to_arrays(content: bytes, names: Sequence[str] | None = None) -> Arrays:
    """All arrays of a .npz file, or some."""
    with np.load(BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names or arrays}


def from_table(frame: pd.DataFrame) -> bytes:
    """A table as a Parquet file."""
    file = BytesIO()
    frame.to_parquet(file, index=False)
    return file.getvalue()


def rows_of(content: bytes) -> int:
    """How many a table has."""
    with ParquetFile(pa.BufferReader(content)) as file:
        return file.metadata.num_rows


def to_table(content: bytes, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A table, or some columns of it, in this thread alone."""
    with ParquetFile(pa.BufferReader(content)) as file:
        return file.read(columns=columns, use_threads=False).to_pandas(use_threads=False)

"""Formats: JSON objects and Parquet tables on disk, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow.parquet import ParquetFile

from ..errors import InputError
from ..files import write_whole


def read_json(path: Path) -> dict[str, Any]:
    """A file's object; raises InputError where it holds none."""
    try:
        found = json.loads(path.read_text())
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}, not an object")
        return found
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error})") from error


def write_json(path: Path, value: dict[str, Any]) -> None:
    """An object, whole or not at all."""
    text = json.dumps(value, indent=2) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """As pandas reads it, without looking for a data set of many files, which takes longer than the file."""
    with ParquetFile(path) as file:
        return file.read(columns=columns, use_threads=False).to_pandas(use_threads=False)


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """A table, whole or not at all."""
    write_whole(path, lambda file: frame.to_parquet(file, index=False))

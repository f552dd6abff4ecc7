"""Spooled: what is computed batch by batch and read again and again, in memory, or in a file where it is too large."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch
from torch import Tensor

from ..model.data import HELD
from ..model.rows import Source, Stream


def spooled(batches: Iterable[Tensor], n: int, folder: Path | None) -> Source:
    """Batches, n rows in all, as one tensor [n, ...].

    Where it would take more than `HELD` bytes it is a stream from a file in `folder`, or where the system keeps such,
    which is gone with the stream: the system brings into memory what is read, and takes it back where that is short.
    """
    batches = iter(batches)
    first = next(batches)
    if n * first[0].nbytes <= HELD:
        return torch.cat([first, *batches])
    mapped, start = _mapped(first, n, folder), 0
    for batch in chain([first], batches):
        mapped[start : start + len(batch)].copy_(batch)
        start += len(batch)
    return Stream(tuple(mapped.shape), lambda rows: mapped[torch.from_numpy(rows)].to(first.device))


def _mapped(first: Tensor, n: int, folder: Path | None) -> Tensor:
    """Room for n rows in a file without a name, one row after the other, each laid out as in the first batch."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode(False), NamedTemporaryFile(dir=folder) as file:
        row = first[0]
        flat = torch.from_file(file.name, shared=True, size=n * row.numel(), dtype=first.dtype)
        dense = row[None].is_contiguous(memory_format=torch.channels_last) if row.dim() == 3 else False
        strides = row.stride() if dense else torch.empty(row.shape, device="meta").stride()
        return flat.as_strided((n, *row.shape), (row.numel(), *strides))

"""Rows that are read when they are asked for: the same as those of an array, and never all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pruneframe.model import rows
from pruneframe.model.rows import Chosen, Stream, blocks, in_memory


def stream(n: int = 10) -> tuple[Stream, torch.Tensor]:
    held = torch.arange(n * 2).reshape(n, 2)
    return Stream((n, 2), lambda chosen: held[torch.from_numpy(chosen)]), held


def test_chosen_rows_are_those_of_the_array() -> None:
    array, order = np.arange(20).reshape(10, 2), np.array([7, 1, 4])
    chosen = Chosen(array, order)
    assert (chosen.shape, chosen.ndim, chosen.dtype, len(chosen)) == ((3, 2), 2, array.dtype, 3)
    assert np.array_equal(chosen[:], array[order])
    assert np.array_equal(Chosen(chosen, np.array([2, 0]))[:], array[[4, 7]])
    assert in_memory(chosen[1:])


def test_a_memory_map_is_not_in_memory(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "array", dtype=np.uint8, mode="w+", shape=(4, 2))
    assert not in_memory(mapped)
    assert not in_memory(Chosen(mapped, np.arange(2)))
    assert in_memory(np.zeros(2))


@pytest.mark.parametrize("block", [1, 5, 100])
def test_blocks_hold_all_rows_in_order_and_few_at_a_time(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(rows, "BLOCK", block)
    array: NDArray[Any] = np.arange(20, dtype=np.uint8).reshape(10, 2)
    found = list(blocks(array))
    assert np.array_equal(np.concatenate(found), array)
    assert {part.nbytes for part in found[:-1]} <= {max(2, block // 2 * 2)}


def test_a_stream_is_read_as_a_tensor_is() -> None:
    found, held = stream()
    order = torch.tensor([3, 0, 9])
    assert len(found) == 10
    assert torch.equal(found[2:5], held[2:5])
    assert torch.equal(found[order], held[order])
    for size in (1, 4, 10, 11):
        assert [part.tolist() for part in found.split(size)] == [part.tolist() for part in held.split(size)]
    for parts in (1, 3):
        wanted = [part.tolist() for part in held.tensor_split(parts)]
        assert [part.tolist() for part in found.tensor_split(parts)] == wanted


def test_what_follows_a_stream_changes_every_batch() -> None:
    found, held = stream()
    doubled = found.then(lambda batch: batch * 2)
    assert doubled.shape == found.shape
    assert torch.equal(torch.cat(list(doubled.split(3))), held * 2)

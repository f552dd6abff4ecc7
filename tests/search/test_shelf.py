"""The shelf: tensors by digest, in memory and on file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pruneframe import InputError
from pruneframe.model.state import digest
from pruneframe.search.shelf import Shelf


def tensors(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "weight": torch.randn(4, 3, generator=generator),
        "counter": torch.tensor(7),
        "turned": torch.randn(4, 3, generator=generator).T,
    }


def test_a_shelf_gives_back_what_was_put_there(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "weights")
    name = shelf.put(tensors())
    assert name == digest(tensors())
    for reader in (shelf, Shelf(tmp_path / "weights")):
        found = reader.get(name)
        assert all(torch.equal(found[key], tensor) for key, tensor in tensors().items())
        assert found.keys() == tensors().keys()


def test_equal_tensors_are_kept_once(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "weights")
    assert shelf.put(tensors()) == shelf.put(tensors())
    assert shelf.put(tensors(1)) != shelf.put(tensors())
    assert len(list((tmp_path / "weights").iterdir())) == 2


def test_a_shelf_holds_what_was_used_last_and_reads_the_rest_again(tmp_path: Path) -> None:
    size = sum(tensor.nbytes for tensor in tensors().values())
    shelf = Shelf(tmp_path, limit=2 * size)
    first, second, third = (shelf.put(tensors(seed)) for seed in range(3))
    held = shelf.get(second)
    assert shelf.get(third) is not None
    assert shelf.get(second) is held
    assert torch.equal(shelf.get(first)["weight"], tensors(0)["weight"])
    assert shelf.get(second) is held
    assert len(shelf._held) == 2
    memory = Shelf(None, limit=0)
    names = [memory.put(tensors(seed)) for seed in range(3)]
    assert all(torch.equal(memory.get(name)["weight"], tensors(i)["weight"]) for i, name in enumerate(names))


def test_a_shelf_removes_the_files_that_are_not_wanted(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first, second = shelf.put(tensors()), shelf.put(tensors(1))
    shelf.keep_only([second, "dense"])
    assert [path.stem for path in tmp_path.iterdir()] == [second]
    with pytest.raises(InputError, match=first):
        Shelf(tmp_path).get(first)
    Shelf(None).keep_only([])


def flip_one_byte(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def exchange(path: Path) -> None:
    other = Shelf(path.parent).put(tensors(1))
    path.write_bytes((path.parent / f"{other}.safetensors").read_bytes())


@pytest.mark.parametrize("spoil", [flip_one_byte, truncate, exchange, Path.unlink])
def test_a_spoilt_file_is_refused_by_name(spoil: Any, tmp_path: Path) -> None:
    name = Shelf(tmp_path).put(tensors())
    path = tmp_path / f"{name}.safetensors"
    spoil(path)
    with pytest.raises(InputError, match="--force") as caught:
        Shelf(tmp_path).get(name)
    assert str(path) in str(caught.value)


def test_a_shelf_without_a_folder_lives_in_memory() -> None:
    shelf = Shelf(None)
    name = shelf.put(tensors())
    assert torch.equal(shelf.get(name)["weight"], tensors()["weight"])
    with pytest.raises(InputError, match="'nothing'"):
        shelf.get("nothing")


def test_tensors_that_share_memory_are_kept(tmp_path: Path) -> None:
    """Networks with tied weights have such states."""
    weight = torch.randn(3, 3)
    shared = {"first": weight, "second": weight, "row": weight[0]}
    name = Shelf(tmp_path).put(shared)
    found = Shelf(tmp_path).get(name)
    assert all(torch.equal(found[key], tensor) for key, tensor in shared.items())

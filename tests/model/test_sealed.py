"""Sealed files: the same bytes for the same content, and nothing is believed that was changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pruneframe import InputError
from pruneframe.model.sealed import read_sealed, write_sealed

TENSORS = {"b": torch.arange(6.0).reshape(2, 3).t(), "a": torch.arange(3, dtype=torch.uint8)}
FACTS = {"z": [1, 2.5], "a": "text", "m": {"n": None}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_sealed(tmp_path / "own.safetensors", TENSORS, FACTS)
    return tmp_path / "own.safetensors"


def test_what_is_written_is_read(path: Path) -> None:
    tensors, facts = read_sealed(path)
    assert facts == FACTS
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {k: t.tolist() for k, t in TENSORS.items()}
    assert set(load_file(path)) == {"a", "b"}, "any reader of safetensors reads it"


def test_the_same_content_has_the_same_bytes(path: Path) -> None:
    other = path.with_name("other.safetensors")
    write_sealed(other, dict(reversed(TENSORS.items())), dict(reversed(FACTS.items())))
    assert other.read_bytes() == path.read_bytes()


def test_every_changed_byte_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(8, len(whole), 5):
        changed = bytearray(whole)
        changed[place] ^= 4
        path.write_bytes(changed)
        with pytest.raises(InputError, match=path.name):
            read_sealed(path)


@pytest.mark.parametrize("length", [0, 4, 60, -1])
def test_a_torn_file_is_refused(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match="remove it"):
        read_sealed(path)


def test_a_file_that_says_nothing_is_refused(tmp_path: Path) -> None:
    save_file(TENSORS | {"b": torch.ones(2)}, tmp_path / "plain.safetensors")
    with pytest.raises(InputError, match="pruneframe train"):
        read_sealed(tmp_path / "plain.safetensors")

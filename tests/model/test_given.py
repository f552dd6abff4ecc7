"""Weights that a user makes: loaded by their hash, and where they are not there it is said how they come about."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pruneframe import Given, InputError
from pruneframe.model.state import digest
from pruneframe.testing import TinyNetwork, tiny_problem


def seeded(seed: int) -> TinyNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TinyNetwork()


def load(given: Given, module: TinyNetwork) -> None:
    given.load(module, tiny_problem().images, lambda line: None)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file belongs in the folder that PRUNEFRAME_DATA names; the cache is empty."""
    folder = tmp_path / "named/weights"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PRUNEFRAME_DATA", str(folder.parent))
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    return folder / "own.safetensors"


def given(path: Path, content: bytes) -> Given:
    return Given(path.name, hashlib.sha256(content).hexdigest(), "examples/made.py makes it")


def test_the_file_is_loaded(path: Path) -> None:
    source, module = seeded(1), seeded(2)
    save_file(source.state_dict(), path)
    load(given(path, path.read_bytes()), module)
    assert digest(module.state_dict()) == digest(source.state_dict())


def test_without_the_file_it_is_said_how_it_is_made(path: Path) -> None:
    with pytest.raises(InputError) as error:
        load(given(path, b""), seeded(1))
    assert all(word in str(error.value) for word in ("own.safetensors", "examples/made.py makes it", "PRUNEFRAME_DATA"))
    assert "\n" not in str(error.value)


def test_another_file_of_that_name_is_refused(path: Path) -> None:
    save_file(seeded(1).state_dict(), path)
    with pytest.raises(InputError, match=r"own\.safetensors must have the SHA-256 .*examples/made\.py makes it"):
        load(given(path, b"other"), seeded(1))

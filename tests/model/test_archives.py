"""Archives that unpack to far more than they are: refused before memory is taken for it."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pruneframe.errors import InputError
from pruneframe.model.archives import FREE, read_arrays, read_packed
from pruneframe.model.weights import read_checkpoint, sha256

HUGE = 1 << 33  # bytes that the bombs unpack to


def bomb(path: Path, name: str = "images.npy", header: bytes = b"") -> None:
    """A zip file of kilobytes that says it has one large file, and has."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w", force_zip64=True) as file:
        file.write(header)
        for _ in range(20):
            file.write(bytes(1 << 24))


def npy_header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def taken(read: Callable[[], object], error: type[Exception]) -> int:
    """Bytes at most while it is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(error):
            read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bomb_of_arrays_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    bomb(path, header=npy_header((20, 1 << 24)))
    assert path.stat().st_size < 1 << 20
    assert taken(lambda: read_arrays(path), ValueError) < FREE


def test_an_array_that_claims_more_than_it_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", npy_header((HUGE,)) + b"few")
    with pytest.raises((ValueError, MemoryError)):
        read_arrays(path)


def test_a_gzip_bomb_is_read_as_far_as_it_may_be_meant(tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(bytes(1 << 27), 9))
    assert taken(lambda: read_packed(path, 1 << 16), ValueError) < 1 << 22
    path.write_bytes(gzip.compress(b"all of it"))
    assert read_packed(path, 1 << 16) == b"all of it"


def test_a_checkpoint_that_is_a_bomb_is_refused(tmp_path: Path) -> None:
    bomb(tmp_path / "weights.pth", "archive/data/0")
    with pytest.raises(InputError, match="must be a checkpoint"):
        read_checkpoint(tmp_path / "weights.pth")


def test_what_compresses_as_data_do_is_read(tmp_path: Path) -> None:
    arrays = {"images": np.arange(100_000) % 7, "labels": np.zeros(1000, dtype=int)}
    np.savez_compressed(tmp_path / "data.npz", allow_pickle=False, **arrays)
    found = read_arrays(tmp_path / "data.npz")
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
    assert list(read_arrays(tmp_path / "data.npz", ["labels", "absent"])) == ["labels"]
    torch.save({"a": torch.zeros(10_000_000)}, tmp_path / "weights.pth")
    assert read_checkpoint(tmp_path / "weights.pth")["a"].shape == (10_000_000,)


def test_weights_that_never_end_are_not_read() -> None:
    with pytest.raises(InputError, match="plain file"):
        sha256(Path("/dev/zero"))

"""CIFAR-10 and CIFAR-100: from arrays, from the official folder, downloaded once, and refused where damaged."""

from __future__ import annotations

import gc
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torchvision.datasets
from numpy.typing import NDArray
from published import write_cifar

from pruneframe import InputError, Split
from pruneframe.model.cifar import cifar10, cifar100


def save_npz(path: Path, compressed: bool = False, **arrays: NDArray) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path.read_bytes()


def small_cifar(n: int = 3) -> dict[str, NDArray]:
    rng = np.random.default_rng(0)
    found: dict[str, NDArray] = {}
    for part in ("train", "test"):
        found[f"x_{part}"] = rng.integers(0, 4, (n, 32, 32, 3), dtype=np.uint8)  # few values: they compress
        found[f"y_{part}"] = rng.integers(0, 10, n)
    return found


def damage(raw: bytes) -> bytes:
    middle = len(raw) // 3
    return raw[:middle] + np.random.default_rng(0).bytes(200) + raw[middle + 200 :]


def npy(array: NDArray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def pickled(path: Path) -> bytes:
    arrays = small_cifar()
    return save_npz(path, **(arrays | {"x_train": np.array([object], dtype=object)}))


def zip_of_text(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", "not an array")
    return path.read_bytes()


@pytest.mark.parametrize(
    "make",
    [
        lambda path: b"",
        lambda path: b"not an npz",
        lambda path: save_npz(path, **small_cifar())[:-300],
        lambda path: damage(save_npz(path, **small_cifar())),
        lambda path: damage(save_npz(path, compressed=True, **small_cifar())),
        lambda path: save_npz(path, x_train=np.zeros(3)),
        lambda path: save_npz(path, **small_cifar()),
        lambda path: npy(np.zeros(3)),
        pickled,
        zip_of_text,
    ],
    ids=["empty", "text", "truncated", "damaged", "compressed", "names", "shapes", "npy", "pickle", "zip-of-text"],
)  # fmt: skip
@pytest.mark.parametrize(("load", "file"), [(cifar10, "cifar10.npz"), (cifar100, "cifar100.npz")])
def test_a_file_that_is_not_cifar_is_named_and_to_be_replaced(
    load: Callable[[], object], file: str, make: Callable[[Path], bytes], empty_cache: Path, no_network: None
) -> None:
    path = empty_cache / file
    path.parent.mkdir(parents=True)
    path.write_bytes(make(path))
    with pytest.raises(InputError, match="replace it") as caught:
        load()
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    del caught
    gc.collect()  # a file left open would warn here, and not in some later test


def fake_cifar(downloads: list[Path]) -> Callable[..., SimpleNamespace]:
    def make(folder: Path, train: bool, download: bool) -> SimpleNamespace:
        assert download
        downloads.append(folder)
        n = 50_000 if train else 10_000
        data = np.zeros((n, 32, 32, 3), dtype=np.uint8)
        data[:, 0, 0, 0] = np.arange(n) % 251
        return SimpleNamespace(data=data, targets=[i % 10 for i in range(n)])

    return make


@pytest.mark.parametrize(
    ("load", "name", "file"), [(cifar10, "CIFAR10", "cifar10.npz"), (cifar100, "CIFAR100", "cifar100.npz")]
)
def test_it_is_downloaded_once_and_kept_as_arrays(
    load: Callable[[], tuple[Split, Split]], name: str, file: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads: list[Path] = []
    monkeypatch.setattr(torchvision.datasets, name, fake_cifar(downloads))
    train, test = load()
    assert (len(train), len(test)) == (50_000, 10_000)
    assert train.labels.dtype == test.labels.dtype == np.int64
    assert train.images[260, 0, 0, 0] == 9
    assert np.array_equal(test.labels[:12], [*range(10), 0, 1])
    assert len(downloads) == 2
    assert not any(folder.exists() for folder in downloads)  # the download itself is not kept
    assert [path.name for path in empty_cache.iterdir()] == [file]
    with np.load(empty_cache / file) as arrays:
        assert sorted(arrays) == ["x_test", "x_train", "y_test", "y_train"]
    again, _ = load()
    assert len(downloads) == 2
    assert again.digest == train.digest


def ten(images: NDArray[np.uint8]) -> NDArray[np.integer]:
    """Labels that follow from the first pixel."""
    return images[:, 0] % 10


OFFICIAL = [
    (cifar10, "CIFAR10", {"train": 20, "test": 4}),
    (cifar100, "CIFAR100", {"train": 4, "test": 4}),
]


@pytest.mark.parametrize(("load", "name", "sizes"), OFFICIAL, ids=["cifar10", "cifar100"])
def test_the_official_folder_is_read_where_it_lies(
    load: Callable[[], tuple[Split, Split]],
    name: str,
    sizes: dict[str, int],
    empty_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_cifar(tmp_path / "named", name, monkeypatch, ten)
    monkeypatch.setenv("PRUNEFRAME_DATA", str(tmp_path / "named"))
    train, test = load()
    assert {"train": len(train), "test": len(test)} == sizes
    for split in (train, test):
        assert split.images.shape[1:] == (32, 32, 3)
        assert np.array_equal(split.labels, split.images[:, 0, 0, 0] % 10)  # channels come first in the file
    assert not empty_cache.exists()


def test_official_files_that_are_not_as_published_are_never_unpickled(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_cifar(empty_cache, "CIFAR100", monkeypatch, ten)
    raw = (folder / "train").read_bytes()
    (folder / "train").write_bytes(raw[:-3] + b"abc")
    monkeypatch.setattr(pickle, "load", lambda *a, **k: pytest.fail("it must be refused by its checksum"))
    with pytest.raises(InputError, match="replace it") as caught:
        cifar100()
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)

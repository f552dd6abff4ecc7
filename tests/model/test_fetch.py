"""Data sets: where they are looked for, downloaded once, and refused by name where they are damaged."""

from __future__ import annotations

import gc
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torchvision.datasets
from numpy.typing import NDArray

from pruneframe import Data, InputError
from pruneframe.files import cache_folder
from pruneframe.model.fetch import cifar10, digits, find, mnist

MNIST_FILES = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without files, and no folder of data."""
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*arguments: object, **settings: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", unreachable)
    monkeypatch.setattr(torchvision.datasets, "MNIST", unreachable)


def put(folder: Path, relative: str, text: str = "") -> Path:
    path = folder / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_named_folder_is_searched_before_the_cache(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == empty_cache
    assert find("weights/a.th") is None
    cached = put(empty_cache, "weights/a.th")
    only_cached = put(empty_cache, "weights/b.th")
    assert find("weights/a.th") == cached
    named = put(tmp_path / "named", "weights/a.th")
    monkeypatch.setenv("PRUNEFRAME_DATA", str(tmp_path / "named"))
    assert find("weights/a.th") == named
    assert find("weights/b.th") == only_cached
    assert find("weights/c.th") is None


@pytest.mark.parametrize("kind", ["absent", "file"])
def test_a_named_folder_must_exist(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = put(tmp_path, "file") if kind == "file" else tmp_path / "absent"
    monkeypatch.setenv("PRUNEFRAME_DATA", str(named))
    with pytest.raises(InputError, match="PRUNEFRAME_DATA"):
        find("cifar10.npz")


def test_digits_are_small_grey_images() -> None:
    split = digits()
    assert split.images.shape == (1797, 1, 8, 8)
    assert split.images.dtype == np.float32
    assert (split.images.min(), split.images.max()) == (0, 1)
    assert split.labels.dtype == np.int64
    assert np.array_equal(np.unique(split.labels), np.arange(10))


@pytest.mark.parametrize(("load", "relative"), [(cifar10, "cifar10.npz"), (mnist, "MNIST/raw/")])
def test_without_a_network_the_error_says_what_to_put_where(
    load: Callable[[], object], relative: str, empty_cache: Path, no_network: None
) -> None:
    with pytest.raises(InputError) as caught:
        load()
    message = str(caught.value)
    for part in (relative, str(empty_cache), "PRUNEFRAME_DATA", "--data", "no route to host"):
        assert part in message
    assert "\n" not in message
    assert not list(empty_cache.rglob("*.npz"))


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
def test_a_file_that_is_not_cifar10_is_named_and_to_be_replaced(
    make: Callable[[Path], bytes], empty_cache: Path, no_network: None
) -> None:
    path = empty_cache / "cifar10.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(make(path))
    with pytest.raises(InputError, match="replace it") as caught:
        cifar10()
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    del caught
    gc.collect()  # a file left open would warn here, and not in some later test


def fake_cifar10(downloads: list[Path]) -> Callable[..., SimpleNamespace]:
    def make(folder: str, train: bool, download: bool) -> SimpleNamespace:
        assert download
        downloads.append(Path(folder))
        n = 50_000 if train else 10_000
        data = np.zeros((n, 32, 32, 3), dtype=np.uint8)
        data[:, 0, 0, 0] = np.arange(n) % 251
        return SimpleNamespace(data=data, targets=[i % 10 for i in range(n)])

    return make


def test_cifar10_is_downloaded_once_and_kept_as_arrays(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads: list[Path] = []
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", fake_cifar10(downloads))
    train, test = cifar10()
    assert (len(train), len(test)) == (50_000, 10_000)
    assert train.labels.dtype == test.labels.dtype == np.int64
    assert train.images[260, 0, 0, 0] == 9
    assert np.array_equal(test.labels[:12], [*range(10), 0, 1])
    assert len(downloads) == 2
    assert not any(folder.exists() for folder in downloads)  # the download itself is not kept
    assert [path.name for path in empty_cache.iterdir()] == ["cifar10.npz"]
    with np.load(empty_cache / "cifar10.npz") as arrays:
        assert sorted(arrays) == ["x_test", "x_train", "y_test", "y_train"]
    again, _ = cifar10()
    assert len(downloads) == 2
    assert again.digest == train.digest


def write_idx(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.int64], part: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, header, array in (("images-idx3", 16, images), ("labels-idx1", 8, labels.astype(np.uint8))):
        with gzip.open(folder / f"{part}-{kind}-ubyte.gz", "wb") as file:
            file.write(bytes(header) + array.tobytes())


def fake_mnist(roots: list[Path], n: int = 7) -> Callable[..., object]:
    def make(root: Path, download: bool) -> object:
        assert download
        roots.append(Path(root))
        rng = np.random.default_rng(0)
        for part in ("train", "t10k"):
            images = rng.integers(0, 10, (n, 28, 28), dtype=np.uint8)
            write_idx(Path(root) / "MNIST/raw", images, images[:, 0, 0], part)
        return object()

    return make


def test_mnist_is_downloaded_once_into_the_cache(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roots: list[Path] = []
    monkeypatch.setattr(torchvision.datasets, "MNIST", fake_mnist(roots))
    train, test = mnist()
    for split in (train, test):
        assert split.images.shape == (7, 28, 28, 1)
        assert split.images.dtype == np.uint8
        assert np.array_equal(split.labels, split.images[:, 0, 0, 0])
        assert split.labels.dtype == np.int64
    assert not np.array_equal(train.images, test.images)
    assert mnist()[0].digest == train.digest
    assert roots == [empty_cache]
    data = Data(train, train, test, mean=(0.1307,), std=(0.3081,))
    assert data.tensor(test).shape == (7, 1, 28, 28)


@pytest.mark.parametrize("name", MNIST_FILES)
def test_a_download_of_mnist_that_was_cut_short_is_taken_up_again(
    name: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision.datasets, "MNIST", fake_mnist([]))
    whole = mnist()[0].digest
    (empty_cache / "MNIST/raw" / name).unlink()
    assert mnist()[0].digest == whole


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: b"not gzip",
        lambda raw: raw[:-20],
        damage,
        lambda raw: gzip.compress(b""),
        lambda raw: gzip.compress(gzip.decompress(raw)[:-100]),
    ],
    ids=["text", "truncated", "damaged", "empty", "short"],
)
def test_damaged_mnist_files_are_refused_by_name(
    spoil: Callable[[bytes], bytes], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision.datasets, "MNIST", fake_mnist([]))
    mnist()
    monkeypatch.setattr(torchvision.datasets, "MNIST", lambda *a, **k: None)  # torchvision does not repair them
    path = empty_cache / "MNIST/raw" / MNIST_FILES[0]
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError) as caught:
        mnist()
    assert str(path.parent) in str(caught.value) or path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_named_folder_is_read_and_never_written_to(
    empty_cache: Path, no_network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "named"
    fake_mnist([])(named, download=True)
    before = {path: path.stat().st_mtime_ns for path in named.rglob("*")}
    monkeypatch.setenv("PRUNEFRAME_DATA", str(named))
    assert len(mnist()[0]) == 7
    with pytest.raises(InputError):
        cifar10()
    assert {path: path.stat().st_mtime_ns for path in named.rglob("*")} == before

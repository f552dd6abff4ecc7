"""Digits, MNIST and Fashion-MNIST: downloaded once, packed or not, and refused by name where they are damaged."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from published import write_idx

from pruneframe import Data, InputError, Split
from pruneframe.model.cifar import cifar10
from pruneframe.model.digits import digits, fashion_mnist, mnist

MNIST_FILES = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


def test_digits_are_small_grey_images() -> None:
    split = digits()
    assert split.images.shape == (1797, 1, 8, 8)
    assert split.images.dtype == np.float32
    assert (split.images.min(), split.images.max()) == (0, 1)
    assert split.labels.dtype == np.int64
    assert np.array_equal(np.unique(split.labels), np.arange(10))


def damage(raw: bytes) -> bytes:
    middle = len(raw) // 3
    return raw[:middle] + np.random.default_rng(0).bytes(200) + raw[middle + 200 :]


def fake_mnist(roots: list[Path], name: str = "MNIST", n: int = 7) -> Callable[..., object]:
    def make(root: Path, download: bool) -> object:
        assert download
        roots.append(Path(root))
        rng = np.random.default_rng(0)
        for part in ("train", "t10k"):
            images = rng.integers(0, 10, (n, 28, 28), dtype=np.uint8)
            write_idx(Path(root) / name / "raw", images, images[:, 0, 0], part)
        return object()

    return make


@pytest.mark.parametrize(("load", "name"), [(mnist, "MNIST"), (fashion_mnist, "FashionMNIST")])
def test_it_is_downloaded_once_into_the_cache(
    load: Callable[[], tuple[Split, Split]], name: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots: list[Path] = []
    monkeypatch.setattr(torchvision.datasets, name, fake_mnist(roots, name))
    train, test = load()
    for split in (train, test):
        assert split.images.shape == (7, 28, 28, 1)
        assert split.images.dtype == np.uint8
        assert np.array_equal(split.labels, split.images[:, 0, 0, 0])
        assert split.labels.dtype == np.int64
    assert not np.array_equal(train.images, test.images)
    assert load()[0].digest == train.digest
    assert roots == [empty_cache]
    data = Data(train, train, test, mean=(0.1307,), std=(0.3081,))
    assert data.tensor(test).shape == (7, 1, 28, 28)


def test_files_that_are_unpacked_are_read_as_they_are(empty_cache: Path, no_network: None) -> None:
    fake_mnist([], "FashionMNIST")(empty_cache, download=True)
    packed = fashion_mnist()[0].digest
    for path in list(empty_cache.rglob("*.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert fashion_mnist()[0].digest == packed
    damaged = empty_cache / "FashionMNIST/raw/t10k-labels-idx1-ubyte"
    damaged.write_bytes(b"idx")
    with pytest.raises(InputError, match="replace it") as caught:
        fashion_mnist()
    assert str(damaged) in str(caught.value)


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

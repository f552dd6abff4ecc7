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
import torch
import torchvision.datasets
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pruneframe import Data, InputError, Split
from pruneframe.data import cache_folder, cifar10, digits, find, mnist

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


def numbered(labels: NDArray[np.int64]) -> Split:
    """Images that carry their own number."""
    return Split(np.arange(len(labels), dtype=np.float32).reshape(-1, 1, 1, 1), labels)


LABELS = arrays(np.int64, st.integers(1, 300), elements=st.integers(0, 6))


@settings(deadline=None, max_examples=200)
@given(labels=LABELS, share=st.floats(0, 1))
def test_stratified_parts_have_the_size_and_the_class_shares_asked_for(labels: NDArray[np.int64], share: float) -> None:
    n = max(1, round(share * len(labels)))
    first, rest = numbered(labels).stratified(n)
    assert len(first) == n
    assert len(rest) == len(labels) - n
    for label in range(7):
        exact = n * np.mean(labels == label)
        assert np.floor(exact - 1e-9) <= np.sum(first.labels == label) <= np.ceil(exact + 1e-9)
    rows = np.concatenate([first.images, rest.images]).ravel().astype(int)
    assert np.array_equal(np.sort(rows), np.arange(len(labels)))  # disjoint, and nothing is lost
    for part in (first, rest):
        assert np.array_equal(part.labels, labels[part.images.ravel().astype(int)])
        assert np.all(np.diff(part.images.ravel()) > 0)


def test_the_same_images_are_drawn_every_time() -> None:
    labels = np.random.default_rng(3).integers(0, 10, 500)
    np.random.seed(1)
    first = numbered(labels).stratified(123)[0]
    np.random.seed(2)
    assert np.array_equal(numbered(labels).stratified(123)[0].images, first.images)
    assert not np.array_equal(first.images.ravel(), np.arange(123))


@pytest.mark.parametrize("n", [0, -1, 6])
def test_more_images_than_there_are_cannot_be_drawn(n: int) -> None:
    with pytest.raises(InputError, match=rf"0 < images <= 5 must hold, but got {n}"):
        numbered(np.zeros(5, dtype=np.int64)).stratified(n)


def test_a_splits_digest_follows_everything_it_holds() -> None:
    images, labels = np.arange(24, dtype=np.float32).reshape(2, 1, 3, 4), np.array([0, 1])
    changed = images.copy()
    changed[1, 0, 0, 0] += 1
    others = [Split(changed, labels), Split(images, labels[::-1]), Split(images.reshape(2, 1, 4, 3), labels)]
    assert Split(images.copy(), labels.copy()).digest == Split(images, labels).digest
    assert len({Split(images, labels).digest, *(other.digest for other in others)}) == 4


def uint8_split(n: int = 4, channels: int = 3) -> Split:
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (n, 5, 6, channels), dtype=np.uint8), np.arange(n) % 2)


def test_uint8_images_are_scaled_standardised_and_put_channels_first() -> None:
    split, mean, std = uint8_split(), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    data = Data(split, split, split, mean, std)
    expected = ((split.images / 255 - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2)
    found = data.tensor(split)
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert data.input_shape == (3, 5, 6)
    assert data.classes == 2


def test_one_mean_and_deviation_serve_all_channels() -> None:
    split = uint8_split()
    assert torch.equal(
        Data(split, split, split, (0.5,), (0.2,)).tensor(split),
        Data(split, split, split, (0.5,) * 3, (0.2,) * 3).tensor(split),
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_images_are_taken_as_they_are(dtype: type) -> None:
    images = np.random.default_rng(0).normal(size=(4, 2, 5, 6)).astype(dtype)
    split = Split(images, np.array([0, 1, 2, 0]))
    data = Data(split, split, split)
    assert data.tensor(split).dtype == torch.float32
    assert np.array_equal(data.tensor(split).numpy(), images.astype(np.float32))
    assert data.input_shape == (2, 5, 6)
    assert data.classes == 3


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_read_only_images_are_read(kind: str) -> None:
    """Arrays over a file's bytes cannot be written to; torch warns about that, and warnings are errors here."""
    split = uint8_split() if kind == "uint8" else numbered(np.array([0, 1]))
    writable = Data(split, split, split).tensor(split)
    split.images.flags.writeable = False
    assert torch.equal(Data(split, split, split).tensor(split), writable)


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_making_tensors_leaves_the_images_alone(kind: str) -> None:
    split = uint8_split() if kind == "uint8" else numbered(np.array([0, 1]))
    before = split.digest
    Data(split, split, split, (0.5,), (0.5,)).tensor(split)
    assert split.digest == before


def test_the_classes_are_those_of_all_splits() -> None:
    parts = [numbered(np.array(labels)) for labels in ([0, 1], [0, 4], [2])]
    assert Data(*parts).classes == 5


IMAGES, TWO = np.zeros((2, 1, 3, 3), dtype=np.float32), np.array([0, 1])


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (IMAGES[0], TWO),
        (IMAGES, TWO[:1]),
        (IMAGES[:0], TWO[:0]),
        (IMAGES, TWO[:, None]),
        (IMAGES, TWO.astype(float)),
        (IMAGES, TWO - 1),
        (IMAGES.astype(np.int32), TWO),
        (IMAGES.astype(bool), TWO),
    ],
    ids=["3d", "counts", "empty", "2d-labels", "float-labels", "negative-label", "int-images", "bool-images"],
)
@pytest.mark.parametrize("name", ["train", "search", "test"])
def test_a_split_of_other_shapes_or_types_is_refused_by_name(name: str, images: NDArray, labels: NDArray) -> None:
    parts = {part: Split(IMAGES, TWO) for part in ("train", "search", "test")}
    parts[name] = Split(images, labels)
    with pytest.raises(InputError, match=f"the {name} split"):
        Data(**parts)


@pytest.mark.parametrize("name", ["train", "search"])
def test_splits_with_images_of_different_sizes_are_refused(name: str) -> None:
    parts = {part: Split(IMAGES, TWO) for part in ("train", "search", "test")}
    parts[name] = Split(np.zeros((2, 1, 4, 4), dtype=np.float32), TWO)
    with pytest.raises(InputError, match=name):
        Data(**parts)


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

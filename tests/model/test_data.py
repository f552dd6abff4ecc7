"""Images in splits: stratified shares, what a network sees of them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pruneframe import Data, InputError, Inputs, Split
from pruneframe.model import data as data_module
from pruneframe.model import rows
from pruneframe.model.rows import Stream


def numbered(labels: NDArray[np.int64]) -> Split:
    """Images that carry their own number."""
    return Split(np.arange(len(labels), dtype=np.float32).reshape(-1, 1, 1, 1), labels)


LABELS = arrays(np.int64, st.integers(1, 300), elements=st.integers(0, 6))


@settings(max_examples=200)
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
        (IMAGES[:, 0, 0, 0], TWO),
        (IMAGES, TWO[:1]),
        (IMAGES[:0], TWO[:0]),
        (IMAGES, TWO[:, None]),
        (IMAGES, TWO.astype(float)),
        (IMAGES, TWO - 1),
        (IMAGES.astype(np.uint8)[0], TWO[:1]),
        (IMAGES.astype(np.uint16), TWO),
        (IMAGES.astype(np.int32) - 1, TWO),
        (IMAGES.astype(bool), TWO),
    ],
    ids=[
        *("1d", "counts", "empty", "2d-labels", "float-labels", "negative-label"),
        *("3d-uint8", "unsigned", "negative-id", "bool-images"),
    ],
)
@pytest.mark.parametrize("name", ["train", "search", "test"])
def test_a_split_of_other_shapes_or_types_is_refused_by_name(name: str, images: NDArray, labels: NDArray) -> None:
    parts = {part: Split(IMAGES, TWO) for part in ("train", "search", "test")}
    parts[name] = Split(images, labels)
    with pytest.raises(InputError, match=f"the {name} split"):
        Data(**parts)


@pytest.mark.parametrize("shape", [(7,), (2, 9), (1, 3, 4, 5)], ids=["features", "series", "volumes"])
def test_numbers_of_any_shape_are_taken_as_they_are(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=(4, *shape))
    split = Split(values, np.array([0, 1, 2, 0]))
    data = Data(split, split, split)
    assert data.tensor(split).dtype == torch.float32
    assert np.array_equal(data.tensor(split).numpy(), values.astype(np.float32))
    assert data.inputs == Inputs(shape)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64])
def test_token_ids_stay_integers_and_are_from_0_to_the_largest_of_all_splits(dtype: type) -> None:
    parts = [Split(np.array([[0, 1, 2], [0, 0, most]], dtype=dtype), TWO) for most in (3, 9, 5)]
    data = Data(*parts)
    assert data.tensor(parts[0]).dtype == torch.int64
    assert np.array_equal(data.tensor(parts[1]).numpy(), parts[1].images)
    assert data.inputs == Inputs((3,), 10)


@pytest.mark.parametrize("name", ["train", "search"])
def test_splits_with_inputs_of_different_kinds_are_refused(name: str) -> None:
    parts = {part: Split(IMAGES, TWO) for part in ("train", "search", "test")}
    parts[name] = Split(IMAGES.astype(np.int64), TWO)
    with pytest.raises(InputError, match=f"all splits need images of one kind, but {name} has int64 and test float32"):
        Data(**parts)


@pytest.mark.parametrize("name", ["train", "search"])
def test_splits_with_images_of_different_sizes_are_refused(name: str) -> None:
    parts = {part: Split(IMAGES, TWO) for part in ("train", "search", "test")}
    parts[name] = Split(np.zeros((2, 1, 4, 4), dtype=np.float32), TWO)
    with pytest.raises(InputError, match=name):
        Data(**parts)


class OnDisk(np.memmap):
    """A memory map that counts the rows that are read at a time."""

    most = 0

    def __getitem__(self, rows: Any) -> Any:
        found = super().__getitem__(rows)
        OnDisk.most = max(OnDisk.most, len(found))
        return found


def mapped(path: Path, images: NDArray[Any]) -> NDArray[Any]:
    """The same images in a file."""
    found = np.memmap(path, dtype=images.dtype, mode="w+", shape=images.shape)
    found[:] = images
    OnDisk.most = 0
    return found.view(OnDisk)


def test_images_on_disk_are_those_in_memory_and_never_read_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 5, 4, 3), dtype=np.uint8), np.arange(60) % 3
    monkeypatch.setattr(rows, "BLOCK", 8 * images[0].nbytes)
    monkeypatch.setattr(data_module, "HELD", 0)
    held = Split(images, labels)
    split = Split(mapped(tmp_path / "images", images), labels)
    data = Data(split, split, split, (0.5,) * 3, (0.2,) * 3)
    assert data.inputs == Data(held, held, held).inputs
    assert split.digest == held.digest
    for n in (30, 60):
        chosen = split.chosen(n)
        assert chosen.digest == held.chosen(n).digest
        assert chosen.stratified(9)[1].digest == held.chosen(n).stratified(9)[1].digest
        stream = data.source(chosen)
        assert isinstance(stream, Stream)
        assert stream.shape == (n, 3, 5, 4)
        wanted = Data(held, held, held, data.mean, data.std).tensor(held.chosen(n))
        assert torch.equal(torch.cat(list(stream.split(7))), wanted)
    assert 0 < OnDisk.most <= 8


def test_token_ids_on_disk_are_checked_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.arange(40, dtype=np.int32).reshape(20, 2)
    monkeypatch.setattr(rows, "BLOCK", 4 * ids[0].nbytes)
    split = Split(mapped(tmp_path / "ids", ids), np.arange(20) % 2)
    assert Data(split, split, split).inputs.vocabulary == 40
    assert 0 < OnDisk.most <= 4
    with pytest.raises(InputError, match="from 0, but one is -3"):
        Data(*[Split(mapped(tmp_path / "ids", ids - 3), np.arange(20) % 2)] * 3)


def test_what_fits_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.zeros((4, 2, 2, 1), dtype=np.uint8)
    split = Split(images, np.arange(4) % 2)
    data = Data(split, split, split)
    monkeypatch.setattr(data_module, "HELD", 4 * images.size)
    assert isinstance(data.source(split), torch.Tensor)
    monkeypatch.setattr(data_module, "HELD", 4 * images.size - 1)
    assert isinstance(data.source(split), Stream)

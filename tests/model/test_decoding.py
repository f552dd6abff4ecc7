"""Images decoded once into the cache: the same as by Pillow, whole after a kill, and refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pruneframe import Crop, InputError
from pruneframe.model import decoding
from pruneframe.model.decoding import decoded

CROP = Crop(resize=12, size=8)


@pytest.fixture
def files(tmp_path: Path, empty_cache: Path) -> list[Path]:
    """Seven images of noise, of several sizes, in two folders."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(7):
        path = tmp_path / "images" / f"class{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (13 + i, 30 - 3 * i, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        found.append(path)
    return found


def by_torchvision(path: Path, crop: Crop) -> NDArray[np.uint8]:
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    mode = InterpolationMode(crop.filter)
    with Image.open(path) as image:
        return np.asarray(Compose([Resize(crop.resize, mode), CenterCrop(crop.size)])(image.convert("RGB")))


@pytest.mark.parametrize("crop", [CROP, Crop(12, 8, "bicubic"), Crop(9, 9), Crop(11, 8)], ids=str)
def test_images_are_those_of_torchvisions_transforms(crop: Crop, files: list[Path]) -> None:
    found = decoded(files, crop)
    assert isinstance(found, np.memmap)
    assert found.shape == (7, crop.size, crop.size, 3)
    for image, path in zip(found, files, strict=True):
        assert np.array_equal(image, by_torchvision(path, crop))


def test_they_are_decoded_once_and_known_where_they_are_moved(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = np.array(decoded(files, CROP))
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    moved = [tmp_path / "elsewhere" / path.parent.name / path.name for path in files]
    with monkeypatch.context() as patch:
        patch.setattr(Crop, "decoded", lambda *a: pytest.fail("they have been decoded"))
        assert np.array_equal(decoded(moved, CROP), first)
    Image.new("RGB", (40, 40), (1, 2, 3)).save(moved[3])
    assert np.array_equal(decoded(moved, CROP)[3], np.full((8, 8, 3), [1, 2, 3]))
    assert not np.array_equal(decoded(moved, Crop(12, 8, "bicubic"))[0], first[0])


@pytest.mark.parametrize("images", [0, 1, 2, 3, 4, 5, 6])
def test_what_was_killed_goes_on_and_is_whole(
    images: int, files: list[Path], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far it came: the block that may not be on the disk is decoded again, those before it are not."""
    monkeypatch.setattr(decoding, "BLOCK", 2)
    whole = np.stack([CROP.decoded(path) for path in files])
    count = 0

    def killed(self: Crop, path: Path) -> NDArray[np.uint8]:
        nonlocal count
        if files.index(path) >= images:
            raise KeyboardInterrupt
        count += 1
        return whole[files.index(path)]

    with monkeypatch.context() as patch:
        patch.setattr(Crop, "decoded", killed)
        with pytest.raises(KeyboardInterrupt):
            decoded(files, CROP)
    assert not list(empty_cache.rglob("*.npy"))
    asked: list[Path] = []
    plain = Crop.decoded
    monkeypatch.setattr(Crop, "decoded", lambda self, path: asked.append(path) or plain(self, path))  # type: ignore[func-returns-value]
    assert np.array_equal(decoded(files, CROP), whole)
    sure = max(0, -(-images // 2) - 1) * 2  # of the blocks that were begun, all but the last
    assert sorted(asked) == sorted(files[sure:])
    assert not list(empty_cache.rglob("*.part"))


def test_a_block_with_holes_behind_a_crash_is_not_believed(
    files: list[Path], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "BLOCK", 2)
    whole = np.array(decoded(files, CROP))
    [path] = empty_cache.rglob("*.npy")
    raw = path.read_bytes()
    start = len(raw) - whole.nbytes
    path.unlink()
    path.with_suffix(".part").write_bytes(raw[: start + 2 * 192] + bytes(2 * 192))
    assert np.array_equal(decoded(files, CROP), whole)


def test_no_room_is_told_before_anything_is_written(
    files: list[Path], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = type("Usage", (), {"free": 100})
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda path: full)
    with pytest.raises(InputError, match=r"decoded images need 0\.0 GB in .* PRUNEFRAME_CACHE"):
        decoded(files, CROP)
    assert not list(empty_cache.rglob("*.npy"))


def test_a_disk_that_is_full_at_once_leaves_what_goes_on(
    files: list[Path], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "BLOCK", 2)
    flushed = 0

    def full(handle: int) -> None:
        nonlocal flushed
        flushed += 1
        if flushed == 3:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            decoded(files, CROP)
    assert not list(empty_cache.rglob("*.npy"))
    assert np.array_equal(decoded(files, CROP), np.stack([CROP.decoded(path) for path in files]))


def test_a_file_that_is_no_image_is_named(files: list[Path]) -> None:
    files[4].write_bytes(files[4].read_bytes()[:60])
    with pytest.raises(InputError, match="must be an image") as caught:
        decoded(files, CROP)
    assert str(files[4]) in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"text", None], ids=["empty", "text", "cut"])
def test_a_damaged_cache_is_named(raw: bytes | None, files: list[Path], empty_cache: Path) -> None:
    decoded(files, CROP)
    [path] = empty_cache.rglob("*.npy")
    path.write_bytes(path.read_bytes()[:-100] if raw is None else raw)
    with pytest.raises(InputError, match="remove it") as caught:
        decoded(files, CROP)
    assert str(path) in str(caught.value)


def test_images_as_they_are_must_have_the_size(files: list[Path]) -> None:
    with pytest.raises(InputError, match="must be 8 x 8 pixels, but is 30 x 13"):
        decoded(files, Crop(None, 8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [((10, 12), "1 <= size <= resize"), ((12, 0), "1 <= size"), ((12, 8, "nearest"), "filter must be bilinear or")],
)
def test_a_crop_that_cannot_be_is_refused(settings: tuple[int, int, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Crop(*settings)  # type: ignore[arg-type]

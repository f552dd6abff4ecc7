"""Data sets in the forms in which they are published, of a few images each."""

from __future__ import annotations

import gzip
import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from numpy.typing import NDArray
from PIL import Image

from pruneframe.model import cifar

CIFAR_KEYS = {"CIFAR10": "labels", "CIFAR100": "fine_labels"}  # of what is pickled
WNIDS = ("n01440764", "n01443537", "n02102040")  # the first and the third are Imagenette's
PLACES = [0, 1, 217]  # among the 1,000


def write_idx(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.integer], part: str) -> None:
    """MNIST's two files of a part, "train" or "t10k"."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, magic, array in (("images-idx3", 2051, images), ("labels-idx1", 2049, labels.astype(np.uint8))):
        with gzip.open(folder / f"{part}-{kind}-ubyte.gz", "wb", compresslevel=1) as file:
            file.write(np.array([magic, *array.shape], dtype=">i4").tobytes() + array.tobytes())


def write_cifar(
    root: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    labels: Callable[[NDArray[np.uint8]], NDArray[np.integer]],
    n: int = 4,
) -> Path:
    """The folder of CIFAR10 or CIFAR100 with n images a file, whose checksums and sizes stand for the published ones.

    `labels` makes them of the images, uint8[n, 3072].
    """
    official = getattr(torchvision.datasets, name)
    folder, rng = root / official.base_folder, np.random.default_rng(0)
    folder.mkdir(parents=True)

    def written(file: str, content: dict[str, object]) -> str:
        (folder / file).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / file).read_bytes()).hexdigest()

    parts = {"train": official.train_list, "test": official.test_list}
    monkeypatch.setattr(cifar, "PARTS", {part: n * len(files) for part, files in parts.items()})
    for part, files in parts.items():
        sums = []
        for file, _ in files:
            images = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
            sums.append([file, written(file, {"data": images, CIFAR_KEYS[name]: labels(images).tolist()})])
        monkeypatch.setattr(official, f"{part}_list", sums)
    meta = official.meta
    monkeypatch.setattr(official, "meta", meta | {"md5": written(meta["filename"], {meta["key"]: ["a", "b"]})})
    return folder


def write_tiny_imagenet(folder: Path, n: int = 3, wnids: tuple[str, ...] = ("n02", "n01")) -> None:
    """N training and n validation images of each class; a class's validation images are of one shade of grey."""
    rng = np.random.default_rng(0)
    (folder / "val/images").mkdir(parents=True)
    (folder / "wnids.txt").write_text("\n".join(wnids))
    rows = []
    for k, wnid in enumerate(wnids):
        (folder / "train" / wnid / "images").mkdir(parents=True)
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text("0\t0\t1\t1\n")
        for i in range(n):
            image = Image.fromarray(rng.integers(0, 256, (64, 64), dtype=np.uint8))  # some of them are grey
            image.save(folder / "train" / wnid / "images" / f"{wnid}_{i}.JPEG")
            Image.new("RGB", (64, 64), (100 * k,) * 3).save(folder / f"val/images/val_{i}{k}.JPEG")
            rows.append(f"val_{i}{k}.JPEG\t{wnid}\t0\t0\t62\t62")
    (folder / "val/val_annotations.txt").write_text("\n".join(sorted(rows)) + "\n")


def write_wnids(folder: Path) -> None:
    """A list of 1,000 ids, WNIDS among them in their PLACES."""
    ids = [f"n0144{i:04}" for i in range(764, 1764)]
    ids[1], ids[217] = WNIDS[1], WNIDS[2]
    assert ids[0] == WNIDS[0]
    ids[2:217] = [f"n015{i:05}" for i in range(215)]
    ids[218:] = [f"n03{i:06}" for i in range(782)]
    assert ids == sorted(ids)
    (folder / "imagenet-1k-wnids.txt").write_text("\n".join(ids) + "\n")

"""ImageNet and its parts, from small folders in their real layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from declarations import photographs
from PIL import Image

from pruneframe import Crop, InputError, imagenet, imagenet100, imagenette, tiny_imagenet
from pruneframe.model.imagenet import IMAGENETTE, VALIDATION

CROP = Crop(16, 8)
THREE = ("n01440764", "n01443537", "n02102040")  # the first and the third are Imagenette's
PLACES = [0, 1, 217]  # among the 1,000


@pytest.fixture
def named(tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that PRUNEFRAME_DATA names."""
    folder = tmp_path / "named"
    folder.mkdir()
    monkeypatch.setenv("PRUNEFRAME_DATA", str(folder))
    return folder


def thousand(folder: Path) -> None:
    """A list of 1,000 ids, the three among them in their places."""
    ids = [f"n0144{i:04}" for i in range(764, 1764)]
    ids[1], ids[217] = THREE[1], THREE[2]
    assert ids[0] == THREE[0]
    ids[2:217] = [f"n015{i:05}" for i in range(215)]
    ids[218:] = [f"n03{i:06}" for i in range(782)]
    assert ids == sorted(ids)
    (folder / "imagenet-1k-wnids.txt").write_text("\n".join(ids) + "\n")


def test_imagenet_is_labelled_among_all_of_its_classes(named: Path) -> None:
    thousand(named)
    photographs(named / "imagenet/train", THREE, 5)
    photographs(named / "imagenet/val", THREE, 2, VALIDATION)
    train, unseen = imagenet(CROP, train=6)
    assert train is not None
    assert train.labels.tolist() == [place for place in PLACES for _ in range(2)]
    assert unseen.labels.tolist() == [place for place in PLACES for _ in range(2)]
    assert unseen.images.shape == (6, 8, 8, 3)
    assert isinstance(unseen.images, np.memmap)


def test_a_part_of_imagenet_has_the_labels_of_the_whole(named: Path) -> None:
    photographs(named / "imagenette-val", (THREE[0], THREE[2]), 3, VALIDATION)
    train, unseen = imagenet(CROP)
    assert train is None
    assert unseen.labels.tolist() == [0] * 3 + [217] * 3


def test_classes_without_a_list_of_all_are_refused(named: Path) -> None:
    photographs(named / "imagenet/val", THREE, 2)
    with pytest.raises(InputError, match=r"put imagenet-1k-wnids.txt, one id a line,"):
        imagenet(CROP)


def test_imagenet100_is_what_its_list_names_or_a_folder_of_its_own(named: Path) -> None:
    thousand(named)
    photographs(named / "imagenet/train", THREE, 3)
    photographs(named / "imagenet/val", THREE, 2)
    (named / "imagenet-100-wnids.txt").write_text(f"{THREE[2]} a dog\n{THREE[1]} a fish\n")
    train, unseen = imagenet100(CROP)
    assert train is not None
    assert (train.labels.tolist(), unseen.labels.tolist()) == ([1] * 3 + [217] * 3, [1] * 2 + [217] * 2)
    photographs(named / "imagenet100/val", THREE[:2], 4)
    train, unseen = imagenet100(CROP)
    assert train is None
    assert unseen.labels.tolist() == [0] * 4 + [1] * 4


def test_what_networks_were_trained_on_is_told_by_name_in_imagenette(named: Path) -> None:
    for part, seen, unseen in (("train", 4, 2), ("val", 1, 3)):
        photographs(named / "imagenette2-160" / part, (THREE[0], THREE[2]), seen)
        for wnid in (THREE[0], THREE[2]):
            for i in range(unseen):
                path = named / "imagenette2-160" / part / wnid / f"{VALIDATION}{part}{wnid}{i}.JPEG"
                Image.new("RGB", (20, 20), (9, 9, 9)).save(path)
    train, test = imagenette(CROP)
    assert train is not None
    assert (len(train), len(test)) == (10, 10)
    assert np.all(np.asarray(test.images) == 9)
    assert not np.any(np.asarray(train.images) == 9)
    assert set(test.labels) == {0, 217}


def test_imagenette_is_downloaded_once_and_as_a_whole(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fetch(root: str, size: str, download: bool) -> None:
        calls.append(size)
        for part in ("train", "val"):
            photographs(Path(root) / "imagenette2-320" / part, tuple(IMAGENETTE), 1, VALIDATION)

    monkeypatch.setattr(torchvision.datasets, "Imagenette", fetch)
    for _ in range(2):
        train, unseen = imagenette(CROP)
        assert train is None
        assert unseen.labels.tolist() == sorted(IMAGENETTE.values()) * 2
    assert calls == ["320px"]
    assert sorted(path.name for path in empty_cache.iterdir()) == ["imagenette2-320", "images"]


def write_tiny_imagenet(folder: Path) -> None:
    """Two classes, as they are published."""
    wnids, rng = ("n02", "n01"), np.random.default_rng(0)
    (folder / "val/images").mkdir(parents=True)
    (folder / "wnids.txt").write_text("\n".join(wnids))
    rows = []
    for k, wnid in enumerate(wnids):
        (folder / "train" / wnid / "images").mkdir(parents=True)
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text("0\t0\t1\t1\n")
        for i in range(3):
            image = Image.fromarray(rng.integers(0, 256, (64, 64), dtype=np.uint8))  # some of them are grey
            image.save(folder / "train" / wnid / "images" / f"{wnid}_{i}.JPEG")
            Image.new("RGB", (64, 64), (100 * k,) * 3).save(folder / f"val/images/val_{i}{k}.JPEG")
            rows.append(f"val_{i}{k}.JPEG\t{wnid}\t0\t0\t62\t62")
    (folder / "val/val_annotations.txt").write_text("\n".join(sorted(rows)) + "\n")


def test_tiny_imagenet_is_read_as_it_is_published(named: Path) -> None:
    write_tiny_imagenet(named / "tiny-imagenet-200")
    train, test = tiny_imagenet()
    assert train.images.shape == test.images.shape == (6, 64, 64, 3)
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert test.labels.tolist() == [1, 0] * 3
    assert test.images[:, 0, 0, 0].tolist() == [0, 100] * 3
    grey = np.asarray(train.images)
    assert np.array_equal(grey[..., 0], grey[..., 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [("val_00.JPEG\tn09\n", "must name a file and one of 2 classes"), ("no.JPEG\tn01\n", "no.JPEG is not; replace")],
)
def test_a_wrong_table_of_tiny_imagenet_is_refused(text: str, message: str, named: Path) -> None:
    write_tiny_imagenet(named / "tiny-imagenet-200")
    (named / "tiny-imagenet-200/val/val_annotations.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        tiny_imagenet()


@pytest.mark.parametrize(
    ("load", "what"),
    [
        (lambda: imagenet(CROP), "imagenet/val/WNID/*"),
        (lambda: imagenet100(CROP), "imagenet-100-wnids.txt"),
        (tiny_imagenet, "http://cs231n.stanford.edu/tiny-imagenet-200.zip"),
    ],
    ids=["imagenet", "imagenet100", "tiny-imagenet"],
)
def test_what_is_not_there_is_told_with_what_to_put_where(load, what: str, named: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError) as caught:
        load()
    assert what in str(caught.value)
    assert "PRUNEFRAME_DATA" in str(caught.value)

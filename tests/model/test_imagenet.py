"""ImageNet and its parts, from small folders in their real layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from declarations import photographs
from PIL import Image
from published import PLACES, WNIDS, write_tiny_imagenet, write_wnids

from pruneframe import Crop, InputError, imagenet, imagenet100, imagenette, tiny_imagenet
from pruneframe.model.imagenet import IMAGENETTE, VALIDATION

CROP = Crop(16, 8)


@pytest.fixture
def named(tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that PRUNEFRAME_DATA names."""
    folder = tmp_path / "named"
    folder.mkdir()
    monkeypatch.setenv("PRUNEFRAME_DATA", str(folder))
    return folder


def test_imagenet_is_labelled_among_all_of_its_classes(named: Path) -> None:
    write_wnids(named)
    photographs(named / "imagenet/train", WNIDS, 5)
    photographs(named / "imagenet/val", WNIDS, 2, VALIDATION)
    train, unseen = imagenet(CROP, train=6)
    assert train is not None
    assert train.labels.tolist() == [place for place in PLACES for _ in range(2)]
    assert unseen.labels.tolist() == [place for place in PLACES for _ in range(2)]
    assert unseen.images.shape == (6, 8, 8, 3)
    assert isinstance(unseen.images, np.memmap)


def test_a_part_of_imagenet_has_the_labels_of_the_whole(named: Path) -> None:
    photographs(named / "imagenette-val", (WNIDS[0], WNIDS[2]), 3, VALIDATION)
    train, unseen = imagenet(CROP)
    assert train is None
    assert unseen.labels.tolist() == [0] * 3 + [217] * 3


def test_classes_without_a_list_of_all_are_refused(named: Path) -> None:
    photographs(named / "imagenet/val", WNIDS, 2)
    with pytest.raises(InputError, match=r"put imagenet-1k-wnids.txt, one id a line,"):
        imagenet(CROP)


def test_imagenet100_is_what_its_list_names_or_a_folder_of_its_own(named: Path) -> None:
    write_wnids(named)
    photographs(named / "imagenet/train", WNIDS, 3)
    photographs(named / "imagenet/val", WNIDS, 2)
    (named / "imagenet-100-wnids.txt").write_text(f"{WNIDS[2]} a dog\n{WNIDS[1]} a fish\n")
    train, unseen = imagenet100(CROP)
    assert train is not None
    assert (train.labels.tolist(), unseen.labels.tolist()) == ([1] * 3 + [217] * 3, [1] * 2 + [217] * 2)
    photographs(named / "imagenet100/val", WNIDS[:2], 4)
    train, unseen = imagenet100(CROP)
    assert train is None
    assert unseen.labels.tolist() == [0] * 4 + [1] * 4


def test_what_networks_were_trained_on_is_told_by_name_in_imagenette(named: Path) -> None:
    for part, seen, unseen in (("train", 4, 2), ("val", 1, 3)):
        photographs(named / "imagenette2-160" / part, (WNIDS[0], WNIDS[2]), seen)
        for wnid in (WNIDS[0], WNIDS[2]):
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

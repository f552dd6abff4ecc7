"""Folders of image files: in torchvision's order, labelled by their place, and chosen before they are decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from declarations import photographs
from torchvision.datasets import ImageFolder

from pruneframe import Crop, InputError, image_folder


def test_a_folder_is_read_as_torchvision_does(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", number=11)
    found, theirs = image_folder(folder), ImageFolder(str(folder))
    assert [(str(path), int(label)) for path, label in zip(found.files, found.labels, strict=True)] == theirs.samples


def test_labels_are_places_in_the_list_that_is_given(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos")
    found = image_folder(folder, ["cat", "ant"], of=["bee", "cat", "dog", "ant"])
    assert found.labels.tolist() == [3] * 4 + [1] * 4
    assert {path.parent.name for path in found.files} == {"ant", "cat"}


def test_so_many_are_chosen_and_decoded(tmp_path: Path, empty_cache: Path) -> None:
    found = image_folder(photographs(tmp_path / "photos", number=6))
    some = found.chosen(6, seed=1)
    assert np.bincount(some.labels).tolist() == [2, 2, 2]
    assert found.chosen(100) is found
    split = some.decoded(Crop(16, 10))
    assert split.images.shape == (6, 10, 10, 3)
    assert split.chosen(3).images.shape == (3, 10, 10, 3)
    assert np.allclose(split.images[:, 5, 5, 0], 50 * split.labels, atol=3)
    assert len(found.named("bee_")) == 6
    assert len(found.named("bee_", other=True)) == 12


@pytest.mark.parametrize(
    ("wanted", "of", "message"),
    [
        (None, ["ant", "bee"], "must be one of the 2 classes, but 'cat' is not among them"),
        (["dog"], None, "dog must hold images"),
    ],
)
def test_a_class_without_place_or_images_is_refused(
    wanted: list[str] | None, of: list[str] | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        image_folder(photographs(tmp_path / "photos"), wanted, of)


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold a folder of images for each class"):
        image_folder(tmp_path)

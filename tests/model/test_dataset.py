"""Splits of what others hold images in: each image once, in the dataset's own order, and nothing left out unseen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, Subset, SubsetRandomSampler, TensorDataset, WeightedRandomSampler

import pruneframe as pf

IMAGES = torch.randn(20, 3, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(20) % 5
DATASET = TensorDataset(IMAGES, LABELS)


class Own(Dataset):
    """Gives an image in some form and its label."""

    def __init__(self, give: Any) -> None:
        self.give = give

    def __len__(self) -> int:
        return 20

    def __getitem__(self, row: int) -> Any:
        return self.give(row)


def assert_whole(found: pf.Split) -> None:
    np.testing.assert_array_equal(found.images, IMAGES.numpy())
    np.testing.assert_array_equal(found.labels, LABELS.numpy())
    assert (found.images.dtype, found.labels.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize(
    "source",
    [
        (IMAGES, LABELS),
        (IMAGES.numpy().astype(np.float64), LABELS.numpy().astype(np.int32)),
        DATASET,
        Own(lambda row: (IMAGES[row], LABELS[row])),
        Own(lambda row: (IMAGES[row].numpy(), int(LABELS[row]))),
        DataLoader(DATASET, batch_size=7),
        DataLoader(DATASET, batch_size=7, shuffle=True, drop_last=True),
    ],
)
def test_all_of_it_in_the_order_of_the_dataset(source: Any) -> None:
    assert_whole(pf.as_split(source))


def test_a_split_stays_itself_and_a_subset_its_rows() -> None:
    whole = pf.as_split(DATASET)
    assert pf.as_split(whole) is whole
    part = pf.as_split(DataLoader(Subset(DATASET, [3, 1, 8]), shuffle=True))
    np.testing.assert_array_equal(part.labels, [3, 1, 3])


def test_pictures_are_kept_as_bytes() -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (20, 5, 6, 3), dtype=np.uint8)
    found = pf.as_split(Own(lambda row: (Image.fromarray(pixels[row]), row)))
    np.testing.assert_array_equal(found.images, pixels)
    assert found.images.dtype == np.uint8


@pytest.mark.parametrize(
    "sampler", [SubsetRandomSampler([1, 2]), WeightedRandomSampler([1.0] * 20, 20), range(0, 20, 2)]
)
def test_a_loader_that_chooses_is_refused(sampler: Any) -> None:
    with pytest.raises(pf.InputError, match=r"a DataLoader must give all images of its dataset, .*Subset"):
        pf.as_split(DataLoader(DATASET, sampler=sampler))


def test_augmentation_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(pf.InputError, match="a dataset must give the same image each time, but Own does not"):
        pf.as_split(Subset(Own(lambda row: (rng.normal(size=(2, 2)), 0)), range(5)))


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (IMAGES, "a split is made of"),
        (7, "a split is made of .* but got a int"),
        (Own(lambda row: (np.zeros(row), 0)), "images of one shape"),
        (Own(lambda row: (IMAGES[row], "cat")), "a class as its label"),
        (Own(lambda row: IMAGES[row]), "a class as its label"),
    ],
)
def test_what_is_no_split_is_said(source: Any, line: str) -> None:
    with pytest.raises(pf.InputError, match=line):
        pf.as_split(source)

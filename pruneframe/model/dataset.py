"""Splits out of what others hold images in: arrays, tensors, a torch Dataset or a DataLoader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler, Subset

from ..errors import InputError
from .data import Split


def as_split(source: Any) -> Split:
    """A pair (images, labels) of arrays or tensors, a Dataset, or a DataLoader, as a split; see `Split` for its images.

    A Dataset is read once, in its own order, and must give the same image each time it is asked: augmentation belongs
    to training, `Recipe` says which. Of a DataLoader the dataset is read; one that chooses among its images is refused.
    """
    if isinstance(source, Split):
        return source
    if isinstance(source, DataLoader):
        source = _dataset(source)
    if isinstance(source, Dataset):
        source = _read(source)
    try:
        images, labels = source
    except (TypeError, ValueError):
        raise InputError(
            f"a split is made of (images, labels), a Dataset or a DataLoader, but got a {type(source).__name__}"
        ) from None
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype.kind == "f":
        images = images.astype(np.float32, copy=False)
    if labels.dtype.kind in "iu":
        labels = labels.astype(np.int64, copy=False)
    return Split(images, labels)


def _dataset(loader: DataLoader) -> Dataset:
    """What a loader loads; raises InputError where that is another choice of images than all of them."""
    sampler: Any = loader.sampler
    whole = isinstance(sampler, SequentialSampler) or (isinstance(sampler, RandomSampler) and not sampler.replacement)
    if not whole or len(sampler) != len(sampler.data_source):
        raise InputError(
            f"a DataLoader must give all images of its dataset, but has a {type(sampler).__name__}; give "
            "torch.utils.data.Subset(dataset, rows)"
        )
    return loader.dataset


def _read(dataset: Dataset) -> tuple[NDArray[Any], NDArray[Any]]:
    """All images and labels of a dataset, in its order."""
    if isinstance(dataset, IterableDataset):
        return _stacked(list(dataset))
    items = [dataset[row] for row in range(len(dataset))]  # type: ignore[arg-type] # map-style datasets have it
    images, labels = _stacked(items)
    if len(items) and not np.array_equal(np.asarray(dataset[0][0]), images[0]):
        within = dataset.dataset if isinstance(dataset, Subset) else dataset
        raise InputError(
            f"a dataset must give the same image each time, but {type(within).__name__} does not; leave out its "
            "augmentation, which belongs into Recipe"
        )
    return images, labels


def _stacked(items: Sequence[Iterable[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pairs of an image and a label as two arrays."""
    try:
        images, labels = zip(*((np.asarray(image), int(label)) for image, label in items), strict=True)
        return np.stack(images), np.array(labels, dtype=np.int64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"a dataset must have images of one shape, each with a class as its label, but does not ({error})"
        ) from error

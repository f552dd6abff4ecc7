"""What is computed batch by batch: one tensor where it is small, a stream from a file where it is large."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from door import door, masks_within
from torch import Tensor

from pruneframe import Recipe
from pruneframe.model import data
from pruneframe.model.rows import Stream
from pruneframe.model.state import digest
from pruneframe.search import spool
from pruneframe.search.shelf import Shelf
from pruneframe.search.spool import spooled
from pruneframe.search.subnetwork import REST, Predecessor, SubNetwork
from pruneframe.search.workbench import DENSE

RECIPE = Recipe(epochs=2, batch=16)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_file_holds_the_same_rows_in_the_same_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: torch.memory_format
) -> None:
    held = torch.randn(10, 3, 4, 5).contiguous(memory_format=layout)
    assert torch.equal(spooled(iter(held.split(4)), 10, tmp_path), held)
    monkeypatch.setattr(spool, "HELD", held.nbytes - 1)
    found = spooled(iter(held.split(4)), 10, tmp_path)
    assert isinstance(found, Stream)
    assert torch.equal(found[:], held)
    assert found[:].is_contiguous(memory_format=layout)
    assert not list(tmp_path.iterdir()), "the file has no name"


def test_what_has_a_row_of_numbers_only_can_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "HELD", 0)
    with torch.inference_mode():
        held = torch.randn(5, 7)
        found = spooled(iter(held.split(2)), 5, tmp_path)
    assert torch.equal(found[torch.tensor([3, 1])], held[[3, 1]])
    assert not found[:].is_inference()


def answers(folder: Path) -> list[object]:
    """What parts say and learn of a network."""
    bench = door(shelf=Shelf(folder)).bench
    sub, images = SubNetwork(bench, 1, 3), bench.subset("train", 60)
    mask, before = masks_within(bench.network, 1, range(1, 3)), Predecessor(masks_within(bench.network, 1, range(1)))
    head = bench.shelf.put(sub.fit_head(images, RECIPE, 0))
    trained = sub.fit(mask, DENSE, head, before, 1.0, images, RECIPE, 0)
    tensors: list[Tensor] = [bench.entering(images, 3)[:], bench.features(mask, DENSE, images, 1, 3)[:]]
    errors = [sub.error(mask, DENSE, kind, bench.search) for kind in (head, REST)]
    whole = bench.train(mask, DENSE, RECIPE, 0)
    return [errors, digest(trained), digest(whole), *(digest({"": tensor}) for tensor in tensors)]


def test_parts_and_training_are_the_same_on_what_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = answers(tmp_path / "held")
    for module in (data, spool):
        monkeypatch.setattr(module, "HELD", 0)
    assert answers(tmp_path / "streamed") == wanted

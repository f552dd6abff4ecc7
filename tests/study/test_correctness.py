"""The test images that final members get right: as the network itself says, and never other than the errors beside."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from studies import forge
from tiny import registry

from pruneframe.errors import InputError
from pruneframe.model.state import reweighted
from pruneframe.study.correctness import Correctness
from pruneframe.study.folder import RunFolder
from pruneframe.study.formats import from_arrays
from pruneframe.study.member import Front
from pruneframe.study.paired import paired_drop
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table


@pytest.fixture
def folder(small: StudyFolder) -> RunFolder:
    return next(iter(small.runs()))


def test_each_image_is_right_where_the_network_itself_says_so(folder: RunFolder) -> None:
    found, front = Correctness.of(folder), Front.read(folder, registry(), lambda line: None)
    loaded = front.bench.loaded
    images, labels = loaded.data.tensor(loaded.data.test), loaded.data.test.labels
    assert found.correct.shape == (len(front), len(labels))
    assert found.correct.dtype == found.dense.dtype == np.bool_

    def right(module: torch.nn.Module) -> np.ndarray:
        with torch.inference_mode():
            return module(images).argmax(dim=1).numpy() == labels

    assert np.array_equal(found.dense, right(loaded.network.module))
    for row in range(0, len(front), 3):
        assert np.array_equal(found.correct[row], right(reweighted(loaded.network.module, front.state(row))))


def test_operating_points_can_be_computed_from_it(folder: RunFolder) -> None:
    found, front, result = Correctness.of(folder), folder.front(), folder.result
    chosen = np.flatnonzero(front["search_error"] <= result["dense_error"] + 0.02 + 1e-12)
    row = chosen[np.argmin(front["params"][chosen])]
    lost, interval = paired_drop(found.dense, found.correct[row])
    assert lost == pytest.approx(result["test_drop_at_2"])
    assert interval == pytest.approx(result["test_drop_interval_at_2"])


def changed(front: dict[str, np.ndarray], name: str) -> dict[str, Any]:
    array = front[name].copy()
    array.flat[0] ^= 0x80
    return front | {name: array}


@pytest.mark.parametrize(("name", "who"), [("correct", "member 0"), ("dense_correct", "the unpruned network")])
def test_what_does_not_agree_with_the_errors_is_not_read(
    name: str, who: str, small: StudyFolder, tmp_path: Path
) -> None:
    study = StudyFolder(Path(shutil.copytree(small.path, tmp_path / "study")))
    folder = next(iter(study.runs()))
    forge(folder, "front.npz", from_arrays(changed(folder.front(), name)))
    with pytest.raises(InputError, match=rf"{folder.path.name} must hold the test images that {who} gets right"):
        long_table(study)


def test_members_without_their_images_are_not_read(small: StudyFolder, tmp_path: Path) -> None:
    study = StudyFolder(Path(shutil.copytree(small.path, tmp_path / "study")))
    folder = next(iter(study.runs()))
    front = folder.front()
    forge(folder, "front.npz", from_arrays(front | {"correct": front["correct"][1:]}))
    with pytest.raises(InputError, match="must hold each member's"):
        Correctness.of(folder)

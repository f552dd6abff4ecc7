"""Every bundled problem: what `info` tells of it, and a short bench, on a few images in their published form.

Random weights stand for those of the literature, so made that the first class is the answer to everything: half of the
images are of it where there are few classes. Tabular problems are themselves, and `tiny-resnet20` needs real files.
A network that is the same of several data sets is divided into all kinds of units once, and into its own there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import in_this_process
from declarations import photographs
from numpy.typing import NDArray
from published import WNIDS, write_cifar, write_idx, write_tiny_imagenet, write_wnids
from tiny import lookup, registry
from torch import nn

from pruneframe import Data, Given, Problem, Published, Shipped, Trained
from pruneframe.model.imagenet import IMAGENETTE, VALIDATION
from pruneframe.study.inventory import inventory
from pruneframe_problems.datasets import CIFAR10, CIFAR100, FASHION, MNIST, TINY_IMAGENET

pytestmark = pytest.mark.slow

HELD_OUT, IMAGES = 20, 10  # search images of networks that are trained here, and those that are looked at
FEW = 40  # of a part, or of a file of it
BUDGET = 2  # the unpruned network and another one


def labels(n: int, classes: int) -> NDArray[np.int64]:
    """Every second one 0, all others of all classes in turn."""
    return np.where(np.arange(n) % 2, np.arange(n) // 2 % classes, 0)


def grey(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST and Fashion-MNIST."""
    rng = np.random.default_rng(0)
    for name in ("MNIST", "FashionMNIST"):
        for part in ("train", "t10k"):
            images = rng.integers(0, 256, (FEW, 28, 28), dtype=np.uint8)
            write_idx(folder / name / "raw", images, labels(FEW, 10), part)


def cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(folder, "CIFAR10", monkeypatch, lambda images: labels(len(images), 10), FEW)


def cifar100(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(folder, "CIFAR100", monkeypatch, lambda images: labels(len(images), 100), FEW)


def tiny_imagenet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_imagenet(folder / "tiny-imagenet-200", FEW // 4, ("n02", "n01", "n03"))


def imagenet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of it."""
    write_wnids(folder)
    photographs(folder / "imagenet/train", WNIDS, 2)
    photographs(folder / "imagenet/val", WNIDS, 4, VALIDATION)


def imagenet100(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two classes of the whole, by a list of them."""
    imagenet(folder, monkeypatch)
    (folder / "imagenet-100-wnids.txt").write_text("\n".join(WNIDS[::2]) + "\n")


def imagenette(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photographs(folder / "imagenette2-320/train", tuple(IMAGENETTE), 1)
    photographs(folder / "imagenette2-320/val", tuple(IMAGENETTE), 2, VALIDATION)


WRITERS = {
    **dict.fromkeys(("mnist", "fashionmnist"), grey),
    **{one.__name__: one for one in (cifar10, cifar100, imagenet, imagenet100, imagenette)},
    "tinyimagenet": tiny_imagenet,
}


def random_weights(weights: object, module: nn.Module, data: Callable[[], Data], *rest: object) -> None:
    """The same ones whenever they are asked for; batch norm has the statistics of a few images."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, math.sqrt(2 / parameter[0].numel()), generator=generator)
            else:
                parameter.uniform_(0.5, 1.5, generator=generator)
        last = [part for part in module.modules() if isinstance(part, nn.Linear)][-1]
        last.bias.zero_()[0] = 1000  # more than what anything else comes to
        for norm in (part for part in module.modules() if isinstance(part, nn.BatchNorm2d)):
            norm.momentum = 1.0
        some = data()
        module.train()(some.tensor(some.train.take(np.arange(4))))
    module.eval()


@pytest.fixture(params=registry().names("problem"))
def name(request: pytest.FixtureRequest) -> str:
    """Of each of them."""
    return request.param


@pytest.fixture
def data(name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of its images; weights are random where they do not come with it."""
    if name == "tiny-resnet20":
        found: Path = request.getfixturevalue("real_data")
        return found
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("PRUNEFRAME_DATA", str(folder))
    writer = WRITERS.get(name.rpartition("-")[2])
    if writer is not None:
        monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
        writer(folder, monkeypatch)
        for one in (MNIST, FASHION, CIFAR10, CIFAR100, TINY_IMAGENET):
            monkeypatch.setitem(vars(one), "held_out", HELD_OUT)
        for kind in (Published, Given, Trained, Shipped):
            monkeypatch.setattr(kind, "load", random_weights)
        monkeypatch.setattr(Trained, "at_hand", lambda *arguments: True)
    return folder


def test_info_and_a_short_bench(name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem = registry().problem(name)
    tabular = problem.tabular is not None
    images = None if tabular else min(IMAGES, len(problem.images().search))
    few = replace(problem, search_images=images)
    told = check_inventory(few, tabular)
    if name.rpartition("-")[2] in WRITERS:
        answered = few.images().search.chosen(images).labels
        assert told["errors"]["search"] == pytest.approx(np.mean(answered != 0))
    number = () if images is None else ("--search-images", str(images))
    here = tmp_path / "here"
    here.mkdir()
    with in_this_process(here, capsys) as cli, pytest.MonkeyPatch.context() as patch:
        patch.setattr("pruneframe.comparison.edition.write", lambda *arguments: ([], []))
        command = ("bench", "--problems", name, "--methods", "magnitude", "--seeds", "0", "--data", str(data))
        done = cli(*command, "--budget", str(BUDGET), *number)
        assert done.code == 0, done.err
        [run] = cli("summary", "pruneframe-study", "--json").parsed
    assert run["status"] == "done"
    assert 0 < run["passes_spent"] <= BUDGET
    assert 1 <= run["front_size"] <= BUDGET
    assert run["dense_error"] == pytest.approx(told["errors"]["search"])
    assert run["dense_test_error"] == pytest.approx(told["errors"]["test"])


def kinds_for(problem: Problem) -> list[str]:
    """All kinds of units; of a network that an earlier problem has, too, single weights, and what it prunes itself."""
    network = (name for name in registry().names("problem") if registry().problem(name).network is problem.network)
    return registry().names("unit") if next(network) == problem.name else ["weight"]


def check_inventory(problem: Problem, tabular: bool) -> dict[str, Any]:
    """All that `info` promises of a problem, with every kind of units where no other problem has the network."""
    kinds = kinds_for(problem)
    told = inventory(problem, kinds, lookup, lambda line: None).record
    assert json.loads(json.dumps(told)) == told
    assert told["missing"] == []
    assert told["weights"]
    assert set(told["images"]) == {"train", "search", "test"}
    assert told["params"] > 0
    assert told["macs"] == sum(layer["macs"] for layer in told["layers"])
    assert {one["kind"] for one in told["units"]} >= set(kinds)
    assert all(one["units"] or one["reason"] for one in told["units"])
    assert {one["kind"] for one in told["units"] if one["units"]} >= {"weight", problem.units}
    assert set(told["errors"]) == {"search", "test"}
    assert set(told["references"]) == set(problem.objectives)
    for one in (told["truth"] or {}).values():
        assert 0 < one["hypervolume"] < 1
        assert one["front"]
    assert (told["truth"] is not None) == tabular
    assert problem.source
    assert problem.bibtex.count("@") >= 1
    return told

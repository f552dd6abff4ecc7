"""A problem that a user declares in a TOML file: what it becomes, and every fault in one line."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from declarations import declaration, module, photographs
from tiny import lookup

from pruneframe import InputError, Published, Saved, Trained
from pruneframe.declared.problem import declared
from pruneframe.model import weights
from pruneframe.registry import Registry

ARRAYS = {"arrays": "data.npz", "search": 30, "test": 40}
PHOTOGRAPHS = {"folder": "photos", "search": 3, "test": 6, "resize": 16, "size": 12}


def test_a_declared_problem_is_loaded(tmp_path: Path) -> None:
    path = declaration(tmp_path, units="filter", objectives=["error", "macs"], source="ours", search_images=20)
    problem, _ = declared(path)
    assert (problem.name, problem.units, problem.objectives, problem.budget) == (
        "mine",
        "filter",
        ("error", "macs"),
        10,
    )
    assert (problem.source, problem.varies) == ("ours", ("split",))
    loaded = problem.load(lookup)
    assert {name: len(split) for name, split in loaded.splits.items()} == {"train": 20, "search": 20, "test": 40}
    assert (loaded.data.mean, loaded.data.std) == ((0.5,) * 3, (0.25,) * 3)
    for name, tensor in module().state_dict().items():
        assert torch.equal(loaded.network.module.state_dict()[name], tensor)


def test_instances_differ_in_their_split(tmp_path: Path) -> None:
    problem, _ = declared(declaration(tmp_path))
    splits = [problem.with_settings(instance=i).images().search.digest for i in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


@pytest.mark.parametrize(
    ("data", "train"),
    [
        (ARRAYS | {"train_images": "seen", "train_labels": "of"}, 30),
        (ARRAYS | {"search": 40, "test": 50}, 40),  # nothing is left: the search images stand for it
        (ARRAYS, 20),
    ],
    ids=["own", "search", "rest"],
)
def test_training_images_are_named_or_the_rest(data: dict[str, Any], train: int, tmp_path: Path) -> None:
    found = declared(declaration(tmp_path, data=data))[0].images()
    assert len(found.train) == train
    assert (found.train is found.search) == (data["search"] == 40)


def test_a_folder_of_photographs_with_a_list_of_classes(tmp_path: Path) -> None:
    photographs(tmp_path / "photos")
    photographs(tmp_path / "seen", number=5)
    (tmp_path / "order.txt").write_text("dog\ncat\nbee\nant\n")
    data = PHOTOGRAPHS | {"train_folder": "seen", "train": 6, "classes": "order.txt"}
    found = declared(declaration(tmp_path, data=data, arguments={"classes": 4}, weights=None, prefix=None))[0]
    images = found.images()
    assert images.train.images.shape == (6, 12, 12, 3)
    assert np.array_equal(np.unique(images.test.labels), [1, 2, 3])
    green = np.asarray(images.test.images[:])[:, 6, 6, 1]
    assert np.allclose(green, 200 - 50 * (3 - images.test.labels), atol=3)
    assert found.load(lookup).network.outputs == 4


def test_weights_come_from_the_web_a_file_or_a_recipe(tmp_path: Path) -> None:
    path = declaration(tmp_path)
    digest = hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    assert declared(path)[0].weights == Saved(tmp_path / "weights.pth", "module.")
    found = declared(declaration(tmp_path, weights="https://x.org/w.pth", sha256=digest))[0].weights
    assert found == Published("https://x.org/w.pth", "module.", sha256=digest)
    assert isinstance(found, Published)
    assert found.name == f"w-{digest[:8]}.pth"
    recipe = declared(declaration(tmp_path, weights=None, prefix=None, recipe={"epochs": 2, "batch": 8}))[0].weights
    assert isinstance(recipe, Trained)
    assert (recipe.recipe.epochs, recipe.recipe.batch) == (2, 8)


def test_a_download_is_kept_under_the_digits_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    declaration(tmp_path)
    digest = hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    problem, _ = declared(declaration(tmp_path, weights="https://x.org/w.pth", sha256=digest))
    fetched: list[tuple[str, str]] = []

    def fetch(url: str, path: str, prefix: str, progress: bool) -> None:
        fetched.append((url, prefix))
        shutil.copy(tmp_path / "weights.pth", path)

    monkeypatch.setattr(weights.torch.hub, "download_url_to_file", fetch)
    for _ in range(2):
        problem.load(lookup)
    assert fetched == [("https://x.org/w.pth", digest)]
    assert (tmp_path / "cache/weights" / f"w-{digest[:8]}.pth").exists()


def test_its_version_follows_the_file_and_the_network_and_not_the_folder(tmp_path: Path) -> None:
    version = declared(declaration(tmp_path / "a"))[1]
    assert declared(declaration(tmp_path / "b"))[1] == version
    assert declared(declaration(tmp_path / "b", budget=11))[1] != version
    path = declaration(tmp_path / "b")
    (tmp_path / "b" / "network.py").write_text("# another\n" + (tmp_path / "b" / "network.py").read_text())
    assert declared(path)[1] != version
    registry = Registry([str(declaration(tmp_path / "a"))])
    assert registry.declared == ["mine"]
    assert [plugin.distribution for plugin in registry.plugins][-1] == "mine.toml"


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": None}, 'name must be given, such as name = "my-network"'),
    "name": ({"name": "My Net"}, "name must be of lower-case letters, digits and dashes, but got 'My Net'"),
    "no network": ({"network": None}, "network must be given"),
    "network": ({"network": "network.py"}, "network must be module:function or file.py:function, but got 'network.py'"),
    "network's file": ({"network": "nowhere.py:make"}, "network must name a file that is there, but"),
    "field": ({"budgets": 3}, "budgets: no field is named 'budgets'; did you mean 'budget'?"),
    "kind": ({"budget": "much"}, "budget must be a number above 0, but got 'much'"),
    "truth": ({"search_images": True}, "search_images must be a whole number from 1, but got True"),
    "batch norm": ({"batch_norm": "moved"}, "batch_norm must be frozen or shifted, but got 'moved'"),
    "objectives": ({"objectives": ["error", "error"]}, "objectives must be distinct"),
    "weights": ({"weights": "nowhere.pth"}, "weights must be a file that is there"),
    "hash": ({"weights": "https://x.org/w.pth"}, "weights must be a file, or a URL whose file name ends in"),
    "digits": ({"sha256": "xyz"}, "sha256 must be 8 to 64 lower-case hex digits, but got 'xyz'"),
    "prefix": ({"weights": None}, "sha256 and prefix are of weights, which must be named as well"),
    "both": ({"recipe": {"epochs": 1}}, "must have weights or a [recipe] to train them, but has both"),
    "recipe": (
        {"weights": None, "prefix": None, "recipe": {"epoch": 1}},
        "[recipe] epoch: no field is named 'epoch'; did you mean 'epochs'?",
    ),
    "recipe's value": (
        {"weights": None, "prefix": None, "recipe": {"epochs": "x"}},
        "[recipe] epochs must be int, but got 'x'",
    ),
    "no data": ({"data": None}, "must say by a table [data] where images are"),
    "neither": ({"data": {"search": 3}}, "[data] must name either a folder or arrays, but names neither"),
    "two": ({"data": ARRAYS | {"folder": "."}}, "names ['folder', 'arrays']"),
    "search": ({"data": {"arrays": "data.npz", "test": 3}}, "[data] search must be given, such as search = 500"),
    "std": ({"data": ARRAYS | {"mean": [0], "std": [0]}}, "[data] std must be a list of numbers above 0, but got [0]"),
    "mean": ({"data": ARRAYS | {"mean": [0, 0]}}, "[data] mean and std must be as long as each other"),
    "other data": ({"data": ARRAYS | {"resize": 3}}, "[data] resize: no field is named 'resize'"),
    "labels": ({"data": ARRAYS | {"train_images": "seen"}}, "train_images and train_labels must be given together"),
    "folder": ({"data": {"folder": "nowhere", "search": 1, "test": 1}}, "[data] folder must be a folder that is there"),
    "crop": (
        {"data": {"folder": ".", "search": 1, "test": 1, "resize": 2}},
        "[data] 1 <= size <= resize must hold, but got size 224 and resize 2",
    ),
    "filter": (
        {"data": {"folder": ".", "search": 1, "test": 1, "filter": "cubic"}},
        "[data] filter must be bilinear or bicubic, but got 'cubic'",
    ),
    "train": ({"data": {"folder": ".", "search": 1, "test": 1, "train": 4}}, "train = 4 needs a train_folder"),
}


@pytest.mark.parametrize(("changes", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_of_the_file_is_told_in_one_line(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = declaration(tmp_path, **changes)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        declared(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


LATER: dict[str, tuple[dict[str, Any], str]] = {
    "module": ({"network": "no_such_module:make"}, "no_such_module cannot be imported: ModuleNotFoundError"),
    "function": ({"network": "network.py:mak"}, "must name a function of network.py, but it has no 'mak'"),
    "not a function": ({"network": "network.py:made"}, "must name a function of network.py, but it has no 'made'"),
    "arguments": ({"arguments": {"depth": 3}}, "network.py:make(depth=3) fails: TypeError"),
    "failure": ({"network": "network.py:broken"}, "network.py:broken() fails: RuntimeError: out of ideas"),
    "no module": ({"network": "network.py:none"}, "must name what makes a torch.nn.Module, but it makes 3"),
    "other digits": ({"sha256": "0" * 8}, "must have a SHA-256 that begins with 00000000, but has"),
    "other weights": ({"arguments": {"width": 6}}, "has other shapes for"),
    "no such prefix": ({"prefix": None}, "lacks 6 tensors"),
    "too few": ({"data": ARRAYS | {"test": 70}}, "search + test <= 90, the unseen images, must hold, but got 30 + 70"),
    "no array": ({"data": ARRAYS | {"images": "x"}}, "must have an array 'x', but has images, labels, seen, of"),
    "not labels": ({"data": ARRAYS | {"labels": "of"}}, "of must be integers from 0, as many as images"),
    "units": ({"units": "filters"}, "no unit is named 'filters'; did you mean 'filter'?"),
}


@pytest.mark.parametrize(("changes", "message"), LATER.values(), ids=LATER.keys())
def test_a_fault_of_what_it_names_is_told_when_it_is_loaded(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    problem, _ = declared(declaration(tmp_path, **changes))
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        problem.load(lookup)
    assert "\n" not in str(caught.value)


def test_what_is_no_toml_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\x00 = ")
    with pytest.raises(InputError, match="must be a TOML file that declares a problem"):
        declared(path)


def test_an_npz_that_is_damaged_is_told(tmp_path: Path) -> None:
    path = declaration(tmp_path)
    (tmp_path / "data.npz").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="must be an npz of arrays"):
        declared(path)[0].load(lookup)

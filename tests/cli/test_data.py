"""`pruneframe data`, and data that are damaged or cannot be fetched."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Cli, files

from pruneframe.profile import Profile


def test_data_prints_the_splits(cli: Cli) -> None:
    found = cli("data", "lenet-digits")
    assert found.code == 0
    assert [line.split()[:2] for line in found.out.splitlines()] == [
        ["train", "1077"],
        ["search", "360"],
        ["test", "360"],
    ]


OFFLINE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("problem", "what"), [("resnet20-cifar10", "cifar10.npz"), ("lenet-mnist", "MNIST/raw/*-ubyte.gz")]
)
def test_data_that_cannot_be_fetched_says_what_to_put_where(
    problem: str, what: str, cli: Cli, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    for name, value in (OFFLINE | {"PRUNEFRAME_CACHE": str(cache)}).items():
        monkeypatch.setenv(name, value)
    found = cli("bench", "--methods", "random", "--problems", problem)
    assert found.code == 2
    assert all(word in found.error for word in (what, str(cache), "--data", "PRUNEFRAME_DATA"))
    assert list(here.iterdir()) == []
    assert files(cache) == {cache / "plugins.json"}, "the index of plugins, and no part of what was not fetched"


def npz(compressed: bool = False, **arrays: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def flipped(raw: bytes) -> bytes:
    """Some bytes in the middle are damaged; the list of contents at the end is whole."""
    middle = len(raw) // 2
    return raw[:middle] + bytes(byte ^ 0xFF for byte in raw[middle : middle + 20]) + raw[middle + 20 :]


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


SMALL = {
    "x_train": np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8),
    "y_train": np.arange(20) % 10,
    "x_test": np.zeros((20, 32, 32, 3), dtype=np.uint8),
    "y_test": np.arange(20) % 10,
}
DAMAGED = {
    "empty": b"",
    "text": b"no zip at all",
    "truncated": npz(**SMALL)[:30_000],
    "flipped": flipped(npz(**SMALL)),
    "flipped, compressed": flipped(npz(compressed=True, **SMALL)),
    "too few": npz(**SMALL),
    "an array missing": npz(**{name: array for name, array in SMALL.items() if name != "y_test"}),
    "pickled": npz(**SMALL | {"x_train": np.array([{"a": 1}, None], dtype=object)}),
    "of text": npz(**SMALL | {"y_train": np.array(["cat", "dog"])}),
    "one number": npz(**SMALL | {"x_train": np.array(3)}),
    "one array": np.lib.format.magic(1, 0) + b"broken",
    "other files": zipped(x_train=b"1", y_train=b"2", x_test=b"3", y_test=b"4"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_corrupt_or_wrong_npz(damage: str, cli: Cli, here: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "cifar10.npz").write_bytes(DAMAGED[damage])
    found = cli("bench", "--methods", "random", "--problems", "resnet20-cifar10", "--data", data)
    assert found.code == 2
    assert str(data / "cifar10.npz") in found.error
    assert list(here.iterdir()) == []
    assert files(data) == {data / "cifar10.npz"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--target", "local-cpu"), "those of --profile"),
        (("--threads", "1"), "those of --profile"),
        (("--target", ""), "those of --profile"),
        (("--profile", "x", "--target", ""), "a component is written name"),
        (("--profile", "none/such/file.json"), "in an existing folder"),
        (("--profile", "."), "in an existing folder"),
    ],
)
def test_what_would_have_no_effect_or_end_in_nothing_is_refused(
    arguments: tuple[str, ...], reason: str, cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Profile, "measure", lambda *_: pytest.fail("it must be refused before anything is timed"))
    found = cli("data", "lenet-digits", *arguments)
    assert found.code == 2
    assert reason in found.err
    assert list(here.iterdir()) == []


def test_a_profile_is_written(cli: Cli, here: Path) -> None:
    found = cli("data", "lenet-digits", "--profile", "profile.json", "--target", "local-cpu[repeats=2,warmup=0]")
    assert found.code == 0, found.err
    assert "4 layers" in found.out
    assert json.loads((here / "profile.json").read_text())["environment"]["threads"] == 1
    found = cli("data", "lenet-digits", "--profile", "other.json", "--target", "analytic")
    assert found.code == 2
    assert "times nothing" in found.err
    assert files(here) == {here / "profile.json"}

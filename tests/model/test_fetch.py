"""Where files are looked for, and what is said where they are neither there nor can be fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pruneframe import InputError
from pruneframe.files import cache_folder
from pruneframe.model.cifar import cifar10, cifar100
from pruneframe.model.digits import fashion_mnist, mnist
from pruneframe.model.fetch import find


def put(folder: Path, relative: str, text: str = "") -> Path:
    path = folder / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_named_folder_is_searched_before_the_cache(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == empty_cache
    assert find("weights/a.th") is None
    cached = put(empty_cache, "weights/a.th")
    only_cached = put(empty_cache, "weights/b.th")
    assert find("weights/a.th") == cached
    named = put(tmp_path / "named", "weights/a.th")
    monkeypatch.setenv("PRUNEFRAME_DATA", str(tmp_path / "named"))
    assert find("weights/a.th") == named
    assert find("weights/b.th") == only_cached
    assert find("weights/c.th") is None


@pytest.mark.parametrize("kind", ["absent", "file"])
def test_a_named_folder_must_exist(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = put(tmp_path, "file") if kind == "file" else tmp_path / "absent"
    monkeypatch.setenv("PRUNEFRAME_DATA", str(named))
    with pytest.raises(InputError, match="PRUNEFRAME_DATA"):
        find("cifar10.npz")


@pytest.mark.parametrize(
    ("load", "relative"),
    [
        (cifar10, "cifar10.npz"),
        (cifar100, "cifar100.npz"),
        (mnist, "MNIST/raw/"),
        (fashion_mnist, "FashionMNIST/raw/"),
    ],
)
def test_without_a_network_the_error_says_what_to_put_where(
    load: Callable[[], object], relative: str, empty_cache: Path, no_network: None
) -> None:
    with pytest.raises(InputError) as caught:
        load()
    message = str(caught.value)
    for part in (relative, str(empty_cache), "PRUNEFRAME_DATA", "--data", "no route to host"):
        assert part in message
    assert "\n" not in message
    assert not list(empty_cache.rglob("*.npz"))

"""Tables of all masks: what is written is read, what is damaged is refused, images are fetched when they are read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tabled import problem, tabular
from tiny import layout, load

from pruneframe import Data, InputError, Split, Tabular
from pruneframe.model.rows import Deferred
from pruneframe.model.tabular import Outcomes, numbered_masks


def test_masks_are_numbers_whose_highest_bit_is_the_first_unit() -> None:
    for units in (3, 9, 16):
        numbers = np.array([0, 1, 5, 2**units - 1])
        masks = numbered_masks(layout(a=units), numbers)
        kept = [masks.unpack(row) for row in range(len(numbers))]
        assert [int("".join(map(str, bits.astype(int))), 2) for bits in kept] == numbers.tolist()


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    loaded = load(tabular(tmp_path))
    assert loaded.outcomes is not None
    assert (loaded.outcomes.masks, loaded.outcomes.units) == (32, "filter")
    path = tmp_path / "again" / "0.npz"
    loaded.outcomes.write(path)
    assert path.read_bytes() == (tmp_path / "0.npz").read_bytes()
    correct = [loaded.outcomes.correct("test", mask) for mask in (loaded.network.layout.full(),)]
    assert loaded.outcomes.errors("test")[31] == np.count_nonzero(~correct[0])


def test_a_problem_with_a_table_is_the_problem_itself(tmp_path: Path) -> None:
    own, found = load(problem()), load(tabular(tmp_path))
    assert found.fingerprint == own.fingerprint
    assert found.data.inputs == own.data.inputs
    assert found.size == own.size
    for name, split in own.splits.items():
        assert np.array_equal(found.splits[name].labels, split.labels)
        assert np.array_equal(found.splits[name].images[:], split.images)


def test_images_are_fetched_when_some_are_read() -> None:
    fetched: list[int] = []

    def fetch() -> np.ndarray:
        fetched.append(1)
        return np.arange(12).reshape(4, 3)

    images = Deferred((4, 3), np.dtype(np.int64), fetch)
    assert (len(images), images.ndim, fetched) == (4, 2, [])
    assert images[np.array([1])].tolist() == [[3, 4, 5]]
    assert fetched


def test_other_images_than_the_tables_are_refused(tmp_path: Path) -> None:
    own = tabular(tmp_path)
    data = own.data
    assert isinstance(data, Data)
    other = dataclasses.replace(data, test=Split(data.test.images + 1, data.test.labels))
    found = load(dataclasses.replace(own, data=other))
    with pytest.raises(InputError, match="the test images must be those that the table was made with"):
        found.data.search.images[:1]


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    own = tabular(tmp_path)
    path = tmp_path / "0.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"0\.npz must have the SHA-256"):
        load(own)
    with pytest.raises(InputError, match="must be a table of masks"):
        Outcomes.read(path.with_name("SHA256SUMS"))


def test_a_table_of_other_weights_is_refused(tmp_path: Path) -> None:
    own = tabular(tmp_path)
    outcomes = Outcomes.read(tmp_path / "0.npz")
    dataclasses.replace(outcomes, network="0" * 32).write(tmp_path / "0.npz")
    with pytest.raises(InputError, match="the table of 'five' must be of its weights"):
        load(own)


def test_an_instance_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="instance must be"):
        dataclasses.replace(tabular(tmp_path), instance=1)
    assert tabular(tmp_path).instances == "one"
    assert Tabular(tmp_path / "empty").instances == []
    assert load(dataclasses.replace(problem(), tabular=Tabular(tmp_path / "empty"))).outcomes is None


@pytest.mark.parametrize("settings", [{"units": "weight"}, {"search_images": 20}])
def test_what_the_table_is_not_about_the_network_answers(settings: dict, tmp_path: Path) -> None:
    assert load(tabular(tmp_path).with_settings(**settings)).outcomes is None

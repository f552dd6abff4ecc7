from __future__ import annotations

from pathlib import Path

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from tiny import layout

from pruneframe.search import pile
from pruneframe.search.archive import Archive, Evaluation

LAYOUT = layout(a=10, b=7)


def filled(values: np.ndarray, folder: Path | None = None) -> Archive:
    """An archive after some evaluations; the bits of each are those of its number."""
    archive = Archive(LAYOUT, folder)
    for number, row in enumerate(values):
        evaluation = Evaluation(number, f"mask {number}", "dense", tuple(row.tolist()), number + 1.0, 0.5 * number)
        archive._add(evaluation, bits_of(number))
    return archive


def bits_of(number: int) -> np.ndarray:
    return np.array([number >> 8, number & 255, (number & 1) << 7], dtype=np.uint8)


def coarse_values(objectives: int) -> st.SearchStrategy[np.ndarray]:
    """Few different values, so that ties and equal points are common."""
    row = st.lists(st.integers(0, 6), min_size=objectives, max_size=objectives)
    return st.lists(row, min_size=1, max_size=60).map(lambda rows: np.array(rows, dtype=float))


@pytest.mark.parametrize("objectives", [1, 2, 3])
@settings(max_examples=60)
@given(data=st.data())
def test_the_front_is_the_non_dominated_set_of_all_values(objectives: int, data: st.DataObject) -> None:
    values = data.draw(coarse_values(objectives))
    archive = filled(values)
    masks, members = archive.front()
    found = np.array([member.values for member in members])
    wanted = np.unique(values[NonDominatedSorting().do(values, only_non_dominated_front=True)], axis=0)
    assert np.array_equal(np.unique(found, axis=0), wanted)
    assert len(found) == len(wanted)  # equal points are there once
    assert np.array_equal(archive.front_values(), found)
    for row, member in enumerate(members):
        first = next(i for i, value in enumerate(values) if tuple(value) == member.values)
        assert member.number == first  # of equal points, the first
        assert np.array_equal(masks.bits[row], bits_of(member.number))


@pytest.mark.parametrize("held", [0, 20])
def test_what_does_not_fit_memory_is_read_from_a_file(
    held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).random((400, 2)) + np.linspace(1, 0, 400)[:, None]  # members come and go
    expected, _ = filled(values).front()
    monkeypatch.setattr(pile, "HELD", held)
    archive = filled(values, tmp_path)
    found, members = archive.front()
    assert len(members) < len(values) / 2
    assert np.array_equal(found.bits, expected.bits)
    assert np.array_equal(archive.masks([2, 0]).bits, expected.bits[[2, 0]])
    assert not list(tmp_path.iterdir()), "the file has no name"


@pytest.mark.parametrize("objectives", [2, 3, 5])
def test_the_front_of_many_random_points_agrees_with_moocore(objectives: int) -> None:
    values = np.random.default_rng(objectives).random((500, objectives))
    archive = filled(values)
    masks, members = archive.front()
    assert [member.number for member in members] == np.flatnonzero(moocore.is_nondominated(values)).tolist()
    assert len(masks) == len(members)


def test_every_evaluation_is_kept_in_order() -> None:
    values = np.random.default_rng(0).random((50, 2))
    archive = filled(values)
    assert [evaluation.number for evaluation in archive.evaluations] == list(range(50))
    assert np.array_equal([evaluation.values for evaluation in archive.evaluations], values)


def test_bits_are_copied() -> None:
    archive = Archive(LAYOUT)
    bits = bits_of(5)
    archive._add(Evaluation(0, "", "dense", (1.0, 1.0), 1.0, 0.0), bits)
    bits[:] = 0
    assert np.array_equal(archive.front()[0].bits[0], bits_of(5))


def test_an_empty_archive_has_an_empty_front() -> None:
    masks, members = Archive(LAYOUT).front()
    assert len(masks) == len(members) == len(Archive(LAYOUT).front_values()) == 0
    assert masks.layout == LAYOUT

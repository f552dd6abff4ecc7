"""Noise: what is measured by drawing images anew, how many images a difference needs, and where figures are kept."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from tiny import load, lookup, registry

from pruneframe.errors import InputError
from pruneframe.model.data import Data, Split
from pruneframe.study.noise import Noise, Spread, Told, images_needed, key, known, place
from pruneframe.study.paired import paired_drop
from pruneframe.study.resampling import Pool, Resampling, correlation, discordances
from pruneframe.testing import loaded, tiny_problem

QUICK = Resampling(("magnitude", "taylor"), 4, "random", 12, 2, (10, 25, 1000), 5, draws=20)


@pytest.fixture(scope="module")
def noise() -> Noise:
    return QUICK.measure(loaded(), lookup)


def test_a_study_tells_each_number_of_images_that_there_are(noise: Noise) -> None:
    assert [one.images for one in noise.told] == [10, 25, 40], "40 are all search images"
    assert noise.images == {"search": 40, "test": 40, "tested": 40}
    for one in noise.told:
        assert -1 <= one.cuts.low <= one.cuts.middle <= one.cuts.high <= 1
        assert math.isnan(one.searched.middle) or -1 <= one.searched.low <= one.searched.high <= 1
    assert QUICK.measure(loaded(), lookup).told == noise.told, "drawn by its seed alone"


def test_more_images_rank_better() -> None:
    many = replace(QUICK, scorers=("magnitude",), cuts=8, images=(5, 40), searches=1, draws=200)
    few, all_ = many.measure(loaded(), lookup).told
    assert few.cuts.middle < all_.cuts.middle


def test_images_to_search_on_and_to_test_on_are_others() -> None:
    split = [Split(np.full((n, 1, 1, 1), part, np.uint8), np.zeros(n, np.int64)) for part, n in enumerate((5, 30, 20))]
    pool = Pool.of(Data(*split), 10)
    chosen, others = pool.draw(25, np.random.default_rng(0))
    assert (len(pool.split), len(chosen), len(others)) == (50, 25, 10)
    assert not {*chosen.tolist()} & {*others.tolist()}
    assert 0 not in pool.split.images, "no training image is in it"


def test_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 6, 30).astype(float)
    b = a + rng.normal(size=30)
    assert correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert correlation(np.ones(5), np.arange(5.0)) == 0


def test_pairs_are_near_each_other_and_of_different_owners() -> None:
    right = np.ones((4, 200), dtype=bool)
    right[1, 0] = right[2, 1] = False  # half a point worse, on other images
    right[3, :50] = False
    assert list(discordances(right)) == [1 / 200, 1 / 200, 2 / 200]
    assert list(discordances(right, [0, 0, 1, 1])) == [1 / 200, 2 / 200]


def test_so_many_images_find_the_difference_four_times_of_five() -> None:
    discordance, difference, rng = 0.04, 0.005, np.random.default_rng(0)
    images = images_needed(discordance, difference)
    assert images is not None
    lost, gained = (discordance + difference) / 2, (discordance - difference) / 2
    counts = rng.multinomial(images, [lost, gained, 1 - discordance], size=4000)
    found = (np.abs(counts[:, 0] - counts[:, 1]) / np.sqrt(counts[:, 0] + counts[:, 1])) > 1.959964
    assert found.mean() == pytest.approx(0.8, abs=0.03)
    assert images_needed(math.nan) is None
    assert images_needed(0.0, 0.01) == images_needed(0.01, 0.01), "a difference is a disagreement, too"


def test_that_many_images_make_an_interval_without_zero() -> None:
    images = images_needed(0.02, 0.005)
    assert images is not None
    before, after = np.ones(images, dtype=bool), np.ones(images, dtype=bool)
    after[: round(0.0125 * images)] = before[-round(0.0075 * images) :] = False
    _, (low, _) = paired_drop(before, after)
    assert low > 0


def test_what_no_search_told_is_none() -> None:
    none = Spread.of(np.array([]))
    assert Told(100, Spread.of(np.array([0.5, 0.7])), none, none, none).line.split()[-3:] == ["none"] * 3


def test_noise_is_read_as_it_was_written(noise: Noise, tmp_path: Path) -> None:
    for one in (noise, replace(noise, discordance=Spread(math.nan, math.nan, math.nan))):
        one.write(tmp_path / "noise.json")
        assert Noise.read(tmp_path / "noise.json").record == one.record
    assert Noise.read(tmp_path / "noise.json").needed is None
    assert "no two were within a point" in one.lines[-2]


@pytest.mark.parametrize("text", ["", "[]", '{"format": 0}', '{"format": 1}'])
def test_a_file_that_is_no_noise_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "noise.json").write_text(text)
    with pytest.raises(InputError, match="measure again"):
        Noise.read(tmp_path / "noise.json")


def test_what_is_known_is_about_just_this_problem(
    noise: Noise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    shipped = tmp_path / "tiny.json"
    problem = tiny_problem(noise=shipped)
    found = problem.load(lookup)
    assert known(found) is None
    noise.write(shipped)
    assert known(found) is not None
    assert known(replace(problem, units="filter").load(lookup)) is None
    assert key(replace(problem, batch_norm="shifted").load(lookup)) != key(found)
    replace(noise, problem="measured here").write(place(found))
    again = known(found)
    assert again is not None
    assert again.problem == "measured here"


@pytest.mark.parametrize("name", ["lenet-digits"])
def test_noise_that_comes_with_a_problem_is_about_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path))
    found = known(load(registry().problem(name)))
    assert found is not None
    assert found.problem == name
    assert found.told[-1].images <= found.images["search"]


@pytest.mark.usefixtures("real_data")
def test_so_it_is_with_mnist() -> None:
    found = known(load(registry().problem("lenet-mnist")))
    assert found is not None
    assert [one.images for one in found.told] == [100, 500, 2000]


def test_scores_that_the_units_have_not_are_left_out() -> None:
    with pytest.raises(InputError, match="must be defined for"):
        replace(QUICK, scorers=("lamp",)).measure(loaded("block"), lookup)


def test_lines_tell_all_figures() -> None:
    one = Told(100, Spread(0.5, 0.25, 0.75), Spread(math.nan, math.nan, math.nan), Spread(1, 1, 1), Spread(7, 7, 7))
    how: dict[str, Any] = {"scorers": ["l2"], "cuts": 3, "draws": 9, "searches": 2, "method": "own", "budget": 20.0}
    spread = Spread(0.04, 0.03, 0.05)
    noise = Noise("p", "", "weight", {"tested": 60}, (one,), spread, spread, how | {"members": 8}, {})
    text = "\n".join(noise.lines)
    assert "100  0.50 [0.25, 0.75]" in text
    assert re.search(r"none +1\.00 +7$", text, re.MULTILINE)
    assert "error on 60 others" in text
    assert f"take {images_needed(0.04)} images: they disagree on 4.0 %" in text
    json.dumps(noise.record, allow_nan=False)

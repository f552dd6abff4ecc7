"""A study read back: what it says is what its files and its reports say, and its members are the networks they were."""

from __future__ import annotations

import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from studies import study_of
from tiny import lookup, registry

import pruneframe as pf
from pruneframe.comparison.summary import results
from pruneframe.errors import NothingSelected
from pruneframe.study.facts import facts
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table


@pytest.fixture(scope="module")
def study(small: StudyFolder) -> pf.Study:
    return pf.load(small.path)


def test_its_tables_are_those_of_the_commands(study: pf.Study, small: StudyFolder) -> None:
    assert study.table.equals(long_table(small))
    assert len(study.runs) == 6
    assert set(study.runs.status) == {"done"}
    known = facts(small)
    assert study.summary().drop(columns="problem").equals(results(known.done(known.boards[0]), known.control))
    [row] = study.compare("random").to_dict("records")
    assert (row["method"], row["against"], row["verdict"]) == ("random", "magnitude", "no claim: needs 6 seeds")


def test_fronts_have_a_row_per_member(study: pf.Study, small: StudyFolder) -> None:
    assert len(study.fronts) == sum(run.result["front_size"] for run in small.runs())
    for run in small.runs():
        identity, front = run.identity, run.front()
        own = study.fronts[(study.fronts.method == identity["method"]) & (study.fronts.seed == identity["seed"])]
        own = own.sort_values("number")
        for name in ("search_error", "test_error", "params"):
            np.testing.assert_array_equal(own[name], front[name])
        assert own.removed.between(0, 1).all()


def test_a_member_is_the_network_that_was_measured(study: pf.Study) -> None:
    member = study.member("random", max_drop=3)
    told, data = member.facts, registry().problem("lenet-digits").images()
    assert told["search_error"] <= told["dense_error"] + 0.03
    module = member.module()
    with torch.no_grad():
        wrong = module(data.tensor(data.test)).argmax(dim=1).numpy() != data.test.labels
    assert wrong.mean() == told["test_error"]
    assert member.layers.kept.sum() == member.mask.counts()[0]
    assert all(torch.equal(tensor, member.state()[name]) for name, tensor in module.state_dict().items())
    ours = study.fronts[study.fronts.method == "random"]
    fits = ours[ours.search_error <= told["dense_error"] + 0.03]
    assert told["removed"] == fits.removed.max()


def test_members_are_named_as_by_export(study: pf.Study) -> None:
    assert study.member("magnitude", "lenet-digits", seed=1, number=2).facts["number"] == 2
    with pytest.raises(pf.InputError, match="exactly one of --max-drop and --member must be given"):
        study.member("random")
    with pytest.raises(pf.InputError, match="--member needs one run, but 3 fit"):
        study.member("random", number=0)
    with pytest.raises(NothingSelected, match="no finished run with method nsga2"):
        study.member("nsga2", max_drop=1)


def test_a_plot_is_the_reports_own_and_leaves_matplotlib_alone(study: pf.Study) -> None:
    backend = matplotlib.get_backend()  # chosen by whoever asks first
    before = matplotlib.rcParams.copy()
    figure = study.plot_fronts(highlight="random")
    assert isinstance(figure, Figure)
    assert figure.get_axes()[0].get_ylabel() == "test error (%)"
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"magnitude", "random"}
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert matplotlib.rcParams == before
    assert matplotlib.get_backend() == backend
    assert [item.id for item in study.draw("results")] == ["results-1"]
    with pytest.raises(pf.InputError, match="no method is named 'nsga2'"):
        study.plot_fronts(highlight="nsga2")
    with pytest.raises(pf.InputError, match="no problem is named 'lenet'"):
        study.plot_fronts("lenet")


def test_of_several_problems_one_is_named(small: StudyFolder, tmp_path: Path) -> None:
    other = study_of(tmp_path, ["magnitude"], units="filter")
    for run in small.runs():
        shutil.copytree(run.path, other.path / run.path.relative_to(small.path))
    both = pf.load(other.path)
    assert len(both.problems) == 2
    with pytest.raises(pf.InputError, match="problem must be given where there are several"):
        both.plot_fronts()
    assert both.plot_fronts(both.problems[1])
    assert set(both.fronts.problem) == set(both.problems)


def test_what_is_no_study_or_has_nothing_yet_is_said(tmp_path: Path, small: StudyFolder) -> None:
    with pytest.raises(pf.InputError, match="is not a study"):
        pf.load(small.path / "runs")
    empty = StudyFolder(tmp_path / "empty")
    empty.prepare({}, {})
    begun = pf.load(empty.path)
    assert (len(begun.runs), len(begun.fronts), len(begun.summary()), len(begun.compare())) == (0, 0, 0, 0)
    assert "none" in begun._repr_html_()
    with pytest.raises(NothingSelected, match="has no finished run yet"):
        begun.plot_fronts()


def test_notebooks_show_it(study: pf.Study) -> None:
    page = study._repr_html_()
    assert "6 done" in page
    assert "magnitude" in page
    member = study.member("magnitude", seed=0, number=1)
    assert "fc1" in member._repr_html_()
    assert lookup(pf.Report, "fronts")

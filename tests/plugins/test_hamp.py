"""The method hamp: the invariants of its reconstruction, its ablations, and whole runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from searches import PHYSICAL, searched
from studies import study_of
from tiny import lookup

from pruneframe.errors import Declined, InputError
from pruneframe.front import hypervolume
from pruneframe.study.facts import facts
from pruneframe.study.table import long_table
from pruneframe.testing import check_method, make_task, tiny_problem
from pruneframe_plugins.hamp import Hamp
from pruneframe_plugins.portfolio import SELECTORS
from pruneframe_reports.records import Records


@pytest.mark.parametrize(
    "spec",
    ["hamp", "hamp[preset=paper]", "hamp[portfolio=false]", "hamp[local=0]", "hamp[surrogate=false]", "hamp[tuned=10]"],
)
def test_the_contract_holds(spec: str) -> None:
    check_method(lookup(Hamp, spec), "filter")
    task = searched(spec, 60, **PHYSICAL)
    assert task.budget.spent <= 60 + 1e-9
    assert task.archive.front_values().shape[1] == 3


def test_single_weights_are_declined() -> None:
    with pytest.raises(Declined, match="widths of layers"):
        lookup(Hamp, "hamp").search(make_task(tiny_problem("weight")))


def test_a_genotype_of_full_widths_is_the_dense_network() -> None:
    task = make_task(tiny_problem("filter"))
    coder = task.encoding("channel-count[step=2]")
    variables = coder.variables(task.layout)
    full = coder.decode(variables.upper[None].astype(np.int64), task.layout, task.scores("l2"))
    assert full.digests() == task.layout.full().digests()
    first = searched("hamp", 60, **PHYSICAL).archive.evaluations[0]
    assert first.mask == task.layout.full().digests()[0]


def test_generations_are_recorded_with_quotas_and_gains() -> None:
    task = searched("hamp[preset=paper,population=8]", 120, **PHYSICAL)
    found = task.records["generations"]
    assert len(found) >= 5
    assert found[list(SELECTORS)].sum(axis=1).to_numpy() == pytest.approx(1)
    assert found["gain of local search"].sum() > 0
    gained = found["gain of variation"] + found["gain of local search"]
    assert np.diff(found.hypervolume) == pytest.approx(gained[1:])
    final = np.array([e.values for e in task.archive.evaluations]) / task.references
    assert 0 <= hypervolume(final) - found.hypervolume.iloc[-1] < 0.02  # the last generation may be cut off
    without = searched("hamp[preset=paper,population=8,local=0]", 120, **PHYSICAL)
    assert not without.records["generations"]["gain of local search"].any()


def test_hamp_searches_with_one_objective() -> None:
    problem = PHYSICAL | {"objectives": ("error",)}
    task = searched("hamp[scorer=l2,encoding=channel-count[step=1]]", 15, **problem)
    assert task.budget.spent == 15
    assert len(task.records["generations"])


@pytest.mark.parametrize("spec", ["hamp[floor=0.5]", "hamp[population=2]", "hamp[local=-1]"])
def test_bad_settings_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match=spec.partition("[")[2].partition("=")[0]):
        lookup(Hamp, spec)


def test_hamp_needs_integers() -> None:
    with pytest.raises(InputError, match="must give integers"):
        lookup(Hamp, "hamp[encoding=mask]").search(make_task(tiny_problem(**PHYSICAL)))


def test_a_run_on_real_digits_is_reported(tmp_path: Path) -> None:
    study = study_of(tmp_path, ["hamp"], budget=100.0, search_images=None, **PHYSICAL)
    [run] = study.runs()
    assert not run.result["deterministic"]
    assert run.result["hypervolume"] > 0.3
    assert list(Records().draw(long_table(study), facts(study)))

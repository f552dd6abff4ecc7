"""The method netadapt: every step narrows one layer, saves what it should, and is the same for every seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from searches import PHYSICAL, searched
from studies import study_of
from tiny import lookup

from pruneframe.errors import Declined, InputError
from pruneframe.study.facts import facts
from pruneframe.study.table import long_table
from pruneframe.testing import check_method, make_task, tiny_problem
from pruneframe_plugins.netadapt import Ladder, NetAdapt
from pruneframe_reports.records import Records


@pytest.mark.parametrize("spec", ["netadapt", "netadapt[tuned=10,step=0.1]"])
def test_the_contract_holds(spec: str) -> None:
    check_method(lookup(NetAdapt, spec), "filter")
    task = searched(spec, 60, **PHYSICAL)
    assert task.budget.spent <= 60 + 1e-9
    assert task.archive.front_values().shape[1] == 3


def test_single_weights_are_declined() -> None:
    with pytest.raises(Declined, match="narrows layers"):
        NetAdapt().search(make_task(tiny_problem("weight")))


def test_netadapt_narrows_one_layer_a_step_and_saves_what_it_should() -> None:
    task = searched("netadapt[step=0.1,decay=0.9]", 80, **PHYSICAL)
    steps = task.records["steps"]
    assert len(steps) > 3
    saved = -np.diff(steps.resource.to_numpy(), prepend=1)
    assert np.all(saved >= steps.wanted - 1e-9)
    assert steps.wanted[0] == 0.1
    halvings = np.log2(0.9 * steps.wanted[:-1].to_numpy() / steps.wanted[1:].to_numpy())
    assert halvings == pytest.approx(np.round(halvings))
    assert halvings[0] == 0 < halvings.sum()  # at first a layer can save as much, at last none can
    assert task.archive.evaluations[0].mask == task.layout.full().digests()[0]


def test_netadapt_takes_the_widest_layers_that_save_enough() -> None:
    task = make_task(tiny_problem(**PHYSICAL))
    ladder = Ladder(task.layout, task.scores("l2"))
    method = NetAdapt()
    resource = lambda mask: float(task.probe("latency", mask, count=1)[0])  # noqa: E731
    widths = list(task.layout.sizes)
    dense = resource(ladder.masks([widths]))
    proposals = method._proposals(resource, ladder, widths, 0.9 * dense)
    assert proposals
    for wide, remains in proposals:
        changed = [layer for layer, width in enumerate(wide) if width != widths[layer]]
        assert len(changed) == 1
        assert remains <= 0.9 * dense
        wider = list(wide)
        wider[changed[0]] += 1
        assert resource(ladder.masks([wider])) > 0.9 * dense


def test_netadapt_is_deterministic_without_training() -> None:
    assert NetAdapt().deterministic
    assert not NetAdapt(tuned=5).deterministic
    fronts = [searched("netadapt", 60, seed, **PHYSICAL).archive.front_values() for seed in (0, 1)]
    assert np.array_equal(*fronts)
    assert not searched("netadapt", 60, **PHYSICAL).drawn
    assert searched("netadapt[scorer=reconstruction]", 60, **PHYSICAL).drawn


def test_netadapt_does_not_save_distortion() -> None:
    task = searched("netadapt", 60, **PHYSICAL | {"objectives": ("error", "distortion", "latency")})
    assert len(task.archive.evaluations) > 1
    with pytest.raises(Declined, match="objective 'error' against another"):
        NetAdapt().search(make_task(tiny_problem("filter", objectives=("error", "distortion"))))


def test_netadapt_needs_the_error_and_something_to_save() -> None:
    for objectives in (("error",), ("latency", "memory")):
        with pytest.raises(Declined, match="objective 'error' against another"):
            NetAdapt().search(make_task(tiny_problem(**PHYSICAL | {"objectives": objectives})))
    task = searched("netadapt[resource=macs]", 60, **PHYSICAL)
    assert len(task.records["steps"]) > 0


@pytest.mark.parametrize("spec", ["netadapt[step=0]", "netadapt[decay=2]"])
def test_bad_settings_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match=spec.partition("[")[2].partition("=")[0]):
        lookup(NetAdapt, spec)


@pytest.mark.parametrize("spec", ["netadapt", "netadapt[scorer=reconstruction]"])
def test_a_run_on_real_digits_is_reported(spec: str, tmp_path: Path) -> None:
    study = study_of(tmp_path, [spec], budget=100.0, search_images=None, **PHYSICAL)
    [run] = study.runs()
    assert run.result["deterministic"] == (spec == "netadapt")
    assert run.result["hypervolume"] > 0.3
    assert list(Records().draw(long_table(study), facts(study)))

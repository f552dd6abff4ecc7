"""Objectives: what each counts, by hand, and what counts as 1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from door import random_masks
from searches import PHYSICAL
from tiny import lookup
from torch import Tensor, nn

from pruneframe.errors import InputError
from pruneframe.mask import Masks
from pruneframe.objective import Objective
from pruneframe.testing import check_objective, make_task, tiny_problem


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("name", ["error", "distortion", "params", "macs", "size"])
def test_the_contract_holds(name: str, units: str) -> None:
    check_objective(lookup(Objective, name), units)


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_what_is_counted_and_predicted_by_hand(units: str) -> None:
    names = ("error", "distortion", "params", "macs", "size")
    task = make_task(tiny_problem(units, objectives=names))
    network, masks = task.network, Masks.join([task.layout.full(), random_masks(task.layout, 4)])
    found = dict(zip(names, task.evaluate(masks).T, strict=True))
    assert np.array_equal(found["params"], network.params(masks))
    assert np.array_equal(found["macs"], network.macs(masks))
    bitmap = task.layout.width if units == "weight" else 0  # a shrunk network needs none
    assert np.array_equal(found["size"], 4 * network.params(masks) + bitmap)
    bench = task._workbench
    for row, candidate in enumerate(bench.candidates(masks, ["dense"] * 5, bench.search)):
        before, after = (torch.from_numpy(one.logits).double() for one in (bench.dense(bench.search), candidate))
        apart = torch.nn.functional.kl_div(after.log_softmax(1), before.softmax(1), reduction="batchmean")
        assert found["distortion"][row] == pytest.approx(float(apart), abs=1e-9)
        assert found["error"][row] == np.mean(candidate.logits.argmax(axis=1) != candidate.labels)
    assert task.references.tolist() == pytest.approx(
        [2 / 3, np.log(3), network.total_params, network.total_macs, 4 * network.total_params]
    )


def test_latency_and_memory_are_shares_of_the_dense_networks() -> None:
    task = make_task(tiny_problem(**PHYSICAL))
    assert task.references[1] == 1
    values = task.evaluate(Masks.join([task.layout.full(), random_masks(task.layout, 8)])) / task.references
    assert values[0, 1:] == pytest.approx([1, 1])
    assert np.all(values[1:, 1:] <= 1)
    assert np.all(values[1:, 1:].min(axis=0) < 0.99)


class Stubborn(nn.Module):
    """Counts on all of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.linear = nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.conv(images).view(-1, 64))


def test_a_network_that_does_not_run_without_its_filters_has_none_to_remove() -> None:
    with pytest.raises(InputError, match="the filters of conv stay: the network must run without its units"):
        make_task(replace(tiny_problem(**PHYSICAL), network=Stubborn()))

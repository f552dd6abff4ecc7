"""Members of a final front, back as networks."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import carried_out, run_of
from tiny import load, registry

from pruneframe.errors import InputError
from pruneframe.search.workbench import DENSE
from pruneframe.study.folder import RunFolder
from pruneframe.study.member import Front
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder
from pruneframe.testing import tiny_problem


def silent(line: str) -> None:
    """What is told while a problem loads."""


@pytest.fixture(scope="module")
def folder(small: StudyFolder) -> RunFolder:
    return next(iter(small.runs()))


def check_states(folder: RunFolder) -> Front:
    """Every member's state is zero where it is pruned, and errs on search and on test as was written down."""
    front, stored = Front.read(folder, registry(), silent), folder.front()
    assert len(front) == len(stored["bits"])
    assert np.array_equal(front.masks.bits, stored["bits"])
    assert list(front.weights) == stored["weights"].tolist()
    loaded = front.bench.loaded
    module = copy.deepcopy(loaded.network.module)
    for row in range(len(front)):
        state = front.state(row)
        for name, keep in loaded.network.keep(front.masks, row).items():
            assert not state[name][~keep].any()
        module.load_state_dict(state)
        for split, name in ((loaded.search, "search_error"), (loaded.data.test, "test_error")):
            with torch.inference_mode():
                wrong = module(loaded.data.tensor(split)).argmax(dim=1).numpy() != split.labels
            assert wrong.mean() == pytest.approx(stored[name][row])
    return front


def test_members_are_the_networks_that_were_measured(folder: RunFolder) -> None:
    front = check_states(folder)
    assert set(front.weights) == {DENSE}


@pytest.mark.parametrize("method", ["random", "weighted-ga[preset=sparsity,population=6,images=100,every=3]"])
def test_also_where_filters_go_statistics_shift_and_weights_are_trained(method: str, tmp_path: Path) -> None:
    budget = 300.0 if method == "random" else 800.0
    folder = carried_out(run_of(method, budget=budget, units="filter", batch_norm="shifted"), tmp_path)
    front = check_states(folder)
    assert (set(front.weights) == {DENSE}) == (method == "random")


def test_a_front_is_read_by_itself_as_it_is_on_its_loaded_problem(folder: RunFolder) -> None:
    loaded = Run.of(folder.identity).load(registry())
    one, two = Front.of(folder, loaded), Front.read(folder, registry(), silent)
    assert one.masks.digests() == two.masks.digests()
    for row in range(len(one)):
        assert all(torch.equal(tensor, two.state(row)[name]) for name, tensor in one.state(row).items())
    assert one.bench.loaded is loaded


def test_a_front_of_another_network_is_refused(folder: RunFolder) -> None:
    with pytest.raises(InputError, match="holds masks of another network than 'tiny'") as caught:
        Front.of(folder, load(tiny_problem()))
    assert str(folder.path) in str(caught.value)


def test_a_front_of_another_problem_by_the_same_name_is_refused(folder: RunFolder, tmp_path: Path) -> None:
    other = RunFolder(tmp_path)
    other.begin(folder.identity | {"fingerprint": "0" * 16})
    with pytest.raises(InputError, match="other weights or images here"):
        Front.read(other, registry(), silent)

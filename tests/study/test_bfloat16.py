"""A search in bfloat16: repeatable, resumed as it was, a board of its own, and reported in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from networks import needs_kernel
from precisions import multiplies
from runs import assert_same_front, carried_out, run_of, stopped
from tiny import registry

from pruneframe.engine.plain import Plain
from pruneframe.mask import Masks
from pruneframe.study.facts import facts
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder
from pruneframe.study.worker import carry_out

HALF = 0.1  # a rule by which the densest candidates on a small LeNet are computed in bfloat16


@pytest.fixture
def bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplies(monkeypatch, worth=HALF)


def rounded(method: str, **settings: float) -> Run:
    return run_of(method, precision="bfloat16", **settings)


@needs_kernel
@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("method", ["nsga2", "magnitude"])
def test_what_is_stored_of_a_front_is_float32_on_all_images(method: str, tmp_path: Path) -> None:
    run = rounded(method, budget=40.0)
    folder = carried_out(run, tmp_path)
    assert "; torch in bfloat16 by avx512_bf16 where " in folder.result["engine"]
    assert folder.identity["precision"] == "bfloat16"
    front, loaded = folder.front(), run.load(registry())
    network, masks = loaded.network, Masks(front["bits"], loaded.network.layout)
    splits = {"search": loaded.search, "test": loaded.data.test}
    assert set(front["weights"]) == {"dense"}
    states = [network.module.state_dict()] * len(masks)
    for name, split in splits.items():
        for row, logits in enumerate(Plain(network).logits(masks, states, loaded.data.tensor(split))):
            assert front[f"{name}_error"][row] == np.mean(logits.argmax(axis=1) != split.labels)


@needs_kernel
@pytest.mark.usefixtures("bfloat16")
def test_it_is_repeatable_and_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    run = rounded("nsga2", budget=60.0)
    whole, again = (carried_out(run, tmp_path / name) for name in ("one", "two"))
    assert_same_front(whole, again)
    stopped(run, tmp_path / "killed", 30)
    resumed = carried_out(run, tmp_path / "killed")
    assert_same_front(whole, resumed)
    kinds = ["number", "mask", "weights", "spent", "error", "params"]
    assert whole.evaluations()[kinds].equals(resumed.evaluations()[kinds])


@needs_kernel
@pytest.mark.usefixtures("bfloat16")
def test_a_search_sees_what_it_computes(tmp_path: Path) -> None:
    """The dense network's distortion from itself is not zero where it is rounded; what is reported of it is."""
    objectives = ("error", "distortion")
    plain, halved = (
        carried_out(run_of("magnitude", budget=12.0, objectives=objectives, precision=one), tmp_path)
        for one in ("float32", "bfloat16")
    )
    least = [folder.evaluations()["distortion"].min() for folder in (plain, halved)]
    assert least[0] < 1e-9 < least[1]
    for folder in (plain, halved):
        assert folder.result["dense_search"][1] == 0.0


@needs_kernel
@pytest.mark.usefixtures("bfloat16")
def test_runs_of_another_precision_are_another_board_and_called_so(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path)
    study.prepare({}, {})
    one, other = (carried_out(run_of("magnitude", budget=12.0, precision=p), tmp_path) for p in ("float32", "bfloat16"))
    assert one.path != other.path
    labels = {board.label for board in facts(study).boards}
    assert labels == {"lenet-digits (precision float32)", "lenet-digits (precision bfloat16)"}
    assert {run.precision for run in facts(study).runs} == {"float32", "bfloat16"}


def test_a_worker_on_another_machine_refuses_what_it_would_emulate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiplies(monkeypatch)
    run = rounded("magnitude")
    multiplies(monkeypatch, "")
    result = carry_out(run, tmp_path, ())
    assert result["status"] == "failed"
    assert "emulate" in result["reason"]

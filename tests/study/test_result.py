"""The members of a final front, and the one look at the test split."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import load, lookup

from pruneframe import Objective
from pruneframe.front import FRONT_LIMIT, non_dominated
from pruneframe.mask import Masks
from pruneframe.search.answer import Answer, read_lines
from pruneframe.search.archive import Archive, Evaluation
from pruneframe.search.journal import MEMBER, Journal
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import DENSE, Workbench
from pruneframe.study.result import Members, measure_members
from pruneframe.testing import tiny_problem

OBJECTIVES = ("error", "params")


def bench_and_archive(candidates: int) -> tuple[Workbench, Archive]:
    """A tiny problem, and an archive whose claimed values are mutually non-dominated."""
    bench = Workbench(load(tiny_problem()), "cpu", Shelf(None))
    units = bench.network.layout
    archive = Archive(units)
    keep = np.random.default_rng(0).random((candidates, units.total)) < np.linspace(0.2, 1, candidates)[:, None]
    masks = Masks.pack(keep, units)
    for row, mask in enumerate(masks.digests()):
        share = (row + 1) / (candidates + 1)
        archive._add(Evaluation(row, mask, DENSE, ((1 - share) * 0.6, share * 500), row + 1.0, 0.0), masks.bits[row])
    return bench, archive


def test_final_front_is_measured_afresh_on_search_and_on_test() -> None:
    bench, archive = bench_and_archive(7)
    objectives = [lookup(Objective, name) for name in OBJECTIVES]
    found = measure_members(bench, archive, objectives, np.array([2 / 3, 500]), Journal(None, {}))
    module = copy.deepcopy(bench.network.module).eval()
    data = bench.loaded.data
    for row in range(7):
        state = copy.deepcopy(bench.network.module.state_dict())
        kept = found.masks.layout.split(np.unpackbits(found.masks.bits[row])[: found.masks.layout.total])
        for name, bits in zip(found.masks.layout.names, kept, strict=True):
            state[f"{name}.weight"] *= torch.from_numpy(bits).reshape(state[f"{name}.weight"].shape)
        module.load_state_dict(state)
        for split, values in ((bench.loaded.search, found.search), (data.test, found.test)):
            with torch.inference_mode():
                wrong = module(data.tensor(split)).argmax(dim=1).numpy() != split.labels
            assert values.values[row, 0] == pytest.approx(wrong.mean())
            assert values.error[row] == pytest.approx(wrong.mean())
            assert np.array_equal(values.correct[row], ~wrong)
    assert found.total_params == sum(p.numel() for p in bench.network.module.parameters())
    dense = found.dense_search.correct
    lost, gained = found.differing
    assert lost.tolist() == [int((dense[0] & ~own).sum()) for own in found.search.correct]
    assert np.array_equal(lost - gained, dense.sum() - found.search.correct.sum(axis=1))
    assert np.array_equal(found.reduction, 1 - found.params / found.total_params)


def test_final_front_is_thinned_before_it_is_tested() -> None:
    bench, archive = bench_and_archive(FRONT_LIMIT + 20)
    assert np.all(non_dominated(archive.front_values()))
    objectives = [lookup(Objective, name) for name in OBJECTIVES]
    found = measure_members(bench, archive, objectives, np.array([2 / 3, 500]), Journal(None, {}))
    assert len(found.masks) == len(found.test.values) == len(found.weights) == FRONT_LIMIT
    assert set(found.masks.digests()) <= {evaluation.mask for evaluation in archive.evaluations}


def test_a_front_is_measured_once_and_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, archive = bench_and_archive(4)
    objectives = [lookup(Objective, name) for name in OBJECTIVES]

    def measure() -> Members:
        with Journal(tmp_path / "journal.jsonl", {}) as journal:
            return measure_members(bench, archive, objectives, np.array([2 / 3, 500]), journal)

    first = measure()
    monkeypatch.setattr(Workbench, "candidates", lambda *_, **__: pytest.fail("it was computed again"))
    second = measure()
    assert first.masks.digests() == second.masks.digests()
    for name in ("search", "test", "dense_search", "dense_test"):
        one, two = getattr(first, name), getattr(second, name)
        assert np.array_equal(one.values, two.values)
        assert np.array_equal(one.correct, two.correct)
    answers = [line for line in read_lines(tmp_path / "journal.jsonl").lines if isinstance(line, Answer)]
    assert len(answers) == 2 * (4 + 1)
    assert {(answer.kind, answer.charge) for answer in answers} == {(MEMBER, 0.0)}

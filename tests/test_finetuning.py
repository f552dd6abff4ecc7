"""The common fine-tuning: zeros stay, every member gets it, the search is left as it was, a kill loses one member."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruneframe.finetuning import Finetuned, finetune, price
from pruneframe.journal import Answer, Journal, Shelf
from pruneframe.mask import Masks
from pruneframe.progress import Progress
from pruneframe.readout import facts, long_table
from pruneframe.registry import Registry
from pruneframe.run import Run, carry_out
from pruneframe.store import StudyFolder
from pruneframe.study import plan
from pruneframe.testing import tiny_problem
from pruneframe.training import Recipe
from pruneframe.workbench import DENSE, Workbench

RECIPE = Recipe(epochs=3, learning_rate=0.05, batch=16)


def half(bench: Workbench) -> Masks:
    """Two masks: the whole network, and every second unit."""
    keep = np.ones((2, bench.network.layout.total), dtype=bool)
    keep[1, ::2] = False
    return Masks.pack(keep, bench.network.layout)


def tuned(bench: Workbench, recipe: Recipe = RECIPE, seed: int = 0, journal: Journal | None = None) -> Finetuned:
    return finetune(bench, half(bench), [DENSE, DENSE], recipe, seed, journal or Journal(None, {}))


@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
@pytest.mark.parametrize("units", ["weight", "filter"])
def test_a_member_is_measured_as_the_training_leaves_it(units: Any, batch_norm: Any) -> None:
    bench = Workbench(tiny_problem(units, batch_norm).load(), "cpu", Shelf(None))
    found = tuned(bench)
    before = [
        float((c.logits.argmax(1) != c.labels).mean()) for c in bench.candidates(half(bench), [DENSE] * 2, bench.search)
    ]
    assert found.search_error[1] < before[1], "training helps a half of a network"
    assert found.units == 2 * price(bench, RECIPE) == 2 * 3 * 3 * 60 / 40


def test_the_same_seed_gives_the_same_errors_and_nothing_is_kept(tmp_path: Path) -> None:
    loaded = tiny_problem().load()
    first, second = (tuned(Workbench(loaded, "cpu", Shelf(tmp_path / name))) for name in "ab")
    np.testing.assert_array_equal(first.test_error, second.test_error)
    assert list(tmp_path.glob("*/*")) == []


def test_a_killed_fine_tuning_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Workbench(tiny_problem().load(), "cpu", Shelf(None))
    whole = tuned(bench)
    with Journal(tmp_path / "log", {}) as journal:
        finetune(bench, half(bench)[[0]], [DENSE], RECIPE, 0, journal)
    trained = []
    train = bench.train
    monkeypatch.setattr(bench, "train", lambda *given: trained.append(given) or train(*given))
    with Journal(tmp_path / "log", {}) as journal:
        found = tuned(bench, journal=journal)
    assert len(trained) == 1
    np.testing.assert_array_equal(found.search_error, whole.search_error)


def planned(tmp_path: Path) -> tuple[Run, StudyFolder]:
    settings = {"budget": 15.0, "search_images": 100}
    (run,) = plan(Registry(), ["magnitude"], ["lenet-digits"], [0], settings, "cpu", 1, lambda line: None).runs
    study = StudyFolder(tmp_path)
    study.prepare({}, {})
    return run, study


def test_a_finished_run_is_fine_tuned_without_a_new_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, study = planned(tmp_path)
    plain = carry_out(run, tmp_path, ())
    assert facts(study).runs[0]["finetuned"] == 0
    assert "finetuned" not in set(long_table(study).kind)
    answers: list[Answer] = []
    write = Journal.write

    def seen(journal: Journal, *given: Any) -> Answer:
        answers.append(write(journal, *given))
        progress = Progress(run.folder(study), run.budget)
        progress.refresh()
        assert progress.state == f"fine-tuning its front ({len(answers)} of {plain['front_size']})"
        assert progress.seconds_left is not None
        return answers[-1]

    monkeypatch.setattr(Journal, "write", seen)
    assert carry_out(run, tmp_path, (), epochs=1) == plain
    assert {answer.kind for answer in answers} == {"finetune"}
    assert len(answers) == plain["front_size"]
    known, table = facts(study), long_table(study)
    assert known.runs[0]["finetuned"] == 1
    after = table[(table.kind == "finetuned") & (table.split == "test")]
    before = table[(table.kind == "member") & (table.split == "test")]
    np.testing.assert_array_equal(after.removed, before.removed)
    assert after.error.mean() < before.error.mean()
    answers.clear()
    carry_out(run, tmp_path, (), epochs=1)
    assert answers == [], "it is done"
    carry_out(run, tmp_path, (), epochs=2)
    assert facts(study).runs[0]["finetuned"] == 2
    assert len(answers) == plain["front_size"]


def test_a_fine_tuning_that_fails_leaves_the_run_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, study = planned(tmp_path)
    carry_out(run, tmp_path, ())

    def broken(*given: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("pruneframe.run.finetune", broken)
    assert carry_out(run, tmp_path, (), epochs=1) == {"status": "failed", "reason": "no space left"}
    assert [one["status"] for one in facts(study).runs] == ["done"]


def test_the_recipe_belongs_to_the_problem() -> None:
    problem = tiny_problem(finetuning=replace(RECIPE, batch=8))
    assert problem.finetuning.batch == 8

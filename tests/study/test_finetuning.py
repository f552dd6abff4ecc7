"""The common fine-tuning: zeros stay, every member gets it, the search is left as it was, a kill loses one member."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import carried_out, run_of
from tiny import load

from pruneframe.comparison.summary import after_training
from pruneframe.mask import Masks
from pruneframe.model.recipe import Recipe
from pruneframe.search.answer import Answer
from pruneframe.search.journal import Journal
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import DENSE, Workbench
from pruneframe.study.facts import facts
from pruneframe.study.finetuning import FINETUNE, Finetuned, finetune
from pruneframe.study.member import Front
from pruneframe.study.progress import Progress
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table
from pruneframe.study.worker import carry_out
from pruneframe.testing import tiny_problem

RECIPE = Recipe(epochs=3, learning_rate=0.05, batch=16)


def half(bench: Workbench) -> Front:
    """A front of two members: the whole network, and every second unit."""
    keep = np.ones((2, bench.network.layout.total), dtype=bool)
    keep[1, ::2] = False
    return Front(bench, Masks.pack(keep, bench.network.layout), (DENSE, DENSE))


def tiny_bench(folder: Path | None = None, units: str = "weight", batch_norm: Any = "frozen") -> Workbench:
    return Workbench(load(tiny_problem(units, batch_norm)), "cpu", Shelf(folder))


def tuned(bench: Workbench, recipe: Recipe = RECIPE, seed: int = 0, journal: Journal | None = None) -> Finetuned:
    return finetune(half(bench), recipe, seed, journal or Journal(None, {}))


@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
@pytest.mark.parametrize("units", ["weight", "filter"])
def test_a_member_is_measured_as_the_training_leaves_it(units: str, batch_norm: str) -> None:
    bench = tiny_bench(units=units, batch_norm=batch_norm)
    found, front = tuned(bench), half(bench)
    before = [candidate.error for candidate in bench.candidates(front.masks, front.weights, bench.search)]
    assert found.search_error[1] < before[1], "training helps a half of a network"
    statistics = 60 / 40 if batch_norm == "shifted" else 0  # new weights have new ones
    assert found.passes == 2 * bench.prices.training(RECIPE) == 2 * (3 * 3 * 60 / 40 + statistics)
    assert found.seconds > 0


def test_it_is_the_training_of_a_search_under_the_members_mask() -> None:
    bench, journal = tiny_bench(), Journal(None, {})
    seeds: list[int] = []
    train = bench.train

    def noted(mask: Masks, weights: str, recipe: Recipe, seed: int) -> Any:
        seeds.append(seed)
        return train(mask, weights, recipe, seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "train", noted)
        found = tuned(bench, journal=journal)
    front, test = half(bench), bench.images(bench.loaded.data.test)
    for row, seed in enumerate(seeds):
        weights = bench.shelf.put(bench.train(front.masks[[row]], DENSE, RECIPE, seed))
        for images, errors in ((bench.search, found.search_error), (test, found.test_error)):
            (candidate,) = bench.candidates(front.masks[[row]], [weights], images, exact=True)
            assert candidate.error == errors[row]
    assert len(set(seeds)) == 2


def test_the_same_seed_gives_the_same_errors_and_nothing_is_kept(tmp_path: Path) -> None:
    first, second = (tuned(tiny_bench(tmp_path / name)) for name in "ab")
    np.testing.assert_array_equal(first.test_error, second.test_error)
    assert list(tmp_path.glob("*/*")) == []


def test_a_killed_fine_tuning_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = tiny_bench()
    whole, front = tuned(bench), half(bench)
    with Journal(tmp_path / "log", {}) as journal:
        finetune(replace(front, masks=front.masks[[0]], weights=(DENSE,)), RECIPE, 0, journal)
    trained = []
    train = bench.train
    monkeypatch.setattr(bench, "train", lambda *given: trained.append(given) or train(*given))
    with Journal(tmp_path / "log", {}) as journal:
        found = tuned(bench, journal=journal)
    assert len(trained) == 1
    np.testing.assert_array_equal(found.search_error, whole.search_error)


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Run, StudyFolder]:
    """A run that is done, in a study of its own."""
    run, study = run_of("magnitude", budget=15.0), StudyFolder(tmp_path)
    study.prepare({}, {})
    carried_out(run, tmp_path)
    return run, study


def test_a_finished_run_is_fine_tuned_without_a_new_search(
    finished: tuple[Run, StudyFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, study = finished
    plain = run.folder(study).result
    assert facts(study).runs[0].finetuned == 0
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
    assert carry_out(run, study.path, (), epochs=1) == plain
    assert {answer.kind for answer in answers} == {FINETUNE}
    assert len(answers) == plain["front_size"]
    known, table = facts(study), long_table(study)
    assert known.runs[0].finetuned == 1
    assert known.runs[0].finetuning_passes == pytest.approx(sum(answer.charge for answer in answers))
    after = table[(table.kind == "finetuned") & (table.split == "test")]
    before = table[(table.kind == "member") & (table.split == "test")]
    np.testing.assert_array_equal(after.removed, before.removed)
    assert after.error.mean() < before.error.mean()
    [row] = after_training(table, known.boards[0], known.runs).to_dict("records")
    small = before[before.removed >= 0.5].number
    search = table[(table.kind == "finetuned") & (table.split == "search") & table.number.isin(small)]
    best = search.sort_values("error").number.iloc[0]
    error = float(after[after.number == best].error.iloc[0])
    assert row["at 50 % removed"].endswith(f" to {100 * (1 - error):.2f}")
    answers.clear()
    carry_out(run, study.path, (), epochs=1)
    assert answers == [], "it is done"
    carry_out(run, study.path, (), epochs=2)
    assert facts(study).runs[0].finetuned == 2
    assert len(answers) == plain["front_size"]


def test_a_fine_tuning_that_fails_leaves_the_run_done(
    finished: tuple[Run, StudyFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, study = finished

    def broken(*given: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("pruneframe.study.worker.finetune", broken)
    assert carry_out(run, study.path, (), epochs=1) == {"status": "failed", "reason": "no space left"}
    assert [one.status for one in facts(study).runs] == ["done"]


def test_the_recipe_belongs_to_the_problem() -> None:
    problem = tiny_problem(finetuning=replace(RECIPE, batch=8))
    assert problem.finetuning.batch == 8

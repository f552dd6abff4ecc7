"""The method section says what the study says: rules, looks, methods, versions, and what is missing."""

from __future__ import annotations

from dataclasses import replace

from studies import hand_made

import pruneframe as pf
from pruneframe.comparison.protocol import protocol

ENVIRONMENTS = [
    {"pruneframe": "1", "processor": "fast", "cores": 2},
    {"pruneframe": "2", "processor": "slow", "cores": 4},
]


def told(study: pf.StudyFacts, anonymous: bool = False) -> dict[str, str]:
    runs = tuple(replace(run, environment=ENVIRONMENTS[i % 2]) for i, run in enumerate(study.runs))
    return {part.heading: part.text for part in protocol(replace(study, runs=runs), anonymous)}


def test_looks_seeds_and_budgets_are_counted() -> None:
    _, study = hand_made()
    found = told(study)
    assert "6 looks in all" in found["Images"]
    assert "4 of 4 runs done" in found["Runs"]
    assert "seeds 0, 1" in found["Runs"]
    assert "Budget: 10 passes for each of 4 runs." in found["toy"]
    assert "stopped before" not in found["Compute"]
    for seconds, lasting in ((20.0, "80 seconds"), (900.0, "60 minutes"), (9000.0, "10.0 hours")):
        longer = replace(study, runs=tuple(replace(run, seconds=seconds) for run in study.runs))
        assert f"The answers to all searches took {lasting}." in told(longer)["Compute"]
    early = replace(study, runs=tuple(replace(run, passes_spent=5.0 + run.seed * 5) for run in study.runs))
    assert "2 runs stopped before 99 % of the budget were spent." in told(early)["Compute"]


def test_rules_of_a_board_are_told() -> None:
    _, study = hand_made()
    rules = {
        "units": "filter",
        "batch_norm": "shifted",
        "device": "cpu",
        "threads": 1,
        "precision": "bfloat16",
        "images": {"search": 7, "test": 8},
    }
    (board,) = study.boards
    text = told(replace(study, boards=(replace(board, rules=rules, source="A network"),)))["toy"]
    for part in ("A network.", "single filters", "batch norm shifted", "in bfloat16 on cpu with 1 thread.", "7 search"):
        assert part in text
    assert "error 10.00 %, params 100 parameters." in text


def test_provenance_versions_and_missing_runs_are_told() -> None:
    _, study = hand_made()
    missing = pf.RunSummary("toy", "first", 0, 9, "missing")
    found = told(replace(study, runs=(*study.runs, missing)))
    assert found["first"] == "published"
    assert found["Plugins"] == "Not told."
    runs = tuple(replace(run, plugins=(("theirs", "1.5"), ("/home/me/own.py", "0af"))) for run in study.runs)
    assert told(replace(study, runs=runs))["Plugins"] == "own.py 0af, theirs 1.5."
    assert "says nothing" in found["second"]
    assert (
        found["Computed with"]
        == "pruneframe 1, processor fast, cores 2; or with pruneframe 2, processor slow, cores 4."
    )
    assert found["Not in any figure"] == "first on toy, seed 9: missing."
    assert "Not in any figure" not in told(study)


def test_an_anonymous_comparison_names_no_hardware_package_or_path() -> None:
    _, study = hand_made()
    (board,) = study.boards
    rules = {"units": "filter", "batch_norm": "frozen", "device": "cpu", "threads": 1, "search_images": 5}
    rules |= {"target_identity": "local-cpu on a fast one", "precision": "float32"}
    failed = pf.RunSummary("toy", "x", 0, 0, "failed", reason="/home/me is full", seconds=0.0)
    study = replace(study, boards=(replace(board, rules=rules),), runs=(*study.runs, failed))
    open_, closed = told(study), told(study, anonymous=True)
    assert closed["Computed with"] == "pruneframe 1; or with pruneframe 2."
    assert "Plugins" not in closed
    assert ("a fast one" in open_["toy"], "a fast one" in closed["toy"]) == (True, False)
    assert ("/home/me" in open_["Not in any figure"], "/home/me" in closed["Not in any figure"]) == (True, False)


def test_the_cost_of_fine_tuning_is_told_beside_the_budget() -> None:
    _, study = hand_made()
    runs = tuple(replace(run, finetuned=1, finetuning_passes=2.5) for run in study.runs)
    found = told(replace(study, runs=runs))
    assert "The common fine-tuning took 10 passes beside it." in found["Compute"]
    assert "Each of 6 members was measured once more" in found["Images"]

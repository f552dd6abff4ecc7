"""What a run is: every field of its identity, its folder and hash, and the problem that it is about."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from runs import run_of
from tiny import registry

from pruneframe.errors import InputError
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder

OTHER = {
    str: "other",
    int: 7,
    float: 7.5,
    tuple: (("other", "1"),),
}


@pytest.fixture(scope="module")
def run(cache: Path) -> Run:
    return run_of("random")


def test_where_a_targets_table_lies_is_no_part_of_the_identity(run: Run) -> None:
    here = replace(run, target="lookup-table[table=here]", target_identity="lookup-table 12")
    assert replace(here, target="lookup-table[table=there]").hash == here.hash
    assert replace(here, target_identity="lookup-table 13").hash != here.hash


@pytest.mark.parametrize("field", [field.name for field in fields(Run) if field.name != "target"])
def test_every_field_is_part_of_the_identity(field: str, run: Run) -> None:
    value = getattr(run, field)
    changed = replace(run, **{field: OTHER[type(value)]})
    assert changed != run
    assert changed.hash != run.hash
    study = StudyFolder(Path("study"))
    assert changed.folder(study) != run.folder(study)
    assert (changed.board == run.board) == (field in ("method", "instance", "seed", "fingerprint", "versions"))


@pytest.mark.parametrize(
    ("spec", "same"),
    [("nsga2[population=none]", "nsga2"), ("nsga2[ scorer=l2, population=8 ]", "nsga2[population=8,scorer=l2]")],
)
def test_one_meaning_is_one_identity(spec: str, same: str) -> None:
    assert run_of(spec) == run_of(same)
    assert run_of(spec).hash == run_of(same).hash


def test_a_hash_is_ten_hex_digits_and_the_folder_ends_with_it(run: Run) -> None:
    assert len(run.hash) == len(run.board) == len(bytes.fromhex(run.hash)) * 2 == 10
    assert run.folder(StudyFolder(Path("study"))).path == Path(f"study/runs/lenet-digits/random/0-0-{run.hash}")


def test_a_run_is_read_back_from_what_its_folder_says(run: Run) -> None:
    written = json.loads(json.dumps(asdict(run) | {"hash": run.hash, "board": run.board, "references": [0.9, 100]}))
    again = Run.of(written)
    assert again == run
    assert (again.hash, again.board) == (run.hash, run.board)


def test_its_problem_has_the_settings_that_are_meant() -> None:
    settings = {"units": "filter", "batch_norm": "shifted", "objectives": ("error", "latency"), "budget": 33.0}
    run = run_of("random", target="analytic[speed=12.5]", **settings)
    found = run.problem_of(registry())
    assert (found.name, found.target, found.search_images) == ("lenet-digits", "analytic[speed=12.5]", 100)
    assert {name: getattr(found, name) for name in settings} == settings
    loaded = run.load(registry())
    assert loaded.problem == found
    assert loaded.fingerprint == run.fingerprint
    assert len(loaded.search) == 100


def test_a_problem_with_other_weights_or_images_is_refused(run: Run) -> None:
    with pytest.raises(InputError, match="problem 'lenet-digits' has other weights or images here"):
        replace(run, fingerprint="0" * 16).load(registry())
    with pytest.raises(InputError, match="other weights or images"):
        replace(run, search_images=99).load(registry())

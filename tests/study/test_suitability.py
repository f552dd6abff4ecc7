"""What is found out before anything is spent: methods that cannot run on a problem, budgets that pay for nothing."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import planned
from tables import table
from tiny import load, lookup, registry

import pruneframe as pf
from pruneframe.errors import Declined, Faulty, InputError
from pruneframe.model.trained import Trained
from pruneframe.problem import Problem
from pruneframe.study.suitability import check, check_budget
from pruneframe.testing import tiny_problem

LATENCY = ("error", "latency", "memory")
TIMER = "local-cpu[repeats=3,warmup=1]"


@pytest.mark.parametrize("scorer", ["bn-scale", "fpgm"])
def test_a_scorer_that_cannot_score_the_units_is_refused_before_it_runs(scorer: str) -> None:
    with pytest.raises(InputError, match=scorer):
        planned([f"magnitude[scorer={scorer}]"])


SCORED = [
    name
    for name in registry().names("method")
    if "scorer" in {setting.name for setting in fields(registry().entry("method", name).value)}
]


@pytest.mark.parametrize("name", SCORED)
def test_every_method_refuses_a_score_that_is_not_defined_before_it_runs(name: str) -> None:
    with pytest.raises(InputError, match=r"fpgm|single weights|latency"):
        planned([f"{name}[{'preset=paper,' * (name == 'hierarchical')}scorer=fpgm]"], budget=300.0)


@pytest.mark.parametrize(
    "method", ["nsga2[encoding=mask,variation=sbx-pm]", "moead[encoding=layer-ratio,variation=bit-flip]"]
)
def test_a_variation_of_another_kind_of_variables_is_refused_before_it_runs(method: str) -> None:
    with pytest.raises(InputError, match=r"sbx-pm|bit-flip"):
        planned([method])


def test_a_method_declines_before_anything_runs() -> None:
    with pytest.raises(Declined, match=r"GDE3.*encoding=layer-threshold"):
        planned(["platypus[algorithm=GDE3,encoding=mask]"])


def test_who_is_refused_is_named() -> None:
    with pytest.raises(InputError, match=r"^magnitude\[scorer=fpgm\] cannot run on 'lenet-digits': scorer 'fpgm'"):
        planned(["random", "magnitude[scorer=fpgm]"])


def test_who_declines_is_left_out_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    runs = planned(["random", "platypus[algorithm=GDE3,encoding=mask]"], report=told.append).runs
    assert {run.method for run in runs} == {"random"}
    assert any(line.startswith("skipped: platypus") and "encoding=layer-threshold" in line for line in told)


@pytest.mark.parametrize("method", ["nsga2[scorer=taylor]", "magnitude[scorer=snip]", "random[scorer=fisher]"])
def test_a_budget_that_scores_alone_use_up_is_refused(method: str) -> None:
    # 1,000 training images forward and backward are 30 passes over 100 search images
    with pytest.raises(InputError, match=r"budget >= 31 must hold .* spends 30 before .*, but got 20"):
        planned([method], budget=20.0)
    planned([method], budget=31.0)


@dataclass(frozen=True, repr=False)
class Asks(pf.Method):
    """Asks for what is free, and then for something else."""

    name = "asks"
    then: str = "evaluates"

    def search(self, task: pf.Task) -> None:
        task.scores("magnitude")
        assert len(task.references) == len(task.objectives)
        if self.then == "declines":
            task.decline("it does not like the scores")
        if self.then == "trains":
            task.train(task.layout.full(), recipe=pf.Recipe(epochs=4))  # 18 passes
        task.evaluate(task.layout.full())


def test_a_method_may_look_at_what_is_free_and_decline() -> None:
    for problem in (tiny_problem(), tiny_problem("filter", objectives=LATENCY, target="analytic")):
        with pytest.raises(Declined, match="it does not like the scores"):
            check(registry(), load(problem), Asks("declines"))


@pytest.mark.parametrize(("then", "least"), [("evaluates", 0.1), ("trains", 19)])
def test_the_first_answer_that_is_paid_for_must_leave_room_for_an_evaluation(then: str, least: float) -> None:
    loaded = load(tiny_problem(budget=least))
    check(registry(), loaded, Asks(then))
    if then == "trains":
        with pytest.raises(InputError, match=r"budget >= 19 must hold for asks.* but got 18\.9"):
            check(registry(), load(tiny_problem(budget=18.9)), Asks(then))


def board(batch_norm: str, budget: float, **settings: Any) -> Problem:
    return tiny_problem("filter", batch_norm, budget=budget, **settings)  # type: ignore[arg-type] # one of the two


@pytest.mark.parametrize(
    ("batch_norm", "settings", "price"),
    [
        ("frozen", {}, 1.0),
        ("shifted", {}, 1 + 60 / 40),  # 60 training images move the statistics
        ("frozen", {"objectives": LATENCY, "target": "analytic"}, 1.0),
        ("frozen", {"objectives": LATENCY, "target": TIMER}, 1 + 2 * 4 / 40),  # the unpruned network takes turns
        ("shifted", {"objectives": LATENCY, "target": TIMER}, 1 + 60 / 40 + 2 * 4 / 40),
    ],
)
def test_a_budget_pays_for_two_evaluations(batch_norm: str, settings: dict[str, Any], price: float) -> None:
    def checked(budget: float) -> None:
        problem = board(batch_norm, budget, **settings)
        check_budget(load(problem), problem.meter(lookup))

    checked(2 * price)
    with pytest.raises(InputError, match=rf"budget >= {2 * price:g} must hold for 'tiny' .* of {price:g} passes"):
        checked(2 * price - 0.1)


def test_the_price_of_shifted_statistics_counts_in_the_least_budget(tmp_path: Path) -> None:
    source = tmp_path / "tiny.py"
    source.write_text(
        "import pruneframe as pf\nfrom pruneframe.testing import tiny_problem\n"
        "@pf.hookimpl\ndef pruneframe_problems():\n    return [tiny_problem()]\n"
    )
    board = {"problems": ["tiny"], "sources": (str(source),), "search_images": 40, "batch_norm": "shifted"}
    assert planned(["random"], budget=5.0, **board).runs
    with pytest.raises(InputError, match=r"budget >= 5"):
        planned(["random"], budget=4.9, **board)


def test_a_target_that_cannot_judge_the_network_is_found_out_at_once(tmp_path: Path) -> None:
    physical = {"units": "filter", "objectives": LATENCY}
    table(load(tiny_problem("filter")).network).write(tmp_path / "table")
    with pytest.raises(InputError, match="differ in layer"):
        planned(["nsga2"], target=f"lookup-table[table={tmp_path / 'table'}]", **physical)
    with pytest.raises(InputError, match="profile of a network"):
        planned(["nsga2"], target=f"lookup-table[table={tmp_path / 'none'}]", **physical)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="local-cuda needs a GPU"):
            planned(["nsga2"], target="local-cuda", **physical)
    with pytest.raises(InputError, match=r"two evaluations of 2\.2 passes"):
        planned(["nsga2"], target="local-cpu", budget=4.0, **physical)


def test_nothing_is_trained_for_a_method_that_declines(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(trained: Trained, *arguments: object) -> None:
        raise AssertionError("it must not be trained")

    monkeypatch.setattr(Trained, "learn", never)
    with pytest.raises(Declined, match="--units filter"):
        planned(["hamp"], instances=[4711])
    with pytest.raises(Faulty, match="must not be trained"):
        planned(["hamp", "random"], instances=[4711])

"""What each kind of question costs, by hand; and that nobody charges anything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from door import SEARCH, TRAIN, Door, door, masks_within, random_masks
from hypothesis import given
from hypothesis import strategies as st
from tiny import load, lookup
from torch import nn

from pruneframe import InputError, Objective, Recipe, Scorer, Tuning
from pruneframe.problem import Problem
from pruneframe.search.journal import Journal
from pruneframe.search.prices import PROOF, Prices
from pruneframe.search.subnetwork import REST, Predecessor
from pruneframe.search.workbench import DENSE
from pruneframe.study.finetuning import finetune
from pruneframe.study.member import Front
from pruneframe.testing import tiny_problem

RECIPE = Recipe(epochs=2, learning_rate=0.05, batch=16, images=20)
TUNING = Tuning(images=40, batch=20)


@dataclass(frozen=True)
class Board:
    """A tiny problem under some rules, and what is charged for under them, in passes."""

    batch_norm: str
    objectives: tuple[str, ...]
    target: str
    forwards: int  # timed, for one candidate and the unpruned network beside it

    @property
    def problem(self) -> Problem:
        objectives: dict[str, Any] = {"objectives": self.objectives, "target": self.target}
        return tiny_problem("filter", self.batch_norm, **objectives)  # type: ignore[arg-type] # one of the two

    @property
    def prices(self) -> Prices:
        return Prices.of(load(self.problem), self.problem.meter(lookup))

    @property
    def statistics(self) -> float:
        """Of one candidate: the tiny problem has fewer training images than are wanted."""
        return TRAIN / SEARCH if self.batch_norm == "shifted" else 0.0

    @property
    def timing(self) -> float:
        return self.forwards / SEARCH


LATENCY, MEMORY = ("error", "latency", "memory"), ("error", "memory")
TIMER = "local-cpu[repeats=3,warmup=1]"
TARGETS = {
    "nothing physical": (("error", "params"), "local-cpu", 0),
    "estimated": (LATENCY, "analytic", 0),
    "sizes alone": (MEMORY, TIMER, 0),
    "timed": (LATENCY, TIMER, 2 * (3 + 1)),
}
BOARDS = {
    f"{batch_norm}, {name}": Board(batch_norm, *target)
    for batch_norm in ("frozen", "shifted")
    for name, target in TARGETS.items()
}


@pytest.fixture(params=BOARDS.values(), ids=BOARDS.keys())
def board(request: pytest.FixtureRequest) -> Board:
    return request.param


def objectives(*names: str) -> list[Objective]:
    return [lookup(Objective, name) for name in names]


def test_every_price_by_hand(board: Board) -> None:
    prices = board.prices
    assert prices.images(10) == 10 / SEARCH
    assert prices.new_weights == board.statistics
    assert prices.outputs(10) == pytest.approx(10 / SEARCH + board.statistics)
    assert prices.timing == board.timing
    assert prices.evaluation == pytest.approx(1 + board.statistics + board.timing)
    assert prices.scores(lookup(Scorer, "magnitude")) == 0
    assert prices.scores(lookup(Scorer, "taylor")) == 3 * TRAIN / SEARCH  # it wants more than there are
    assert prices.tuning(TUNING) == 4 * 40 / SEARCH
    assert prices.training(RECIPE) == pytest.approx(3 * 2 * 20 / SEARCH + board.statistics)
    assert prices.part_training(RECIPE, 0.25) == pytest.approx(0.25 * 3 * 2 * 20 / SEARCH)
    assert (prices.search_images, prices.train_images) == (SEARCH, TRAIN)


def test_new_weights_are_not_what_an_evaluation_costs_beyond_its_images_where_latency_is_timed() -> None:
    for board in BOARDS.values():
        beyond = board.prices.evaluation - 1
        assert beyond == pytest.approx(board.prices.new_weights + board.timing)
        assert (beyond > board.prices.new_weights + 0.01) == (board.forwards > 0)


@pytest.mark.parametrize(("images", "epoch"), [(None, TRAIN), (15, 15), (TRAIN, TRAIN), (999, TRAIN)])
def test_an_epoch_has_no_more_images_than_there_are(images: int | None, epoch: int) -> None:
    prices = Prices(SEARCH, TRAIN, 0)
    recipe = Recipe(epochs=4, images=images)
    assert prices.epoch(recipe) == epoch
    assert prices.training(recipe) == pytest.approx(3 * 4 * epoch / SEARCH)
    assert prices.part_training(recipe, 0.5) == pytest.approx(prices.training(recipe) / 2)
    assert prices.training(recipe, taught=True) == pytest.approx((3 * 4 + 1) * epoch / SEARCH)


@given(st.floats(0, 1e4), st.integers(1, 10_000), st.integers(1, 10_000))
def test_as_many_images_can_be_trained_on_with_outputs_as_their_training_costs(
    passes: float, search_images: int, train_images: int
) -> None:
    prices = Prices(search_images, train_images, 0)
    visits = prices.trainable(passes, taught=True)
    outputs = min(visits, train_images)  # an image of several epochs has one
    assert prices.images(3 * visits + outputs) == pytest.approx(passes)


@given(st.floats(0, 1e6), st.integers(1, 10_000))
def test_so_many_images_can_be_trained_on_as_their_training_costs(passes: float, search_images: int) -> None:
    prices = Prices(search_images, 10**9, 0)
    trainable = prices.trainable(passes)
    assert prices.images(trainable) * prices.trained == pytest.approx(passes)


def test_a_network_without_batch_norm_has_no_statistics_to_pay_for() -> None:
    plain = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    loaded = load(tiny_problem(batch_norm="shifted").with_settings(network=plain))
    assert Prices.of(loaded, None).evaluation == 1


# What a probe of each objective pays for: outputs, statistics, the proof of a shrunk network, timed passes.
PROBES: dict[str, dict[str, tuple[bool, bool, bool, bool]]] = {
    "nothing physical": {"error": (True, True, False, False), "distortion": (True, True, False, False)},
    "estimated": {"latency": (False, False, False, False), "memory": (False, True, True, False)},
    "sizes alone": {"memory": (False, True, True, False), "error+memory": (True, True, True, False)},
    "timed": {
        "latency": (False, True, True, True),
        "memory": (False, True, True, False),
        "latency+memory": (False, True, True, True),
        "error+latency": (True, True, True, True),
    },
}
FREE = {"params": (False,) * 4, "macs": (False,) * 4, "size": (False,) * 4, "params+macs": (False,) * 4}


@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
@pytest.mark.parametrize(("target", "names"), [(target, name) for target in PROBES for name in PROBES[target] | FREE])
def test_a_probe_pays_for_what_its_objectives_look_at(batch_norm: str, target: str, names: str) -> None:
    board = BOARDS[f"{batch_norm}, {target}"]
    looks = (PROBES[target] | FREE)[names]
    costs = 10 / SEARCH, board.statistics, 2 * PROOF / SEARCH, board.timing
    expected = sum(cost for cost, look in zip(costs, looks, strict=True) if look)
    assert board.prices.probe(objectives(*names.split("+")), 10) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["latency", "memory"])
def test_what_the_problem_does_not_measure_cannot_be_probed(name: str) -> None:
    with pytest.raises(InputError, match="must be among the problem's own"):
        BOARDS["frozen, nothing physical"].prices.probe(objectives(name), 10)


def test_a_machine_that_is_not_locked_is_not_timed_on() -> None:
    with pytest.raises(InputError, match="must be among the problem's own"):
        BOARDS["frozen, sizes alone"].prices.probe(objectives("latency"), 10)


@pytest.fixture
def behind(board: Board) -> Door:
    return door(board.problem, budget=1000)


def charged(behind: Door, ask: Any) -> float:
    """What a question was charged."""
    spent = behind.task.budget.spent
    ask()
    return behind.task.budget.spent - spent


def test_a_task_charges_what_its_prices_say(behind: Door) -> None:
    task = behind.task
    masks, prices = random_masks(task.layout, 3), task.prices
    assert prices == behind.bench.prices
    assert charged(behind, lambda: task.references) == 0
    assert task.price_of_scores("taylor") == prices.scores(lookup(Scorer, "taylor"))
    assert charged(behind, lambda: task.evaluate(masks)) == pytest.approx(3 * prices.evaluation)
    for name in ("magnitude", "taylor", "snip"):
        assert charged(behind, lambda name=name: task.scores(name)) == pytest.approx(
            prices.scores(lookup(Scorer, name))
        )
    assert charged(behind, lambda: task.tune(task.scores("magnitude"), TUNING)) == pytest.approx(prices.tuning(TUNING))
    for recipe in (RECIPE, Recipe(batch=16)):
        train = lambda recipe=recipe: task.train(masks[[0]], recipe=recipe)  # noqa: E731
        assert charged(behind, train) == pytest.approx(prices.training(recipe))
    for count, names in enumerate((task.objectives, ("params",), ("error", "params")), start=10):
        probe = lambda names=names, count=count: task.probe(names, masks, count=count)  # noqa: E731
        assert charged(behind, probe) == pytest.approx(3 * prices.probe(objectives(*names), count))
        assert charged(behind, probe) == 0


def test_an_evaluation_that_is_affordable_is_one_that_the_budget_pays_for(behind: Door) -> None:
    task = behind.task
    assert task.affordable == int(1000 / task.prices.evaluation + 1e-9)


def test_parts_charge_what_their_prices_say(behind: Door) -> None:
    task, network = behind.task, behind.task.network
    part, prices, mask = task.part(1, 3), task.prices, masks_within(network, 1, range(1, 3))
    entering, target = (prices.images(20) * network.share(*layers) for layers in ((0, 1), (1, 3)))
    head_share = 5 * 3 / network.total_macs  # 5 channels, 3 classes
    head = part.fit_head(RECIPE)
    assert task.budget.spent == pytest.approx(entering + target + prices.part_training(RECIPE, head_share))
    price = entering + prices.part_training(RECIPE, part.through(head)) + prices.new_weights
    assert charged(behind, lambda: part.fit(mask, head, RECIPE)) == pytest.approx(price)
    sent = Predecessor(masks_within(network, 1, range(1)))
    price += prices.new_weights  # the predecessor's features are entering, too, from a pruned network
    assert charged(behind, lambda: part.fit(mask, head, RECIPE, before=sent)) == pytest.approx(price)
    searched = network.share(0, 1)
    for one in (head, REST):
        assert part.price(one) == pytest.approx(part.through(one) + prices.new_weights)
        assert charged(behind, lambda one=one: part.evaluate(mask, one)) == pytest.approx(searched + part.price(one))
        searched = 0.0  # features are paid for once
    assert part.through(head) == part.share == network.share(1, 3)
    assert part.through(REST) == network.share(1, 5)


def test_an_assembled_network_has_new_weights(behind: Door) -> None:
    task = behind.task
    part = task.part(1, 3)
    weights = part.fit(masks_within(task.network, 1, range(1, 3)), REST, RECIPE)
    assert charged(behind, lambda: task.assemble([(part, weights)])) == task.prices.new_weights
    assert charged(behind, lambda: task.assemble([(part, DENSE)])) == 0


def test_fine_tuning_costs_what_a_searchs_training_does(behind: Door) -> None:
    front = Front(behind.bench, random_masks(behind.task.layout, 2), (DENSE, DENSE))
    journal = Journal(None, {})
    found = finetune(front, RECIPE, 0, journal)
    assert found.passes == pytest.approx(2 * behind.bench.prices.training(RECIPE))
    task = behind.task
    assert charged(behind, lambda: task.train(front.masks[[0]], recipe=RECIPE)) == pytest.approx(found.passes / 2)

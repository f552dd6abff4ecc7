"""Contract tests for authors of plugins: each function raises AssertionError where a component breaks its contract.

    from pruneframe.testing import check_scorer
    def test_my_scorer():
        check_scorer(MyScorer())

They run on a tiny random network within a second, for weights and for filters.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from .encoding import Encoding, Genomes
from .errors import PruneframeError
from .front import hypervolume, non_dominated
from .item import Remark
from .mask import Masks
from .method import Method
from .model.data import Data, Split
from .model.network import Network
from .model.shrink import proved
from .model.state import State
from .objective import Objective
from .problem import BatchNorm, LoadedProblem, Problem
from .registry import Registry
from .report import Board, Instance, Report, RunSummary, StudyFacts
from .scorer import Scorer
from .search.journal import Journal
from .search.ledger import BudgetSpent, Ledger
from .search.shelf import Shelf
from .search.task import Task
from .search.workbench import DENSE, Workbench
from .spec import parse_spec
from .target import Meter, Target
from .units import Units
from .variation import Variation

CLASSES = 3


class TinyNetwork(nn.Module):
    """Convolution, batch norm and ReLU twice, around a residual addition, then a linear layer; 6x6 images."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 5, 3, padding=1, bias=False)
        self.bn0 = nn.BatchNorm2d(5)
        self.conv1 = nn.Conv2d(5, 7, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(7)
        self.conv2 = nn.Conv2d(7, 5, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(5)
        self.conv3 = nn.Conv2d(5, 6, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(3)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(6, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 3] of images float32[n, 2, 6, 6]."""
        stem = self.relu(self.bn0(self.stem(images)))
        inside = self.relu(self.bn1(self.conv1(stem)))
        block = self.relu(self.bn2(self.conv2(inside)) + stem)
        return self.linear(self.flatten(self.pool(self.relu(self.conv3(block)))))


def tiny_problem(units: str = "weight", batch_norm: BatchNorm = "frozen", **settings: Any) -> Problem:
    """A problem that loads in milliseconds: random weights and statistics, labels as the dense network sees them."""
    rng = np.random.default_rng(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = TinyNetwork()
        for norm in (module.bn0, module.bn1, module.bn2):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0.0, 0.3)
            norm.running_mean = torch.randn(norm.num_features) * 0.1
            norm.running_var = torch.rand(norm.num_features) + 0.5
    images = rng.normal(size=(140, 2, 6, 6)).astype(np.float32)
    with torch.no_grad():
        logits = module.eval()(torch.from_numpy(images))
        module.linear.bias.sub_(logits.mean(dim=0))  # otherwise one class wins everywhere, pruned or not
        labels = module(torch.from_numpy(images)).argmax(dim=1).numpy().astype(np.int64)
    labels[:CLASSES] = np.arange(CLASSES)
    train, search, test = (Split(images[a:b], labels[a:b]) for a, b in ((0, 60), (60, 100), (100, 140)))
    return Problem("tiny", module, Data(train, search, test), units=units, batch_norm=batch_norm, **settings)


def loaded(units: str = "weight") -> LoadedProblem:
    """The tiny problem in memory."""
    return tiny_problem(units).load(Registry().component)


def make_task(problem: Problem, budget: float = 40, seed: int = 0, registry: Registry | None = None) -> Task:
    """A task on a problem, with its journal in memory."""
    registry = registry or Registry()
    lookup = registry.component
    bench = Workbench(problem.load(lookup), "cpu", Shelf(None), problem.meter(lookup))
    return Task(bench, Journal(None, {}), Ledger(budget), seed, registry.component)


def check_encoding(encoding: Encoding, units: str = "weight") -> None:
    """Samples have the shape they claim, decode purely, include the dense network, and spread over densities."""
    _check_identity(encoding)
    task = make_task(tiny_problem(units))
    layout, scores = task.layout, task.scores("magnitude")
    variables = encoding.variables(layout)
    genomes = encoding.sample(12, layout, scores, np.random.default_rng(1))
    assert genomes.shape == (12, variables.width), "sample must give genomes[n, width]"
    again = encoding.sample(12, layout, scores, np.random.default_rng(1))
    assert np.array_equal(genomes, again), "sample must draw from rng alone"
    assert sum(variables.groups) == variables.number, "groups must count all variables"
    if variables.kind != "binary":
        assert np.all((genomes >= variables.lower) & (genomes <= variables.upper)), "samples must keep the bounds"
    masks = encoding.decode(genomes, layout, scores)
    assert masks.layout == layout, "masks must be of the layout"
    assert len(masks) == 12, "decode must give one mask a genome"
    assert masks.digests() == encoding.decode(genomes, layout, scores).digests(), "decode must be pure"
    counts = masks.counts()
    assert counts.max() == layout.total, "a sample must include the dense network"
    assert counts.min() < 0.5 * layout.total, "a sample must be spread over densities"


def check_scorer(scorer: Scorer, units: str = "weight") -> None:
    """Scores are finite float32[units], the same for the same rng, and for any rng unless it says that it draws."""
    _check_identity(scorer)
    bench = Workbench(loaded(units), "cpu", Shelf(None))
    scores = bench.score(scorer, np.random.default_rng(1))
    assert np.array_equal(scores, bench.score(scorer, np.random.default_rng(1))), "the same rng, the same scores"
    if not scorer.draws:
        assert np.array_equal(scores, bench.score(scorer, np.random.default_rng(2))), "a scorer that draws must say so"


def check_variation(variation: Variation, encoding: str = "mask") -> None:
    """Children keep shape, bounds and what is not free; parents stay as they are; randomness is rng's alone."""
    _check_identity(variation)
    task = make_task(tiny_problem())
    coder, scores = task.encoding(encoding), task.scores("magnitude")
    variables = coder.variables(task.layout)
    parents = coder.sample(10, task.layout, scores, task.rng)
    bits = scores if variables.kind == "binary" else None
    before = parents.copy()
    for n in (10, 5):  # one parent a child, and two
        children = variation.vary(parents, n, variables, np.random.default_rng(1), bits)
        again = variation.vary(parents, n, variables, np.random.default_rng(1), bits)
        assert children.shape == (n, variables.width), "vary must give n children"
        assert children.dtype == parents.dtype, "children must be of their parents' type"
        assert np.array_equal(children, again), "vary must draw from rng alone"
        _check_bounds(children, variables)
    assert np.array_equal(parents, before), "vary must not change the parents"
    if variables.kind == "binary":
        free = np.packbits(np.arange(variables.number) % 3 == 0)
        children = variation.vary(parents, 10, variables, np.random.default_rng(1), bits, free)
        assert not np.any((children ^ parents) & ~free), "bits that are not free must stay"


def _check_bounds(children: Genomes, variables: Any) -> None:
    if variables.kind == "binary":
        spare = variables.width * 8 - variables.number
        assert not np.any(children[:, -1] & ((1 << spare) - 1)), "unused bits must stay zero"
    else:
        assert np.all((children >= variables.lower) & (children <= variables.upper)), "children must keep the bounds"


def check_objective(objective: Objective, units: str = "weight") -> None:
    """Values are finite and repeatable, and the dense network's reference is positive."""
    _check_identity(objective)
    bench = Workbench(loaded(units), "cpu", Shelf(None))
    assert bench.judge.reference(objective, bench.dense(bench.search)) > 0, "the reference must be positive"
    masks = bench.network.layout.full()
    values = [next(bench.measure(masks, [DENSE], [objective], bench.search))[0] for _ in range(2)]
    assert values[0] == values[1], "the same candidate, the same value"
    assert np.isfinite(values[0]), "values must be finite"
    bench.settle()


def check_target(target: Target) -> None:
    """Latencies are positive, a row for each network; memory is positive, and no larger for what is pruned."""
    _check_identity(target)
    bench = Workbench(loaded("filter"), "cpu", Shelf(None), Meter(target, timed=True))
    layout = bench.network.layout
    masks = Masks.pack(np.arange(layout.total) % np.array([[1], [2]]) == 0, layout)  # all filters, and every second
    networks = list(bench.candidates(masks, [DENSE] * 2, bench.search))
    seconds = target.latencies(networks)
    assert seconds.ndim == 2, "latencies must be seconds[networks, repeats]"
    assert len(seconds) == len(networks), "latencies must have a row for each network"
    assert np.all(seconds > 0), "a forward pass takes some time"
    if not target.measured:
        assert np.array_equal(seconds, target.latencies(networks)), "what is not measured must be repeatable"
    dense, pruned = map(target.memory, networks)
    assert 0 < pruned <= dense, "a pruned network needs no more memory than the dense one"


def check_units(units: Units) -> None:
    """A layout is repeatable and says its kind; what a mask removes is zero; what is removable shrinks exactly."""
    _check_identity(units)
    tiny = loaded()
    network = Network(tiny.network.module, tiny.network.inputs, units)  # as it says, nothing left out
    problem, layout = LoadedProblem(tiny.problem, network, tiny.data), network.layout
    assert layout == units.layout(network), "the same network, the same layout"
    assert layout.units == repr(units), "a layout must say which units it is of"
    rng = np.random.default_rng(0)
    masks = Masks.pack(rng.random((3, layout.total)) < 0.6, layout)
    kept, total = network.params(masks), network.total_params
    assert np.all((kept > 0) & (kept <= total)), "a mask must leave parameters, and no more than there are"
    assert network.params(layout.full())[0] == total, "the full mask must keep all parameters"
    bench = Workbench(problem, "cpu", Shelf(None))
    for row in range(len(masks)):
        state = bench.masked(masks[[row]], DENSE)
        for name, keep in network.keep(masks, row).items():
            assert not state[name][~keep].any(), f"what a mask removes of {name} must be zero"
        if units.removable:
            _check_shrinks(bench, masks[[row]], state, kept[row])


def _check_shrinks(bench: Workbench, mask: Masks, state: State, kept: int) -> None:
    try:
        shrunk = proved(bench.network, mask, state, bench.search.tensor[:8])
    except PruneframeError as error:
        raise AssertionError(f"units that are removable must be taken out exactly: {error}") from error
    left = sum(parameter.numel() for parameter in shrunk.parameters())
    assert left == kept, "a removable unit must be taken out of every parameter that it has a part in"


def check_method(method: Method, units: str = "weight", registry: Registry | None = None) -> None:
    """Spends no more than its budget, finds a front, and asks the same questions for the same seed."""
    _check_identity(method)
    asked = []
    for _ in range(2):
        task = make_task(tiny_problem(units), registry=registry)
        with contextlib.suppress(BudgetSpent):
            method.search(task)
        task.settle()
        assert task.budget.spent <= task.budget.total + 1e-9, "the budget must hold"
        assert task.archive.evaluations, "a search must evaluate something"
        assert np.all(non_dominated(task.archive.front_values())), "a front must be mutually non-dominated"
        asked.append([(e.mask, e.weights, e.values) for e in task.archive.evaluations])
    assert asked[0] == asked[1], "the same seed must ask the same questions"


def check_report(report: Report) -> None:
    """Draws a study of one and one of two methods; ids are short, its own and unique, boards are the study's."""
    _check_identity(report)
    for methods in (("one",), ("one", "two")):
        table, study = small_study(methods)
        known = table.copy()
        items = list(report.draw(table, study))
        assert table.equals(known), "the table must stay as it is, others read it too"
        drawn = [item for item in items if not isinstance(item, Remark)]
        assert all(re.fullmatch(r"[A-Za-z0-9-]+", item.id) for item in drawn), "ids are of letters, digits and dashes"
        assert len({item.id for item in drawn}) == len(drawn), "ids must be unique"
        assert all(item.caption for item in drawn), "captions must say what is shown"
        known_boards = {"", *(board.hash for board in study.boards)}
        assert all(item.board in known_boards for item in items), "a board must be one of the study's, or empty"


def small_study(methods: Sequence[str]) -> tuple[pd.DataFrame, StudyFacts]:
    """A study of two seeds as reports are told of it, without a run behind it; the numbers are drawn."""
    rng = np.random.default_rng(0)
    references, at_dense = (0.5, 100.0), (0.05, 100.0)
    rows: list[dict[str, Any]] = []
    runs = []
    for method, seed in product(methods, (0, 1)):
        head: dict[str, Any] = {"board": "5ma11", "problem": "small", "method": method, "instance": 0, "seed": seed}
        points = np.column_stack([np.sort(rng.uniform(0.05, 0.4, 4)), np.sort(rng.uniform(10, 90, 4))[::-1]])
        for number, (error, params) in enumerate(points):
            values = {"number": number, "error": error, "params": params, "removed": 1 - params / 100}
            values |= {"error_normalised": error / 0.5, "params_normalised": params / 100}
            spent = {"passes_spent": number + 1.0, "seconds": number + 1.0, "own_seconds": 0.1 * number}
            rows.append(head | values | spent | {"kind": "evaluation", "split": "search"})
            rows += [head | values | {"kind": "member", "split": split} for split in ("search", "test")]
            rows[-2]["loss_bound"] = error - 0.05 + 0.01
        reached: dict[str, Any] = {"dense_error": 0.05, "dense_test_error": 0.05, "front_size": 4}
        reached |= {"folder": "a/b/c/d/e", "own_seconds": 0.3, "seconds_by_kind": {"evaluate": 4.0}}
        reached |= {n: hypervolume(points / references) for n in ("hypervolume", "hypervolume_search")}
        reached |= {"hypervolume_region": hypervolume(points / [0.15, 100.0]), "hash": f"{method}{seed}"}
        reached |= {"hypervolume_log": 0.4, "hypervolume_anytime": 0.3, "hypervolume_resampled": (0.4, 0.5, 0.6)}
        reached |= {"budget": 4.0, "passes_spent": 4.0, "seconds": 4.0}
        runs.append(RunSummary(status="done", **head, **reached))
    names, quantities = ("error", "params"), ("share", "parameters")
    instances = (Instance(0, references, at_dense, at_dense, 0.05, 0.05),)
    board = Board("5ma11", "small", "small", names, instances, 4.0, quantities=quantities)
    return pd.DataFrame(rows), StudyFacts((board,), tuple(runs), dict.fromkeys(methods, ""))


def _check_identity(component: Any) -> None:
    name, settings = parse_spec(repr(component))
    assert name == component.name, "repr must begin with the name"
    assert type(component).configured(settings) == component, f"repr must read back, but got {component!r}"

"""Loans: whatever a component does to the network that it is handed is found out, and harms nobody else's."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from door import TRAIN, door, random_masks
from tiny import load, lookup, registry
from torch import Tensor, nn

import pruneframe as pf
from pruneframe.errors import Overstepped
from pruneframe.search.loans import Loan
from pruneframe.testing import check_scorer, make_task, tiny_problem

Change = Callable[[pf.Network], object]


def through_numpy(network: pf.Network) -> None:
    network.module.conv1.weight.detach().numpy()[:] = 1


def behind_autograd(network: pf.Network) -> None:
    network.module.conv1.weight.data += 1


def another_parameter(network: pf.Network) -> None:
    network.module.conv1.weight = nn.Parameter(torch.zeros(7, 5, 3, 3))


def another_layer(network: pf.Network) -> None:
    network.module.relu = nn.Identity()


def another_module(network: pf.Network) -> None:
    network.module = nn.Identity()


def another_forward(network: pf.Network) -> None:
    network.module.forward = lambda images: images


def gradients(network: pf.Network) -> None:
    network.module.requires_grad_(True)


CHANGES: dict[str, Change] = {
    "'conv1.weight'": lambda network: network.module.conv1.weight.zero_(),
    "'conv1.weight' ": behind_autograd,
    "'conv1.weight'  ": through_numpy,
    "'conv1.weight'   ": another_parameter,
    "'bn1.running_mean'": lambda network: network.module.bn1.running_mean.fill_(torch.nan),
    "mode or attributes": lambda network: network.module.train(),
    "layer 'bn1'": lambda network: network.module.bn1.train(),
    "layer 'bn1' ": lambda network: setattr(network.module.bn1, "eps", 1.0),
    "layer 'relu'": another_layer,
    "layers": lambda network: network.module.add_module("more", nn.ReLU()),
    "module": another_module,
    "mode or attributes ": another_forward,
    "hooks": lambda network: network.module.conv1.register_forward_hook(lambda *call: call[2] * 2),
    "gradient of 'stem.weight'": gradients,
}


@pytest.mark.parametrize("changed", CHANGES)
def test_a_change_is_named_and_the_original_is_as_it_was(changed: str) -> None:
    own = load(tiny_problem()).network
    before, loan = own.digest, Loan(own)
    loan.settle("scorer", "somebody")
    assert loan.network.module is not own.module
    loan.settle("scorer", "somebody")
    CHANGES[changed](loan.network)
    with pytest.raises(Overstepped, match=f"somebody must leave .* changed its {changed.strip()}"):
        loan.settle("scorer", "somebody")
    own.__dict__.pop("digest")
    assert own.digest == before


def test_what_is_no_number_is_no_change() -> None:
    problem = tiny_problem()
    problem.network.bn1.register_buffer("unused", torch.full((2,), torch.nan))
    loan = Loan(load(problem).network)
    assert loan.network.module.bn1.unused.isnan().all()
    loan.settle("scorer", "somebody")


def test_a_network_that_is_lent_says_the_same_as_the_original() -> None:
    own = load(tiny_problem("filter")).network
    lent, masks = Loan(own).network, random_masks(own.layout, 3)
    assert (lent.layers, lent.layout, lent.cuts, lent.stages) == (own.layers, own.layout, own.cuts, own.stages)
    assert (lent.digest, lent.total_params, lent.norms.keys()) == (own.digest, own.total_params, own.norms.keys())
    assert lent.norm_behind("conv1") == own.norm_behind("conv1") == "bn1"
    for count in ("params", "macs", "layer_weights", "widths"):
        assert np.array_equal(getattr(lent, count)(masks), getattr(own, count)(masks))
    assert lent.norms["bn1"] is lent.module.bn1 is not own.module.bn1


IMAGES = torch.zeros(10, 2, 6, 6)


def whole(network: pf.Network) -> None:
    network.module(IMAGES)


def copied(network: pf.Network) -> None:
    copy.deepcopy(copy.deepcopy(network.module))(images=IMAGES)


def and_back(network: pf.Network) -> None:
    module = copy.deepcopy(network.module).requires_grad_(True)
    torch.autograd.grad(module(IMAGES).sum(), list(module.parameters()))


def by_function(network: pf.Network) -> None:
    weights = {name: value.detach().clone().requires_grad_() for name, value in network.module.named_parameters()}
    torch.func.functional_call(network.module, weights, IMAGES).sum().backward()


def failing(network: pf.Network) -> None:
    with pytest.raises(RuntimeError):
        network.module(torch.zeros(10, 3, 6, 6))
    whole(network)


def layer_by_layer(network: pf.Network) -> None:
    module = network.module
    stem = F.relu(module.bn0(module.stem(IMAGES)))
    block = F.relu(module.bn2(module.conv2(F.relu(module.bn1(module.conv1(stem))))) + stem)
    module.linear(module.pool(module.conv3(block)).flatten(1))


@pytest.mark.parametrize(
    ("use", "passes"),
    [(whole, 1), (copied, 1), (and_back, 3), (by_function, 3), (failing, 1), (layer_by_layer, 1)],
)
def test_images_are_counted_where_they_run(use: Change, passes: float) -> None:
    loan = Loan(load(tiny_problem()).network)
    use(loan.network)
    assert loan.used == pytest.approx(passes * len(IMAGES))
    loan.settle("scorer", "somebody", loan.used)
    with pytest.raises(Overstepped, match=f"somebody must run no more .* 5 forward .* ran {10 * passes:g} .*; pay"):
        loan.settle("scorer", "somebody", 5, "pay")


@dataclass(frozen=True, repr=False)
class Greedy(pf.Scorer):
    """Runs its images forwards `ran` times, and declares one of them."""

    name = "greedy"
    images = 20
    passes = 1
    ran: int = pf.setting(1, "forward passes")

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        for _ in range(self.ran):
            network.module(images)
        return np.zeros(network.layout.total, dtype=np.float32)


def test_a_scorer_that_uses_more_than_it_declares_is_named() -> None:
    check_scorer(Greedy())
    with pytest.raises(Overstepped, match=r"scorer greedy\[ran=3\] must run no more .* 20 forward .* ran 60"):
        check_scorer(Greedy(ran=3))


@pytest.mark.parametrize("scorer", ["taylor", "snip", "fisher", "reconstruction"])
def test_bundled_scorers_use_what_they_declare(scorer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    settle = Loan.settle

    def note(loan: Loan, *arguments: object) -> None:
        used.append(loan.used)
        settle(loan, *arguments)

    monkeypatch.setattr(Loan, "settle", note)
    door().task.scores(scorer)
    assert max(used) == pytest.approx(3 * TRAIN)


class Kept:
    """What a scorer keeps of an earlier call."""

    scores = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, repr=False)
class Vandal(pf.Scorer):
    """Writes into everything that it is handed or has given away, but the network."""

    name = "vandal"
    images = TRAIN

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        Kept.scores[:] = 7
        images.zero_()
        labels.zero_()
        Kept.scores = np.full(network.layout.total, 1, dtype=np.float32)
        return Kept.scores


def test_images_labels_and_scores_stay_what_they_were() -> None:
    behind = door()
    before, rng = behind.loaded.data.train.digest, np.random.default_rng(0)
    first = behind.bench.score(Vandal(), rng)
    behind.bench.score(Vandal(), rng)
    assert first.max() == 1
    assert behind.loaded.data.train.digest == before


@dataclass(frozen=True, repr=False)
class Strange(pf.Objective):
    """An objective that does what it is not to."""

    name = "strange"
    predicts = False
    does: str = pf.setting("nothing", "what it does")

    def measure(self, candidate: pf.Candidate) -> float:
        if self.does == "logits":
            return float(candidate.logits.mean())
        if self.does == "shrunk":
            return float(sum(1 for _ in candidate.shrunk.parameters()))
        if self.does == "zero":
            candidate.network.module.linear.weight.zero_()
        elif self.does == "run":
            candidate.network.module(IMAGES)
        return 1.0

    def reference(self, dense: pf.Candidate) -> float:
        return 1.0


@pytest.mark.parametrize(
    ("does", "complaint"),
    [
        ("logits", "must say that it predicts"),
        ("shrunk", "must be physical"),
        ("zero", "changed its 'linear.weight'"),
        ("run", "ran 20 .*; look at candidate.logits"),
    ],
)
def test_an_objective_that_oversteps_is_named_and_others_are_told_the_truth(does: str, complaint: str) -> None:
    behind = door(tiny_problem("filter"))
    bench, objective = behind.bench, Strange(does=does)
    masks, params = random_masks(behind.task.layout, 2), lookup(pf.Objective, "params")

    def measured(*objectives: pf.Objective) -> list[list[float]]:
        return list(bench.measure(masks, [pf.DENSE] * 2, objectives, bench.search))

    truth = measured(params)
    complaint = rf"objective strange\[does={does}\] .*{complaint}"
    if does in ("logits", "shrunk"):
        with pytest.raises(Overstepped, match=complaint):
            measured(objective)
    else:
        assert [row[1:] for row in measured(objective, params)] == truth
        with pytest.raises(Overstepped, match=complaint):
            bench.settle()
    assert measured(params) == truth


def test_outputs_labels_and_references_cannot_be_written_to() -> None:
    behind, error = door(), lookup(pf.Objective, "error")
    candidate = next(behind.bench.candidates(behind.task.layout.full(), [pf.DENSE], behind.bench.search))
    seen = candidate.seen_by(error, behind.task.network)
    for array in (
        seen.logits,
        seen.labels,
        seen.masks.bits,
        seen.dense.logits,
        seen.dense.labels,
        behind.task.references,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
    assert seen.error == candidate.error


def test_a_method_cannot_add_to_its_archive() -> None:
    task = make_task(tiny_problem(), registry=registry())
    task.evaluate(task.layout.full())
    assert isinstance(task.archive.evaluations, tuple)
    task.archive.members.clear()
    assert len(task.archive.members) == 1
    assert not [name for name in dir(task.archive) if "add" in name and not name.startswith("_")]


def test_a_method_that_changes_the_network_or_runs_it_is_found_out_and_its_answers_are_true() -> None:
    for harm, complaint in ((lambda module: module.linear.weight.zero_(), "changed its"), (whole, "ran 10")):
        task, other = door().task, door().task
        harm(task.network if harm is whole else task.network.module)
        masks = random_masks(task.layout, 3)
        assert np.array_equal(task.evaluate(masks), other.evaluate(masks))
        assert np.array_equal(task.scores("magnitude"), other.scores("magnitude"))
        with pytest.raises(Overstepped, match=f"a method must .*{complaint}"):
            task.settle()
        other.settle()


def test_whoever_reaches_the_unpruned_network_itself_is_found_out() -> None:
    task = door().task
    task._workbench.network.module.linear.bias.add_(1)
    with pytest.raises(Overstepped, match="nobody may change the unpruned network itself"):
        task.settle()

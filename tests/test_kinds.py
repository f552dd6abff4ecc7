"""Inputs and layers of every kind, from the problem to the members that methods find, scored and encoded in any way."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import tiny
import torch
from kinds import KINDS, problem_of
from torch.func import functional_call

from pruneframe import (
    Encoding,
    Group,
    InputError,
    Inputs,
    Masks,
    Method,
    Network,
    Objective,
    Profile,
    Task,
    Tuning,
    Units,
)
from pruneframe.encoding import Scores
from pruneframe.engine.gpu import Gpu
from pruneframe.search.ledger import BudgetSpent
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import DENSE, Workbench
from pruneframe.testing import make_task
from pruneframe_plugins.targets import LocalCpu

DIVIDING = "emo-dir[preset=paper]"  # preset=tuned leaves little of a small budget to the search
METHODS = ["random", "magnitude", "nsga2[population=8]", "hierarchical", "weighted-ga[population=8]", DIVIDING]
# The unpruned network's layers before which it is cut, where its resolution does not say.
CUTS = {"features": 1, "volumes": 1, "tokens": 4, "attended": 5}
SCORERS = ["magnitude", "lamp", "taylor", "snip", "fisher", "reconstruction"]
ENCODINGS = [
    "mask",
    "unit-threshold",
    "global-cut",
    "layer-ratio",
    "layer-threshold",
    "n-m",
    "blocks[rows=2,columns=2]",
]


def task_of(kind: str, budget: float = 25, **settings: object) -> Task:
    return make_task(problem_of(kind, **settings), budget, registry=tiny.registry())


def error(task: Task, mask: Masks, weights: str) -> float:
    """Of one pruned network on the search split, with torch alone."""
    bench = task._workbench
    state = dict(bench.state(weights))
    for group, kept in zip(mask.layout.groups, mask.layout.split(mask.unpack(0)), strict=True):
        state[group.parameter] = state[group.parameter] * torch.from_numpy(kept.copy()).reshape(group.shape)
    with torch.inference_mode():
        logits = functional_call(bench.network.module, state, (bench.loaded.data.tensor(bench.loaded.search),))
    return float((logits.argmax(1).numpy() != bench.loaded.search.labels).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_the_unpruned_network_errs_nowhere_and_all_its_multiplying_weights_are_layers(kind: str) -> None:
    task = task_of(kind)
    assert task.evaluate(task.layout.full())[0].tolist() == [0, task.network.total_params]
    assert task.network.notes == ()
    assert sum(layer.weights * layer.positions for layer in task.network.layers) == task.network.total_macs
    nothing = task.layout.full() - task.layout.full()
    assert task.network.macs(nothing)[0] == 0
    assert error(task, nothing, DENSE) == task.evaluate(nothing)[0, 0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_members_err_as_plain_torch_says(kind: str, method: str) -> None:
    task = task_of(kind)
    spec = f"emo-dir[preset=paper,cuts={CUTS[kind]}]" if method == DIVIDING and kind in CUTS else method
    with contextlib.suppress(BudgetSpent):
        tiny.lookup(Method, spec).search(task)
    masks, members = task.archive.front()
    assert len({member.mask for member in members}) > 1
    for row, member in enumerate(members):
        assert member.values[0] == pytest.approx(error(task, masks[[row]], member.weights))


@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_every_kind_are_scored_tuned_and_encoded(kind: str) -> None:
    task = task_of(kind, budget=1000)
    scores: dict[str, Scores] = {name: task.scores(name) for name in SCORERS}
    assert all(len(np.unique(found)) > 0.5 * task.layout.total for found in scores.values())
    tuned = task.tune(scores["magnitude"], Tuning(images=40, batch=20))
    assert np.array_equal(np.sort(tuned), np.sort(scores["magnitude"]))
    for spec in ENCODINGS:
        encoding = tiny.lookup(Encoding, spec)
        genomes = encoding.sample(5, task.layout, scores["magnitude"], np.random.default_rng(0))
        masks = encoding.decode(genomes, task.layout, scores["magnitude"])
        assert masks.counts().max() > 0.95 * task.layout.total
        assert masks.counts().min() < 0.8 * task.layout.total


@pytest.mark.parametrize("kind", KINDS)
def test_shifted_statistics_leave_the_unpruned_network_as_it_is(kind: str) -> None:
    task = task_of(kind, batch_norm="shifted")
    masks = Masks.pack(np.random.default_rng(0).random((3, task.layout.total)) < 0.8, task.layout)
    assert task.evaluate(task.layout.full())[0, 0] == 0
    assert np.isfinite(task.evaluate(masks)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:.*vmap")
def test_the_path_of_a_gpu_computes_the_same(kind: str) -> None:
    network = tiny.load(problem_of(kind)).network
    masks = Masks.pack(np.random.default_rng(0).random((3, network.layout.total)) < 0.8, network.layout)
    images, state = network.inputs.random(30), network.module.state_dict()
    plain = Workbench(tiny.load(problem_of(kind)), "cpu", Shelf(None))._engine.logits(masks, [state] * 3, images)
    for one, other in zip(Gpu(network, "cpu").logits(masks, [state] * 3, images, True), plain, strict=True):
        assert np.abs(one - other).max() < 1e-5 * np.ptp(other)


def test_who_computes_is_said() -> None:
    notices = {kind: Workbench(tiny.load(problem_of(kind)), "cpu", Shelf(None)).notice for kind in KINDS}
    assert notices["tokens"] == notices["attended"] == "torch alone: it reads token ids"
    assert notices["series"] == "torch alone: its inputs are [2, 16], neither images nor rows of features"
    assert notices["up-and-down"] == "torch alone: it has a ConvTranspose2d"


def test_token_ids_that_the_network_has_no_embedding_for_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"must run on one image of shape \(6,\) of token ids below 12, but: index out"
    ):
        Network(problem_of("tokens").network, Inputs((6,), 12), tiny.lookup(Units, "weight"))  # type: ignore[arg-type]


def test_random_token_ids_are_of_the_vocabulary_and_always_the_same() -> None:
    inputs = Inputs((5,), 7)
    drawn = inputs.random(100)
    assert (drawn.dtype, drawn.shape, inputs.blank(2).tolist()) == (torch.int64, (100, 5), [[0] * 5] * 2)
    assert sorted(drawn.unique().tolist()) == list(range(7))
    assert torch.equal(drawn, inputs.random(100))


def test_a_shape_alone_is_that_of_numbers() -> None:
    network = tiny.load(problem_of("features")).network
    assert (network.inputs, network.input_shape) == (Inputs((7,)), (7,))
    assert torch.equal(Inputs.of((2, 3)).random(4), torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("turned", [1, 2])
def test_a_transposed_convolutions_patterns_lie_along_its_inputs(turned: int) -> None:
    layer = torch.nn.ConvTranspose1d(8, 6, 3, groups=turned, bias=False)
    group = Group("up", layer.weight.numel(), tuple(layer.weight.shape), (), "", turned)
    matrix = group.matrix(np.arange(group.size))
    assert matrix.shape == (6, 8 // turned, 3)
    assert np.array_equal(group.in_order(matrix), np.arange(group.size))
    for output in range(6):
        inputs = torch.zeros(1, 8, 1)
        first = output // (6 // turned) * (8 // turned)
        inputs[0, first : first + 8 // turned] = torch.randn(8 // turned, 1)
        read = layer.weight.flatten()[torch.from_numpy(matrix[output])]
        expected = (inputs[0, first : first + 8 // turned] * read).sum(0)
        assert torch.allclose(layer(inputs)[0, output], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["series", "features", "volumes", "up-and-down"])
def test_profiles_hold_all_layers_that_are_called_alone(kind: str) -> None:
    network = tiny.load(problem_of(kind)).network
    found = Profile.measure(network, LocalCpu(repeats=2, warmup=0), {})
    assert [layer.shape for layer in found.layers] == [list(layer.shape) for layer in network.layers]
    assert found.seconds(network, network.widths(network.layout.full())[0]) == pytest.approx(found.dense)


def test_profiles_of_attention_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"layer 'encoder.self_attn.in_proj' must be called by itself to be timed alone"
    ):
        Profile.measure(tiny.load(problem_of("tokens")).network, LocalCpu(repeats=1, warmup=0), {})


def test_objectives_read_token_ids() -> None:
    task = task_of("tokens", objectives=("distortion", "macs", "size"))
    assert tiny.lookup(Objective, "distortion").name == task.objectives[0]
    assert task.evaluate(task.layout.full())[0, 0] == pytest.approx(0, abs=1e-6)

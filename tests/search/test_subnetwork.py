"""Sub-networks: their error at a head, and their training, against plain torch. Nothing is charged here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from door import masks_within, random_masks
from tiny import load
from torch import Tensor, nn

from pruneframe import InputError, Masks, Recipe
from pruneframe.engine import segments, trainable
from pruneframe.model.state import State, digest
from pruneframe.search.shelf import Shelf
from pruneframe.search.subnetwork import REST, Predecessor, SubNetwork, detector, pooled
from pruneframe.search.workbench import DENSE, Workbench
from pruneframe.testing import CLASSES, tiny_problem

RECIPE = Recipe(epochs=2, learning_rate=0.05, batch=16)
BLOCK = range(1, 3)  # the layers of the residual block: conv1 and conv2


def block(units: str = "weight", batch_norm: str = "frozen") -> SubNetwork:
    return SubNetwork(Workbench(load(tiny_problem(units, batch_norm)), "cpu", Shelf(None)), 1, 3)


def fitted(
    sub: SubNetwork, mask: Masks, head: str = REST, recipe: Recipe = RECIPE, seed: int = 0, **more: object
) -> State:
    """The weights after cross-network training on all training images."""
    settings = {"weights": DENSE, "before": None, "alpha": 1.0} | more
    return sub.fit(mask, head=head, images=sub.bench.subset("train", 60), recipe=recipe, seed=seed, **settings)


def head_of(sub: SubNetwork) -> str:
    return sub.bench.shelf.put(sub.fit_head(sub.bench.subset("train", 60), RECIPE, 0))


@pytest.mark.parametrize("units", ["weight", "filter"])
@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
def test_with_the_rest_as_head_the_error_is_that_of_the_whole_network(units: str, batch_norm: str) -> None:
    sub = block(units, batch_norm)
    masks = masks_within(sub.bench.network, 6, BLOCK)
    wanted = [candidate.error for candidate in sub.bench.candidates(masks, [DENSE] * 6, sub.bench.search)]
    assert [sub.error(masks[[row]], DENSE, REST, sub.bench.search) for row in range(6)] == pytest.approx(wanted)


def test_the_error_at_a_linear_head_equals_a_plain_computation() -> None:
    sub = block()
    head, bench = head_of(sub), sub.bench
    state, net = bench.shelf.get(head), bench.network.module
    with torch.inference_mode():
        stem = net.relu(net.bn0(net.stem(bench.search.tensor)))
        out = net.relu(net.bn2(net.conv2(net.relu(net.bn1(net.conv1(stem))))) + stem)
        logits = nn.functional.linear(out.mean(dim=(2, 3)), state["weight"], state["bias"])
    error = float((logits.argmax(1).numpy() != bench.search.labels).mean())
    assert sub.error(bench.network.layout.full(), DENSE, head, bench.search) == error


def test_a_detector_pools_positions_and_is_linear() -> None:
    features = torch.randn(4, 5, 3, 3)
    state = {"weight": torch.randn(2, 5), "bias": torch.randn(2)}
    expected = [
        [state["bias"][c] + state["weight"][c] @ image.mean(dim=(1, 2)) for c in range(2)] for image in features
    ]
    assert torch.allclose(detector(state, features.shape[1:])(features), torch.tensor(expected), atol=1e-6)
    assert torch.equal(pooled(features[:, :, 0, 0]), features[:, :, 0, 0])  # behind a linear layer


def test_a_detector_is_repeatable_and_better_than_an_untrained_one() -> None:
    sub = block()
    images = sub.bench.subset("train", 60)
    long = replace(RECIPE, epochs=40)
    found = sub.fit_head(images, long, 3)
    assert found["weight"].shape == (CLASSES, 5)
    assert digest(found) == digest(sub.fit_head(images, long, 3))
    assert digest(found) != digest(sub.fit_head(images, long, 4))
    full, shelf = sub.bench.network.layout.full(), sub.bench.shelf
    errors = [sub.error(full, DENSE, shelf.put(state), images) for state in (found, sub.fit_head(images, Recipe(0), 3))]
    assert errors[0] < errors[1]


def test_the_share_of_a_detector_is_that_of_its_multiply_adds() -> None:
    sub = block()
    assert sub.head_share == 5 * CLASSES / sub.bench.network.total_macs  # 5 channels
    last_but_one = SubNetwork(sub.bench, 3, 4)  # 6 channels behind it
    assert last_but_one.head_share == 6 * CLASSES / sub.bench.network.total_macs


@pytest.mark.parametrize("head", ["a detector", REST])
def test_training_changes_what_its_part_keeps_alone(head: str) -> None:
    sub = block()
    network = sub.bench.network
    mask, before = masks_within(network, 1, BLOCK), Predecessor(masks_within(network, 1, range(1)))
    trained = fitted(sub, mask, head_of(sub) if head != REST else REST, before=before)
    dense, keep = sub.bench.state(DENSE), network.keep(mask, 0)
    assert trained.keys() == dense.keys()
    for name in ("conv1.weight", "conv2.weight"):
        assert not torch.equal(trained[name], dense[name])
        assert not trained[name][~keep[name]].any()
    for name in set(dense) - sub.owned:
        assert torch.equal(trained[name], dense[name]), name
    assert {"stem.weight", "conv3.weight", "linear.weight", "bn0.running_mean"} <= set(dense) - sub.owned
    assert {"conv1.weight", "bn1.running_var", "conv2.bias", "bn2.weight"} <= sub.owned
    assert digest(network.module.state_dict()) == digest(dense)


def test_training_is_repeatable_by_its_seed() -> None:
    sub = block()
    mask = masks_within(sub.bench.network, 1, BLOCK)
    assert digest(fitted(sub, mask)) == digest(fitted(sub, mask))
    assert digest(fitted(sub, mask)) != digest(fitted(sub, mask, seed=1))


def test_a_part_whose_batches_keep_much_learns_the_same_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainable, "SMALL", 0)  # torch trains it
    found = []
    for most in (2**31, 1000):
        monkeypatch.setattr(segments, "KEPT", most)
        sub = SubNetwork(Workbench(load(tiny_problem("weight", "frozen")), "cpu", Shelf(None)), 0, 4)
        found.append((digest(fitted(sub, sub.bench.network.layout.full())), sub._part._segments))
    (whole, everything), (pieces, less) = found
    assert whole == pieces
    assert everything.of(15) == []
    assert len(less.of(15)) == 3


def test_training_pulls_the_features_towards_the_unpruned_ones() -> None:
    sub = block()
    bench, images = sub.bench, sub.bench.subset("train", 60)
    mask = masks_within(bench.network, 1, BLOCK)
    target = bench.features(bench.network.layout.full(), DENSE, images, 1, 3)

    def distance(weights: str) -> float:
        return float((bench.features(mask, weights, images, 1, 3) - target).square().mean())

    long = Recipe(epochs=20, learning_rate=0.02, batch=16)
    assert distance(bench.shelf.put(fitted(sub, mask, head_of(sub), long, alpha=10.0))) < distance(DENSE)


def test_half_of_the_inputs_come_from_the_predecessor() -> None:
    sub = block()
    bench, images = sub.bench, sub.bench.subset("train", 60)
    before = Predecessor(masks_within(bench.network, 1, range(1)))
    unpruned = bench.entering(images, 1)
    pruned = bench.features(before.masks, DENSE, images, 0, 1)
    found = sub._source(before, images, 0)[:]

    def same(one: Tensor, other: Tensor) -> Tensor:
        return (one == other).flatten(1).all(dim=1)

    assert not same(unpruned, pruned).any()
    assert (same(found, unpruned) ^ same(found, pruned)).all()
    assert 15 < same(found, pruned).sum() < 45
    assert torch.equal(sub._source(None, images, 0), unpruned)
    first = SubNetwork(bench, 0, 1)
    assert torch.equal(first._source(before, images, 0), images.tensor), "nothing comes before the first layer"


def test_what_the_mask_lets_back_begins_with_the_dense_networks_values() -> None:
    sub = block()
    pruned = masks_within(sub.bench.network, 1, BLOCK)
    weights = sub.bench.shelf.put(fitted(sub, pruned))
    back = fitted(sub, sub.bench.network.layout.full(), weights=weights, recipe=replace(RECIPE, learning_rate=0.0))
    dense, keep = sub.bench.state(DENSE), sub.bench.network.keep(pruned, 0)
    gone = ~keep["conv1.weight"]
    assert gone.any()
    assert torch.equal(back["conv1.weight"][gone], dense["conv1.weight"][gone])
    kept = sub.bench.state(weights)["conv1.weight"][~gone]
    assert torch.equal(back["conv1.weight"][~gone], kept)


def test_the_groups_are_those_of_its_layers() -> None:
    for units in ("weight", "filter"):
        bench = block(units).bench
        names, order = bench.network.layout.names, [layer.name for layer in bench.network.layers]
        for start, stop in ((0, 1), (1, 3), (3, 5)):
            own = [name for name in names if start <= order.index(name) < stop]
            assert list(names[SubNetwork(bench, start, stop).groups()]) == own


def test_a_network_is_not_cut_inside_a_block() -> None:
    with pytest.raises(InputError, match="parts begin and end at"):
        SubNetwork(block().bench, 0, 2)


def test_a_predecessor_is_known_by_its_mask_and_weights() -> None:
    masks = random_masks(block().bench.network.layout, 2)
    keys = {Predecessor(masks[[0]]).key, Predecessor(masks[[1]]).key, Predecessor(masks[[0]], "other").key}
    assert len(keys) == 3
    assert Predecessor(masks[[0]]).key == f"{masks.digests()[0]} {DENSE}"
    assert np.array_equal(Predecessor(masks[[0]]).masks.bits, masks.bits[:1])

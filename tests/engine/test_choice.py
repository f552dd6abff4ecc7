"""The engine: whichever path answers, it predicts what torch's plain forward pass does."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import CASES, assert_close, masks_of_all_kinds, naive_logits, random_images, random_network, random_state
from networks import agree, close, images_of, masks_of, needs_kernel, network_of, states_of
from numpy.typing import NDArray
from precisions import multiplies
from torch import Tensor, nn

from pruneframe.engine import Engine
from pruneframe.engine.plain import Plain
from pruneframe.errors import InputError
from pruneframe.mask import Masks
from pruneframe.model.state import digest


@pytest.mark.parametrize(("name", "units"), CASES)
def test_logits_are_those_of_a_plain_forward_pass(name: str, units: str) -> None:
    network = random_network(name, units)
    masks, images = masks_of_all_kinds(network), random_images(network, 30)
    engine, state = Engine(network), network.module.state_dict()
    for row, found in enumerate(engine.logits(masks, [state] * len(masks), engine.place(images))):
        assert_close(found, naive_logits(name, network, state, masks.unpack(row), images))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), units=st.sampled_from(["weight", "filter"]), n=st.integers(1, 300))
def test_logits_are_those_of_a_plain_forward_pass_for_any_mask_and_number_of_images(
    seed: int, units: str, n: int
) -> None:
    network = random_network("tiny", units)
    rng = np.random.default_rng(seed)
    keep = rng.random((2, network.layout.total)) < rng.random((2, 1))
    masks, images = Masks.pack(keep, network.layout), random_images(network, n, seed % 1000)
    engine, state = Engine(network), network.module.state_dict()
    for row, found in enumerate(engine.logits(masks, [state] * 2, engine.place(images))):
        assert_close(found, naive_logits("tiny", network, state, keep[row], images))


@pytest.mark.parametrize(("name", "units"), CASES)
def test_other_weights_replace_the_earlier_ones_entirely(name: str, units: str) -> None:
    network = random_network(name, units)
    images = random_images(network, 12)
    masks = masks_of_all_kinds(network)
    states = [random_state(network.module, seed) for seed in (1, 2, 3)]
    order = [states[i % 3] for i in range(len(masks))]
    engine = Engine(network)
    for row, found in enumerate(engine.logits(masks, order, engine.place(images))):
        assert_close(found, naive_logits(name, network, order[row], masks.unpack(row), images))


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("units", ["weight", "filter"])
def test_an_answer_depends_on_nothing_that_was_computed_before(units: str, shifted: bool) -> None:
    network = random_network("tiny", units)
    calibration = random_images(network, 40, 1) if shifted else None
    masks = masks_of_all_kinds(network)
    states = [random_state(network.module, seed) for seed in (1, 2)]
    order = [states[i % 2] for i in range(len(masks))]
    images = Engine(network).place(random_images(network, 20))

    def alone(row: int) -> NDArray[np.float32]:
        return next(Engine(network, calibration=calibration).logits(masks[[row]], [order[row]], images))

    expected = [alone(row) for row in range(len(masks))]
    engine = Engine(network, calibration=calibration)
    forwards = list(engine.logits(masks, order, images))
    backwards = list(engine.logits(masks[::-1], order[::-1], images))[::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forwards, expected, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(backwards, expected, strict=True))
    first, second = engine.logits(masks, order, images), engine.logits(masks[::-1], order[::-1], images)
    for row in range(len(masks)):  # two questions answered in turns
        assert np.array_equal(next(first), expected[row])
        engine.masked(masks[[0]], states[0])
        assert np.array_equal(next(second), expected[-1 - row])


def test_an_engine_leaves_the_network_and_the_states_alone() -> None:
    network = random_network("tiny", "filter")
    state = random_state(network.module, 1)
    before, state_before = digest(network.module.state_dict()), digest(state)
    engine = Engine(network, calibration=random_images(network, 30, 1))
    masks = masks_of_all_kinds(network)
    list(engine.logits(masks, [state] * len(masks), engine.place(random_images(network, 10))))
    engine.masked(masks[[3]], state)
    assert digest(network.module.state_dict()) == before
    assert digest(state) == state_before


class Viewing(nn.Module):
    """The oldest way to flatten; it needs features that lie in memory as torch's default has them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.linear = nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu(self.conv(images))
        return self.linear(features.view(features.size(0), -1))


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_networks_that_flatten_with_view_run(units: str) -> None:
    network = tiny.network(Viewing(), (2, 6, 6), units)
    images = random_images(network, 10)
    engine = Engine(network)
    found = next(engine.logits(network.layout.full(), [network.module.state_dict()], engine.place(images)))
    with torch.no_grad():
        assert_close(found, network.module(images).numpy())


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("name", "units"), CASES)
def test_the_masked_state_predicts_what_the_engine_does(name: str, units: str, shifted: bool) -> None:
    network = random_network(name, units)
    engine = Engine(network, calibration=random_images(network, 40, 1) if shifted else None)
    images, state = random_images(network, 16), random_state(network.module, 4)
    masks = masks_of_all_kinds(network)
    for row in range(len(masks)):
        found = engine.masked(masks[[row]], state)
        assert found.keys() == state.keys()
        assert all(found[key].shape == state[key].shape and found[key].is_contiguous() for key in state)
        for key, kept in network.keep(masks, row).items():
            assert not found[key][~kept].any()
            assert torch.equal(found[key][kept], state[key][kept])
        module = copy.deepcopy(network.module)
        module.load_state_dict(found)
        logits = next(engine.logits(masks[[row]], [state], engine.place(images)))
        with torch.no_grad():
            assert_close(logits, module(images).numpy())


def test_masked_states_are_snapshots() -> None:
    network = random_network("tiny", "weight")
    engine, state = Engine(network), network.module.state_dict()
    masks = masks_of_all_kinds(network)
    first = engine.masked(masks[[5]], state)
    before = digest(first)
    engine.masked(masks[[1]], state)
    assert digest(first) == before


@needs_kernel
def test_what_is_saved_predicts_what_was_evaluated() -> None:
    network = network_of("resnet")
    state, images, mask = network.module.state_dict(), images_of(network, 20), masks_of(network)[[2]]
    engine = Engine(network, calibration=images_of(network, 40))
    found = next(engine.logits(mask, [state], engine.place(images)))
    module = copy.deepcopy(network.module)
    module.load_state_dict(engine.masked(mask, state))
    with torch.inference_mode():
        agree(found, module(images).numpy())


def test_without_a_kernel_torch_does_all_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.engine.sparse.kernel", lambda: None)
    network = network_of("tiny")
    engine, plain, state = Engine(network), Plain(network), network.module.state_dict()
    assert engine.notice == "torch alone: the kernel is not built"
    masks, images = masks_of(network), images_of(network, 5)
    found = engine.logits(masks, [state] * len(masks), engine.place(images))
    for one, expected in zip(found, plain.logits(masks, [state] * len(masks), plain.place(images)), strict=True):
        assert np.array_equal(one, expected)


@needs_kernel
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("units", ["weight", "filter"])
def test_in_bfloat16_each_candidate_takes_its_own_path_whoever_is_beside_it(
    units: str, shifted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiplies(monkeypatch)
    network = network_of("resnet", units)
    calibration = images_of(network, 40) if shifted else None
    images, states = images_of(network, 12), states_of(network, 2)
    masks = masks_of(network)[[4, 3, 2, 4, 2, 1, 3]]
    order = [states[row % 2] for row in range(len(masks))]
    exact = Engine(network, calibration=calibration)
    engine = Engine(network, calibration=calibration, precision="bfloat16")
    assert "torch in bfloat16 by avx512_bf16 where" in engine.notice
    expected = list(exact.logits(masks, order, images))
    found = list(engine.logits(masks, order, images))
    assert engine._halves is not None
    dense = engine._halves.faster(masks)
    assert set(dense.tolist()) == {True, False}
    for row, rounded in enumerate(dense):
        assert np.array_equal(found[row], expected[row]) is not bool(rounded)
        assert np.array_equal(found[row], next(engine.logits(masks[[row]], [order[row]], images)))
        close(found[row], expected[row], 0.03)
    backwards = list(engine.logits(masks[::-1], order[::-1], images))[::-1]
    assert all(np.array_equal(a, b) for a, b in zip(found, backwards, strict=True))
    reported = list(engine.logits(masks, order, images, exact=True))
    assert all(np.array_equal(a, b) for a, b in zip(reported, expected, strict=True))
    for row, state in enumerate(order):
        assert digest(engine.masked(masks[[row]], state)) == digest(exact.masked(masks[[row]], state))


@pytest.mark.parametrize("units", ["weight", "filter"])
def test_torch_alone_rounds_the_search_and_nothing_else(units: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for caller in ("sparse", "operations"):
        monkeypatch.setattr(f"pruneframe.engine.{caller}.kernel", lambda: None)
    multiplies(monkeypatch, "amx_bf16")
    network = network_of("resnet", units)
    exact, engine = Engine(network), Engine(network, precision="bfloat16")
    assert engine.notice == "torch alone: the kernel is not built; torch in bfloat16 by amx_bf16"
    masks, images, state = masks_of(network)[3:], images_of(network, 8), network.module.state_dict()
    states = [state] * len(masks)
    expected = np.array(list(exact.logits(masks, states, images)))
    found = np.array(list(engine.logits(masks, states, images)))
    assert not np.array_equal(found, expected)
    close(found, expected, 0.03)
    assert np.array_equal(list(engine.logits(masks, states, images, exact=True)), expected)
    full = network.layout.full()
    own, other = (next(one.outputs(full, state, images, 0, 3)) for one in (engine, exact))
    assert own.dtype == torch.float32
    assert not torch.equal(own, other)
    close(own.numpy(), other.numpy(), 0.03)


class Stubborn(nn.Module):
    """Refuses what is rounded, as an operation does that has no bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 32, 3), nn.Linear(32, 3)

    def forward(self, images: Tensor) -> Tensor:
        sums = self.first(images)
        if sums.dtype == torch.bfloat16:
            raise RuntimeError("not implemented for 'BFloat16'")
        return self.last(F.relu(sums).mean((2, 3)))


def test_what_torch_cannot_round_is_computed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplies(monkeypatch)
    network = tiny.network(Stubborn(), (3, 8, 8))
    engine, images, state = (
        Engine(network, precision="bfloat16"),
        random_images(network, 6),
        network.module.state_dict(),
    )
    assert engine.notice.endswith("never in bfloat16, which would take longer or compute something else")
    (found,) = engine.logits(network.layout.full(), [state], images)
    (expected,) = Engine(network).logits(network.layout.full(), [state], images)
    assert np.array_equal(found, expected)


@needs_kernel
def test_a_network_for_which_the_kernel_is_always_faster_is_never_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplies(monkeypatch)
    network = network_of("small lenet")
    engine, images, state = Engine(network, precision="bfloat16"), images_of(network, 6), network.module.state_dict()
    assert engine.notice.startswith("sparse kernel; never in bfloat16")
    (found,) = engine.logits(network.layout.full(), [state], images)
    (expected,) = Engine(network).logits(network.layout.full(), [state], images)
    assert np.array_equal(found, expected)


def test_an_engine_refuses_what_would_be_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplies(monkeypatch, "")
    with pytest.raises(InputError, match="emulate"):
        Engine(network_of("tiny"), precision="bfloat16")

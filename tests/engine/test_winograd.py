"""Dense 3 x 3 convolutions with factors in bfloat16 equal the module's, up to the rounding of 8 bits."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from networks import MAKERS, images_of, masks_of, needs_kernel, neighbours, network_of
from torch import Tensor, nn

from pruneframe.engine import Engine, kernel
from pruneframe.engine.lists import Lists
from pruneframe.engine.plain import Plain
from pruneframe.engine.plan import LANES, Unsupported
from pruneframe.engine.prefix import Work, shared_steps
from pruneframe.engine.sparse import Sparse
from pruneframe.engine.winograd import dense_steps
from pruneframe.mask import Masks
from pruneframe.model.network import Network

library = kernel()
rounds = pytest.mark.skipif(
    library is None or not library.pruneframe_bfloat16(), reason="no AVX512-BF16, or the kernel was built without"
)
# An input is rounded by 2**-9 of itself at most, a weight too; transformed inputs are at most 4 times as large as any
# input, and sums of 9 positions make an output. Errors of many factors do not add up all the same way.
TOLERANCE = 9 * 4 * 2**-9


class Block(nn.Module):
    """A convolution on odd maps, one with a residual addition and ReLU, and one that is pooled."""

    def __init__(self, channels: tuple[int, int], pooled: bool) -> None:
        super().__init__()
        inputs, outputs = channels
        self.first = nn.Conv2d(3, inputs, 3, padding=1)
        self.same = nn.Conv2d(inputs, inputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(inputs)
        self.next = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Linear(outputs, 3)
        self.pooled = pooled

    def forward(self, images: Tensor) -> Tensor:
        first = F.relu6(self.first(images))
        both = F.relu(first + self.norm(self.same(first)))
        made = F.relu(self.next(both))
        return self.last(self.mean(F.max_pool2d(made, 2) if self.pooled else made).flatten(1))


def block(inputs: int, outputs: int, rows: int, columns: int) -> Network:
    pooled = rows % 2 == columns % 2 == 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return tiny.network(Block((inputs, outputs), pooled), (3, rows, columns), "weight")


def packed(sparse: Sparse, masks: Masks, row: int) -> set[int]:
    """The steps that a candidate has in bfloat16."""
    candidate = sparse.pruned(masks, row, sparse.network.module.state_dict(), {})
    keys = [(0,) * len(sparse.plan.steps)]
    work = Work(sparse.plan, shared_steps(sparse.plan), keys)
    lists = Lists(
        sparse.library, sparse.processor, sparse.plan, [candidate], keys, work.orders, dense_steps(sparse.plan)
    )
    return {step for step in range(len(sparse.plan.steps)) if lists.place(step, 0)[3] >= 0}


def close(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()
    assert not np.array_equal(found, expected)


@rounds
@pytest.mark.parametrize("shape", [(16, 16, 8, 8), (17, 19, 7, 9), (32, 33, 3, 1), (33, 64, 13, 34), (6, 40, 2, 70)])
@pytest.mark.parametrize("n", [1, 37])
def test_dense_layers_equal_the_modules_up_to_rounding(shape: tuple[int, int, int, int], n: int) -> None:
    network = block(*shape)
    sparse, images, masks = Sparse(network, bfloat16=True), images_of(network, n), network.layout.full()
    with torch.inference_mode():
        expected = network.module(images).numpy()
    assert {1, 2} <= packed(sparse, masks, 0)
    candidate = sparse.pruned(masks, 0, network.module.state_dict(), {})
    close(sparse.logits([candidate], sparse.groups(images), n)[0], expected)


@rounds
def test_any_activation_and_the_border_of_the_next_layer_follow_a_dense_layer() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, padding=1), nn.SiLU(), nn.Conv2d(16, 16, 3, padding=1), nn.SiLU()),
            *(nn.Conv2d(16, 16, 3, padding=1), nn.MaxPool2d(2), nn.GELU(), nn.Conv2d(16, 16, 5, padding=2)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3)),
        )
    network = tiny.network(module, (3, 12, 10), "weight")
    sparse, images, masks = Sparse(network, bfloat16=True), images_of(network, 20), network.layout.full()
    with torch.inference_mode():
        expected = network.module(images).numpy()
    assert {1, 2} <= packed(sparse, masks, 0)
    candidate = sparse.pruned(masks, 0, network.module.state_dict(), {})
    close(sparse.logits([candidate], sparse.groups(images), 20)[0], expected)


@rounds
def test_what_bfloat16_holds_exactly_loses_nothing() -> None:
    """Weights of 0 and 4, whose transforms are whole, and inputs of 0 to 6."""
    module = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU6(), nn.Conv2d(16, 18, 3, padding=1)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(18, 3)),
    )
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for layer in (module[0], module[2]):
            layer.weight.copy_(4.0 * torch.randint(0, 2, layer.weight.shape, generator=generator))
            layer.bias.copy_(torch.arange(len(layer.bias)) - 20.0)
    network = tiny.network(module, (3, 7, 6), "weight")
    images = torch.randint(0, 2, (20, 3, 7, 6), generator=generator).float()
    exact, sparse, masks = Sparse(network), Sparse(network, bfloat16=True), network.layout.full()
    assert 1 in packed(sparse, masks, 0)
    candidate, groups = sparse.pruned(masks, 0, network.module.state_dict(), {}), sparse.groups(images)
    assert np.array_equal(sparse.logits([candidate], groups, 20), exact.logits([candidate], groups, 20))


@rounds
@pytest.mark.parametrize("name", MAKERS)
def test_both_routines_in_one_network(name: str) -> None:
    network = network_of(name)
    images, state, masks = images_of(network, 37), network.module.state_dict(), masks_of(network)
    sparse, plain = Sparse(network, bfloat16=True), Plain(network)
    groups = sparse.groups(images)
    for row, expected in enumerate(plain.logits(masks, [state] * len(masks), plain.place(images))):
        found = sparse.logits([sparse.pruned(masks, row, state, {})], groups, 37)[0]
        assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


@rounds
def test_thin_layers_stay_exact_beside_dense_ones() -> None:
    network = network_of("resnet")
    keep = np.ones((3, network.layout.total), dtype=bool)
    thin = network.layout.slices[2]
    keep[1][thin] = np.random.default_rng(0).random(keep[1][thin].size) < 0.1
    keep[2] = np.random.default_rng(0).random(network.layout.total) < 0.1
    masks, sparse = Masks.pack(keep, network.layout), Sparse(network, bfloat16=True)
    dense, mixed = packed(sparse, masks, 0), packed(sparse, masks, 1)
    assert mixed < dense
    assert len(dense - mixed) == 1
    assert not packed(sparse, masks, 2)
    images, state = images_of(network, 20), network.module.state_dict()
    exact, groups = Sparse(network), sparse.groups(images)
    for row, same in enumerate((False, False, True)):
        candidate = sparse.pruned(masks, row, state, {})
        one, other = (engine.logits([candidate], groups, 20)[0] for engine in (sparse, exact))
        assert np.array_equal(one, other) == same


@rounds
def test_channels_without_weights_are_left_out() -> None:
    """What remains of a few channels is still dense, and those that are gone keep their biases."""
    network = block(24, 16, 9, 8)
    layout, keep = network.layout, np.ones((1, network.layout.total), dtype=bool)
    convolution = keep[0][layout.slices[1]].reshape(24, 24, 9)
    convolution[:13] = convolution[:, 7:20] = False
    masks = Masks.pack(keep, layout)
    sparse, images, state = Sparse(network, bfloat16=True), images_of(network, 20), network.module.state_dict()
    assert 1 in packed(sparse, masks, 0)
    plain = Plain(network)
    expected = next(plain.logits(masks, [state], plain.place(images)))
    close(sparse.logits([sparse.pruned(masks, 0, state, {})], sparse.groups(images), 20)[0], expected)


@rounds
def test_neither_company_nor_threads_change_a_bit() -> None:
    network = network_of("resnet")
    images, state, masks = images_of(network, 50), network.module.state_dict(), neighbours(network, 12)
    sparse = Sparse(network, bfloat16=True)
    groups = sparse.groups(images)
    candidates = [sparse.pruned(masks, row, state, {}) for row in range(12)]
    assert any(packed(sparse, masks, row) for row in range(12))
    alone = np.array([sparse.logits([candidate], groups, 50)[0] for candidate in candidates])
    assert np.array_equal(sparse.logits(candidates, groups, 50), alone)
    assert np.array_equal(sparse.logits(candidates, groups[:1], LANES), alone[:, :LANES])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert np.array_equal(sparse.logits(candidates, groups, 50), alone)
    finally:
        torch.set_num_threads(before)


@rounds
@pytest.mark.parametrize("units", ["weight", "filter"])
def test_the_engine_rounds_the_search_alone(units: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    network = network_of("resnet", units)
    masks, images = masks_of(network)[[4, 2, 1, 3]], images_of(network, 20)
    states = [network.module.state_dict()] * len(masks)
    engine, sparse = Engine(network, precision="bfloat16"), Sparse(network, bfloat16=True)
    assert "3 x 3 convolutions" in engine.notice
    found = list(engine.logits(masks, states, engine.place(images)))
    candidates = [sparse.pruned(masks, row, states[row], {}) for row in range(len(masks))]
    assert np.array_equal(found, sparse.logits(candidates, sparse.groups(images), 20))
    exact, expected = (e.logits(masks, states, e.place(images), exact=True) for e in (engine, Engine(network)))
    assert np.array_equal(list(exact), list(expected))


@rounds
def test_torch_rounds_where_the_kernel_can_round_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert "3 x 3 convolutions" not in Engine(network_of("odd"), precision="bfloat16").notice
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True, "avx512_bf16": True})
    assert "torch in bfloat16 by amx_bf16" in Engine(network_of("resnet"), precision="bfloat16").notice


@needs_kernel
def test_only_convolutions_of_stride_1_in_one_group_are_dense() -> None:
    odd, resnet = network_of("odd"), network_of("resnet")
    assert not dense_steps(Sparse(odd).plan)
    plan = Sparse(resnet).plan
    names = {weights.layer for step in dense_steps(plan) if (weights := plan.weights[step]) is not None}
    expected = {
        name
        for name, module in resnet.module.named_modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and module.stride == (1, 1)
    }
    assert names == expected


@needs_kernel
def test_a_processor_that_would_emulate_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert library is not None
    monkeypatch.setattr(library, "pruneframe_bfloat16", lambda: 0)
    with pytest.raises(Unsupported, match="AVX512-BF16"):
        Sparse(network_of("resnet"), bfloat16=True)

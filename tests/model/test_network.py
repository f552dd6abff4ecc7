"""Networks as prunable layers: sizes of the literature, what a mask keeps, and what stands behind a layer."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pruneframe import InputError, Masks, Network
from pruneframe.model import network as network_module
from pruneframe.model.shrink import shrink
from pruneframe.model.state import digest, reweighted
from pruneframe.testing import TinyNetwork, tiny_problem
from pruneframe_problems.cifar_resnet import CifarResNet
from pruneframe_problems.lenet import LeNet, SmallLeNet

CIFAR, MNIST, DIGITS, TINY = (3, 32, 32), (1, 28, 28), (1, 8, 8), (2, 6, 6)


def tiny_network(units: str) -> Network:
    return tiny.load(tiny_problem(units)).network


def random_masks(network: Network, n: int, seed: int = 0) -> Masks:
    rng = np.random.default_rng(seed)
    density = np.linspace(0.1, 0.9, n)[:, None]
    return Masks.pack(rng.random((n, network.layout.total)) < density, network.layout)


def masked_state(network: Network, masks: Masks, row: int) -> dict[str, Tensor]:
    keep = network.keep(masks, row)
    state = network.module.state_dict()
    return {name: tensor * keep[name] if name in keep else tensor for name, tensor in state.items()}


def counted_macs(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds by torch's own counter; a multiply-add is two of its operations."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module.eval()(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("module", "shape", "convolutions", "weights", "params", "mmacs"),
    [
        (CifarResNet(3), CIFAR, 19, 268_336, 269_722, 40.55),
        (CifarResNet(9), CIFAR, 55, 848_944, 853_018, 125.49),
        (CifarResNet(9, classes=100), CIFAR, 55, 854_704, 858_868, 125.49),
        (CifarResNet(18), CIFAR, 109, 1_719_856, 1_727_962, 252.89),
        (CifarResNet(18, classes=100), CIFAR, 109, 1_725_616, 1_733_812, 252.89),
        (LeNet(), MNIST, 2, 430_500, 431_080, 2.293),
    ],
    ids=["resnet20", "resnet56", "resnet56-100", "resnet110", "resnet110-100", "lenet5"],
)
def test_sizes_are_those_of_the_literature(
    module: nn.Module, shape: tuple[int, ...], convolutions: int, weights: int, params: int, mmacs: float
) -> None:
    network = tiny.network(module, shape)
    found = [module.get_submodule(layer.name) for layer in network.layers]
    assert sum(isinstance(layer, nn.Conv2d) for layer in found) == convolutions
    assert network.layout.total == sum(layer.weights for layer in network.layers) == weights
    assert network.total_params == params
    assert network.total_macs / 1e6 == pytest.approx(mmacs, abs=0.01)
    assert network.params(network.layout.full()) == [params]
    assert network.macs(network.layout.full()) == [network.total_macs]


def test_lenet5s_convolutions_cost_what_the_literature_says() -> None:
    layers = tiny.network(LeNet(), MNIST).layers
    assert sum(layer.weights * layer.positions for layer in layers[:2]) == 1_888_000


@pytest.mark.parametrize(("module", "shape"), [(CifarResNet(3), CIFAR), (LeNet(), MNIST), (TinyNetwork(), TINY)])
def test_dense_macs_agree_with_torchs_counter(module: nn.Module, shape: tuple[int, ...]) -> None:
    assert tiny.network(module, shape).total_macs == counted_macs(module, shape)


def test_layers_stand_in_the_order_of_the_forward_pass() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(4, 2)
            self.first = nn.Conv2d(1, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x).mean((2, 3)))

    network = tiny.network(Backwards(), (1, 5, 5))
    assert [(layer.name, layer.weights, layer.positions) for layer in network.layers] == [
        ("first", 36, 9),
        ("last", 8, 1),
    ]
    assert network.layout.names == ("first", "last")
    assert network.layout.sizes == (36, 8)


def test_a_layer_that_runs_twice_is_one_layer_and_costs_both_runs() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
            self.linear = nn.Linear(2, 3, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(self.conv(F.avg_pool2d(self.conv(x), 2)).mean((2, 3)))

    network = tiny.network(Twice(), (2, 8, 8))
    assert network.layout.total == network.total_params == 36 + 6
    assert network.total_macs == counted_macs(network.module, (2, 8, 8)) == 36 * (64 + 16) + 6


def test_a_linear_layer_on_several_positions_costs_each() -> None:
    module = nn.Sequential(nn.Linear(6, 4), nn.Flatten(), nn.Linear(2 * 6 * 4, 3))
    network = tiny.network(module, TINY)
    assert [layer.positions for layer in network.layers] == [12, 1]
    assert network.total_macs == counted_macs(module, TINY)


def test_a_layer_that_never_runs_is_not_prunable() -> None:
    class Idle(TinyNetwork):
        def __init__(self) -> None:
            super().__init__()
            self.idle = nn.Linear(3, 3)

    network = tiny.network(Idle(), TINY)
    assert "idle" not in network.layout.names
    assert network.total_params == tiny.network(TinyNetwork(), TINY).total_params + 12


def test_weights_are_kept_bit_by_bit() -> None:
    network = tiny_network("weight")
    masks = random_masks(network, 3)
    for row in range(3):
        keep = network.keep(masks, row)
        assert list(keep) == [f"{name}.weight" for name in network.layout.names]
        flat = np.concatenate([kept.numpy().ravel() for kept in keep.values()])
        assert np.array_equal(flat, masks.unpack(row))
        assert all(kept.shape == network.parameter(name).shape for name, kept in keep.items())


def test_a_removed_filter_takes_its_bias_batch_norm_and_readers_along() -> None:
    network = tiny_network("filter[inner=true]")
    assert network.layout.names == ("conv1", "conv3")
    assert network.layout.sizes == (7, 6)
    bits = np.ones((1, 13), dtype=bool)
    bits[0, [2, 7 + 4]] = False
    keep = network.keep(Masks.pack(bits, network.layout), 0)
    removed = {name: (~kept).nonzero().tolist() for name, kept in keep.items()}
    assert set(removed) == {
        "conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias", "conv2.weight",
        "conv3.weight", "conv3.bias", "linear.weight",
    }  # fmt: skip
    for name in ("conv1.bias", "bn1.weight", "bn1.bias"):
        assert removed[name] == [[2]]
    assert {index[0] for index in removed["conv1.weight"]} == {2}
    assert len(removed["conv1.weight"]) == 5 * 9
    assert {index[1] for index in removed["conv2.weight"]} == {2}
    assert len(removed["conv2.weight"]) == 5 * 9
    assert removed["conv3.bias"] == [[4]]
    assert removed["linear.weight"] == [[0, 4], [1, 4], [2, 4]]


def test_flattened_filters_are_read_by_as_many_inputs_as_they_have_pixels() -> None:
    network = tiny.network(LeNet(), MNIST, "filter")
    bits = np.ones((1, network.layout.total), dtype=bool)
    bits[0, 20 + 3] = False  # filter 3 of conv2, 4x4 pixels each
    kept = network.keep(Masks.pack(bits, network.layout), 0)["fc1.weight"]
    assert (~kept).any(0).nonzero().flatten().tolist() == list(range(48, 64))


@pytest.mark.parametrize("seed", range(3))
def test_params_of_weights_are_the_non_zeros_of_the_masked_state(seed: int) -> None:
    network = tiny_network("weight")
    assert all((p != 0).all() for p in network.module.parameters())  # else zeros would not show what was removed
    masks = random_masks(network, 5, seed)
    names = [name for name, _ in network.module.named_parameters()]
    for row, params in enumerate(network.params(masks)):
        state = masked_state(network, masks, row)
        assert params == sum(int(state[name].count_nonzero()) for name in names)


def resnet14() -> Network:
    return tiny.network(CifarResNet(2), CIFAR, "filter")


def lenet() -> Network:
    return tiny.network(SmallLeNet(), DIGITS, "filter")


@pytest.mark.parametrize("make", [lambda: tiny_network("filter"), resnet14, lenet], ids=["tiny", "resnet14", "lenet"])
def test_params_and_macs_of_filters_are_those_of_the_shrunk_module(make) -> None:
    network = make()
    masks = Masks.join([random_masks(network, 4), network.layout.full(), network.layout.full() - network.layout.full()])
    for row, (params, macs) in enumerate(zip(network.params(masks), network.macs(masks), strict=True)):
        small = shrink(network, masks[[row]], masked_state(network, masks, row))
        assert params == sum(p.numel() for p in small.parameters())
        assert macs == counted_macs(small, network.input_shape) == tiny.network(small, network.input_shape).total_macs


def test_what_remains_is_counted_once_for_masks_that_keep_as_many_filters() -> None:
    network = tiny_network("filter")
    masks = network.structure(random_masks(network, 300))
    names = [name for name, _ in network.module.named_parameters()]
    rows = [torch.from_numpy(masks.unpack(row)) for row in range(len(masks))]
    assert network.params(masks).tolist() == [sum(network.places.remaining(kept, names)) for kept in rows]
    assert network.places.alike
    counted = network.places.remaining_of.cache_info()  # type: ignore[attr-defined] # what it is made of
    assert counted.misses == len(np.unique(masks.layer_counts(), axis=0)) < len(masks)


def test_macs_of_weights_are_remaining_weights_times_positions() -> None:
    network = tiny_network("weight")
    masks = random_masks(network, 4)
    positions = {layer.name: layer.positions for layer in network.layers}
    for row, macs in enumerate(network.macs(masks)):
        keep = network.keep(masks, row)
        assert macs == sum(int(keep[f"{name}.weight"].sum()) * positions[name] for name in positions)
    nothing = network.layout.full() - network.layout.full()
    assert network.macs(nothing) == [0]


def test_structure_puts_one_filter_back_into_an_empty_layer_only() -> None:
    network = tiny_network("filter[inner=true]")
    bits = np.ones((3, 13), dtype=bool)
    bits[0, :7] = False
    bits[1] = False
    bits[2, 0] = False
    kept = network.structure(Masks.pack(bits, network.layout))
    assert kept.layer_counts().tolist() == [[1, 6], [1, 1], [6, 6]]
    assert len(network.structure(kept[:0])) == 0
    weights = tiny_network("weight")
    masks = random_masks(weights, 2)
    assert weights.structure(masks) is masks


def test_norms_are_those_with_running_statistics() -> None:
    class Mixed(TinyNetwork):
        def __init__(self) -> None:
            super().__init__()
            self.bn1 = nn.BatchNorm2d(7, track_running_stats=False)

    assert list(tiny.network(Mixed(), TINY).norms) == ["bn0", "bn2"]


def test_the_module_is_ready_for_evaluation() -> None:
    module = TinyNetwork().train()
    network = tiny.network(module, TINY)
    assert not any(part.training for part in network.module.modules())
    assert not any(p.requires_grad for p in network.module.parameters())


def test_measuring_the_layers_leaves_no_hooks_and_no_other_weights() -> None:
    module = TinyNetwork()
    before = copy.deepcopy(module.state_dict())
    tiny.network(module, TINY, "filter")
    assert digest(module.state_dict()) == digest(before)
    assert not any(part._forward_hooks for part in module.modules())


def test_digest_follows_values_names_shapes_and_types() -> None:
    state = {"a": torch.ones(2, 3), "b": torch.zeros(1)}
    others = [
        {"a": torch.ones(2, 3), "b": torch.ones(1)},
        {"a": torch.ones(2, 3), "c": torch.zeros(1)},
        {"a": torch.ones(3, 2), "b": torch.zeros(1)},
        {"a": torch.ones(2, 3), "b": torch.zeros(1, dtype=torch.int32)},
        {"a": torch.ones(2, 3)},
    ]
    assert digest(dict(reversed(state.items()))) == digest(state)
    assert len({digest(state), *map(digest, others)}) == 6


@pytest.mark.parametrize(
    ("module", "units"),
    [
        (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(72)), "weight"),
        (nn.Flatten(), "weight"),  # no parameters at all
        (nn.Sequential(nn.Flatten(), nn.Linear(72, 3)), "filter"),  # a classifier alone
    ],
    ids=["norm-only", "empty", "classifier-only"],
)
def test_a_network_with_nothing_to_prune_is_refused(module: nn.Module, units: str) -> None:
    with pytest.raises(InputError):
        tiny.network(module, TINY, units)


class TwoInputs(TinyNetwork):
    def forward(self, images: Tensor, more: Tensor) -> Tensor:
        return super().forward(images + more)


class Asserting(TinyNetwork):
    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[1] == 5, "wrong channels"
        return super().forward(images)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 3)),  # RuntimeError: other channels
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(63, 3)),  # RuntimeError: other sizes
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm1d(4)),  # ValueError: four dimensions
        TwoInputs(),  # TypeError
        Asserting(),  # AssertionError
    ],
    ids=["channels", "sizes", "value-error", "type-error", "assertion"],
)
def test_a_network_that_does_not_run_on_the_images_is_refused_with_the_shape(module: nn.Module) -> None:
    with pytest.raises(InputError, match=r"must run on one image of shape \(2, 6, 6\)") as caught:
        tiny.network(module, TINY)
    assert "\n" not in str(caught.value)
    assert not any(part._forward_hooks for part in module.modules())


def test_layers_that_share_weights_are_refused() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    module[3].weight = module[1].weight
    with pytest.raises(InputError, match="1 and 3 do"):
        tiny.network(module, (2, 2, 2))


def test_the_norm_and_the_activation_behind_each_layer_are_told() -> None:
    found = tiny.network(TinyNetwork(), TINY)
    assert {layer: (found.norm_behind(layer), found.activation_behind(layer)) for layer in found.layout.names} == {
        "stem": ("bn0", "ReLU"),
        "conv1": ("bn1", "ReLU"),
        "conv2": ("bn2", None),  # the addition joins the stem
        "conv3": (None, "ReLU"),
        "linear": (None, None),  # nothing follows
    }


def test_functions_are_told_by_their_names_whatever_modules_are_called() -> None:
    class Mixed(nn.Module):
        """A batch norm that is called like a function, behind which the function is called."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3, bias=False)
            self.relu = nn.BatchNorm2d(3)
            self.inner = nn.Sequential(nn.Conv2d(3, 3, 3), nn.GELU())
            self.fc = nn.Linear(12, 3)

        def forward(self, images: Tensor) -> Tensor:
            return self.fc(self.inner(F.relu(self.relu(self.conv(images)))).flatten(1).tanh())

    found = tiny.network(Mixed(), TINY)
    assert (found.norm_behind("conv"), found.activation_behind("conv")) == ("relu", "relu")
    assert (found.norm_behind("inner.0"), found.activation_behind("inner.0")) == (None, "GELU")

    class Bare(Mixed):
        def forward(self, images: Tensor) -> Tensor:
            return self.fc(F.avg_pool2d(F.relu(self.conv(images)), 2).flatten(1))

    bare = tiny.network(Bare(), TINY)
    assert (bare.norm_behind("conv"), bare.activation_behind("conv")) == (None, "relu")


def test_a_norm_behind_an_activation_is_not_right_behind_the_layer() -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 3))
    found = tiny.network(module, TINY)
    assert (found.norm_behind("0"), found.activation_behind("0")) == (None, "ReLU")


def test_what_stands_behind_is_told_of_networks_that_can_be_traced() -> None:
    class Branching(TinyNetwork):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images if images.sum() > 0 else -images)

    found = tiny.network(Branching(), TINY)
    for ask in (found.norm_behind, found.activation_behind):
        with pytest.raises(InputError, match=r"is told of a network that torch\.fx can trace"):
            ask("stem")


def test_parts_are_not_cut_from_a_record_that_computes_something_else() -> None:
    class AsksForTensors(TinyNetwork):
        """What torch.fx hands in is no tensor."""

        def forward(self, images: Tensor) -> Tensor:
            return super().forward(-images if isinstance(images, Tensor) else images)

    found = tiny.network(AsksForTensors(), TINY)
    for ask in (lambda: found.cuts, lambda: found.stages, lambda: found.cutter.part(0, 1)):
        with pytest.raises(InputError, match=r"^parts need .* its record computes something else"):
            ask()


class Versioned(nn.Sequential):
    """Reads its own version of entries alone, as torchvision's MNASNet does."""

    _version = 2

    def _load_from_state_dict(self, state: Any, prefix: str, local: dict[str, Any], *rest: Any) -> None:
        if local.get("version") != self._version:
            raise ValueError("another version")
        super()._load_from_state_dict(state, prefix, local, *rest)  # type: ignore[no-untyped-call]


def test_modules_that_ask_for_versions_are_given_other_weights() -> None:
    module = Versioned(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 3), nn.Flatten())
    found = tiny.network(module, (1, 5, 5), "filter")
    state = {name: tensor + 1 for name, tensor in module.state_dict().items()}
    assert torch.equal(reweighted(module, state)[0].weight, state["0.weight"])  # type: ignore[index]
    shrunk = shrink(found, found.layout.full(), state)
    assert torch.equal(shrunk.get_parameter("1.weight"), state["1.weight"])


def test_a_twin_has_the_structure_of_its_network_and_weights_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    net = tiny.network(module, (1, 5, 5), "filter")
    cached = [getattr(net, name) for name in ("norms", "digest", "cuts", "reach", "total_params")]
    state = {name: tensor + 1 for name, tensor in module.state_dict().items()}
    monkeypatch.setattr(network_module, "survey", None)
    twin = net.twin(reweighted(module, state).train())
    monkeypatch.undo()
    fresh = tiny.network(reweighted(module, state), (1, 5, 5), "filter")
    assert not twin.module.training
    assert torch.equal(twin.parameter("0.weight"), state["0.weight"])
    assert twin.norms["1"] is twin.module[1] is not net.norms["1"]  # type: ignore[index]
    assert twin.digest == fresh.digest != cached[1]
    assert twin.cutter is not net.cutter
    assert [str(cut) for cut in twin.cuts] == [str(cut) for cut in fresh.cuts]
    masks = random_masks(net, 5)
    for told in ("params", "macs", "layer_weights", "widths"):
        assert np.array_equal(getattr(twin, told)(masks), getattr(fresh, told)(masks))
    for name, keep in twin.keep(masks, 0).items():
        assert torch.equal(keep, fresh.keep(masks, 0)[name])


def test_batches_of_large_images_hold_fewer_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    net = tiny.network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1), nn.Flatten(), nn.Linear(72, 5)), (3, 8, 8))
    largest, both = 4 * 4 * 36, 4 * (4 * 36 + 2 * 36 + 5)  # bytes of one image
    assert net.at_once(100) == net.at_once(100, gradients=True) == 100
    monkeypatch.setattr(network_module, "PASSED", 30 * largest)
    monkeypatch.setattr(network_module, "TRAINED", 3 * 20 * both)
    assert (net.at_once(100), net.at_once(100, gradients=True)) == (30, 20)
    assert net.at_once(10) == 10
    monkeypatch.setattr(network_module, "PASSED", largest)
    assert net.at_once(100) == network_module.FEWEST

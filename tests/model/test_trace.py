"""What torch.fx records: the module's own graph with true shapes, and no record that computes something else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from pruneframe.errors import InputError
from pruneframe.model.state import digest
from pruneframe.model.trace import behind, calls, device_of, measured, record, shape, trace
from pruneframe.testing import TinyNetwork
from pruneframe_problems.cifar_resnet import CifarResNet
from pruneframe_problems.lenet import LeNet

TINY = (2, 6, 6)


class Base(nn.Module):
    """A convolution of 3 filters and a classifier, which the cases below join in different ways."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.fc = nn.Linear(3 * 6 * 6, 4)


class Plain(Base):
    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.conv(images).flatten(1))


class Branching(Plain):
    """Which way it goes depends on the images: fx refuses that."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if images.sum() > 0 else -images)


class Counting(Plain):
    """Computes something else at every call; the record has the number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.called = 0

    def forward(self, images: Tensor) -> Tensor:
        self.called += 1
        return super().forward(images) * self.called


class AsksForTensors(Plain):
    """Treats what is no tensor in another way, and what fx hands in is none."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(2 * images if isinstance(images, Tensor) else images)


class Pair(Plain):
    """More than one output."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override] # that is the case
        return super().forward(images), images


@pytest.mark.parametrize(
    ("module", "input_shape"),
    [(TinyNetwork(), TINY), (CifarResNet(1), (3, 32, 32)), (LeNet(), (1, 28, 28))],
    ids=["tiny", "resnet8", "lenet5"],
)
def test_a_record_computes_what_the_module_does_and_shares_its_parameters(
    module: nn.Module, input_shape: tuple[int, ...]
) -> None:
    before = digest(module.eval().state_dict())
    traced = trace(module, input_shape, "this needs")
    images = torch.randn(3, *input_shape)
    with torch.inference_mode():
        torch.testing.assert_close(traced(images), module(images))
    assert digest(module.state_dict()) == before
    assert {id(parameter) for parameter in traced.parameters()} == {id(parameter) for parameter in module.parameters()}


@pytest.mark.parametrize("images", [1, 2])
def test_every_node_has_the_shape_of_its_tensor(images: int) -> None:
    traced = trace(TinyNetwork().eval(), TINY, "this needs", images)
    found = {str(node.target): shape(node) for node in traced.graph.nodes if node.op == "call_module"}
    assert found["stem"] == (images, 5, 6, 6)
    assert found["conv1"] == (images, 7, 6, 6)
    assert found["conv3"] == (images, 6, 3, 3)
    assert found["pool"] == (images, 6, 1, 1)
    assert found["linear"] == (images, 3)


def test_what_is_no_tensor_has_no_shape() -> None:
    class Asking(Base):
        def forward(self, images: Tensor) -> Tensor:
            return self.fc(self.conv(images).view(images.size(0), -1))

    traced = trace(Asking().eval(), TINY, "this needs")
    asked = [node for node in traced.graph.nodes if node.target == "size"]
    assert [shape(node) for node in asked] == [()]
    assert shape(next(iter(record(Plain(), "this needs").graph.nodes))) == ()  # nothing has run yet


def test_shapes_of_other_images_replace_those_before() -> None:
    convolution = record(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1)).eval(), "this needs")
    for size in (6, 9):
        assert shape(calls(measured(convolution, (2, size, size)), "0")[0]) == (1, 3, size, size)


@pytest.mark.parametrize("ask", [record, lambda module, need: trace(module, TINY, need)], ids=["record", "trace"])
def test_a_module_that_fx_cannot_follow_is_refused_with_the_need(ask: Callable[[nn.Module, str], object]) -> None:
    with pytest.raises(InputError, match=r"^parts need a network that torch\.fx can trace, but tracing fails with: "):
        ask(Branching(), "parts need")


@pytest.mark.parametrize("module", [Counting(), AsksForTensors(), Pair()], ids=lambda module: type(module).__name__)
def test_a_record_that_computes_something_else_is_refused(module: nn.Module) -> None:
    record(module.eval(), "filters need")  # fx itself does not notice
    with pytest.raises(InputError, match=r"^filters need a .* trace, but its record computes something else$"):
        trace(module, TINY, "filters need")


def test_a_module_that_does_not_run_on_the_images_is_refused() -> None:
    with pytest.raises(InputError, match=r"^memory needs a network .* tracing fails with: "):
        trace(Plain().eval(), (2, 5, 5), "memory needs")


def test_checking_a_record_draws_no_random_numbers() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    module = TinyNetwork()
    torch.manual_seed(3)
    trace(module.eval(), TINY, "this needs")
    assert torch.equal(torch.rand(3), expected)


def test_a_module_that_writes_into_its_images_is_no_other() -> None:
    class Writing(Plain):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.mul_(2))

    trace(Writing().eval(), TINY, "this needs")


def test_the_calls_of_a_layer_are_found_by_its_name() -> None:
    class Twice(Base):
        def __init__(self) -> None:
            super().__init__()
            self.same = nn.Conv2d(3, 3, 1)
            self.idle = nn.Linear(1, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.fc(self.same(self.same(self.conv(images))).flatten(1))

    traced = trace(Twice().eval(), TINY, "this needs")
    assert {name: len(calls(traced, name)) for name in ("conv", "same", "idle", "none")} == {
        "conv": 1,
        "same": 2,
        "idle": 0,
        "none": 0,
    }


class Chain(nn.Module):
    """Modules, functions and methods in a row; a module has the name of a function, and does something else."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3))
        self.relu = nn.Tanh()
        self.fc = nn.Linear(27, 4)

    def forward(self, images: Tensor) -> Tensor:
        inside = F.relu(self.relu(self.block(images))) + 1
        return self.fc(F.max_pool2d(inside, 2).flatten(1))


def test_what_follows_a_layer_is_told_one_after_the_other() -> None:
    module = Chain().eval()
    found = list(behind(trace(module, TINY, "this needs"), "block.0"))
    assert found == [
        ("block.1", module.block[1]),
        ("relu", module.relu),
        ("relu", None),
        ("add", None),
        ("max_pool2d", None),
        ("flatten", None),
        ("fc", module.fc),
    ]
    assert list(behind(trace(module, TINY, "this needs"), "fc")) == []  # the output is no function


def test_what_follows_ends_where_tensors_join_or_part() -> None:
    traced = trace(TinyNetwork().eval(), TINY, "this needs")
    names = {layer: [name for name, _ in behind(traced, layer)] for layer in ("stem", "conv1", "conv2", "conv3")}
    assert names == {
        "stem": ["bn0", "relu"],  # read by the first convolution and by the addition
        "conv1": ["bn1", "relu", "conv2", "bn2"],
        "conv2": ["bn2"],  # the addition joins the stem
        "conv3": ["relu", "pool", "flatten", "linear"],
    }


def test_nothing_is_told_of_a_layer_that_runs_twice_or_never() -> None:
    class Twice(Base):
        def __init__(self) -> None:
            super().__init__()
            self.same = nn.Conv2d(3, 3, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.fc(self.same(self.same(self.conv(images))).flatten(1))

    traced = trace(Twice().eval(), TINY, "this needs")
    assert list(behind(traced, "same")) == list(behind(traced, "none")) == []


def test_a_device_is_where_the_parameters_lie() -> None:
    assert device_of(Plain()) == torch.device("cpu")
    with torch.device("meta"):
        assert device_of(Plain()) == torch.device("meta")


class Optional(nn.Module):
    """Has a branch for an argument that nobody gives, and names its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last, self.other = nn.Conv2d(1, 4, 3), nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, images: Tensor, domain: int | None = None) -> Tensor:
        features = torch.add(input=self.conv(input=images), other=self.conv.bias.view(-1, 1, 1))
        features = torch.flatten(input=F.adaptive_avg_pool2d(F.relu(features), 1), start_dim=1)
        return self.last(features) if domain is None else self.other(features)


def test_arguments_that_nobody_gives_are_bound_and_keywords_stand_in_their_places() -> None:
    traced = trace(Optional().eval(), (1, 5, 5), "this needs")
    assert [node.op for node in traced.graph.nodes].count("placeholder") == 1
    assert not calls(traced, "other")
    assert len(calls(traced, "conv")) == len(calls(traced, "last")) == 1
    assert not any(isinstance(value, fx.Node) for node in traced.graph.nodes for value in node.kwargs.values())

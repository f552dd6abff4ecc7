"""Networks cut into parts: where, what a part computes, and where stages begin."""

from __future__ import annotations

from itertools import pairwise

import pytest
import tiny
import torch
import torchvision.models as zoo
from kinds import problem_of
from torch import nn

from pruneframe.errors import InputError
from pruneframe.model.cut import Cutter, stages
from pruneframe.testing import TinyNetwork
from pruneframe_problems.cifar_resnet import CifarResNet
from pruneframe_problems.lenet import LeNet


def layers_of(module: nn.Module) -> list[str]:
    return [name for name, part in module.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)]


@pytest.mark.parametrize(
    ("module", "shape"), [(CifarResNet(2), (3, 32, 32)), (LeNet(), (1, 28, 28)), (TinyNetwork(), (2, 6, 6))]
)
def test_parts_one_after_the_other_are_the_network(module, shape):
    module.eval()
    cutter = Cutter(module, layers_of(module))
    ends = [0, *(cut.layer for cut in cutter.cuts(shape)), len(layers_of(module))]
    images = torch.randn(4, *shape)
    with torch.inference_mode():
        features = images
        for start, stop in pairwise(ends):
            features = cutter.part(start, stop)(features)
        assert torch.equal(features, module(images))


def test_a_cifar_resnet_is_cut_between_blocks_and_its_resolution_halves_twice():
    cuts = tiny.network(CifarResNet(2), (3, 32, 32)).cuts
    assert [cut.layer for cut in cuts] == [1, 3, 5, 7, 9, 11, 13]
    assert [cut.shape for cut in cuts] == [(16, 32, 32)] * 3 + [(32, 16, 16)] * 2 + [(64, 8, 8)] + [(64,)]


@pytest.mark.parametrize(
    ("module", "shape", "parts"),
    [
        (CifarResNet(3), (3, 32, 32), (7, 13)),
        (LeNet(), (1, 28, 28), (1,)),
        (zoo.resnet18(), (3, 64, 64), (5, 10, 15)),
        (zoo.resnet50(), (3, 64, 64), (11, 24, 43)),
        (zoo.vgg16_bn(), (3, 32, 32), (2, 4, 7, 10)),
        (TinyNetwork(), (2, 6, 6), (3,)),
    ],
)
def test_a_stage_begins_where_the_resolution_changes(module, shape, parts):
    network = tiny.network(module, shape)
    assert network.stages == parts
    assert set(parts) <= {cut.layer for cut in network.cuts}


def test_a_stage_begins_at_the_last_place_before_the_change():
    assert stages([64, 64, 16, 16, None], [1, 2, 3]) == (2,)
    assert stages([64, 64, 64, 16, 16], [1, 2]) == (2,)  # inside a block
    assert stages([64, 16, 16], [1, 2]) == ()  # a stem belongs to what follows
    assert stages([64, 16, 4], [1, 2]) == (1, 2)
    assert stages([64, 64, 16], []) == ()
    assert stages([None, None], [1]) == ()
    assert stages([64, 64, 16, 16, 64, 64], [2, 4]) == (2, 4)


def test_no_cut_lies_inside_a_residual_block():
    cutter = Cutter(TinyNetwork(), layers_of(TinyNetwork()))
    assert [cut.layer for cut in cutter.cuts((2, 6, 6))] == [1, 3, 4]
    with pytest.raises(InputError, match=r"parts begin and end at \[0, 1, 3, 4, 5\], but got 2"):
        cutter.part(0, 2)


def test_a_part_shares_the_parameters_of_its_module():
    module = TinyNetwork().eval()
    part = Cutter(module, layers_of(module)).part(0, 1)
    with torch.no_grad():
        module.stem.weight.zero_()
        module.bn0.bias.zero_()
        module.bn0.running_mean.zero_()
        assert not part(torch.randn(2, 2, 6, 6)).any()


@pytest.mark.parametrize(("start", "stop"), [(1, 1), (3, 1)])
def test_an_empty_part_is_refused(start, stop):
    with pytest.raises(InputError, match="start < stop must hold"):
        Cutter(TinyNetwork(), layers_of(TinyNetwork())).part(start, stop)


def test_a_network_that_cannot_be_traced_is_refused():
    class Wild(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x) if x.sum() > 0 else -self.linear(x)

    with pytest.raises(InputError, match=r"torch\.fx can trace"):
        Cutter(Wild(), ["linear"])


def test_layers_inside_a_module_that_is_not_looked_into_stay_together():
    network = tiny.load(problem_of("tokens")).network
    tokens = network.inputs.random(5)
    assert [cut.layer for cut in network.cuts] == [4]
    first, second = network.cutter.part(0, 4), network.cutter.part(4, 5)
    assert "encoder.self_attn.in_proj_weight" in first.state_dict()
    assert torch.allclose(second(first(tokens)), network.module(tokens), atol=1e-6)


def test_layers_whose_weights_are_read_without_a_call_are_refused():
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(nn.functional.linear(x, self.first.weight))

    with pytest.raises(InputError, match=r"parts need layers that torch\.fx sees, but 'first' is called by nobody"):
        Cutter(Functional(), ["first", "last"])

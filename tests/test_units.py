"""Kinds of units: the bundled ones and some of this test's own keep the contract, broken ones are found out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, repeat

import numpy as np
import pytest
import tiny
import torch

import pruneframe as pf
from pruneframe.errors import Faulty
from pruneframe.mask import Group, Layout, Slices
from pruneframe.model.network import Network
from pruneframe.model.shrink import shrink
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import DENSE, Workbench
from pruneframe.testing import check_units, tiny_problem
from pruneframe.units import Units
from pruneframe_plugins.units import Filter, Neuron, Weight

LEAVES = ("weight", "bias")


@dataclass(frozen=True, repr=False)
class Rows(Units):
    """Rows of linear layers with their biases; what they compute is still there when they are zero."""

    name = "row"

    def layout(self, network: Network) -> Layout:
        return Layout(
            repr(self),
            tuple(
                Group(one.name, one.shape[0], one.shape, tuple(Slices(f"{one.name}.{leaf}", 0) for leaf in LEAVES))
                for one in network.layers
                if not one.convolutional
            ),
        )


@dataclass(frozen=True, repr=False)
class Inputs(Units):
    """What a layer reads of some channels in a row; the last ones that fill no unit stay."""

    name = "input"
    channels: int = pf.setting(1, "how many make a unit", least=1)

    def layout(self, network: Network) -> Layout:
        groups = [
            Group(one.name, one.shape[1] // self.channels, one.shape, (Slices(f"{one.name}.weight", 1, self.channels),))
            for one in network.layers
            if one.shape[1] >= self.channels
        ]
        return Layout(repr(self), tuple(groups))


CONV1 = tuple(Slices(name, 0) for name in ("conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias"))
READER = Slices("conv2.weight", 1)


def conv1(size: int = 7, *slices: Slices) -> Layout:
    """A layout of the tiny network's first convolution inside its block."""
    return Layout("own", (Group("conv1", size, (7, 5, 3, 3), slices or (*CONV1, READER)),))


@dataclass(frozen=True, repr=False)
class Own(Units):
    """Filters of the tiny network, named by hand."""

    name = "own"
    removable = True
    width: int = pf.setting(1, "filters of a unit", least=1)
    start: int = pf.setting(0, "filters before the first unit", least=0)

    def layout(self, network: Network) -> Layout:
        slices = [replace(one, width=self.width, start=self.start) for one in (*CONV1, READER)]
        return replace(conv1((7 - self.start) // self.width, *slices), units=repr(self))


@pytest.mark.parametrize(
    "units",
    [Weight(), Filter(), Filter(inner=True), Rows(), Inputs(), Inputs(2), Own(), Own(2), Own(2, 1), Own(3, 1), Own(7)],
    ids=repr,
)
def test_the_contract_holds(units: Units) -> None:
    check_units(units)


def bench_of(units: Units) -> Workbench:
    return Workbench(tiny_problem().load(lambda kind, spec: units), "cpu", Shelf(None))  # type: ignore[arg-type]


def test_weights_are_all_single_and_filters_are_those_that_may_go() -> None:
    weights, filters = (tiny.load(tiny_problem(name)).network.layout for name in ("weight", "filter"))
    assert weights.single
    assert (weights.names, weights.total) == (("stem", "conv1", "conv2", "conv3", "linear"), 1008)
    assert not filters.single
    assert (filters.names, filters.sizes) == (("stem", "conv1", "conv3"), (5, 7, 6))
    assert (Weight().removable, Filter().removable, Neuron().removable) == (False, True, True)


def test_rows_are_masked_and_stay() -> None:
    """An output without its row gives zero for every image."""
    bench = bench_of(Rows())
    network = bench.network
    assert (network.layout.names, network.layout.sizes) == (("linear",), (3,))
    mask = pf.Masks.pack(np.array([[True, False, True]]), network.layout)
    logits = torch.func.functional_call(network.module, bench.masked(mask, DENSE), (bench.search.tensor,))
    assert not logits[:, 1].any()
    assert logits[:, [0, 2]].all()
    assert network.params(mask) == [network.total_params - 7]
    assert network.macs(mask) == [network.total_macs - 6]
    assert network.widths(mask)[0].tolist() == network.widths(network.layout.full())[0].tolist()
    assert network.structure(mask) is mask


def test_units_of_several_filters_are_taken_out_together() -> None:
    """Two of seven filters a unit, the first belongs to none."""
    bench = bench_of(Own(2, 1))
    network = bench.network
    mask = pf.Masks.pack(np.array([[True, False, True]]), network.layout)
    shrunk = shrink(network, mask, bench.masked(mask, DENSE))
    kept = [0, 1, 2, 5, 6]
    assert torch.equal(shrunk.get_parameter("conv1.weight"), network.parameter("conv1.weight")[kept])
    assert torch.equal(shrunk.get_parameter("conv2.weight"), network.parameter("conv2.weight")[:, kept])
    assert network.widths(mask)[0, 1:3].tolist() == [[5, 5], [5, 5]]


def saying(*layouts: Layout) -> Units:
    """Units that answer with one layout after the other, and go on with the last."""
    answers = chain(layouts, repeat(layouts[-1]))

    @dataclass(frozen=True, repr=False)
    class Saying(Units):
        name = "own"
        removable = True

        def layout(self, network: Network) -> Layout:
            return next(answers)

    return Saying()


LAST = Slices("linear.weight", 0), Slices("linear.bias", 0)
BROKEN: dict[str, tuple[list[Layout], str]] = {
    "another layout each time": ([conv1(6), conv1()], "the same network, the same layout"),
    "another name": ([replace(conv1(), units="filter")], r"must give Layout\('own', ...\), but gave one of 'filter'"),
    "no reader": ([conv1(7, *CONV1)], "must be taken out exactly: the network must run without its units"),
    "no writer": ([conv1(7, READER)], "must be taken out exactly: the network must run without its units"),
    "no norm": ([conv1(7, *CONV1[:2], READER)], "must be taken out exactly: the network must run without its units"),
    "no bias": ([conv1(7, CONV1[0], *CONV1[2:], READER)], "must be taken out exactly: the network must run"),
    "other filters in the reader": ([conv1(6, *CONV1, replace(READER, start=1))], "predict what the masked one does"),
    "nothing to take out": ([Layout("own", (Group("conv1", 7 * 45, (7, 5, 3, 3)),))], "out of every parameter"),
    "an output": ([Layout("own", (Group("linear", 3, (3, 6), LAST),))], "must be taken out exactly"),
}


def test_what_is_broken_below_holds_where_it_is_whole() -> None:
    check_units(saying(conv1()))


@pytest.mark.parametrize("fault", BROKEN)
def test_units_that_break_the_contract_are_found_out(fault: str) -> None:
    layouts, message = BROKEN[fault]
    with pytest.raises((AssertionError, Faulty), match=message):
        check_units(saying(*layouts))


def test_units_that_are_not_there_are_refused_by_their_name() -> None:
    class Without(Rows):
        def layout(self, network: Network) -> Layout:
            return Layout(repr(self), ())

    with pytest.raises(pf.InputError, match="the network has no prunable rows"):
        check_units(Without())


def test_a_kind_of_units_says_what_it_is_called_and_gives_a_layout() -> None:
    class Nothing(Units):
        name = "nothing"

    with pytest.raises(TypeError, match="layout"):
        Nothing()  # type: ignore[abstract] # that is what is tested
    assert Units.kind == "unit"

"""The bundled units: what their bits stand for, what each is made of, and where there are none."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from searches import searched
from torch import nn

from pruneframe.errors import InputError
from pruneframe.mask import Slices
from pruneframe.testing import check_units, tiny_problem
from pruneframe.units import Units
from pruneframe_plugins.units import Filter, Neuron, Weight


@pytest.mark.parametrize("units", [Weight(), Filter(), Filter(inner=True)], ids=repr)
def test_the_contract_holds(units: Units) -> None:
    check_units(units)


def test_weights_are_the_entries_of_every_layer() -> None:
    layout = tiny.load(tiny_problem("weight")).network.layout
    assert layout.names == ("stem", "conv1", "conv2", "conv3", "linear")
    assert layout.sizes == (5 * 2 * 9, 7 * 5 * 9, 5 * 7 * 9, 6 * 5 * 9, 3 * 6)
    assert layout.single
    assert not Weight().removable


def test_filters_are_their_own_and_their_norms_entries_and_what_reads_them() -> None:
    network = tiny.load(tiny_problem("filter[inner=true]")).network
    layout = network.layout
    assert layout.names == ("conv1", "conv3")  # others reach the addition, or the output
    assert layout.sizes == (7, 6)
    assert layout.units == "filter[inner=true]"
    assert not layout.single
    own = [Slices(f"{name}.{leaf}", 0) for name in ("conv1", "bn1") for leaf in ("weight", "bias")]
    assert set(layout.groups[0].slices) == {*own, Slices("conv2.weight", 1)}
    assert set(layout.groups[1].slices) == {
        Slices("conv3.weight", 0),
        Slices("conv3.bias", 0),
        Slices("linear.weight", 1),
    }
    assert Filter().removable


def test_where_tensors_are_added_a_filter_is_one_of_all_that_write_it() -> None:
    layout = tiny.load(tiny_problem("filter")).network.layout
    assert (layout.names, layout.sizes) == (("stem", "conv1", "conv3"), (5, 7, 6))
    written = [f"{name}.{leaf}" for name in ("conv2", "bn2", "bn0") for leaf in ("weight", "bias")]
    own = [Slices(name, 0) for name in ("stem.weight", *written)]
    assert set(layout.groups[0].slices) == {*own, Slices("conv1.weight", 1), Slices("conv3.weight", 1)}
    inside = tiny.load(tiny_problem("filter[inner=true]")).network.layout
    assert layout.groups[1:] == inside.groups


def test_neurons_are_units_that_lie_between_linear_layers() -> None:
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 3))
    [group] = tiny.network(module, (2, 6, 6), "neuron").layout.groups
    assert (group.layer, group.size) == ("2", 9)
    assert set(group.slices) == {Slices("2.weight", 0), Slices("2.bias", 0), Slices("4.weight", 1)}
    assert Neuron().removable


def test_a_filter_that_is_flattened_is_read_pixel_by_pixel() -> None:
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    [group] = tiny.network(module, (2, 6, 6), "filter").layout.groups
    assert Slices("2.weight", 1, width=16) in group.slices


def test_a_network_without_such_units_is_refused() -> None:
    with pytest.raises(InputError, match="no prunable filters"):
        tiny.network(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), (1, 2, 2), "filter")
    with pytest.raises(InputError, match="no prunable neurons"):
        tiny.network(nn.Sequential(nn.Conv2d(1, 4, 2), nn.Flatten(), nn.Linear(4, 3)), (1, 2, 2), "neuron")
    with pytest.raises(InputError, match="no prunable weights"):
        tiny.network(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4)), (1, 2, 2), "weight")


@pytest.mark.parametrize("units", ["weight", "filter", "filter[inner=true]"])
@pytest.mark.parametrize("method", ["magnitude", "random", "nsga2"])
def test_methods_prune_either(method: str, units: str) -> None:
    task = searched(method, 20, units=units)
    masks, _ = task.archive.front()
    values = task.archive.front_values()
    assert task.layout.units == units
    assert np.array_equal(values[:, 1], task.network.params(masks))
    assert values[:, 1].min() < 0.7 * task.network.total_params

"""The bundled units: what their bits stand for, what each is made of, and where there are none."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from searches import searched
from torch import nn

from pruneframe.errors import InputError
from pruneframe.mask import Slices
from pruneframe.testing import check_units, make_task, tiny_problem
from pruneframe.units import Units
from pruneframe_plugins.units import Block, Filter, Neuron, Weight


@pytest.mark.parametrize("units", [Weight(), Filter(), Filter(inner=True), Block()], ids=repr)
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


def test_blocks_are_all_that_a_branch_is_made_of() -> None:
    [block] = tiny.load(tiny_problem("block")).network.layout.groups
    assert (block.layer, block.size, block.least, block.shape) == ("conv2", 1, 0, (5, 7, 3, 3))
    assert block.slices[0] == Slices("conv2.weight", 0, 5)
    owned = {f"{name}.{leaf}" for name in ("conv1", "bn1", "conv2", "bn2") for leaf in ("weight", "bias")}
    assert {part.parameter for part in block.slices} == owned
    assert Block().removable


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


def test_a_network_without_branches_or_a_record_of_them_is_refused() -> None:
    with pytest.raises(InputError, match="no prunable blocks; use units=weight"):
        tiny.network(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(64, 3)), (1, 6, 6), "block")


@pytest.mark.parametrize("units", ["weight", "filter", "filter[inner=true]"])
@pytest.mark.parametrize("method", ["magnitude", "random", "nsga2"])
def test_methods_prune_either(method: str, units: str) -> None:
    task = searched(method, 20, units=units)
    masks, _ = task.archive.front()
    values = task.archive.front_values()
    assert task.layout.units == units
    assert np.array_equal(values[:, 1], task.network.params(masks))
    assert values[:, 1].min() < 0.7 * task.network.total_params


METHODS = ("random", "nsga2", "moead", "platypus", "weighted-ga", "netadapt", "hamp[scorer=l2]")
ENCODINGS = ("mask", "unit-threshold", "layer-threshold", "layer-ratio", "channel-count", "global-cut")


@pytest.mark.parametrize("spec", [*METHODS, *(f"nsga2[encoding={name}]" for name in ENCODINGS)])
@pytest.mark.parametrize("objectives", [("error", "params"), ("error", "latency", "memory")], ids=" ".join)
def test_methods_prune_blocks(spec: str, objectives: tuple[str, ...]) -> None:
    task = searched(spec, 20, units="block", objectives=objectives, target="analytic")
    found = {evaluation.mask for evaluation in task.archive.evaluations}
    full = task.layout.full()
    assert found == {*full.digests(), *(full - full).digests()}


@pytest.mark.parametrize("scorer", ["magnitude", "l2", "bn-scale", "taylor", "snip", "fisher", "random"])
def test_blocks_have_scores(scorer: str) -> None:
    [score] = make_task(tiny_problem("block")).scores(scorer)
    assert score > 0


@pytest.mark.parametrize("scorer", ["lamp", "fpgm", "reconstruction"])
def test_scores_that_compare_units_of_a_layer_refuse_blocks(scorer: str) -> None:
    with pytest.raises(InputError, match=f"scorer '{scorer}' .*; use the scorer magnitude"):
        make_task(tiny_problem("block")).scores(scorer)


@pytest.mark.parametrize("encoding", ["n-m", "blocks"])
def test_encodings_of_single_weights_refuse_blocks(encoding: str) -> None:
    task = make_task(tiny_problem("block"))
    with pytest.raises(InputError, match="single weights"):
        task.encoding(encoding).variables(task.layout)

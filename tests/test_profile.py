"""Profiles: measured layer by layer, read from files that are whole, and good for one network alone."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from tables import table
from torch import Tensor, nn

from pruneframe.errors import InputError
from pruneframe.model.network import Network
from pruneframe.profile import Profile, _least, _resized, _steps
from pruneframe.testing import tiny_problem
from pruneframe_plugins.targets import Analytic, LocalCpu


def tiny_network() -> Network:
    return tiny.load(tiny_problem("filter")).network


@pytest.mark.parametrize("content", [None, "[]", "{}", '{"format": 2}', '{"format": 1, "layers": []}', "x"])
def test_a_table_that_is_none_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match="must be a profile of a network"):
        Profile.read(path)


DAMAGES: dict[str, Any] = {
    "no widths": {"outputs": []},
    "no list": {"inputs": None},
    "falling widths": {"outputs": [9, 7]},
    "other widths": {"inputs": [1, 3]},
    "a row less": {"seconds": [[1.0, 1.0]]},
    "a shorter row": {"seconds": [[1.0], [1.0]]},
    "text": {"seconds": [["1", "1"], ["1", "1"]]},
    "nothing": {"seconds": [[1.0, None], [1.0, 1.0]]},
    "not a number": {"seconds": [[1.0, math.nan], [1.0, 1.0]]},
    "no time": {"seconds": [[1.0, 0.0], [1.0, 1.0]]},
    "no shape": {"shape": []},
}
WHOLE_DAMAGES: dict[str, Any] = {
    "rest": {"rest": -1.0},
    "text for rest": {"rest": "1"},
    "no scale": {"scale": 0},
    "nothing for scale": {"scale": None},
    "no environment": {"environment": None},
}


@pytest.mark.parametrize("damage", [*DAMAGES, *WHOLE_DAMAGES])
def test_a_damaged_table_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    table(tiny_network()).write(path)
    found = json.loads(path.read_text())
    assert (found["layers"][1]["outputs"], found["layers"][1]["inputs"]) == ([1, 7], [1, 5])
    path.write_text(json.dumps(found))
    assert Profile.read(path).layers[1].name == "conv1"
    found |= WHOLE_DAMAGES.get(damage, {})
    found["layers"][1] |= DAMAGES.get(damage, {})
    path.write_text(json.dumps(found))
    with pytest.raises(InputError, match="must be a profile of a network"):
        Profile.read(path)


@pytest.mark.parametrize("change", ["fewer", "more", "narrower", "larger images", "larger kernels", "more groups"])
def test_a_table_of_another_network_is_refused(change: str) -> None:
    own = tiny_network()
    found = table(own)
    first, *others = found.layers
    other = {
        "fewer": others,
        "more": [first, *others, replace(first, name="conv9")],
        "narrower": [replace(first, outputs=[1, 4], shape=[4, *first.shape[1:]]), *others],
        "larger kernels": [replace(first, shape=[*first.shape[:2], 5, 5]), *others],
        "more groups": [replace(first, groups=2), *others],
        "larger images": [replace(first, positions=64), *others],
    }[change]
    damaged, dense = replace(found, layers=tuple(other)), own.widths(own.layout.full())[0]
    with pytest.raises(InputError, match="differ in layer " + ("'conv9'" if change == "more" else "'stem'")):
        damaged.seconds(own, dense)


def test_layers_are_timed_at_their_widths() -> None:
    assert _resized(nn.Conv2d(16, 8, 3), 4, 6).weight.shape == (4, 6, 3, 3)


@pytest.mark.parametrize(
    ("layer", "widths", "groups"),
    [
        (nn.Conv2d(16, 16, 3, groups=4), [(4, 4), (8, 4), (12, 4), (16, 4)], [1, 2, 3, 4]),  # whole groups go
        (nn.Conv2d(6, 12, 3, groups=2), [(2, 1), (4, 2), (12, 3)], [2, 2, 2]),  # as many channels of each
        (nn.Conv2d(8, 8, 3, groups=8), [(2, 1), (8, 1)], [2, 8]),
        (nn.ConvTranspose2d(8, 16, 3, groups=8), [(2, 2), (8, 2)], [2, 8]),
    ],
)
def test_layers_with_groups_are_timed_as_they_can_become(
    layer: nn.Module, widths: list[tuple[int, int]], groups: list[int]
) -> None:
    steps = [_steps(width, least) for width, least in zip(layer.weight.shape[:2], _least(layer), strict=True)]  # type: ignore[index, arg-type]
    for (first, second), number in zip(widths, groups, strict=True):
        assert first in steps[0]
        assert second in steps[1]
        twin = _resized(layer, first, second)
        assert (twin.weight.shape[:2], twin.groups) == ((first, second), number)
        inputs = first if twin.transposed else second * number
        twin(torch.zeros(1, inputs, 5, 5))  # runs as it is


def test_a_linear_layer_on_several_rows_cannot_be_timed_alone() -> None:
    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.Sequential(nn.Conv2d(2, 5, 1), nn.ReLU(), nn.Conv2d(5, 4, 3))
            self.mix, self.head = nn.Linear(6, 6), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.mix(self.convs(x)).mean(dim=(2, 3)))  # type: ignore[no-any-return] # Modules

    mixer = tiny.network(Mixer(), (2, 8, 8), "filter")
    with pytest.raises(InputError, match="layer 'mix' must be fed rows of features to be timed alone"):
        Profile.measure(mixer, LocalCpu(repeats=1, warmup=0), {})


def test_a_layer_that_is_gone_takes_no_time() -> None:
    network = tiny.load(tiny_problem("block")).network
    profile, full = table(network), network.layout.full()
    dense, without = (profile.seconds(network, network.widths(mask)[0]) for mask in (full, full - full))
    gone = sum(layer.seconds[-1][-1] for layer in profile.layers if layer.name in ("conv1", "conv2"))
    assert without == pytest.approx(dense - profile.scale * gone)


def test_a_profile_sums_to_the_dense_network(tmp_path: Path) -> None:
    own = tiny_network()
    found = Profile.measure(own, LocalCpu(repeats=5, warmup=1), {"threads": 1})
    assert [layer.name for layer in found.layers] == [layer.name for layer in own.layers]
    dense = own.widths(own.layout.full())[0]
    assert found.seconds(own, dense) == pytest.approx(found.dense)
    assert 0 < found.scale <= 1
    assert found.rest >= 0
    found.write(tmp_path / "profile.json")
    assert Profile.read(tmp_path / "profile.json") == found
    with pytest.raises(InputError, match="times nothing"):
        Profile.measure(own, Analytic(), {})

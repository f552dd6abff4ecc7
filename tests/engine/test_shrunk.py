"""The shrunk path: a network without its removed filters."""

from __future__ import annotations

import pytest
from networks import CASES, agree, images_of, masks_of, network_of

from pruneframe.engine.plain import Plain
from pruneframe.engine.shrunk import Shrunk


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("name", [name for name, units in CASES if units == "filter"])
def test_a_network_without_its_removed_filters_predicts_the_same(name: str, calibrated: bool) -> None:
    network = network_of(name, "filter")
    images, state, masks = images_of(network, 9), network.module.state_dict(), masks_of(network)
    plain = Plain(network, calibration=images_of(network, 30) if calibrated else None)
    found = Shrunk(network, plain).logits(masks, [state] * len(masks), plain.place(images))
    for one, expected in zip(found, plain.logits(masks, [state] * len(masks), plain.place(images)), strict=True):
        agree(one, expected)

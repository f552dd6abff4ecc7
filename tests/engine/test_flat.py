"""All weights in one row of floats, and the units that each of them needs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import CASES, masks_of, network_of

from pruneframe.engine.flat import ALIGNMENT, Flat


@pytest.mark.parametrize(("name", "units"), CASES)
def test_a_row_holds_all_floats_of_a_state(name: str, units: str) -> None:
    network = network_of(name, units)
    module = network.module.to(memory_format=torch.channels_last)
    flat, state = Flat(module), network.module.state_dict()
    views = flat.views(flat.row(state))
    assert views.keys() == {key for key, tensor in state.items() if tensor.is_floating_point()}
    assert all(torch.equal(views[key], state[key]) for key in views)
    assert all(views[key].stride() == state[key].stride() for key in views)
    assert all(view.storage_offset() % ALIGNMENT == 0 for view in views.values())
    assert flat.size < sum(view.numel() + ALIGNMENT for view in views.values())


def test_views_of_rows_are_views_of_each_row() -> None:
    flat = Flat(network_of("odd").module)
    rows = torch.randn(3, flat.size)
    together = flat.views(rows)
    for i in range(3):
        assert all(torch.equal(together[name][i], view) for name, view in flat.views(rows[i]).items())
    together["last.bias"].fill_(7)
    assert (rows == 7).sum() == 3 * together["last.bias"][0].numel()


@pytest.mark.parametrize(("name", "units"), CASES)
def test_a_float_needs_the_units_that_keep_it(name: str, units: str) -> None:
    network = network_of(name, units)
    flat, masks = Flat(network.module), masks_of(network)
    needs = flat.needs(network)
    for row in range(len(masks)):
        bits = torch.from_numpy(np.append(masks.unpack(row), True))
        found = flat.views(bits[needs].all(dim=0))
        keep = network.keep(masks, row)
        assert all(torch.equal(found[key], keep.get(key, torch.tensor(True)).expand_as(found[key])) for key in found)

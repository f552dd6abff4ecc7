"""Torch's own path: one by one, in a format in which torch does not err, and never rounded."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from naive import masks_of_all_kinds, random_images, random_network
from networks import agree, images_of, network_of
from precisions import flags, noted_flags

from pruneframe.engine.plain import Plain
from pruneframe.model.precision import precision


def test_answers_are_computed_one_by_one_as_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network("tiny", "weight")
    engine, state = Plain(network), network.module.state_dict()
    masks = masks_of_all_kinds(network)
    rows: list[int] = []
    apply = engine._apply
    monkeypatch.setattr(engine, "_apply", lambda masks, row, state: (rows.append(row), apply(masks, row, state)))
    assert len(list(islice(engine.logits(masks, [state] * len(masks), random_images(network, 4)), 2))) == 2
    assert rows == [0, 1]


@pytest.mark.parametrize("name", ["narrow", "thin"])
def test_torch_computes_in_a_format_in_which_it_does_not_err(name: str) -> None:
    network = network_of(name)
    images, state, before = images_of(network, 33), network.module.state_dict(), torch.get_num_threads()
    try:
        torch.set_num_threads(1)  # whether it errs depends on the images of each thread
        plain = Plain(network)
        found = next(plain.logits(network.layout.full(), [state], plain.place(images)))
        with torch.inference_mode():
            agree(found, network.module(images).numpy())
    finally:
        torch.set_num_threads(before)


def test_torchs_own_path_is_never_rounded() -> None:
    network = network_of("resnet")
    plain, images = Plain(network, calibration=images_of(network, 20)), images_of(network, 4)
    masks, states = network.layout.full(), [network.module.state_dict()]
    with precision(tf32=True), noted_flags(plain._module.conv1) as found:
        list(plain.logits(masks, states, images))
        list(plain.outputs(masks, states[0], images, 0, 3))
        plain.shifted(masks, states[0])
        plain.masked(masks, states[0])
        assert len(found) >= 6
        assert set(found) == {(False, False)}
        assert flags() == (True, True)

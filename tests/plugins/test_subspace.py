"""Boltzmann machines and the subspace of some masks."""

from __future__ import annotations

import numpy as np
from tiny import layout

from pruneframe.mask import Masks
from pruneframe_plugins.boltzmann import Boltzmann
from pruneframe_plugins.subspace import Subspace, unpacked

LAYOUT = layout(a=10, b=7)


def two_patterns(rng: np.random.Generator) -> np.ndarray:
    """Rows of 20 bits, of which either the first or the last ten are set."""
    return np.repeat(rng.random((40, 2)) < 0.5, 10, axis=1) ^ np.repeat([[False, True]], 10, axis=1).reshape(1, 20)


def test_what_was_learned_is_recovered_better_than_by_an_unlearned_machine() -> None:
    rng = np.random.default_rng(0)
    rows = two_patterns(rng)
    wrong = []
    for epochs in (0, 60):
        machine = Boltzmann(20, 4, np.random.default_rng(1))
        machine.learn(rows, epochs, 0.1, 0.5)
        wrong.append(np.mean(machine.recover(machine.reduce(rows)) != rows))
    assert wrong[1] < 0.7 * wrong[0]


def test_what_all_masks_share_their_children_have() -> None:
    rng = np.random.default_rng(0)
    kept = rng.random((12, LAYOUT.total)) < 0.5
    kept[:, :3], kept[:, 14:] = True, False
    masks = Masks.pack(kept, LAYOUT)
    learned = Subspace.of(masks, 5, rng)
    assert learned is not None
    children = unpacked(learned.crossed(masks, masks[::-1]))
    assert children[:, :3].all()
    assert not children[:, 14:].any()
    assert children[:, 3:14].any()


def test_equal_masks_teach_nothing() -> None:
    assert Subspace.of(LAYOUT.full(4), 5, np.random.default_rng(0)) is None

"""What a run's final front saves, and which of its members stands beside a paper's result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..front import choose
from ..mask import Masks
from ..model.network import Network
from ..study.correctness import Correctness
from ..study.folder import RunFolder
from ..study.paired import loss_bounds, paired_drop
from .experiment import Finding

COUNTED = ("parameters", "multiply-adds", "convolutions")  # whatever a run's objectives


@dataclass(frozen=True)
class Chosen:
    """A final member: what it saves, and the points of accuracy that it loses on the search and the test images.

    `interval` is the paired 95 % interval of its loss on test.
    """

    saved: float
    search_loss: float
    test_loss: float
    interval: tuple[float, float]


def chosen(folder: RunFolder, network: Network, finding: Finding) -> Chosen | None:
    """The member of a finished run that a finding is about; None where none is sure to lose so little.

    Nothing is chosen on the test images.
    """
    front, images = folder.front(("search_lost", "search_gained", "search_error")), folder.identity["search_images"]
    values = saved(folder, network, finding.saving)
    row = choose(loss_bounds(front["search_lost"], front["search_gained"], images), values, finding.loss / 100)
    if row is None:
        return None
    correct = Correctness.of(folder)
    search_loss = 100 * (float(front["search_error"][row]) - folder.result["dense_error"])
    return Chosen(float(values[row]), search_loss, *paired_drop(correct.dense, correct.correct[row]))


def saved(folder: RunFolder, network: Network, saving: str) -> NDArray[np.float64]:
    """What each final member of a finished run saves, float64[members], larger is better; see `Finding`."""
    front = folder.front(("bits", "params", "search"))
    if saving == "parameters":
        return np.asarray(1 - front["params"] / network.total_params)
    if saving in COUNTED:
        masks = Masks(front["bits"], network.layout)
        if saving == "multiply-adds":
            return _times(network.total_macs, network.macs(masks))
        convolutional = [layer.convolutional for layer in network.layers]
        dense = network.layer_macs(network.layout.full())[0, convolutional].sum()
        return _times(dense, network.layer_macs(masks)[:, convolutional].sum(axis=1))
    column = folder.identity["objectives"].index(saving)
    return _times(folder.result["dense_search"][column], front["search"][:, column])


def _times(dense: float, kept: NDArray[Any]) -> NDArray[np.float64]:
    """How many times less is left; infinitely many where nothing is."""
    return np.divide(dense, kept, out=np.full(len(kept), np.inf), where=kept > 0)

"""What bits stand for: single weights, filters inside a block, or whole blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pruneframe as pf


@dataclass(frozen=True, repr=False)
class Weight(pf.Units):
    """Single weights of convolutions and linear layers; biases and batch norm stay."""

    name = "weight"

    def layout(self, network: pf.Network) -> pf.Layout:
        return pf.Layout(repr(self), pf.single_weights(network))


@dataclass(frozen=True, repr=False)
class Filter(pf.Units):
    """Filters of convolutions and neurons of linear layers whose readers are known, so that they can be taken out.

    Filters that reach a residual addition, a concatenation or the network's output stay.
    """

    name = "filter"
    removable = True

    def layout(self, network: pf.Network) -> pf.Layout:
        return pf.Layout(repr(self), pf.filter_groups(network))


@dataclass(frozen=True, repr=False)
class Block(pf.Units):
    """Residual branches, each of them whole: where one goes, its addition is replaced by the shortcut.

    What leads to one side of an addition alone, past a shortcut of no or fewer layers, is a branch.
    """

    name = "block"
    removable = True

    def layout(self, network: pf.Network) -> pf.Layout:
        return pf.Layout(repr(self), pf.block_groups(network))


@pf.hookimpl
def pruneframe_units() -> Sequence[type[pf.Units]]:
    return [Weight, Filter, Block]
